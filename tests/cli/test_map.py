"""miniae map."""

from __future__ import annotations

import csv
import re
import sys

import numpy as np
import pytest
from PIL import Image

from miniae.data import read
from miniae.models import PCA, Autoencoder, load
from miniae.report import continuity, leave_one_out_accuracy, trustworthiness


@pytest.fixture
def images(tmp_path):
    """Two folders of 12 grey images each, 6x5 pixels."""
    rng = np.random.default_rng(0)
    for i in range(24):
        folder = tmp_path / "images" / ("dark", "light")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 100, (6, 5)).astype(np.uint8) + 150 * (i % 2)).save(folder / f"{i:02d}.png")
    return tmp_path / "images"


@pytest.fixture
def model(images, tmp_path):
    path = tmp_path / "m.safetensors"
    Autoencoder([8], 4, epochs=2, backend="numpy").fit(read(images).X).save(path)
    return path


def figures(line):
    return [float(number) for number in re.findall(r"(?:ness|nuity|accuracy) ([\d.]+)", line)]


def test_what_is_said_and_written(miniae, model, images, tmp_path):
    table = tmp_path / "places.csv"
    code, out, err = miniae("map", model, images, "-o", tmp_path / "m.png", "--coordinates", table)
    assert code == 0, err
    ours, components, drawn, written = out.splitlines()
    data = read(images)
    scaled = load(model).scaler_.transform(data.X)
    codes = load(model).transform(data.X)
    places = PCA(2).fit(codes).transform(codes)
    assert ours.startswith("map of 24 samples by pca: ") and components.startswith("PCA of the data, 2 components: ")
    for line, points in ((ours, places), (components, PCA(2).fit(scaled).transform(scaled))):
        assert figures(line) == pytest.approx([trustworthiness(scaled, points), continuity(scaled, points),
                                               100 * leave_one_out_accuracy(points, data.labels)], abs=0.05)
    assert drawn.endswith("m.png") and "24 samples" in written
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["sample"]) for row in rows] == list(range(24))
    assert [row["label"] for row in rows] == data.labels.tolist()
    np.testing.assert_allclose([[float(row["map_1"]), float(row["map_2"])] for row in rows], places, rtol=1e-6)


def test_thumbnails_space_and_fewer_samples(miniae, model, images, tmp_path):
    def drawn(*options):
        code, out, err = miniae("map", model, images, "-o", tmp_path / "m.png", *options)
        assert code == 0, err
        with Image.open(tmp_path / "m.png") as picture:
            return picture.size, out

    flat, _ = drawn("--samples", 15)
    with_images, out = drawn("--thumbnails", "--samples", 15)
    assert "map of 15 samples" in out and with_images != flat
    assert drawn("--dimensions", 3)[0] != flat
    first = drawn("--samples", 15, "--seed", 1)[1], (tmp_path / "m.png").read_bytes()
    assert (drawn("--samples", 15, "--seed", 1)[1], (tmp_path / "m.png").read_bytes()) == first
    assert drawn("--samples", 15)[1] != first[0]


def test_a_column_of_numbers_colours_a_table(miniae, trained, table, tmp_path):
    path = tmp_path / "numbers.csv"
    rng = np.random.default_rng(1)
    path.write_text("a,b,c,d,e,weight\n" + "".join(",".join(f"{v:.4f}" for v in row) + "\n"
                                                    for row in rng.random((40, 6))))
    code, out, err = miniae("map", trained / "model.safetensors", path, "--label", "weight", "-o", tmp_path / "m.png")
    assert code == 0, err
    assert out.startswith("map of 40 samples by codes: trustworthiness") and "accuracy" not in out
    code, out, err = miniae("map", trained / "model.safetensors", table, "--label", "kind", "-o", tmp_path / "m.png")
    assert code == 0 and "5-NN accuracy" in out, err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("by, peer", [("tsne", "sklearn"), ("umap", "umap")])
def test_other_ways(by, peer, miniae, model, images, tmp_path):
    pytest.importorskip(peer, reason=f"{by} maps are made by {peer}")
    code, out, err = miniae("map", model, images, "-o", tmp_path / "m.png", "--by", by)
    assert code == 0 and f"map of 24 samples by {by}: " in out, err


def expect(result, message):
    code, _, err = result
    assert code == 2 and err.startswith("miniae: ") and err.count("\n") == 1 and message in err, (code, err)


def test_bad_input(miniae, model, images, trained, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("wide.npy", np.zeros((40, 9)))
    np.save("few.npy", np.zeros((10, 30)))
    expect(miniae("map", "none", images), "does not exist")
    expect(miniae("map", model, "none"), "does not exist")
    expect(miniae("map", model, "wide.npy"), "has 9 features a sample")
    expect(miniae("map", model, "few.npy"), "at least 11 samples, got 10")
    expect(miniae("map", model, images, "--samples", 0), "samples must be an integer of at least 1")
    expect(miniae("map", model, images, "--samples", 5), "at least 11 samples, got 5")
    expect(miniae("map", model, images, "--seed", -1), "seed must be")
    expect(miniae("map", model, images, "-o", "m.jpg"), "ends in .png")
    expect(miniae("map", model, images, "-o", "no/m.png"), "there is no folder")
    expect(miniae("map", model, images, "--coordinates", "m.txt"), "ends in .npy, .npz or .csv")
    expect(miniae("map", model, images, "--coordinates", "no/m.csv"), "there is no folder")
    expect(miniae("map", model, images, "--by", "isomap"), "invalid choice")
    expect(miniae("map", model, images, "--by", "codes"), "codes have 4 numbers")
    expect(miniae("map", model, images, "--dimensions", 4), "invalid choice")
    expect(miniae("map", model, images, "--dimensions", 3, "--thumbnails"), "draws images in the plane")
    before = (images / "dark/00.png").read_bytes()
    expect(miniae("map", model, images, "-o", images / "dark/00.png"), "would be lost")
    assert (images / "dark/00.png").read_bytes() == before
    np.save("rows.npy", np.zeros((40, 30)))
    expect(miniae("map", model, "rows.npy", "--coordinates", "./rows.npy"), "would be lost")
    label = ("--label", "kind")
    expect(miniae("map", trained / "model.safetensors", table, *label, "--thumbnails"), "does not hold images")
    expect(miniae("map", trained / "model.safetensors", table, *label, "--dimensions", 3), "codes have 2 numbers")
    for by, module in (("tsne", "sklearn.manifold"), ("umap", "umap")):
        monkeypatch.setitem(sys.modules, module, None)
        expect(miniae("map", model, images, "--by", by), f"pip install 'miniae[{by}]'")
    assert not list(tmp_path.glob("*.png"))
