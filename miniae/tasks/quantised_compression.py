"""Images as small files, by a vector-quantised autoencoder."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.backend import Backend
from miniae.data.errors import StorageError, a_kind
from miniae.data.storage import load_tensors, under
from miniae.data.windows import Windows
from miniae.models import VectorQuantisedAutoencoder
from miniae.models.files import contents, model_of
from miniae.tasks.compression import ImageCompressor
from miniae.tasks.image_files import FileCompressor, check_image, check_name, checksum, padded
from miniae.tasks.index_coder import IndexCoder

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["VectorQuantisedCompressor", "load_compressor"]

# Pixels that are decoded at once.
_BLOCK = 1 << 22


class VectorQuantisedCompressor(FileCompressor):
    """Grey and colour images of any size as few bytes, and back, by a trained `VectorQuantisedAutoencoder`.

        compressor = VectorQuantisedCompressor(model).fit(images)     # uint8, (height, width) or (height, width, 3)
        data = compressor.compress(image)
        again = compressor.decompress(data)                           # the same shape

    An image is cut into tiles of the size that the model was trained on (a smaller one is padded, the last tiles of a
    larger one lie over those before them), and each tile becomes the model's integers. An integer k at the position p
    of a tile takes -log2 f_p(k) bits, f_p(k) being how often it came there in the images of `fit`: where there were
    none like it too it has a code, of at most 14 bits. What is lost is decided by the model alone: there are no
    qualities.

    A model of grey images compresses colour ones channel by channel, one of colour images grey ones as three equal
    channels.

    Parameters
    ----------
    model : trained on images in [0, 1], as the bytes of files are given to it. Convolutional or of dense layers.
    image_shape : of the model's samples, (height, width) or (1 or 3, height, width), where it does not say so itself.
    name : what files say of the model that they need.

    Attributes
    ----------
    model_ : a copy of the model as it was in `fit`: training it further changes nothing here.
    coder_ : the `IndexCoder`, with the frequencies.
    checksum_ : the CRC-32 of all that files depend on; files are decompressed by the model with theirs only.
    """

    kind = "vector-quantised compressor"
    needs = "vector-quantised model"

    def __init__(self, model: VectorQuantisedAutoencoder, image_shape: Sequence[int] | None = None, *,
                 name: str = "own"):
        if not isinstance(model, VectorQuantisedAutoencoder):
            raise TypeError(f"expected a VectorQuantisedAutoencoder, got {a_kind(model)}: ImageCompressor "
                            "trains a model of its own")
        self.model, self.name = model, check_name(name)
        self.image_shape = _image_shape(model, image_shape)

    def fit(self, images: Sequence[np.ndarray] | np.ndarray) -> VectorQuantisedCompressor:
        """Count the integers of images, uint8 of (height, width) or (height, width, 3), of different sizes if need be:
        those that the model was trained on, say.

        Raises `ValueError` for what are no such images.
        """
        self.model_ = _copy(self.model)
        images = sorted((check_image(image) for image in images), key=np.shape)
        if not images:
            raise ValueError("there are no images to count the integers of: give one at least")
        counted = []
        for shape, alike in itertools.groupby(images, key=np.shape):
            extent = self._extent(*shape[:2])
            counted.append(self._indices(self._planes(padded(np.stack(list(alike)), *extent))))
        self.coder_ = IndexCoder(self.model_.network_.quantiser.size).fit(np.concatenate(counted))
        self._seal()
        return self

    def compress(self, image: Any) -> bytes:
        """An image, uint8 of (height, width) or (height, width, 3), as the bytes of a file."""
        return self.compress_many(np.asarray(image)[None])

    def compress_many(self, images: Any) -> bytes:
        """Images of one size, uint8 of (N, height, width) or (N, height, width, 3), in one file: for many small ones,
        of which each file would have a header."""
        return self._file(images, 0)

    @property
    def _channels(self) -> int:
        return self.image_shape[0]

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        return max(height, self.image_shape[1]), max(width, self.image_shape[2])

    def _encode(self, planes: np.ndarray, quality: int) -> bytes:
        return self.coder_.pack(self._indices(planes))

    def _decode(self, codes: bytes, shape: tuple[int, ...], quality: int) -> np.ndarray:
        n, windows = shape[0], self._windows(shape)
        indices = self.coder_.unpack(codes, len(windows) * n)
        some = n * max(_BLOCK // (n * math.prod(self.image_shape)), 1)

        def blocks() -> Iterator[np.ndarray]:
            for i in range(0, len(indices), some):
                yield self.model_.decode_indices(indices[i:i + some]).reshape(-1, n, *self.image_shape)

        return windows.overlay(blocks())

    def _indices(self, planes: np.ndarray) -> np.ndarray:
        """Planes, uint8 (N, channels, height, width), as their tiles' integers: (tiles * N, ...), tile by tile."""
        sample = self.model_.network_.input_shape
        blocks = self._windows(planes.shape).blocks(planes)
        return np.concatenate([self.model_.encode_indices(block.reshape(-1, *sample).astype(np.float32)
                                                          / np.float32(255)) for block in blocks])

    def _windows(self, shape: tuple[int, ...]) -> Windows:
        """The tiles of planes of this shape."""
        return Windows(shape[2:], self.image_shape[1:], self.image_shape[1:])

    # ---------------------------------------------------------------- files

    def _seal(self) -> None:
        """Settle what files of this model depend on."""
        self.checksum_ = checksum(str(self.image_shape), self._contents()[0])

    def _contents(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, header = contents(self.model_)
        arrays = {f"model.{name}": a for name, a in arrays.items()}
        return (arrays | {"frequencies": self.coder_.frequencies_.astype(np.uint16)},
                {"name": self.name, "image_shape": list(self.image_shape), "model": header})

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray], header: dict[str, Any], path: str | os.PathLike[str],
            backend: str | Backend | None) -> Self:
        model = model_of(under("model.", arrays), header["model"], path, backend)
        compressor, quantiser = cls(model, header["image_shape"], name=header["name"]), model.network_.quantiser
        compressor.model_ = _copy(model)
        compressor.coder_ = IndexCoder.of(arrays["frequencies"], quantiser.index_shape)
        if compressor.coder_.size != quantiser.size:
            raise ValueError(f"it has frequencies of {compressor.coder_.size} integers for {quantiser.size} vectors")
        compressor._seal()
        return compressor


