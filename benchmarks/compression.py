"""Bits a pixel, PSNR and SSIM of ImageCompressor against JPEG and WebP, as Pillow writes them, and PNG.

    MINIAE_DATA=... python benchmarks/compression.py [photos] [small] [quantised]

Photographs: five of scikit-image's that the bundled compressor was not trained on (see train_compressor.py). Small
images: the first 500 test images of MNIST and Fashion-MNIST, by compressors trained on the training parts (small), and
by vector-quantised autoencoders (quantised, which compares with the others' curves that small has written). JPEG and
WebP are also given all of these as one picture, so that no header counts for each. At our sizes, the others' PSNR and
SSIM are interpolated between their qualities, linearly in the logarithm of bits a pixel.
"""

import io
import sys
import time
from pathlib import Path

import numpy as np
from layout import load as read
from PIL import Image
from results import write
from skimage import data as photographs

from miniae.data import load
from miniae.models import VectorQuantisedAutoencoder
from miniae.report import metrics
from miniae.report.canvas import SERIES, drawing
from miniae.tasks import ImageCompressor, VectorQuantisedCompressor
from miniae.tasks.compressed_file import unpack

PHOTOS = ("astronaut", "coffee", "chelsea", "rocket", "camera")
QUALITIES = (1, 20, 40, 60, 80, 100)
SHOWN = 20
SMALL = {"filters": 40, "size": 7, "patch": 28, "patches": 2000, "augment": False, "epochs": 4, "batch_size": 32,
         "finest": 0.1, "coarsest": 1.0, "backend": "numpy"}
QUANTISED = {"filters": (32, 64), "codebook": 256, "dim": 16, "epochs": 8, "lr": 2e-3}
TRAINED_ON, IMAGES, ALONE, SETS = 10000, 500, 50, ("mnist", "fashion-mnist")
PEERS = {"JPEG": {"format": "JPEG", "optimize": True, "qualities": (2, 5, 10, 20, 30, 45, 60, 75, 85, 92, 97)},
         "WebP": {"format": "WEBP", "method": 6, "qualities": (0, 5, 10, 20, 35, 50, 65, 80, 90, 96, 100)}}
FOLDER = Path(__file__).parent / "results"


def psnr(x, y):
    return metrics.psnr(x[None].astype(float), y[None].astype(float), 255)


def ssim(x, y):
    """Of an image (height, width) or (height, width, 3), or of images (N, height, width)."""
    x, y = ((a if a.shape[-1] != 3 else a.transpose(2, 0, 1)[None]) for a in (x, y))
    return metrics.ssim(*(a.reshape(-1, *a.shape[-2:]).astype(float) for a in (x, y)), peak=255)


