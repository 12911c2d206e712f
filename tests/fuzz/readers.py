"""Every kind of file that is read: a small valid one, and what reads it. Damaged ones may only be refused clearly."""

from __future__ import annotations

import functools
import gzip
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from miniae import models, nn
from miniae.data import DataError, StorageError, read, read_picture, read_ratings, read_wav, write_wav
from miniae.exchange import read_tensors, write_tensors
from miniae.optim import Adam
from miniae.tasks import (
    AnomalyDetector,
    ImageCompressor,
    PatchDenoiser,
    SemanticIndex,
    SeriesDetector,
    TextureInspector,
    VectorQuantisedCompressor,
    load_compressor,
)
from miniae.training import Checkpoint, Trainer
from miniae.training.checkpoint import restore

LONGEST_MESSAGE = 1500
QUICK = {"epochs": 1}


class Reader(NamedTuple):
    """The file's ending, what writes a valid one to a path, what reads one, and what that may raise."""

    suffix: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    refusals: tuple[type[Exception], ...] = (DataError, StorageError)


def attempt(reader: Reader, path: Path) -> bool:
    """Read a file, which may be refused, in one line; return whether it was read. Anything else is a mistake."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(path)
    except reader.refusals as why:
        message = str(why)
        assert "\n" not in message and len(message) < LONGEST_MESSAGE, message
        return False
    return True


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _samples(*shape: int) -> np.ndarray:
    return _rng().random(shape, np.float32)


def _trainer() -> Trainer:
    network = models.AutoencoderNetwork(nn.Sequential([nn.Dense(3)]), nn.Sequential([nn.Dense(5)]),
                                        corruption=[nn.GaussianNoise(0.1)])
    network.build((5,))
    return Trainer(network, Adam(network.parameters(), lr=0.01))


def _checkpoint(path: Path) -> None:
    trainer = _trainer()
    trainer.callbacks = [Checkpoint(path)]
    trainer.fit(_samples(8, 5), 1)


@functools.cache
def compressor() -> ImageCompressor:
    """A small one, trained on noise."""
    image = (255 * _samples(24, 24, 3)).astype(np.uint8)
    return ImageCompressor(12, size=4, patch=16, patches=20, epochs=1, augment=False).fit([image])


@functools.cache
def integers() -> VectorQuantisedCompressor:
    """A small one of integers, counted on noise."""
    images = _samples(8, 1, 6, 6)
    model = models.VectorQuantisedAutoencoder((2, 3), codebook=4, dim=2, **QUICK).fit(images)
    return VectorQuantisedCompressor(model).fit(list((255 * images[:, 0]).astype(np.uint8)))


def _compressed(path: Path) -> None:
    path.write_bytes(compressor().compress((255 * _samples(9, 13, 3)).astype(np.uint8), 30))


def _in_integers(path: Path) -> None:
    path.write_bytes(integers().compress((255 * _samples(9, 13)).astype(np.uint8)))


def _idx() -> bytes:
    return struct.pack(">IIII", 0x803, 3, 4, 5) + bytes(range(60))


def _image(**how: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from PIL import Image

        Image.fromarray((255 * _samples(8, 9, 3)).astype(np.uint8)).save(path, **how)
    return write


def _npz(path: Path) -> None:
    np.savez_compressed(path, X=_samples(4, 3), y=np.arange(4))


def _model(make: Callable[[], Any], *shape: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make().fit(_samples(*shape)).save(path)
    return write


def _classifier(path: Path) -> None:
    models.Classifier([4], head_epochs=0, epochs=1).fit(_samples(12, 5), np.arange(12) % 3).save(path)


def _recommender(path: Path) -> None:
    users, items = np.divmod(np.arange(30), 6)
    models.AutoRec(code=3, epochs=1).fit((users, items, np.arange(30) % 5 + 1.0)).save(path)


def _index(path: Path) -> None:
    model = models.Autoencoder([4], 2, epochs=1).fit(_samples(12, 5))
    index = SemanticIndex(model)
    index.add(_samples(12, 5))
    index.save(path)


# Whose contents are arrays and a JSON header with a checksum.
TENSOR_FILES = {
    "model": Reader(".safetensors", _model(lambda: models.Autoencoder([4], 2, tied=True, scaling="standard", **QUICK),
                                           12, 5), models.load),
    "convolutional model": Reader(".safetensors", _model(
        lambda: models.ConvolutionalAutoencoder((2, 3), downsampling="pooling", batch_norm=True, **QUICK), 8, 1, 6, 6),
        models.load),
    "variational model": Reader(".safetensors", _model(lambda: models.VariationalAutoencoder([4], 2, **QUICK), 12, 5),
                                models.load),
    "vector-quantised model": Reader(".safetensors", _model(
        lambda: models.VectorQuantisedAutoencoder((2, 3), codebook=4, dim=2, **QUICK), 8, 1, 6, 6), models.load),
    "hashing model": Reader(".safetensors", _model(lambda: models.SemanticHashing([4], 2, **QUICK), 12, 5),
                            models.load),
    "adversarial model": Reader(".safetensors", _model(
        lambda: models.AdversarialAutoencoder([4], 2, prior="mixture", discriminator=[4], **QUICK), 12, 5),
        models.load),
    "classifier": Reader(".safetensors", _classifier, models.load),
    "recommender": Reader(".safetensors", _recommender, models.load),
    "checkpoint": Reader(".safetensors", _checkpoint, lambda path: restore(_trainer(), path),
                         (ValueError,)),  # also for one that does not fit the model
    "detector": Reader(".safetensors", _model(lambda: AnomalyDetector(hidden=4, updates=2), 20, 5),
                       AnomalyDetector.load),
    "series detector": Reader(".safetensors", _model(lambda: SeriesDetector(window=8, hidden=4, updates=2), 200, 2),
                              SeriesDetector.load),
    "inspector": Reader(".safetensors", _model(lambda: TextureInspector(size=8, hidden=4, updates=2), 40, 40),
                        TextureInspector.load),
    "denoiser": Reader(".safetensors", _model(lambda: PatchDenoiser(0.1, size=4, hidden=4, updates=2), 24, 24),
                       PatchDenoiser.load),
    "index": Reader(".safetensors", _index, SemanticIndex.load),
    "compressor": Reader(".safetensors", lambda path: compressor().save(path), load_compressor),
    "compressor of integers": Reader(".safetensors", lambda path: integers().save(path), load_compressor),
}
READERS = {
    **TENSOR_FILES,
    "tensors": Reader(".safetensors", lambda path: write_tensors(path, {"a": _samples(3, 2)}), read_tensors),
    "compressed image": Reader(".mae", _compressed,
                               lambda path: compressor().decompress(path.read_bytes(), str(path))),
    "image in integers": Reader(".mae", _in_integers,
                                lambda path: integers().decompress(path.read_bytes(), str(path))),
    "npy": Reader(".npy", lambda path: np.save(path, _samples(4, 3)), read),
    "npz": Reader(".npz", _npz, read),
    "csv": Reader(".csv", lambda path: path.write_text("a,b,kind\n1,2.5,x\n-3e2,4,y\n"),
                  lambda path: read(path, label="kind")),
    "tsv": Reader(".tsv", lambda path: path.write_text("1\t2.5\n-3e2\t4\n"), read),
    "idx": Reader(".idx", lambda path: path.write_bytes(_idx()), read),
    "gzipped idx": Reader(".gz", lambda path: path.write_bytes(gzip.compress(_idx())), read),
    "png": Reader(".png", _image(), read),
    "jpeg": Reader(".jpg", _image(), read_picture),
    "gif": Reader(".gif", _image(), read),
    "tiff": Reader(".tif", _image(), read),
    "bmp": Reader(".bmp", _image(), read_picture),
    "webp": Reader(".webp", _image(lossless=True), read),
    "ppm": Reader(".ppm", _image(), read),
    "wav": Reader(".wav", lambda path: write_wav(path, _samples(50, 2), 8000), read_wav),
    "ratings": Reader(".txt", lambda path: path.write_text("1::10::4\n2::10::3.5\n"), read_ratings),
}


@functools.cache
def valid(name: str, folder: Path) -> bytes:
    """The bytes of a valid file of that kind."""
    path = folder / f"valid{READERS[name].suffix}"
    READERS[name].write(path)
    return path.read_bytes()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is something in JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, part in inner for place in places(part, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """What is at a place."""
    for key in path:
        value = value[key]
    return value


def put(value: Any, path: tuple[Any, ...], what: Any) -> None:
    """Put something else there."""
    at(value, path[:-1])[path[-1]] = what
