"""What a run does by default on a table, what it does on images, and what it advises when PCA does better."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from miniae.data import Dataset
from miniae.models import VARIANTS
from miniae.tasks import Run, RunConfig, advice, for_table
from miniae.tasks import run as run_module
from miniae.training import epochs_for


def settings(config):
    return {name: getattr(config, name) for name in ("layers", "activation", "pretrain", "epochs", "batch_size")}


@pytest.mark.parametrize("rows, columns, layers, epochs, batch_size", [
    (216, 4, (64, 2), 143, 16), (216, 1, (64, 1), 143, 16), (2, 3, (64, 2), 2000, 16), (3000, 30, (64, 5), 20, 30),
    (50_000, 255, (64, 16), 20, 128), (1600, 256, (512, 256, 16), 20, 16),
])
def test_defaults_of_a_table(rows, columns, layers, epochs, batch_size):
    config = for_table(RunConfig(), rows, columns)
    assert settings(config) == {"layers": layers, "activation": "elu", "pretrain": "none", "epochs": epochs,
                                "batch_size": batch_size}
    assert epochs_for(2000, rows, batch_size) <= epochs


@pytest.mark.parametrize("given", [
    {"layers": (8, 2)}, {"activation": "relu"}, {"activation": "sigmoid"}, {"epochs": 3}, {"batch_size": 100},
    {"pretrain": "rbm", "activation": "sigmoid"}, {"pretrain": "autoencoder"}, {"pretrain": "rbm"},
    {"layers": (8, 2), "activation": "tanh", "pretrain": "none", "epochs": 1, "batch_size": 1},
    {"settings": {"dropout": 0.1}}, {"model": "denoising", "epochs": 2}, {"lr": 0.5, "seed": 3},
])
def test_what_is_given_goes_first(given):
    config = for_table(RunConfig(**given), 216, 9)
    assert {name: getattr(config, name) for name in given} == given
    if given.get("pretrain", "none") != "none" and "activation" not in given:
        assert config.activation == "sigmoid"
    if "epochs" not in given:
        assert config.epochs == epochs_for(2000, 216, config.batch_size)
    assert for_table(RunConfig(**config.to_dict()), 216, 9) == config  # as it is read from a config.json


def test_other_kinds_have_their_own_layers_and_activations():
    for kind in VARIANTS:
        usual, config = RunConfig(model=kind), for_table(RunConfig(model=kind), 216, 9)
        assert config.epochs * -(-216 // config.batch_size) >= 2000
        assert (config.batch_size == usual.batch_size) == (kind == "sparse")
        if kind != "autoencoder":
            assert (config.activation, config.pretrain) == (usual.activation, usual.pretrain)
        short = ("autoencoder", "variational", "conditional", "adversarial", "wasserstein")
        assert config.layers == ((64, 3) if kind in short else usual.layers)


def test_images_keep_their_defaults(tmp_path, monkeypatch):
    x = np.random.default_rng(0).random((40, 12), np.float32)
    for shape, same in (((3, 4), True), (None, False)):
        monkeypatch.setattr(run_module, "find", lambda *names, shape=shape: Dataset("x", x, x[:9], image_shape=shape))
        config = RunConfig(seed=1)
        run = Run(config)
        assert (run.config is config) == same
        assert settings(run.config)["layers"] == ((512, 256, 16) if same else (64, 3))


@pytest.fixture
def finished(tmp_path):
    """A run of so many epochs on 200 rows, as it ended."""
    def make(image_shape=None, losses=(1.0,), columns=12, **given):
        config = RunConfig(**{"batch_size": 20, "layers": (32, 3), "pretrain": "none", "activation": "elu", **given})
        history = [{"loss": loss, "val_loss": loss} for loss in losses]
        return SimpleNamespace(config=config, train=np.zeros((200, columns)), layers=list(config.layers or ()),
                               data=SimpleNamespace(image_shape=image_shape), model=SimpleNamespace(history_=history))
    return make


WORSE = {"test_squared_error": 2.0, "pca_squared_error": 1.0}
BETTER = {"test_squared_error": 1.0, "pca_squared_error": 2.0}
LONG = [1.0] * 200


@pytest.mark.parametrize("given, says", [
    ({"losses": LONG[:6]}, "60 updates in 6 epochs of 200 samples are too few to do better than PCA: --epochs 200 "
                           "makes 2,000, and so does, sooner, --batch-size 16 --epochs 154"),
    ({"losses": LONG[:6], "batch_size": 16}, "78 updates in 6 epochs of 200 samples are too few to do better than PCA: "
                                             "--epochs 154 makes 2,000"),
    ({"losses": [5.0, 1.0] + [2.5] * 198}, "lowest after 2 of 200 epochs, and has risen since by 150 %: fewer --e"),
    ({"losses": [5.0, 1.0] + [1.5] * 198}, "near a plane"),  # then the lowest was no better than PCA's
    ({"losses": LONG, "pretrain": "rbm", "activation": "sigmoid"},
     "sigmoid units that were pretrained do badly on most tables: try --pretrain none --activation elu"),
    ({"losses": LONG, "activation": "tanh"}, "tanh units do badly on most tables: try --pretrain none --activation e"),
    ({"losses": LONG, "activation": "sigmoid", "image_shape": (3, 4)}, "try --activation relu, or --pretrain rbm"),
    ({"losses": LONG, "layers": (32, 4, 3)}, "a hidden layer of 4 units lets little through to a code of 3: try wider "
                                             "ones, --layers 32-12-3"),
    ({"losses": LONG, "layers": (32, 12)}, "the code has room for all features (12 and 12 numbers), which PCA then "
                                           "keeps as they are: a smaller code, --layers 64-3 say,"),
    ({"losses": [4 - 0.02 * i for i in range(200)], "model": "denoising"}, "the loss was still falling by"),
    ({"losses": LONG, "model": "denoising", "layers": (32, 12)}, None),
    ({"losses": LONG}, "these data may lie near a plane, where nothing does better than PCA: use that, or try other"),
    ({"losses": [400 * 0.98 ** i for i in range(200)]}, "the loss was still falling by"),
])
def test_advice_for_a_run_that_is_worse_than_pca(given, says, finished):
    line = advice(finished(**given), WORSE)
    assert line is None if says is None else (says in line and "\n" not in line), line


@pytest.mark.parametrize("measures", [BETTER, {"test_squared_error": 1.004, "pca_squared_error": 1.0},
                                      {"test_squared_error": 1.0}])
def test_no_advice_for_others_but_to_go_on(measures, finished):
    assert advice(finished(losses=LONG[:6]), measures) is None
    assert "still falling" in advice(finished(losses=[3.0, 2.0, 1.0]), measures)


def test_a_small_table_is_learnt_better_than_by_pca(tmp_path):
    """On a curved surface in five columns of mixed scales; with the defaults of images it is not."""
    rng = np.random.default_rng(0)
    a = rng.uniform(-2, 2, 150)
    x = np.stack([a, a ** 2, np.sin(2 * a), 30 * np.cos(a), 1000 + 200 * a ** 3], axis=1)
    x += 0.05 * x.std(axis=0) * rng.standard_normal(x.shape)
    np.savetxt(tmp_path / "t.csv", x, delimiter=",", header="a,b,c,d,e", comments="")
    run = Run(RunConfig(data=str(tmp_path / "t.csv"), backend="numpy"))
    run.execute()
    measures = run.measure()
    assert run.layers == [64, 2] and measures["test_squared_error"] < 0.5 * measures["pca_squared_error"]
    run = Run(RunConfig(data=str(tmp_path / "t.csv"), backend="numpy", layers=(64, 2), activation="sigmoid",
                        pretrain="rbm", epochs=20, batch_size=128))
    run.execute()
    measures = run.measure()
    assert measures["test_squared_error"] > measures["pca_squared_error"]
    assert "20 updates in 20 epochs of 108 samples are too few" in advice(run, measures)


def test_epochs_of_pretraining_ask_for_it():
    config = for_table(RunConfig(pretrain_epochs=3), 300, 8)
    assert (config.pretrain, config.pretrain_epochs, config.activation) == ("rbm", 3, "sigmoid")
    assert RunConfig().pretrain_epochs == 5
