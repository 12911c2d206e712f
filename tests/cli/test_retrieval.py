"""miniae index and miniae search."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from miniae.data import read
from miniae.models import Autoencoder, load
from miniae.tasks import SemanticIndex


@pytest.fixture
def images(tmp_path):
    """A folder of 30 grey images of 6x5 pixels."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(30):
        Image.fromarray(rng.integers(0, 256, (6, 5)).astype(np.uint8)).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture
def model(miniae, images, tmp_path):
    code, _, err = miniae("train", "--data", images, "--model", "semantic-hashing", "--layers", "8-16", "--epochs", 2,
                          "--out", tmp_path / "run", "--backend", "numpy")
    assert code == 0, err
    return tmp_path / "run" / "model.safetensors"


@pytest.fixture
def index(miniae, model, images, tmp_path):
    code, out, err = miniae("index", model, images, "-o", tmp_path / "i.safetensors", "--metric", "hamming")
    assert code == 0, err
    assert out == f"written to {tmp_path / 'i.safetensors'}: 30 codes of 2 bytes, compared by hamming\n"
    return tmp_path / "i.safetensors"


def test_index_and_search(miniae, model, index, images, tmp_path):
    table, picture = tmp_path / "n.csv", tmp_path / "n.png"
    code, out, err = miniae("search", index, images, "-k", 3, "-o", table, "--picture", picture)
    assert code == 0, err
    assert f"written to {table}: 3 neighbours of each of 30 queries" in out
    expected = SemanticIndex(load(model), "hamming")
    X = read(images).X
    expected.add(X)
    ids, distances = expected.search(X, 3)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["id"]) for r in rows] == ids.ravel().tolist()
    assert [float(r["distance"]) for r in rows] == distances.ravel().tolist()
    assert [(int(r["query"]), int(r["rank"])) for r in rows] == [(i, j) for i in range(30) for j in (1, 2, 3)]
    assert rows[3]["query_name"] == "01.png" and rows[0]["name"] == f"{ids[0, 0]:02d}.png"
    with Image.open(picture) as drawn:
        assert min(drawn.size) > 200


def test_without_a_place_to_write_neighbours_are_printed(miniae, index, images):
    code, out, err = miniae("search", index, images, "-k", 2)
    assert code == 0, err
    assert out.splitlines()[0].startswith("00.png: 00.png (0), ") and "... and 20 more" in out


def test_a_data_set_by_name_is_indexed_by_its_training_part(miniae, tmp_path):
    from miniae.data import load as dataset

    digits = dataset("digits")
    Autoencoder([8], 4, epochs=1).fit(digits.train[:500]).save(tmp_path / "m.safetensors")
    for part, n in (("train", len(digits.train)), ("test", len(digits.test))):
        code, out, err = miniae("index", tmp_path / "m.safetensors", "digits", "-o", tmp_path / "i.safetensors",
                                "--part", part)
        assert code == 0 and f"{n:,} codes of 16 bytes, compared by cosine" in out, err
    code, out, err = miniae("search", tmp_path / "i.safetensors", "digits", "-k", "1", "--picture", tmp_path / "n.png")
    assert code == 0 and (tmp_path / "n.png").exists(), err
    code, out, _ = miniae("search", tmp_path / "i.safetensors", "digits", "-k", "1")
    assert out.splitlines()[4] == "4: 4 (0)"


def test_tables_and_models_that_need_labels(miniae, table, tmp_path):
    code, _, err = miniae("train", "--data", table, "--label", "kind", "--model", "conditional", "--layers", "4-2",
                          "--epochs", 1, "--out", tmp_path / "run")
    assert code == 0, err
    told = ("--label", "kind")
    index = tmp_path / "i.safetensors"
    code, _, err = miniae("index", tmp_path / "run" / "model.safetensors", table, *told, "-o", index)
    assert code == 0, err
    code, out, err = miniae("search", index, table, *told, "-k", 1)
    assert code == 0 and out.startswith("0: 0 (0)"), err


def expect(result, message):
    code, _, err = result
    assert code == 2 and err.startswith("miniae: ") and err.count("\n") == 1 and message in err, (code, err)


def test_bad_input(miniae, model, index, images, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((4, 9)))
    np.save(tmp_path / "few.npy", np.zeros((2, 30)))
    expect(miniae("index", tmp_path / "none", images), "does not exist")
    expect(miniae("index", model, tmp_path / "none"), "does not exist")
    expect(miniae("index", model, tmp_path / "wide.npy"), "has 9 features a sample")
    expect(miniae("index", model, images, "--metric", "l1"), "unknown --metric 'l1'")
    expect(miniae("index", model, images, "-o", tmp_path / "no" / "i.safetensors"), "there is no folder")
    expect(miniae("search", model, images), "holds a model, expected a file of the kind 'index'")
    expect(miniae("search", tmp_path / "none", images), "does not exist")
    expect(miniae("search", index, images, "-k", 31), "the index holds 30 samples")
    expect(miniae("search", index, images, "-k", 0), "k must be an integer of at least 1")
    expect(miniae("search", index, tmp_path / "wide.npy"), "has 9 features a sample")
    expect(miniae("search", index, images, "-o", "x.txt"), "ends in .csv")
    expect(miniae("index", model, images, "-o", model), "would be lost")
    table = tmp_path / "q.csv"
    table.write_text(",".join("0.5" for _ in range(30)) + "\n")
    expect(miniae("search", index, table, "-o", table), "would be lost")
    assert table.read_text().startswith("0.5,")
    expect(miniae("search", index, images, "-o", tmp_path / "no" / "x.csv"), "can't write")
    expect(miniae("search", index, images, "--picture", "x.jpg"), "ends in .png")
    expect(miniae("search", index, images, "--data", images), "give both, or leave --data out")
    picture = ("--picture", tmp_path / "n.png")
    expect(miniae("search", index, images, *picture, "--data", tmp_path / "gone"), "does not exist")
    expect(miniae("search", index, images, *picture, "--data", tmp_path / "few.npy"), "has 2 samples")
    moved = images.rename(tmp_path / "moved")
    expect(miniae("search", index, moved, *picture), "say with --data where they are now")
    assert miniae("search", index, moved, *picture, "--data", moved)[0] == 0
    damaged = bytearray(index.read_bytes())
    damaged[-1] ^= 1
    index.write_bytes(damaged)
    expect(miniae("search", index, moved), "checksum is not that of its contents")
    codes = SemanticIndex()
    codes.add(np.eye(3))
    codes.save(index)
    expect(miniae("search", index, moved), "an index of codes without a model")
