"""Pictures of series and sounds: a signal and how odd each of its moments is, and spectrograms."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from miniae.data import stft
from miniae.report.canvas import INK, QUIET, SERIES, drawing, spans_a_decade

__all__ = ["series_scores", "spectrograms"]

# What is softer than the loudest by more decibels is drawn as silence.
_RANGE = 60.0


def series_scores(path: str | os.PathLike[str], x: Any, scores: Any, threshold: float | None = None, *,
                  found: Sequence[Sequence[Any]] = (), odd: Any = None, time: Any = None,
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


def spectrograms(path: str | os.PathLike[str], sounds: Mapping[str, Any], rate: int, size: int = 512, hop: int = 128, *,
                 columns: int = 1) -> None:
    """Draw the spectrograms of sounds (T,), by their titles, to a PNG file: in decibels below the loudest of them all.

    `rate` is in samples a second; `size` and `hop` are those of `data.stft`. Panels are in rows of `columns`, with the
    time in seconds across and the frequency in kHz upwards.
    """
    if not sounds:
        raise ValueError("there are no sounds to draw: give a dict of arrays (T,) by title")
    powers = {title: np.square(np.abs(stft(x, size, hop))) for title, x in sounds.items()}
    loudest = max(power.max() for power in powers.values()) or 1.0
    rows = -(-len(sounds) // columns)
    with drawing(path, 1200, 90 + 270 * rows) as figure:
        figure.set_layout_engine("constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat[len(powers):]:
            axes.set_axis_off()
        for axes, (title, power) in zip(panels.flat, powers.items(), strict=False):
            # The middle of frame m is at sample m hop - size / 2.
            first, last = (m * hop - size / 2 - hop / 2 for m in (0, len(power)))
            drawn = axes.imshow(10 * np.log10(np.maximum(power.T / loudest, 10 ** (-_RANGE / 10))), origin="lower",
                                extent=(first / rate, last / rate, 0, rate / 2000), vmin=-_RANGE, vmax=0.0,
                                cmap="magma", aspect="auto", interpolation="nearest")
            axes.set_xlim(0, max(len(x) for x in sounds.values()) / rate)
            axes.set_title(title)
            axes.label_outer()
        for axes in panels[-1]:
            axes.set_xlabel("time, s")
        for axes in panels[:, 0]:
            axes.set_ylabel("frequency, kHz")
        figure.colorbar(drawn, ax=panels, label="dB", pad=0.01)
