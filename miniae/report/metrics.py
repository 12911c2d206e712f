"""How good a reconstruction is, in numbers. Host NumPy; sums run in float64 over a part of the samples at a time.

x is always the data and y (or p) its reconstruction, both (N, ...) of the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from miniae.report.neighbourhoods import majority, nearness
from miniae.training.estimator import check_count, check_samples

__all__ = ["bce", "bce_floor", "knn_accuracy", "mse", "psnr", "squared_error", "squared_errors", "ssim"]

# How many values are held in float64 at once.
_CHUNK = 1 << 21

# No logarithm is taken of less, so that an output that rounding made 0 or 1 costs much and not infinitely much.
_SMALLEST = 1e-7

# The Gaussian window of `ssim` along one axis.
_WINDOW = np.exp(-0.5 * np.square(np.arange(-5, 6) / 1.5))
_WINDOW /= _WINDOW.sum()


def squared_errors(x: Any, y: Any) -> np.ndarray:
    """The squared error of each sample, |x_n - y_n|^2, summed over its features: (N,), float64."""
    return np.concatenate([np.square(a - b).sum(axis=1) for a, b in _parts(x, y)])


def squared_error(x: Any, y: Any) -> float:
    """The squared error 1/N sum_n |x_n - y_n|^2: summed over features, averaged over samples.

    The measure of Hinton and Salakhutdinov, Science 313, 2006. Raises `ValueError` where shapes differ, and for data
    that are empty or not finite.
    """
    return float(squared_errors(x, y).mean())


def mse(x: Any, y: Any) -> float:
    """The mean squared error of one value: `squared_error` divided by the number of features."""
    return squared_error(x, y) / math.prod(np.shape(x)[1:])


def psnr(x: Any, y: Any, peak: float = 1.0) -> float:
    """The peak signal-to-noise ratio 10 log10(peak^2 / mse) in decibels, from the `mse` over all samples together.

    `peak` is the largest value the data can take: 1 for images in [0, 1], 255 for bytes. Infinite for a perfect
    reconstruction. Raises `ValueError` for a peak that is not above 0.
    """
    _check_peak(peak)
    error = mse(x, y)
    return math.inf if error == 0 else 10.0 * math.log10(peak * peak / error)


def ssim(x: Any, y: Any, image_shape: Sequence[int] | None = None, peak: float = 1.0) -> float:
    """The structural similarity of images, the mean over places, channels and samples: 1 where they are the same.

        (2 m_x m_y + c_1) (2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1) (s_x^2 + s_y^2 + c_2)),

    c_1 = (0.01 peak)^2, c_2 = (0.03 peak)^2, with the means m, variances s^2 and covariance s_xy in a Gaussian window
    of 11 x 11 pixels and standard deviation 1.5 around each place where it fits in. x and y are (N, height, width) or
    (N, channels, height, width), or flat with `image_shape`. Wang et al., "Image quality assessment: from error
    visibility to structural similarity", IEEE Transactions on Image Processing 13, 2004, section III-C. Raises
    `ValueError` for images smaller than the window.
    """
    x, y = check_samples(x, name="the data"), check_samples(y, np.shape(x)[1:], name="the reconstruction")
    _check_peak(peak)
    if len(x) != len(y):
        raise ValueError(f"the data have {len(x)} samples, the reconstruction {len(y)}: they must be as many")
    shape = tuple(x.shape[1:] if image_shape is None else image_shape)
    if len(shape) not in (2, 3) or min(shape[-2:]) < len(_WINDOW) or math.prod(shape) != math.prod(x.shape[1:]):
        raise ValueError(f"samples of shape {x.shape[1:]} as images of shape {shape}: expected (height, width) or "
                         f"(channels, height, width) of at least {len(_WINDOW)} x {len(_WINDOW)} pixels")
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    total, values = 0.0, 0
    for a, b in _parts(x, y):
        a, b = (image.reshape(-1, *shape[-2:]) for image in (a, b))
        mean_a, mean_b = _smoothed(a), _smoothed(b)
        variances = _smoothed(a * a) - mean_a ** 2 + _smoothed(b * b) - mean_b ** 2
        covariance = _smoothed(a * b) - mean_a * mean_b
        light = (2 * mean_a * mean_b + c1) / (mean_a ** 2 + mean_b ** 2 + c1)
        similarity = light * (2 * covariance + c2) / (variances + c2)
        total, values = total + float(similarity.sum()), values + similarity.size
    return total / values


def bce(x: Any, p: Any) -> float:
    """The cross-entropy -1/N sum x log p + (1 - x) log(1 - p): nats a sample, x and p in [0, 1].

    p is held at 1e-7 from the end that x is not at, as the loss of that name does. For x between 0 and 1 even a
    perfect p = x costs something: see `bce_floor`. Raises `ValueError` for values outside [0, 1].
    """
    x, p = _unit_interval(x, "x"), _unit_interval(p, "p")
    total = sum(_cross_entropy(a, b) for a, b in _parts(x, p))
    return total / len(x)


def bce_floor(x: Any) -> float:
    """The smallest `bce` any reconstruction of x can have: the entropy of x, in nats a sample, x in [0, 1].

    -1/N sum x log x + (1 - x) log(1 - x), which is 0 for values of 0 and 1 and log 2 for 1/2.
    """
    return bce(x, x)


def knn_accuracy(codes: Any, labels: Any, test_codes: Any, test_labels: Any, k: int = 5) -> float:
    """The share of test codes whose label is that of most of the `k` nearest codes, by Euclidean distance.

    `codes` (N, D) and `labels` (N,) are those to look among, `test_codes` (M, D) and `test_labels` (M,) those to
    classify. Where labels are equally frequent, the one that sorts first wins. Raises `ValueError` when shapes don't
    fit or k is not between 1 and N.
    """
    codes, test_codes = check_samples(codes, name="codes"), check_samples(test_codes, name="test_codes")
    codes, test_codes = (c.reshape(len(c), -1).astype(np.float64) for c in (codes, test_codes))
    labels, test_labels = np.asarray(labels), np.asarray(test_labels)
    if codes.shape[1] != test_codes.shape[1]:
        raise ValueError(f"codes have {codes.shape[1]} numbers, test codes {test_codes.shape[1]}: expected as many")
    if labels.shape != (len(codes),) or test_labels.shape != (len(test_codes),):
        raise ValueError(f"labels have shapes {labels.shape} and {test_labels.shape}, expected one for each of the "
                         f"{len(codes)} codes and {len(test_codes)} test codes")
    if check_count("k", k, least=0) not in range(1, len(codes) + 1):
        raise ValueError(f"k is {k}, expected a number of neighbours from 1 to {len(codes)}")
    classes, which = np.unique(labels, return_inverse=True)
    right = sum(int((classes[majority(which, distances, k, len(classes))] == test_labels[rows]).sum())
                for rows, distances in nearness(codes, test_codes))
    return right / len(test_codes)


def _check_peak(peak: float) -> None:
    if not peak > 0:
        raise ValueError(f"peak is {peak}, expected the largest value of the data, above 0: 1 for images in [0, 1]")


def _smoothed(images: np.ndarray) -> np.ndarray:
    """The weighted means in the window of `ssim`: (N, height, width) to 10 pixels less of each."""
    for axis in (1, 2):
        size = images.shape[axis] - len(_WINDOW) + 1
        images = sum(weight * images.take(range(i, i + size), axis) for i, weight in enumerate(_WINDOW))
    return images


def _cross_entropy(x: np.ndarray, p: np.ndarray) -> float:
    on, off = np.log(np.maximum(p, _SMALLEST)), np.log(np.maximum(1.0 - p, _SMALLEST))
    return -float((x * on + (1.0 - x) * off).sum())


def _unit_interval(x: Any, name: str) -> np.ndarray:
    x = check_samples(x, name=name)
    low, high = x.min(), x.max()
    if low < 0 or high > 1:
        raise ValueError(f"{name} ranges from {low:g} to {high:g}, expected values in [0, 1] for a cross-entropy: "
                         "scale the data, or use squared_error")
    return x


def _parts(x: Any, y: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both as float64 rows (n, features), some samples at a time."""
    x, y = check_samples(x, name="the data"), check_samples(y, name="the reconstruction")
    if x.shape != y.shape:
        raise ValueError(f"the data have shape {x.shape}, the reconstruction {y.shape}: they must be the same")
    samples = max(1, _CHUNK // math.prod(x.shape[1:]))
    for start in range(0, len(x), samples):
        n = min(samples, len(x) - start)
        yield tuple(a[start:start + n].reshape(n, -1).astype(np.float64) for a in (x, y))
