"""What holds of every kind of autoencoder."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

from miniae import models
from miniae.models import VARIANTS, Autoencoder, GaussianMixture, GenerativeAutoencoder, load
from miniae.training import Checkpoint, NotFittedError

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")  # they are hardly trained

RNG = np.random.default_rng(0)
Y = np.arange(64) % 2
X = (0.3 * RNG.random((64, 1, 6, 6)) + 0.6 * (Y[:, None, None, None] == (np.arange(6) > 2))).astype(np.float32)
KINDS = pytest.mark.parametrize("kind", VARIANTS)


def make(kind, **settings):
    """A small model of that kind, and what its methods take beside samples."""
    cls = VARIANTS[kind]
    size = {"filters": (4, 4)} if "filters" in cls._parameter_names() else {"hidden": (12,), "code": 3}
    model = cls(**{**size, "epochs": 3, "batch_size": 16, "lr": 0.01, **settings})
    return model, (Y,) if model.needs_labels else ()


@KINDS
def test_it_learns_and_is_itself_after_loading(kind, backend, tmp_path):
    model, labels = make(kind, backend=backend, epochs=6)
    model.fit(X, *labels)
    losses = [row["reconstruction"] for row in model.history_]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    codes, back, scores = model.transform(X, *labels), model.reconstruct(X, *labels), model.score_samples(X, *labels)
    assert len(codes) == len(X) and back.shape == X.shape and scores.shape == (64,)
    model.save(tmp_path / "m.safetensors")
    loaded = load(tmp_path / "m.safetensors", backend=backend)
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.transform(X, *labels), codes)
    np.testing.assert_array_equal(loaded.reconstruct(X, *labels), back)
    np.testing.assert_array_equal(loaded.score_samples(X, *labels), scores)
    if isinstance(model, GenerativeAutoencoder):
        told = {"labels": Y[:5]} if labels else {}
        np.testing.assert_array_equal(loaded.sample(5, seed=1, **told), model.sample(5, seed=1, **told))
    loaded.partial_fit(X, *labels)
    assert np.isfinite(loaded.reconstruct(X, *labels)).all()


@KINDS
def test_the_same_seed_gives_the_same_model(kind):
    (a, labels), (b, _), (c, _) = make(kind), make(kind), make(kind, seed=1)
    a, b, c = (model.fit(X, *labels).reconstruct(X, *labels) for model in (a, b, c))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@KINDS
def test_a_run_that_goes_on_is_one_that_never_stopped(kind, tmp_path):
    whole, labels = make(kind, epochs=4)
    whole.fit(X, *labels)
    path = tmp_path / "c.safetensors"
    first, _ = make(kind, epochs=2)
    first.fit(X, *labels, callbacks=[Checkpoint(path, resume=True)])
    second, _ = make(kind, epochs=4)
    second.fit(X, *labels, callbacks=[Checkpoint(path, resume=True)])
    np.testing.assert_array_equal(second.reconstruct(X, *labels), whole.reconstruct(X, *labels))
    assert [row["loss"] for row in second.history_] == [row["loss"] for row in whole.history_]


@KINDS
def test_a_batch_of_one_and_a_batch_larger_than_the_data(kind):
    for settings, rows in (({"batch_size": 1, "epochs": 1}, 5), ({"batch_size": 500}, 5), ({}, 1)):
        model, labels = make(kind, **settings)
        labels = tuple(y[:rows] for y in labels)
        if rows == 1 and labels:
            continue  # one label tells nothing
        assert np.isfinite(model.fit(X[:rows], *labels).reconstruct(X[:rows], *labels)).all()


@KINDS
def test_options_of_all(kind):
    model, labels = make(kind, dropout=0.1, l1=1e-4, l2=1e-4, max_norm=2.0, patience=2, clip=10.0, scaling="minmax")
    held_out = (X[:16], Y[:16]) if labels else X[:16]
    model.fit(X, *labels, validation=held_out)
    assert {"l1", "l2", "val_loss"} <= model.history_[0].keys()
    assert np.isfinite(model.reconstruct(X, *labels)).all()


@KINDS
def test_data_that_can_not_be_used_are_refused_in_one_line(kind):
    model, labels = make(kind)
    for bad in (np.full_like(X, np.nan), X[:0], X.astype(str), X[0, 0, 0]):
        few = tuple(y[:len(bad)] for y in labels)
        with pytest.raises((ValueError, TypeError)) as why:
            model.fit(bad, *few)
        assert "\n" not in str(why.value)
        assert not hasattr(model, "network_")
    model.fit(X, *labels)
    with pytest.raises(ValueError, match="made for"):
        model.transform(X[:, :, :5], *labels)


@KINDS
def test_what_data_outside_the_unit_interval_are_told_to_do_helps(kind):
    model, labels = make(kind, loss="bce", epochs=1)
    with pytest.raises(ValueError, match=r"scaling='minmax'\), or choose loss='\w+'") as why:
        model.fit(255 * X, *labels)
    loss = re.search(r"loss='(\w+)'", str(why.value))[1]
    for settings in ({"scaling": "minmax"}, {"loss": loss, "scaling": None}):
        assert np.isfinite(model.set_params(**settings).fit(255 * X, *labels).reconstruct(255 * X, *labels)).all()


@KINDS
def test_an_untrained_model_says_so_whatever_it_is_asked(kind):
    arguments = {"X": X, "A": X, "B": X, "y": Y, "labels": Y, "codes": np.zeros((64, 3)), "n": 64,
                 "indices": np.zeros((64, 2, 2), int), "path": "nowhere"}
    model, told = make(kind)
    asked = []
    for name, method in inspect.getmembers(type(model), inspect.isfunction):
        if name.startswith("_") or name in ("fit", "fit_transform", "partial_fit", "get_params", "set_params",
                                            "set_output", "changed_params"):
            continue
        parameters = inspect.signature(method).parameters
        given = {k: v for k, v in arguments.items() if k in parameters and (told or k not in ("y", "labels"))}
        with pytest.raises(NotFittedError, match="is not trained yet: call fit first"):
            getattr(model, name)(**given)
        asked.append(name)
    assert {"transform", "inverse_transform", "reconstruct", "interpolate", "score_samples", "save"} <= {*asked}
    for name in ("network_", "encoder_", "scaler_", "history_"):
        assert not hasattr(model, name)
    model.fit(X, *told)
    with pytest.raises(AttributeError, match="no attribute 'teacher_'") as why:
        model.teacher_  # noqa: B018
    assert not isinstance(why.value, NotFittedError)


@KINDS
def test_a_loaded_model_shows_what_it_was_made_with(kind, tmp_path):
    model, told = make(kind, epochs=1)
    model.fit(X, *told).save(tmp_path / "m.safetensors")
    shown = repr(load(tmp_path / "m.safetensors"))
    assert eval(shown, vars(models)).get_params().keys() == model.get_params().keys()
    assert "corruption" not in shown and "[]" not in shown and "()" not in shown
    as_lists = repr(model).replace("(12,)", "[12]").replace("(4, 4)", "[4, 4]")
    assert shown == as_lists


@KINDS
def test_traverse(kind):
    model, told = make(kind, epochs=1)
    model.fit(X, *told)
    labels = {"labels": Y[:2]} if told else {}
    if model.network_.code_shape != (3,):
        with pytest.raises(ValueError, match="of codes that are vectors"):
            model.traverse(X[:2])
        return
    seen = model.traverse(X[:2], [2, 0], (-1, 1), 4, **labels)
    assert seen.shape == (2, 2, 4, *X.shape[1:])
    code = model.transform(X[1:2], *[y[1:2] for y in told])
    code[0, 0] = 1
    np.testing.assert_allclose(seen[1, 1, 3], model.inverse_transform(code, *[y[1:2] for y in told])[0], atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind, cls in VARIANTS.items() if cls.takes_labels])
def test_models_that_know_labels_take_them_alike(kind):
    model, _ = make(kind, epochs=1)
    if not model.needs_labels:
        model.set_params(prior=GaussianMixture(2))
    model.fit(X, Y, validation=(X[:5], Y[:5]))
    np.testing.assert_array_equal(model.sample(3, labels=1, seed=2), model.sample(3, labels=[1, 1, 1], seed=2))
    for use in (model.interpolate(X[:2], X[2:4], 3, labels=labels) for labels in (0, [0, 0])):
        assert use.shape == (2, 3, *X.shape[1:])
    uses = [lambda labels: model.sample(2, labels=labels)]
    if model.needs_labels:
        uses += [lambda labels: model.interpolate(X[:2], X[2:4], labels=labels),
                 lambda labels: model.traverse(X[:2], labels=labels)]
    for use in uses:
        with pytest.raises(ValueError, match="labels holds the label 7"):
            use(7)
        with pytest.raises(ValueError, match="labels has labels of shape"):
            use([0, 1, 0])
    with pytest.raises(ValueError, match="y holds the label 7"):
        model.partial_fit(X, np.full(64, 7))
    with pytest.raises(ValueError, match="validation holds the label 7"):
        model.fit(X, Y, validation=(X, np.full(64, 7)))
    with pytest.raises(ValueError, match=r"validation is a pair \(X, y\)"):
        model.fit(X, Y, validation=X)


def test_a_model_that_needs_labels_says_so():
    model, _ = make("conditional")
    for use in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="needs labels with the samples: give one for each"):
            use(X)


@pytest.mark.parametrize("kind", [kind for kind, cls in VARIANTS.items() if issubclass(cls, GenerativeAutoencoder)])
def test_samples_of_a_seed_that_is_none(kind):
    model, told = make(kind, epochs=1)
    model.fit(X, *told)
    with pytest.raises(ValueError, match="seed must be an integer of at least 0, got -1"):
        model.sample(2, labels=0 if told else None, seed=-1)


@KINDS
def test_parameters_can_be_read_set_and_shown(kind):
    model, _ = make(kind)
    params = model.get_params()
    assert type(model)(**params).get_params() == params
    assert model.set_params(lr=0.5).lr == 0.5 and "lr=0.5" in repr(model)
    assert repr(type(model)()) == f"{type(model).__name__}()"
    assert all(issubclass(cls, Autoencoder) and inspect.getdoc(cls) for cls in VARIANTS.values())
