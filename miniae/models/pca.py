"""Principal components: the best a linear autoencoder can do, and so what every other one is compared with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from miniae.data.sparse import Sparse
from miniae.data.stream import Stream
from miniae.training.conventions import Transformer
from miniae.training.estimator import Estimator, NotFittedError, check_samples

__all__ = ["PCA"]

Samples = np.ndarray | Sparse | Stream

# How many samples are held in float64 at once.
_CHUNK = 4096


class PCA(Transformer, Estimator):
    """Encodes by projection on the `components` orthogonal directions along which the data vary most.

    With the mean m (features,) and the directions as the rows of W (components, features), W W' = 1:

        code            c = (x - m) W'
        reconstruction  y = c W + m

    No linear autoencoder of that code size has a smaller squared error on the data it was fitted on. The rows of W are
    the leading eigenvectors of the covariance matrix (the right singular vectors of the centred data, where there are
    fewer samples than features). Each is turned so that its entry largest in size is positive: the same data give the
    same signs. The arithmetic is float64 on the host; results have the dtype of the input, float32 for integers.

    Data may come in parts. Of the n rows so far, all that matters is their number, their mean m and their scatter

        S = sum (x - m)'(x - m) = R'R,     R : each direction times the root of S along it, (min(n, features), features)

    and a part of b rows with the mean k changes them to

        n + b,    m + (k - m) b / (n + b),    S + sum (x - k)'(x - k) + (k - m)'(k - m) n b / (n + b):

    the new R is found from the old one, the part's rows less k, and one row more, (k - m) sqrt(n b / (n + b)), just as
    `fit` finds it from its rows. Nothing is cut off, so that the result is that of `fit` on all rows, but for rounding.
    The memory it takes does not grow with the rows: 8 bytes for each number of R, at most features^2, which `fit` keeps
    too (a pickle holds it), and several times as much while it works.

    Attributes
    ----------
    components_ : W, (components, features), by falling variance.
    mean_ : m, (features,).
    explained_variance_ : the variance of the data along each component, (components,).
    explained_variance_ratio_ : the same as shares of the whole variance; zeros for data that do not vary.
    n_samples_seen_ : how many rows it was fitted to.

    >>> import numpy as np
    >>> X = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> PCA(1).fit(X).reconstruct(X).round(6).tolist()
    [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]

    Pearson, "On lines and planes of closest fit to systems of points in space", 1901; Baldi and Hornik, "Neural
    networks and principal component analysis", Neural Networks 2, 1989, for the linear autoencoder. In parts: Chan,
    Golub and LeVeque, "Algorithms for computing the sample variance", American Statistician 37, 1983, for the sums;
    Ross et al., "Incremental learning for robust visual tracking", IJCV 77, 2008, for the rows that stand for them.
    """

    _root: np.ndarray  # R

    def __init__(self, components: int):
        self.components = components

    def fit(self, X: Any, y: Any = None) -> PCA:
        """Find mean and components. X: (N, ...), finite numbers; y is not used.

        Of batches, 4096 rows are in memory at a time; all of them where there are fewer rows than features. Raises
        `ValueError` for more components than samples or features.
        """
        with self._unless_refused():
            X = _whole(self._first_samples(X))
            self.input_shape_, self.n_features_in_ = X.shape[1:], math.prod(X.shape[1:])
            mean = _mean(X)
            self._root = self._find(_centred(X, mean), mean, len(X))
        return self

    def partial_fit(self, X: Any, y: Any = None) -> PCA:
        """Find mean and components of these rows and all before, those of `fit` or of other parts. X: (N, ...).

        The first part must have as many rows as there are components. A call takes time of the order of features^3, so
        that parts of as many rows as features, or more, are best.
        """
        if not hasattr(self, "components_"):
            return self.fit(X)
        X = _whole(self._samples(X, self.input_shape_))
        seen, n, mean = self.n_samples_seen_, self.n_samples_seen_ + len(X), _mean(X)
        change = mean - self.mean_
        moved = change[None] * math.sqrt(seen * len(X) / n)
        blocks = itertools.chain([self._root, moved], _centred(X, mean))
        self._root = self._find(blocks, self.mean_ + change * (len(X) / n), n)
        return self

    def _find(self, blocks: Iterable[np.ndarray], mean: np.ndarray, n: int) -> np.ndarray:
        """Set what there is to know of n rows, from rows (in blocks) that have the same scatter about 0 as those about
        their mean; return R."""
        most, wanted = min(n, len(mean)), self.components
        if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or not 1 <= wanted <= most:
            raise ValueError(f"components is {wanted!r}, expected a whole number from 1 to {most}, the smaller one of "
                             f"{n} samples and {len(mean)} features: ask for fewer, or give more samples")
        variances, directions = (_from_covariance if len(mean) <= n else _from_samples)(blocks, n)
        variances, directions = variances[:most], directions[:most]
        self.mean_, self.n_samples_seen_ = mean, n
        largest = directions[np.arange(wanted), np.abs(directions[:wanted]).argmax(axis=1)]
        self.components_ = directions[:wanted] * np.where(largest < 0, -1.0, 1.0)[:, None]
        self.explained_variance_ = variances[:wanted]
        total = variances.sum()
        self.explained_variance_ratio_ = variances[:wanted] / (total if total > 0 else 1.0)
        return np.sqrt(variances * max(n - 1, 1))[:, None] * directions

    def transform(self, X: Any) -> np.ndarray:
        """The codes of X: (N, ...) to (N, components)."""
        X = self._checked(X)
        codes = np.empty((len(X), len(self.components_)), _floating(X.dtype))
        for part, centred in _centred_parts(X, self.mean_):
            codes[part] = centred @ self.components_.T
        return codes

    def inverse_transform(self, codes: Any) -> np.ndarray:
        """The reconstructions from codes: (N, components) to (N, ...)."""
        self._require_fit()
        codes = check_samples(codes, (len(self.components_),), name="codes")
        rows = np.empty((len(codes), self.n_features_in_), _floating(codes.dtype))
        for start in range(0, len(codes), _CHUNK):
            part = slice(start, start + _CHUNK)
            rows[part] = codes[part].astype(np.float64) @ self.components_ + self.mean_
        return rows.reshape(len(codes), *self.input_shape_)

    def reconstruct(self, X: Any) -> np.ndarray:
        """X through its codes and back: (N, ...) to (N, ...)."""
        return self.inverse_transform(self._codes(X))

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the squared reconstruction error of each sample: larger is more normal. (N,), float64."""
        X = self._checked(X)
        scores = np.empty(len(X))
        for part, centred in _centred_parts(X, self.mean_):
            residual = centred - (centred @ self.components_.T) @ self.components_
            scores[part] = -np.square(residual).sum(axis=1)
        return scores

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: larger is better."""
        return float(self.score_samples(X).mean())

    def _require_fit(self) -> None:
        if not hasattr(self, "components_"):
            raise NotFittedError("this PCA is not fitted yet: call fit(X) first")

    def _checked(self, X: Any) -> Samples:
        self._require_fit()
        return self._samples(X, self.input_shape_)

    def _features_out(self) -> int:
        self._require_fit()
        return len(self.components_)


def _from_covariance(blocks: Iterable[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """All variances, falling, and their directions as rows: C = 1/(n-1) sum of x'x = V diag(variances) V'."""
    covariance: Any = 0.0
    for block in blocks:
        covariance += block.T @ block
    variances, vectors = np.linalg.eigh(covariance / max(n - 1, 1))
    # Rounding may leave a variance of zero slightly negative.
    return np.maximum(variances[::-1], 0.0), vectors.T[::-1]


def _from_samples(blocks: Iterable[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """The same from X = U diag(s) V', variances s^2 / (n-1): smaller than C where features outnumber samples."""
    _, singular, directions = np.linalg.svd(np.concatenate(list(blocks)), full_matrices=False)
    return np.square(singular) / max(n - 1, 1), directions


def _whole(X: Samples) -> np.ndarray | Stream:
    return X[:] if isinstance(X, Sparse) else X


def _mean(X: np.ndarray | Stream) -> np.ndarray:
    """The mean of each feature, (features,), in float64."""
    return X.mean.reshape(-1) if isinstance(X, Stream) else X.reshape(len(X), -1).mean(axis=0, dtype=np.float64)


def _centred(X: Samples, mean: np.ndarray) -> Iterator[np.ndarray]:
    """The samples as rows minus the mean, in float64, a chunk at a time."""
    return (rows for _, rows in _centred_parts(X, mean))


def _centred_parts(X: Samples, mean: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The same with the place of each chunk."""
    for start in range(0, len(X), _CHUNK):
        part = slice(start, start + _CHUNK)
        rows = X[part]
        yield part, rows.reshape(len(rows), -1) - mean


def _floating(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.kind == "f" else np.dtype(np.float32)
