"""Data sets by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data.digits import load_digits
from miniae.data.download import cache_folder, fetch
from miniae.data.errors import DataError
from miniae.data.files import Samples, read
from miniae.data.idx import read_idx

__all__ = ["DATASETS", "Dataset", "about_columns", "find", "load"]


@dataclass(frozen=True)
class Dataset:
    """Samples to train on and samples to test on, (N, features); pixels are float32 in [0, 1].

    `image_shape` is the shape of one sample as an image, (height, width) or (channels, height, width), or None;
    `feature_names` are the names of a table's columns, or None; `dropped` and `note` are as in `Samples`.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    image_shape: tuple[int, ...] | None = None
    feature_names: list[str] | None = None
    dropped: tuple[str, ...] = ()
    note: str | None = None


# Each file's SHA-256 and size, unpacked.
_FILES = {
    "mnist": {
        "train-images-idx3-ubyte.gz": ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47040016),
        "train-labels-idx1-ubyte.gz": ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60008),
        "t10k-images-idx3-ubyte.gz": ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7840016),
        "t10k-labels-idx1-ubyte.gz": ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10008),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", 47040016),
        "train-labels-idx1-ubyte.gz": ("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", 60008),
        "t10k-images-idx3-ubyte.gz": ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", 7840016),
        "t10k-labels-idx1-ubyte.gz": ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", 10008),
    },
}
_MIRRORS = {
    "mnist": ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
    "fashion-mnist": ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"],
}


def load(name: str) -> Dataset:
    """The data set of that name: digits (bundled), mnist or fashion-mnist.

    The last two are looked for in the folders `mnist` and `fashion-mnist` of the one that the environment variable
    MINIAE_DATA names, then in the user's cache, and are downloaded there when they are in neither. Raises `ValueError`
    for an unknown name and `DataError` when the files can't be had.
    """
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}, or the path of a file "
                         "or folder")
    return DATASETS[name]()


def find(name: str, label: str | None = None, drop: Sequence[str] = (),
         unneeded: Sequence[str] = ()) -> Dataset | Samples:
    """The data set of that name, or else what is in the file or folder of that name (see `read`).

    `label`, `drop` and `unneeded` are columns of a table. Raises `DataError` when there are no such data.
    """
    if name not in DATASETS:
        return read(name, label, drop, unneeded)
    if label is not None:
        raise DataError(f"{name} has its own labels: leave --label out")
    if drop:
        raise DataError(f"{name} is no table and has no column {drop[0]!r}: leave --drop out")
    return load(name)


def about_columns(data: Dataset | Samples, before: Sequence[str] = ()) -> dict[str, Any]:
    """What a file keeps of the columns that it was made for, as JSON: `feature_names`, and where there are any,
    `dropped` ones, with those that were dropped `before`."""
    dropped = list(dict.fromkeys([*before, *data.dropped]))
    return {"feature_names": data.feature_names, **({"dropped": dropped} if dropped else {})}


def _digits() -> Dataset:
    arrays = load_digits()
    return _of_images("digits", **arrays)


def _idx_dataset(name: str) -> Dataset:
    paths = [_locate(name, file) for file in _FILES[name]]
    arrays = [read_idx(path) for path in paths]
    for path, array, labels in zip(paths[::2], arrays[::2], arrays[1::2], strict=True):
        if array.ndim != 3 or array.dtype != np.uint8 or labels.shape != array.shape[:1]:
            raise DataError(f"{path} holds {array.dtype} of shape {array.shape} with labels of shape {labels.shape}, "
                            "expected bytes of shape (images, height, width) and as many labels: get the files again")
    train, train_labels, test, test_labels = arrays
    return _of_images(name, train, test, train_labels, test_labels)


def _of_images(name: str, train: np.ndarray, test: np.ndarray, train_labels: np.ndarray,
               test_labels: np.ndarray) -> Dataset:
    flat, flat_test = [images.reshape(len(images), -1).astype(np.float32) / np.float32(255) for images in (train, test)]
    return Dataset(name, flat, flat_test, train_labels, test_labels, train.shape[1:])


def _locate(name: str, file: str) -> Path:
    given = os.environ.get("MINIAE_DATA")
    folders = [Path(given) / name] if given else []
    folders.append(cache_folder() / name)
    for folder in folders:
        if (folder / file).is_file():
            return folder / file
    return fetch(file, _MIRRORS[name], *_FILES[name][file], folders[-1])


DATASETS: dict[str, Callable[[], Dataset]] = {
    "digits": _digits,
    "mnist": lambda: _idx_dataset("mnist"),
    "fashion-mnist": lambda: _idx_dataset("fashion-mnist"),
}
"""The data sets by name."""
