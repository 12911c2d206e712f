"""Finding the odd rows: `AnomalyDetector`."""

from __future__ import annotations

import contextlib
import copy
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.data.errors import a_kind
from miniae.data.sparse import Sparse
from miniae.data.storage import extra_of, reading, save_tensors, under
from miniae.data.stream import Stream
from miniae.models import Autoencoder, DenoisingAutoencoder, MixedScales
from miniae.models.files import contents, model_of
from miniae.tasks.held_out import HeldOut
from miniae.tasks.scales import check_range, middle_and_scale, some_rows
from miniae.training import Estimator, NotFittedError, check_count, check_number, epochs_for

__all__ = ["AnomalyDetector"]

_FORMAT = 1
SCALINGS = ("robust", "shared")

# How many rows scales, thresholds and members are made from at most, and how many are scored at once.
_POOL, _BLOCK = 1 << 15, 1 << 13

# How much rounding in float32 changes a score at most, as a share of it.
_ROUNDING = 1e-5

# The share of a member's rows that its early stopping and its spreads are measured on.
_HELD_OUT = 0.2

# On how many rows at least `partial_fit` finds spreads and threshold anew, where there are those of `fit` or of a file.
_ENOUGH = 100

# From so many scales from the middle on, values grow by their logarithm only.
FAR = 3.0


