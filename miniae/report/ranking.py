"""How well scores rank the odd rows before the others: ROC and precision-recall curves, their areas, their picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from miniae.report.canvas import QUIET, SERIES, drawing

__all__ = ["average_precision", "precision_recall_curve", "ranking_curves", "roc_auc", "roc_curve"]


def roc_curve(odd: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    """(false alarms, found): the shares of the other and of the odd rows that have at least a score, from (0, 0) to
    (1, 1), for every score there is from the largest down.

    odd: (N,), true or 1 for the rows to be found; scores: (N,), larger for what should be found. Raises `ValueError`
    where one kind of row is missing.
    """
    others, found = _counts(odd, scores)
    return np.append(0.0, others / others[-1]), np.append(0.0, found / found[-1])


def roc_auc(odd: Any, scores: Any) -> float:
    """The area below the ROC curve: the share of pairs of an odd and another row of which the odd one has the larger
    score, equal ones counting half."""
    alarms, found = roc_curve(odd, scores)
    return float(np.sum(np.diff(alarms) * (found[1:] + found[:-1]) / 2))


def precision_recall_curve(odd: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision): the share of the odd rows that have at least a score, and the share of odd ones among the
    rows that have, for every score there is from the largest down. Arguments as for `roc_curve`."""
    others, found = _counts(odd, scores)
    return found / found[-1], found / (found + others)


def average_precision(odd: Any, scores: Any) -> float:
    """The mean of the precision over the steps of the recall, sum_i (r_i - r_(i-1)) p_i: 1 at best, the share of odd
    rows for scores that know nothing."""
    recall, precision = precision_recall_curve(odd, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def ranking_curves(path: str | os.PathLike[str], odd: Any, scores: Any, *, title: str | None = None) -> None:
    """Draw both curves to a PNG file, with their areas. `scores` is (N,), or several of them by name."""
    several = scores if isinstance(scores, Mapping) else {"": scores}
    with drawing(path, 1200, 560) as figure:
        left, right = figure.subplots(1, 2)
        for colour, (name, values) in zip(SERIES * len(several), several.items(), strict=False):
            name = f"{name}: " if name else ""
            left.plot(*roc_curve(odd, values), color=colour, linewidth=1.4, label=f"{name}{roc_auc(odd, values):.3f}")
            right.step(*precision_recall_curve(odd, values), where="pre", color=colour, linewidth=1.4,
                       label=f"{name}{average_precision(odd, values):.3f}")
        left.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle="--")
        right.axhline(np.mean(_is_odd(odd)), color=QUIET, linewidth=0.8, linestyle="--")
        for axes, (x, y, area) in ((left, ("share of the others found too (false alarms)", "share of the odd found",
                                           "area below the ROC curve")),
                                   (right, ("share of the odd found (recall)", "share of odd among the found "
                                            "(precision)", "average precision"))):
            axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
            axes.grid(True)
            axes.legend(title=area, loc="best")
        figure.suptitle(title or f"{int(_is_odd(odd).sum()):,} odd among {len(odd):,}; dashed: scores that know "
                        "nothing", fontsize=9.0)
        figure.tight_layout()


def _counts(odd: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    """How many other and how many odd rows have at least a score, for every score from the largest down."""
    odd, scores = _is_odd(odd), np.asarray(scores)
    if scores.shape != odd.shape:
        raise ValueError(f"scores have shape {scores.shape} for labels of shape {odd.shape}: expected one a row")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinity, expected finite numbers")
    if odd.all() or not odd.any():
        raise ValueError(f"{int(odd.sum())} of {len(odd)} rows are odd, expected some, and not all of them")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(odd) - 1)  # of each run of equal scores
    found = np.cumsum(odd[order])[last]
    return last + 1 - found, found


def _is_odd(odd: Any) -> np.ndarray:
    labels = np.asarray(odd)
    if labels.ndim != 1 or not np.isin(labels, (0, 1)).all():
        raise ValueError("labels are (N,), 1 for odd rows and 0 for others; got "
                         f"{', '.join(map(str, np.unique(labels)[:5]))} in shape {labels.shape}")
    return labels.astype(bool)
