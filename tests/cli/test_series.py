"""miniae series."""

from __future__ import annotations

import re

import numpy as np
import pytest

from miniae.data import read, write_wav
from miniae.tasks import SeriesDetector


def table(path, x, odd, dates=False):
    rows = [f"{'2024-01-01 00:00:' if dates else ''}{t / 10},{v:.6f},{int(o)}"
            for t, (v, o) in enumerate(zip(x, odd, strict=True))]
    path.write_text("\n".join(["when,value,odd", *rows]) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    rng = np.random.default_rng(0)
    t = np.arange(900)
    x = np.sin(2 * np.pi * t / 30) + 0.05 * rng.normal(size=900)
    table(folder / "normal.csv", x, 0 * t)
    np.save(folder / "normal.npy", x)
    write_wav(folder / "normal.wav", 0.5 * x, 8000)
    odd = (t >= 600) & (t < 615)
    table(folder / "new.csv", np.where(odd, -x, x), odd)
    table(folder / "dates.csv", np.where(odd, -x, x), odd, dates=True)
    return folder


@pytest.fixture
def detector(miniae, folder, tmp_path):
    path = tmp_path / "d.safetensors"
    code, out, err = miniae("series", path, folder / "normal.csv", "--time", "when", "--label", "odd", "--fit",
                            "--backend", "numpy", "--seed", "3", "--updates", "100")
    assert code == 0, err
    assert "fitted to 900 moments of 1 channel, windows of 90" in out
    return path


def test_scores_segments_and_picture(miniae, detector, folder, tmp_path):
    scores, picture = tmp_path / "scores.csv", tmp_path / "scores.png"
    code, out, err = miniae("series", detector, folder / "new.csv", "--time", "when", "--label", "odd", "-o", scores,
                            "--picture", picture, "--backend", "numpy")
    assert code == 0, err
    assert "1 anomaly in 900 moments" in out
    start, end, peak = map(float, re.search(r"from ([\d.]+) to ([\d.]+), most at ([\d.]+):", out).groups())
    assert 52 < start < 60.1 <= peak <= 61.4 < end < 70
    assert float(re.search(r"ROC-AUC ([\d.]+)", out)[1]) > 0.98 and "oddest moment is one of the odd ones" in out
    written = read(scores)
    assert written.feature_names == ["time", "score", "anomaly"] and written.X.shape == (900, 3)
    loaded = SeriesDetector.load(detector)
    assert loaded.seed == 3
    expected = loaded.anomaly_score(read(folder / "new.csv", "odd").X[:, 1])
    np.testing.assert_allclose(written.X[:, 1], expected, rtol=1e-6)
    np.testing.assert_array_equal(written.X[:, 2], expected > loaded.threshold_)
    np.testing.assert_allclose(written.X[:, 0], np.arange(900) / 10)
    assert picture.stat().st_size > 5000
    code, out, _ = miniae("series", detector, folder / "dates.csv", "--time", "when", "--label", "odd", "-o", scores,
                          "--picture", picture, "--backend", "numpy")
    assert code == 0 and re.search(r"most at 2024-01-01 00:00:6\d", out)
    rows = scores.read_text().splitlines()
    assert rows[0] == "time,score,anomaly" and rows[1].startswith("2024-01-01 00:00:0.0,") and len(rows) == 901
    assert [float(row.split(",")[1]) for row in rows[1:]] == pytest.approx(list(written.X[:, 1]))
    assert [float(row.split(",")[2]) for row in rows[1:]] == list(written.X[:, 2])
    code, _, err = miniae("series", detector, folder / "dates.csv", "--time", "when", "--label", "odd", "-o",
                          tmp_path / "scores.npy", "--backend", "numpy")
    assert code == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy")[:, 0], np.arange(900))


@pytest.mark.parametrize("name", ["normal.npy", "normal.wav"])
def test_arrays_and_sounds(miniae, folder, tmp_path, name):
    code, out, err = miniae("series", tmp_path / "d.safetensors", folder / name, "--fit", "--window", "40",
                            "--normalise", "level", "--held-out", "0.3", "--contamination", "0.05", "--backend",
                            "numpy", "--updates", "20")
    assert code == 0 and "windows of 40" in out, err
    loaded = SeriesDetector.load(tmp_path / "d.safetensors")
    assert (loaded.normalise, loaded.held_out, loaded.contamination) == ("level", 0.3, 0.05)


def test_bad_input(miniae, detector, folder, tmp_path):
    def refused(*arguments):
        code, _, err = miniae("series", *arguments, "--backend", "numpy")
        assert code == 2 and err.count("\n") == 1 and err.startswith("miniae: "), err
        return err

    columns = ("--time", "when", "--label", "odd")
    new, other = folder / "new.csv", tmp_path / "e.safetensors"
    before = sorted(p.name for p in tmp_path.iterdir())
    assert "exists" in refused(detector, new, *columns, "--fit")
    assert "ends in .safetensors" in refused(tmp_path / "d.json", new, *columns, "--fit")
    assert "no folder" in refused(tmp_path / "no" / "d.safetensors", new, *columns, "--fit")
    assert "--held-out is for fitting: add --fit" in refused(detector, new, *columns, "--held-out", "0.1")
    assert "from 0 to less than 1" in refused(other, new, *columns, "--fit", "--held-out", "1")
    assert "window" in refused(other, new, *columns, "--fit", "--window", "1")
    assert "too few for windows of 800" in refused(other, new, *columns, "--fit", "--window", "800")
    assert refused(other, new, *columns, "--fit", "--window", "800").endswith("or a smaller window\n")
    assert "does not exist" in refused(tmp_path / "none.safetensors", new, *columns)
    assert "does not exist" in refused(detector, tmp_path / "none.csv")
    assert "does not exist" in refused(detector, tmp_path / "none.npy")
    assert "does not exist" in refused(detector, tmp_path / "none.wav")
    assert "no column 'hour' for the time (--time)" in refused(detector, new, "--time", "hour")
    assert "no column 'hour' for labels" in refused(detector, new, "--time", "when", "--label", "hour")
    assert "column 'when' holds '20" in (said := refused(detector, folder / "dates.csv")) and "the time" in said
    assert "leave --label, --time and --drop out" in refused(detector, folder / "normal.npy", "--time", "when")
    assert "the model was made for value" in refused(detector, new)
    assert "ends in .npy, .npz or .csv" in refused(detector, new, *columns, "-o", tmp_path / "s.txt")
    assert "ends in .png" in refused(detector, new, *columns, "--picture", tmp_path / "s.txt")
    np.save(tmp_path / "wide.npy", np.zeros((400, 9)))
    assert "9 channels, this detector was made for 1" in refused(detector, tmp_path / "wide.npy")
    np.save(tmp_path / "short.npy", np.zeros(20))
    assert "20 moments, fewer than a window of 90" in refused(detector, tmp_path / "short.npy")
    np.save(tmp_path / "gap.npy", np.where(np.arange(190) == 7, np.nan, 0.0))
    assert "nan at moment 7" in refused(detector, tmp_path / "gap.npy")
    for path in (tmp_path / "short.npy", new):
        before_it = path.read_bytes()
        with_columns = columns if path == new else ()
        assert "would be lost" in refused(detector, path, *with_columns, "-o", path)
        assert path.read_bytes() == before_it
    assert "no moment has the label 7, there are 0, 1" in refused(detector, new, *columns, "--odd", "7")
    assert "name their column with --label" in refused(detector, new, "--time", "when", "--odd", "1")
    np.save(tmp_path / "images.npy", np.zeros((40, 6, 5)))
    assert "holds images, expected a series" in refused(detector, tmp_path / "images.npy")
    damaged = bytearray(detector.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(damaged)
    assert "checksum" in refused(tmp_path / "damaged.safetensors", new, *columns)
    after = sorted(p.name for p in tmp_path.iterdir())
    assert after == sorted([*before, "wide.npy", "short.npy", "gap.npy", "images.npy", "damaged.safetensors"])


def test_labels_in_words_and_numbers(miniae, detector, folder, tmp_path):
    text = (folder / "dates.csv").read_text()
    for odd, usual, option in (("yes", "no", ("--odd", "yes")), ("1.0", "0.0", ())):
        words = text.replace(",1\n", f",{odd}\n").replace(",0\n", f",{usual}\n")
        (tmp_path / "words.csv").write_text(words)
        code, out, err = miniae("series", detector, tmp_path / "words.csv", "--time", "when", "--label", "odd", *option,
                                "--backend", "numpy")
        assert code == 0 and "oddest moment is one of the odd ones" in out, (out, err)
    code, out, err = miniae("series", detector, folder / "normal.csv", "--time", "when", "--label", "odd")
    assert code == 0 and "no moment has the label 1, there are 0: scores are not judged" in out, (out, err)


def test_a_model_is_no_detector(miniae, trained, folder):
    code, _, err = miniae("series", trained / "model.safetensors", folder / "normal.npy")
    assert code == 2 and "holds a model, expected a detector for series" in err
