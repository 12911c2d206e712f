"""A picture of queries and what was found for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miniae.report import canvas
from miniae.report.canvas import QUIET, drawing
from miniae.training.estimator import check_samples

__all__ = ["neighbours"]


def neighbours(path: str | os.PathLike[str], queries: Any, found: Any, image_shape: Sequence[int] | None = None, *,
               captions: Sequence[Sequence[str]] | None = None, title: str | None = None) -> Path:
    """Each query at the left, and to its right what is nearest to it: images, the nearest first.

    `queries` is (M, ...), `found` (M, k, ...) of samples of the same shape, `image_shape` (height, width) or (channels,
    height, width) where samples are flat. `captions` are M lists of k short texts, written below what was found: its
    distance, or its label. Values from 0 to 1 run from black to white.
    """
    queries = check_samples(queries, name="queries")
    found = np.asarray(found)
    if found.ndim < 3 or len(found) != len(queries) or found.shape[2:] != queries.shape[1:] or not found.size:
        raise ValueError(f"what was found has shape {found.shape}, expected ({len(queries)}, k, ...) of samples of "
                         f"shape {queries.shape[1:]}")
    shape = canvas.as_image_shape(image_shape, queries.shape[1:])
    if shape is None:
        raise ValueError(f"the samples have shape {queries.shape[1:]}, expected images: give their image_shape")
    if captions is not None and [len(row) for row in captions] != [found.shape[1]] * len(queries):
        raise ValueError(f"captions are {len(queries)} lists of {found.shape[1]} texts, one below each image found")
    scale = max(1, round(72 / max(shape[1:])))  # dots a pixel
    height, width = (n * scale for n in shape[1:])
    gap, between = max(4, width // 12), 24 if captions else max(4, height // 12)
    left, top, aside = 16, 64 if title else 32, width // 3
    columns = found.shape[1]
    whole = 2 * left + width + aside + columns * (width + gap) - gap
    with drawing(path, whole, top + len(queries) * (height + between) + 8) as figure:
        for m, (query, row) in enumerate(zip(queries, found, strict=True)):
            y = top + m * (height + between)
            for j, sample in enumerate((query, *row)):
                x = left if j == 0 else left + width + aside + (j - 1) * (width + gap)
                axes = canvas.place(figure, x, y, width, height)
                canvas.show(axes, np.asarray(sample, np.float64).reshape(shape).transpose(1, 2, 0), 0.0, 1.0)
                axes.set_axis_off()
                if j and captions is not None:
                    canvas.write(figure, x + width / 2, y + height + 3, str(captions[m][j - 1]), ha="center", va="top",
                                 fontsize=7, color=QUIET)
        canvas.write(figure, left, top - 6, "query", va="bottom", fontsize=8, color=QUIET)
        canvas.write(figure, left + width + aside, top - 6, "nearest", va="bottom", fontsize=8, color=QUIET)
        if title:
            fitting = (whole - 2 * left) / (1.3 * len(title))  # a letter is some 1.3 dots wide for each point
            canvas.write(figure, left, 34, title, va="bottom", fontsize=min(11, fitting), weight="bold")
    return Path(path)
