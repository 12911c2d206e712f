"""Pictures of any size, each its own: files and folders of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from miniae.data.errors import DataError
from miniae.data.files import IMAGE_ENDINGS, image_files, pixels
from miniae.data.images import eight_bits
from miniae.data.whole_files import writing

__all__ = ["picture_files", "read_picture", "write_picture"]


def picture_files(path: str | os.PathLike[str]) -> dict[str, Path]:
    """The pictures of a folder and of those below it, by their paths in it, or the one that `path` itself is.

    Hidden files are left out. Raises `DataError` where there are none.
    """
    path = Path(path)
    if not os.path.exists(path):
        raise DataError(f"{str(path)[:200]!r} does not exist: name an image, or a folder of images")
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file for file in image_files(path)}
    if path.suffix.lower() not in IMAGE_ENDINGS:
        raise DataError(f"{path} has an unknown ending: expected an image ({', '.join(sorted(IMAGE_ENDINGS))}) or a "
                        "folder of images")
    return {path.name: path}


def read_picture(path: str | os.PathLike[str]) -> np.ndarray:
    """An image of 8 or 16 bits as (height, width), or (3, height, width) where it has colours: float32 in [0, 1].

    Raises `DataError` for what can't be read.
    """
    return pixels(Path(path))


def write_picture(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write an image (height, width) or (1 or 3, height, width) as an 8-bit PNG, whole or not at all.

    Values from 0 to 1 go from black to white, and others are cut off there. Raises `StorageError`.
    """
    from PIL import Image

    bytes_ = eight_bits(image)
    if bytes_.ndim == 3:
        bytes_ = bytes_[0] if len(bytes_) == 1 else bytes_.transpose(1, 2, 0)
    with writing(path) as temporary:
        Image.fromarray(bytes_).save(temporary, format="PNG")
