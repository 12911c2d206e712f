"""Holding samples out, and drawing some."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.backend.philox import host_generator

__all__ = ["balanced", "split"]


def split(n: int, fraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The indices of `n` samples in two parts, chosen at random: those kept, and a share `fraction` held out.

    Each part is in rising order and has at least one sample. Raises `ValueError` when that is impossible.
    """
    if not 0 < fraction < 1 or n < 2:
        raise ValueError(f"can't hold out a share of {fraction} of {n} samples: it takes 2 samples, and a share "
                         "between 0 and 1")
    held_out = min(max(round(n * fraction), 1), n - 1)
    order = host_generator(seed, "split").permutation(n)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def balanced(labels: Any, n: int, seed: int = 0) -> np.ndarray:
    """The indices of `n` samples drawn at random, in rising order: as many of each label, as far as there are.

    labels: (N,). Where n is no multiple of the number of labels, chance decides which of them have one more. Raises
    `ValueError` for fewer samples than there are labels, and for more than there are samples.
    """
    labels = np.asarray(labels)
    kinds = np.unique(labels)
    if not len(kinds) <= n <= len(labels):
        raise ValueError(f"can't draw {n} of {len(labels)} samples with {len(kinds)} labels: at least one for each "
                         "label, and no more than there are")
    generator = host_generator(seed, "balanced")
    order = generator.permutation(len(labels))
    rank = np.empty(len(labels), np.int64)  # of a sample among those of its label, in that order
    for kind in kinds:
        members = order[labels[order] == kind]
        rank[members] = np.arange(len(members))
    first = np.lexsort((generator.random(len(labels)), rank))  # the first of each label, then the second ones, ...
    return np.sort(first[:n])
