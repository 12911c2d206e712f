"""Pictures of tables, whose columns have names: a line for each column, named, and the same colours in all of them.

White is 0, red above it and blue below, as far up as down. Columns are drawn as the model sees them: scaled to mean 0,
say, so that white is usual.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from miniae.report import canvas
from miniae.report.canvas import QUIET, SERIES, drawing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOST", "draw_rows", "draw_weights"]

MOST = 100
"""So many columns can be drawn with their names."""

_LETTERS = 28  # of a name
_LARGE, _SMALL = 36, 15  # dots of a line, of few columns and of many
_LINES = 640  # dots for all lines together, unless they would become too large, or too small
_CELL = 24  # dots of a sample, across


def draw_rows(path: str | os.PathLike[str], originals: np.ndarray, rows: Mapping[str, np.ndarray],
              errors: Mapping[str, np.ndarray], names: Sequence[str], means: Mapping[str, np.ndarray],
              title: str | None = None) -> None:
    """Samples (n, columns) beside what others made of them, by name, and the error of each column.

    `errors` are those of each sample drawn, by name, and of all others; `means` (columns,) the mean squared errors of
    the columns, over all samples.
    """
    n, columns = originals.shape
    reach = _reach(originals)
    tall = _line(columns) * columns
    across = max(_CELL * n, 170)
    width = 330 + across * (1 + len(rows)) + 300
    with drawing(path, width, tall + (250 if title else 215)) as figure:
        from matplotlib.ticker import MaxNLocator

        figure.set_layout_engine("constrained")
        panels = figure.subplots(1, 2 + len(rows), sharey=True,
                                 gridspec_kw={"width_ratios": [across] * (1 + len(rows)) + [260]})
        for axes, (name, values) in zip(panels, {"original": originals, **rows}.items(), strict=False):
            colours = canvas.diverging(axes, values.T, reach)
            axes.spines[:].set_visible(False)
            axes.set_title(name)
            axes.tick_params(length=0)
            said = [number(error) for error in errors[name][:n]] if name in errors else []
            axes.set_xticks(range(len(said)), said, rotation=90, fontsize=6.5)
            axes.set_xlabel(f"mean {number(errors[name].mean())}" if name in errors else "", fontsize=8)
        _name_lines(panels[0], names)
        figure.align_xlabels(panels[:-1])
        bars = panels[-1]
        thick = 0.8 / len(rows)
        for i, (name, colour) in enumerate(zip(rows, SERIES * len(rows), strict=False)):
            bars.barh(np.arange(columns) + (i + 0.5) * thick - 0.4, means[name], thick, color=colour, label=name)
        bars.set_title("error of each column")
        bars.tick_params(axis="y", length=0)
        bars.grid(True, axis="x")
        bars.xaxis.set_major_locator(MaxNLocator(4))
        bars.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        bars.legend(loc="upper left", bbox_to_anchor=(0.0, 0.0), borderaxespad=2.2, ncols=len(rows))
        figure.colorbar(colours, ax=list(panels[:-1]), location="bottom", extend=canvas.extend(originals, reach),
                        aspect=60, shrink=0.6, label="value, as the model sees it; 0 is white")
        count = len(next(iter(errors.values())))
        figure.supxlabel(f"below each sample its squared error, summed over columns; means over {count:,} "
                         f"sample{'s' * (count > 1)}", fontsize=8, color=QUIET)
        if title:
            figure.suptitle(title, fontsize=11, weight="bold")


def draw_weights(path: str | os.PathLike[str], units: np.ndarray, reach: float, names: Sequence[str],
                 title: str) -> None:
    """The weights from each column to each unit (units, columns), up to `reach`."""
    n, columns = units.shape
    with drawing(path, max(1050, 12 * n + 500), _line(columns) * columns + 150) as figure:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        colours = canvas.diverging(axes, units.T, reach)
        axes.set_xlabel("hidden unit")
        axes.set_title(title)
        axes.spines[:].set_visible(False)
        axes.set_xticks(canvas.whole_numbers(n, 10))
        _name_lines(axes, names)
        figure.colorbar(colours, ax=axes, extend=canvas.extend(units, reach), label="weight")


def _line(columns: int) -> float:
    """How high the line of a column is, in dots."""
    return min(max(_LINES / columns, _SMALL), _LARGE)


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    """The columns' names, beside their lines."""
    begin, end = 2 * _LETTERS // 3, _LETTERS // 3
    shown = [name if len(name) <= _LETTERS else f"{name[:begin]}…{name[-end:]}" for name in names]
    shown = [name if shown.count(name) == 1 else f"{i}: {name}" for i, name in enumerate(shown, start=1)]
    small = _line(len(names)) < 1.4 * _SMALL
    axes.set_yticks(range(len(shown)), [canvas.plain(name) for name in shown], fontsize=6.5 if small else 8)
    axes.tick_params(axis="y", length=0)


def _reach(values: np.ndarray) -> float:
    """Where the colours end: nearly all values lie within."""
    return float(np.quantile(np.abs(values), 0.99)) or float(np.abs(values).max()) or 1.0
