"""--drop: columns that a model is made without, and an index that is trained on by mistake."""

from __future__ import annotations

import json

import numpy as np
import pytest

import miniae as library

COLUMNS = "patient,age,note,pulse,kind"


@pytest.fixture
def patients(tmp_path):
    """A table with a column that counts its rows, and one of text."""
    rng = np.random.default_rng(0)
    rows = [f"{i},{rng.normal(50, 9):.3f},seen by {i % 3},{rng.normal(70, 5):.3f},{'ab'[i % 2]}" for i in range(1, 41)]
    path = tmp_path / "patients.csv"
    path.write_text("\n".join([COLUMNS, *rows]) + "\n")
    return path


@pytest.fixture
def features(patients):
    """The same without what is no feature, the columns turned round."""
    rows = [line.split(",") for line in patients.read_text().splitlines()]
    path = patients.with_name("features.csv")
    path.write_text("\n".join(f"{row[3]},{row[1]}" for row in rows) + "\n")
    return path


@pytest.fixture
def model(miniae, patients, quick, tmp_path):
    code, out, err = miniae("train", "--data", patients, "--label", "kind", "--drop", "patient", "--drop", "3", *quick,
                            "--out", tmp_path / "run")
    assert code == 0, err
    assert "counts the rows" not in out
    return tmp_path / "run" / "model.safetensors"


def test_a_model_remembers_what_it_was_made_without(model, miniae, patients, features, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert library.load(model).extra_["dropped"] == ["patient", "note", "kind"]
    assert library.load(model).extra_["feature_names"] == ["age", "pulse"]
    assert "trained on patients.csv without 'patient', 'note'" in miniae("info", model)[1]
    codes = []
    for data, options in ((patients, ["--label", "kind"]), (patients, ["--drop", "kind"]), (features, [])):
        code, _, err = miniae("encode", model, data, *options, "-o", "codes.npy")
        assert code == 0, err
        codes.append(np.load("codes.npy"))
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])
    for command in (("map",), ("reconstruct", "-o", "back.npy"), ("evaluate",), ("index", "-o", "i.safetensors"),
                    ("classify", "-o", "c.safetensors", "--epochs", "1")):
        code, out, err = miniae(command[0], model, patients, "--label", "kind", *command[1:])
        assert code == 0 and "counts the rows" not in out, err
    for command in (("search", "i.safetensors"), ("classify", "c.safetensors")):  # what was made of it remembers, too
        code, _, err = miniae(*command, patients, "--label", "kind")
        assert code == 0, err


