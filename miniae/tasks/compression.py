"""Images as small files, by an autoencoder that was trained for it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.autodiff import Tensor, no_grad
from miniae.backend import Backend
from miniae.backend.philox import host_generator
from miniae.data.storage import under
from miniae.data.windows import Windows
from miniae.models.compressive import CompressiveAutoencoder, lapped_transform
from miniae.models.files import contents, model_of, resized
from miniae.nn import Layer
from miniae.optim.schedules import cosine
from miniae.tasks.code_model import LARGEST, CodeModel
from miniae.tasks.image_files import FileCompressor, check_image, check_name, checksum, padded
from miniae.training import Callback, LearningRate, check_count

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ImageCompressor"]

_PHOTOS = Path(__file__).parent / "photos.safetensors"

# Positions of the code that go through the network at once, along each axis; and those at their edge, whose windows
# reach beyond.
_TILE, _EDGE = 64, 1
# What these count beside the same positions well inside another tile: nothing, but where there is no other.
_FAINT = 1e-9
# Positions of the code, and steps, that the entropy coder learns from.
_SEEN, _STEPS = 96 * 256, 6


class ImageCompressor(FileCompressor):
    """Grey and colour images of any size as few bytes, and back: with losses, as JPEG.

        compressor = ImageCompressor.pretrained()
        data = compressor.compress(image, quality=50)      # image: uint8, (height, width) or (height, width, 3)
        again = compressor.decompress(data)                # the same shape; the same pixels at every call

    A `CompressiveAutoencoder` turns every size x size pixels into numbers, which are rounded to whole steps (the
    coarser, the lower the quality) and coded by how likely each is given those before it (`CodeModel`). What is read
    from a file must be what was written, on any machine: all that the entropy coder goes by are integers in the model.

    Colour images are compressed by a model of grey ones channel by channel, grey ones by a model of colour ones as
    three equal channels.

    Parameters
    ----------
    filters : how many numbers each size x size pixels become, at most; more serve high qualities.
    size : what the image's height and width are divided by.
    patch, patches : how many patches of patch x patch pixels (of smaller images: all of one) the network is trained on.
    augment : whether patches are turned, mirrored, halved in size and have their colours exchanged at random, as for
        photographs. Images of one kind of object, of which there are many, do better without.
    finest, coarsest : the steps of quality 100 and 1, pixels going from 0 to 1; between them steps grow evenly on a
        logarithmic scale.
    lr, batch_size, epochs, seed, backend : how to train; see `CompressiveAutoencoder`.
    name : what files say of the model that they need.

    Attributes
    ----------
    model_ : the `CompressiveAutoencoder`. Its weights have float16's digits, so that they are kept in half the room.
    codes_ : the `CodeModel`.
    checksum_ : the CRC-32 of all that files depend on; files are decompressed by the model with theirs only.
    """

    kind = "compressor"

    def __init__(self, filters: int = 96, size: int = 8, *, patch: int = 128, patches: int = 600, augment: bool = True,
                 finest: float = 1 / 32, coarsest: float = 1 / 2, lr: float = 1e-4, batch_size: int = 4,
                 epochs: int = 10, seed: int = 0, name: str = "own", backend: str | Backend | None = None):
        self.filters, self.size = check_count("filters", filters), check_count("size", size, least=2)
        self.patch, self.patches = check_count("patch", patch), check_count("patches", patches)
        self.augment, self.finest, self.coarsest = augment, finest, coarsest
        self.lr, self.batch_size, self.epochs, self.seed = lr, batch_size, epochs, seed
        self.name, self.backend = check_name(name), backend
        self._sized: tuple[tuple[int, ...], Layer] | None = None

    # ---------------------------------------------------------------- training

    def fit(self, images: Sequence[np.ndarray] | np.ndarray, *, callbacks: Sequence[Callback] = ()) -> ImageCompressor:
        """Train on images, uint8 of (height, width) or (height, width, 3), of different sizes if need be.

        A model of grey images is made where all are. Raises `ValueError` for what are no such images.
        """
        images = [check_image(image) for image in images]
        if not images:
            raise ValueError("there are no images to train on: give one at least")
        channels = max(image.shape[-1] for image in images)
        X = self._patches([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
        encoder, decoder = lapped_transform(X, self.filters, self.size, seed=self.seed, backend=self.backend)
        model = CompressiveAutoencoder(encoder=encoder, decoder=decoder, finest=self.finest, coarsest=self.coarsest,
                                       lr=self.lr, batch_size=self.batch_size, epochs=self.epochs, seed=self.seed,
                                       clip=None, backend=self.backend)
        model.fit(X, callbacks=[LearningRate(cosine(max(self.epochs, 1), floor=0.05)), *callbacks])
        network = model.network_
        network.load_state_dict({name: a.astype(np.float16).astype(np.float32)
                                 for name, a in network.state_dict().items()})
        self.model_, self._sized = model, None
        seen = self._analyse(X[:max(_SEEN * self.size**2 // (X.shape[2] * X.shape[3]), 1)])
        steps = self.finest * (self.coarsest / self.finest) ** np.linspace(0, 1, _STEPS)
        self.codes_ = CodeModel.fit([_whole(seen, step) for step in steps], self.seed)
        self._seal()
        return self

    def _patches(self, images: list[np.ndarray]) -> np.ndarray:
        """Patches drawn from images (height, width, channels): (patches, channels, patch, patch), in [0, 1]."""
        rng = host_generator(self.seed, "patches")
        largest = max(max(image.shape[:2]) for image in images)
        side = _up(min(self.patch, largest), self.size)
        weights = np.array([math.sqrt(math.prod(max(n, side) for n in image.shape[:2])) for image in images])
        drawn = []
        for i in rng.choice(len(images), self.patches, p=weights / weights.sum()):
            image = padded(images[i], side, side)
            halve = self.augment and min(image.shape[:2]) >= 2 * side and rng.random() < 0.5
            reach = side * (1 + halve)
            y, x = (rng.integers(n - reach + 1) for n in image.shape[:2])
            patch = image[y:y + reach, x:x + reach].astype(np.float32) / np.float32(255)
            if halve:
                patch = patch.reshape(side, 2, side, 2, -1).mean((1, 3))
            if self.augment:
                patch = np.rot90(patch, int(rng.integers(4)))
                patch = patch[:, ::-1] if rng.random() < 0.5 else patch
                patch = patch[..., rng.permutation(patch.shape[-1])] if rng.random() < 0.3 else patch
            drawn.append(patch.transpose(2, 0, 1))
        return np.stack(drawn).astype(np.float32)

    # ---------------------------------------------------------------- use

    def compress(self, image: Any, quality: int = 50) -> bytes:
        """An image, uint8 of (height, width) or (height, width, 3), as the bytes of a file. `quality` is 1 to 100."""
        return self.compress_many(np.asarray(image)[None], quality)

    def compress_many(self, images: Any, quality: int = 50) -> bytes:
        """Images of one size, uint8 of (N, height, width) or (N, height, width, 3), in one file: for many small ones,
        which a file each would double."""
        self._step(quality)
        return self._file(images, quality)

    @property
    def _channels(self) -> int:
        return self.model_.network_.input_shape[0]

    def _encode(self, planes: np.ndarray, quality: int) -> bytes:
        return self.codes_.encode(_whole(self._analyse(planes), self._step(quality)))

    def _decode(self, codes: bytes, shape: tuple[int, ...], quality: int) -> np.ndarray:
        n, _, *extent = shape
        whole = self.codes_.decode(codes, (n, len(self.codes_.order), *(e // self.size for e in extent)))
        return self._synthesise(whole * self._step(quality))

    def _step(self, quality: int) -> float:
        if check_count("quality", quality) > 100:
            raise ValueError(f"quality is a whole number from 1 to 100, got {quality}")
        return self.coarsest * (self.finest / self.coarsest) ** ((quality - 1) / 99)

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        return _up(height, self.size), _up(width, self.size)

    def _analyse(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) to codes (N, channels, h, w), which are not rounded yet; bytes count as 255ths."""
        extent, s = images.shape[2:], self.size
        tile, step = self._tiles([e // s for e in extent])
        pixels = Windows(extent, [t * s for t in tile], [t * s for t in step])
        scale = np.float32(1 / 255 if images.dtype == np.uint8 else 1)
        blocks = (self._through("encoder", block * scale) for block in pixels.blocks(images))
        return Windows([e // s for e in extent], tile, step).overlay(blocks, _inner(tile, 1))

    def _synthesise(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, channels, h, w) to images (N, C, H, W)."""
        extent, s = codes.shape[2:], self.size
        tile, step = self._tiles(extent)
        blocks = (self._through("decode", block) for block in Windows(extent, tile, step).blocks(codes))
        pixels = Windows([e * s for e in extent], [t * s for t in tile], [t * s for t in step])
        return pixels.overlay(blocks, _inner([t * s for t in tile], s))

    def _tiles(self, extent: Sequence[int]) -> tuple[list[int], list[int]]:
        """The size of tiles in positions of the code, and how far apart they are: whole where that fits."""
        tile = [min(_TILE, e) for e in extent]
        return tile, [t if t == e else t - 2 * _EDGE for t, e in zip(tile, extent, strict=True)]

    def _through(self, part: str, block: np.ndarray) -> np.ndarray:
        """Windows (windows, N, ...) through the network's encoder or decoder, some at a time."""
        rows = block.reshape(-1, *block.shape[2:]).astype(np.float32)
        scale = 1 if part == "encoder" else self.size
        network = self._network(tuple(n * scale for n in rows.shape[2:]))
        function, backend = getattr(network, part), network.place.backend
        some = max(_TILE * _TILE * self.size**2 // int(np.prod(network.input_shape[1:])), 1)
        with no_grad(), backend.silent():
            parts = [function(Tensor(rows[i:i + some], backend=backend)).numpy() for i in range(0, len(rows), some)]
        done = np.concatenate(parts)
        return done.reshape(*block.shape[:2], *done.shape[1:])

    def _network(self, image: tuple[int, ...]) -> Layer:
        """The network for images of that height and width."""
        if self._sized is None or self._sized[0] != image:
            network = self.model_.network_
            self._sized = image, resized(network, (network.input_shape[0], *image)).eval()
        return self._sized[1]

    # ---------------------------------------------------------------- files

    def _seal(self) -> None:
        """Settle what files of this model depend on."""
        self.checksum_ = checksum(f"{self.size} {self.finest!r} {self.coarsest!r}", self._contents()[0])

    def _contents(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, header = contents(self.model_)
        arrays = {f"model.{name}": a.astype(np.float16) for name, a in arrays.items()}
        settings = {name: getattr(self, name) for name in ("filters", "size", "finest", "coarsest", "name")}
        return (arrays | {f"codes.{name}": a for name, a in self.codes_.arrays().items()},
                {"settings": settings, "model": header})

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray], header: dict[str, Any], path: str | os.PathLike[str],
            backend: str | Backend | None) -> Self:
        compressor = cls(**header["settings"], backend=backend)
        compressor.codes_ = CodeModel(**under("codes.", arrays))
        model = {name: a.astype(np.float32) for name, a in under("model.", arrays).items()}
        compressor.model_ = model_of(model, header["model"], path, backend)
        compressor._seal()
        return compressor

    @classmethod
    def pretrained(cls, backend: str | Backend | None = None) -> ImageCompressor:
        """The compressor for photographs that comes with the library (see benchmarks/train_compressor.py)."""
        return cls.load(_PHOTOS, backend)


def _whole(codes: np.ndarray, step: float) -> np.ndarray:
    """The nearest whole numbers of steps."""
    return np.clip(np.rint(codes / step), -LARGEST, LARGEST).astype(np.int64)


def _up(n: int, size: int) -> int:
    """The next multiple of `size`."""
    return -(-n // size) * size


def _inner(tile: Sequence[int], edge: int) -> np.ndarray:
    """What the elements of a tile count: hardly, along each axis, the `edge` outermost ones."""
    axes = [np.minimum(np.arange(n), np.arange(n)[::-1]) < edge for n in tile]
    return np.multiply.outer(*(np.where(outermost, _FAINT, 1.0) for outermost in axes))
