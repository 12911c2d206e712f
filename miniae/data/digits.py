"""The bundled digits: the first 10,000 training and 2,000 test images of MNIST, so that nothing need be downloaded.

MNIST is by Yann LeCun, Corinna Cortes and Christopher J.C. Burges, under the Creative Commons Attribution-Share Alike
3.0 licence; see digits.LICENSE.txt. The file holds the pixels as they are, then the labels, compressed by LZMA.

`python -m miniae.data.digits MNIST_FOLDER digits.bin.xz` makes it again, byte by byte, from MNIST's four files.
"""

from __future__ import annotations

import lzma
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

from miniae.data.idx import read_idx
from miniae.data.whole_files import writing

__all__ = ["load_digits"]

TRAIN, TEST = 10_000, 2_000
_FILE = "digits.bin.xz"
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0}]


def load_digits() -> dict[str, np.ndarray]:
    """`train` (10000, 28, 28), `test` (2000, 28, 28), `train_labels`, `test_labels`: uint8."""
    raw = lzma.decompress(files("miniae.data").joinpath(_FILE).read_bytes())
    data = np.frombuffer(raw, np.uint8)
    images, labels = data[:(TRAIN + TEST) * 784].reshape(-1, 28, 28), data[(TRAIN + TEST) * 784:]
    return {"train": images[:TRAIN], "test": images[TRAIN:], "train_labels": labels[:TRAIN],
            "test_labels": labels[TRAIN:]}


def make(source: Path, out: Path) -> None:
    """Write the bundled file from a folder with MNIST's IDX files."""
    images = [read_idx(source / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k")]
    labels = [read_idx(source / f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k")]
    parts = [images[0][:TRAIN], images[1][:TEST], labels[0][:TRAIN], labels[1][:TEST]]
    raw = b"".join(part.tobytes() for part in parts)
    with writing(out) as temporary:
        temporary.write_bytes(lzma.compress(raw, format=lzma.FORMAT_XZ, filters=_FILTERS))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m miniae.data.digits MNIST_FOLDER OUT")
    make(Path(sys.argv[1]), Path(sys.argv[2]))
