"""The user's own data: arrays, tables and images on disk."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data.claims import check_picture, check_pictures
from miniae.data.errors import DataError, first_line
from miniae.data.idx import read_idx
from miniae.data.numpy_file import load_numpy
from miniae.data.tables import LABELS, Table, is_number, read_table
from miniae.data.whole_files import write_table, writing

__all__ = ["Samples", "read", "write"]

IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
# What Pillow may take them for: it also knows formats that other programs are started for (EPS), whatever the ending.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_TABLES = (".csv", ".tsv")
_KEYS = ("X", "x", "data", "images", "train")
_LABEL_KEYS = ("y", "labels", "target")


@dataclass(frozen=True)
class Samples:
    """Samples (N, features), and what is known of them: labels, the shape of one as an image, the features' names, and
    the samples' own names (paths below the folder they came from); None where there is none. `dropped` are the columns
    of the table that were left out, as `read` takes them for `unneeded`, and `note` says in a line what the owner of
    the table may not have meant.

    Pixels that come as integers of 8 bits (in pictures, of 16 too) are scaled to [0, 1]; other numbers are as they are
    in the file. X is float32, or float64 where the file's numbers have more digits than that, as those of tables may.
    """

    X: np.ndarray
    labels: np.ndarray | None = None
    image_shape: tuple[int, ...] | None = None
    feature_names: list[str] | None = None
    names: list[str] | None = None
    dropped: tuple[str, ...] = ()
    note: str | None = None


def read(path: str | os.PathLike[str], label: str | None = None, drop: Sequence[str] = (),
         unneeded: Sequence[str] = ()) -> Samples:
    """Read a file or folder by what it is: .npy, .npz, .csv, .tsv, IDX (gzipped or not), an image, or a folder of them.

    `label` is the column of a table that holds labels, and `drop` are those that are left out: by name, or by number
    from 1. `unneeded` ones, which other samples have as `dropped`, are left out where they are there. In an .npz file
    the samples are called X, x, data, images or train (or are the only array, or are named as in `file.npz:name`), the
    labels y, labels or target. Arrays of three axes are grey images, of four images with channels first. In a folder,
    the names of the folders below it are the labels, and hidden files are left out. Raises `DataError`, in one line,
    for anything that can't be used.
    """
    text = os.fspath(path)
    file, _, key = text.rpartition(":") if ".npz:" in text else (text, "", "")
    path = Path(file)
    if not os.path.exists(file):  # unlike Path.exists, False for names that no file can have
        raise DataError(f"{file[:200]!r} does not exist: give a data set's name (digits, mnist, fashion-mnist), or the "
                        "path of a .npy, .npz, .csv, .tsv or IDX file, of an image or of a folder of images")
    suffix = path.suffix.lower()
    for option, column in (("--label", label), ("--drop", next(iter(drop), None))):
        if column is not None and suffix not in _TABLES:
            raise DataError(f"{path} has no column {column!r}: only tables (.csv, .tsv) have named columns, leave "
                            f"{option} out")
    if path.is_dir():
        return _read_images(path)
    if suffix in _TABLES:
        return _of_table(read_table(path, _aside(label), drop, unneeded), label)
    if suffix in (".npy", ".npz"):
        return _read_numpy(path, key)
    if suffix in IMAGE_ENDINGS:
        return dataclasses.replace(_of_array(pixels(path)[None], None, path), names=[path.name])
    if suffix in (".gz", ".idx") or path.name.endswith("-ubyte"):
        return _of_array(read_idx(path), None, path)
    raise DataError(f"{path} has an unknown ending: expected .npy, .npz, .csv, .tsv, an IDX file (.gz, .idx, -ubyte), "
                    "an image or a folder of images")


def read_timed(path: str | os.PathLike[str], label: str | None, time: str, drop: Sequence[str] = (),
               unneeded: Sequence[str] = ()) -> tuple[Samples, np.ndarray]:
    """A table as `read` reads it, without its column `time`, and the cells of that, which may be text: (N,)."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{os.fspath(path)[:200]!r} does not exist: name a table, .csv or .tsv")
    table = read_table(path, {time: "the time (--time)"} | _aside(label), drop, unneeded)
    return _of_table(table, label), table.aside[time]


def _aside(label: str | None) -> dict[str, str]:
    return {} if label is None else {label: LABELS}


def _of_table(table: Table, label: str | None) -> Samples:
    labels = None if label is None else table.aside[label]
    return Samples(table.X, labels, None, table.names, None, table.dropped, table.note)


def write(path: str | os.PathLike[str], X: np.ndarray, names: Sequence[str] | None = None, labels: Any = None, *,
          prefix: str = "x") -> None:
    """Write X (N, ...) to a .npy, .npz or .csv file, by its ending, whole or not at all, so that `read` reads it.

    A table has a header: `names` of its columns, or "`prefix`_0", "`prefix`_1", ... where there are none, or all of
    them look like numbers. `labels` (N,) become the array `labels` of an .npz file, and a table's last column, `label`;
    a .npy file has no place for them. Raises `DataError` for other endings.
    """
    suffix, rows = Path(path).suffix.lower(), X.reshape(len(X), -1)
    if suffix not in (".npy", ".npz", ".csv"):
        raise DataError(f"can't write {os.fspath(path)}: expected a name that ends in .npy, .npz or .csv")
    if suffix != ".csv":
        with writing(path) as temporary, temporary.open("wb") as file:
            if suffix == ".npy":
                np.save(file, X)
            else:
                beside: dict[str, Any] = {} if labels is None else {"labels": np.asarray(labels)}
                np.savez(file, X=X, **beside)
        return
    if names is None or len(names) != rows.shape[1] or all(map(is_number, names)):
        names = [f"{prefix}_{i}" for i in range(rows.shape[1])]
    cells = ([f"{v:.9g}" for v in row.tolist()] for row in rows)
    if labels is None:
        write_table(path, names, cells)
        return
    label = "label"
    while label in names:
        label += "_"
    write_table(path, [*names, label], ([*row, own] for row, own in zip(cells, labels, strict=True)))


