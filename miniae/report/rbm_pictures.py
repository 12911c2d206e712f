"""Pictures of a restricted Boltzmann machine: how its numbers are distributed, and how its training went."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.rbm.machine import Machine
from miniae.rbm.rbm import rows, visible_states
from miniae.report import canvas
from miniae.report.canvas import INK, QUIET, SERIES, drawing, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["histograms", "monitors"]


def histograms(path: str | os.PathLike[str], machine: Machine, X: Any = None, *, title: str | None = None) -> Path:
    """How the weights, the visible and the hidden biases are distributed and, given data, the hidden activities.

    `X` is (N, visible); an activity is E[h | v] of one unit for one sample. A dashed line marks the mean. Weights that
    have not left 0 have learned nothing, a few far away tell of too high a learning rate, and activities that are
    almost all 0, or 1, of units without use. Hinton, "A practical guide to training RBMs", 2010, on displaying what
    happens; Yosinski and Lipson, "Visually debugging restricted Boltzmann machine training", ICML workshop, 2012.

    Raises `TypeError` where `machine` is none.
    """
    if not isinstance(machine, Machine):
        raise TypeError(f"expected a Machine, got {type(machine).__name__}: for a trained RBM give its machine_")
    panels = {"weights": ("weight", machine.weight.numpy()), "visible biases": ("bias", machine.visible_bias.numpy()),
              "hidden biases": ("bias", machine.hidden_bias.numpy())}
    for name, (_, values) in panels.items():
        if not np.isfinite(values).all():
            raise ValueError(f"the {name} hold values that are not finite: training has diverged, lower lr")
    if X is not None:
        activity = rows(machine, machine.hidden_mean, visible_states(machine, X))
        label = f"E[h | v], {len(activity):,} sample{'s' if len(activity) > 1 else ''}"
        panels["hidden activities"] = (label, activity)
    across = 2 if len(panels) == 4 else 3
    down = len(panels) // across
    with drawing(path, 1200, 380 * down + (60 if title else 20)) as figure:
        figure.set_layout_engine("constrained")
        for axes, (name, (label, values)) in zip(figure.subplots(down, across).ravel(), panels.items(), strict=True):
            ends = (0.0, 1.0) if name == "hidden activities" and machine.hidden_units.unit_interval else None
            _histogram(axes, values.astype(np.float64).ravel(), ends)
            axes.set_title(name)
            axes.set_xlabel(f"{label}: mean {number(values.mean())}, sd {number(values.std())}")
            axes.set_ylabel(f"how many of {values.size:,}")
        if title:
            figure.suptitle(title, fontsize=11, weight="bold")
    return Path(path)


def _histogram(axes: Axes, values: np.ndarray, ends: tuple[float, float] | None) -> None:
    from matplotlib.ticker import MaxNLocator

    bins = int(np.clip(2 * math.sqrt(values.size), 10, 60))  # few values in many bins are a comb
    axes.hist(values, bins=bins, range=ends, color=SERIES[0])
    axes.axvline(values.mean(), color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=(1, 2, 5, 10), integer=True))
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")


# What the panels of `monitors` are called, what they measure, and which entries of the history they show.
_PANELS = {
    "reconstruction error": ("squared error per sample", {"loss": "training", "val_loss": "validation"}),
    "pseudo-likelihood": ("nats per sample", {"pseudo_likelihood": "pseudo-likelihood"}),
    "free-energy gap": ("F(held out) \u2212 F(training), nats", {"free_energy_gap": "gap"}),
    "hidden units": ("share", {"hidden_activity": "mean activity", "hidden_off": "nearly always off",
                               "hidden_on": "nearly always on"}),
}


def monitors(path: str | os.PathLike[str], history: Sequence[Mapping[str, float]], *,
             title: str | None = None) -> Path:
    """An RBM's training by epoch, a small panel each for what its history holds:

    the reconstruction error, and what the callbacks `PseudoLikelihood`, `FreeEnergyGap` and `Activity` have added.
    Raises `ValueError` for a history without losses, or with numbers that are not finite.
    """
    found = {}
    for name, (label, entries) in _PANELS.items():
        present = [key for key in entries if key == "loss" or any(key in row for row in history)]
        if present:
            found[name] = label, {entries[key]: canvas.curve(history, key, "history") for key in present}
    across = 2 if len(found) == 4 else len(found)
    down = -(-len(found) // across)
    with drawing(path, max(450 * across, 600), 360 * down + (60 if title else 20)) as figure:
        figure.set_layout_engine("constrained")
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, (name, (label, curves)) in zip(panels, found.items(), strict=True):
            canvas.plot_curves(axes, curves, SERIES, 1.8)
            canvas.label_epochs(axes, label)
            axes.set_title(name)
            axes.legend()
            if name == "hidden units":
                axes.set_ylim(-0.03, 1.03)
            if name == "free-energy gap":
                axes.axhline(0.0, color=QUIET, linewidth=0.8, zorder=1)
        if title:
            figure.suptitle(title, fontsize=11, weight="bold")
    return Path(path)
