"""Make images again of the files that miniae compress wrote.

OUT is an image file for a file, PNG by its ending (or any other that Pillow writes), and a new folder of PNGs for a
folder. A file needs the model it was compressed with: --model says where that is, if it is not the one for photographs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from miniae.cli.compress import SUFFIX, add_compressor, open_compressor, pairs
from miniae.data import DataError
from miniae.data.errors import StorageError
from miniae.tasks.compressed_file import unpack
from miniae.tasks.image_files import FileCompressor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help=f"a file that miniae compress wrote, or a folder of {SUFFIX} files")
    parser.add_argument("out", metavar="OUT", help="where to write: an image file, .png for instance, or a new folder")
    add_compressor(parser)


def run(args: argparse.Namespace) -> int:
    from PIL import Image

    if not os.path.isdir(args.input) and Path(args.out).suffix.lower() not in Image.registered_extensions():
        raise DataError(f"can't write {args.out}: expected the name of an image file, ending in .png for instance")
    compressor = open_compressor(args)
    with pairs(args, _compressed, ".png") as files:
        for path, target in files:
            _save(_image(compressor, path), target)
    print(f"written to {args.out}: {len(files)} image{'s' * (len(files) != 1)}")
    return 0


def _image(compressor: FileCompressor, path: Path) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as why:
        raise StorageError(f"can't read {path}: {why.strerror or why}") from None
    content = unpack(data, str(path))
    if content.count > 1:
        raise DataError(f"{path} holds {content.count} images: in Python, {type(compressor).__name__}.decompress reads "
                        "them")
    return compressor.images(content, str(path))[0]


def _compressed(folder: Path) -> list[Path]:
    paths = sorted(p for p in folder.rglob(f"*{SUFFIX}") if p.is_file())
    if not paths:
        raise DataError(f"{folder} holds no {SUFFIX} files, as miniae compress writes them")
    return paths


def _save(image: np.ndarray, path: Path) -> None:
    from PIL import Image

    try:
        Image.fromarray(image).save(path, Image.registered_extensions()[path.suffix.lower()])
    except (KeyError, OSError, ValueError) as why:
        raise DataError(f"can't write a {path.suffix} file ({why}): choose .png") from None
