"""Photographs and digits as small files, and what is left of them.

    python examples/compress_images.py [--quick]

Compresses digits by a compressor that is trained on others of the bundled digits, all in one file, and a picture of a
page of them by the compressor for photographs that comes with the library. With --quick the training is short.
"""

import sys
from pathlib import Path

import numpy as np

from miniae import ImageCompressor
from miniae.data import load
from miniae.report import metrics, reconstructions

digits = load("digits")
train, test = ((255 * part.reshape(-1, 28, 28)).round().astype(np.uint8) for part in (digits.train, digits.test[:200]))
patches, epochs = (300, 1) if "--quick" in sys.argv[1:] else (2000, 8)
folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)


def told(what, images, back, data):
    print(f"{what}: {len(data):,} bytes, {8 * len(data) / images.size:.3f} bits a pixel, "
          f"{metrics.psnr(images.astype(float), back.astype(float), 255):.1f} dB")


compressor = ImageCompressor(40, size=7, patch=28, patches=patches, epochs=epochs, batch_size=32, augment=False,
                             finest=0.1, coarsest=1.0, name="digits").fit(train)
compressor.save(folder / "digits_compressor.safetensors")  # for miniae compress --model
shown = {}
for quality in (10, 50, 90):
    data = compressor.compress_many(test, quality)
    back = compressor.decompress(data)
    told(f"{len(test)} digits in a file, quality {quality}", test, back, data)
    shown[f"quality {quality}"] = back / 255

page = test[:100].reshape(10, 10, 28, 28).transpose(0, 2, 1, 3).reshape(280, 280)
photos = ImageCompressor.pretrained()
data = photos.compress(page, quality=40)
(folder / "page.mae").write_bytes(data)  # for miniae decompress
back = photos.decompress(data)
told("a page of digits, as a photograph", page[None], back[None], data)

reconstructions(folder / "compress_images.png", test / 255, shown, (28, 28))
print(f"drawn to {folder / 'compress_images.png'}")
