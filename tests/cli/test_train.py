"""miniae train."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

import miniae as library
from miniae.data import read

FILES = {"model.safetensors", "config.json", "history.csv", "metrics.json", "reconstructions.png", "loss.png",
         "filters.png", "latent.png", "run.json", "checkpoints"}


def test_a_run_writes_everything(trained):
    assert {p.name for p in trained.iterdir()} == FILES
    measures = json.loads((trained / "metrics.json").read_text())
    assert {"test_squared_error", "test_mse", "pca_squared_error", "epochs", "seconds", "samples_per_second", "backend",
            "seed", "parameters"} <= measures.keys()
    assert measures["epochs"] == 2 and measures["backend"] == "numpy"
    assert measures["parameters"] == 5 * 4 + 4 + 4 * 2 + 2 + 2 * 4 + 4 + 4 * 5 + 5
    rows = list(csv.DictReader((trained / "history.csv").read_text().splitlines()))
    assert [r["stage"] for r in rows] == ["pretrain 1", "pretrain 2", "train", "train"]
    assert all(float(r["loss"]) > 0 for r in rows)
    for picture in trained.glob("*.png"):
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_measures_are_those_of_the_saved_model(trained, table):
    """Recomputed from the files alone, with plain NumPy."""
    from miniae.data import split

    samples = read(table, label="kind")
    _, test = split(60, 0.2, 0)
    model = library.load(trained / "model.safetensors")
    x = samples.X[test]
    measures = json.loads((trained / "metrics.json").read_text())
    assert measures["test_squared_error"] == pytest.approx(np.square(model.reconstruct(x) - x).sum(1).mean(), rel=1e-5)
    assert measures["test_mse"] == pytest.approx(measures["test_squared_error"] / 5, rel=1e-6)


def test_the_config_repeats_the_run(trained, table, miniae, tmp_path):
    again = tmp_path / "again"
    code, _, err = miniae("train", "--config", trained / "config.json", "--out", again)
    assert code == 0, err
    assert (again / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    for name in ("filters.png", "latent.png", "reconstructions.png", "loss.png", "config.json"):
        assert (again / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.parametrize("options", [
    ("--pretrain", "none", "--activation", "relu"), ("--pretrain", "autoencoder", "--activation", "elu"),
    ("--pretrain", "denoising"), ("--tied",), ("--loss", "mse"), ("--dtype", "float64"), ("--optimizer", "nadam"),
    ("--validation", "0"), ("--batch-size", "7"), ("--scaling", "minmax"), ("--backend", "strict"), ("--seed", "9"),
    ("--pretrain", "none", "--tied", "--loss", "huber"), ("--layers", "1"), ("--layers", "6,3"),
])
def test_options(options, table, miniae, quick, tmp_path):
    code, _, err = miniae("train", "--data", table, "--label", "kind", *quick, "--out", tmp_path / "o", *options)
    assert code == 0, err
    assert {p.name for p in (tmp_path / "o").iterdir()} == FILES


def test_every_kind_of_data(miniae, quick, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.standard_normal((50, 6)))
    np.savez(tmp_path / "many.npz", X=rng.random((50, 6)), y=rng.integers(0, 3, 50))
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (40, 5, 4), dtype=np.uint8))
    for kind in "ab":
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(
                tmp_path / "photos" / kind / f"{i}.png")
    for name in ("rows.npy", "many.npz", "images.npy", "photos"):
        out = tmp_path / f"out-{name}"
        code, _, err = miniae("train", "--data", tmp_path / name, *quick, "--out", out)
        assert code == 0, err
        assert {p.name for p in out.iterdir()} == FILES


def test_a_feature_of_large_numbers_does_not_decide_alone(miniae, quick, tmp_path, monkeypatch):
    """Errors are those of the scaled features, for the model and for PCA; the config finds the data from elsewhere."""
    x = np.random.default_rng(0).standard_normal((60, 4)) * [1, 1, 1, 1e6]
    (tmp_path / "x.csv").write_text("a,b,c,d\n" + "\n".join(",".join(map(str, row)) for row in x))
    monkeypatch.chdir(tmp_path)
    code, out, err = miniae("train", "--data", "x.csv", *quick, "--out", "o")
    assert code == 0, err
    measures = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert "features scaled: standard" in out and measures["scaling"] == "standard" and measures["complete"]
    assert 0.1 < measures["test_squared_error"] < 40 and 0.1 < measures["pca_squared_error"] < 40
    model = library.load("o/model.safetensors")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = miniae("train", "--config", "../o/config.json", "--out", "again")
    assert code == 0, err
    assert library.load("again/model.safetensors").transform(x).tolist() == model.transform(x).tolist()
    code, out, err = miniae("evaluate", "../o/model.safetensors", "../x.csv")
    assert code == 0 and 0.1 < json.loads(out)["scaled_squared_error"] < 40, err


def test_columns_are_found_by_name(trained, table, miniae, tmp_path):
    rows = [line.split(",") for line in table.read_text().splitlines()]
    (tmp_path / "turned.csv").write_text("\n".join(",".join(row[::-1]) for row in rows))
    model = trained / "model.safetensors"
    for name in (table, tmp_path / "turned.csv"):
        assert miniae("encode", model, name, "--label", "kind", "-o", tmp_path / f"{name.stem}.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "table.npy"), np.load(tmp_path / "turned.npy"))
    (tmp_path / "other.csv").write_text(table.read_text().replace("a,b", "a,z", 1))
    code, _, err = miniae("encode", model, tmp_path / "other.csv", "--label", "kind")
    assert code == 2 and "name them alike (b is missing)" in err


@pytest.mark.parametrize("losses, hint", [([5, 4, 3], "falling by 25.0 %"), ([5, 3, 2.999], None), ([5], None),
                                          ([3, 4], None), ([], None), ([-10, -10, -12], "falling by 20.0 %"),
                                          ([1, -1], "falling by 200.0 %"), ([-10, -5], None), ([0, -1], None)])
def test_a_hint_for_runs_that_end_too_early(losses, hint):
    from miniae.tasks import still_falling

    said = still_falling(SimpleNamespace(history_=[{"loss": 1.0, "val_loss": v} for v in losses]))
    assert (said is None) if hint is None else (hint in said)


@pytest.mark.parametrize("held_out", ["", "val_"])
def test_the_hint_is_of_the_loss_that_a_model_is_judged_by(held_out):
    from miniae.tasks import still_falling

    history = [{"loss": 9.0 - i, f"{held_out}loss": 9.0 - i, f"{held_out}reconstruction": 4.0} for i in range(3)]
    assert still_falling(SimpleNamespace(history_=history, monitor="val_reconstruction")) is None
    assert "falling" in still_falling(SimpleNamespace(history_=history))


def test_runs_are_numbered_and_never_overwritten(table, miniae, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for expected in ("runs/table-1", "runs/table-2"):
        code, out, _ = miniae("train", "--data", table, "--label", "kind", *quick)
        assert code == 0 and expected in out
    before = (tmp_path / "runs/table-1/metrics.json").read_bytes()
    code, _, err = miniae("train", "--data", table, "--label", "kind", *quick, "--out", "runs/table-1")
    assert code == 2 and "overwritten" in err
    assert (tmp_path / "runs/table-1/metrics.json").read_bytes() == before


def test_interrupting_saves_what_was_trained(table, miniae, quick, tmp_path, monkeypatch):
    from miniae.training import ProgressBar

    def interrupt(self, trainer, logs):
        if self.title == "fine-tuning" and trainer.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBar, "on_epoch_end", interrupt)
    folder = tmp_path / "cut"
    code, _, err = miniae("train", "--data", table, "--label", "kind", *quick, "--pretrain", "rbm", "--epochs", 50,
                          "--out", folder)
    assert code == 130
    assert "saved" in err
    assert json.loads((folder / "metrics.json").read_text())["epochs"] == 2
    assert library.load(folder / "model.safetensors").code == 2


@pytest.mark.parametrize("during, epoch, sizes", [
    ("layer 1/2 (5-4)", 1, "5-4"), ("layer 2/2 (4-2)", 1, "5-4-2"), ("layer 2/2 (4-2)", 0, "5-4"),
    ("fine-tuning", 0, "5-4-2"),
])
@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_interrupting_the_pretraining_saves_the_layers_so_far(during, epoch, sizes, scaling, table, miniae, quick,
                                                              tmp_path, monkeypatch):
    """Those of which an epoch was complete; and all of them when fine-tuning has not come that far."""
    from miniae.training import ProgressBar

    def interrupt(self, trainer, *logs):
        if self.title == during:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBar, "on_epoch_end" if epoch else "on_epoch_begin", interrupt)
    folder = tmp_path / "cut"
    code, _, err = miniae("train", "--data", table, "--label", "kind", *quick, "--pretrain", "rbm", "--scaling",
                          scaling, "--out", folder)
    assert code == 130 and f"what had been trained ({sizes}) is saved" in err
    assert {p.name for p in folder.iterdir()} == FILES - {"loss.png"}
    assert json.loads((folder / "metrics.json").read_text())["pca_components"] == int(sizes[-1])
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert rows and all(float(row["loss"]) > 0 for row in rows)
    x = read(table, "kind").X
    assert library.load(folder / "model.safetensors").transform(x).shape == (60, int(sizes[-1]))


def test_divergence_loses_nothing_that_was_good(table, miniae, quick, tmp_path):
    folder = tmp_path / "o"
    code, _, err = miniae("train", "--data", table, "--label", "kind", *quick, "--optimizer", "sgd", "--lr", "1e30",
                          "--epochs", 9, "--scaling", "standard",
                          "--pretrain", "rbm", "--out", folder)
    assert code == 2 and "lower the learning rate" in err and "what had been trained (5-4-2) is saved" in err
    assert {p.name for p in folder.iterdir()} == FILES - {"loss.png"}
    model = library.load(folder / "model.safetensors")
    assert all(np.isfinite(a).all() for a in model.network_.state_dict().values())


@pytest.mark.parametrize("existed", [False, True])
def test_interrupting_before_any_training_writes_nothing(existed, table, miniae, quick, tmp_path, monkeypatch):
    from miniae.data import Standard

    def interrupt(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(Standard, "fit", interrupt)
    folder = tmp_path / "cut"
    if existed:
        folder.mkdir()
    code, _, err = miniae("train", "--data", table, "--label", "kind", *quick, "--scaling", "standard", "--out", folder)
    assert code == 130 and err == "miniae: interrupted: before an epoch was complete, nothing is saved\n"
    assert folder.exists() == existed


def test_interrupting_the_writing_keeps_what_is_written(table, miniae, quick, tmp_path, monkeypatch):
    from miniae.report import pictures

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "reconstructions", interrupt)
    folder = tmp_path / "cut"
    code, _, err = miniae("train", "--data", table, "--label", "kind", *quick, "--out", folder)
    assert code == 130 and "interrupted" in err
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "config.json", "history.csv", "metrics.json",
                                                  "run.json", "checkpoints"}


def test_interrupting_before_anything_is_written_still_saves_the_model(table, miniae, quick, tmp_path, monkeypatch):
    from miniae.tasks import Run

    def interrupt(self, folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "write", interrupt)
    folder = tmp_path / "cut"
    code, out, err = miniae("train", "--data", table, "--label", "kind", *quick, "--out", folder)
    assert code == 130 and "interrupted" in err and "so far: " in out and "model.safetensors" in out
    assert library.load(folder / "model.safetensors").code == 2


def test_the_same_network_with_and_without_pretraining(table, miniae, quick, tmp_path):
    """What is compared differs in its initial weights only, whatever the loss."""
    for loss in ("bce", "mse"):
        described = []
        for pretrain in ("rbm", "none"):
            folder = tmp_path / f"{pretrain}-{loss}"
            code, _, err = miniae("train", "--data", table, "--label", "kind", *quick, "--loss", loss, "--activation",
                                  "sigmoid", "--pretrain", pretrain, "--out", folder)
            assert code == 0, err
            network = library.load(folder / "model.safetensors").network_
            described.append((network.reconstruction.activation, network.reconstruction.name,
                              [(layer.units, layer.activation) for part in (network.encoder, network.decoder)
                               for layer in part]))
        plain = [[(n, None if a == "linear" else a) for n, a in layers] for *_, layers in described]
        assert described[0][:2] == described[1][:2] and plain[0] == plain[1]


def test_one_layer_on_real_data(miniae, tmp_path):
    """An RBM can't have Gaussian units on both sides: the code's are sigmoid units then."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((50, 6)))
    code, _, err = miniae("train", "--data", tmp_path / "x.npy", "--layers", "3", "--epochs", "1", "--pretrain-epochs",
                          "1", "--pretrain", "rbm", "--out", tmp_path / "o")
    assert code == 0, err
    assert library.load(tmp_path / "o" / "model.safetensors").code_activation == "sigmoid"


