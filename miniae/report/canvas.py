"""What the pictures share: a figure that ends up in a PNG file, images side by side, curves by epoch, colours."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.data.errors import StorageError
from miniae.data.whole_files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Dots an inch: 1200 dots wide is as wide as a page of text, and sharp on a dense screen.
DPI = 150

INK, QUIET, GRID = "#222222", "#6b6b6b", "#e3e3e3"

# Colours that stay apart for colour-blind readers: Okabe and Ito, "Color universal design", 2008, darkened for lines.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b5509b", "#8a6d00", "#3a9bd5")

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
}


@contextlib.contextmanager
def drawing(path: str | os.PathLike[str], width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` by `height` dots, written to `path` as a PNG when the block ends well.

    The same drawing gives the same bytes, whatever matplotlib's settings are, and pyplot is not touched. Raises
    `OSError` when the file can't be written and `ImportError` without matplotlib.
    """
    try:
        from matplotlib import style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as why:
        raise ImportError(f"pictures need matplotlib ({why}): pip install matplotlib") from None
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of names in scripts that the font does not have
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        FigureCanvasAgg(figure)
        yield figure
        try:
            with writing(path) as temporary:
                # Without "Software" the file does not name matplotlib's version.
                figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
        except StorageError as why:
            raise OSError(str(why)) from None


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """New axes without frame or ticks, in dots from the figure's upper left corner."""
    full_width, full_height = figure.get_size_inches() * DPI
    axes = figure.add_axes((left / full_width, 1.0 - (top + height) / full_height,
                            width / full_width, height / full_height))
    axes.set_axis_off()
    return axes


def write(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    """Text at a place in dots from the figure's upper left corner."""
    full_width, full_height = figure.get_size_inches() * DPI
    figure.text(x / full_width, 1.0 - y / full_height, text, **style)


def as_image_shape(shape: Sequence[int] | None, sample_shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(channels, height, width) of samples that are images; None for plain features.

    `shape`, if given, is (height, width) or (channels, height, width), and a sample must have that many values. Without
    it, samples of two or three axes are images already. Raises `ValueError` for shapes that can't be pictures.
    """
    if shape is None:
        if len(sample_shape) == 1:
            return None
        shape = sample_shape
    image = tuple(int(n) for n in shape)
    image = (1, *image) if len(image) == 2 else image
    if len(image) != 3 or min(image) < 1 or image[0] not in (1, 3):
        raise ValueError(f"image shape is {tuple(shape)}, expected (height, width) or (channels, height, width) with 1 "
                         "or 3 channels: give image_shape, or flatten the samples to draw them as features")
    if math.prod(image) != math.prod(sample_shape):
        raise ValueError(f"image shape {tuple(shape)} has {math.prod(image)} values, the samples have "
                         f"{math.prod(sample_shape)}: give the image_shape of these samples")
    return image


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """Images (n, C, H, W) side by side in rows of `columns`, with gaps of NaN: (height, width, C)."""
    n, channels, height, width = images.shape
    gap = tile_gap(height, width)
    rows = math.ceil(n / columns)
    mosaic = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), np.nan)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        mosaic[top:top + height, left:left + width] = image.transpose(1, 2, 0)
    return mosaic


def tile_gap(height: int, width: int) -> int:
    """The gap `tile` leaves between images, in pixels."""
    return max(1, round(0.08 * min(height, width)))


def grey_range(originals: np.ndarray) -> tuple[float, float]:
    """The values to draw black and white: 0 and 1 for data within, else the ends of what the originals hold."""
    low, high = float(originals.min()), float(originals.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def show(axes: Axes, mosaic: np.ndarray, low: float, high: float) -> None:
    """A mosaic whose values from `low` to `high` run from black to white, its gaps in the colour of the page."""
    shown = np.clip((mosaic - low) / (high - low), 0.0, 1.0)
    if shown.shape[2] == 1:
        shown = np.repeat(shown, 3, axis=2)
    axes.imshow(np.where(np.isnan(shown), 1.0, shown), interpolation="nearest", aspect="auto")


def curve(history: Sequence[Mapping[str, float]], key: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The epochs that have that entry, and its values."""
    rows = [(row.get("epoch", i + 1), row[key]) for i, row in enumerate(history) if key in row]
    if not rows:
        raise ValueError(f"{name} holds no {key!r}: expected one dict an epoch with the key 'loss', as Trainer.history")
    epochs, values = np.array(rows, dtype=np.float64).T
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds {key} = {values[~np.isfinite(values)][0]} in epoch "
                         f"{epochs[~np.isfinite(values)][0]:g}: only finite numbers can be drawn")
    return epochs, values


def plot_curves(axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], colours: Sequence[Any],
                linewidth: float) -> None:
    """Lines by name, the last value of each in the legend."""
    for colour, (name, (epochs, losses)) in zip(colours, curves.items(), strict=False):
        axes.plot(epochs, losses, color=colour, linewidth=linewidth, label=f"{name}: {number(losses[-1])}",
                  marker="o" if len(epochs) < 3 else "", markersize=4)


def finish_curves(axes: Axes, curves: Sequence[tuple[np.ndarray, np.ndarray]], label: str) -> None:
    """A grid, labels and a legend for curves of losses, on a logarithmic scale where they span a decade."""
    from matplotlib.ticker import LogLocator, NullFormatter

    label_epochs(axes, label)
    values = np.concatenate([losses for _, losses in curves])
    if spans_a_decade(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend()


def label_epochs(axes: Axes, label: str) -> None:
    """A grid over whole epochs, and what the curves measure."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(True, which="major")


def spans_a_decade(values: np.ndarray) -> bool:
    """Whether positive values differ by more than a factor of ten, so that a logarithmic scale shows them better."""
    return bool(values.min() > 0 and values.max() > 10 * values.min())


def plain(text: str) -> str:
    """A name as it is to be read, where it might be taken for a formula."""
    return text.replace("$", r"\$")


def number(value: float) -> str:
    """A number to three digits, as short as it goes: 0.123, 12.3, 12,345, 1.2e-05."""
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}"
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def whole_numbers(count: int, most: int) -> np.ndarray:
    """Ticks for positions 0 to count - 1: round steps, `most` of them at most."""
    step = next(s * 10**power for power in range(12) for s in (1, 2, 5) if s * 10**power * most >= count)
    return np.arange(0, count, step)


def diverging(axes: Axes, values: np.ndarray, reach: float) -> Any:
    """`values` as an image, blue through white to red from -reach to reach."""
    return axes.imshow(values, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest", aspect="auto")


def extend(values: np.ndarray, reach: float) -> str:
    """Which ends of the colour bar stand for more than is written there."""
    above, below = values.max() > reach, values.min() < -reach
    return {(True, True): "both", (True, False): "max", (False, True): "min", (False, False): "neither"}[above, below]
