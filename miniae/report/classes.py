"""How well labels are predicted, class by class: the confusion matrix, what follows from it, and its picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from miniae.report import canvas
from miniae.report.canvas import QUIET, drawing

__all__ = ["ClassScores", "class_scores", "confusion_matrix", "confusion_picture"]


def confusion_matrix(true: Any, predicted: Any, classes: Sequence[Any] | None = None) -> np.ndarray:
    """How many samples of each class were taken for each: (K, K) integers, a row for each true class, a column for each
    predicted one.

    `true` and `predicted` are labels (N,); `classes` the K labels in the order to have them, all that occur in sorted
    order when None. Raises `ValueError` for labels that are not among them.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.ndim != 1 or true.shape != predicted.shape or not len(true):
        raise ValueError(f"true labels have shape {true.shape}, predicted ones {predicted.shape}: expected (N,) both, "
                         "and one at least")
    if (true.dtype.kind == "U") != (predicted.dtype.kind == "U"):
        raise ValueError(f"true labels are like {true[0].item()!r}, predicted ones like {predicted[0].item()!r}: "
                         "expected both of one type")
    order = np.union1d(true, predicted) if classes is None else np.asarray(classes)
    number = {label: k for k, label in enumerate(order.tolist())}
    unknown = [label for label in (*true.tolist(), *predicted.tolist()) if label not in number]
    if unknown:
        raise ValueError(f"the label {unknown[0]!r} is not among the classes {', '.join(map(repr, number))}")
    rows, columns = (np.array([number[label] for label in labels.tolist()]) for labels in (true, predicted))
    counts = np.zeros((len(order), len(order)), np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts


@dataclass(frozen=True)
class ClassScores:
    """What a confusion matrix tells: (K,) for each class, and numbers for all.

    `precision` is the share of what was taken for the class that is of it, `recall` the share of its samples that were
    taken for it, `f1` the harmonic mean 2 p r / (p + r); 0 where there is nothing to have a share of. `samples` are how
    many there are of the class, `accuracy` is the share of all that is right, and `macro_f1` the mean of `f1` over the
    classes that have samples.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    samples: np.ndarray
    accuracy: float
    macro_f1: float

    def table(self, classes: Sequence[Any]) -> str:
        """Lines of text: one a class, with its label, in percent; then all together."""
        width = max(5, *(len(str(label)) for label in classes))
        lines = [f"{'class':{width}}  precision  recall     F1  samples"]
        columns = (self.precision, self.recall, self.f1, self.samples)
        for label, p, r, f, n in zip(classes, *columns, strict=True):
            lines.append(f"{label!s:{width}}  {100 * p:9.1f}  {100 * r:6.1f}  {100 * f:5.1f}  {n:7,}")
        return "\n".join(lines)


def class_scores(confusion: Any) -> ClassScores:
    """Precision, recall and F1 of each class, of a confusion matrix (K, K) as `confusion_matrix` gives it."""
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.sum():
        raise ValueError(f"a confusion matrix is (K, K) counts of one sample at least, got {counts.shape} with "
                         f"{counts.sum()} samples")
    right, samples, taken = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    precision, recall = (right / np.maximum(whole, 1) for whole in (taken, samples))
    f1 = 2 * right / np.maximum(taken + samples, 1)  # which is 2 p r / (p + r)
    return ClassScores(precision, recall, f1, samples, float(right.sum() / counts.sum()),
                       float(f1[samples > 0].mean()))


def confusion_picture(path: str | os.PathLike[str], confusion: Any, classes: Sequence[Any], *,
                      title: str | None = None) -> Path:
    """Draw a confusion matrix (K, K): true classes down, predicted ones across, each cell with its count.

    The shade is the share of the row, white for none and dark for all of a class's samples. Counts are left out where
    there are more than 30 classes, for which there is no room.
    """
    counts = np.asarray(confusion)
    scores = class_scores(counts)
    if len(classes) != len(counts):
        raise ValueError(f"{len(classes)} classes for a confusion matrix of shape {counts.shape}: expected a label for "
                         "each row")
    names = [_short(str(label)) for label in classes]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(52 * len(counts), 300), 1300)
    longest = max(map(len, names))
    left, top, bottom = 100 + 13 * longest, 84, 90 + (13 * longest if longest > 3 else 0)
    with drawing(path, left + side + 40, top + side + bottom) as figure:
        axes = canvas.place(figure, left, top, side, side)
        axes.set_axis_on()
        axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        axes.set_xticks(range(len(names)), names, rotation=90 if longest > 3 else 0)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.tick_params(length=0, labelsize=8 if len(names) <= 30 else 5)
        if len(names) <= 30:
            for (i, j), count in np.ndenumerate(counts):
                if count:
                    axes.text(j, i, f"{count:,}" if count < 10000 else canvas.number(count), ha="center", va="center",
                              fontsize=6.5, color="white" if share[i, j] > 0.55 else QUIET)
        canvas.write(figure, 20, 14, title or "Which class was taken for which", va="top", fontsize=10, weight="bold")
        canvas.write(figure, 20, 46, f"accuracy {100 * scores.accuracy:.2f} %, macro F1 {100 * scores.macro_f1:.2f} % "
                     f"({counts.sum():,} samples)", va="top", fontsize=8, color=QUIET)
    return Path(path)


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"