def test_scaling_is_chosen_by_all_of_the_data(miniae, quick, tmp_path):
    """A single value outside [0, 1], in whichever part it comes to stand, makes them real numbers."""
    x = np.random.default_rng(0).random((50, 6))
    for row in range(0, 50, 7):
        y = x.copy()
        y[row, 2] = 1.5
        np.save(tmp_path / "x.npy", y)
        out = tmp_path / f"o{row}"
        code, _, err = miniae("train", "--data", tmp_path / "x.npy", *quick, "--out", out)
        assert code == 0, err
        assert library.load(out / "model.safetensors").scaling == "standard"


def test_data_that_do_not_vary(miniae, quick, tmp_path):
    np.save(tmp_path / "x.npy", np.full((50, 6), 0.5))
    code, out, err = miniae("train", "--data", tmp_path / "x.npy", *quick, "--out", tmp_path / "o")
    assert code == 0, err
    assert "which is exact" in out and max(map(len, out.replace(str(tmp_path), "").splitlines())) < 200


def test_the_default_is_the_main_job_on_digits(miniae, tmp_path):
    """Shortened in epochs only: better than PCA already."""
    code, out, err = miniae("train", "--epochs", 3, "--pretrain-epochs", 2, "--out", tmp_path / "digits")
    assert code == 0, err
    measures = json.loads((tmp_path / "digits" / "metrics.json").read_text())
    assert measures["pca_squared_error"] == pytest.approx(21.58, abs=0.01)
    assert measures["test_squared_error"] < measures["pca_squared_error"]
    assert measures["test_bce_floor"] == pytest.approx(44.80, abs=0.01)
