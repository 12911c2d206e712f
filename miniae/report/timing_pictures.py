"""Pictures of where time goes: the parts of a training step, and kernels beside what the machine can do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.report.canvas import INK, QUIET, SERIES, drawing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["step_parts"]

_DIRECTIONS = {"forward": SERIES[0], "backward": SERIES[1], "": SERIES[2]}
_MOST = 25  # parts of a step that are drawn one by one
_LONGEST = 150  # % of the roofline that are drawn


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
        _label_ends(axes, np.arange(len(names)), totals, labels)
        _name_rows(axes, names)
        axes.set_xlim(0, 1.2 * max(totals))
        axes.set_xlabel(f"milliseconds a step (a whole step: {number(totals.sum())} ms)")
        axes.legend(loc="lower right")
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10, weight="bold")
    return Path(path)


def roofline_shares(path: str | os.PathLike[str], results: Mapping[str, Mapping[str, Any]]) -> Path:
    """How near kernels and training steps come to the machine's roofline: bars, with a line at the roofline itself.

    `results` are those of `tasks.bench` by backend, each drawn in a colour of its own. At the end of a bar stands the
    time that was taken. Bars end at 150 %, where they say how long they would be.
    """
    if not results:
        raise ValueError("there is nothing to draw: give the results of at least one backend")
    panels = {"kernels": "kernels", "steps": "training steps, with Adam"}
    heights = [len(next(iter(results.values()))[kind]) for kind in panels]
    thickness = 8 + 21 * len(results)  # of a row, in dots
    with drawing(path, 1500, 300 + thickness * sum(heights)) as figure:
        figure.set_layout_engine("constrained")
        below = figure.subplots(len(panels), 1, sharex=True, height_ratios=[height + 0.2 for height in heights])
        for axes, (kind, title) in zip(below, panels.items(), strict=True):
            _shares(axes, {name: result[kind] for name, result in results.items()})
            axes.set_title(title)
        below[-1].set_xlabel("share of the roofline (%): the least time for the work, by the fastest matrix product\n"
                             "and the fastest copy, over the time taken; more than 100 % where caches hold the data")
        roofs = [f"{name}: at most {number(result['roofline']['flops'] / 1e9)} GFLOP/s, "
                 f"{number(result['roofline']['bytes'] / 1e9)} GB/s ({result['device']})"
                 for name, result in results.items()]
        figure.legend(below[0].containers, roofs, loc="outside upper left", ncols=1)
    return Path(path)


def _shares(axes: Axes, timings: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Bars of several backends side by side, for the same kernels or steps."""
    first = next(iter(timings.values()))
    width = 0.76 / len(timings)
    for i, (colour, (name, rows)) in enumerate(zip(SERIES, timings.items(), strict=False)):
        places = np.arange(len(rows)) + (i - (len(timings) - 1) / 2) * width
        shares = np.array([100 * row["share"] for row in rows])
        axes.barh(places, shares, color=colour, height=width, label=name)
        times = [f"{number(row['milliseconds'])} ms" for row in rows]
        fits = shares < 0.9 * _LONGEST
        _label_ends(axes, places[fits], shares[fits], np.array(times)[fits])
        for y, share, time in zip(places[~fits], shares[~fits], np.array(times)[~fits], strict=True):
            axes.annotate(f"{time}, {share:.0f} %", (min(share, _LONGEST), y), (-4, 0), textcoords="offset points",
                          va="center", ha="right", fontsize=7.5, color="white")
    _name_rows(axes, [f"{row['name']} {row['shape']}" for row in first])
    axes.set_xlim(0, _LONGEST)
    axes.axvline(100, color=INK, linewidth=0.9, linestyle="--")


def _label_ends(axes: Axes, places: np.ndarray, ends: np.ndarray, labels: Iterable[str]) -> None:
    """A text at the end of each bar."""
    for y, end, label in zip(places, ends, labels, strict=True):
        axes.annotate(label, (end, y), (4, 0), textcoords="offset points", va="center", fontsize=7.5, color=QUIET)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Names on the left, from the top down."""
    axes.set_yticks(np.arange(len(names)), names, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
