"""Trains the compressor of photographs that the package holds (miniae/tasks/photos.safetensors).

    python benchmarks/train_compressor.py [--faces FOLDER]

Needs scikit-image, PyWavelets, and SciPy's raccoon: `face.dat` in FOLDER, as SciPy 1.9's wheel has it in scipy/misc, or
without FOLDER what scipy.datasets downloads. All training images are in the public domain or CC0:

    face      a raccoon; Judy Weggelaar, public domain
    ascent    stairs; Hillebrand Steve, U.S. Fish and Wildlife Service, public domain (PyWavelets)
    hopper    Grace Hopper; James S. Davis, U.S. Navy, public domain (matplotlib's grace_hopper.jpg)
    retina    a fundus; Haggstrom, CC0 (scikit-image)
    hubble    the deep field; NASA, public domain (scikit-image)
    brick, grass, gravel    textures of CC0Textures, CC0 (scikit-image)

Never among them are the photographs that benchmarks/compression.py measures on.
"""

import argparse
import bz2
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from miniae.tasks import ImageCompressor
from miniae.tasks.compression import _PHOTOS as PHOTOS
from miniae.training import ProgressBar

SETTINGS = {"filters": 96, "patches": 1200, "epochs": 30, "lr": 1e-4, "name": "photos", "backend": "numpy"}


def raccoon(folder):
    if folder is None:
        from scipy import datasets

        return datasets.face()
    return np.frombuffer(bz2.decompress((folder / "face.dat").read_bytes()), np.uint8).reshape(768, 1024, 3)


def training_images(folder=None):
    """The images, (height, width) or (height, width, 3), uint8."""
    import pywt
    from skimage import data

    hopper = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    images = [raccoon(folder), pywt.data.ascent().astype(np.uint8), np.asarray(hopper),
              data.retina()[250:1150, 250:1150], data.hubble_deep_field()[:500, :500], data.brick(), data.grass(),
              data.gravel()]
    # Raccoon and portrait are the only photographs in colour: they count thrice.
    return images + [images[0], images[2]] * 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--faces", type=Path)
    images = training_images(parser.parse_args().faces)
    compressor = ImageCompressor(**SETTINGS).fit(images, callbacks=[ProgressBar()])
    compressor.save(PHOTOS)
    print(f"written to {PHOTOS}: {PHOTOS.stat().st_size:,} bytes, checksum {compressor.checksum_:08x}")
