"""Pictures of where time goes: the parts of a training step, and kernels beside what the machine can do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from miniae.report.canvas import INK, QUIET, SERIES, drawing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["step_parts"]

_DIRECTIONS = {"forward": SERIES[0], "backward": SERIES[1], "": SERIES[2]}
_MOST = 25  # parts of a step that are drawn one by one


def step_parts(path: str | os.PathLike[str], parts: Sequence[tuple[str, Mapping[str, float]]], *,
               title: str | None = None) -> Path:
    """The parts of a training step as horizontal bars, the longest on top, each with its share of the step.

    `parts` are names with milliseconds by direction: "forward" and "backward" of functions, "" of stages. Of more than
    25 parts the shortest are drawn as one.
    """
    if not parts:
        raise ValueError("there are no parts of a step to draw: give at least one name with its milliseconds")
    ordered = sorted(parts, key=lambda part: -sum(part[1].values()))
    if len(ordered) > _MOST:
        few = ordered[_MOST - 1:]
        ordered[_MOST - 1:] = [(f"{len(few)} others", {"": sum(sum(times.values()) for _, times in few)})]
    names, times = zip(*ordered, strict=True)
    totals = np.array([sum(t.values()) for t in times])
    labels = [f"{number(total)} ms, {100 * total / totals.sum():.1f} %" for total in totals]
    with drawing(path, 1350, 200 + 36 * len(names)) as figure:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        begin = np.zeros(len(names))
        for direction, colour in _DIRECTIONS.items():
            lengths = np.array([t.get(direction, 0.0) for t in times])
            if lengths.any():
                axes.barh(np.arange(len(names)), lengths, left=begin, color=colour, height=0.72,
                          label=direction or "around the functions")
            begin += lengths
        _label_bars(axes, names, totals, labels)
        axes.set_xlabel(f"milliseconds a step (a whole step: {number(totals.sum())} ms)")
        axes.legend(loc="lower right")
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10, weight="bold")
    return Path(path)


def _label_bars(axes: Axes, names: Sequence[str], ends: np.ndarray, labels: Sequence[str]) -> None:
    """Names on the left, from the top down, and a text at the end of each bar, with room for it."""
    for y, (end, label) in enumerate(zip(ends, labels, strict=True)):
        axes.annotate(label, (end, y), (4, 0), textcoords="offset points", va="center", fontsize=7.5, color=QUIET)
    axes.set_yticks(np.arange(len(names)), names, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * max(float(np.max(ends)), 1e-12))
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
