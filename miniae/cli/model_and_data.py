"""What the commands that apply a model to data share: reading both, and writing an array."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from miniae.data import DataError, Dataset, Samples, find, write_images, writing
from miniae.models import Autoencoder
from miniae.models import load as load_model


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model.safetensors that miniae wrote")
    parser.add_argument("--backend", default="auto", metavar="NAME", help="numpy, cupy or auto (default: auto)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("data", metavar="DATA",
                        help="a name (digits, mnist, fashion-mnist: the test part), or the path of a file or folder")
    parser.add_argument("--label", metavar="COLUMN", help="the column of a table that holds labels")


def open_both(args: argparse.Namespace) -> tuple[Autoencoder, Samples]:
    """The model, and data of the width it was made for."""
    model = load_autoencoder(args.model, args.backend)
    samples = find(args.data, args.label)
    if isinstance(samples, Dataset):
        samples = Samples(samples.test, samples.test_labels, samples.image_shape, samples.feature_names)
    if samples.X.shape[1] != model.n_features_in_:
        raise DataError(f"{args.data} has {samples.X.shape[1]} features a sample, {args.model} was made for "
                        f"{model.n_features_in_}: give data of the same kind, or name the label column with --label")
    if model.needs_labels and samples.labels is None:
        raise DataError(f"{args.model} needs labels with the samples, and {args.data} has none: name the label column "
                        "with --label, or give data with labels")
    return model, _in_order(samples, model.extra_.get("feature_names"), args.data)


def image_shape_of(model: Autoencoder, samples: Samples | None = None) -> tuple[int, ...] | None:
    """The shape of a sample as an image, by the data or by what the model was trained on; None for other data."""
    shape = model.network_.input_shape
    known = (samples and samples.image_shape) or model.extra_.get("image_shape") or (shape if len(shape) > 1 else None)
    return None if known is None else tuple(known)


def _in_order(samples: Samples, names: list[str] | None, source: str) -> Samples:
    """The samples with their columns as the model had them, where both name them."""
    if not names or not samples.feature_names or samples.feature_names == names:
        return samples
    if len(set(names)) < len(names) or set(samples.feature_names) != set(names):
        missing = [name for name in names if name not in samples.feature_names]
        raise DataError(f"{source} has the columns {', '.join(samples.feature_names[:20])}, the model was made for "
                        f"{', '.join(names[:20])}: name them alike"
                        + (f" ({missing[0]} is missing)" if missing else ""))
    order = [samples.feature_names.index(name) for name in names]
    return dataclasses.replace(samples, X=samples.X[:, order], feature_names=names)


def load_autoencoder(path: str, backend: str) -> Autoencoder:
    """The autoencoder in a model file. Raises `DataError` for a model of another kind."""
    model = load_model(path, backend=backend)
    if not isinstance(model, Autoencoder):
        raise DataError(f"{path} holds a {type(model).__name__}, this command needs an Autoencoder: in Python, "
                        "miniae.load reads it")
    return model


def write_samples(path: str, X: np.ndarray, image_shape: tuple[int, ...] | None,
                  names: list[str] | None = None) -> None:
    """Write samples to a .npy or .csv file, or where the path has no ending, as PNGs into a new folder."""
    if Path(path).suffix:
        write_array(path, X)
    elif image_shape is None:
        raise DataError(f"can't write {path}: these samples are not images, expected a name that ends in .npy or .csv")
    else:
        write_images(path, X, image_shape, names)


def check_picture(path: str | None) -> None:
    """Raise `DataError` for a picture's path that is not a PNG's."""
    if path and not path.lower().endswith(".png"):
        raise DataError(f"can't draw {path}: expected a name that ends in .png")


def write_array(path: str, array: np.ndarray) -> None:
    """Write a .npy or .csv file, by its ending; whole or not at all."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".npy", ".csv"):
        raise DataError(f"can't write {path}: expected a name that ends in .npy or .csv")
    with writing(path) as temporary:
        if suffix == ".npy":
            with temporary.open("wb") as file:
                np.save(file, array)
        else:
            np.savetxt(temporary, array.reshape(len(array), -1), delimiter=",", fmt="%.9g")
