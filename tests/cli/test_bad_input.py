"""What the user can mend ends with exit code 2 and one line that names it; nothing is half-written."""

from __future__ import annotations

import gzip
import json
import os
import re
import struct

import numpy as np
import pytest

from miniae import backend as backends
from miniae.backend import BackendUnavailable, get


def idx(magic=0x803, shape=(3, 4, 4), extra=0) -> bytes:
    return struct.pack(">I", magic) + struct.pack(f">{len(shape)}I", *shape) + bytes(int(np.prod(shape)) + extra)


def text(content: str):
    return lambda path: path.write_text(content)


def raw(content: bytes):
    return lambda path: path.write_bytes(content)


def images(*sizes):
    def make(path):
        from PIL import Image

        path.mkdir()
        for i, size in enumerate(sizes):
            Image.fromarray(np.zeros(size, np.uint8)).save(path / f"{i}.png")
    return make


def damaged_image(path):
    path.mkdir()
    (path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")


def array(value, **names):
    return lambda path: np.save(path, value) if not names else np.savez(path, **names)


def pickled(path):
    with path.open("wb") as file:
        np.save(file, np.array([[{}]], dtype=object), allow_pickle=True)


# name of the file, how it is made (None: not at all), what the message must say
BAD_DATA = {
    "missing npy": ("none.npy", None, "does not exist"),
    "missing folder": ("none", None, "does not exist"),
    "unknown ending": ("data.xls", text("x"), "unknown ending"),
    "npy truncated": ("t.npy", raw(b"\x93NUMPY\x01\x00v\x00{'descr'"), "can't be read"),
    "npy of garbage": ("g.npy", raw(b"hello world, no array"), "can't be read"),
    "npy empty file": ("e.npy", raw(b""), "can't be read"),
    "npy of objects": ("o.npy", pickled, "could run code"),
    "npy of text": ("s.npy", array(np.array([["a"]])), "expected numbers"),
    "npy of one axis": ("v.npy", array(np.zeros(5)), "expected \\(samples, features\\)"),
    "npy without samples": ("z.npy", array(np.zeros((0, 4))), "nothing to work on"),
    "npy with NaN": ("n.npy", array(np.array([[1.0, np.nan], [0, 0]])), "nan in sample 0, feature 1"),
    "npy with infinity": ("i.npy", array(np.array([[1.0, 2.0], [np.inf, 0]])), "inf in sample 1"),
    "npy of one sample": ("1.npy", array(np.ones((1, 4))), "can't hold out"),
    "npz damaged": ("d.npz", raw(b"PK\x03\x04 broken"), "can't be read"),
    "npz ambiguous": ("a.npz", array(None, first=np.zeros((3, 2)), second=np.zeros((3, 2))), "say which"),
    "npz labels too few": ("l.npz", array(None, X=np.zeros((4, 2)), y=np.zeros(3)), "labels of shape"),
    "csv empty": ("e.csv", text(""), "is empty"),
    "csv header only": ("h.csv", text("a,b\n"), "no rows"),
    "csv text in numbers": ("t.csv", text("a,b\n1,2\n3,four\n"), "row 3, column 'b' holds 'four'"),
    "csv ragged": ("r.csv", text("1,2\n3\n"), "row 2 has 1 cells, expected 2"),
    "csv with NaN": ("n.csv", text("1,2\nnan,3\n"), "row 2, column '1' holds nan"),
    "csv binary": ("b.csv", raw(b"\xff\xfe\x00\x01"), "not a text table"),
    "idx wrong magic": ("m.idx", raw(b"\x12\x34\x08\x03" + bytes(60)), "not an IDX file"),
    "idx truncated": ("t.idx", raw(idx()[:-5]), "truncated or damaged"),
    "idx too long": ("l.idx", raw(idx(extra=3)), "truncated or damaged"),
    "idx header cut": ("h.idx", raw(idx()[:9]), "within its header"),
    "idx gzip cut": ("g.gz", raw(gzip.compress(idx())[:-9]), "can't be unpacked"),
    "gzip of garbage": ("x.gz", raw(b"\x1f\x8b garbage"), "can't be unpacked"),
    "folder without images": ("empty", lambda p: p.mkdir(), "holds no images"),
    "folder of two sizes": ("sizes", images((4, 4), (5, 4)), "one size"),
    "folder with a damaged image": ("damaged", damaged_image, "can't be read as an image"),
}


def expect(result, message):
    """Exit code 2, and one line of complaint; progress may stand before it."""
    code, _, err = result
    *before, complaint = err.splitlines()
    assert code == 2, err
    assert complaint.startswith("miniae: ") and re.search(message, complaint), err
    assert all(re.match(r"(layer \d|fine-tuning|training)", line) for line in before), err


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(case, miniae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, make, message = BAD_DATA[case]
    if make is not None:
        make(tmp_path / name)
    before = sorted(os.listdir(tmp_path))
    expect(miniae("train", "--data", tmp_path / name), message)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("options, message", [
    (("--activation", "rellu"), "unknown --activation 'rellu': expected one of"),
    (("--pretrain", "magic"), "unknown --pretrain 'magic': expected one of auto, rbm"),
    (("--optimizer", "adamm"), "unknown --optimizer"),
    (("--loss", "l3"), "unknown --loss"),
    (("--scaling", "robust"), "unknown --scaling"),
    (("--backend", "tpu"), "unknown --backend"),
    (("--dtype", "float16"), "unknown --dtype"),
    (("--precision", "half"), "unknown --precision"),
    (("--layers", "a-b"), "not a list of sizes"),
    (("--layers", "0"), "every size in --layers must be an integer of at least 1"),
    (("--epochs", "0"), "--epochs must be an integer of at least 1"),
    (("--epochs", "many"), "invalid int value"),
    (("--pretrain-epochs", "-1"), "--pretrain-epochs must"),
    (("--batch-size", "0"), "--batch-size must"),
    (("--lr", "-1"), "--lr must be a positive number"),
    (("--lr", "nan"), "--lr must be a positive number"),
    (("--seed", "-3"), "--seed must"),
    (("--validation", "1.5"), "--validation is the share"),
    (("--activation", "relu", "--pretrain", "rbm"), "sigmoid units"),
    (("--data", "cifar"), "does not exist: give a data set's name"),
    (("--label", "nope"), "no column 'nope'"),
    (("--scaling", "standard", "--loss", "bce"), "bce needs data in \\[0, 1\\]"),
    (("--config", "none.json"), "does not exist"),
    (("--seed", str(2**63)), "--seed must be below"),
    (("--data", "digits", "--label", "kind"), "digits has its own labels: leave --label out"),
    (("--frobnicate",), r"unrecognized arguments: --frobnicate \(see miniae train --help\)"),
    (("--optimizer", "sgd", "--lr", "1e30", "--pretrain", "none", "--scaling", "standard", "--epochs",
      "9"), "lower the learning rate"),
])
def test_bad_options(options, message, miniae, table, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    arguments = {"--data": table, "--label": "kind"}
    given = [x for pair in arguments.items() for x in pair]
    expect(miniae("train", *given, *quick, *options), message)
    after = sorted(os.listdir(tmp_path))
    assert [n for n in after if n != "runs"] == before
    assert not (tmp_path / "runs").exists() or not os.listdir(tmp_path / "runs")


@pytest.mark.parametrize("content, message", [
    ("{", "can't be read as JSON"), ("[1]", "expected a JSON object"), ('{"depth": 3}', "unknown setting 'depth'"),
    ('{"layers": "512"}', "layers are the sizes"), ('{"layers": ["a"]}', "every size in layers must be an integer"),
    ('{"layers": [true]}', "every size in layers"), ('{"epochs": 2.5}', "epochs"), ('{"lr": "fast"}', "lr must be"),
    ('{"lr": true}', "lr must be"), ('{"data": 5}', "data and label are names"), ('{"label": []}', "are names"),
    ('{"tied": "no"}', "tied is true or false"), ('{"validation": false}', "validation is the share"),
    ('{"seed": 9223372036854775807}', "seed must be below"), ('{"lr": 1' + 400 * "0" + "}", "lr must be"),
    (100000 * "[", "can't be read as JSON"), ('{"activation": ["relu"]}', "unknown activation"),
])
def test_bad_config(content, message, miniae, tmp_path):
    (tmp_path / "config.json").write_text(content)
    expect(miniae("train", "--config", tmp_path / "config.json"), message)


@pytest.mark.parametrize("name", ["x.npy", "folder"])
def test_a_label_column_of_what_is_no_table(name, miniae, tmp_path):
    images((3, 4), (3, 4))(tmp_path / "folder")
    np.save(tmp_path / "x.npy", np.zeros((20, 4)))
    expect(miniae("train", "--data", tmp_path / name, "--label", "kind"), "only tables .* leave --label out")


def test_pictures_are_not_overwritten_nor_misnamed(miniae, trained, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("reconstruct", trained / "model.safetensors", table, "--label", "kind")
    expect(miniae(*arguments, "--picture", "x.txt"), "expected a name that ends in .png")
    (tmp_path / "reconstructions.png").write_text("mine")
    expect(miniae(*arguments), "reconstructions.png exists: say where")
    assert (tmp_path / "reconstructions.png").read_text() == "mine"


def test_data_of_which_the_squares_overflow(miniae, tmp_path):
    np.save(tmp_path / "x.npy", np.full((20, 4), 1e200))
    expect(miniae("train", "--data", tmp_path / "x.npy"), "too large for sums: divide them by a constant")


def test_no_command_and_an_unknown_one(miniae):
    expect(miniae(), "required: COMMAND")
    expect(miniae("trian"), "invalid choice")


def test_cupy_without_a_gpu(miniae, table, quick):
    try:
        get("cupy")
    except BackendUnavailable:
        expect(miniae("train", "--data", table, "--label", "kind", *quick, "--backend", "cupy"), "backend cupy")
    else:
        pytest.skip("there is a GPU here")


def test_bad_models(miniae, table, trained, tmp_path):
    model = trained / "model.safetensors"
    label = ("--label", "kind")
    expect(miniae("encode", tmp_path / "none.safetensors", table, *label), "does not exist")
    expect(miniae("encode", trained, table, *label), "is a folder")
    expect(miniae("info", table), "not a safetensors file")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(model.read_bytes()[:-10])
    expect(miniae("evaluate", cut, table, *label), "damaged")
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors")
    expect(miniae("reconstruct", tmp_path / "foreign.safetensors", table, *label), "other program")
    expect(miniae("gradcheck", cut), "damaged")
    expect(miniae("gradcheck", model, "--layers", "3-2"), "not both")
    expect(miniae("gradcheck", "--layers", "3"), "from the input to the code")


def test_a_model_and_data_that_do_not_fit(miniae, trained, table, tmp_path):
    model = trained / "model.safetensors"
    (tmp_path / "other.csv").write_text(table.read_text().replace("kind", "sort"))
    expect(miniae("encode", model, tmp_path / "other.csv"), "column 'sort' holds 'even'")
    np.save(tmp_path / "wide.npy", np.zeros((4, 9)))
    expect(miniae("encode", model, tmp_path / "wide.npy"), "has 9 features a sample, .* was made for 5")
    np.save(tmp_path / "large.npy", np.full((4, 5), 7.0))
    expect(miniae("evaluate", model, tmp_path / "large.npy"), "values in \\[0, 1\\]")


def test_places_that_can_not_be_written(miniae, trained, table, quick, tmp_path):
    model, label = trained / "model.safetensors", ("--label", "kind")
    expect(miniae("encode", model, table, *label, "-o", tmp_path / "no" / "such" / "codes.npy"), "can't write")
    expect(miniae("encode", model, table, *label, "-o", tmp_path / "codes.xyz"), "ends in .npy, .npz or .csv")
    expect(miniae("reconstruct", model, table, *label, "--picture", tmp_path / "no" / "p.png"), "p.png")
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    expect(miniae("train", "--data", table, *label, *quick, "--out", blocked), "exists already")
    expect(miniae("train", "--data", table, *label, *quick, "--out", blocked / "below"), "can't write into")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission(miniae, table, quick, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    expect(miniae("train", "--data", table, "--label", "kind", *quick, "--out", closed / "run"), "can't write into")


def test_a_full_disk_leaves_no_model(miniae, table, quick, tmp_path, monkeypatch):
    import pathlib

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    out = tmp_path / "run"
    expect(miniae("train", "--data", table, "--label", "kind", *quick, "--out", out), "No space left")
    assert not out.exists() or not list(out.iterdir())


def test_the_config_of_a_run_is_plain_json(trained):
    settings = json.loads((trained / "config.json").read_text())
    assert settings["layers"] == [4, 2] and settings["seed"] == 0


def test_more_memory_than_there_is(miniae, table):
    out = ("train", "--data", table, "--label", "kind", "--pretrain", "none", "--backend", "numpy")
    expect(miniae(*out, "--layers", f"{10**14}-2"),
           r"out of memory on the CPU: .*allocate.*; [\d.]+ .iB of [\d.]+ .iB are free. Lower --batch-size")


def test_more_memory_than_a_gpu_has(miniae, table, quick, cuda_on_cpu, monkeypatch):
    monkeypatch.setitem(backends._instances, "cupy", cuda_on_cpu)
    monkeypatch.setattr(cuda_on_cpu.xp.pool, "most", 200)
    expect(miniae("train", "--data", table, "--label", "kind", *quick, "--backend", "cupy"),
           r"out of memory on cupy:0, pretended GPU: .* wanted; .* are free. Lower --batch-size")
