"""miniae classify."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from miniae.data import read
from miniae.models import Autoencoder, AutoRec, ConvolutionalAutoencoder, load, save


@pytest.fixture
def halves(tmp_path):
    """A table of 80 samples whose label is said by their first column, and one of 30 others in another order."""
    rng = np.random.default_rng(0)
    for name, n in (("train", 80), ("new", 30)):
        x = rng.random((n, 4))
        x[:, 0] = np.where(np.arange(n) % 2, 0.8, 0.1) + 0.1 * x[:, 0]
        order = [0, 1, 2, 3] if name == "train" else [3, 1, 0, 2]
        lines = [",".join("abcd"[i] for i in order) + ",kind"]
        lines += [",".join(f"{row[i]:.4f}" for i in order) + f",{'high' if k % 2 else 'low'}"
                  for k, row in enumerate(x)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "train.csv", tmp_path / "new.csv"


@pytest.fixture
def model(halves, tmp_path):
    train = read(halves[0], "kind")
    save(tmp_path / "m.safetensors", Autoencoder([8], 3, scaling="minmax", epochs=20).fit(train.X),
         extra={"feature_names": train.feature_names})
    return tmp_path / "m.safetensors"


@pytest.fixture
def classifier(miniae, model, halves, tmp_path):
    code, _, err = miniae("classify", model, halves[0], "--label", "kind", "-o", tmp_path / "c.safetensors",
                          "--epochs", 60, "--lr", "0.01")
    assert code == 0, err
    return tmp_path / "c.safetensors"


def test_learn_and_use(miniae, model, halves, tmp_path):
    path, table, picture = (tmp_path / name for name in ("c.safetensors", "p.csv", "p.png"))
    code, out, err = miniae("classify", model, halves[0], "--label", "kind", "-o", path, "--epochs", 60, "--lr", "0.01",
                            "--samples", 40)
    assert code == 0, err
    assert f"written to {path}: learnt 2 classes from 40 samples" in out
    assert "on 40 samples that were left over" in out
    code, out, err = miniae("info", path)
    assert code == 0 and "classes high, low, scaling minmax" in out, err
    code, out, err = miniae("classify", path, halves[1], "--label", "kind", "-o", table, "--picture", picture)
    assert code == 0, err
    assert "accuracy 100.00 %, macro F1 100.00 % on 30 samples" in out and f"drawn to {picture}" in out
    assert "low        100.0   100.0  100.0       15" in out
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    trained = load(path)
    columns = np.array([line.split(",")[:4] for line in halves[1].read_text().splitlines()[1:]], float)
    P = trained.predict_proba(columns[:, [2, 1, 3, 0]])  # a, b, c, d
    assert [r["class"] for r in rows] == trained.classes_[P.argmax(1)].tolist()
    np.testing.assert_allclose([[float(r["p(high)"]), float(r["p(low)"])] for r in rows], P, rtol=1e-5, atol=1e-7)
    with Image.open(picture) as drawn:
        assert min(drawn.size) > 200


def test_frozen_layers_stay_and_seeds_repeat(miniae, model, halves, tmp_path):
    for name in ("one", "two"):
        code, out, err = miniae("classify", model, halves[0], "--label", "kind", "--frozen", "--epochs", 3, "-o",
                                tmp_path / f"{name}.safetensors", "--seed", 5)
        assert code == 0 and "samples it has learnt from, which are no test" in out, err
    one, two = (load(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    encoder = load(model).encoder_.state_dict()
    assert all((value == encoder[name]).all() for name, value in one.encoder_.state_dict().items())
    X = np.random.default_rng(1).random((9, 4))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_without_labels_predictions_are_printed(miniae, classifier, tmp_path):
    X = np.full((12, 4), 0.5)
    X[:, 0] = np.where(np.arange(12) < 4, 0.85, 0.15)
    np.save(tmp_path / "x.npy", X)
    code, out, err = miniae("classify", classifier, tmp_path / "x.npy")
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split()[1] for line in lines[:10]] == ["high"] * 4 + ["low"] * 6
    assert lines[10] == "... and 2 more: write all of them with --out" and len(lines) == 11


def test_folders_of_images_and_convolutional_models(miniae, tmp_path):
    rng = np.random.default_rng(0)
    for part in ("train", "new"):
        for i in range(24):
            folder = tmp_path / part / ("left", "right")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 60, (8, 8)).astype(np.uint8)
            pixels[:, :4] += np.uint8(150 * (i % 2 == 0))
            Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    images = read(tmp_path / "train").X.reshape(-1, 1, 8, 8)
    ConvolutionalAutoencoder((4, 4), epochs=2).fit(images).save(tmp_path / "m.safetensors")
    code, _, err = miniae("classify", tmp_path / "m.safetensors", tmp_path / "train", "--epochs", 30, "-o",
                          tmp_path / "c.safetensors", "--lr", "0.01")
    assert code == 0, err
    code, out, err = miniae("classify", tmp_path / "c.safetensors", tmp_path / "new", "-o", tmp_path / "p.tsv")
    assert code == 0 and "accuracy 100.00 %" in out, err
    assert (tmp_path / "p.tsv").read_text().splitlines()[1].startswith("left/00.png\tleft\t0.9")


def test_labels_that_the_classifier_does_not_know(miniae, classifier, halves, tmp_path):
    text = halves[1].read_text().splitlines()
    (tmp_path / "odd.csv").write_text("\n".join([*text, "0.5,0.5,0.9,0.5,unheard"]) + "\n")
    code, out, err = miniae("classify", classifier, tmp_path / "odd.csv", "--label", "kind")
    assert code == 0, err
    assert "unheard        0.0     0.0    0.0        1" in out and "on 31 samples" in out


def test_samples_without_a_label_are_not_judged(miniae, classifier, halves, tmp_path):
    (tmp_path / "some.csv").write_text(halves[1].read_text() + "0.5,0.5,0.9,0.5,\n")
    code, out, err = miniae("classify", classifier, tmp_path / "some.csv", "--label", "kind", "-o", tmp_path / "p.csv")
    assert code == 0 and "the classes of 31 samples" in out and "on 30 samples" in out, err


def test_labels_are_told_by_their_numbers(miniae, tmp_path):
    X = np.random.default_rng(0).random((40, 3))
    y = np.arange(40) % 2
    X[:, 0] = y
    Autoencoder([8], 3, epochs=2).fit(X).save(tmp_path / "m.safetensors")
    np.savez(tmp_path / "x.npz", X=X, y=y)
    code, _, err = miniae("classify", tmp_path / "m.safetensors", tmp_path / "x.npz", "-o", tmp_path / "c.safetensors",
                          "--lr", "0.01", "--epochs", 30)
    assert code == 0, err
    for ending in ("", ".0"):
        (tmp_path / "x.csv").write_text("a,b,c,kind\n" + "".join(f"{','.join(map(str, row))},{label}{ending}\n"
                                                                  for row, label in zip(X, y, strict=True)))
        code, out, err = miniae("classify", tmp_path / "c.safetensors", tmp_path / "x.csv", "--label", "kind")
        assert code == 0 and "accuracy 100.00 %" in out, (out, err)


def test_bytes_for_a_model_of_shares(miniae, tmp_path):
    X = np.random.default_rng(0).random((40, 3))
    Autoencoder([8], 3, loss="bce", epochs=1).fit(X).save(tmp_path / "m.safetensors")
    for name, scale in (("x", 1), ("bytes", 255)):
        np.savez(tmp_path / f"{name}.npz", X=scale * X, y=np.arange(40) % 2)
    options = ("--epochs", 1, "-o", tmp_path / "c.safetensors")
    assert miniae("classify", tmp_path / "m.safetensors", tmp_path / "x.npz", *options)[0] == 0
    for file in ("m", "c"):
        result = miniae("classify", tmp_path / f"{file}.safetensors", tmp_path / "bytes.npz")
        expect((result[0], None, result[2]), "values in [0, 1]")


def expect(result, message):
    code, _, err = result
    assert code == 2 and err.startswith("miniae: ") and err.count("\n") == 1 and message in err, (code, err)


def test_bad_input(miniae, model, classifier, halves, tmp_path):
    train, new = halves
    told = ("--label", "kind")
    np.save(tmp_path / "wide.npy", np.zeros((4, 9)))
    np.save(tmp_path / "x.npy", np.zeros((4, 4)))
    np.savez(tmp_path / "bytes.npz", X=np.zeros((4, 4)), y=np.array([b"a", b"b", b"a", b"b"]))
    np.savez(tmp_path / "one.npz", X=np.zeros((4, 4)), y=np.zeros(4, int))
    expect(miniae("classify", tmp_path / "none", train), "does not exist")
    expect(miniae("classify", model, tmp_path / "none"), "does not exist")
    expect(miniae("classify", model, train), "column 'kind' holds 'low', expected a number")
    expect(miniae("classify", model, train, "--label", "sort"), "no column 'sort'")
    expect(miniae("classify", model, tmp_path / "x.npy"), "has no labels to learn from")
    expect(miniae("classify", model, tmp_path / "wide.npy"), "has 9 features a sample")
    expect(miniae("classify", model, tmp_path / "bytes.npz"), "expected labels: integers or strings")
    expect(miniae("classify", model, tmp_path / "one.npz"), "expected two different ones or more")
    expect(miniae("classify", model, train, *told, "-o", "p.csv"), "ends in .safetensors")
    expect(miniae("classify", model, train, *told, "-o", tmp_path / "no" / "c.safetensors"), "there is no folder")
    expect(miniae("classify", model, train, *told, "--samples", 1), "can't draw 1 of 80 samples with 2 labels")
    expect(miniae("classify", model, train, *told, "--samples", 81), "can't draw 81 of 80 samples")
    expect(miniae("classify", model, train, *told, "--epochs", 0), "--epochs must be an integer of at least 1")
    expect(miniae("classify", model, train, *told, "--lr", -1), "lr must be a finite number")
    expect(miniae("classify", model, train, *told, "--picture", "x.jpg"), "ends in .png")
    expect(miniae("classify", classifier, new, *told, "-o", "c.safetensors"), "ends in .csv or .tsv")
    expect(miniae("classify", classifier, new, *told, "-o", tmp_path / "no" / "p.csv"), "there is no folder")
    expect(miniae("classify", classifier, new, *told, "--frozen", "--epochs", 3), "--frozen, --epochs is for learning")
    expect(miniae("classify", classifier, tmp_path / "x.npy", "--picture", tmp_path / "p.png"), "has no labels")
    expect(miniae("classify", classifier, tmp_path / "wide.npy"), "has 9 features a sample")
    for path, arguments in ((model, (model, train, *told)), (new, (classifier, new, *told))):
        before = path.read_bytes()
        expect(miniae("classify", *arguments, "-o", path), "would be lost")
        assert path.read_bytes() == before
    gap = tmp_path / "gap.csv"
    gap.write_text(train.read_text() + "1,2,3,4,\n")
    expect(miniae("classify", model, gap, *told), "has no label in sample 80 (1 of them")
    AutoRec([], 2, epochs=1).fit(([1, 1, 2, 2], [1, 2, 1, 2], [5.0, 1.0, 4.0, 2.0])).save(tmp_path / "r.safetensors")
    expect(miniae("classify", tmp_path / "r.safetensors", train, *told), "takes ratings")
    classifier.write_bytes(classifier.read_bytes()[:-5])
    code, _, err = miniae("classify", classifier, new, *told)
    assert code == 2 and err.count("\n") == 1, err
