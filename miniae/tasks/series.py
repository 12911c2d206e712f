"""Finding the odd moments of a series: `SeriesDetector`."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from miniae.backend import Backend
from miniae.data import Windows
from miniae.data.errors import a_kind
from miniae.data.storage import extra_of, reading, save_tensors, under
from miniae.models import Autoencoder
from miniae.tasks.detection import AnomalyDetector, check_share
from miniae.tasks.scales import middle_and_scale
from miniae.training import Estimator, NotFittedError, check_count

__all__ = ["Segment", "SeriesDetector", "period", "window_for"]

_FORMAT = 1
NORMALISATIONS = ("series", "level", "window")

# How many windows are learned from, at most, and how many of them see each moment that is scored, about.
_WINDOWS, _OVERLAP = 1 << 13, 16

# The shortest and the longest window that is chosen, in moments, where a user names none.
_SHORTEST, _LONGEST = 64, 512

# What a window is divided by is at least this share of the usual deviation, so that noise in flat ones stays small.
_LEAST = 0.1


class Segment(NamedTuple):
    """An anomaly: moments `start` to before `end`, the oddest of them `peak`, and its score."""

    start: int
    end: int
    peak: int
    score: float


class SeriesDetector(Estimator):
    """Says how odd each moment of a series is, and where its anomalies are.

    The series (T,) or (T, channels) is cut into windows of w moments. An `AnomalyDetector` over windows, denoising
    autoencoders by default, learns what they look like from a part of the series. How odd a moment t is, is what these
    get wrong about it, in all windows i that see it, from the corner c_i on, weighted by a Hann window g (a window's
    ends lack what comes before and after):

        s(t) = sum_i g(t - c_i) e_i(t - c_i) / sum_i g(t - c_i)        e_i : the contribution of that moment to the
                                                                             score of window i, all channels together

    averaged over the `smooth` moments around t, as errors have zeros in the middle of what is odd, and divided by its
    mean over the last part of the series, which was not learned: 1 is usual. The threshold is a quantile of the scores
    of the series, that part included.

    Parameters
    ----------
    window : w, in moments. None takes as many whole periods of the series (see `period`) as make at least 64 moments,
        but no more than 512 moments.
    smooth : over how many moments scores are averaged. None: a quarter of the window.
    normalise : what is taken from windows before anything else, so that it can't be odd. "window" takes off the mean of
        each channel and divides by its deviation, which leaves the shape; "level" takes off the mean alone, so that a
        shape that is too large or too small is odd; and "series" neither, so that a wrong level is odd, too.
    contamination : the share of the moments taken to be anomalies, which the threshold cuts off. 0 for clean series.
    false_alarms : where `contamination` is 0, the share of the fitted moments which the threshold cuts off all the
        same. In series of fewer moments than one over this, the largest score is the threshold.
    held_out : the share of the series, its end, that is not learned, so that its scores are those of new moments. 0
        learns all, and takes those for new that were learned: scores of new ones come out larger.
    noise, members, hidden, updates, trim, model : as in `AnomalyDetector`, with less noise, as the moments of a window
        say more of each other than features do. A `model`'s samples are windows (channels,
        w): `models.SeriesAutoencoder(corruption=[nn.GaussianNoise(0.3)])` is one of convolutions over time.
    seed, dtype, backend : as in `Autoencoder`.

    Attributes
    ----------
    window_ : the length of the windows.
    threshold_ : the score above which a moment is an anomaly.
    detector_ : the `AnomalyDetector` of the windows.

    >>> import numpy as np
    >>> t = np.arange(1200)
    >>> x = np.sin(2 * np.pi * t / 40) + 0.05 * np.random.default_rng(0).normal(size=1200)
    >>> detector = SeriesDetector(updates=150).fit(x)
    >>> detector.window_
    80
    >>> new = np.sin(2 * np.pi * t / 40)
    >>> new[600:620] *= -1
    >>> [found] = detector.segments(new)
    >>> 520 < found.start < 600 <= found.peak < 620 < found.end < 700
    True

    Reconstruction errors of windows as scores: Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly
    detection", 2016.
    """

    extra_: dict[str, Any]

    def __init__(self, window: int | None = None, *, smooth: int | None = None, normalise: str = "window",
                 contamination: float = 0.0, false_alarms: float = 1e-4, held_out: float = 0.2,
                 noise: Sequence[float] = (0.3, 0.1), members: int = 1, hidden: int | None = None, updates: int = 600,
                 trim: float = 0.25, model: Autoencoder | None = None, seed: int = 0, dtype: str = "float32",
                 backend: str | Backend | None = None):
        self.window, self.smooth, self.normalise, self.contamination = window, smooth, normalise, contamination
        self.false_alarms, self.held_out, self.noise, self.members = false_alarms, held_out, noise, members
        self.hidden, self.updates, self.trim, self.model = hidden, updates, trim, model
        self.seed, self.dtype, self.backend = seed, dtype, backend

    # ---------------------------------------------------------------- training

    def fit(self, x: Any, y: Any = None) -> SeriesDetector:
        """Learn what a series usually looks like. x: (T,) or (T, channels), finite numbers; y is not used.

        Raises `ValueError` for series and parameters that can't be used.
        """
        self._check_parameters()
        x = _series(x)
        with self._unless_refused():
            end = len(x) - int(self.held_out * len(x))
            learned, rest = x[:end], x[end:]
            self.channels_ = x.shape[1]
            self.middle_, self.scale_ = middle_and_scale(learned, "robust")
            self.window_ = self.window or window_for(learned)
            if len(learned) < 2 * self.window_ or 0 < len(rest) < self.window_:
                raise ValueError(f"{len(x):,} moments are too few for windows of {self.window_}: {len(learned)} would "
                                 f"be learned, expected at least {2 * self.window_}, and {len(rest)} held out, at "
                                 f"least {self.window_}: give a longer series, or a smaller window")
            places = len(learned) - self.window_ + 1
            windows = Windows(len(learned), self.window_, min(math.ceil(places / _WINDOWS), self.window_))
            cut = self._normalised(windows.cut(self._scaled(learned)))
            self.detector_ = AnomalyDetector(
                contamination=self.contamination, trim=self.trim, noise=self.noise, members=self.members,
                hidden=self.hidden, updates=self.updates, scaling="shared", far_out=False, model=self.model,
                seed=self.seed, dtype=self.dtype, backend=self.backend).fit(cut)
            parts = self._channel_errors(x)
            self.usual_ = float(parts[-len(rest):].sum(axis=1).mean()) or 1.0
            self._cut((parts / self.usual_).sum(axis=1), self.contamination or self.false_alarms)
        return self

    def calibrate(self, x: Any, false_alarms: float = 1e-4) -> SeriesDetector:
        """Set the threshold so that it cuts off the share `false_alarms` of the moments of x, (T,) or (T, channels): a
        clean series, best of all one that was not fitted."""
        self._cut(self.anomaly_score(x), check_share("false_alarms", false_alarms, "moments"))
        return self

    def _cut(self, scores: np.ndarray, share: float) -> None:
        self.threshold_ = float(np.quantile(scores, 1.0 - share, method="higher"))

    def _check_parameters(self) -> None:
        """Those that `AnomalyDetector` does not check."""
        for name in ("window", "smooth"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), least=2 if name == "window" else 1)
        if self.normalise not in NORMALISATIONS:
            raise ValueError(f"unknown normalise {self.normalise!r}: expected one of {', '.join(NORMALISATIONS)}")
        for name in ("held_out", "contamination", "false_alarms"):
            check_share(name, getattr(self, name), "moments")

    # ---------------------------------------------------------------- scores

    def anomaly_score(self, x: Any) -> np.ndarray:
        """How odd each moment of a series is: near 1 where it is as usual, and larger is worse. (T,) or (T, channels)
        to (T,), float64. Raises `ValueError` for series of other channels, or shorter than a window."""
        return self.channel_scores(x).sum(axis=1)

    def channel_scores(self, x: Any) -> np.ndarray:
        """What each channel adds to the moments' `anomaly_score`: (T,) or (T, channels) to (T, channels), float64."""
        return self._channel_errors(self._checked(x)) / self.usual_

    def _channel_errors(self, x: np.ndarray) -> np.ndarray:
        """`channel_scores` before they are in units of what is usual."""
        w = self.window_
        windows = Windows(len(x), w, max(w // _OVERLAP, 1))
        parts = (self.detector_.contributions(self._normalised(block)) for block in windows.blocks(self._scaled(x)))
        scores = windows.overlay(parts, np.hanning(w + 2)[1:-1]) * w
        return np.stack([_moving_mean(channel, self.smooth or max(w // 4, 1)) for channel in scores], axis=1)

    def predict(self, x: Any) -> np.ndarray:
        """-1 for moments that are anomalies and 1 for others, (T,), as scikit-learn's outlier detectors have it."""
        return np.where(self.anomaly_score(x) > self._fitted().threshold_, -1, 1)

    def segments(self, x: Any) -> list[Segment]:
        """The anomalies of a series: its stretches above the threshold, those less than a quarter of a window apart
        taken together, in order of time."""
        return self.segments_of(self.anomaly_score(x))

    def segments_of(self, scores: np.ndarray) -> list[Segment]:
        """`segments` by scores (T,) that there are already."""
        odd = np.flatnonzero(scores > self._fitted().threshold_)
        if not len(odd):
            return []
        apart = np.flatnonzero(np.diff(odd) > max(self.window_ // 4, 1))
        starts, ends = odd[np.append(0, apart + 1)], odd[np.append(apart, len(odd) - 1)] + 1
        peaks = [s + int(np.argmax(scores[s:e])) for s, e in zip(starts, ends, strict=True)]
        return [Segment(int(s), int(e), int(p), float(scores[p])) for s, e, p in zip(starts, ends, peaks, strict=True)]

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        """(T, channels) to (channels, T)."""
        return ((x - self.middle_) / self.scale_).T

    def _normalised(self, windows: np.ndarray) -> np.ndarray:
        """Windows (N, channels, w) without what can't be odd."""
        if self.normalise == "series":
            return windows
        windows = windows - windows.mean(axis=-1, keepdims=True)
        if self.normalise == "window":
            windows /= np.maximum(windows.std(axis=-1, keepdims=True), _LEAST)
        return windows

    def _checked(self, x: Any) -> np.ndarray:
        x = _series(x)
        if x.shape[1] != self._fitted().channels_:
            raise ValueError(f"the series has {x.shape[1]} channels, this detector was made for {self.channels_}: give "
                             "(T, channels) of the same kind")
        if len(x) < self.window_:
            raise ValueError(f"the series has {len(x):,} moments, fewer than a window of {self.window_}: give a longer "
                             "one")
        return x

    def _fitted(self) -> SeriesDetector:
        if not hasattr(self, "threshold_"):
            raise NotFittedError("this SeriesDetector is not fitted yet: call fit first, or load one")
        return self

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str], extra: dict[str, Any] | None = None) -> None:
        """Write all that `load` needs to one safetensors file, with a checksum. `extra` is JSON to keep with it."""
        self._fitted()
        tensors, detector = self.detector_.contents()
        tensors = {f"detector.{name}": a for name, a in tensors.items()}
        own = self.get_params(deep=False)
        params = {name: value for name, value in own.items() if name not in ("model", "backend")}
        save_tensors(path, {"middle": self.middle_, "scale": self.scale_, **tensors},
                     {"format": _FORMAT, "kind": "series detector",
                      "params": {**params, "noise": list(map(float, self.noise))}, "detector": detector,
                      "window": self.window_, "usual": self.usual_, "threshold": self.threshold_, "extra": extra or {}})

    @classmethod
    def load(cls, path: str | os.PathLike[str], backend: str | Backend | None = None) -> SeriesDetector:
        """The detector in a file that `save` wrote, which gives the same answers. What was saved as `extra` is in its
        `extra_`. Nothing in the file is run. Raises `StorageError` for files that are missing, damaged (by their
        checksum), of another kind or of a later format."""
        expected = "a detector for series: fit one by miniae series --fit, or SeriesDetector.save"
        with reading(path, "series detector", _FORMAT, expected) as (tensors, header):
            detector = cls(**header["params"], backend=backend)
            detector.detector_ = AnomalyDetector.of_contents(under("detector.", tensors), header["detector"], path,
                                                             backend)
            detector.model = detector.detector_.model
            detector.middle_, detector.scale_ = tensors["middle"], tensors["scale"]
            detector.channels_, detector.window_ = len(detector.middle_), header["window"]
            detector.usual_, detector.threshold_ = header["usual"], header["threshold"]
            detector.extra_ = extra_of(header)
        return detector


def window_for(x: Any) -> int:
    """The length of the windows of a series (T,) or (T, channels): whole periods of it, at least 64 moments, unless
    that makes more than 512."""
    turn = period(x)
    return min(turn * math.ceil(_SHORTEST / turn), _LONGEST)


def period(x: Any, most: int | None = None) -> int:
    """How many moments one turn of a series (T,) or (T, channels) takes: the lag at which it is most like itself.

    That is the largest local maximum of the autocorrelation, the mean of those of all channels, after it was negative
    once, of lags up to `most` (a quarter of the series if None). Where there is none, as in what has no period, the
    lag at which the autocorrelation first comes down to 0, times 4: a turn, if that was a quarter of one.
    """
    x = _series(x)
    most = min(most or len(x) // 4, len(x) - 1)
    deviation = x - x.mean(axis=0)
    deviation = np.ldexp(deviation, -np.frexp(np.abs(deviation).max(axis=0))[1])  # whose squares fit into float64
    spectrum = np.fft.rfft(deviation, 2 * len(x), axis=0)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:most + 1]
    correlation = (correlation / np.maximum(correlation[0], 1e-300)).mean(axis=1)
    negative = np.flatnonzero(correlation <= 0)
    if not len(negative):
        return max(most, 1)
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner >= correlation[:-2]) & (inner > correlation[2:]))
    peaks = peaks[(peaks > negative[0]) & (correlation[peaks] > 0)]
    return int(peaks[np.argmax(correlation[peaks])]) if len(peaks) else max(min(4 * int(negative[0]), most), 1)


def _moving_mean(scores: np.ndarray, size: int) -> np.ndarray:
    """The mean of the `size` values around each, of those that there are."""
    size = min(size, len(scores))
    ones = np.ones(size)
    return np.convolve(scores, ones, "same") / np.convolve(np.ones(len(scores)), ones, "same")


def _series(x: Any) -> np.ndarray:
    """x as (T, channels), float64."""
    try:
        x = np.asarray(x, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"a series is (T,) or (T, channels), numbers; got {a_kind(x)} that is no array of "
                         "them") from None
    if x.ndim not in (1, 2) or not x.size:
        raise ValueError(f"a series is (T,) or (T, channels), got an array of shape {x.shape}")
    x = x[:, None] if x.ndim == 1 else x
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        value = x[bad[0]][~np.isfinite(x[bad[0]])][0]
        raise ValueError(f"the series holds {value} at moment {bad[0]}, expected finite numbers: fill in or cut out "
                         "what is missing")
    return x
