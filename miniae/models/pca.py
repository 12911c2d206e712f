"""Principal components: the best a linear autoencoder can do, and so what every other one is compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from miniae.training.conventions import Transformer
from miniae.training.estimator import Estimator, NotFittedError, check_samples

__all__ = ["PCA"]

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

    Attributes
    ----------
    components_ : W, (components, features), by falling variance.
    mean_ : m, (features,).
    explained_variance_ : the variance of the data along each component, (components,).
    explained_variance_ratio_ : the same as shares of the whole variance; zeros for data that do not vary.

    >>> import numpy as np
    >>> X = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> PCA(1).fit(X).reconstruct(X).round(6).tolist()
    [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]

    Pearson, "On lines and planes of closest fit to systems of points in space", 1901; Baldi and Hornik, "Neural
    networks and principal component analysis", Neural Networks 2, 1989, for the linear autoencoder.
    """

    def __init__(self, components: int):
        self.components = components

    def fit(self, X: Any, y: Any = None) -> PCA:
        """Find mean and components. X: (N, ...), finite numbers; y is not used.

        Raises `ValueError` for more components than samples or features.
        """
        self._learn_names(X)
        X = check_samples(X)
        features = math.prod(X.shape[1:])
        most, wanted = min(len(X), features), self.components
        if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or not 1 <= wanted <= most:
            raise ValueError(f"components is {wanted!r}, expected a whole number from 1 to {most}, the smaller one of "
                             f"{len(X)} samples and {features} features: ask for fewer, or give more samples")
        rows = X.reshape(len(X), features)
        mean = rows.mean(axis=0, dtype=np.float64)
        variances, directions = (_from_covariance if features <= len(X) else _from_samples)(rows, mean)
        directions = directions[:wanted]
        largest = directions[np.arange(wanted), np.abs(directions).argmax(axis=1)]
        self.mean_, self.components_ = mean, directions * np.where(largest < 0, -1.0, 1.0)[:, None]
        self.explained_variance_ = variances[:wanted]
        total = variances.sum()
        self.explained_variance_ratio_ = variances[:wanted] / (total if total > 0 else 1.0)
        self.input_shape_, self.n_features_in_ = X.shape[1:], features
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The codes of X: (N, ...) to (N, components)."""
        X = self._checked(X)
        codes = np.empty((len(X), len(self.components_)), _floating(X.dtype))
        for part, centred in _centred(X.reshape(len(X), -1), self.mean_):
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
        for part, centred in _centred(X.reshape(len(X), -1), self.mean_):
            residual = centred - (centred @ self.components_.T) @ self.components_
            scores[part] = -np.square(residual).sum(axis=1)
        return scores

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: larger is better."""
        return float(self.score_samples(X).mean())

    def _require_fit(self) -> None:
        if not hasattr(self, "components_"):
            raise NotFittedError("this PCA is not fitted yet: call fit(X) first")

    def _checked(self, X: Any) -> np.ndarray:
        self._require_fit()
        self._check_names(X)
        return check_samples(X, self.input_shape_, owner="PCA")

    def _features_out(self) -> int:
        self._require_fit()
        return len(self.components_)


def _from_covariance(rows: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All variances, falling, and their directions as rows: C = 1/(N-1) sum (x - m)'(x - m) = V diag(variances) V'."""
    covariance = np.zeros((len(mean), len(mean)))
    for _, centred in _centred(rows, mean):
        covariance += centred.T @ centred
    variances, vectors = np.linalg.eigh(covariance / max(len(rows) - 1, 1))
    # Rounding may leave a variance of zero slightly negative.
    return np.maximum(variances[::-1], 0.0), vectors.T[::-1]


def _from_samples(rows: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same from X - m = U diag(s) V', variances s^2 / (N-1): smaller than C where features outnumber samples."""
    _, singular, directions = np.linalg.svd(rows - mean, full_matrices=False)
    return np.square(singular) / max(len(rows) - 1, 1), directions


def _centred(rows: np.ndarray, mean: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows minus the mean in float64, a chunk at a time, with the place of the chunk."""
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield part, rows[part] - mean


def _floating(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.kind == "f" else np.dtype(np.float32)
