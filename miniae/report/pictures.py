"""Pictures of what a model does: each function writes one PNG and returns its path.

Drawn with matplotlib, which is imported when the first picture is. Each raises `ValueError` for data that can't be
drawn and `OSError` where the file can't be written; `path` then is what it was before.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.rbm.monitors import MONITORED
from miniae.report import canvas, tables
from miniae.report.canvas import QUIET, SERIES, drawing, number
from miniae.report.maps import latent
from miniae.report.metrics import squared_errors
from miniae.training.estimator import check_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["filters", "latent", "loss_curves", "reconstructions"]


# -------------------------------------------------------------------- reconstructions

def reconstructions(path: str | os.PathLike[str], originals: Any, reconstructions: Any | Mapping[str, Any],
                    image_shape: Sequence[int] | None = None, *, title: str | None = None, columns: int = 10,
                    names: Sequence[str] | None = None) -> Path:
    """The first samples above their reconstructions, each with its squared error.

    `originals` is (N, ...); `reconstructions` an array of the same shape, or several by name, one row each: a noisy
    version and its cleaned one, or PCA and an autoencoder. `image_shape` is (height, width) or (channels, height,
    width) of samples that are images but flat; flat samples without it are drawn as bars, or lines where they have
    many features; or, where these have `names` and are not too many, as a table of colours with a line for each, beside
    its error. Errors are summed over features; the mean in front of a row is over all N samples given.
    """
    originals = check_samples(originals, name="originals")
    if not isinstance(reconstructions, Mapping):
        reconstructions = {"reconstruction": reconstructions}
    if not reconstructions:
        raise ValueError("there are no reconstructions to draw: give an array, or a dict of arrays by name")
    if columns < 1:
        raise ValueError(f"columns is {columns}, expected at least 1")
    rows = {name: check_samples(y, originals.shape[1:], name=name) for name, y in reconstructions.items()}
    errors = {name: squared_errors(originals, y) for name, y in rows.items()}
    n = min(columns, len(originals))
    shape = canvas.as_image_shape(image_shape, originals.shape[1:])
    flat = originals[:n].reshape(n, -1).astype(np.float64)
    flat_rows = {name: y[:n].reshape(n, -1).astype(np.float64) for name, y in rows.items()}
    if shape is None and names is not None and len(names) <= tables.MOST:
        every = originals.reshape(len(originals), -1)
        means = {name: np.square(y.reshape(every.shape).astype(np.float64) - every).mean(axis=0)
                 for name, y in rows.items()}
        tables.draw_rows(path, flat, flat_rows, errors, _checked_names(names, flat.shape[1]), means, title)
    elif shape is None:
        _feature_panels(path, flat, flat_rows, errors, title)
    else:
        _image_rows(path, flat, flat_rows, errors, shape, title)
    return Path(path)


def _image_rows(path: str | os.PathLike[str], originals: np.ndarray, rows: dict[str, np.ndarray],
                errors: dict[str, np.ndarray], shape: tuple[int, int, int], title: str | None) -> None:
    n, (_, height, width) = len(originals), shape
    low, high = canvas.grey_range(originals)
    # A whole number of dots for each pixel keeps all pixels the same size.
    zoom = max(1, min(1040 // (max(n, 6) * (width + 1)), 240 // height))
    gap = canvas.tile_gap(height, width)
    strip, tall = (n * (width + gap) - gap) * zoom, height * zoom
    left = 36 + max(11 * len(name) for name in ["reconstruction", *rows])
    top, caption, note = 58 if title else 16, 38, 30
    full_height = top + tall + 10 + len(rows) * (tall + caption) + note
    with drawing(path, left + max(strip, 560) + 24, full_height) as figure:
        if title:
            canvas.write(figure, left, 16, title, va="top", fontsize=10, weight="bold")
        canvas.write(figure, left - 16, top + tall / 2, "original", ha="right", va="center")
        canvas.show(canvas.place(figure, left, top, strip, tall), canvas.tile(originals.reshape(n, *shape), n),
                    low, high)
        top += tall + 10
        for name, samples in rows.items():
            canvas.write(figure, left - 16, top + tall / 2, name, ha="right", va="bottom")
            canvas.write(figure, left - 16, top + tall / 2 + 4, f"mean {number(errors[name].mean())}", ha="right",
                         va="top", fontsize=8, color=QUIET)
            canvas.show(canvas.place(figure, left, top, strip, tall), canvas.tile(samples.reshape(n, *shape), n),
                        low, high)
            for i, error in enumerate(errors[name][:n]):
                canvas.write(figure, left + (i * (width + gap) + width / 2) * zoom, top + tall + 5, number(error),
                             ha="center", va="top", fontsize=7.5, color=QUIET)
            top += tall + caption
        canvas.write(figure, left, full_height - 12, _error_note(errors, "pixels"), va="bottom", fontsize=7.5,
                     color=QUIET)


def _feature_panels(path: str | os.PathLike[str], originals: np.ndarray, rows: dict[str, np.ndarray],
                    errors: dict[str, np.ndarray], title: str | None) -> None:
    n, features = originals.shape
    across = min(n, 5)
    down = math.ceil(n / across)
    position = np.arange(features)
    with drawing(path, max(240 * across, 900), 190 * down + (150 if title else 110)) as figure:
        figure.set_layout_engine("constrained")
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for axes in panels[n:]:
            axes.set_axis_off()
        for i, axes in enumerate(panels[:n]):
            if features > 40:
                (original,) = axes.plot(position, originals[i], color="#9a9a9a", linewidth=2.2)
                marks: dict[str, Any] = {"linewidth": 1.0}
            else:
                original = axes.bar(position, originals[i], color="#c4c4c4", width=0.8)
                marks = {"linestyle": "", "marker": "o", "markersize": 3.5}
            handles = {"original": original}
            for colour, (name, samples) in zip(SERIES * len(rows), rows.items(), strict=False):
                (handle,) = axes.plot(position, samples[i], color=colour, **marks)
                handles[f"{name} (mean error {number(errors[name].mean())})"] = handle
            axes.set_title(", ".join(number(errors[name][i]) for name in rows), fontsize=8, color=QUIET,
                           weight="normal", loc="center", pad=3)
        if features == 1:
            panels[0].set_xlim(-1.5, 1.5)
        panels[0].set_xticks(canvas.whole_numbers(features, 5))
        figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=len(handles),
                      title=title, title_fontproperties={"weight": "bold", "size": 10})
        figure.supxlabel(f"feature number. Above each panel: {_error_note(errors, 'features')}", fontsize=8,
                         color=QUIET)


def _checked_names(names: Sequence[str], features: int) -> Sequence[str]:
    if len(names) != features:
        raise ValueError(f"there are {len(names)} names and {features} features: give one for each")
    return names


def _error_note(errors: dict[str, np.ndarray], what: str) -> str:
    n = len(next(iter(errors.values())))
    return f"squared error, summed over {what}; means over {n:,} sample{'s' if n > 1 else ''}"


# -------------------------------------------------------------------- losses

def loss_curves(path: str | os.PathLike[str], history: Sequence[Mapping[str, float]],
                pretraining: Sequence[Sequence[Mapping[str, float]]] = (), *, title: str | None = None,
                label: str = "loss per sample") -> Path:
    """The loss of every epoch, in training and, where it was measured, in validation.

    `history` is what `Trainer.fit` returns: one dict an epoch with `loss` and maybe `val_loss`. Where the loss has
    several terms (reconstruction, KL, penalty), each is drawn in a panel and on a scale of its own. `pretraining` holds
    the histories of pretrained layers, drawn in a panel, too. A scale is logarithmic when its losses differ by more
    than ten.
    """
    curves = {"training": canvas.curve(history, "loss", "history")}
    if any("val_loss" in row for row in history):
        curves["validation"] = canvas.curve(history, "val_loss", "history")
    terms = _terms(history)
    layers = {f"layer {i + 1}": canvas.curve(rows, "loss", f"pretraining[{i}]") for i, rows in enumerate(pretraining)}
    columns = 1 + bool(layers) + bool(terms)
    width, height = 1050 if columns == 1 else 750 * columns, max(600, 250 * len(terms)) + (40 if title else 0)
    with drawing(path, width, height) as figure:
        figure.set_layout_engine("constrained")
        grid = figure.add_gridspec(max(len(terms), 1), columns)
        if layers:
            from matplotlib import colormaps

            before = figure.add_subplot(grid[:, 0])
            shades = colormaps["viridis"](np.linspace(0.0, 0.8, len(layers)))
            canvas.plot_curves(before, layers, list(shades), 1.6)
            canvas.finish_curves(before, list(layers.values()), label)
            before.set_title("pretraining, layer by layer")
        axes = figure.add_subplot(grid[:, 1 if layers else 0])
        if layers or terms:
            axes.set_title("training the whole" if layers else "the whole loss")
        canvas.plot_curves(axes, curves, list(SERIES), 2.0)
        canvas.finish_curves(axes, list(curves.values()), label)
        for row, (name, term) in enumerate(terms.items()):
            panel = figure.add_subplot(grid[row, -1], sharex=axes)
            canvas.plot_curves(panel, term, list(SERIES), 1.6)
            canvas.finish_curves(panel, list(term.values()), name)
            panel.set_xlabel("epoch" if row == len(terms) - 1 else "")
        if "validation" in curves:
            epochs, losses = curves["validation"]
            best = int(losses.argmin())
            axes.plot(epochs[best], losses[best], "o", color=SERIES[1], markersize=6, markerfacecolor="white",
                      markeredgewidth=1.5, label=f"lowest, epoch {epochs[best]:g}: {number(losses[best])}", zorder=4)
        axes.legend()
        if title:
            figure.suptitle(title, fontsize=11, weight="bold")
    return Path(path)


# What a history tells of an epoch besides the terms of its loss.
_NOT_TERMS = ("epoch", "loss", "lr", "seconds", "samples_per_second", *MONITORED)


def _terms(history: Sequence[Mapping[str, float]]) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The curves of each of the loss's terms, in training and in validation, where there is more than one term."""
    names = [name for name in history[0] if name not in _NOT_TERMS and not name.startswith("val_")]
    if len(names) < 2:
        return {}
    parts = {"training": "", "validation": "val_"}
    return {name: {part: canvas.curve(history, before + name, "history") for part, before in parts.items()
                   if any(before + name in row for row in history)} for name in names}


