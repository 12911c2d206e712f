"""Images as the bytes of a file and back: what all compressors share."""

from __future__ import annotations

import math
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from miniae.backend import Backend
from miniae.data import eight_bits
from miniae.data.errors import StorageError
from miniae.data.storage import check_kind, crc_of, described, load_tensors, save_tensors
from miniae.tasks.compressed_file import LARGEST_IMAGE, Compressed, pack, unpack
from miniae.training import NotFittedError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FileCompressor", "check_image", "check_name", "checksum", "padded"]

_FORMAT = 1

# Images in one file may be padded to twice their pixels and these: many small ones, of few bytes, would else take much
# more memory than their pixels.
_FREE_PADDED = 1 << 20


class FileCompressor(ABC):
    """Grey and colour images of any size as the bytes of a file that this model is needed to read.

    Colour images go through a model of grey ones channel by channel, grey ones through a model of colour ones as three
    equal channels. A subclass says what its own files hold, how many channels its model has, to what size images are
    padded, and how `_encode` and `_decode` turn planes (N, channels, height, width) of that size into bytes and back.
    """

    kind: ClassVar[str]
    """What files of such models say that they are."""
    needs: ClassVar[str] = "model"
    """What compressed files say they need (see `Compressed.needs`)."""

    name: str
    checksum_: int
    compress: Callable[..., bytes]

    # ---------------------------------------------------------------- images

    def decompress(self, data: bytes, path: str = "this") -> np.ndarray:
        """The image in a file's bytes, uint8 of (height, width) or (height, width, 3); of several images (N, ...).

        Raises `StorageError`, naming `path`, for what is damaged, or needs another model.
        """
        images = self.images(unpack(data, path), path)
        return images[0] if len(images) == 1 else images

    def images(self, content: Compressed, path: str = "this") -> np.ndarray:
        """The images of what `compressed_file.unpack` read: (N, height, width) or (N, height, width, 3), uint8."""
        self._require_fitted()
        if (content.needs, content.model) != (self.needs, self.checksum_):
            raise StorageError(f"{path} needs the {content.needs} {content.name!r} with checksum {content.model:08x}, "
                               f"this is {self.name!r} with {self.checksum_:08x}: name that one")
        known, n = self._channels, content.count
        copies = 3 if (content.channels, known) == (3, 1) else 1
        try:
            extent = self._checked_extent(n, content.height, content.width)
        except ValueError as why:
            raise StorageError(f"{path} can't be read: {why}") from None
        try:
            planes = self._decode(content.codes, (n * copies, known, *extent), content.quality)
        except StorageError as why:
            raise StorageError(f"{path} is damaged: {why}") from None
        if copies == 3:
            planes = planes.reshape(n, 3, *planes.shape[2:])
        elif content.channels < known:
            planes = planes.mean(1, keepdims=True)
        images = eight_bits(planes[:, :, :content.height, :content.width].transpose(0, 2, 3, 1))
        return images[..., 0] if content.channels == 1 else images

    def _file(self, images: Any, quality: int) -> bytes:
        """Images of one size, uint8 of (N, height, width) or (N, height, width, 3), as the bytes of a file."""
        self._require_fitted()
        images = np.asarray(images)
        if images.ndim not in (3, 4) or not len(images):
            raise ValueError(f"images have shape {images.shape}, expected (N, height, width) or (N, height, width, 3)")
        pixels = np.stack([check_image(image) for image in images])
        n, height, width, channels = pixels.shape
        extent = self._checked_extent(n, height, width)
        codes = self._encode(self._planes(padded(pixels, *extent)), quality)
        return pack(Compressed(n, channels, height, width, quality, self.name, self.checksum_, codes))

    def _checked_extent(self, n: int, height: int, width: int) -> tuple[int, int]:
        """To what size n images are padded. Raises `ValueError` where that takes too much memory."""
        if n * height * width > LARGEST_IMAGE:
            raise ValueError(f"{n} images of {width}x{height} are more than {LARGEST_IMAGE:,} pixels: cut them up")
        extent, most = self._extent(height, width), 2 * n * height * width + _FREE_PADDED
        if n * math.prod(extent) > most:
            raise ValueError(f"{n} images of {width}x{height} are more than {most:,} pixels when they are padded to "
                             f"{extent[1]}x{extent[0]} for this model: make several files of them")
        return extent

    def _planes(self, images: np.ndarray) -> np.ndarray:
        """Images (N, height, width, channels) as the model takes them: (N or 3 N, its channels, height, width)."""
        known, planes = self._channels, images.transpose(0, 3, 1, 2)
        if planes.shape[1] == 3 and known == 1:
            return planes.reshape(-1, 1, *planes.shape[2:])
        return np.broadcast_to(planes, (len(planes), known, *planes.shape[2:]))

    # What is a subclass's own.

    @property
    @abstractmethod
    def _channels(self) -> int:
        """Of the model's images: 1 or 3."""

    @abstractmethod
    def _extent(self, height: int, width: int) -> tuple[int, int]:
        """The height and width that an image is padded to."""

    @abstractmethod
    def _encode(self, planes: np.ndarray, quality: int) -> bytes:
        """Bytes as planes, uint8 (N, channels, height, width), are to be read from."""

    @abstractmethod
    def _decode(self, codes: bytes, shape: tuple[int, ...], quality: int) -> np.ndarray:
        """Planes of this shape, from 0 to 1, from what `_encode` gave. Raises `StorageError` for other bytes."""

    # ---------------------------------------------------------------- the model's own file

    @abstractmethod
    def _contents(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What the model's file holds: arrays, and entries of its header."""

    @classmethod
    @abstractmethod
    def _of(cls, arrays: dict[str, np.ndarray], header: dict[str, Any], path: str | os.PathLike[str],
            backend: str | Backend | None) -> Self:
        """What `_contents` are of. Raises `KeyError`, `TypeError` or `ValueError` for others."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one safetensors file, with a checksum."""
        self._require_fitted()
        arrays, header = self._contents()
        save_tensors(path, arrays, {"kind": self.kind, "format": _FORMAT, **header})

    @classmethod
    def load(cls, path: str | os.PathLike[str], backend: str | Backend | None = None) -> Self:
        """The compressor in a file that `save` wrote. Raises `StorageError` for others."""
        return cls.of(*load_tensors(path), path, backend)

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray], header: dict[str, Any], path: str | os.PathLike[str],
           backend: str | Backend | None = None) -> Self:
        """The compressor whose file, `path`, holds these. Raises `StorageError` for others."""
        check_kind(path, header, cls.kind, _FORMAT, f"a {cls.kind}, as miniae compressor writes them")
        with described(path):
            return cls._of(arrays, header, path, backend)

    def _require_fitted(self) -> None:
        if not hasattr(self, "checksum_"):
            raise NotFittedError(f"this {type(self).__name__} is not trained yet: call fit(images), or load one")


def check_image(image: Any) -> np.ndarray:
    """(height, width, 1 or 3) uint8. Raises `ValueError` for what is no such image."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or \
            not image.size:
        raise ValueError(f"an image is an array of uint8, (height, width) or (height, width, 3); got {image.dtype} of "
                         f"shape {image.shape}")
    return image if image.ndim == 3 else image[..., None]


def check_name(name: str) -> str:
    """What files call the model that they need. Raises `ValueError` for a name that has no room there."""
    if not 0 < len(name.encode()) < 256:
        raise ValueError(f"a model's name has 1 to 255 bytes, got {name!r}")
    return name


def checksum(settings: str, arrays: dict[str, np.ndarray]) -> int:
    """The CRC-32 of what compressed files depend on."""
    total = zlib.crc32(settings.encode())
    for name in sorted(arrays):
        total = crc_of(arrays[name], zlib.crc32(name.encode(), total))
    return total


def padded(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images (..., height, width, channels) with their last row and column repeated up to these, where smaller."""
    below, right = max(height - images.shape[-3], 0), max(width - images.shape[-2], 0)
    return np.pad(images, [(0, 0)] * (images.ndim - 3) + [(0, below), (0, right), (0, 0)], mode="edge")
