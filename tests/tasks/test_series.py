"""SeriesDetector."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import SeriesDetector
from miniae.data import StorageError
from miniae.models import SeriesAutoencoder
from miniae.nn import GaussianNoise
from miniae.report import series_scores, spectrograms
from miniae.tasks import period
from miniae.training import NotFittedError

QUICK = dict(noise=(0.3,), updates=150)


def beats(n, seed=0, length=40):
    """A wave with a peak, (n,), as in no two turns the same."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    return np.exp(-np.square((t % length - 12) / 3.0)) * 3 + np.sin(2 * np.pi * t / length) + 0.05 * rng.normal(size=n)


def pair(n, seed=0):
    """Two channels of different units, one of which follows the other."""
    x = beats(n, seed)
    return np.stack([x, 100.0 + 20.0 * np.roll(x, 7)], axis=1)


@pytest.fixture(scope="module")
def detector():
    return SeriesDetector(**QUICK).fit(beats(1600))


def test_what_is_odd_is_found_and_nothing_else(detector):
    assert detector.window_ == 80 and detector.channels_ == 1
    x = beats(1600, 1)
    assert (detector.predict(x) == -1).mean() < 0.01
    odd = np.zeros(1600, bool)
    for start, change in ((400, lambda v: -v), (900, np.zeros_like), (1300, lambda v: v[::-1])):
        odd[start:start + 40] = True
        x[start:start + 40] = change(x[start:start + 40])
    segments = [found for found in detector.segments(x) if found.score > 10]
    assert len(segments) == 3
    scores = detector.anomaly_score(x)
    for found, start in zip(segments, (400, 900, 1300), strict=True):
        assert start - 80 < found.start <= found.peak < found.end < start + 120
        assert start - 20 <= found.peak < start + 60
        assert found.score == scores[found.peak] == scores[found.start:found.end].max() > detector.threshold_
    assert scores[~odd].min() > 0 and 0.5 < np.median(scores) < 2.0


def test_the_channel_that_is_odd_is_named():
    detector = SeriesDetector(**QUICK).fit(pair(1600))
    x = pair(800, 1)
    x[300:330, 1] = x[330:360, 1]
    parts = detector.channel_scores(x)
    np.testing.assert_allclose(parts.sum(axis=1), detector.anomaly_score(x))
    peak = int(detector.anomaly_score(x).argmax())
    assert 280 < peak < 380
    assert SeriesDetector(**QUICK).fit(pair(1600) * [1.0, 50.0]).threshold_ == pytest.approx(
        detector.threshold_, rel=0.05), "units do not matter"


def test_levels_and_sizes_that_may_vary():
    x = beats(1600, 1)
    x[800:] = 5.0 + x[800:]
    by = {kind: SeriesDetector(normalise=kind, **QUICK).fit(beats(1600)) for kind in ("series", "level", "window")}
    away = np.r_[0:700, 900:1600]  # not where the level jumps
    high = {kind: (detector.predict(x)[away] == -1).mean() for kind, detector in by.items()}
    assert high["series"] > 0.4 and high["level"] < 0.1 and high["window"] < 0.1
    twice = {kind: (detector.predict(2.0 * beats(1600, 1)) == -1).mean() for kind, detector in by.items()}
    assert twice["level"] > 0.2 and twice["window"] < 0.1
    assert np.isfinite(by["window"].anomaly_score(np.full(300, 7.0))).all()


def test_convolutions_over_time(tmp_path):
    model = SeriesAutoencoder((4, 8), 8, corruption=[GaussianNoise(0.3)], epochs=8, lr=3e-3)
    detector = SeriesDetector(model=model).fit(pair(1200))
    assert detector.detector_.input_shape_ == (2, detector.window_)
    x = pair(800, 1)
    x[400:420, 0] = 3.0
    assert 380 < detector.anomaly_score(x).argmax() < 440
    detector.save(tmp_path / "d.safetensors")
    loaded = SeriesDetector.load(tmp_path / "d.safetensors")
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))
    assert isinstance(loaded.model, SeriesAutoencoder)


def test_a_file_gives_the_same_answers(detector, tmp_path):
    path = tmp_path / "d.safetensors"
    detector.save(path, extra={"rate": 250})
    loaded = SeriesDetector.load(path)
    x = beats(500, 3)
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))
    assert loaded.segments(-x) == detector.segments(-x) and loaded.extra_ == {"rate": 250}
    assert loaded.threshold_ == detector.threshold_ and loaded.get_params()["updates"] == 150
    data = path.read_bytes()
    for name, damaged, message in (("flipped", data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], "checksum"),
                                   ("cut", data[:-200], "damaged"), ("empty", b"", "damaged")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(StorageError, match=message):
            SeriesDetector.load(tmp_path / name)
    detector.detector_.save(path)
    with pytest.raises(StorageError, match="holds a detector, expected a detector for series"):
        SeriesDetector.load(path)