# -------------------------------------------------------------------- filters

def filters(path: str | os.PathLike[str], weights: Any, image_shape: Sequence[int] | None = None, *,
            title: str | None = None, limit: int = 100, names: Sequence[str] | None = None) -> Path:
    """What the units of a first layer respond to: white is 0, red positive, blue negative, on one scale for all.

    `weights` is that of a `Dense`, (features, units), or of a `Conv2D`, (out, in, height, width). With `image_shape`,
    (height, width) or (channels, height, width), each unit of a Dense is drawn as an image, those of three channels in
    their colours, grey for 0; without it the whole matrix is one heat map, with the features' `names`, where they are
    given and not too many. At most `limit` units are drawn, the first.
    The scale ends where 99.8 % of the weights lie within.
    """
    weights = check_samples(weights, name="weights")
    if limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1 unit to draw")
    if weights.ndim == 2:
        shape, units = canvas.as_image_shape(image_shape, weights.shape[:1]), weights.T
    elif weights.ndim == 4:
        # Between many channels there is no colour to show: a unit's kernels are drawn one by one.
        shape = weights.shape[1:] if weights.shape[1] in (1, 3) else (1, *weights.shape[2:])
        units = weights.reshape(-1, math.prod(shape))
    else:
        raise ValueError(f"weights have shape {weights.shape}, expected (features, units) or (out, in, height, width)")
    total, units = len(units), units[:limit].astype(np.float64)
    reach = float(np.quantile(np.abs(units), 0.998)) or float(np.abs(units).max()) or 1.0
    note = f"{total:,} unit{'s' if total > 1 else ''}" if total <= limit else f"the first {limit} of {total:,} units"
    if shape is None and names is not None and len(names) <= tables.MOST:
        tables.draw_weights(path, units, reach, _checked_names(names, units.shape[1]), title or note)
    elif shape is None:
        _weight_heat_map(path, units, reach, title, note)
    else:
        _filter_tiles(path, units.reshape(len(units), *shape), reach, title, note)
    return Path(path)