def by_pillow(image, quality, format, **settings):
    """(bytes, what they hold)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format, quality=quality, **settings)
    back = Image.open(file).convert("L" if image.ndim == 2 else "RGB")
    return len(file.getvalue()), np.asarray(back)


def peer_curves(image, restore=lambda y: y, against=None):
    """Of each peer: bits a pixel, PSNR and SSIM by quality; `restore` takes apart what was one picture."""
    against, pixels, curves = image if against is None else against, image.shape[0] * image.shape[1], {}
    for name, settings in PEERS.items():
        settings = dict(settings)
        rows = []
        for quality in settings.pop("qualities"):
            size, back = by_pillow(image, quality, **settings)
            rows.append((8 * size / pixels, psnr(against, restore(back)), ssim(against, restore(back))))
        curves[name] = rows
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    return curves, 8 * len(file.getvalue()) / pixels


def at(rows, bits):
    """PSNR and SSIM of a curve at so many bits a pixel, or None where it does not get so small or so large."""
    rows = sorted(rows)
    b = [row[0] for row in rows]
    if not b[0] <= bits <= b[-1]:
        return None
    return [float(np.interp(np.log(bits), np.log(b), [row[i] for row in rows])) for i in (1, 2)]


def compared(ours, curves):
    return [{"bits": o[0], "psnr": o[1], "ssim": o[2], **{name: at(rows, o[0]) for name, rows in curves.items()}}
            for o in ours]


def photo(compressor, name):
    image = getattr(photographs, name)()
    ours, pixels = [], image.shape[0] * image.shape[1]
    for quality in QUALITIES:
        file = compressor.compress(image, quality)
        back = compressor.decompress(file)
        ours.append((8 * len(file) / pixels, psnr(image, back), ssim(image, back)))
    curves, png = peer_curves(image)
    print(name, [tuple(round(v, 3) for v in o) for o in ours], "PNG", round(png, 2), flush=True)
    for row in compared(ours, curves):
        print("   ", {k: v and np.round(v, 3) for k, v in row.items()}, flush=True)
    return {"pixels": pixels, "png_bits": png, "qualities": compared(ours, curves), "curves": curves}


def speed(compressor):
    """Seconds for a megapixel, 1024 x 1024 pixels of four times the same photograph."""
    value, seconds = np.tile(photographs.astronaut(), (2, 2, 1)), {}
    for name in ("compress", "decompress"):
        wall, cpu = time.perf_counter(), time.process_time()
        value = getattr(compressor, name)(value)
        seconds[name] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return seconds


def crops(compressor):
    """Crops of three photographs by each way, at the size of ours."""
    names, side = ("astronaut", "coffee", "chelsea"), 160
    corners = {"astronaut": (30, 150), "coffee": (80, 200), "chelsea": (60, 120)}
    with drawing(FOLDER / "compression_crops.png", 1200, 960) as figure:
        axes = figure.subplots(3, 4)
        for row, name in zip(axes, names, strict=True):
            image = getattr(photographs, name)()
            file = compressor.compress(image, SHOWN)
            shown = {"original": (image, None), "miniae": (compressor.decompress(file), len(file))}
            for peer, settings in PEERS.items():
                settings = {k: v for k, v in settings.items() if k != "qualities"}
                tries = [by_pillow(image, quality, **settings) for quality in range(1, 96)]
                size, back = max((t for t in tries if t[0] <= 1.02 * len(file)), key=lambda t: t[0], default=tries[0])
                shown[peer] = back, size
            y, x = corners[name]
            for ax, (way, (picture, size)) in zip(row, shown.items(), strict=True):
                ax.imshow(picture[y:y + side, x:x + side])
                ax.set_axis_off()
                pixels = image.shape[0] * image.shape[1]
                said = "" if size is None else f": {8 * size / pixels:.2f} bits a pixel, {psnr(image, picture):.1f} dB"
                ax.set_title(way + said, fontsize=7)
        figure.tight_layout()


def curves_picture(results):
    with drawing(FOLDER / "compression.png", 1200, 900) as figure:
        axes = figure.subplots(2, 3)
        for column, name in zip(axes.T, ("astronaut", "coffee", "camera"), strict=True):
            r = results["photos"][name]
            ours = [(q["bits"], q["psnr"], q["ssim"]) for q in r["qualities"]]
            for ax, measure, label in zip(column, (1, 2), ("PSNR (dB)", "SSIM"), strict=True):
                for (way, rows), colour in zip({"miniae": ours, **r["curves"]}.items(), SERIES, strict=False):
                    rows = [row for row in sorted(rows) if 0.05 <= row[0] <= 4]
                    ax.plot([row[0] for row in rows], [row[measure] for row in rows], label=way, color=colour,
                            marker="." if way == "miniae" else None)
                ax.set_xscale("log")
                ax.set_xlabel("bits a pixel")
                ax.set_ylabel(label)
                ax.grid(True)
            column[0].set_title(name)
        axes[0, 0].legend()
        figure.tight_layout()


def images_of(name):
    """The training images and some test images of a data set: uint8 (N, 28, 28)."""
    data = load(name)
    train, test = ((255 * part.reshape(-1, 28, 28)).round().astype(np.uint8) for part in (data.train, data.test))
    return train, test[:IMAGES]


def one_a_file(compressor, images):
    """Bits a pixel with a header for each."""
    return float(8 * np.mean([len(compressor.compress(image)) for image in images[:ALONE]]) / images[0].size)


def small(name):
    train, test = images_of(name)
    began = time.process_time()
    compressor = ImageCompressor(**SMALL, name=name).fit(train)
    seconds = time.process_time() - began
    ours = []
    for quality in QUALITIES:
        file = compressor.compress_many(test, quality)
        back = compressor.decompress(file)
        ours.append((8 * len(file) / test.size, psnr(test, back), ssim(test, back)))
    alone = one_a_file(compressor, test)
    across = 25
    sheet = test.reshape(-1, across, 28, 28).transpose(0, 2, 1, 3).reshape(-1, across * 28)

    def apart(y):
        return y.reshape(-1, 28, across, 28).transpose(0, 2, 1, 3).reshape(-1, 28, 28)

    curves, png = peer_curves(sheet, apart, test)
    each = {}
    for peer, settings in PEERS.items():
        settings = {k: v for k, v in settings.items() if k != "qualities"}
        done = [by_pillow(image, 50, **settings) for image in test[:200]]
        each[peer] = [8 * np.mean([size for size, _ in done]) / 784,
                      psnr(test[:200], np.stack([back for _, back in done]))]
    print(name, [tuple(round(v, 3) for v in o) for o in ours], "one a file", round(alone, 2), each, flush=True)
    for row in compared(ours, curves):
        print("   ", {k: v and np.round(v, 3) for k, v in row.items()}, flush=True)
    return {"train_seconds": seconds, "png_bits": png, "qualities": compared(ours, curves),
            "curves": curves, "one_a_file_bits": alone, "peers_one_a_file": each}


def quantised(name, curves):
    """The files of a vector-quantised autoencoder's compressor, and what of them is its integers."""
    train, test = images_of(name)
    began, train = time.process_time(), train[:TRAINED_ON]
    model = VectorQuantisedAutoencoder(**QUANTISED, loss="bce", backend="numpy")
    model.fit(train[:, None].astype(np.float32) / 255)
    compressor = VectorQuantisedCompressor(model, name=name).fit(train)
    seconds = time.process_time() - began
    data = compressor.compress_many(test)
    back, bits = compressor.decompress(data), 8 * len(data) / test.size
    row = {"train_seconds": seconds, "payload_bits": 8 * len(unpack(data).codes) / test.size,
           "one_a_file_bits": one_a_file(compressor, test),
           **compared([(bits, psnr(test, back), ssim(test, back))], curves)[0]}
    print(name, "vector-quantised", row, flush=True)
    return row


def photos():
    compressor = ImageCompressor.pretrained("numpy")
    results = {"checksum": f"{compressor.checksum_:08x}", "qualities": QUALITIES,
               "photos": {name: photo(compressor, name) for name in PHOTOS}, "megapixel_seconds": speed(compressor)}
    print(results["megapixel_seconds"], flush=True)
    curves_picture(results)
    crops(compressor)
    return results


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["photos", "small", "quantised"]
    if "photos" in wanted:
        write("compression", photos())
    if "small" in wanted:
        write("compression_small", {"qualities": QUALITIES, "settings": SMALL, "images": IMAGES,
                                    "sets": {name: small(name) for name in SETS}})
    if "quantised" in wanted:
        others = read("compression_small")["results"]["sets"]
        write("compression_quantised", {"settings": QUANTISED, "trained_on": TRAINED_ON, "images": IMAGES,
                                        "sets": {name: quantised(name, others[name]["curves"]) for name in SETS}})