def load_compressor(path: str | os.PathLike[str], backend: str | Backend | None = None) -> FileCompressor:
    """The compressor in a file, of whichever kind it is. Raises `StorageError` for other files."""
    arrays, header = load_tensors(path)
    if header.get("kind") == "model" and header.get("class") == VectorQuantisedAutoencoder.__name__:
        raise StorageError(f"{path} does not know how often each of its integers comes: make a compressor of it first, "
                           f"by miniae compressor IMAGES --model {path} -o FILE, and name that one")
    quantised = header.get("kind") == VectorQuantisedCompressor.kind
    return (VectorQuantisedCompressor if quantised else ImageCompressor).of(arrays, header, path, backend)


def _image_shape(model: VectorQuantisedAutoencoder, given: Sequence[int] | None) -> tuple[int, int, int]:
    """(channels, height, width) of a trained model's samples. Raises `ValueError` where they are no images."""
    sample = model._network().input_shape
    known = [given, model.image_shape, getattr(model, "extra_", {}).get("image_shape"), sample]
    shape = next(tuple(shape) for shape in known if shape is not None)
    shape = (1, *shape) if len(shape) == 2 else shape
    if len(shape) != 3 or not all(isinstance(n, int | np.integer) and n > 0 for n in shape) or \
            shape[0] not in (1, 3) or math.prod(shape) != math.prod(sample):
        raise ValueError(f"the model's samples have shape {sample}, which is none of images {shape}: name their "
                         "image_shape, (height, width) or (1 or 3, height, width)")
    channels, height, width = map(int, shape)
    return channels, height, width


def _copy(model: VectorQuantisedAutoencoder) -> VectorQuantisedAutoencoder:
    """What saving and loading a trained model gives."""
    return model_of(*contents(model), "the model", model.network_.place.backend)
