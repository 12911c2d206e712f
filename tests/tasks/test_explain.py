"""What is found out of a run for the page that explains it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from miniae.data import DataError, write_json, write_text
from miniae.models import VARIANTS, Autoencoder
from miniae.report.explanation import latent_plane
from miniae.report.page_data import page_data
from miniae.tasks import Run, RunConfig
from miniae.tasks.explain import explain
from miniae.tasks.run import _as_csv

SHORT = {"epochs": 3, "pretrain_epochs": 1, "backend": "numpy", "batch_size": 16}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A file of 150 small images of three kinds."""
    rng = np.random.default_rng(0)
    kinds = np.arange(150) % 3
    X = rng.random((150, 6, 6)) * 0.2
    for kind in range(3):
        X[kinds == kind, 2 * kind:2 * kind + 2] += 0.8
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, X=X.astype(np.float32), y=kinds)
    return path


@pytest.fixture
def run_on(images, tmp_path):
    """Train a run on the images; return its folder."""
    def train(**settings):
        run = Run(RunConfig(**{"data": str(images), **SHORT, **settings}))
        run.execute()
        folder = tmp_path / "run"
        folder.mkdir()
        run.write_model(folder)
        write_json(folder / "config.json", run.config.to_dict())
        write_text(folder / "history.csv", _as_csv(run.stack.histories, run.model.history_))
        return folder
    return train


def test_a_pretrained_run_beside_one_that_is_not(run_on):
    folder = run_on(layers=(20, 16, 12, 2), pretrain_epochs=60)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = explain(folder, epochs=2)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with_, without = found.twins
    assert (with_.pretraining, without.pretraining) == ("rbm", "none")
    assert with_.repeats is True and without.repeats is None
    assert with_.insight.epochs == without.insight.epochs == [0, 1, 2]
    assert list(with_.insight.layers) == list(without.insight.layers) and len(with_.insight.layers) == 8
    # The gradient fades on its way to the first layer, and less so with pretraining.
    ratio = {twin.pretraining: twin.insight.layers["encoder.0"].gradient_rms[0]
             / twin.insight.layers["decoder.3"].gradient_rms[0] for twin in found.twins}
    assert ratio["none"] < 0.01 and ratio["rbm"] > 10 * ratio["none"]
    assert found.facts["layers"] == "36-20-16-12-2"
    assert list(found.stages) == ["pretrain 1", "pretrain 2", "pretrain 3", "pretrain 4", "train"]
    assert found.graph.nodes[0].shape == (16, 36) and found.graph.nodes[-1].term == "reconstruction"
    data = json.loads(json.dumps(page_data(found), allow_nan=False))
    for twin in data["twins"]:
        for layer in twin["layers"]:
            for kind in ("values", "gradients"):
                assert len({sum(column) for column in layer[kind]["counts"]}) == 1  # each epoch the same elements
    np.testing.assert_allclose(data["checks"][0]["sample"],
                               found.model.inverse_transform([data["checks"][0]["code"]])[0], atol=1e-6)


def test_a_run_without_pretraining_beside_one_with(run_on):
    found = explain(run_on(layers=(6, 2), pretrain="none", activation="tanh"), epochs=1)
    assert [twin.pretraining for twin in found.twins] == ["none", "autoencoder"]  # the run comes first
    assert [twin.repeats for twin in found.twins] == [True, None]
    assert found.facts["activations"] == ["tanh"]
    assert [len(twin.history) for twin in found.twins] == [1, 1]


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "autoencoder"])
@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
def test_every_kind_of_model(name, run_on):
    layers = {"convolutional": (3, 4), "vector-quantised": (3,)}.get(name, (6, 2))
    settings = {"codebook": 8} if name == "vector-quantised" else {}
    found = explain(run_on(model=name, layers=layers, settings=settings, epochs=1), epochs=1)
    (twin,) = found.twins
    assert twin.repeats is True and twin.insight.layers
    data = page_data(found)
    json.dumps(data, allow_nan=False)
    assert (data["decoder"] is None) == (name in ("conditional", "vector-quantised")) == (found.refused is not None)
    assert (data["plane"] is None) == (name == "vector-quantised")


def test_a_twin_that_diverges_is_shown_as_far_as_it_came(run_on):
    folder = run_on(layers=(6, 2), pretrain="none", activation="relu", loss="mse", optimizer="sgd", epochs=2)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "lr": 1e38}))
    said = []
    found = explain(folder, epochs=2, say=said.append)
    assert sum("ended early" in line for line in said) >= 1
    assert found.twins[0].insight.epochs == [0] and found.twins[0].history == []
    json.dumps(page_data(found), allow_nan=False)


