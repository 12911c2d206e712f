"""miniae detect."""

from __future__ import annotations

import re

import numpy as np
import pytest

from miniae.data import read
from miniae.tasks import AnomalyDetector


@pytest.fixture
def tables(tmp_path):
    """A table to fit, and one with the columns in another order and four odd rows at the end."""
    rng = np.random.default_rng(0)

    def rows(n):
        a = rng.normal(size=n)
        return np.stack([a, a + 0.1 * rng.normal(size=n), rng.normal(size=n)], axis=1)

    def write(path, X, names, labels):
        lines = [",".join([*names, "kind"])]
        lines += [",".join([*(f"{v:.5f}" for v in row), label]) for row, label in zip(X, labels, strict=True)]
        path.write_text("\n".join(lines) + "\n")

    write(tmp_path / "normal.csv", rows(200), "abc", ["good"] * 200)
    new = rows(60)
    new[-4:, 1] += 6.0
    write(tmp_path / "new.csv", new[:, [2, 0, 1]], "cab", ["good"] * 56 + ["bad"] * 4)
    return tmp_path


@pytest.fixture
def detector(miniae, tables):
    path = tables / "d.safetensors"
    code, out, err = miniae("detect", path, tables / "normal.csv", "--label", "kind", "--fit", "--contamination", "0",
                            "--backend", "numpy")
    assert code == 0, err
    assert "fitted to 200 rows of 3 features" in out and "2 of 200 rows are anomalies" in out
    return path


def test_scores_reasons_and_curves(miniae, detector, tables):
    scores, picture = tables / "scores.csv", tables / "curves.png"
    code, out, err = miniae("detect", detector, tables / "new.csv", "--label", "kind", "--odd", "bad", "-o", scores,
                            "--explain", "--picture", picture, "--backend", "numpy")
    assert code == 0, err
    assert re.search(r"ROC-AUC 1\.0000, average precision 1\.0000; of 4 odd rows 4 were found", out)
    assert re.search(r"row 5[6-9]: score .* of which b \d+ %", out)
    written = read(scores)
    assert written.feature_names == ["score", "anomaly", "a", "b", "c"] and written.X.shape == (60, 5)
    new = read(tables / "new.csv", "kind")
    expected = AnomalyDetector.load(detector).anomaly_score(new.X[:, [1, 2, 0]])
    np.testing.assert_allclose(written.X[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(written.X[:, 2:].sum(axis=1), expected, rtol=1e-6)
    assert written.X[-4:, 1].tolist() == [1, 1, 1, 1]
    assert picture.stat().st_size > 5000


def test_info(miniae, detector, tables):
    code, out, err = miniae("info", detector)
    assert code == 0, err
    assert out.startswith(f"{detector}: detector (AnomalyDetector), fitted to {tables / 'normal.csv'} without 'kind', "
                          "written ")
    assert "rows of shape (3,) (a, b, c)\n" in out and "\nthreshold " in out and "checksum verified\n" in out


def test_images_share_a_scale(miniae, tmp_path):
    X = np.random.default_rng(0).integers(0, 255, (30, 5, 5), np.uint8)
    np.save(tmp_path / "x.npy", X)
    assert miniae("detect", tmp_path / "d.safetensors", tmp_path / "x.npy", "--fit", "--seed", "3")[0] == 0
    detector = AnomalyDetector.load(tmp_path / "d.safetensors")
    assert detector.scaling == "shared" and detector.seed == 3


def test_bad_input(miniae, detector, tables):
    def refused(*arguments):
        code, _, err = miniae("detect", *arguments, "--backend", "numpy")
        assert code == 2 and err.count("\n") == 1 and err.startswith("miniae: "), err
        return err

    label = ("--label", "kind")
    new = tables / "new.csv"
    before = sorted(p.name for p in tables.iterdir())
    assert "exists" in refused(detector, new, *label, "--fit")
    assert "ends in .safetensors" in refused(tables / "d.json", new, *label, "--fit")
    assert "no folder" in refused(tables / "no" / "d.safetensors", new, *label, "--fit")
    assert "add --fit" in refused(detector, new, *label, "--contamination", "0.1")
    assert "from 0 to less than 1" in refused(tables / "e.safetensors", new, *label, "--fit", "--contamination", "1")
    assert "does not exist" in refused(tables / "none.safetensors", new, *label)
    assert "does not exist" in refused(detector, tables / "none.csv")
    (tables / "renamed.csv").write_text(new.read_text().replace("kind", "sort"))
    assert "holds 'good', expected a number" in refused(detector, tables / "renamed.csv")
    assert "ends in .npy, .npz or .csv" in refused(detector, new, *label, "-o", tables / "s.txt")
    assert "ends in .png" in refused(detector, new, *label, "--picture", tables / "s.txt")
    assert "rows with the label 1" in refused(detector, new, *label, "--picture", tables / "s.png")
    assert "rows with the label 1" in refused(tables / "e.safetensors", new, *label, "--fit", "--picture",
                                              tables / "s.png")  # before it is fitted
    assert "no row has the label 2, there are bad, good; name" in refused(detector, new, *label, "--odd", "2")
    assert "seed must be" in refused(tables / "e.safetensors", new, *label, "--fit", "--seed", "-1")
    assert "would be lost" in refused(detector, new, *label, "-o", new)
    np.save(tables / "wide.npy", np.zeros((4, 9)))
    assert "9 features a sample" in refused(detector, tables / "wide.npy")
    (tables / "other.csv").write_text("a,b,z\n1,2,3\n")
    assert "name them alike" in refused(detector, tables / "other.csv")
    damaged = bytearray(detector.read_bytes())
    damaged[-1] ^= 1
    (tables / "damaged.safetensors").write_bytes(damaged)
    assert "checksum" in refused(tables / "damaged.safetensors", new, *label)
    after = sorted(p.name for p in tables.iterdir())
    assert after == sorted([*before, "wide.npy", "other.csv", "renamed.csv", "damaged.safetensors"])


def test_labels_that_are_numbers_or_unknown(miniae, detector, tables):
    lines = (tables / "new.csv").read_text().splitlines()
    numbers = [line.replace("good", "0.0").replace("bad", "1.0") for line in lines]
    (tables / "numbers.csv").write_text("\n".join(numbers) + "\n")
    assert "ROC-AUC 1.0000" in miniae("detect", detector, tables / "numbers.csv", "--label", "kind")[1]
    code, out, _ = miniae("detect", detector, tables / "new.csv", "--label", "kind")
    assert code == 0 and out.startswith("no row has the label 1, there are bad, good: scores are not judged")
    (tables / "bare.csv").write_text("a,b,c\n1,2,3\n")
    code, _, err = miniae("detect", detector, tables / "bare.csv", "--odd", "1")
    assert code == 2 and "has no labels" in err


def test_features_that_are_called_as_the_scores_are(miniae, tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 2))
    (tmp_path / "x.csv").write_text("score,b\n" + "".join(f"{a},{b}\n" for a, b in X))
    code, _, err = miniae("detect", tmp_path / "d.safetensors", tmp_path / "x.csv", "--fit", "--explain", "-o",
                          tmp_path / "s.csv")
    assert code == 0 and read(tmp_path / "s.csv").feature_names == ["score", "anomaly", "score_", "b"], err


def test_a_model_is_no_detector(miniae, trained, table):
    code, _, err = miniae("detect", trained / "model.safetensors", table, "--label", "kind")
    assert code == 2 and "holds a model, expected a detector" in err
