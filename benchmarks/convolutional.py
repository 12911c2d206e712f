"""Convolutional autoencoders on MNIST and Fashion-MNIST: what a code costs, and what comes back from it.

    MINIAE_DATA=... python benchmarks/convolutional.py      writes benchmarks/results/convolutional.json and pictures

The classic image compressor (code 4x4x8), a strided autoencoder with a code of 32 numbers, and a vector-quantised one
whose 7x7 positions are integers of 8 bits. All see the same 20,000 training images, five times each, and are
measured on the 10,000 test images. Beside them PCA, and JPEG at the nearest size: all test images in one large picture
of tiles of 32x32, so that no block has two of them and one header serves all, with optimised tables.
"""

import io
import time

import numpy as np
from results import FOLDER, write

from miniae.data import load
from miniae.models import PCA, ConvolutionalAutoencoder, VectorQuantisedAutoencoder
from miniae.report import metrics, pictures

IMAGES, EPOCHS = 20_000, 5
COMMON = {"image_shape": (28, 28), "epochs": EPOCHS, "batch_size": 32}
MODELS = {
    "compressor": lambda: ConvolutionalAutoencoder((16, 8, 8), downsampling="pooling", code_activation="relu",
                                                   **COMMON),
    "strided": lambda: ConvolutionalAutoencoder((16, 32), 32, **COMMON),
    "vq": lambda: VectorQuantisedAutoencoder((16, 32), codebook=256, dim=16, **COMMON),
}


def jpeg(images, quality):
    """Bits a pixel, and the images that come back, from one JPEG of them all."""
    from PIL import Image

    side = int(len(images) ** 0.5)
    tiles = np.pad(images[:side * side].reshape(-1, 28, 28), ((0, 0), (0, 4), (0, 4)), mode="edge")
    sheet = tiles.reshape(side, side, 32, 32).transpose(0, 2, 1, 3).reshape(32 * side, -1)
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * sheet).astype(np.uint8)).save(file, "jpeg", quality=quality, optimize=True)
    decoded = np.asarray(Image.open(file)).reshape(side, 32, side, 32).transpose(0, 2, 1, 3)[..., :28, :28]
    bits = 8 * len(file.getvalue()) / (side * side * 28 * 28)
    return bits, (decoded.reshape(side * side, -1) / 255.0).astype(np.float32)


def nearest_jpeg(images, bits):
    """The quality of JPEG whose size is nearest to so many bits a pixel, and what `jpeg` gives for it."""
    tried = {quality: jpeg(images, quality) for quality in (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 30, 35, 40, 50)}
    quality = min(tried, key=lambda q: abs(tried[q][0] - bits))
    return quality, *tried[quality]


results = {"images": IMAGES, "epochs": EPOCHS}
for name in ("mnist", "fashion-mnist"):
    data = load(name)
    X, test, rows = data.train[:IMAGES], data.test, {}
    r = results[name] = {}
    for key, make in MODELS.items():
        began = time.perf_counter()
        model = make().fit(X)
        seconds = time.perf_counter() - began
        rows[key] = np.clip(model.reconstruct(test), 0, 1)
        r[key] = {"mse": metrics.mse(test, rows[key]), "psnr": metrics.psnr(test, rows[key]), "seconds": seconds,
                  "numbers": int(np.prod(model.transform(test[:1]).shape)),
                  "parameters": sum(p.size for p in model.network_.parameters())}
        if key == "vq":
            r[key] |= model.usage(test)
        print(name, key, r[key], flush=True)
    for numbers in (128, 32):
        flat = np.clip(PCA(numbers).fit(X).reconstruct(test), 0, 1)
        r[f"pca_{numbers}"] = {"mse": metrics.mse(test, flat), "psnr": metrics.psnr(test, flat), "numbers": numbers}
    try:
        quality, bits, rows["jpeg"] = nearest_jpeg(test, r["vq"]["bits_per_pixel"])
        r["jpeg"] = {"quality": quality, "bits_per_pixel": bits, "mse": metrics.mse(test, rows["jpeg"]),
                     "psnr": metrics.psnr(test, rows["jpeg"])}
        print(name, "jpeg", r["jpeg"], flush=True)
    except ImportError:
        print("Pillow is not there: no JPEG")
    pictures.reconstructions(FOLDER / f"convolutional_{name}.png", test, rows, (28, 28), columns=12)
write("convolutional", results)
