"""Whether two sets of samples come from the same distribution: codes and a prior's draws, for instance."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from miniae.backend.philox import host_generator
from miniae.models.classifier import Classifier
from miniae.models.wasserstein import SCALES
from miniae.training.estimator import check_count, check_samples

__all__ = ["Discrepancy", "classifier_test", "mmd"]


class Discrepancy(NamedTuple):
    """An estimate of MMD^2, its standard deviation if there were no difference, and how often chance gives as much."""

    value: float
    noise: float
    p: float


def mmd(a: Any, b: Any, *, permutations: int = 200, seed: int = 0) -> Discrepancy:
    """The squared maximum mean discrepancy of a (N, D) and b (M, D), both of 2 samples or more, without bias.

    The kernel is sum_s c_s / (c_s + |x - y|^2) with c_s = s m, m the mean squared distance of two samples of b and s
    from 0.1 to 10: the one of `functions.mmd` and Wasserstein autoencoders where b is drawn from their prior. All N + M
    samples are dealt anew into two sets `permutations` times: `noise` is the standard deviation of the estimates, p the
    share of them (the real one included) that are at least as large. Memory grows with (N + M)^2: a few thousand
    samples will do. Gretton et al., "A kernel two-sample test", JMLR 13, 2012.
    """
    a, b = _two(a, b)
    check_count("permutations", permutations)
    n, m, both = len(a), len(b), np.concatenate([a, b])
    squares = np.square(both).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2.0 * both @ both.T, 0.0)
    usual = distances[n:, n:].sum() / (m * (m - 1))
    if not usual > 0:
        raise ValueError("all samples of b are the same: there is no scale to compare with")
    kernel = sum(s * usual / (s * usual + distances) for s in SCALES)
    np.fill_diagonal(kernel, 0.0)  # pairs of a sample and itself don't count
    rng = host_generator(seed, "permutations")
    first = np.zeros((n + m, permutations + 1))  # 1 where a sample is in the first set; the real one comes first
    first[:n, 0] = 1
    for column in range(1, permutations + 1):
        first[rng.permutation(n + m)[:n], column] = 1
    within = np.einsum("ij,ij->j", first, kernel @ first)
    rest = 1 - first
    without = np.einsum("ij,ij->j", rest, kernel @ rest)
    between = (kernel.sum() - within - without) / 2
    values = within / (n * (n - 1)) + without / (m * (m - 1)) - 2 * between / (n * m)
    return Discrepancy(float(values[0]), float(values[1:].std()), float((values >= values[0]).mean()))


def classifier_test(a: Any, b: Any, *, hidden: tuple[int, ...] = (64, 64), epochs: int = 30, seed: int = 0) -> float:
    """How well a classifier tells samples a (N, D) from as many samples b (N, D), N at least 4: 0.5 is not at all.

    A `Classifier` learns from half of each; the result is its accuracy on the other half, whose standard deviation is
    0.5 / sqrt(N) where there is no difference. Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR
    2017.
    """
    a, b = _two(a, b)
    if len(a) != len(b) or len(a) < 4:
        raise ValueError(f"there are {len(a)} and {len(b)} samples to tell apart, expected as many of each, at least 4")
    rng, half = host_generator(seed, "halves"), len(a) // 2
    a, b = rng.permutation(a), rng.permutation(b)
    y = np.repeat([0, 1], half)
    judge = Classifier(hidden, head_epochs=0, epochs=epochs, lr=5e-3, scaling="standard", seed=seed)
    judge.fit(np.concatenate([a[:half], b[:half]]), y)
    return judge.score(np.concatenate([a[-half:], b[-half:]]), y)


def _two(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = (check_samples(s, name=name).astype(np.float64) for s, name in ((a, "a"), (b, "b")))
    if a.ndim != 2 or a.shape[1:] != b.shape[1:] or min(len(a), len(b)) < 2:
        raise ValueError(f"the samples have shapes {a.shape} and {b.shape}, expected (N, D) and (M, D), 2 of each or "
                         "more")
    return a, b
