"""What the commands that apply a model to data share: reading both, and writing samples."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data import DataError, Dataset, Samples, find, write, write_images
from miniae.data.files import IMAGE_ENDINGS
from miniae.models import Autoencoder
from miniae.models import load as load_model


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model.safetensors that miniae wrote")
    add_backend(parser)


def add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", default="auto", metavar="NAME",
                        help="numpy, cupy, cupy:1 (the second GPU, ...) or auto (default: auto)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("data", metavar="DATA",
                        help="a name (digits, mnist, fashion-mnist: the test part), or the path of a file or folder")
    add_columns(parser)


def add_columns(parser: argparse.ArgumentParser, labels: str = "holds labels") -> None:
    """The options that say which columns of a table are no features."""
    parser.add_argument("--label", metavar="COLUMN",
                        help=f"the column of a table that {labels}, by its name or its number from 1")
    parser.add_argument("--drop", metavar="COLUMN", action="append",
                        help="leave out this column of a table; may be given several times. A column that has a name "
                             "is remembered: a model's file says which ones it was made without")


def columns(args: argparse.Namespace) -> dict[str, Any]:
    """What these options say, for what reads the table."""
    return {"label": args.label, "drop": args.drop or ()}


def open_both(args: argparse.Namespace, part: str = "test") -> tuple[Autoencoder, Samples]:
    """The model, and data of the width it was made for."""
    model = load_autoencoder(args.model, args.backend)
    return model, data_for(model, args.model, args.data, part, **columns(args))


def data_for(model: Any, path: str, data: str, part: str = "test", label: str | None = None,
             drop: Sequence[str] = ()) -> Samples:
    """Data of the width that the model, of the file `path`, was made for; of a data set by name the part "train" or
    "test"."""
    samples = part_of(find(data, label, drop, model.extra_.get("dropped", ())), part)
    samples = fitting(samples, model, data, path)
    if model.needs_labels and samples.labels is None:
        raise DataError(f"{path} needs labels with the samples, and {data} has none: name the label column with "
                        "--label, or give data with labels")
    if model.takes_labels and samples.labels is not None:
        samples = dataclasses.replace(samples, labels=_as_known(samples.labels, model.classes_))
    return samples


def part_of(samples: Dataset | Samples, part: str) -> Samples:
    """The part "train" or "test" of a data set; all of other samples."""
    if not isinstance(samples, Dataset):
        return samples
    return Samples(getattr(samples, part), getattr(samples, f"{part}_labels"), samples.image_shape,
                   samples.feature_names)


def say_note(samples: Dataset | Samples) -> None:
    """Say what the owner of a table that something is to be learnt from may not have meant."""
    if samples.note:
        print(samples.note)


def _as_known(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Labels that were read as text, of a table or of folders, or as real numbers, as the ones that the model knows,
    where it has them: the same text, or the same number (1 and 1.0)."""
    if np.asarray(labels).dtype.kind not in "Uf":
        return labels
    for name in (str, _number):
        known, named = {name(c): c for c in classes}, [name(label) for label in labels]
        if len(known) == len(classes) and known.keys() >= set(named):
            return np.array([known[label] for label in named])
    return labels


def _number(label: Any) -> Any:
    """A label as a number, where it is one."""
    try:
        return float(label)
    except ValueError:
        return label


def are_label(labels: np.ndarray, name: str) -> np.ndarray:
    """Which of the labels are the one of that name: the same text, or the same number (1 and 1.0)."""
    return np.array([str(label) == name or _number(label) == _number(name) for label in labels])


def none_is_odd(args: argparse.Namespace, labels: Any, name: str, what: str) -> None:
    """Say that no `what`, a row or a moment, has the label `name` of odd ones. Raises `DataError` where --odd asked for
    it."""
    there = f"no {what} has the label {name}, there are {', '.join(map(str, np.unique(labels)[:10]))}"
    if args.odd is not None:
        raise DataError(f"{args.data}: {there}; name one of these with --odd")
    print(f"{there}: scores are not judged by labels; --odd names that of odd {what}s")


def image_shape_of(model: Autoencoder, samples: Samples | None = None) -> tuple[int, ...] | None:
    """The shape of a sample as an image, by the data or by what the model was trained on; None for other data."""
    shape = model.network_.input_shape
    known = (samples and samples.image_shape) or model.extra_.get("image_shape") or (shape if len(shape) > 1 else None)
    return None if known is None else tuple(known)


