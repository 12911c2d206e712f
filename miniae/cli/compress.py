"""Compress an image, or a folder of images, into small files; miniae decompress makes images of them again.

OUT is a file (ending in .mae, say) for an image, and a new folder for a folder. Of images that are transparent or of 16
bits, the colours in 8 bits are kept. Without --model they are compressed as photographs; miniae compressor makes models
for images of your own kind, also of a vector-quantised autoencoder, whose integers have no --quality.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from miniae.cli import model_and_data
from miniae.cli.pictures import in_folder
from miniae.data import DataError, eight_bits, read_picture
from miniae.data.files import IMAGE_ENDINGS, image_files
from miniae.data.whole_files import writing
from miniae.tasks import ImageCompressor, VectorQuantisedCompressor, load_compressor
from miniae.tasks.image_files import FileCompressor

SUFFIX = ".mae"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="an image file, or a folder of images of any size")
    parser.add_argument("out", metavar="OUT", help=f"where to write: a file, or a new folder of {SUFFIX} files")
    parser.add_argument("--quality", type=int, metavar="Q",
                        help="1 (small) to 100 (like the original) (default: 50)")
    add_compressor(parser)


def run(args: argparse.Namespace) -> int:
    if args.quality is not None and not 1 <= args.quality <= 100:
        raise DataError(f"--quality is a whole number from 1 to 100, got {args.quality}")
    if Path(args.out).suffix.lower() in IMAGE_ENDINGS:
        raise DataError(f"can't write {args.out}: what is written is no image; choose a name that ends in {SUFFIX}")
    compressor = open_compressor(args)
    settings = () if isinstance(compressor, VectorQuantisedCompressor) else (args.quality or 50,)
    if args.quality and not settings:
        raise DataError(f"{args.model} has no qualities, what is lost is decided by the model: leave --quality out")
    pixels, total = 0, 0
    with pairs(args, image_files, SUFFIX) as files:
        for path, target in files:
            image = as_bytes(read_picture(path))
            data = compressor.compress(image, *settings)
            target.write_bytes(data)
            pixels, total = pixels + image.shape[0] * image.shape[1], total + len(data)
    print(f"written to {args.out}: {total:,} bytes, {8 * total / pixels:.3f} bits a pixel")
    return 0


def as_bytes(image: np.ndarray) -> np.ndarray:
    """(height, width) or (3, height, width) in [0, 1], as files are read, as uint8 with the channels last."""
    image = eight_bits(image)
    return image if image.ndim == 2 else image.transpose(1, 2, 0)


# What the commands of compression share.

def add_compressor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="FILE", help="a compressor that miniae compressor wrote (default: the one "
                                                        "for photographs that comes with miniae)")
    model_and_data.add_backend(parser)


def open_compressor(args: argparse.Namespace) -> FileCompressor:
    if args.model is None:
        return ImageCompressor.pretrained(args.backend)
    return load_compressor(args.model, args.backend)


@contextlib.contextmanager
def pairs(args: argparse.Namespace, inside: Callable[[Path], Iterable[Path]],
          suffix: str) -> Iterator[list[tuple[Path, Path]]]:
    """What to read and where to write it: IN and OUT, or each of the files inside a folder, and its own below the new
    folder OUT, its ending changed. What is written is there when the block ends well, and else none of it."""
    source, out = args.input, args.out
    if not os.path.exists(source):
        raise DataError(f"{source[:200]!r} does not exist: name a file, or a folder of files")
    folder = Path(source)
    if folder.is_dir():
        files = {path.relative_to(folder).as_posix(): path for path in inside(folder)}
        with in_folder(out, files, suffix) as (_, targets):
            yield [(path, targets[name]) for name, path in files.items()]
        return
    model_and_data.check_folder_of(out)
    model_and_data.check_not_read(out, source, args.model)
    if Path(out).is_dir():
        raise DataError(f"can't write {out!r}: it is a folder, and {source} is a file; name a file")
    with writing(out) as temporary:
        yield [(folder, temporary)]
