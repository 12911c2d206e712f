"""Maps of samples: where their codes lie in the plane or in space, by class, by number, or as the images themselves.

Each function writes one PNG and returns its path, as those of `miniae.report.pictures` do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.backend.philox import host_generator
from miniae.models.pca import PCA
from miniae.report import canvas
from miniae.report.canvas import INK, QUIET, SERIES, drawing
from miniae.training.estimator import check_count, check_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["latent", "latent_3d", "thumbnails"]

# More points than this make a scatter plot slow and no clearer.
_POINTS = 5000

# Ten colours that stay apart for colour-blind readers: Petroff, "Accessible color sequences for data visualization",
# arXiv:2107.02270, 2021. Classes beyond ten have them once more, dark.
_CLASSES = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581",
            "#92dadd")
_CONTINUOUS = "viridis"

# Two views of a map in space: degrees above the plane of its first two axes, and around the third.
_VIEWS = ((20, -60), (20, 30))


# -------------------------------------------------------------------- in the plane

def latent(path: str | os.PathLike[str], codes: Any, labels: Any = None, *, title: str | None = None,
           of: str = "label", what: str = "code") -> Path:
    """Where samples lie in code space, coloured by label.

    `codes` is (N, code), or several of these by name, drawn side by side: an autoencoder's and PCA's, say. Two
    dimensions are drawn as they are; of more, the first two principal components, with their shares of the variance; a
    single one as a histogram for each label. `labels` (N,) are classes, each with its name at its mean, or numbers of
    more than 20 kinds, which get a colour bar; `of` says what they are. Axes are called `what` and a number: "t-SNE 1",
    say. Of more than 5,000 samples, 5,000 drawn at random (always the same) are shown; means and components are of all.
    """
    clouds, labels = _checked(codes, labels)
    order = _shown(len(next(iter(clouds.values()))))
    low = labels is None and all(cloud.shape[1] == 1 for cloud in clouds.values())
    several = len(clouds) > 1
    width, height = (950 if len(clouds) < 3 else 720), (900 if len(clouds) < 3 else 720)
    width, height = width * len(clouds) if several else 1150, (560 if low else height) + (40 if title else 0)
    with drawing(path, width, height) as figure:
        figure.set_layout_engine("constrained")
        panels = figure.subplots(1, len(clouds), squeeze=False)[0]
        for (name, cloud), axes in zip(clouds.items(), panels, strict=True):
            _panel(axes, cloud, labels, order, what)
            if name or title:
                axes.set_title(name or title)
        if any(cloud.shape[1] > 1 for cloud in clouds.values()):
            _key(figure, panels, labels, of)
        if several and title:
            figure.suptitle(title, fontsize=11, weight="bold")
    return Path(path)


def _panel(axes: Axes, codes: np.ndarray, labels: np.ndarray | None, order: np.ndarray, what: str) -> None:
    dimensions = codes.shape[1]
    names = [f"{what} {i + 1}" for i in range(dimensions)] if dimensions > 1 else [what]
    if dimensions > 2:
        codes, shares = _components(codes, 2)
        names = [f"principal component {i + 1} of {dimensions} ({100 * share:.0f} % of the variance)"
                 for i, share in enumerate(shares)]
    if codes.shape[1] == 1:  # as of a single sample, too
        _histograms(axes, codes[:, 0], labels)
        axes.set_xlabel(names[0])
        return
    _scatter(axes, codes, labels, order)
    spans = np.ptp(codes[order], axis=0)
    if spans.min() > 0 and spans.max() < 2 * spans.min():
        axes.set_aspect("equal", adjustable="datalim")  # so that distances are what they look like
    axes.grid(True)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    if len(order) < len(codes):
        axes.set_title(_how_many(order, codes), loc="right", fontsize=8, color=QUIET, weight="normal")


def _components(codes: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """The leading principal components of codes, and their shares of the variance."""
    pca = PCA(min(dimensions, len(codes))).fit(codes)
    return pca._codes(codes), pca.explained_variance_ratio_


def _scatter(axes: Any, codes: np.ndarray, labels: np.ndarray | None, order: np.ndarray, **style: Any) -> None:
    """Points in the plane or in space, and the names of classes at their means."""
    points = {"s": float(np.clip(30000 / len(order), 7, 40)), "alpha": 0.65, "linewidths": 0, **style}
    # One call, in random order: drawn class by class, the last would cover the others.
    axes.scatter(*codes[order].T, c=_colours(labels, len(codes))[order], **points)
    if labels is None or _is_continuous(labels):
        return
    classes, colours, which = _classes(labels)
    for i, name in enumerate(classes):
        _name_at(axes, codes[which == i].mean(axis=0), name, colours[i])


def _histograms(axes: Axes, codes: np.ndarray, labels: np.ndarray | None) -> None:
    """The distribution of one code: a ridge for each class, or a single histogram."""
    edges = np.histogram_bin_edges(codes, bins=60)
    if labels is None or _is_continuous(labels):
        axes.hist(codes, bins=list(edges), color=SERIES[0])
        axes.set_ylabel("samples")
        return
    classes, colours, which = _classes(labels)
    counts = [np.histogram(codes[which == i], bins=edges)[0] / max((which == i).sum(), 1) for i in range(len(classes))]
    tallest = max(c.max() for c in counts)
    for i in reversed(range(len(classes))):
        height = 1.6 * counts[i] / tallest
        axes.stairs(i + height, edges, baseline=i, fill=True, color=colours[i], alpha=0.75)
        axes.stairs(i + height, edges, baseline=None, color=colours[i])
        mean = codes[which == i].mean()
        axes.plot([mean, mean], [i, i + 0.25], color=INK, linewidth=1.2)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_ylabel("label (height: share of its samples, mark: their mean)")
    axes.grid(True, axis="x")


# -------------------------------------------------------------------- in space

def latent_3d(path: str | os.PathLike[str], codes: Any, labels: Any = None, *, title: str | None = None,
              of: str = "label", what: str = "code") -> Path:
    """Where samples lie in space, seen from two sides, a quarter of a turn apart; coloured as `latent` does.

    `codes` is (N, 3), or several of these by name, one below the other; of more numbers than three, the first three
    principal components. Axes are called `what` and a number. Raises `ValueError` for less.
    """
    clouds, labels = _checked(codes, labels)
    for name, cloud in clouds.items():
        if cloud.shape[1] < 3:
            raise ValueError(f"{name} codes have {cloud.shape[1]} dimension{'s' * (cloud.shape[1] > 1)}, expected at "
                             "least 3 for a map in space: draw them by latent".lstrip())
    order = _shown(len(next(iter(clouds.values()))))
    top, side, between = 56 if title else 16, 640, 60  # in dots
    width, height = 2 * side + between + 170, side * len(clouds) + top
    with drawing(path, width, height) as figure:
        for i, (name, cloud) in enumerate(clouds.items()):
            row = [figure.add_axes(((side + between) * j / width, 1 - (top + side * (i + 1)) / height,
                                    side / width, side / height), projection="3d") for j in (0, 1)]
            _space(row, cloud, labels, order, what)
            note = ", ".join(filter(None, [name, _how_many(order, cloud) if len(order) < len(cloud) else ""]))
            canvas.write(figure, 24, top + side * i + 30, note, va="bottom", fontsize=9.5, weight="bold")
        _key(figure, row, labels, of, canvas.place(figure, 2 * side + between + 40, top + 60, 24, 400))
        if title:
            canvas.write(figure, 24, 42, title, va="bottom", fontsize=11, weight="bold")
    return Path(path)


def _space(views: Sequence[Any], codes: np.ndarray, labels: np.ndarray | None, order: np.ndarray, what: str) -> None:
    names = [f"{what} {i + 1}" for i in range(3)]
    if codes.shape[1] > 3:
        codes, shares = _components(codes, 3)
        names = [f"component {i + 1} ({100 * share:.0f} %)" for i, share in enumerate(shares)]
    codes = np.pad(codes, ((0, 0), (0, 3 - codes.shape[1])))  # of less than three samples
    for axes, (above, around) in zip(views, _VIEWS, strict=True):
        _scatter(axes, codes, labels, order, s=float(np.clip(15000 / len(order), 4, 30)))
        axes.view_init(above, around)
        axes.set_box_aspect((1, 1, 0.9), zoom=0.88)
        for name, axis in zip([*names, "", ""], (axes.xaxis, axes.yaxis, axes.zaxis), strict=False):
            axis.set_label_text(name)
            axis.set_pane_color((0.97, 0.97, 0.97, 1.0))
            axis.set_tick_params(labelsize=7)


# -------------------------------------------------------------------- images

def thumbnails(path: str | os.PathLike[str], codes: Any, X: Any, image_shape: Sequence[int] | None = None,
               labels: Any = None, *, across: int = 40, title: str | None = None, of: str = "label") -> Path:
    """A map in the plane with images at their places: as many as there is room for, none covering another.

    `codes` is (N, 2) (of more numbers, the first two principal components), `X` the N images, with `image_shape`
    (height, width) or (channels, height, width) where they are flat. Of `across` images side by side the picture would
    be full: more of them are smaller. Samples are gone through in an order drawn by lot, always the same, and an image
    is drawn where it doesn't reach into one that is there; the others are points. Each is at its own place, with a
    frame in the colour of its label: `labels` and `of` are as in `latent`.
    """
    clouds, labels = _checked(codes, labels)
    if len(clouds) > 1:
        raise ValueError(f"images are drawn on one map, got {len(clouds)} of them: draw them one by one")
    codes = next(iter(clouds.values()))
    X = check_samples(X, name="images")
    if len(X) != len(codes):
        raise ValueError(f"there are {len(X)} images and {len(codes)} codes: give them of the same samples")
    if codes.shape[1] < 2:
        raise ValueError("codes have 1 dimension, expected 2 for a map with images: draw them by latent")
    shape = canvas.as_image_shape(image_shape, X.shape[1:])
    if shape is None:
        raise ValueError(f"the samples have shape {X.shape[1:]}, expected images: give their image_shape")
    check_count("across", across)
    codes = _components(codes, 2)[0] if codes.shape[1] > 2 else codes
    codes = np.pad(codes, ((0, 0), (0, 2 - codes.shape[1])))  # of a single sample
    images = _small(X.reshape(len(X), *shape), max(2, 1400 // across))
    frame = 0 if labels is None else 2 if max(images.shape[1:3]) > 20 else 1
    tall, wide = (size + 2 * frame for size in images.shape[1:3])
    spans = np.ptp(codes, axis=0)
    alike = 0 < spans.max() < 2 * spans.min()  # then distances are what they look like, as in `latent`
    width, height = (round(1400 * share) for share in (spans / spans.max() if alike else (1, 1)))
    places = (codes - codes.min(axis=0)) / np.where(spans > 0, spans, 1.0) * [width, height]
    places = np.stack([wide / 2 + places[:, 0], tall / 2 + height - places[:, 1]], axis=1)  # in dots, downwards
    width, height = width + wide, height + tall
    order = host_generator(0, "latent").permutation(len(codes))
    drawn = order[_apart(places[order], wide + 1, tall + 1)]
    colours = _colours(labels, len(codes))
    page = np.zeros((height, width, 4))
    for i in drawn:
        left, top = int(places[i, 0] - wide / 2), int(places[i, 1] - tall / 2)
        page[top:top + tall, left:left + wide] = colours[i]
        page[top + frame:top + tall - frame, left + frame:left + wide - frame, :3] = images[i]
        page[top:top + tall, left:left + wide, 3] = 1.0
    top = 60 if title else 20
    with drawing(path, width + 40 + (0 if labels is None else 170), height + top + 44) as figure:
        axes = canvas.place(figure, 20, top, width, height)
        axes.scatter(places[:, 0], places[:, 1], c=colours, s=3, alpha=0.4, linewidths=0)
        axes.imshow(page, extent=(0, width, height, 0), interpolation="nearest", aspect="auto", zorder=2)
        axes.set(xlim=(0, width), ylim=(height, 0))
        _key(figure, [axes], labels, of, canvas.place(figure, width + 40, top + 40, 24, 400))
        canvas.write(figure, 20, height + top + 32, f"{len(drawn):,} of {len(codes):,} samples as images, each at its "
                     "own place; the others as points", fontsize=8, color=QUIET)
        if title:
            canvas.write(figure, 20, 40, title, va="bottom", fontsize=12, weight="bold")
    return Path(path)


def _small(X: np.ndarray, size: int) -> np.ndarray:
    """Images (N, C, H, W) as (N, height, width, 3) in [0, 1], some `size` dots high or wide.

    Small ones are drawn larger by a whole number of dots a pixel; of large ones, squares of pixels become their mean.
    """
    low, high = canvas.grey_range(X)
    longest = max(X.shape[2:])
    step = -(-longest // size)
    height, width = (n // step or n for n in X.shape[2:])
    X = X[:, :, :height * step, :width * step] if min(X.shape[2:]) >= step else X
    steps = [n // m for n, m in zip(X.shape[2:], (height, width), strict=True)]
    X = X.reshape(*X.shape[:2], height, steps[0], width, steps[1]).mean(axis=(3, 5))
    zoom = max(1, size // max(height, width))
    images = (X.repeat(zoom, axis=2).repeat(zoom, axis=3).transpose(0, 2, 3, 1) - low) / (high - low)
    return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images


def _apart(places: np.ndarray, wide: float, tall: float) -> list[int]:
    """Those of the rectangles around `places` (N, 2) that, taken one after the other, don't reach into one before."""
    taken: dict[tuple[int, int], np.ndarray] = {}  # by cells as large as a rectangle: there is one in each at most
    kept = []
    for i, place in enumerate(places):
        column, row = (int(n) for n in place // [wide, tall])
        near = (taken.get((column + right, row + down)) for right in (-1, 0, 1) for down in (-1, 0, 1))
        if not any(other is not None and abs(place[0] - other[0]) < wide and abs(place[1] - other[1]) < tall
                   for other in near):
            taken[column, row] = place
            kept.append(i)
    return kept


# -------------------------------------------------------------------- what they share

def _checked(codes: Any, labels: Any) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Codes by name, (N, D) in float64, and labels that can be drawn."""
    named = codes if isinstance(codes, Mapping) else {"": codes}
    if not named:
        raise ValueError("there are no codes to draw: give an array, or a dict of arrays by name")
    clouds = {name: check_samples(c, name=f"{name} codes".strip()) for name, c in named.items()}
    n = len(next(iter(clouds.values())))
    for name, cloud in clouds.items():
        if len(cloud) != n:
            raise ValueError(f"there are {len(cloud)} codes of {name} and {n} of the first: give them of the same "
                             "samples")
        clouds[name] = cloud.reshape(n, -1).astype(np.float64)
    if labels is None:
        return clouds, None
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"labels have shape {labels.shape}, expected ({n},): one for each code")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("labels hold values that are missing or infinite: drop these samples")
    if labels.dtype.kind not in "fiubSU":
        raise ValueError(f"labels have type {labels.dtype}, expected numbers or strings")
    return clouds, labels


def _shown(n: int) -> np.ndarray:
    """The samples to draw, in an order that is always the same."""
    return host_generator(0, "latent").permutation(n)[:_POINTS]


def _how_many(order: np.ndarray, codes: np.ndarray) -> str:
    return f"{len(order):,} of {len(codes):,} samples"


def _is_continuous(labels: np.ndarray) -> bool:
    return labels.dtype.kind in "fiu" and len(np.unique(labels)) > 20


def _classes(labels: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The classes' names, their colours (classes, 4), and the class number of each sample; at most 20 classes.

    Names beyond the 19 most frequent become one class, "other".
    """
    from matplotlib.colors import to_rgba_array

    values, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    names = [f"{v:g}" if labels.dtype.kind == "f" else v.decode() if isinstance(v, bytes) else str(v) for v in values]
    names = [canvas.plain(name) for name in names]
    if len(names) > 20:
        kept = np.sort(np.argsort(-counts, kind="stable")[:19])
        position = np.full(len(names), 19)
        position[kept] = np.arange(19)
        names, which = [*(names[i] for i in kept), "other"], position[which]
    palette = to_rgba_array(_CLASSES)
    return names, np.concatenate([palette, palette * [0.55, 0.55, 0.55, 1.0]])[:len(names)], which


def _colours(labels: np.ndarray | None, n: int) -> np.ndarray:
    """The colour of each of n samples, (n, 4)."""
    from matplotlib.colors import to_rgba_array

    if labels is None:
        return to_rgba_array(SERIES[:1]).repeat(n, axis=0)
    if _is_continuous(labels):
        return _scale(labels).to_rgba(labels)
    _, colours, which = _classes(labels)
    return colours[which]


def _scale(labels: np.ndarray) -> Any:
    """The colours of numbers, which a colour bar shows."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(labels.min(), labels.max()), _CONTINUOUS)


def _key(figure: Figure, panels: Sequence[Axes], labels: np.ndarray | None, of: str, bar: Axes | None = None) -> None:
    """What colours mean, at the right of the last panel: a legend of classes, or a colour bar (in the axes `bar`)."""
    from matplotlib.lines import Line2D

    if labels is None:
        return
    of = canvas.plain(of)
    if _is_continuous(labels):
        if bar is not None:
            bar.set_axis_on()
        where = {"ax": list(panels), "shrink": 0.8, "aspect": 24} if bar is None else {"cax": bar}
        figure.colorbar(_scale(labels), label=of, **where)
        return
    classes, colours, _ = _classes(labels)
    handles = [Line2D([], [], linestyle="", marker="o", markersize=6, color=colour, label=name)
               for name, colour in zip(classes, colours, strict=True)]
    beside = {"bbox_to_anchor": (1.0, 1.0)} if bar is None else \
        {"bbox_to_anchor": bar.get_position().corners()[1], "bbox_transform": figure.transFigure}
    panels[-1].legend(handles=handles, loc="upper left", title=of, **beside)


def _name_at(axes: Any, place: np.ndarray, name: str, colour: np.ndarray) -> None:
    """A class's name at its mean, with a white rim so that it reads on top of the points."""
    from matplotlib.patheffects import withStroke

    axes.text(*place, name, ha="center", va="center", fontsize=13 if len(name) < 4 else 10, weight="bold",
              color=tuple(0.6 * colour[:3]), path_effects=[withStroke(linewidth=3, foreground="white")], zorder=5)
