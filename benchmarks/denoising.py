"""Denoising autoencoders on MNIST and Fashion-MNIST against a median and a Wiener filter, by PSNR on the test images.

    python benchmarks/denoising.py              writes benchmarks/results/denoising.json and pictures
    python benchmarks/denoising.py --quick      few images and one epoch, to see it work; writes no result file

A dense and a convolutional autoencoder are trained on clean images with noise drawn anew for every batch: Gaussian of
standard deviation 0.3 and 0.5, and half of the pixels set to 0. The test images are disturbed once, with seed 1, and
not clipped. A few choices of layers, learning rate and batch size were compared by PSNR on held-out training images of
MNIST at 0.5; epochs are what some minutes allow, the loss still falling. The filters are SciPy's; for each noise and
data set the size of their window is the one that is best on held-out training images, and the Wiener filter is told the
noise's power. What they give is clipped to [0, 1], as the output of the autoencoders lies there. In the pictures, and
the errors that they state, the noisy images are clipped too.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from results import FOLDER, write
from scipy import signal
from scipy.ndimage import median_filter

from miniae.data import load
from miniae.models import DenoisingAutoencoder
from miniae.nn import Conv2D, ConvTranspose2D, Sequential
from miniae.optim.schedules import cosine
from miniae.report import psnr, reconstructions, ssim
from miniae.training import LearningRate, ProgressBar

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="2,000 images, one epoch")
parser.add_argument("--out", default=None, help="where pictures go with --quick (default: runs/denoising-quick)")
args = parser.parse_args()
IMAGES = 2000 if args.quick else 20000
DENSE_EPOCHS, CONV_EPOCHS = (1, 1) if args.quick else (6, 3)
HELD_OUT, SEED = 1000, 1
NOISES = {"gaussian_0.3": ("gaussian", 0.3), "gaussian_0.5": ("gaussian", 0.5), "masking_0.5": ("masking", 0.5)}
WINDOWS = (3, 5, 7)
folder = Path(args.out or "runs/denoising-quick") if args.quick else FOLDER
folder.mkdir(parents=True, exist_ok=True)


def median(noisy, size):
    return np.stack([median_filter(image, size) for image in noisy])


def wiener(noisy, size, power):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where the variance is 0 the mean is taken
        return np.stack([signal.wiener(image.astype(np.float64), size, power) for image in noisy])


def filtered(method, clean, noisy, test, *settings):
    """The test images filtered, with the window that is best on held-out images; and that window."""
    def run(images, size):
        return np.clip(method(images.reshape(-1, 28, 28), size, *settings), 0, 1).reshape(len(images), -1)

    best = max(WINDOWS, key=lambda size: psnr(clean, run(noisy, size)))
    return run(test, best), best


def dense():
    return {"hidden": [], "code": 1000, "code_activation": "relu", "epochs": DENSE_EPOCHS, "lr": 2e-3}


def convolutional():
    """1x28x28 to 32x7x7 in two strides of 2, and back."""
    down = [Conv2D(16, 5, 2, padding="same", activation="relu"), Conv2D(32, 3, 2, padding="same", activation="relu")]
    up = [ConvTranspose2D(16, 3, 2, padding="same", activation="relu"), ConvTranspose2D(1, 5, 2, padding="same")]
    return {"encoder": Sequential(down), "decoder": Sequential(up), "epochs": CONV_EPOCHS, "batch_size": 64, "lr": 3e-3}


results = {"images": IMAGES, "dense_epochs": DENSE_EPOCHS, "conv_epochs": CONV_EPOCHS, "noise_seed": SEED}
for data_name in ("mnist", "fashion-mnist"):
    data = load(data_name)
    train, held_out, test = data.train[:IMAGES], data.train[-HELD_OUT:], data.test
    for noise_name, (noise, level) in NOISES.items():
        key, rows = f"{data_name}_{noise_name}", {}
        for name, settings, shape in (("dense", dense(), (784,)), ("convolutional", convolutional(), (1, 28, 28))):
            began = time.perf_counter()
            model = DenoisingAutoencoder(noise=noise, level=level, loss="bce", **settings)
            model.fit(train.reshape(-1, *shape), callbacks=[LearningRate(cosine(model.epochs)),
                                                            ProgressBar(f"{key}, {name}")])
            results[f"{key}_{name}_seconds"] = time.perf_counter() - began
            noisy = model.corrupt(test.reshape(-1, *shape), seed=SEED)
            rows[name] = model.denoise(noisy).reshape(len(test), -1)
        noisy = noisy.reshape(len(test), -1)
        disturbed = model.corrupt(held_out.reshape(-1, *shape), seed=SEED + 1).reshape(HELD_OUT, -1)
        # For masking, the mean squared change of a pixel stands for the noise's power.
        power = float(np.square(disturbed - held_out).mean())
        for name, method, extra in (("median", median, ()), ("wiener", wiener, (power,))):
            rows[name], results[f"{key}_{name}_window"] = filtered(method, held_out, disturbed, noisy, *extra)
        rows = {"noisy": noisy, **{name: rows[name] for name in ("median", "wiener", "dense", "convolutional")}}
        for name, images in rows.items():
            results[f"{key}_{name}"] = psnr(test, images)
            results[f"{key}_{name}_ssim"] = ssim(test, images, (28, 28))
            print(f"{key:30s} {name:14s} {results[f'{key}_{name}']:6.2f} dB, "
                  f"SSIM {results[f'{key}_{name}_ssim']:.3f}", flush=True)
        if noise_name != "gaussian_0.3":
            shown = {name: np.clip(images, 0, 1) for name, images in rows.items()}
            reconstructions(folder / f"denoising_{key}.png", test, shown, data.image_shape,
                            title=f"{data_name}: test images, {noise} {level}, and what is made of them")
if not args.quick:
    write("denoising", results)
