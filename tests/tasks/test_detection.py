"""Anomaly detection."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tasks.tied import far_and_shuffled, tied_features

import miniae
from miniae import nn
from miniae.data import StorageError, load_tensors, save_tensors
from miniae.models import Autoencoder
from miniae.report import roc_auc
from miniae.tasks import AnomalyDetector
from miniae.tasks.scales import middle_and_scale
from miniae.training import NotFittedError

QUICK = {"updates": 60, "noise": (0.5,), "hidden": 16}


@pytest.fixture(scope="module")
def fitted():
    return AnomalyDetector(contamination=0, updates=400).fit(tied_features(600, 0))


def test_what_is_far_out_and_what_is_off_the_manifold(fitted):
    """The norm sees only the first, a linear reconstruction from few components only the second."""
    normal = tied_features(400, 1)
    far, shuffled = far_and_shuffled(normal)
    for odd, least in ((far, 0.98), (shuffled, 0.95)):
        labels = np.repeat([0, 1], [len(normal), len(odd)])
        assert roc_auc(labels, fitted.anomaly_score(np.concatenate([normal, odd]))) > least
    norms = [np.square(X).sum(axis=1) for X in (normal, shuffled)]
    assert roc_auc(np.repeat([0, 1], 400), np.concatenate(norms)) < 0.6


def test_ordinary_rows_score_near_one(fitted):
    assert 0.7 < fitted.anomaly_score(tied_features(1000, 2)).mean() < 1.4


def test_contributions_add_up_and_name_the_feature(fitted):
    X = tied_features(50, 3)
    X[:, 4] += 4.0
    parts = fitted.contributions(X)
    assert parts.shape == X.shape and (parts >= 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), fitted.anomaly_score(X), rtol=1e-12)
    assert (parts.argmax(axis=1) == 4).mean() > 0.9


def test_signs(fitted):
    X = np.concatenate([tied_features(100, 4), np.full((1, 6), 50.0)])
    np.testing.assert_array_equal(fitted.score_samples(X), -fitted.anomaly_score(X))
    decision = fitted.decision_function(X)
    np.testing.assert_allclose(decision, fitted.threshold_ - fitted.anomaly_score(X))
    np.testing.assert_array_equal(fitted.predict(X), np.where(decision < 0, -1, 1))
    assert fitted.predict(X)[-1] == -1 and set(fitted.predict(X).tolist()) == {-1, 1}


@pytest.mark.parametrize("contamination", [0.05, 0.3])
def test_the_threshold_cuts_off_the_contamination(contamination):
    X = tied_features(400, 5)
    found = AnomalyDetector(contamination=contamination, **QUICK).fit_predict(X) == -1
    assert abs(found.mean() - contamination) <= 0.005


def test_calibration_on_clean_rows(fitted):
    clean, others = tied_features(4000, 6), tied_features(4000, 7)
    detector = AnomalyDetector(contamination=0, **QUICK).fit(tied_features(300, 0)).calibrate(clean, 0.05)
    assert (detector.predict(clean) == -1).mean() == pytest.approx(0.05, abs=1e-3)
    assert (detector.predict(others) == -1).mean() == pytest.approx(0.05, abs=0.015)


def test_a_group_of_anomalies_is_not_learned():
    """A twentieth of the rows are anomalies of one kind: enough for a network to learn, were it shown them."""
    rng = np.random.default_rng(0)
    odd = 0.3 * rng.normal(size=(30, 6)) + [2.5, -2.5, 2.5, -2.5, 2.5, 2.5]
    X, labels = np.concatenate([tied_features(570, 8), odd]), np.repeat([0, 1], [570, 30])
    robust, plain = (roc_auc(labels, AnomalyDetector(contamination=c, updates=300).fit(X).anomaly_score(X))
                     for c in (0.1, 0.0))
    assert robust > 0.99 and robust > plain


def test_what_is_not_trained_on_needs_no_network():
    """Infinite noise: the error of the median, which is the squared norm of the scaled rows."""
    X = np.random.default_rng(0).normal(size=(300, 4))
    detector = AnomalyDetector(noise=(), contamination=0).fit(X)
    assert detector.members_ == []
    middle, scale = np.median(X, axis=0), np.clip(X, *np.quantile(X, (0.01, 0.99), axis=0)).std(axis=0)
    z = ((X - middle) / scale).astype(np.float32).astype(np.float64)
    spread = np.square(z).mean(axis=0)
    near = np.abs(z).max(axis=1) < 3
    expected = (np.square(z) / (spread + 0.1 * spread.mean())).mean(axis=1)
    np.testing.assert_allclose(detector.anomaly_score(X)[near], expected[near], rtol=0.05)
    order = np.argsort(expected[near])
    assert np.corrcoef(detector.anomaly_score(X)[near][order], expected[near][order])[0, 1] > 0.9999


def test_scales():
    rng = np.random.default_rng(0)
    X = np.stack([rng.normal(5, 2, 1000), np.full(1000, 7.0), np.zeros(1000), np.where(np.arange(1000) < 3, 40.0, 0),
                  0.1 + 1e-17 * rng.normal(size=1000)], axis=1)
    X[0, 0] = 1e6
    middle, scale = middle_and_scale(X, "robust")
    assert abs(middle[0] - 5) < 0.2 and 1.7 < scale[0] < 2.1
    assert scale[1] == 7.0 and scale[2] == 1.0 and scale[4] == pytest.approx(0.1)
    assert scale[3] == pytest.approx(X[:, 3].std())
    assert len(set(middle_and_scale(X[1:], "shared")[1].tolist())) == 1


@pytest.mark.parametrize("X", [
    np.full((20, 3), 2.0), np.arange(40).reshape(20, 2), np.random.default_rng(0).random((2, 3)),
    1e150 * np.random.default_rng(0).normal(size=(30, 2)), np.random.default_rng(0).integers(0, 255, (40, 1), np.uint8),
])
def test_data_of_every_kind_give_finite_scores(X):
    detector = AnomalyDetector(**QUICK).fit(X)
    assert np.isfinite(detector.anomaly_score(X)).all() and np.isfinite(detector.threshold_)
    assert np.isfinite(detector.anomaly_score(X.astype(np.float64) * 1e3)).all()


def test_seeds():
    X = tied_features(200, 0)
    a, b, c = (AnomalyDetector(seed=s, **QUICK).fit(X).anomaly_score(X) for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_many_rows_are_scored_in_blocks():
    X = tied_features(20000, 0)
    detector = AnomalyDetector(max_samples=256, **QUICK).fit(X)
    whole = detector.anomaly_score(X)
    np.testing.assert_allclose(np.concatenate([detector.anomaly_score(part) for part in np.split(X, 4)]), whole,
                               rtol=1e-4)


def test_a_model_of_ones_own():
    X = np.random.default_rng(0).random((60, 1, 6, 6), np.float32)
    encoder = nn.Sequential([nn.Conv2D(2, 3, activation="tanh"), nn.Flatten(), nn.Dense(4)])
    decoder = nn.Sequential([nn.Dense(36), nn.Reshape((1, 6, 6))])
    detector = AnomalyDetector(model=Autoencoder(encoder=encoder, decoder=decoder, epochs=2), members=2,
                               scaling="shared").fit(X)
    assert [m.seed for m in detector.members_] == [0, 1] and detector.contributions(X).shape == X.shape
    with pytest.raises(ValueError, match="expected an Autoencoder"):
        AnomalyDetector(model=3).fit(X)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # what is saved beside it has some
@pytest.mark.parametrize("settings", [{}, {"model": Autoencoder([8], 3, epochs=2, patience=1), "members": 2},
                                      {"noise": ()}, {"contamination": 0, "dtype": "float64"}])
def test_a_detector_comes_back_the_same(settings, backend, tmp_path):
    X = tied_features(150, 0)
    detector = AnomalyDetector(**{**QUICK, **settings}).fit(X)
    path = tmp_path / "d.safetensors"
    detector.save(path, extra={"feature_names": list("abcdef")})
    again = AnomalyDetector.load(path)
    np.testing.assert_array_equal(again.anomaly_score(X), detector.anomaly_score(X))
    np.testing.assert_array_equal(again.contributions(X), detector.contributions(X))
    np.testing.assert_array_equal(again.predict(X), detector.predict(X))
    assert again.extra_ == {"feature_names": list("abcdef")}
    again.fit(X)
    np.testing.assert_array_equal(again.anomaly_score(X), detector.anomaly_score(X))


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "d.safetensors"
    AnomalyDetector(**QUICK).fit(tied_features(100, 0)).save(path)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for at in (start, (start + len(whole)) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        with pytest.raises(StorageError, match="checksum"):
            AnomalyDetector.load(path)
    path.write_bytes(whole[:-20])
    with pytest.raises(StorageError, match="damaged"):
        AnomalyDetector.load(path)
    path.write_bytes(whole)
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, {**header, "format": 99})
    with pytest.raises(StorageError, match="newer miniae"):
        AnomalyDetector.load(path)
    assert json.dumps(header)


def test_files_of_another_kind(tmp_path):
    X = tied_features(50, 0).astype(np.float32)
    Autoencoder([4], 2, epochs=1).fit(X).save(tmp_path / "m.safetensors")
    with pytest.raises(StorageError, match="holds a model, expected a detector"):
        AnomalyDetector.load(tmp_path / "m.safetensors")
    AnomalyDetector(**QUICK).fit(X).save(tmp_path / "d.safetensors")
    with pytest.raises(StorageError, match="holds a detector, expected a model"):
        miniae.load(tmp_path / "d.safetensors")
    with pytest.raises(StorageError, match="does not exist"):
        AnomalyDetector.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("settings, message", [
    ({"contamination": 1.0}, "from 0 to less than 1"), ({"contamination": -0.1}, "contamination"),
    ({"noise": (-1.0,)}, "noise"), ({"scaling": "minmax"}, "unknown scaling"), ({"updates": 0}, "updates"),
    ({"members": 0}, "members"), ({"hidden": 0}, "hidden"), ({"false_alarms": "few"}, "false_alarms"),
])
def test_parameters_that_can_not_be(settings, message):
    with pytest.raises(ValueError, match=message):
        AnomalyDetector(**settings).fit(tied_features(20, 0))


def test_data_that_can_not_be(fitted):
    with pytest.raises(ValueError, match="at least 2"):
        AnomalyDetector().fit(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="nan"):
        AnomalyDetector().fit(np.array([[1.0], [np.nan]]))
    with pytest.raises(ValueError, match="made for"):
        fitted.anomaly_score(np.zeros((3, 5)))
    with pytest.raises(NotFittedError):
        AnomalyDetector().predict(np.zeros((3, 5)))


def test_parameters():
    detector = AnomalyDetector(contamination=0.2)
    assert detector.get_params()["contamination"] == 0.2
    assert repr(detector.set_params(seed=3)) == "AnomalyDetector(contamination=0.2, seed=3)"
    with pytest.raises(ValueError, match="no parameter 'nu'"):
        detector.set_params(nu=0.1)
    assert miniae.AnomalyDetector is AnomalyDetector


def test_rows_that_are_all_the_same_are_no_anomalies():
    """They score the same but for rounding, which depends on the rows that are scored beside them."""
    X = np.tile([[1.0, 2.0]], (50, 1))
    detector = AnomalyDetector(updates=50).fit(X)
    assert (detector.predict(X) == 1).all() and (detector.predict(X[:7]) == 1).all()


def test_values_whose_squares_overflow_are_refused():
    X = np.random.default_rng(0).normal(size=(60, 2)) * [1e300, 1.0]
    with pytest.raises(ValueError, match="where squares overflow"):
        AnomalyDetector().fit(X)
