"""What the commands on images of any size share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from miniae.cli import model_and_data
from miniae.data import DataError, picture_files, read_picture
from miniae.data.whole_files import writing_folder


def read_all(path: str) -> dict[str, np.ndarray]:
    """The images of a file or folder by their names, all grey or all in colour."""
    images = {name: read_picture(file) for name, file in picture_files(path).items()}
    _check_alike(path, ((name, image.ndim) for name, image in images.items()))
    return images


def readable(path: str) -> dict[str, Path]:
    """The images' files by their names. Each was read once, so that nothing is begun that can't be ended; all are grey
    or all in colour."""
    files = picture_files(path)
    _check_alike(path, ((name, read_picture(file).ndim) for name, file in files.items()))
    return files


def _check_alike(path: str, axes: Iterable[tuple[str, int]]) -> None:
    """Raise `DataError` unless all images, of which these are names and numbers of axes, are grey or all in colour."""
    kinds = {"colour" if ndim == 3 else "grey": name for name, ndim in axes}
    if len(kinds) > 1:
        raise DataError(f"{path} has grey images ({kinds['grey']}) and ones in colour ({kinds['colour']}): bring all "
                        "to one kind first")


@contextlib.contextmanager
def in_folder(folder: str | Path, names: Iterable[str], suffix: str = ".png") -> Iterator[tuple[Path, dict[str, Path]]]:
    """Where to write a new folder's files, and that for each name, its ending changed: the folder is there, with all of
    them, when the block ends well, and else not at all. Raises `DataError` where two would be one."""
    model_and_data.check_folder_of(str(folder))
    below = {name: Path(name).with_suffix(suffix) for name in names}
    if len(set(below.values())) < len(below):
        raise DataError(f"two files would become one in {folder}: give them names that differ in more than their "
                        "endings")
    with writing_folder(folder) as temporary:
        for path in below.values():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
        yield temporary, {name: temporary / path for name, path in below.items()}
