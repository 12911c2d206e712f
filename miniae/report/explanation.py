"""What a page that explains a run is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from miniae.models import Autoencoder
from miniae.report.computation import Computation
from miniae.report.decoder import DecoderSteps, NotInPage
from miniae.training import Insight

__all__ = ["Explanation", "LatentPlane", "Twin", "latent_plane"]


@dataclass(frozen=True)
class Twin:
    """One training, looked into. `pretraining` is how its layers were pretrained, or "none"; `history` has a row an
    epoch. `repeats` says whether its losses are those of the run that it repeats; None for one that the run was not,
    and where the run has no epoch to compare with.
    """

    pretraining: str
    insight: Insight
    history: list[dict[str, float]]
    repeats: bool | None


@dataclass(frozen=True)
class LatentPlane:
    """Samples on a plane through the space of codes: code = mean + place @ axes, axes (2, code) of length 1.

    Of codes of two numbers it is the codes themselves; of longer ones the plane of their first two principal
    components, which have `share` of their variance. `places` is (N, 2); `labels` are those of the samples, or None.
    """

    places: np.ndarray
    mean: np.ndarray
    axes: np.ndarray
    share: float
    labels: np.ndarray | None


@dataclass(frozen=True)
class Explanation:
    """All that a page shows of a run.

    `facts` are its settings, sizes and measures by name (`resume` a command that goes on with it, if it has not ended),
    `stages` its history, stage by stage; `graph` a training step, `twins` trainings that were looked into. `samples`
    are those whose reconstructions these show, in the units of the data; `low` and `high` the smallest and largest
    values of each feature of the test data. `decoder` is what a page runs; where it can't, `refused` says why.
    """

    model: Autoencoder
    facts: dict[str, Any]
    stages: dict[str, list[dict[str, float]]]
    graph: Computation
    twins: list[Twin]
    samples: np.ndarray
    image_shape: tuple[int, ...] | None
    feature_names: list[str] | None
    low: np.ndarray
    high: np.ndarray
    plane: LatentPlane | None
    decoder: DecoderSteps | None
    refused: NotInPage | None


def latent_plane(codes: np.ndarray, labels: np.ndarray | None = None) -> LatentPlane | None:
    """Where codes (N, code) lie; None for codes that are not vectors."""
    if codes.ndim != 2:
        return None
    codes = codes.astype(np.float64)
    units = codes.shape[1]
    if units == 2:
        return LatentPlane(codes, np.zeros(2), np.eye(2), 1.0, labels)
    mean = codes.mean(axis=0)
    _, lengths, axes = np.linalg.svd(codes - mean, full_matrices=False)
    axes = np.concatenate([axes, np.zeros((2, units))])[:2]  # one number has one direction
    variances = np.square(lengths)
    share = float(variances[:2].sum() / variances.sum()) if variances.sum() else 1.0
    return LatentPlane((codes - mean) @ axes.T, mean, axes, share, labels)
