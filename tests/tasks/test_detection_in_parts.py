"""Anomaly detection from data that come in parts."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from tasks.tied import far_and_shuffled, tied_features

from miniae.data import Stream, load_tensors
from miniae.models import Autoencoder
from miniae.report import roc_auc
from miniae.tasks import AnomalyDetector
from miniae.tasks.held_out import HeldOut
from miniae.tasks.scales import middle_and_scale
from miniae.training import NotFittedError

QUICK = {"noise": (0.5,), "hidden": 16}


def in_parts(X: np.ndarray, size: int, passes: int = 1, **settings) -> AnomalyDetector:
    detector = AnomalyDetector(**{**QUICK, **settings})
    for _ in range(passes):
        for i in range(0, len(X), size):
            detector.partial_fit(X[i:i + size])
    return detector


# -------------------------------------------------------------------- rows that are set aside

def test_a_fifth_is_set_aside_and_a_uniform_sample_of_it_kept():
    rows, counts, aside = np.arange(300)[:, None], np.zeros(300), np.zeros(300)
    for seed in range(400):
        held_out = HeldOut(0.2, 20, seed)
        learned = np.concatenate([held_out.take(part) for part in np.split(rows, [1, 50, 53, 250])])
        kept = held_out.rows[:, 0]
        assert len(set(kept)) == len(kept) == 20 and not set(kept) & set(learned[:, 0])
        assert held_out.aside == 300 - len(learned) and held_out.seen == 300
        counts[kept] += 1
        aside[np.setdiff1d(rows, learned)] += 1
    assert aside[0] == 400  # the very first row is always set aside
    expected = 400 * 0.2
    assert (np.abs(aside[1:] - expected) < 4.5 * np.sqrt(expected * 0.8)).all()
    for stretch in np.array_split(counts[1:], 5):  # no stretch of the rows is kept more often than another
        expected = 400 * 20 / 300 * len(stretch)
        assert abs(stretch.sum() - expected) < 4 * np.sqrt(expected)


def test_samples_that_are_set_aside_are_kept_whole_while_there_is_room():
    held_out = HeldOut(0.5, 1000, 3)
    X = np.random.default_rng(0).random((60, 1, 4), np.float32)
    learned = [held_out.take(part) for part in (X[:2], X[2:2], X[2:3], X[3:])]
    assert len(learned[0]) == 1 and len(learned[1]) == 0 and held_out.rows.dtype == np.float32
    order = np.concatenate([held_out.rows, *learned]).reshape(60, 4)
    np.testing.assert_array_equal(order[np.lexsort(order.T)], X.reshape(60, 4)[np.lexsort(X.reshape(60, 4).T)])
    before, rows = copy.copy(held_out), held_out.rows.copy()
    held_out.take(X)
    np.testing.assert_array_equal(before.rows, rows)
    one = HeldOut(0.2, 1, 0)
    assert len(one.take(X[:1])) == 0 and one.rows.shape == (1, 1, 4)


# -------------------------------------------------------------------- learning

def test_what_is_odd_is_found_as_by_fit():
    """Both what is far out and what is off the manifold, as sharply as from all rows at once."""
    detector = in_parts(tied_features(3000, 0), 150, 6, contamination=0, noise=(0.5, 0.3), hidden=24)
    normal = tied_features(400, 1)
    far, shuffled = far_and_shuffled(normal)
    for odd, least in ((far, 0.98), (shuffled, 0.95)):
        labels = np.repeat([0, 1], [len(normal), len(odd)])
        assert roc_auc(labels, detector.anomaly_score(np.concatenate([normal, odd]))) > least
    assert 0.7 < detector.anomaly_score(normal).mean() < 1.4
    assert (detector.predict(tied_features(4000, 2)) == -1).mean() == pytest.approx(0.01, abs=0.01)
    assert [len(member.history_) for member in detector.members_] == [120, 120]


@pytest.mark.parametrize("contamination", [0.05, 0.3])
def test_the_threshold_is_that_of_rows_set_aside(contamination):
    X = tied_features(2000, 5)
    detector = in_parts(X, 250, contamination=contamination)
    kept = detector._held_out.rows  # scaled: back to what they were
    z = np.where(np.abs(kept) > 3, np.sign(kept) * 3 * np.exp(np.abs(kept) / 3 - 1), kept)
    scores = detector.anomaly_score(z * detector.scale_ + detector.middle_)
    assert 340 < len(kept) < 460
    np.testing.assert_allclose(detector.threshold_, np.quantile(scores, 1 - contamination), rtol=1e-4)
    assert (detector.predict(tied_features(4000, 6)) == -1).mean() == pytest.approx(contamination, abs=0.05)


def test_scales_are_those_of_the_first_part_and_rows_kept_are_bounded():
    X = tied_features(400, 0)
    detector = in_parts(X, 200, max_samples=30)
    for found, expected in zip((detector.middle_, detector.scale_), middle_and_scale(X[:200], "robust"), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert detector._held_out.rows.shape == (30, 6) and detector._held_out.seen == 400


def test_a_group_of_anomalies_is_not_learned():
    """Rows beyond the share `trim` of the sample are not shown to the members."""
    rng = np.random.default_rng(0)
    odd = 0.3 * rng.normal(size=(150, 6)) + [2.5, -2.5, 2.5, -2.5, 2.5, 2.5]
    X, labels = np.concatenate([tied_features(2850, 8), odd]), np.repeat([0, 1], [2850, 150])
    order = rng.permutation(3000)
    robust, plain = (roc_auc(labels, in_parts(X[order], 300, 4, contamination=c).anomaly_score(X)) for c in (0.1, 0.0))
    assert robust > 0.99 and robust > plain


def test_on_thyroids_it_is_as_good_as_fit(data_dir):
    """Trained on one half and asked about the other, of which 2.5 % are ill: ROC-AUC."""
    data = np.load(data_dir / "anomaly" / "38_thyroid.npz")
    order = np.random.default_rng(0).permutation(len(data["X"]))
    X, y = data["X"][order], data["y"][order]
    half = len(X) // 2
    whole = AnomalyDetector(updates=200, noise=(0.3,)).fit(X[:half])
    parts = in_parts(X[:half], 200, len(whole.members_[0].history_), noise=(0.3,), hidden=None)
    by_fit, by_parts = (roc_auc(y[half:], detector.anomaly_score(X[half:])) for detector in (whole, parts))
    assert by_fit > 0.96 and by_parts > by_fit - 0.01


# -------------------------------------------------------------------- going on

def test_copies_go_on_alike_and_fit_begins_afresh():
    X = tied_features(300, 0)
    detector = in_parts(X, 100)
    for other in (copy.deepcopy(detector), pickle.loads(pickle.dumps(detector))):
        one = copy.deepcopy(detector)
        for part in np.split(X, 2):
            one.partial_fit(part)
            other.partial_fit(part)
        np.testing.assert_array_equal(other.anomaly_score(X), one.anomaly_score(X))
        assert other.threshold_ == one.threshold_ != detector.threshold_
    settings = {**QUICK, "updates": 5}
    fresh = AnomalyDetector(**settings).fit(X)
    detector.set_params(**settings).fit(X)
    np.testing.assert_array_equal(detector.anomaly_score(X), fresh.anomaly_score(X))
    assert detector._held_out is None


@pytest.mark.parametrize("how", ["fit", "fit and file", "parts and file"])
def test_after_fit_and_from_files(how, tmp_path, backend):
    """No rows are kept: threshold and spreads stay until enough have been set aside anew, on which they are found."""
    X = tied_features(400, 0)
    detector = in_parts(X, 100) if "parts" in how else AnomalyDetector(updates=20, **QUICK).fit(X)
    if "file" in how:
        detector.save(tmp_path / "d.safetensors")
        tensors, header = load_tensors(tmp_path / "d.safetensors")
        assert all(a.size < 6 * 100 for a in tensors.values()) and "threshold" in header  # no rows of the data
        detector = AnomalyDetector.load(tmp_path / "d.safetensors")
    threshold, spreads = detector.threshold_, list(detector.spreads_)
    before = [p.numpy().copy() for p in detector.members_[0].network_.parameters()]
    detector.partial_fit(X[:1])  # which is set aside
    for p, value in zip(detector.members_[0].network_.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)
    detector.partial_fit(X[1:60])
    assert any((p.numpy() != value).any()
               for p, value in zip(detector.members_[0].network_.parameters(), before, strict=True))
    assert detector.threshold_ == threshold
    np.testing.assert_array_equal(detector.spreads_, spreads)
    while detector._held_out.aside < 100:
        assert detector.threshold_ == threshold
        detector.partial_fit(X[60:160])
    assert detector.threshold_ != threshold and all((a != b).any() for a, b in
                                                    zip(detector.spreads_, spreads, strict=True))


def test_a_calibration_is_for_the_model_as_it_is():
    detector = in_parts(tied_features(500, 0), 100).calibrate(tied_features(500, 1), 0.4)
    threshold = detector.threshold_
    assert detector.partial_fit(tied_features(100, 2)).threshold_ > threshold


# -------------------------------------------------------------------- data and settings of every kind

def test_row_by_row():
    X = tied_features(30, 0)
    detector = AnomalyDetector(**QUICK).partial_fit(X[:2])
    for i in range(2, 30):
        detector.partial_fit(X[i:i + 1])
    assert np.isfinite(detector.anomaly_score(X)).all() and detector._held_out.seen == 30
    narrow = AnomalyDetector(**QUICK).partial_fit(X[:2, :1]).partial_fit(X[2:, :1])
    assert np.isfinite(narrow.anomaly_score(X[:, :1])).all() and narrow.n_features_in_ == 1
    same = AnomalyDetector(**QUICK).partial_fit(np.ones((5, 2))).partial_fit(np.ones((50, 2)))
    assert (same.predict(np.ones((9, 2))) == 1).all()


@pytest.mark.parametrize("settings", [
    {"noise": ()}, {"far_out": False}, {"members": 2, "dtype": "float64"}, {"scaling": "shared"}, {"trim": 0.9},
    {"model": Autoencoder([8], 3, epochs=2, patience=1), "members": 2},
])
def test_settings(settings):
    X = tied_features(300, 0)
    detector = in_parts(X, 100, **settings)
    assert np.isfinite(detector.contributions(X)).all()
    assert 0 < (detector.predict(X) == -1).mean() < 0.3


def test_a_stream_and_long_parts_are_worked_on_block_by_block(monkeypatch):
    monkeypatch.setattr("miniae.tasks.detection._BLOCK", 64)
    X = tied_features(200, 0)
    whole = AnomalyDetector(**QUICK).partial_fit(X)
    stream = AnomalyDetector(**QUICK).partial_fit(Stream(lambda: np.array_split(X, 7)))
    np.testing.assert_array_equal(stream.anomaly_score(X), whole.anomaly_score(X))
    assert len(whole.members_[0].history_) == 4
    stream.partial_fit(lambda: np.array_split(X, 3))


def test_parts_that_can_not_be_change_nothing():
    X = tied_features(100, 0)
    detector = AnomalyDetector(**QUICK)
    holes = X.copy()
    holes[3, 1] = np.inf
    for part, message in ((X[:1], r"expected at least 2 \(n_samples=1\)"), (X[:0], "a minimum of 1 is required"),
                          (holes, r"inf at index \(3, 1\)"), (1e200 * X, "where squares overflow")):
        with pytest.raises(ValueError, match=message):
            detector.partial_fit(part)
    with pytest.raises(ValueError, match="contamination"):
        AnomalyDetector(contamination=2).partial_fit(X)
    with pytest.raises(NotFittedError):
        detector.predict(X)
    detector.partial_fit(X)
    before, twin = detector.anomaly_score(X), copy.deepcopy(detector)
    for part, message in ((X[:, 1:], "expecting 6 features"), (X[:0], "a minimum of 1 is required"), (holes, "inf at"),
                          (1e200 * X, "where squares overflow"), (X[0], "expected .samples, features.")):
        with pytest.raises(ValueError, match=message) as caught:
            detector.partial_fit(part)
        assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(detector.anomaly_score(X), before)
    for one in (detector, twin):
        one.partial_fit(X)
    assert detector.threshold_ == twin.threshold_


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_names_of_features(library):
    lib = pytest.importorskip(library, reason="frames of it are read")
    frame = lib.DataFrame({name: column for name, column in zip("abcdef", tied_features(60, 0).T, strict=True)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = AnomalyDetector(**QUICK).partial_fit(frame[:30]).partial_fit(lambda: [frame[30:]])
    assert detector.feature_names_in_.tolist() == list("abcdef")
    for part in (frame[list("fedcba")], lambda: [frame[list("fedcba")]]):
        with pytest.raises(ValueError, match="names should match"):
            detector.partial_fit(part)
