"""Pictures of what a generative model makes up: samples, the plane of its codes, what units do, ways between samples.

As in `pictures`, each function writes one PNG and returns its path, and raises `ValueError` for what can't be drawn.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from miniae.models import Gaussian, GenerativeAutoencoder
from miniae.report import canvas
from miniae.report.canvas import drawing
from miniae.training.estimator import check_count, check_samples

__all__ = ["interpolations", "manifold", "sample_grid", "traversal"]


def sample_grid(path: str | os.PathLike[str], images: Any, image_shape: Sequence[int] | None = None, *,
                columns: int | None = None, title: str | None = None) -> Path:
    """Images side by side: (N, ...), of `image_shape` where they are flat; by default about as many across as down."""
    images = check_samples(images, name="images")
    columns = math.ceil(math.sqrt(len(images))) if columns is None else check_count("columns", columns)
    return _mosaic(path, images, image_shape, min(columns, len(images)), title)


def manifold(path: str | os.PathLike[str], model: Any, image_shape: Sequence[int] | None = None, *, steps: int = 20,
             title: str | None = None, label: Any = None) -> Path:
    """What a model with a code of two numbers decodes across the plane: at quantiles of the prior, (i + 1/2) / steps.

    So every image stands for as much of the prior's probability, which must be a standard normal one. `label` is that
    of all images, for a model that needs labels. Kingma and Welling, "Auto-encoding variational Bayes", 2014, figure 4.
    """
    if not isinstance(model, GenerativeAutoencoder) or not isinstance(model.network_.prior, Gaussian):
        prior = "no prior" if not isinstance(model, GenerativeAutoencoder) else f"the prior {model.network_.prior}"
        raise ValueError(f"the plane of codes is of a standard normal prior, this model has {prior}: train a model "
                         "that has one")
    if model.network_.code_shape != (2,):
        raise ValueError(f"the plane of codes needs a code of 2 numbers, this model's has shape "
                         f"{model.network_.code_shape}: draw a traversal of single units instead")
    places = [(i + 0.5) / check_count("steps", steps) for i in range(steps)]
    values = np.array([NormalDist().inv_cdf(p) for p in places])
    codes = np.stack(np.meshgrid(values, values[::-1]), axis=-1).reshape(-1, 2)  # the second number upwards
    told = () if label is None else ([label] * len(codes),)
    return _mosaic(path, model.inverse_transform(codes, *told), image_shape, steps, title, "first number of the code",
                   "second number of the code", values, values[::-1])


def traversal(path: str | os.PathLike[str], model: Any, sample: Any, units: Any = None,
              image_shape: Sequence[int] | None = None, *, span: tuple[float, float] = (-3.0, 3.0), steps: int = 11,
              title: str | None = None, label: Any = None) -> Path:
    """What single latent units do to one sample (...): a row for each unit, set to values across `span`.

    `label` is the sample's, for a model that needs labels.
    """
    decoded = model.traverse(np.asarray(sample)[None], units, span, steps, labels=label)[0]
    names = range(len(decoded)) if units is None else np.atleast_1d(units).tolist()
    return _mosaic(path, decoded.reshape(-1, *decoded.shape[2:]), image_shape, steps, title, "value of the unit",
                   "latent unit", np.linspace(*span, steps), list(names))


def interpolations(path: str | os.PathLike[str], model: Any, A: Any, B: Any,
                   image_shape: Sequence[int] | None = None, *, steps: int = 9, title: str | None = None,
                   labels: Any = None) -> Path:
    """From samples A to samples B (N, ...) along straight lines of codes, a row for each pair.

    The samples themselves stand at the ends, outside of the reconstructions. `labels` (N,), one for each pair, are for
    a model that needs them.
    """
    between = model.interpolate(A, B, steps, labels=labels)
    A, B = (np.asarray(ends)[:, None] for ends in (A, B))
    rows = np.concatenate([A, between, B], axis=1)
    return _mosaic(path, rows.reshape(-1, *rows.shape[2:]), image_shape, steps + 2, title,
                   "share of the way between the codes", None, ["A", *np.linspace(0, 1, steps), "B"])


def _mosaic(path: str | os.PathLike[str], images: np.ndarray, image_shape: Sequence[int] | None, columns: int,
            title: str | None, across: str | None = None, down: str | None = None, column_names: Any = None,
            row_names: Any = None) -> Path:
    """Images in rows of `columns`, with names of the axes and ticks at columns and rows where there are any."""
    shape = canvas.as_image_shape(image_shape, images.shape[1:])
    if shape is None:
        raise ValueError(f"the samples have shape {images.shape[1:]}: give image_shape, (height, width) or (channels, "
                         "height, width)")
    mosaic = canvas.tile(images.reshape(len(images), *shape).astype(np.float64), columns)
    zoom = max(1, min(1000 // mosaic.shape[1], 160 // shape[1]))
    width, height = mosaic.shape[1] * zoom, mosaic.shape[0] * zoom
    left, top = 110 if down else 30, 58 if title else 24
    with drawing(path, max(width, 400) + left + 30, height + top + (90 if across else 24)) as figure:
        if title:
            canvas.write(figure, left, 16, title, va="top", fontsize=10, weight="bold")
        axes = canvas.place(figure, left, top, width, height)
        low, high = float(images.min()), float(images.max())
        low, high = (0.0, 1.0) if 0 <= low and high <= 1 else (low, high if high > low else low + 1.0)
        canvas.show(axes, mosaic, low, high)
        if across:
            axes.set_axis_on()
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
            gap = canvas.tile_gap(*shape[1:])
            _ticks(axes.set_xticks, column_names, shape[2], gap)
            _ticks(axes.set_yticks, row_names if down else [], shape[1], gap)
            axes.set_xlabel(across)
            axes.set_ylabel(down or "")
    return Path(path)


def _ticks(put: Any, names: Any, size: int, gap: int) -> None:
    """Names at the middles of tiles: all of them, or every second, third ... where there are many."""
    every = math.ceil(len(names) / 12) if len(names) else 1
    chosen = range(0, len(names), every)
    put([(size - 1) / 2 + i * (size + gap) for i in chosen],
        [f"{names[i]:.2g}" if isinstance(names[i], float) else str(names[i]) for i in chosen])
