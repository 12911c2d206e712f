"""Denoising a scan of which there is no clean version: scikit-image's micrograph of a cell where that is installed,
else round cells that are drawn.

    python examples/denoise_scan.py [--quick]

The noise's level is estimated from the noisy image, which is all that the denoiser learns from.
"""

import sys
from pathlib import Path

import numpy as np

from miniae import PatchDenoiser
from miniae.report import psnr, reconstructions, ssim

quick = "--quick" in sys.argv
rng = np.random.default_rng(0)
try:
    if quick:
        raise ImportError("the quick form draws its own")
    from skimage.data import cell

    name, clean = "cell", (cell()[150:470, 150:470] / 255).astype(np.float32)
except ImportError:
    name, n = "drawn cells", 160
    rows, columns = np.indices((n, n))
    clean = np.full((n, n), 0.25, np.float32)
    for r, c, radius in rng.uniform([0, 0, 6], [n, n, 18], (30, 3)):
        clean += 0.3 / (1 + np.exp(2 * (np.hypot(rows - r, columns - c) - radius))) * (clean < 0.4)
    clean = np.clip(clean, 0, 1).astype(np.float32)

noisy = (clean + 0.1 * rng.standard_normal(clean.shape)).astype(np.float32)
denoiser = PatchDenoiser(updates=600 if quick else 2000, hidden=128 if quick else 256).fit_noisy(noisy)
denoised = denoiser.denoise(noisy)
print(f"{name}: the noise has a deviation of 0.1, estimated as {denoiser.level_:.3f}")
for what, image in (("noisy", noisy), ("denoised", denoised)):
    print(f"{what}: PSNR {psnr(clean[None], image[None]):.2f} dB, SSIM {ssim(clean[None], image[None]):.3f}")

folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
reconstructions(folder / "denoise_scan.png", clean[None], {"noisy": np.clip(noisy, 0, 1)[None],
                                                           "denoised": denoised[None]}, title=name)
print(f"drawn to {folder}/denoise_scan.png")
