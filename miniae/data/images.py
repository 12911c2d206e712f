"""Images as files."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from miniae.data.errors import StorageError
from miniae.data.whole_files import writing_folder

__all__ = ["eight_bits", "write_images"]


def eight_bits(X: np.ndarray) -> np.ndarray:
    """Values from 0 to 1 as bytes from 0, black, to 255, white; others are cut off there."""
    return np.rint(255 * np.clip(X, 0, 1)).astype(np.uint8)


def write_images(folder: str | os.PathLike[str], X: np.ndarray, image_shape: Sequence[int],
                 names: Sequence[str] | None = None) -> None:
    """Write images X (N, ...) of (height, width) or (1 or 3, height, width) as 8-bit PNGs into a new or empty folder.

    Values from 0 to 1 go from black to white, and others are cut off there. The files are called as in `names`, with
    the ending .png, or 00000.png, 00001.png, ... All are written, or the folder is not there. Raises `StorageError`.
    """
    from PIL import Image

    stems = [f"{i:05d}" for i in range(len(X))] if names is None else [os.path.splitext(name)[0] for name in names]
    files = [f"{stem}.png" for stem in stems]
    if len(set(files)) < len(files):
        raise StorageError("two of the images would have the same name: give them names that differ in more than their "
                           "endings")
    height, width = image_shape[-2:]
    pixels = eight_bits(X.reshape(len(X), -1, height, width)).transpose(0, 2, 3, 1)
    with writing_folder(folder) as temporary:
        for name, image in zip(files, pixels, strict=True):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(temporary / name)
