"""Train a compressor for images of your own kind, for miniae compress --model and decompress --model.

Images may be of any size. Photographs are turned, mirrored and halved at random in training; with --alike they are
taken as they are: small pictures of one kind, of which there are many.

With --model nothing is trained: the compressor is made of a vector-quantised autoencoder (miniae train --model
vector-quantised), and learns from the images only how often each of its integers comes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from miniae.cli import model_and_data
from miniae.cli.compress import as_bytes
from miniae.data import DataError, find, read_picture
from miniae.data.errors import a_kind
from miniae.data.files import image_files
from miniae.models import VectorQuantisedAutoencoder
from miniae.report import metrics
from miniae.tasks import ImageCompressor, VectorQuantisedCompressor
from miniae.training import ProgressBar

_TRAINING = {"filters": 96, "patches": 600, "epochs": 10, "seed": 0}
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    def number(name: str, what: str) -> None:
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{what} (default: {_TRAINING[name]})")

    parser.add_argument("images", metavar="IMAGES",
                        help="a folder of images of any size; or images of one size, as miniae train takes them")
    parser.add_argument("-o", "--out", metavar="FILE", default="compressor.safetensors",
                        help="where to write the compressor (default: compressor.safetensors)")
    parser.add_argument("--model", metavar="MODEL", help="the model.safetensors of a vector-quantised autoencoder that "
                                                         "the compressor is to be made of")
    number("filters", "how many numbers a block of pixels becomes at most")
    number("patches", "how many patches of the images to train on")
    number("epochs", "how often")
    parser.add_argument("--alike", action="store_true", help="take the images as they are, not turned or halved")
    number("seed", "decides patches and noise")
    model_and_data.add_backend(parser)


def run(args: argparse.Namespace) -> int:
    model_and_data.check_new_model(args.out, "compressor", instead="")
    name = Path(args.out).stem[:60]
    if args.model is None:
        return _train(args, name)
    return _count(args, name)


def _train(args: argparse.Namespace, name: str) -> int:
    settings = {**_TRAINING, **_given(args)}
    compressor = ImageCompressor(**settings, augment=not args.alike, name=name, backend=args.backend)
    images = _images(args.images)
    compressor.fit(images, callbacks=[ProgressBar()]).save(args.out)
    print(f"written to {args.out}: trained on {_some(images)}, checksum {compressor.checksum_:08x}")
    return 0


def _count(args: argparse.Namespace, name: str) -> int:
    unused = ["alike"] * args.alike + list(_given(args))
    if unused:
        raise DataError(f"--{unused[0]} is for training, and with --model nothing is trained: leave one out")
    compressor = VectorQuantisedCompressor(_quantised(args.model, args.backend), name=name)
    images = _images(args.images)
    compressor.fit(images).save(args.out)
    print(_measured(compressor, images[:_SHOWN]))
    print(f"written to {args.out}: with the frequencies of {_some(images)}, checksum {compressor.checksum_:08x}")
    return 0


def _some(images: list[np.ndarray]) -> str:
    return f"{len(images):,} image{'s' * (len(images) != 1)}"


def _given(args: argparse.Namespace) -> dict[str, int]:
    """The numbers for training that were said."""
    return {name: getattr(args, name) for name in _TRAINING if getattr(args, name) is not None}


def _measured(compressor: VectorQuantisedCompressor, images: list[np.ndarray]) -> str:
    """What images that were counted take and lose: no setting decides that, but the model."""
    files = [compressor.compress(image) for image in images]
    bits = 8 * sum(map(len, files)) / sum(image.shape[0] * image.shape[1] for image in images)
    there, back = (np.concatenate([image.reshape(1, -1).astype(float) for image in some], axis=1)
                   for some in (images, map(compressor.decompress, files)))
    one = len(images) == 1
    return (f"{_some(images)} of those counted take{'s' * one} {bits:.3f} bits a pixel, and come{'s' * one} back at "
            f"{metrics.psnr(there, back, 255):.1f} dB: new ones may take and lose more")


def _images(source: str) -> list[np.ndarray]:
    """The images of a folder, or the training ones of a data set, in 8 bits. Raises `DataError` where none are."""
    if os.path.isdir(source):
        return [as_bytes(read_picture(path)) for path in image_files(Path(source))]
    samples = model_and_data.part_of(find(source), "train")
    if samples.image_shape is None or not 0 <= samples.X.min() <= samples.X.max() <= 1:
        raise DataError(f"{source} holds no images of 8 bits, or from 0 to 1: name a folder of images")
    return [as_bytes(image) for image in samples.X.reshape(-1, *samples.image_shape)]


def _quantised(path: str, backend: str) -> VectorQuantisedAutoencoder:
    model = model_and_data.load_autoencoder(path, backend)
    if not isinstance(model, VectorQuantisedAutoencoder):
        raise DataError(f"{path} holds {a_kind(model)}, whose codes are no integers: train one by miniae "
                        "train --model vector-quantised, or leave --model out to train a compressor")
    return model