def test_the_config_of_a_run_drops_the_same(model, miniae, tmp_path):
    settings = json.loads((model.parent / "config.json").read_text())
    assert settings["drop"] == ["patient", "3"]
    assert miniae("train", "--config", model.parent / "config.json", "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == model.read_bytes()
    code, _, err = miniae("train", "--resume", model.parent, "--drop", "age")
    assert code == 2 and "--drop can't be changed" in err


def test_an_index_is_noted_where_something_is_learnt(miniae, patients, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note = "column 1 of patients.csv, 'patient', counts the rows from 1, and is taken for a feature: --drop patient"
    columns = (patients, "--label", "kind", "--drop", "note")
    code, out, err = miniae("train", "--data", *columns, *quick, "--out", "run")
    assert code == 0 and note in out, err
    code, out, _ = miniae("detect", "d.safetensors", *columns, "--fit")
    assert code == 0 and note in out
    code, out, _ = miniae("detect", "d.safetensors", patients, "--label", "kind")  # it was made with it
    assert code == 0 and note not in out
    code, _, err = miniae("detect", "e.safetensors", *columns, "--drop", "patient", "--fit")
    assert code == 0
    assert miniae("detect", "e.safetensors", patients, "--label", "kind")[0] == 0
    assert "without 'note', 'patient', 'kind', written" in miniae("info", "e.safetensors")[1]
    code, out, _ = miniae("series", "s.safetensors", *columns, "--fit", "--window", 4, "--updates", 2)
    assert code == 0 and note in out
    code, out, err = miniae("series", "t.safetensors", *columns, "--drop", "patient", "--fit", "--window", 4,
                            "--updates", 2)
    assert code == 0 and note not in out, err
    assert miniae("series", "t.safetensors", patients, "--label", "kind")[0] == 0
    assert miniae("series", "t.safetensors", patients, "--label", "kind", "--time", "patient")[0] == 0


def test_a_table_of_another_width_says_what_may_be_too_much(model, miniae, patients, features, tmp_path):
    rows = features.read_text().splitlines()
    counted = tmp_path / "counted.csv"
    counted.write_text("\n".join([f",{rows[0]}", *(f"{i},{row}" for i, row in enumerate(rows[1:]))]) + "\n")
    code, _, err = miniae("encode", model, counted)
    assert code == 2 and err.count("\n") == 1
    assert "what is no feature with --drop (column 1 of counted.csv, which has no name, counts the rows from 0" in err
    assert miniae("encode", model, counted, "--drop", "1", "-o", tmp_path / "codes.npy")[0] == 0
    code, _, err = miniae("encode", model, patients, "--drop", "hight")
    assert code == 2 and "no column 'hight' for --drop: expected one of 'patient', 'age', 'note'" in err


def test_a_file_can_not_make_it_drop_nonsense(model, miniae, patients, tmp_path):
    made = library.load(model)
    for dropped in (7, ["a", 1.5], [True], [None], {"a": 1}):
        library.models.save(tmp_path / "m.safetensors", made, extra={**made.extra_, "dropped": dropped})
        code, _, err = miniae("encode", tmp_path / "m.safetensors", patients, "--label", "kind")
        assert code == 2 and err.count("\n") == 1 and "'dropped' in its header is no list" in err


def test_the_label_is_remembered_too(model, miniae, patients, tmp_path):
    """By its name: on the file that a model was made of it need not be said again."""
    assert library.load(model).extra_["dropped"] == ["patient", "note", "kind"]
    code, _, err = miniae("encode", model, patients, "-o", tmp_path / "codes.csv")
    assert code == 0, err


def test_names_are_compared_whoever_made_the_model(miniae, model, patients, features, tmp_path):
    """What the command line made and Python uses, and the other way round: columns have to be named alike."""
    pandas = pytest.importorskip("pandas", reason="frames have named columns")
    frame = pandas.read_csv(patients)[["age", "pulse"]]
    made = library.load(model)
    codes = made.transform(frame)
    with pytest.raises(ValueError, match="names should match"):
        made.transform(frame[["pulse", "age"]])
    detector = library.AnomalyDetector(contamination=0, updates=20, hidden=4).fit(frame)
    library.Autoencoder([4], 2, epochs=1, scaling="standard").fit(frame).save(tmp_path / "m.safetensors")
    detector.save(tmp_path / "d.safetensors")
    for path, expected in ((model, codes), (tmp_path / "m.safetensors", None)):
        expected = library.load(path).transform(frame) if expected is None else expected
        code, _, err = miniae("encode", path, features, "-o", tmp_path / "codes.npy")  # pulse, age
        assert (code, err) == (0, "")
        np.testing.assert_allclose(np.load(tmp_path / "codes.npy"), expected, rtol=1e-5, atol=1e-6)
    code, _, err = miniae("detect", tmp_path / "d.safetensors", features, "-o", tmp_path / "scores.csv")
    assert (code, err) == (0, "")
    scores = np.loadtxt(tmp_path / "scores.csv", delimiter=",", skiprows=1)[:, 0]
    np.testing.assert_allclose(scores, detector.anomaly_score(frame), rtol=1e-4)
    features.write_text(features.read_text().replace("pulse", "PULSE"))
    for command, path in (("encode", "m"), ("detect", "d")):
        code, _, err = miniae(command, tmp_path / f"{path}.safetensors", features, "-o", tmp_path / "o.csv")
        assert code == 2 and "name them alike (pulse is missing)" in err
    made = library.load(tmp_path / "m.safetensors")
    assert made.feature_names_in_.tolist() == ["age", "pulse"]


@pytest.mark.parametrize("command", ["encode", "reconstruct", "interpolate"])
def test_what_is_read_is_not_overwritten(command, model, miniae, patients):
    before = patients.read_bytes()
    options = ["-n", "2"] if command == "interpolate" else []
    code, _, err = miniae(command, model, patients, *options, "-o", patients.parent / "." / patients.name)
    assert code == 2 and "it is what is read, and would be lost" in err and patients.read_bytes() == before
