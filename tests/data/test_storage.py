"""Files are written whole or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest

from miniae.data import StorageError, load_tensors, save_tensors, write_json, write_table, write_text, writing
from miniae.data.storage import reading


def test_writing_replaces_only_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with writing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("failure", [RuntimeError("half-way"), KeyboardInterrupt(), OSError(28, "No space left")])
def test_a_failure_leaves_the_old_file_and_nothing_else(failure, tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises((type(failure), StorageError)):
        with writing(path) as temporary:
            temporary.write_text("half")
            raise failure
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("ending, between", [(".csv", ","), (".tsv", "\t"), (".TSV", "\t")])
def test_tables(ending, between, tmp_path):
    path = tmp_path / f"a{ending}"
    write_table(path, ["name", "n"], (["a,b\tc", n] for n in range(2)))
    cell = '"a,b\tc"'
    assert path.read_bytes().decode() == "".join(f"{a}{between}{b}\n" for a, b in [("name", "n"), (cell, 0), (cell, 1)])


def test_a_table_that_breaks_off_is_not_written(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_table(tmp_path / "a.csv", ["n"], ([1 / n] for n in (1, 0)))
    assert not list(tmp_path.iterdir())


def test_json_is_sorted(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1, 2]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, 2], "b": 1}
    assert (tmp_path / "a.json").read_text().index('"a"') < (tmp_path / "a.json").read_text().index('"b"')


def test_tensors_come_back(tmp_path):
    tensors = {"x": np.arange(6.0).reshape(2, 3).T, "none": np.zeros((0, 4), np.float32), "n": np.array([1], np.int64),
               "number": np.array(2.5)}
    save_tensors(tmp_path / "t.safetensors", tensors, {"b": 1, "a": {"z": None}})
    back, header = load_tensors(tmp_path / "t.safetensors")
    assert header == {"b": 1, "a": {"z": None}} and back.keys() == tensors.keys()
    for name, a in tensors.items():
        assert back[name].dtype == a.dtype and back[name].shape == a.shape
        np.testing.assert_array_equal(back[name], a)
    save_tensors(tmp_path / "u.safetensors", dict(reversed(tensors.items())), {"b": 1, "a": {"z": None}})
    assert (tmp_path / "t.safetensors").read_bytes() == (tmp_path / "u.safetensors").read_bytes()


def test_a_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(StorageError, match="Choose a folder that exists"):
        write_text(tmp_path / "no" / "a.txt", "x")


@pytest.mark.parametrize("mistake", [KeyError("a"), TypeError("no number"), ValueError("too large"), IndexError("a")])
def test_what_can_not_be_made_of_a_file(mistake, tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": np.ones(3)}, {"kind": "thing", "format": 1})
    with pytest.raises(StorageError, match="a.safetensors is damaged: "), reading(path, "thing", 1, "a thing"):
        raise mistake
    with pytest.raises(StorageError, match="^another reason$"), reading(path, "thing", 1, "a thing"):
        raise StorageError("another reason")
    with pytest.raises(StorageError, match="holds a thing, expected a box"), reading(path, "box", 1, "a box"):
        raise AssertionError("the block is not for other files")
    with reading(path, "thing", 1, "a thing") as (tensors, header):
        assert header["format"] == 1
        np.testing.assert_array_equal(tensors["x"], np.ones(3))
