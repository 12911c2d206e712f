"""The user's own data: arrays, tables and images on disk."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data.errors import DataError
from miniae.data.idx import read_idx

__all__ = ["Samples", "read"]

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
_KEYS = ("X", "x", "data", "images", "train")
_LABEL_KEYS = ("y", "labels", "target")


@dataclass(frozen=True)
class Samples:
    """Samples (N, features), their labels or None, the shape of one as an image or None, the features' names or None.

    Pixels that come as bytes are scaled to [0, 1]; other numbers are as they are in the file.
    """

    X: np.ndarray
    labels: np.ndarray | None = None
    image_shape: tuple[int, ...] | None = None
    feature_names: list[str] | None = None


def read(path: str | os.PathLike[str], label: str | None = None) -> Samples:
    """Read a file or folder by what it is: .npy, .npz, .csv, .tsv, IDX (gzipped or not), or a folder of images.

    `label` names the column of a table that holds labels. In an .npz file the samples are called X, x, data, images or
    train (or are the only array, or are named as in `file.npz:name`), the labels y, labels or target. Arrays of three
    or more axes are images. Raises `DataError`, in one line, for anything that can't be used.
    """
    text = os.fspath(path)
    file, _, key = text.rpartition(":") if ".npz:" in text else (text, "", "")
    path = Path(file)
    if path.is_dir():
        return _read_images(path)
    if not path.exists():
        raise DataError(f"{path} does not exist: give a data set's name, or the path of a .npy, .npz, .csv or IDX file "
                        "or of a folder of images")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _read_table(path, "\t" if suffix == ".tsv" else ",", label)
    if suffix in (".npy", ".npz"):
        return _read_numpy(path, key)
    if suffix in (".gz", ".idx") or path.name.endswith("-ubyte"):
        return _of_array(read_idx(path), None, path)
    raise DataError(f"{path} has an unknown ending: expected .npy, .npz, .csv, .tsv, an IDX file (.gz, .idx, -ubyte) "
                    "or a folder of images")


def _read_numpy(path: Path, key: str) -> Samples:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return _of_array(loaded, None, path)
            names = list(loaded.keys())
            wanted = key or next((k for k in _KEYS if k in names), names[0] if len(names) == 1 else "")
            if wanted not in names:
                raise DataError(f"{path} holds {', '.join(names) or 'nothing'}: say which with {path.name}:NAME")
            label = next((k for k in _LABEL_KEYS if k in names and k != wanted), None)
            return _of_array(loaded[wanted], loaded[label] if label else None, path)
    except DataError:
        raise
    except Exception as why:  # NumPy, zipfile, zlib and Python's tokenizer each have their own for a damaged file
        reason = str(why).splitlines()[0] if str(why) else type(why).__name__
        if "pickle" in reason:
            reason = "it holds Python objects, which are not loaded because that could run code"
        raise DataError(f"{path} can't be read ({reason}): save it again with numpy.save or numpy.savez") from None


def _read_table(path: Path, delimiter: str, label: str | None) -> Samples:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
    except (UnicodeDecodeError, csv.Error) as why:
        raise DataError(f"{path} is not a text table ({why}): save it as UTF-8 CSV") from None
    except OSError as why:
        raise DataError(f"{path} can't be read: {why.strerror}") from None
    if not rows:
        raise DataError(f"{path} is empty: expected rows of numbers")
    header = None if all(_is_number(cell) for cell in rows[0]) else [cell.strip() for cell in rows.pop(0)]
    first_line = 2 if header else 1
    if not rows:
        raise DataError(f"{path} has a header and no rows: expected rows of numbers below it")
    width = len(header or rows[0])
    for i, row in enumerate(rows):
        if len(row) != width:
            raise DataError(f"{path} row {i + first_line} has {len(row)} cells, expected {width} as in the first: "
                            "every row needs the same number")
    names = header or [str(i) for i in range(width)]
    if label is not None and label not in names:
        raise DataError(f"{path} has no column {label!r} for labels: expected one of {', '.join(names[:20])}")
    columns = [i for i in range(width) if names[i] != label]
    if not columns:
        raise DataError(f"{path} has no column beside the labels {label!r}: expected features too")
    X = np.empty((len(rows), len(columns)), np.float32)
    for r, row in enumerate(rows):
        for c, i in enumerate(columns):
            try:
                X[r, c] = float(row[i])
            except ValueError:
                raise DataError(f"{path} row {r + first_line}, column {names[i]!r} holds {row[i]!r}, expected a "
                                "number: drop the column, encode it, or name it as the label") from None
    labels = None if label is None else np.array([row[names.index(label)].strip() for row in rows])
    return _checked(Samples(X, labels, None, [names[i] for i in columns] if header else None), path)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_images(folder: Path) -> Samples:
    from PIL import Image

    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _IMAGES and p.is_file())
    if not paths:
        raise DataError(f"{folder} holds no images: expected files ending in {', '.join(sorted(_IMAGES))}")
    pixels: list[np.ndarray] = []
    for path in paths:
        try:
            with Image.open(path) as image:
                grey = image.mode in ("1", "L", "LA", "I", "I;16", "F")
                array = np.asarray(image.convert("L" if grey else "RGB"))
        except Exception as why:  # each of Pillow's decoders has its own for a damaged file
            raise DataError(f"{path} can't be read as an image ({why}): repair or remove it") from None
        if pixels and array.shape != pixels[0].shape:
            raise DataError(f"{path} is {_size(array)}, {paths[0].name} is {_size(pixels[0])}: bring all images to one "
                            "size and to grey or to colour first")
        pixels.append(array)
    images = np.stack(pixels)
    if images.ndim == 4:
        images = images.transpose(0, 3, 1, 2)  # channels first
    groups = [p.parent.relative_to(folder).as_posix() for p in paths]
    labels = np.array(groups) if len(set(groups)) > 1 else None
    return _of_array(images, labels, folder)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]} {'colour' if array.ndim == 3 else 'grey'}"


def _of_array(array: np.ndarray, labels: Any, path: Path) -> Samples:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path} holds values of type {array.dtype}, expected numbers")
    if array.ndim < 2:
        raise DataError(f"{path} holds an array of shape {array.shape}, expected (samples, features) or images "
                        "(samples, height, width)")
    pixels = array.dtype == np.uint8 and array.ndim > 2
    image_shape = array.shape[1:] if array.ndim > 2 else None
    if image_shape is not None and len(image_shape) == 3 and image_shape[0] == 1:
        image_shape = image_shape[1:]
    X = array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0)
    X = X.astype(np.float32)
    return _checked(Samples(X / np.float32(255) if pixels else X, labels, image_shape), path)


def _checked(samples: Samples, path: Path) -> Samples:
    X, labels = samples.X, samples.labels
    if X.size == 0:
        raise DataError(f"{path} holds {X.shape[0]} samples of {X.shape[1]} features: there is nothing to work on")
    bad = ~np.isfinite(X)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        name = samples.feature_names[column] if samples.feature_names else column
        raise DataError(f"{path} holds {X[row, column]} in sample {row}, feature {name}: fill in or drop missing and "
                        "infinite values")
    if labels is not None and np.shape(labels) != (len(X),):
        raise DataError(f"{path} has labels of shape {np.shape(labels)} for {len(X)} samples: expected one a sample")
    return samples
