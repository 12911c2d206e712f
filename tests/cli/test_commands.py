"""The commands that use a model, and those about miniae itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import miniae as library
from miniae.data import read


def test_encode_reconstruct_evaluate(trained, table, miniae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, x = library.load(trained / "model.safetensors"), read(table, label="kind").X
    path = trained / "model.safetensors"

    code, out, _ = miniae("encode", path, table, "--label", "kind", "-o", "codes.npy")
    assert code == 0 and "60 codes of 2 numbers" in out
    np.testing.assert_array_equal(np.load("codes.npy"), model.transform(x))

    code, _, _ = miniae("encode", path, table, "--label", "kind", "-o", "codes.csv")
    codes = read("codes.csv")
    assert codes.feature_names == ["code_0", "code_1"]
    np.testing.assert_array_equal(codes.X.astype(np.float32), model.transform(x))

    code, out, _ = miniae("reconstruct", path, table, "--label", "kind", "-o", "back.npy", "--picture", "p.png")
    assert code == 0
    np.testing.assert_array_equal(np.load("back.npy"), model.reconstruct(x))
    assert (tmp_path / "p.png").stat().st_size > 1000

    code, _, _ = miniae("reconstruct", path, table, "--label", "kind", "-o", "back.csv")
    back = read("back.csv")
    assert code == 0 and back.feature_names == list("abcde")
    np.testing.assert_array_equal(back.X.astype(np.float32), model.reconstruct(x))
    assert miniae("evaluate", path, "back.csv")[0] == 0

    code, _, _ = miniae("reconstruct", path, table, "--label", "kind")
    assert code == 0 and (tmp_path / "reconstructions.png").exists()

    code, out, _ = miniae("evaluate", path, table, "--label", "kind")
    measures = json.loads(out)
    assert code == 0 and measures["samples"] == 60
    assert measures["squared_error"] == pytest.approx(np.square(model.reconstruct(x) - x).sum(1).mean(), rel=1e-5)


def test_info(trained, miniae):
    code, out, _ = miniae("info", trained / "model.safetensors")
    assert code == 0
    for piece in ("encoder", "decoder", "Dense", "(N, 2)", "table.csv", "loss bce"):
        assert piece in out


def test_a_classifiers_file(trained, table, miniae, tmp_path):
    x = np.random.default_rng(0).random((20, 5), np.float32)
    path = tmp_path / "classifier.safetensors"
    library.Classifier([4], head_epochs=0, epochs=1).fit(x, np.where(x[:, 0] > 0.5, "high", "low")).save(path)
    code, out, _ = miniae("info", path)
    assert code == 0
    for piece in ("Classifier", "classes high, low", "encoder", "head", "(N, 2)"):
        assert piece in out
    for command in (("encode", path, table, "--label", "kind"), ("gradcheck", path)):
        code, _, err = miniae(*command)
        assert code != 0 and "holds a model of class Classifier, this command needs an Autoencoder" in err


def test_info_of_a_forged_file(miniae, tmp_path):
    for kind in (["index"], {}, 3, "thing"):
        library.data.save_tensors(tmp_path / "a.safetensors", {}, {"kind": kind, "format": 1})
        code, _, err = miniae("info", tmp_path / "a.safetensors")
        assert code == 2 and err.count("\n") == 1 and "expected a model" in err


def test_backends(miniae):
    code, out, _ = miniae("backends")
    assert code == 0
    assert "numpy    available" in out and "cupy" in out and "auto" in out


def test_gradcheck_of_functions_layers_and_a_model(trained, miniae):
    code, out, _ = miniae("gradcheck", "--layers", "7-5-2", "--loss", "bce", "--backend", "strict")
    assert code == 0 and "encoder.0.weight" in out and "all gradients are right" in out
    code, out, _ = miniae("gradcheck", trained / "model.safetensors")
    assert code == 0 and "decoder.1.bias" in out
    code, out, _ = miniae("gradcheck")
    assert code == 0 and "conv2d" in out and "batch_norm" in out


def test_version_and_help(miniae):
    assert miniae("--version")[:2] == (0, f"miniae {library.__version__}\n")
    code, out, _ = miniae("--help")
    assert code == 0 and "reconstruct" in out
    for command in ("train", "encode", "evaluate", "reconstruct", "gradcheck", "info", "explain", "backends"):
        assert miniae(command, "--help")[0] == 0


def test_python_dash_m_is_the_same():
    done = subprocess.run([sys.executable, "-m", "miniae", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"miniae {library.__version__}\n")
    done = subprocess.run([sys.executable, "-m", "miniae", "info", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_a_mistake_of_ours_says_so_in_one_line(miniae, monkeypatch):
    import miniae.cli.backends as command

    def broken(args):
        raise KeyError("oops")

    monkeypatch.setattr(command, "run", broken)
    code, _, err = miniae("backends")
    assert code == 1 and "mistake in miniae" in err and err.count("\n") == 1


def test_codes_are_arrays_also_where_frames_are_asked_for(trained, table, miniae, tmp_path):
    sklearn = pytest.importorskip("sklearn", reason="its settings ask for frames")
    pytest.importorskip("pandas", reason="makes the frames")
    codes = []
    for output in ("default", "pandas"):
        with sklearn.config_context(transform_output=output):
            for command, *options in (("encode", "-o", tmp_path / "codes.npy"),
                                      ("map", "-o", tmp_path / "map.png", "--coordinates", tmp_path / "map.npy")):
                code, _, err = miniae(command, trained / "model.safetensors", table, "--label", "kind", *options)
                assert code == 0, err
        codes.append([np.load(tmp_path / name) for name in ("codes.npy", "map.npy")])
    np.testing.assert_array_equal(codes[0][0], codes[1][0])
    np.testing.assert_array_equal(codes[0][1], codes[1][1])


def test_the_help_of_train_names_every_kind_of_file_that_is_read(miniae, tmp_path):
    """The endings that the reader itself lists, and for tables the defaults that are others."""
    from miniae.data import DataError

    (tmp_path / "x.unknown").write_text("")
    with pytest.raises(DataError, match="unknown ending") as raised:
        read(tmp_path / "x.unknown")
    kinds = re.findall(r"\.\w+|-ubyte", str(raised.value).partition("expected ")[2])
    assert {".npy", ".npz", ".csv", ".tsv", ".gz", ".idx", "-ubyte"} == set(kinds)
    code, out, _ = miniae("train", "--help")
    text = " ".join(out.split())
    assert code == 0 and all(kind in text for kind in kinds) and "an image, or of a folder of images" in text
    assert "for tables as many as make 2,000 updates" in text and "for tables none" in text
    assert "--drop COLUMN" in text