def _filter_tiles(path: str | os.PathLike[str], units: np.ndarray, reach: float, title: str | None,
                  note: str) -> None:
    n, channels, height, width = units.shape
    columns = min(n, max(1, math.ceil(math.sqrt(1.6 * n * height / width))))
    mosaic = canvas.tile(units, columns)
    zoom = max(1, min(900 // mosaic.shape[1], 160 // height))
    across, down = mosaic.shape[1] * zoom, mosaic.shape[0] * zoom
    top, edge = 58 if title else 20, 24
    with drawing(path, max(across, 420) + edge + 160, max(down, 200) + top + 48) as figure:
        if title:
            canvas.write(figure, edge, 16, title, va="top", fontsize=10, weight="bold")
        axes = canvas.place(figure, edge, top, across, down)
        foot = max(down, 200) + top + 36
        if channels == 3:
            canvas.show(axes, mosaic, -reach, reach)
            canvas.write(figure, edge, foot, f"{note}; grey is 0, the scale ends at ±{number(reach)}", va="bottom",
                         fontsize=8, color=QUIET)
            return
        colours = canvas.diverging(axes, mosaic[:, :, 0], reach)
        _outline(axes, n, columns, height, width)
        bar = canvas.place(figure, edge + across + 26, top, 22, max(down, 200))
        bar.set_axis_on()
        figure.colorbar(colours, cax=bar, extend=canvas.extend(units, reach), label="weight")
        canvas.write(figure, edge, foot, note, va="bottom", fontsize=8, color=QUIET)


def _outline(axes: Axes, n: int, columns: int, height: int, width: int) -> None:
    """A thin frame around each tile, whose white would else run into the page."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    gap = canvas.tile_gap(height, width)
    corners = [(i % columns * (width + gap) - 0.5, i // columns * (height + gap) - 0.5) for i in range(n)]
    axes.add_collection(PatchCollection([Rectangle(corner, width, height) for corner in corners], facecolor="none",
                                        edgecolor="#bdbdbd", linewidth=0.6, clip_on=False), autolim=False)


def _weight_heat_map(path: str | os.PathLike[str], units: np.ndarray, reach: float, title: str | None,
                     note: str) -> None:
    n, features = units.shape
    with drawing(path, 1050, min(900, max(340, 40 * n + 200))) as figure:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        colours = canvas.diverging(axes, units, reach)
        axes.set_xlabel("input feature")
        axes.set_ylabel("hidden unit")
        axes.set_title(title or note)
        axes.spines[:].set_visible(False)
        axes.set_xticks(canvas.whole_numbers(features, 10))
        axes.set_yticks(canvas.whole_numbers(n, 10))
        figure.colorbar(colours, ax=axes, extend=canvas.extend(units, reach), label="weight")


# -------------------------------------------------------------------- images

def images(path: str | os.PathLike[str], X: Any, image_shape: Sequence[int] | None = None, *, columns: int = 10,
           title: str | None = None) -> Path:
    """Images side by side, `columns` in a row: samples of a model, or of the data.

    `X` is (N, ...), with `image_shape` (height, width) or (channels, height, width) where samples are flat. Values from
    0 to 1 run from black to white; where some lie outside, the smallest is black and the largest white.
    """
    X = check_samples(X, name="images")
    shape = canvas.as_image_shape(image_shape, X.shape[1:])
    if shape is None:
        raise ValueError(f"the samples have shape {X.shape[1:]}, expected images: give their image_shape")
    if columns < 1:
        raise ValueError(f"columns is {columns}, expected at least 1")
    values = X.reshape(len(X), *shape).astype(np.float64)
    columns = min(columns, len(X))
    mosaic = canvas.tile(values, columns)
    scale = max(1, round(96 / max(shape[1:])))  # dots a pixel
    height, width = (n * scale for n in mosaic.shape[:2])
    top = 56 if title else 16
    with drawing(path, width + 32, height + top + 16) as figure:
        axes = canvas.place(figure, 16, top, width, height)
        canvas.show(axes, mosaic, *canvas.grey_range(values))
        axes.set_axis_off()
        if title:
            canvas.write(figure, 16, 40, title, va="bottom", fontsize=11, weight="bold")
    return Path(path)