def as_drawn(model: Autoencoder, samples: Samples) -> tuple[Callable[[Any], np.ndarray], list[str] | None]:
    """What samples are to be drawn as, and the names of their columns: those of a table as the model sees them, lest
    the column of the largest numbers be all that is seen."""
    names = samples.feature_names or names_of(model)
    return (model.scaler_.transform if names else np.asarray), names


def names_of(model: Any) -> list[str] | None:
    """The names of the columns that a model, or a detector, was made for, where they have any."""
    names = vars(model).get("feature_names_in_")
    return None if names is None else list(names)


def fitting(samples: Samples, model: Any, source: str, path: str) -> Samples:
    """The samples with their columns as the model in the file `path` had them. Raises `DataError` for samples of
    another kind."""
    features = model.n_features_in_
    if samples.X.shape[1] != features:
        raise DataError(f"{source} has {samples.X.shape[1]} features a sample, {path} was made for {features}: give "
                        "data of the same kind, or name the label column with --label, and what is no feature with "
                        "--drop" + (f" ({samples.note})" if samples.note else ""))
    return in_order(samples, names_of(model), source)


def in_order(samples: Samples, names: list[str] | None, source: str) -> Samples:
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
        raise DataError(f"{path} holds a model of class {type(model).__name__}, this command needs an Autoencoder: in "
                        "Python, miniae.load reads it")
    return model


def write_samples(path: str, X: np.ndarray, model: Autoencoder, image_shape: tuple[int, ...] | None,
                  names: list[str] | None = None, labels: Sequence[Any] | None = None) -> None:
    """Write samples of the model's kind to a .npy, .npz or .csv file, or where the path has no ending, as PNGs into a
    new folder: called as in `names`, or where there are `labels`, in a folder for each of them."""
    if Path(path).suffix:
        write(path, X, names_of(model), labels)
    elif image_shape is None:
        raise DataError(f"can't write {path}: these samples are not images, expected a name that ends in .npy, .npz or "
                        ".csv")
    else:
        if labels is not None:
            names = [f"{_folder(label)}/{i:05d}.png" for i, label in enumerate(labels)]
        write_images(path, X, image_shape, names)


def _folder(label: Any) -> str:
    """A label as a folder that is read back as this label. Raises `DataError` where it can't be one."""
    parts = str(label).split("/")
    if any(not part or part.startswith(".") or set(part) & set("\\:\0") for part in parts):
        raise DataError(f"the label {str(label)!r} can't be a folder's name: write to a name that ends in .npz or .csv")
    return "/".join(parts)


def check_picture(path: str | None) -> None:
    """Raise `DataError` for a picture's path that is not a PNG's, or in a folder that isn't there."""
    if path and not path.lower().endswith(".png"):
        raise DataError(f"can't draw {path}: expected a name that ends in .png")
    if path:
        check_folder_of(path)


def check_folder_of(path: str) -> None:
    """Raise `DataError` for a file to be written in a folder that isn't there."""
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise DataError(f"can't write {path}: there is no folder {folder}; make it first")


def check_table(path: str | None, *sources: str | None) -> None:
    """Raise `DataError` for a table or array to be written that can't be, or is one of what is read."""
    if path and Path(path).suffix.lower() not in (".csv", ".npy", ".npz"):
        raise DataError(f"can't write {path}: expected a name that ends in .npy, .npz or .csv")
    if path:
        check_folder_of(path)
        check_not_read(path, *sources)


def check_new_model(path: str, what: str, instead: str = ", or leave --fit out to use that one") -> None:
    """Raise `DataError` where what is to be fitted, a detector say, can't be written there. `instead` is what else can
    be done where something is there."""
    if Path(path).suffix != ".safetensors":
        raise DataError(f"can't write {path}: expected a name that ends in .safetensors")
    if Path(path).exists():
        raise DataError(f"{path} exists: choose a new name for the {what}{instead}")
    check_folder_of(path)


def check_not_read(path: str | None, *sources: str | None) -> None:
    """Raise `DataError` for a file to be written that is one of those that are read, or an image in a folder that is:
    they would be lost."""
    for source in sources:
        if not path or not source or not os.path.exists(path) or not os.path.exists(source):
            continue
        within = Path(source).resolve() in Path(path).resolve().parents
        if os.path.samefile(path, source) or (within and Path(path).suffix.lower() in IMAGE_ENDINGS):
            raise DataError(f"can't write {path}: it is what is read, and would be lost; choose another name")
