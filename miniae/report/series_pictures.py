"""Pictures of series: the signal, and how odd each of its moments is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae.report.canvas import INK, QUIET, SERIES, drawing, spans_a_decade

__all__ = ["series_scores"]


def series_scores(path: str | os.PathLike[str], x: Any, scores: Any, threshold: float | None = None, *,
                  found: Sequence[Sequence[float]] = (), odd: Any = None, time: Any = None,
                  names: Sequence[str] | None = None, title: str | None = None) -> None:
    """Draw a series (T,) or (T, channels) and below it the scores (T,) of its moments to a PNG file.

    `found` are the (start, end) of the segments that were found, marked over the signal; `odd` (T,), true for the
    moments known to be odd, is marked below the signal. `time` (T,) is what the moments are called, their numbers if
    None; `names` are those of the channels, which are drawn one below the other.
    """
    x, scores = np.asarray(x, np.float64), np.asarray(scores, np.float64)
    x = x.reshape(len(x), -1)
    if scores.shape != (len(x),):
        raise ValueError(f"scores have shape {scores.shape} for a series of {len(x)} moments: expected one a moment")
    time = np.arange(len(x)) if time is None else np.asarray(time)
    ends = np.append(time, 2 * time[-1] - time[-2] if len(time) > 1 else time[-1] + 1)
    channels = x.shape[1]
    with drawing(path, 1200, 420 + 130 * min(channels, 8)) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.2 + 0.5 * min(channels, 8), 1.2])
        low, high = x.min(axis=0), x.max(axis=0)
        for i in range(channels):  # one alone in its own units, several each from 0 to 1
            values = x[:, i] if channels == 1 else (x[:, i] - low[i]) / ((high[i] - low[i]) or 1.0) - 1.1 * i
            above.plot(time, values, color=INK, linewidth=0.6)
        if channels > 1:
            above.set_yticks([0.5 - 1.1 * i for i in range(channels)],
                             names or [f"channel {i}" for i in range(channels)])
        else:
            above.set_ylabel(names[0] if names else "signal")
        for i, (start, end, *_) in enumerate(found):
            above.axvspan(ends[start], ends[end], color=SERIES[1], alpha=0.25, linewidth=0,
                          label="found" if not i else None)
        if odd is not None:
            edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(odd, bool).astype(np.int8), [0]])))
            for i, (start, end) in enumerate(edges.reshape(-1, 2)):
                for axes in (above, below):
                    axes.axvspan(ends[start], ends[end], ymax=0.05, color=SERIES[2], linewidth=0,
                                 label="known to be odd" if not i else None)
        below.plot(time, scores, color=SERIES[0], linewidth=0.8)
        if threshold is not None:
            below.axhline(threshold, color=SERIES[1], linewidth=0.9, linestyle="--",
                          label=f"threshold, {threshold:.3g}")
        if spans_a_decade(scores):
            below.set_yscale("log")
        below.set(xlabel="time", ylabel="score (1: as usual)", xlim=(ends[0], ends[-1]))
        below.grid(True, color=QUIET, alpha=0.2)
        for axes in (above, below):
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=2, borderaxespad=0.0)
        if title:
            above.set_title(title)
        figure.tight_layout()