def test_measures_that_the_run_has(run_on):
    folder = run_on(layers=(4, 3), epochs=1)
    assert not {"test_squared_error", "pca_squared_error"} & set(explain(folder, epochs=0).facts)
    measures = {"test_squared_error": 2.5, "pca_squared_error": 1.5, "pca_components": 3, "layers": [4, 3], "more": "x"}
    write_json(folder / "metrics.json", measures)
    facts = explain(folder, epochs=0).facts
    assert facts["test_squared_error"] == 2.5 and facts["pca_squared_error"] == 1.5 and "more" not in facts
    for bad in ("{", "[]", '{"test_squared_error": "much", "layers": [4]}', '{"test_squared_error": 1}',
                '{"test_squared_error": NaN, "layers": [4]}'):
        (folder / "metrics.json").write_text(bad)
        with pytest.raises(DataError, match=r"metrics\.json can't be read"):
            explain(folder, epochs=0)


def test_a_run_that_was_interrupted(run_on):
    """After an epoch of three, and while its second layer was pretrained."""
    folder = run_on(layers=(6,), epochs=1)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "epochs": 3}))
    found = explain(folder, epochs=3)
    assert found.twins[0].repeats is True and found.twins[0].insight.epochs == [0, 1, 2, 3]
    assert (found.facts["epochs"], found.facts["epochs_wanted"]) == (1, 3)
    (folder / "config.json").write_text(json.dumps({**settings, "layers": [6, 2]}))
    write_json(folder / "metrics.json", {"layers": [6]})
    (folder / "history.csv").write_text("stage,loss\npretrain 1,3.5\n")
    found = explain(folder, epochs=1)
    assert found.facts["layers"] == "36-6" and found.twins[0].repeats is None
    assert list(found.twins[0].insight.layers) == ["encoder.0", "encoder.1", "decoder.0", "decoder.1"]


def test_no_training(run_on):
    found = explain(run_on(layers=(4, 3)), epochs=0)
    assert found.twins == [] and page_data(found)["twins"] == []


def test_a_run_that_cannot_be_explained(run_on, tmp_path):
    with pytest.raises(DataError, match="config.json does not exist"):
        explain(tmp_path)
    folder = run_on(layers=(4, 2), epochs=1)
    with pytest.raises(ValueError, match="epochs must be an integer of at least 0, got -1"):
        explain(folder, epochs=-1)
    settings = json.loads((folder / "config.json").read_text())
    np.save(tmp_path / "others.npy", np.zeros((20, 5)))
    (folder / "config.json").write_text(json.dumps({**settings, "data": str(tmp_path / "others.npy")}))
    with pytest.raises(DataError, match="has 5 features a sample, .* made for 36"):
        explain(folder)
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "history.csv").write_text("stage,loss\ntrain,much\n")
    with pytest.raises(DataError, match="history.csv can't be read"):
        explain(folder)


def test_a_run_whose_data_have_changed(run_on, images, tmp_path):
    folder = run_on(layers=(4, 2), epochs=1)
    settings = json.loads((folder / "config.json").read_text())
    with np.load(images) as held:
        np.savez(tmp_path / "other.npz", X=held["X"][::-1], y=held["y"])
    (folder / "config.json").write_text(json.dumps({**settings, "data": str(tmp_path / "other.npz")}))
    assert explain(folder, epochs=1).twins[0].repeats is False


def test_the_plane_of_codes():
    codes = np.random.default_rng(0).normal(size=(50, 4)) * [5, 0.1, 3, 0.2]
    plane = latent_plane(codes)
    reference = np.linalg.eigh(np.cov(codes.T))
    assert plane.share == pytest.approx(reference.eigenvalues[-2:].sum() / reference.eigenvalues.sum())
    np.testing.assert_allclose(np.abs(plane.axes @ reference.eigenvectors[:, :1:-1]), np.eye(2), atol=1e-9)
    on_plane = plane.mean + plane.places @ plane.axes
    assert np.square(codes - on_plane).sum() == pytest.approx(reference.eigenvalues[:2].sum() * 49)
    two = latent_plane(codes[:, :2])
    np.testing.assert_array_equal(two.mean + two.places @ two.axes, codes[:, :2])
    one = latent_plane(codes[:, :1])
    np.testing.assert_allclose(one.mean + one.places @ one.axes, codes[:, :1])
    assert one.axes.shape == (2, 1) and one.share == 1
    assert latent_plane(codes.reshape(50, 2, 2)) is None


def test_as_batch_is_what_training_takes(images):
    X = np.load(images)["X"].reshape(150, -1) * 9
    model = Autoencoder([4], 2, epochs=1, scaling="standard").fit(X)
    (batch,) = model.as_batch(X[:5])
    np.testing.assert_allclose(batch, (X[:5] - X.mean(0)) / X.std(0), rtol=1e-4, atol=1e-5)
