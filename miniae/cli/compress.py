"""Compress an image, or a folder of images, into small files; miniae decompress makes images of them again.

OUT is a file (ending in .mae, say) for an image, and a new folder for a folder. Of images that are transparent or of 16
bits, the colours in 8 bits are kept. Without --model they are compressed as photographs; miniae compressor makes models
for images of your own kind.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from miniae.cli import model_and_data
from miniae.data import DataError, read_picture
from miniae.data.files import image_files
from miniae.data.storage import check_unused, writing
from miniae.tasks import ImageCompressor

SUFFIX = ".mae"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="an image file, or a folder of images of any size")
    parser.add_argument("out", metavar="OUT", help=f"where to write: a file, or a new folder of {SUFFIX} files")
    parser.add_argument("--quality", type=int, default=50, metavar="Q",
                        help="1 (small) to 100 (like the original) (default: 50)")
    add_compressor(parser)


def run(args: argparse.Namespace) -> int:
    if not 1 <= args.quality <= 100:
        raise DataError(f"--quality is a whole number from 1 to 100, got {args.quality}")
    compressor = open_compressor(args)
    source, pixels, total = Path(args.input), 0, 0
    for path, target in pairs(source, Path(args.out), image_files, SUFFIX):
        image = as_bytes(read_picture(path))
        data = compressor.compress(image, args.quality)
        write_file(target, lambda temporary, data=data: temporary.write_bytes(data))
        pixels, total = pixels + image.shape[0] * image.shape[1], total + len(data)
    print(f"written to {args.out}: {total:,} bytes, {8 * total / pixels:.3f} bits a pixel")
    return 0


def as_bytes(image: np.ndarray) -> np.ndarray:
    """(height, width) or (3, height, width) in [0, 1], as files are read, as uint8 with the channels last."""
    image = np.rint(255 * image).astype(np.uint8)
    return image if image.ndim == 2 else image.transpose(1, 2, 0)


# What the commands of compression share.

def add_compressor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="FILE", help="a compressor that miniae compressor wrote (default: the one "
                                                        "for photographs that comes with miniae)")
    model_and_data.add_backend(parser)


def open_compressor(args: argparse.Namespace) -> ImageCompressor:
    if args.model is None:
        return ImageCompressor.pretrained(args.backend)
    return ImageCompressor.load(args.model, args.backend)


def pairs(source: Path, out: Path, inside: Callable[[Path], Iterable[Path]],
          suffix: str) -> Iterator[tuple[Path, Path]]:
    """What to read and where to write it: `source` and `out`, or each of the files inside a folder, and its own below
    the new folder `out`, its ending changed."""
    if not source.exists():
        raise DataError(f"{str(source)[:200]} does not exist: name a file, or a folder of files")
    if not source.is_dir():
        model_and_data.check_folder_of(str(out))
        if out.is_dir():
            raise DataError(f"can't write {out}: it is a folder, and {source} is a file; name a file")
        return iter([(source, out)])
    check_unused(out)
    files = list(inside(source))
    targets = [out / path.relative_to(source).with_suffix(suffix) for path in files]
    if len(set(targets)) < len(targets):
        raise DataError(f"two files of {source} would become one in {out}: give them names that differ in more than "
                        "their endings")
    return zip(files, targets, strict=True)


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file, whole or not at all, and the folders it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        write(temporary)