def test_the_threshold_is_a_quantile(detector):
    x = beats(1600, 5)
    again = SeriesDetector(**QUICK).fit(beats(1600))
    assert again.threshold_ == detector.threshold_, "the same seed"
    again.calibrate(x, 0.05)
    assert (again.predict(x) == -1).mean() == pytest.approx(0.05, abs=0.002)
    contaminated = SeriesDetector(contamination=0.1, **QUICK).fit(x)
    assert (contaminated.predict(x) == -1).mean() == pytest.approx(0.1, abs=0.002)


def test_strict_backend_and_the_shortest_series(detector):
    x = beats(400)
    found = [SeriesDetector(40, updates=20, noise=(0.3,), hidden=8, backend=name).fit(x).anomaly_score(x[:40])
             for name in ("numpy", "strict")]
    np.testing.assert_allclose(*found, rtol=1e-3)
    assert detector.anomaly_score(beats(80)).shape == (80,)


@pytest.mark.parametrize("x, message", [
    (beats(79), "79 moments, fewer than a window of 80"), (np.zeros((200, 2)), "2 channels, this detector .* for 1"),
    (np.where(np.arange(200) == 5, np.inf, 0.0), "inf at moment 5"),
    (np.zeros((3, 2, 2)), r"\(T,\) or \(T, channels\)"), ("beats", "no array of"), ([], r"shape \(0,\)")])
def test_series_that_can_not_be_used(detector, x, message):
    with pytest.raises(ValueError, match=message) as caught:
        detector.anomaly_score(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings, message", [
    (dict(window=1), "window"), (dict(smooth=0), "smooth"), (dict(normalise="day"), "unknown normalise 'day'"),
    (dict(held_out=1.0), "held_out"), (dict(window=300), "too few for windows of 300"), (dict(noise=()), "noise"),
    (dict(model="dense"), "expected an Autoencoder")])
def test_parameters_that_can_not_be_used(settings, message):
    with pytest.raises(ValueError, match=message):
        SeriesDetector(**settings).fit(beats(500))


def test_not_fitted():
    with pytest.raises(NotFittedError, match="call fit first"):
        SeriesDetector().predict(beats(100))


def test_period():
    for length in (7, 40, 133):
        assert period(beats(20 * length, length=length)) == length
    assert period(np.stack([beats(800), 0.1 * beats(800, 1)], axis=1)) == 40
    assert 1 <= period(np.arange(50.0)) <= 50 and period([1.0]) == 1 and period(np.zeros(30)) >= 1


def test_picture(detector, tmp_path):
    x = beats(400)
    scores = detector.anomaly_score(x)
    series_scores(tmp_path / "a.png", x, scores, detector.threshold_, found=[(50, 90)], odd=np.arange(400) < 9)
    series_scores(tmp_path / "b.png", pair(400), scores, time=np.arange(400) / 250, names=["left", "right"])
    assert min((tmp_path / name).stat().st_size for name in ("a.png", "b.png")) > 5000
    with pytest.raises(ValueError, match="expected one a moment"):
        series_scores(tmp_path / "c.png", x, scores[1:])


def test_spectrograms(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "a.png"
    sounds = {"noise": rng.normal(size=2000), "silence": np.zeros(1500), "a sine": np.sin(0.5 * np.arange(2000))}
    spectrograms(path, sounds, 8000, 128, 32, columns=2)
    first = path.read_bytes()
    spectrograms(path, sounds, 8000, 128, 32, columns=2)
    assert path.read_bytes() == first and len(first) > 5000
    with pytest.raises(ValueError, match="no sounds to draw"):
        spectrograms(path, {}, 8000)
    with pytest.raises(ValueError, match="a sound is"):
        spectrograms(path, {"two channels": np.zeros((9, 2))}, 8000)
    assert path.read_bytes() == first


@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1e300])
def test_a_period_does_not_depend_on_the_unit(scale):
    x = np.sin(2 * np.pi * np.arange(600) / 30) + 0.1 * np.random.default_rng(0).normal(size=600)
    assert period(scale * x) == period(x) == 30
    assert period(np.stack([scale * x, x], axis=1)) == 30
