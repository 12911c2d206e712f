"""Train a compressor for images of your own kind, for miniae compress --model and decompress --model.

Images may be of any size. Photographs are turned, mirrored and halved at random in training; with --alike they are
taken as they are: small pictures of one kind, of which there are many.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from miniae.cli import model_and_data
from miniae.cli.compress import as_bytes
from miniae.data import DataError, read_picture
from miniae.data.files import image_files
from miniae.tasks import ImageCompressor
from miniae.training import ProgressBar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="a folder of images of any size")
    parser.add_argument("-o", "--out", metavar="FILE", default="compressor.safetensors",
                        help="where to write the compressor (default: compressor.safetensors)")
    parser.add_argument("--filters", type=int, default=96, metavar="N",
                        help="how many numbers a block of pixels becomes at most (default: 96)")
    parser.add_argument("--patches", type=int, default=600, metavar="N",
                        help="how many patches of the images to train on (default: 600)")
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="how often (default: 10)")
    parser.add_argument("--alike", action="store_true", help="take the images as they are, not turned or halved")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides patches and noise (default: 0)")
    model_and_data.add_backend(parser)


def run(args: argparse.Namespace) -> int:
    model_and_data.check_folder_of(args.out)
    if Path(args.out).suffix != ".safetensors":
        raise DataError(f"can't write {args.out}: expected a name that ends in .safetensors")
    folder = Path(args.folder)
    if not os.path.isdir(args.folder):
        raise DataError(f"{args.folder[:200]!r} is no folder: name one with images")
    images = [as_bytes(read_picture(path)) for path in image_files(folder)]
    compressor = ImageCompressor(args.filters, patches=args.patches, epochs=args.epochs, augment=not args.alike,
                                 seed=args.seed, name=Path(args.out).stem[:60], backend=args.backend)
    compressor.fit(images, callbacks=[ProgressBar()]).save(args.out)
    print(f"written to {args.out}: trained on {len(images)} images, checksum {compressor.checksum_:08x}")
    return 0
