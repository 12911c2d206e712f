"""Every kind of autoencoder from the shell: training, and what only some of them can do."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import miniae as library
from miniae.data import read
from miniae.models import VARIANTS, GaussianMixture, get_prior

LAYERS = {"convolutional": "3-4-2", "vector-quantised": "3-4"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """80 grey images of 6x5 pixels in a file, brighter on the left or on the right, with labels."""
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = rng.integers(0, 100, (80, 6, 5)) + 150 * (y[:, None, None] == (np.arange(5) > 2))
    path = tmp_path_factory.mktemp("images") / "sides.npz"
    np.savez(path, X=x.astype(np.uint8), y=np.array(["left", "right"])[y])
    return path


def train(miniae, images, folder, model, *more):
    code, out, err = miniae("train", "--data", images, "--model", model, "--layers", LAYERS.get(model, "8-2"),
                            "--epochs", 2, "--batch-size", 16, "--backend", "numpy", "--out", folder, *more)
    assert code == 0, err
    return folder / "model.safetensors"


@pytest.fixture
def model_of(miniae, images, tmp_path):
    """The file of a trained model of that kind."""
    return lambda kind, *more: train(miniae, images, tmp_path / kind, kind, *more)


OWN = {
    "denoising": {"denoised_squared_error", "noisy_squared_error"},
    "sparse": {"mean_activity", "active_fraction", "dead_units"}, "l1-sparse": {"mean_activity", "active_fraction"},
    "k-sparse": {"mean_activity", "active_fraction"}, "contractive": {"jacobian_norm"},
    "vector-quantised": {"perplexity", "bits_per_pixel", "used"},
    "variational": {"elbo", "kl", "idle_units"}, "conditional": {"elbo", "kl", "idle_units"},
    "adversarial": {"mmd_of_codes_and_prior", "codes_told_from_prior"},
    "wasserstein": {"mmd_of_codes_and_prior", "codes_told_from_prior"},
}
PICTURES = {"denoising": {"denoised.png"}, "variational": {"samples.png", "manifold.png"},
            "conditional": {"samples.png"}, "adversarial": {"samples.png"}, "wasserstein": {"samples.png"}}


@pytest.mark.parametrize("kind", VARIANTS)
def test_train_and_use(kind, miniae, images, model_of, tmp_path):
    path = model_of(kind)
    folder = path.parent
    measures = json.loads((folder / "metrics.json").read_text())
    assert measures["model"] == kind and measures["complete"] and measures["test_squared_error"] > 0
    assert {f"test_{name}" for name in OWN.get(kind, ())} <= measures.keys()
    assert {p.name for p in folder.glob("*.png")} >= {"loss.png", "reconstructions.png", "latent.png",
                                                      *PICTURES.get(kind, ())}
    model, samples = library.load(path), read(images)
    assert type(model) is VARIANTS[kind]
    labels = (samples.labels,) if kind == "conditional" else ()
    code, out, err = miniae("reconstruct", path, images, "-o", tmp_path / "back.npy")
    assert code == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), model.reconstruct(samples.X, *labels))
    code, out, err = miniae("encode", path, images, "-o", tmp_path / "codes.npy")
    assert code == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), model.transform(samples.X, *labels))
    code, out, err = miniae("evaluate", path, images)
    assert code == 0, err
    assert OWN.get(kind, set()) <= json.loads(out).keys()
    assert miniae("info", path)[0] == 0


def test_the_same_settings_train_the_same_model_again(miniae, model_of, tmp_path):
    path = model_of("variational", "--set", "beta=2.5", "--set", "warmup=1", "--set", "dropout=0.1")
    settings = json.loads((path.parent / "config.json").read_text())
    assert settings["settings"] == {"beta": 2.5, "warmup": 1, "dropout": 0.1}
    code, _, err = miniae("train", "--config", path.parent / "config.json", "--out", tmp_path / "again")
    assert code == 0, err
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == path.read_bytes()
    assert library.load(path).beta == 2.5


def test_only_like_is_compared_with_like(miniae, images, tmp_path):
    """A vector-quantised code is of a few bits where principal components are floating-point numbers."""
    for kind, compared in (("convolutional", True), ("vector-quantised", False)):
        code, out, err = miniae("train", "--data", images, "--model", kind, "--layers", LAYERS[kind], "--epochs", 1,
                                "--out", tmp_path / kind)
        assert code == 0, err
        measures = json.loads((tmp_path / kind / "metrics.json").read_text())
        assert f"{kind} 6x5-{LAYERS[kind]} on" in out
        assert ("PCA" in out) == compared == ("pca_squared_error" in measures) and "squared error per test" in out


@pytest.mark.parametrize("kind", VARIANTS)
def test_what_is_not_said_is_as_the_class_has_it(kind, miniae, images, tmp_path):
    code, _, err = miniae("train", "--data", images, "--model", kind, "--layers", LAYERS.get(kind, "8-2"), "--epochs",
                          1, "--pretrain", "none", "--out", tmp_path / "run")
    assert code == 0, err
    trained, made = library.load(tmp_path / "run" / "model.safetensors"), VARIANTS[kind]()
    for name in ("batch_size", "optimizer", "tied", "code_activation"):
        assert getattr(trained, name) == getattr(made, name), name
    assert trained.lr == (0.002 if kind == "autoencoder" else made.lr)
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (settings["lr"], settings["batch_size"], settings["tied"]) == (trained.lr, trained.batch_size, trained.tied)


def test_what_is_said_is_so(miniae, images, model_of):
    model = library.load(model_of("contractive", "--no-tied", "--lr", "0.002", "--optimizer", "sgd"))
    assert (model.tied, model.lr, model.optimizer, model.batch_size) == (False, 0.002, "sgd", 16)


def test_help_says_the_defaults_of_each_kind(miniae):
    out = " ".join(miniae("train", "--help")[1].split())
    for says in ("(default: 0.001; 0.002 for autoencoder; 0.0005 for adversarial)",
                 "(default: 128; 256 for sparse; for tables a hundredth of the samples, from 16 to 128, but for sparse",
                 "(default: no; yes for l1-sparse, k-sparse, contractive)", "16-32-16 for convolutional;",
                 "shuffling and noise (default: 0)"):
        assert says in out


def test_the_settings_of_a_file_that_names_all(miniae, images, tmp_path):
    settings = {"data": str(images), "model": "sparse", "layers": [4], "epochs": 1, "batch_size": 128, "lr": 0.002,
                "optimizer": "adam", "tied": False, "activation": "relu", "pretrain": "none", "settings": {}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    code, _, err = miniae("train", "--config", tmp_path / "config.json", "--out", tmp_path / "run")
    assert code == 0, err
    assert json.loads((tmp_path / "run" / "config.json").read_text()).items() >= settings.items()


def test_every_kind_is_listed_with_its_settings(miniae):
    code, out, _ = miniae("models")
    assert code == 0 and max(map(len, out.splitlines())) <= 120
    assert [line.split(":")[0] for line in out.splitlines() if line and line[0] != " "][:-1] == list(VARIANTS)
    for says in ("  noise=gaussian            \"gaussian\" adds", "  discriminator=[256, 256]  sizes of the",
                 "  k=null                    how many", "  code_activation=sigmoid   of the", "  dropout=0.0   "):
        assert says in out
    code, out, _ = miniae("models", "denoising")
    assert code == 0 and "miniae.DenoisingAutoencoder" in out and "makes them so." in " ".join(out.split())
    assert out.index("  level=0.3") < out.index("  max_norm=null")
    code, _, err = miniae("models", "magic")
    assert code == 2 and "expected one of autoencoder, denoising" in err


@pytest.mark.parametrize("kind, options, says", [
    ("denoising", ("--set", "level=0.4", "--set", "dropout=0.1"),
     "settings: noise=gaussian, level=0.4, emphasis=null, output_activation=sigmoid, dropout=0.1\n"),
    ("adversarial", ("--use-labels",), 'prior={"name": "mixture", "components": 2, "distance": 2.0,'),
    ("autoencoder", ("--pretrain", "none"), "settings: output_activation=sigmoid\n"),
])
def test_info_lists_the_kinds_settings(kind, options, says, miniae, model_of):
    code, out, err = miniae("info", model_of(kind, *options))
    assert code == 0 and says in out, err


def test_default_layers_fit_the_model(miniae, images, tmp_path):
    code, _, err = miniae("train", "--data", images, "--model", "k-sparse", "--epochs", 1, "--out", tmp_path / "k")
    assert code == 0, err
    assert json.loads((tmp_path / "k" / "metrics.json").read_text())["layers"] == [196]


@pytest.mark.parametrize("kind", ["variational", "conditional", "adversarial", "denoising", "sparse"])
def test_a_single_layer(kind, miniae, images, tmp_path):
    code, out, err = miniae("train", "--data", images, "--model", kind, "--layers", "3", "--epochs", 1, "--out",
                            tmp_path / "run")
    assert code == 0, err
    assert (tmp_path / "run" / "latent.png").exists()


def test_real_data_have_a_gaussian_likelihood(miniae, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((50, 4)))
    code, _, err = miniae("train", "--data", tmp_path / "x.npy", "--model", "variational", "--layers", "8-2",
                          "--epochs", 2, "--out", tmp_path / "run")
    assert code == 0, err
    assert library.load(tmp_path / "run" / "model.safetensors").loss == "gaussian"


@pytest.mark.parametrize("kind", ["variational", "conditional"])
@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_a_gaussian_likelihood_of_any_data(kind, scaling, model_of):
    model = library.load(model_of(kind, "--loss", "gaussian", "--scaling", scaling))
    assert model.loss == "gaussian" and model.network_.reconstruction.activation == "linear"


@pytest.mark.parametrize("prior", ["mixture", '{"name": "mixture", "components": 2}'])
def test_another_prior(prior, model_of):
    model = library.load(model_of("adversarial", "--set", f"prior={prior}"))
    assert model.prior == get_prior("mixture" if prior == "mixture" else json.loads(prior))


def test_labels_for_a_model_that_can_do_without(miniae, images, model_of, tmp_path):
    path = model_of("adversarial", "--use-labels")
    model = library.load(path)
    assert model.prior == GaussianMixture(2) and model.classes_.tolist() == ["left", "right"]
    code, _, err = miniae("generate", path, "-n", 4, "--label", "right", "-o", tmp_path / "r.npy")
    assert code == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), model.sample(4, labels=["right"] * 4))
    code, _, err = miniae("train", "--config", path.parent / "config.json", "--out", tmp_path / "again")
    assert code == 0, err
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == path.read_bytes()


# ---------------------------------------------------------------- denoise, generate, interpolate

def test_denoise_an_array(miniae, images, model_of, tmp_path):
    path = model_of("denoising", "--set", "noise=masking", "--set", "level=0.4")
    model, X = library.load(path), read(images).X
    assert (model.noise, model.level) == ("masking", 0.4)
    code, out, err = miniae("denoise", path, images, "-o", tmp_path / "clean.npy", "--picture", tmp_path / "p.png")
    assert code == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "clean.npy"), model.denoise(X))
    assert (tmp_path / "p.png").stat().st_size > 1000
    code, out, _ = miniae("denoise", path, images, "--disturb", "--seed", 3, "-o", tmp_path / "again.npy")
    assert code == 0 and "with noise" in out
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), model.denoise(model.corrupt(X, seed=3)))
    assert miniae("denoise", path, images, "--disturb", "--seed", 3)[:2] == (0, out.splitlines()[0] + "\n")


@pytest.mark.parametrize("colours", [1, 3])
def test_denoise_a_folder_of_images(colours, miniae, tmp_path):
    from PIL import Image

    (tmp_path / "in" / "a").mkdir(parents=True)
    rng, names = np.random.default_rng(0), ["1.png", "2.png", "a/3.bmp", "a/4.png"] * 1
    for name in names:
        pixels = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels if colours == 3 else pixels[..., 0]).save(tmp_path / "in" / name)
    code, _, err = miniae("train", "--data", tmp_path / "in", "--model", "denoising", "--layers", "8-2", "--epochs", 1,
                          "--out", tmp_path / "run")
    assert code == 0, err
    code, _, err = miniae("denoise", tmp_path / "run" / "model.safetensors", tmp_path / "in", "-o", tmp_path / "out")
    assert code == 0, err
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png")) == [
        "1.png", "2.png", "a/3.png", "a/4.png"]
    model, X = library.load(tmp_path / "run" / "model.safetensors"), read(tmp_path / "in").X
    np.testing.assert_allclose(read(tmp_path / "out").X, np.clip(model.denoise(X), 0, 1), atol=0.5 / 255 + 1e-6)
    code, _, err = miniae("denoise", tmp_path / "run" / "model.safetensors", tmp_path / "in", "-o", tmp_path / "out")
    assert code == 2 and "not an empty folder" in err


@pytest.mark.parametrize("kind", ["variational", "conditional", "adversarial", "wasserstein"])
def test_generate(kind, miniae, model_of, tmp_path):
    path = model_of(kind)
    code, out, err = miniae("generate", path, "-n", 6, "--grid", tmp_path / "g.png", "-o", tmp_path / "g.npy",
                            "--seed", 1)
    assert code == 0, err
    labels = ["left", "right"] * 3 if kind == "conditional" else None
    np.testing.assert_array_equal(np.load(tmp_path / "g.npy"), library.load(path).sample(6, labels=labels, seed=1))
    assert (tmp_path / "g.png").stat().st_size > 1000
    code, _, err = miniae("generate", path, "-n", 3, "-o", tmp_path / "folder")
    assert code == 0, err
    assert len(list((tmp_path / "folder").rglob("*.png"))) == 3


def test_generate_one_label(miniae, model_of, tmp_path):
    path = model_of("conditional")
    code, _, err = miniae("generate", path, "-n", 4, "--label", "right", "-o", tmp_path / "r.npy")
    assert code == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), library.load(path).sample(4, labels=["right"] * 4))
    code, _, err = miniae("generate", path, "--label", "up", "-o", tmp_path / "u.npy")
    assert code == 2 and "expected one of left, right" in err and not (tmp_path / "u.npy").exists()


@pytest.mark.parametrize("kind", ["conditional", "adversarial"])
def test_the_labels_of_samples_are_written(kind, miniae, model_of, tmp_path):
    path = model_of(kind, *(["--use-labels"] if kind == "adversarial" else []))
    expected = library.load(path).sample(5, labels=["left", "right", "left", "right", "left"])
    for name in ("g.npz", "g.csv", "g"):
        code, _, err = miniae("generate", path, "-n", 5, "-o", tmp_path / name)
        assert code == 0, err
    for name, column in (("g.npz", None), ("g.csv", "label")):
        back = read(tmp_path / name, column)
        np.testing.assert_array_equal(back.X.astype(np.float32), expected)
        assert back.labels.tolist() == ["left", "right", "left", "right", "left"]
    back = read(tmp_path / "g")
    assert back.names == ["left/00000.png", "left/00002.png", "left/00004.png", "right/00001.png", "right/00003.png"]
    assert back.labels.tolist() == ["left"] * 3 + ["right"] * 2
    np.testing.assert_allclose(back.X, np.clip(expected[[0, 2, 4, 1, 3]], 0, 1), atol=0.5 / 255 + 1e-6)


def test_labels_that_are_numbers_are_read_back(miniae, tmp_path):
    x = np.random.default_rng(0).random((40, 4, 4), np.float32)
    np.savez(tmp_path / "x.npz", X=x, y=np.arange(40) % 2)
    path = train(miniae, tmp_path / "x.npz", tmp_path / "run", "conditional")
    for name, options in (("g.npz", ()), ("g.csv", ("--label", "label")), ("g", ())):
        assert miniae("generate", path, "-n", 6, "-o", tmp_path / name)[0] == 0
        code, _, err = miniae("evaluate", path, tmp_path / name, *options)
        assert code == 0, err


@pytest.mark.parametrize("label", ["../up", "/up", "", ".up", "a//b", "a\\b"])
def test_labels_that_can_not_be_folders(label, miniae, tmp_path):
    x = np.random.default_rng(0).random((40, 4, 4), np.float32)
    np.savez(tmp_path / "x.npz", X=x, y=np.array([label, "other"])[np.arange(40) % 2])
    path = train(miniae, tmp_path / "x.npz", tmp_path / "run", "conditional")
    code, _, err = miniae("generate", path, "-n", 6, "-o", tmp_path / "g" / "g")
    assert code == 2 and "can't be a folder's name" in err and not (tmp_path / "g").exists()


@pytest.mark.parametrize("kind", ["variational", "adversarial", "wasserstein"])
def test_generate_a_label_that_the_model_can_not_know(kind, miniae, model_of, tmp_path):
    code, _, err = miniae("generate", model_of(kind), "--label", "right", "-o", tmp_path / "r.npy")
    assert code == 2 and "trained without labels: leave --label out" in err, err


@pytest.mark.parametrize("kind", ["autoencoder", "convolutional", "vector-quantised", "variational"])
def test_interpolate(kind, miniae, images, model_of, tmp_path):
    path, X = model_of(kind), read(images).X
    code, _, err = miniae("interpolate", path, images, "-n", 3, "--steps", 5, "-o", tmp_path / "i.npy", "--picture",
                          tmp_path / "i.png")
    assert code == 0, err
    expected = library.load(path).interpolate(X[:3], X[3:6], 5)
    np.testing.assert_array_equal(np.load(tmp_path / "i.npy").reshape(expected.shape), expected)
    assert (tmp_path / "i.png").stat().st_size > 1000


def test_interpolate_between_samples_of_one_label(miniae, images, model_of, tmp_path):
    """Those of the file have the labels left, right, left, right, ... in turn."""
    path, samples = model_of("conditional"), read(images)
    code, _, err = miniae("interpolate", path, images, "-n", 3, "--steps", 5, "-o", tmp_path / "i.npy", "--picture",
                          tmp_path / "i.png")
    assert code == 0, err
    first, second = [0, 1, 4], [2, 3, 6]
    expected = library.load(path).interpolate(samples.X[first], samples.X[second], 5, labels=samples.labels[first])
    np.testing.assert_array_equal(np.load(tmp_path / "i.npy").reshape(expected.shape), expected)
    assert (tmp_path / "i.png").stat().st_size > 1000
    np.savez(tmp_path / "two.npz", X=samples.X[:2], y=samples.labels[:2])
    code, _, err = miniae("interpolate", path, tmp_path / "two.npz", "-n", 1, "-o", tmp_path / "j.npy")
    assert code == 2 and "only 0 pairs of one label" in err, err


@pytest.mark.parametrize("name", ["i.npy", "i.npz", "i.csv"])
def test_encode_as_integers(name, miniae, images, model_of, tmp_path):
    path = model_of("vector-quantised")
    code, out, err = miniae("encode", path, images, "--indices", "-o", tmp_path / name)
    assert code == 0 and "80 codes of 4 integers" in out, err
    expected = library.load(path).encode_indices(read(images).X).reshape(80, -1)
    written = read(tmp_path / name)
    np.testing.assert_array_equal(written.X, expected)
    assert written.feature_names == (["index_0", "index_1", "index_2", "index_3"] if name == "i.csv" else None)


# ---------------------------------------------------------------- what can't be

@pytest.mark.parametrize("options, says", [
    (("--model", "magic"), "unknown model 'magic': expected one of autoencoder, denoising"),
    (("--model", "variational", "--set", "betta=2"), "no further setting 'betta': expected one of .*beta"),
    (("--model", "variational", "--set", "beta=-1"), "beta must be"),
    (("--model", "variational", "--set", "beta"), "not of the form NAME=VALUE"),
    (("--model", "variational", "--set", "lr=2"), "no further setting 'lr'"),
    (("--model", "variational", "--pretrain", "rbm"), "choose pretrain none"),
    (("--model", "denoising", "--set", "noise=loud"), "unknown noise 'loud'"),
    (("--model", "k-sparse", "--set", "k=500"), "k is 500"),
    (("--model", "convolutional", "--tied"), "of dense layers"),
    (("--model", "convolutional", "--layers", "12"), "filters and, last, the size .* two or more, 16-12 say; got 12"),
    (("--lr", "-1"), "lr must be a positive number, got -1.0"),
    (("--model", "variational", "--use-labels"), "no use for labels: .* conditional or adversarial"),
    (("--loss", "gaussian"), "unknown loss 'gaussian' for the model autoencoder: expected one of auto, mse"),
    (("--model", "conditional", "--loss", "mse"), "unknown loss 'mse' .* expected one of auto, bce, gaussian"),
    (("--model", "adversarial", "--use-labels", "--set", "prior=gaussian"),
     '2 different .* prior has 0 parts .* prior={"name": "mixture", "components": 2} say'),
    (("--model", "adversarial", "--set", 'prior={"name": "mixture", "petals": 2}'), "can't be made of .*petals"),
    (("--model", "adversarial", "--set", "encoder=3"), "no further setting 'encoder'"),
])
def test_bad_settings(options, says, miniae, images, tmp_path):
    code, out, err = miniae("train", "--data", images, "--epochs", 1, "--out", tmp_path / "run", *options)
    assert code == 2 and len(err.strip().splitlines()) == 1 and not (tmp_path / "run").exists(), err
    assert re.search(says, err), err


def test_models_that_need_images_or_labels_say_so(miniae, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((30, 4)))
    for kind, says in (("convolutional", "is for images"), ("conditional", "needs labels")):
        code, _, err = miniae("train", "--data", tmp_path / "x.npy", "--model", kind, "--epochs", 1, "--out",
                              tmp_path / "run")
        assert code == 2 and says in err and not (tmp_path / "run").exists()


@pytest.mark.parametrize("command, says", [
    (("denoise", "MODEL", "DATA"), "say where to write"),
    (("denoise", "MODEL", "DATA", "-o", "x.npy"), "holds a model of class Autoencoder, expected DenoisingAutoencoder"),
    (("encode", "MODEL", "DATA", "--indices", "-o", "x.npy"), "whose codes are no integers: leave --indices out"),
    (("generate", "MODEL", "--grid", "g.png"), "makes no samples"),
    (("generate", "MODEL"), "say where to draw"),
    (("interpolate", "MODEL", "DATA"), "say where to draw"),
    (("interpolate", "MODEL", "DATA", "-n", "60", "--picture", "p.png"), "60 pairs need 120"),
    (("interpolate", "MODEL", "DATA", "-n", "0", "--picture", "p.png"), "at least 1 pair"),
    (("interpolate", "MODEL", "DATA", "--steps", "1", "--picture", "p.png"), "steps must be an integer of at least 2"),
    (("interpolate", "MODEL", "DATA", "--picture", "p.jpg"), "ends in .png"),
])
def test_what_a_plain_model_can_not(command, says, miniae, images, model_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"MODEL": model_of("autoencoder", "--pretrain", "none"), "DATA": images}
    code, _, err = miniae(*[places.get(word, word) for word in command])
    assert code == 2 and says in err and len(err.strip().splitlines()) == 1, err
    assert not list(tmp_path.glob("*.np*")) and not list(tmp_path.glob("*.png"))