def _read_numpy(path: Path, key: str) -> Samples:
    wanted: list[str] = []

    def choose(names: list[str]) -> list[str]:
        name = key or next((k for k in _KEYS if k in names), names[0] if len(names) == 1 else "")
        if name not in names:
            raise DataError(f"{path} holds {', '.join(names[:20]) or 'nothing'}: say which with {path.name}:NAME")
        wanted[:] = [name, *[k for k in _LABEL_KEYS if k in names and k != name][:1]]
        return wanted

    array, *labels = load_numpy(path, choose)
    return _of_array(array, labels[0] if labels else None, path)


def _read_images(folder: Path) -> Samples:
    paths = image_files(folder)
    first = pixels(paths[0])
    check_pictures(folder, len(paths), len(paths) * first.nbytes, sum(p.stat().st_size for p in paths))
    images = np.empty((len(paths), *first.shape), np.float32)
    for i, path in enumerate(paths):
        array = pixels(path)
        if array.shape != first.shape:
            raise DataError(f"{path} is {_size(array)}, {paths[0].name} is {_size(first)}: bring all images to one "
                            "size and to grey or to colour first")
        images[i] = array
    groups = [p.parent.relative_to(folder).as_posix() for p in paths]
    labels = np.array(groups) if len(set(groups)) > 1 else None
    names = [p.relative_to(folder).as_posix() for p in paths]
    return dataclasses.replace(_of_array(images, labels, folder), names=names)


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and in those below it, hidden ones left out."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_ENDINGS and p.is_file()
                   and not any(part.startswith(".") for part in p.relative_to(folder).parts))
    if not paths:
        raise DataError(f"{folder} holds no images: expected files ending in {', '.join(sorted(IMAGE_ENDINGS))}")
    return paths


def pixels(path: Path) -> np.ndarray:
    """(height, width), or (3, height, width), in [0, 1], turned as the camera says it is to be looked at."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=_FORMATS) as file:
            check_picture(path, *file.size, path.stat().st_size)
            image = ImageOps.exif_transpose(file)
            if image.mode == "I" or image.mode.startswith("I;16"):  # 16 bits: "L" would clip them
                array, white = np.asarray(image), 65535
            elif image.mode in ("1", "L", "LA"):
                array, white = np.asarray(image.convert("L")), 255
            elif image.mode == "F":
                raise ValueError("its pixels are real numbers without a range, expected 8 or 16 bits")
            else:
                # By way of RGBA, as Pillow asks for palettes with transparent colours.
                transparent = image.mode == "P" and "transparency" in image.info
                colours = (image.convert("RGBA") if transparent else image).convert("RGB")
                array, white = np.asarray(colours).transpose(2, 0, 1), 255
    except DataError:
        raise
    except Exception as why:  # each of Pillow's decoders has its own errors for damaged files
        reason = first_line(why)
        raise DataError(f"{path} can't be read as an image ({reason}): repair or remove it") from None
    if array.size and not 0 <= array.min() <= array.max() <= white:
        raise DataError(f"{path} has pixels from {array.min()} to {array.max()}, expected 8 or 16 bits: convert it")
    return array.astype(np.float32) / np.float32(white)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[-1]}x{array.shape[-2]} {'colour' if array.ndim == 3 else 'grey'}"


def _of_array(array: np.ndarray, labels: Any, path: Path) -> Samples:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path} holds values of type {array.dtype}, expected numbers")
    if array.ndim < 2:
        raise DataError(f"{path} holds an array of shape {array.shape}, expected (samples, features) or images "
                        "(samples, height, width)")
    X = array.reshape(len(array), math.prod(array.shape[1:]))
    if array.dtype == np.uint8 and array.ndim > 2:
        X = X.astype(np.float32) / np.float32(255)
    else:
        X = X.astype(np.float64 if np.result_type(array.dtype, np.float32) != np.float32 else np.float32)
    return _checked(Samples(X, labels, _image_shape(array, path)), path)


def _image_shape(array: np.ndarray, path: Path) -> tuple[int, ...] | None:
    """(height, width) or (3, height, width), or None for what is no picture."""
    if array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3, 4):
        raise DataError(f"{path} holds images of shape {array.shape[1:]}, expected the channels first: "
                        "transpose(0, 3, 1, 2)")
    if array.ndim == 3 or (array.ndim == 4 and array.shape[1] == 1):
        return array.shape[-2:]
    return array.shape[1:] if array.ndim == 4 and array.shape[1] == 3 else None


def _checked(samples: Samples, path: Path) -> Samples:
    X, labels = samples.X, samples.labels
    if X.size == 0:
        raise DataError(f"{path} holds {X.shape[0]} samples of {X.shape[1]} features: there is nothing to work on")
    bad = ~np.isfinite(X)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise DataError(f"{path} holds {X[row, column]} in sample {row}, feature {column}: fill in or drop missing and "
                        "infinite values")
    if labels is not None and np.shape(labels) != (len(X),):
        raise DataError(f"{path} has labels of shape {np.shape(labels)} for {len(X)} samples: expected one a sample")
    return samples
