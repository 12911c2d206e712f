"""A picture of where images are odd."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.report import canvas
from miniae.report.canvas import QUIET, drawing
from miniae.training.estimator import check_finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heat_maps"]

_OUTLINE = "#00c2ff"  # stands out on grey and on the heat map's blacks, reds and yellows

# The height of an image, in dots, and the width that is wide enough for any.
_TALL, _WIDEST = 320, 560


def heat_maps(path: str | os.PathLike[str], images: Sequence[Any], heats: Sequence[Any], *, masks: Sequence[Any],
              titles: Sequence[str] | None = None, outline: str = "above the threshold") -> Path:
    """Each image, its heat map with a bar of its colours, and the image with the mask's outline, in a row.

    `images` are (height, width) or (3, height, width) from 0 to 1, `heats` and `masks` (height, width) numbers and
    truths; those of one row have one size, others may have other sizes. `titles` name the rows, `outline` says what the
    masks are. Colours go from 0 to the largest value of each heat map. Raises `ValueError` for other shapes.
    """
    images, heats, masks = ([np.asarray(a) for a in several] for several in (images, heats, masks))
    titles = [""] * len(images) if titles is None else list(titles)
    if not images or not len(images) == len(heats) == len(masks) == len(titles):
        raise ValueError(f"got {len(images)} images, {len(heats)} heat maps, {len(masks)} masks and {len(titles)} "
                         "titles: expected as many of each, and at least one")
    for image, heat, mask in zip(images, heats, masks, strict=True):
        _check(image, heat, mask)
    widths = [min(round(_TALL * image.shape[-1] / image.shape[-2]), _WIDEST) for image in images]
    heights = [round(width * image.shape[-2] / image.shape[-1]) for width, image in zip(widths, images, strict=True)]
    left, gap, bar, caption = 16, 24, 90, 40
    column = max(*widths, 10 * len(outline) + 120, 13 * max(map(len, titles)), 260)  # as wide as what is written, too
    across = [left + i * (column + gap) + (bar if i == 2 else 0) for i in range(3)]
    top = 44
    with drawing(path, across[2] + column + left, top + sum(heights) + caption * len(images)) as figure:
        for x, text in zip(across, ("image", "heat: 1 is usual", f"outlined: {outline}"), strict=True):
            canvas.write(figure, x, top - 8, text, va="bottom", fontsize=8, weight="bold")
        for image, heat, mask, title, wide, tall in zip(images, heats, masks, titles, widths, heights, strict=True):
            for x in (across[0], across[2]):
                axes = canvas.place(figure, x, top, wide, tall)
                canvas.show(axes, image.reshape(-1, *image.shape[-2:]).transpose(1, 2, 0).astype(np.float64), 0.0, 1.0)
                if x == across[2]:
                    _outline(axes, mask)
            axes = canvas.place(figure, across[1], top, wide, tall)
            shown = axes.imshow(heat, cmap="inferno", vmin=0.0, vmax=float(heat.max()) or 1.0, aspect="auto",
                                interpolation="nearest")
            figure.colorbar(shown, cax=canvas.place(figure, across[1] + wide + 6, top, 12, tall))
            figure.axes[-1].set_axis_on()
            hottest = np.unravel_index(heat.argmax(), heat.shape)
            canvas.write(figure, across[0], top + tall + 4, title, va="top", fontsize=8)
            canvas.write(figure, across[1], top + tall + 4,
                         f"largest {canvas.number(float(heat.max()))} at row {hottest[0]}, column {hottest[1]}",
                         va="top", fontsize=7.5, color=QUIET)
            canvas.write(figure, across[2], top + tall + 4, f"{int(mask.sum()):,} pixels", va="top", fontsize=7.5,
                         color=QUIET)
            top += tall + caption
    return Path(path)


def _check(image: np.ndarray, heat: np.ndarray, mask: np.ndarray) -> None:
    if image.ndim not in (2, 3) or image.shape[:-2] not in ((), (1,), (3,)) or not image.size or not (
            heat.shape == mask.shape == image.shape[-2:]):
        raise ValueError(f"an image of shape {image.shape} with a heat map {heat.shape} and a mask {mask.shape}: "
                         "expected (height, width), or (3, height, width) for the image, of one size")
    check_finite("an image", image)
    check_finite("a heat map", heat)


def _outline(axes: Axes, mask: np.ndarray) -> None:
    if mask.any() and not mask.all() and min(mask.shape) > 1:
        axes.contour(mask.astype(np.float64), levels=[0.5], colors=_OUTLINE, linewidths=1.2)