class AnomalyDetector(Estimator):
    """Says how odd each row is, how much each of its features has to do with that, and which rows are anomalies.

    A denoising autoencoder learns x from x + noise. With noise of deviation s the best it can answer is
    E[x | x + noise], and what it then gets wrong about a row is, by Tweedie's formula, the slope of the log-density
    of the data blurred by that noise:

        x - f(x) = -s^2 grad log p_s(x)        for Gaussian data of covariance C:  s^2 (C + s^2)^-1 (x - mean)

    Little noise weighs directions in which the data hardly vary: rows *off the manifold* stand out, as by the
    Mahalanobis distance. With ever more noise the answer is the middle of the data, whatever x is, and the error x
    itself: rows that are *far out* stand out, as by the squared norm of the z-scores. So the detector has a member for
    each of several levels of noise, and one for infinite noise, which needs no network. Hidden units are bounded
    (tanh): outputs are bounded then, and no row is so far out that it is reconstructed well. The score is the mean
    over members m and features j

        score(x) = mean_m mean_j e_mj(x)^2 / v_mj        v_mj : mean of e_mj^2 on held-out rows + a tenth of all v_m's

    which is near 1 for rows like those that were learned, and the sum of the contributions of the features.

    Data to fit may be contaminated. Members come in order of falling noise, and none is shown the share `trim` of the
    rows which those before it find oddest: a group of anomalies that is large enough to be learned is far out at first.
    Features are scaled by median and winsorised deviation, and beyond 3 scales grow by
    their logarithm only, so that single huge values neither set the scale nor drown the rest.

    Parameters
    ----------
    contamination : the share of the fitted rows taken to be anomalies, which the threshold cuts off. 0 for clean data,
        all of which are learned.
    trim : the share of the rows, the oddest ones, that are not learned, unless the data are clean. It should be larger
        than the share of anomalies that is to be feared.
    false_alarms : where `contamination` is 0, the share of the fitted rows that the threshold cuts off all the same.
    noise : the levels of Gaussian noise, in units of the scaled features: a trained member for each.
    members : how many trained members there are for each level, of different seeds and rows.
    hidden : units of each of the three hidden layers, the code among them; it is noise that keeps members from copying.
        None: 4 for each feature, from 64 to 256.
    updates : optimizer steps a member is trained for, at most. Training ends early when the loss of the rows that are
        held out does not fall.
    max_samples : rows that a member is trained on, at most; drawn anew for each. In `partial_fit` the rows that are
        kept to measure on, at most.
    scaling : "robust" scales each feature on its own, "shared" all of them alike: for pixels, or what has one unit.
    far_out : whether the member of infinite noise counts in the score. Without it, rows are odd by what the others
        get wrong about them alone, however far out they are: for windows of a series, say, whose usual peaks are.
    model : an `Autoencoder` of any kind and with layers of your own: its copies, of other seeds, are the members,
        `members` of them, instead of those that `noise`, `hidden` and `updates` describe.
    seed, dtype, backend : as in `Autoencoder`.

    Attributes
    ----------
    threshold_ : the `anomaly_score` from which on a row is an anomaly.
    members_ : the trained autoencoders.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.repeat(rng.normal(size=(500, 1)), 4, axis=1) + 0.1 * rng.normal(size=(500, 4))
    >>> detector = AnomalyDetector(contamination=0).fit(X)
    >>> detector.predict([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, -1.0, 1.0]]).tolist()
    [1, -1]
    >>> int(detector.contributions([[1.0, 1.0, -1.0, 1.0]]).argmax())
    2

    Vincent, "A connection between score matching and denoising autoencoders", Neural Computation 23, 2011; Alain and
    Bengio, "What regularized auto-encoders learn from the data-generating distribution", JMLR 15, 2014. Learning from
    three quarters of the rows, those that fit best: Rousseeuw and Van Driessen, "A fast algorithm for the minimum
    covariance determinant estimator", Technometrics 41, 1999.
    """

    estimator_kind = "outlier_detector"
    extra_: dict[str, Any]
    members_: list[Autoencoder]
    spreads_: list[np.ndarray]
    _held_out: HeldOut | None = None  # of `partial_fit`
    _least: int  # how many rows it needs there to measure

    def __init__(self, *, contamination: float = 0.1, trim: float = 0.25, false_alarms: float = 0.01,
                 noise: Sequence[float] = (0.5, 0.3), members: int = 1, hidden: int | None = None,
                 updates: int = 600, max_samples: int = 4096, scaling: str = "robust", far_out: bool = True,
                 model: Autoencoder | None = None, seed: int = 0, dtype: str = "float32",
                 backend: str | Backend | None = None):
        self.contamination, self.trim, self.false_alarms = contamination, trim, false_alarms
        self.noise, self.members, self.hidden, self.updates = noise, members, hidden, updates
        self.max_samples, self.scaling, self.far_out, self.model = max_samples, scaling, far_out, model
        self.seed, self.dtype, self.backend = seed, dtype, backend

    # ---------------------------------------------------------------- training

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Learn what rows usually look like. X: (N, ...), finite numbers, at least 2 rows; y is not used.

        Raises `ValueError` for data and parameters that can't be used.
        """
        with self._unless_refused():
            self._check_parameters()
            rng = np.random.default_rng(self.seed)
            _, pool = self._begin(X, rng)
            rows = self._scaled(pool)
            errors = np.square(rows)
            self.members_, self.spreads_ = [], [_spread(errors)]
            oddness = _member_score(errors, self.spreads_[0])
            scores = oddness * self.far_out
            for model in self._models():
                self._add_member(model, rows, oddness, rng)
                score = _member_score(self._errors(self.members_[-1], rows), self.spreads_[-1])
                scores, oddness = scores + score, oddness * score
            self._cut(scores / self._counting, self.contamination or self.false_alarms)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Learn from one more part of the data, gone through once. X: (N, ...), finite numbers; y is not used.

        What differs from `fit`:

        - middles and scales are those of the first part, of at least 2 rows, some hundred better;
        - of the rows that come a random fifth is set aside, and not trained on (unless they are given once more). A
          uniform sample of these, `max_samples` at most, is kept, and after every part each member's spreads and the
          threshold are found anew on it (also after `calibrate`);
        - each member is trained for one epoch on the part's other rows that the members before it find no odder than
          the share 1 - `trim` of the sample. `updates` plays no role: how long it trains is how often it is called.

        After `fit` or `load`, which keep no rows, it goes on with those members and scales; spreads and threshold stay
        until 100 rows have been set aside anew, of some 500. A pickle holds the sample, a file does not.
        """
        with self._unless_refused():
            if hasattr(self, "threshold_"):
                X, least = self._samples(X, self.input_shape_), min(_ENOUGH, self.max_samples)
                check_range(X)
            else:
                self._check_parameters()
                X, _ = self._begin(X, np.random.default_rng(self.seed))
                self.members_, self.spreads_, least = list(self._models()), [], 1
            if self._held_out is None:
                self._least, self._held_out = least, HeldOut(_HELD_OUT, self.max_samples, self.seed)
            for start in range(0, len(X), _BLOCK):
                self._held_out = copy.copy(self._held_out)
                self._learn(self._held_out.take(self._scaled(X[start:start + _BLOCK])), self._held_out.rows)
        return self

    def _begin(self, X: Any, rng: np.random.Generator) -> tuple[np.ndarray | Sparse | Stream, np.ndarray]:
        """The checked rows to learn from, and those that set the scales, which are found."""
        X = self._first_samples(X)
        if len(X) < 2:
            raise ValueError("X has 1 row, expected at least 2 (n_samples=1): there is nothing to compare it with")
        check_range(X)
        pool = some_rows(rng, X, _POOL)
        self.input_shape_, self.n_features_in_ = X.shape[1:], math.prod(X.shape[1:])
        self.middle_, self.scale_ = middle_and_scale(pool, self.scaling)
        self._held_out = None
        return X, pool

    def _learn(self, rows: np.ndarray, sample: np.ndarray) -> None:
        """Train every member on those of these scaled rows that it is shown, and measure on the sample."""
        n, trim, anew = len(sample), self.trim if self.contamination else 0.0, len(sample) >= self._least
        both = np.concatenate([sample, rows])
        errors = np.square(both)
        spreads = [_spread(errors[:n]) if anew else self.spreads_[0]]
        oddness = _member_score(errors, spreads[0])
        scores = oddness * self.far_out
        for i, member in enumerate(self.members_):
            usual = oddness <= (np.quantile(oddness[:n], 1 - trim, method="higher") if trim else np.inf)
            shown = rows[usual[n:]]
            if not len(shown) and not hasattr(member, "network_"):
                shown = rows[[oddness[n:].argmin()]]
            if len(shown):
                with _scaled_here():
                    member.partial_fit(shown)
            errors = self._errors(member, both)
            spreads.append(_spread(errors[:n][usual[:n]]) if anew else self.spreads_[i + 1])
            score = _member_score(errors, spreads[-1])
            scores, oddness = scores + score, oddness * score
        self.spreads_ = spreads
        if anew:
            self._cut(scores[:n] / self._counting, self.contamination or self.false_alarms)

    def calibrate(self, X: Any, false_alarms: float = 0.01) -> AnomalyDetector:
        """Set the threshold so that it cuts off the share `false_alarms` of X, (N, ...): clean rows, best of all ones
        that were not fitted."""
        self._cut(self.anomaly_score(X), check_share("false_alarms", false_alarms))
        return self

    def _cut(self, scores: np.ndarray, share: float) -> None:
        # A row's score differs in its last digits with the rows beside it: those that equal the quantile lie below.
        self.threshold_ = float(np.quantile(scores, 1.0 - share)) * (1.0 + _ROUNDING)

    def _check_parameters(self) -> None:
        for name in ("contamination", "trim", "false_alarms"):
            check_share(name, getattr(self, name))
        for level in self.noise:
            check_number("every level of noise", level)
        for name in ("members", "updates", "max_samples"):
            check_count(name, getattr(self, name))
        if self.hidden is not None:
            check_count("hidden", self.hidden)
        check_count("seed", self.seed, least=0)
        if self.scaling not in SCALINGS:
            raise ValueError(f"unknown scaling {self.scaling!r}: expected one of {', '.join(SCALINGS)}")
        if not isinstance(self.far_out, bool) or not (self.far_out or self.model is not None or len(self.noise)):
            raise ValueError(f"far_out is True or False, and True where there are no levels of noise; got "
                             f"{self.far_out!r}")
        if self.model is not None and not isinstance(self.model, Autoencoder):
            raise ValueError(f"model is {a_kind(self.model)}, expected an Autoencoder, of any kind")

    def _models(self) -> Iterator[Autoencoder]:
        """The members to be trained, in this order."""
        count = check_count("members", self.members)
        if self.model is not None:
            own = self.model.get_params(deep=False)
            for i in range(count):
                yield type(self.model)(**own | {"seed": self.seed + i, "dtype": self.dtype, "backend": self.backend})
            return
        hidden = min(max(64, 4 * self.n_features_in_), 256) if self.hidden is None else self.hidden
        for i, level in enumerate(level for level in sorted(self.noise, reverse=True) for _ in range(count)):
            yield DenoisingAutoencoder([int(hidden)], int(hidden), activation="tanh", code_activation="tanh",
                                       level=float(level), lr=3e-3, batch_size=128, seed=self.seed + i,
                                       dtype=self.dtype, backend=self.backend)

    def _add_member(self, model: Autoencoder, rows: np.ndarray, oddness: np.ndarray, rng: np.random.Generator) -> None:
        """Train a member on those rows that are the least odd so far."""
        trim = self.trim if self.contamination else 0.0
        kept = np.argsort(oddness, kind="stable")[:max(math.ceil(len(rows) * (1 - trim)), 2)]
        kept = rng.permutation(kept)[:max(self.max_samples, 2)]
        held_out, train = np.split(kept, [max(int(_HELD_OUT * len(kept)), 1)])
        if self.model is None:
            model.epochs = epochs_for(self.updates, len(train), model.batch_size)
            model.patience = max(model.epochs // 4, 3)
        with _scaled_here():
            model.fit(rows[train], validation=rows[held_out])
        self.members_.append(model)
        self.spreads_.append(_spread(self._errors(model, rows[held_out])))

    # ---------------------------------------------------------------- scores

    def anomaly_score(self, X: Any) -> np.ndarray:
        """How odd each row is: near 1 for rows like those learned, and larger is worse. (N, ...) to (N,), float64."""
        return self._by_block(X, lambda part: part.reshape(len(part), -1).sum(axis=1), ())

    def contributions(self, X: Any) -> np.ndarray:
        """What each feature adds to the row's `anomaly_score`: (N, ...) to the same shape, float64, never negative.

        A feature contributes where it is far out, or not what the row's other features let expect; also through them,
        as what is odd spoils the expectation of what depends on it.
        """
        return self._by_block(X, lambda part: part, self._fitted().input_shape_)

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus `anomaly_score`: larger is more normal, as scikit-learn has it. (N,)."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """How far below the threshold each row's score is: negative for anomalies. (N,)."""
        return self._fitted().threshold_ - self.anomaly_score(X)

    def predict(self, X: Any) -> np.ndarray:
        """-1 for anomalies and 1 for other rows, (N,), as scikit-learn's outlier detectors have it."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """`predict` for the rows that were fitted."""
        return self.fit(X).predict(X)

    @property
    def offset_(self) -> float:
        """Minus the threshold: `decision_function` is `score_samples` minus this, as scikit-learn has it."""
        return -self._fitted().threshold_

    def _by_block(self, X: Any, of: Any, shape: tuple[int, ...]) -> np.ndarray:
        """`of` the contributions of so many rows at a time."""
        X = self._samples(X, self._fitted().input_shape_)
        out = np.empty((len(X), *shape))
        for start in range(0, len(X), _BLOCK):
            block = slice(start, start + _BLOCK)
            rows = self._scaled(X[block])
            total = np.square(rows) / self.spreads_[0] * self.far_out
            for member, spread in zip(self.members_, self.spreads_[1:], strict=True):
                total += self._errors(member, rows) / spread
            out[block] = of(total / (self._counting * self.n_features_in_))
        return out

    @property
    def _counting(self) -> int:
        """How many members count in the score."""
        return len(self.members_) + self.far_out

    def _errors(self, member: Autoencoder, rows: np.ndarray) -> np.ndarray:
        """e^2, each element's squared error: (N, ...), float64."""
        return np.square(member.reconstruct(rows).astype(np.float64) - rows)

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        """z = (x - middle) / scale, and beyond 3 growing by the logarithm: 3 (1 + log(|z| / 3)), with z's sign."""
        z = np.asarray((X - self.middle_) / self.scale_, np.float64)
        size = np.maximum(np.abs(z), FAR)
        return (np.clip(z, -FAR, FAR) + np.sign(z) * FAR * np.log(size / FAR)).astype(self.dtype)

    def _fitted(self) -> AnomalyDetector:
        if not hasattr(self, "threshold_"):
            raise NotFittedError("this AnomalyDetector is not fitted yet: call fit first, or load one")
        return self

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str], extra: dict[str, Any] | None = None) -> None:
        """Write all that `load` needs to one safetensors file, with a checksum. `extra` is JSON to keep with it."""
        tensors, header = self.contents()
        save_tensors(path, tensors, {"format": _FORMAT, "kind": "detector", **header, "extra": extra or {}})

    def contents(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The arrays and the JSON that `of_contents` makes this detector of again, for files of what it is part of."""
        self._fitted()
        tensors = {"middle": self.middle_, "scale": self.scale_}
        tensors |= {f"spread.{i}": spread for i, spread in enumerate(self.spreads_)}
        members = []
        for i, member in enumerate(self.members_):
            own, header = contents(member)
            tensors |= {f"member.{i}.{name}": a for name, a in own.items()}
            members.append(header)
        own = self.get_params(deep=False)
        params = {name: value for name, value in own.items() if name not in ("model", "backend")}
        names = vars(self).get("feature_names_in_")
        named = {} if names is None else {"feature_names": list(names)}
        return tensors, {**named, "params": {**params, "noise": list(map(float, self.noise))},
                         "own_model": self.model is not None, "members": members,
                         "input_shape": list(self.input_shape_), "threshold": self.threshold_}

    @classmethod
    def load(cls, path: str | os.PathLike[str], backend: str | Backend | None = None) -> AnomalyDetector:
        """The detector in a file that `save` wrote, which gives the same answers. What was saved as `extra` is in its
        `extra_`. Nothing in the file is run. Raises `StorageError` for files that are missing, damaged (by their
        checksum), of another kind or of a later format."""
        with reading(path, "detector", _FORMAT,
                     "a detector: fit one by miniae detect --fit, or AnomalyDetector.save") as (tensors, header):
            detector = cls.of_contents(tensors, header, path, backend)
            detector.extra_ = extra_of(header)
        return detector

    @classmethod
    def of_contents(cls, tensors: dict[str, np.ndarray], header: dict[str, Any], path: str | os.PathLike[str],
                    backend: str | Backend | None = None) -> AnomalyDetector:
        """The detector of which `contents` gave these, read from the file `path`. Raises `KeyError`, `TypeError`,
        `ValueError` or `IndexError` for what it can't have given."""
        detector = cls(**header["params"], backend=backend)
        detector.middle_, detector.scale_ = tensors["middle"], tensors["scale"]
        detector.spreads_ = [tensors[f"spread.{i}"] for i in range(1 + len(header["members"]))]
        detector.members_ = [model_of(under(f"member.{i}.", tensors), member, path, backend)
                             for i, member in enumerate(header["members"])]
        detector.input_shape_ = tuple(header["input_shape"])
        detector.n_features_in_ = math.prod(detector.input_shape_)
        detector._set_names(header.get("feature_names") or extra_of(header).get("feature_names"))
        detector.threshold_ = header["threshold"]
        if header["own_model"]:
            first = detector.members_[0]
            detector.model = type(first)(**first.get_params())
        return detector


@contextlib.contextmanager
def _scaled_here() -> Iterator[None]:
    """A block in which members do not warn of unlike features: these are scaled alike where that was asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixedScales)
        yield


def _member_score(errors: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """What one member says of how odd rows are: (N, ...) to (N,)."""
    return (errors / spread).reshape(len(errors), -1).mean(axis=1)


def _spread(errors: np.ndarray) -> np.ndarray:
    """The mean squared error of each feature and a tenth of that of all, so that no feature's is too near 0."""
    spread = errors.mean(axis=0, dtype=np.float64)
    return spread + (0.1 * spread.mean() or 1.0)


def check_share(name: str, value: Any, of: str = "rows") -> float:
    """`value` as a float. Raises `ValueError` unless it is a share of what `of` says: from 0 to less than 1."""
    if not 0 <= check_number(name, value) < 1:
        raise ValueError(f"{name} is a share of the {of}, expected a number from 0 to less than 1, got {value!r}")
    return float(value)
