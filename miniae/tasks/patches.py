"""Images of any size, patch by patch: `PatchDenoiser`, and what it shares with `TextureInspector`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.data import Windows
from miniae.data.storage import reading, save_tensors
from miniae.models import DenoisingAutoencoder, RecorruptedAutoencoder
from miniae.models.files import contents, model_of
from miniae.training import Estimator, NotFittedError, check_count, check_number, epochs_for
from miniae.training.estimator import check_finite

__all__ = ["PatchDenoiser", "check_image", "check_images", "noise_level", "patches_of", "through_windows"]

_FORMAT = 1

# How much noise is added to noisy images to learn from them, in units of what they have.
_RATIO = 0.5


class PatchDenoiser(Estimator):
    """Takes the noise out of images of any size, with a denoising autoencoder of small patches.

    A patch (channels, size, size) is centred, by the mean of each channel, and divided by the noise's deviation; the
    network learns the clean patch from the noisy one, as E[x | x + noise] is what has the least squared error. An image
    is denoised in windows that overlap, each weighted by a bump, as what the network says of a patch's middle is better
    founded than what it says of its rim.

    `fit` learns from clean images of the kind. Where there are none, `fit_noisy` learns from noisy ones, which may be
    the very images that are to be denoised (see `models.RecorruptedAutoencoder`): better the more of them there are.

    Parameters
    ----------
    level : the deviation of the noise, in units of the images, which go from 0 to 1. None: that of the noisy images as
        `noise_level` estimates it; `fit` needs a number.
    size, step : the height and width of a patch, and the distance from one window to the next in denoising.
    hidden : units of each of the three hidden layers.
    updates : optimizer steps.
    max_patches : how many patches are learned from, at most.
    seed, dtype, backend : as in `Autoencoder`.

    Attributes
    ----------
    level_ : the deviation of the noise it was fitted for.
    model_ : the autoencoder.

    >>> rng = np.random.default_rng(0)
    >>> clean = np.sin(np.arange(96) / 5)[:, None] * np.ones(64) / 4 + 0.5
    >>> noisy = clean + 0.1 * rng.standard_normal(clean.shape)
    >>> denoised = PatchDenoiser(0.1, updates=200).fit_noisy(noisy).denoise(noisy)
    >>> bool(np.square(denoised - clean).mean() < np.square(noisy - clean).mean() / 4)
    True

    Burger, Schuler and Harmeling, "Image denoising: can plain neural networks compete with BM3D?", CVPR 2012.
    """

    def __init__(self, level: float | None = None, *, size: int = 12, step: int = 3, hidden: int = 256,
                 updates: int = 2000, max_patches: int = 1 << 16, seed: int = 0, dtype: str = "float32",
                 backend: str | Backend | None = None):
        self.level, self.size, self.step, self.hidden, self.updates = level, size, step, hidden, updates
        self.max_patches, self.seed, self.dtype, self.backend = max_patches, seed, dtype, backend

    def check_parameters(self) -> None:
        """Raise `ValueError` or `TypeError` for parameters that can't be, as fitting does: before images are read."""
        for name in ("size", "step", "hidden", "updates", "max_patches"):
            check_count(name, getattr(self, name))
        check_count("seed", self.seed, least=0)
        if self.step > self.size:
            raise ValueError(f"step is {self.step}, expected at most the size of a patch, {self.size}")
        if self.level is not None and _check_level(self.level) > 1:
            raise ValueError("level is the noise's deviation where black is 0 and white 1, expected at most 1, got "
                             f"{self.level:g}")

    def fit(self, images: Any) -> PatchDenoiser:
        """Learn from clean images: one or a list of them, (height, width) or (3, height, width), in [0, 1]."""
        if self.level is None:
            raise ValueError("level is None, but clean images do not say what noise is to be expected: give its "
                             "deviation, 0.1 say")
        return self._fit(check_images(images), self.level, DenoisingAutoencoder, level=1.0)

    def fit_noisy(self, images: Any) -> PatchDenoiser:
        """Learn from noisy images: one or a list of them, as for `fit`; values outside of [0, 1] are fine.

        Their noise must be normal, of one deviation, and not be cut off at 0 and 1 for a large part.
        """
        images = check_images(images)
        deviation = float(np.mean([noise_level(image) for image in images])) if self.level is None else self.level
        return self._fit(images, deviation, RecorruptedAutoencoder, level=_RATIO, ratio=_RATIO)

    def _fit(self, images: list[np.ndarray], deviation: float, kind: type[DenoisingAutoencoder],
             **noise: Any) -> PatchDenoiser:
        with self._unless_refused():
            self.check_parameters()
            self.level_, self.channels_ = float(_check_level(deviation)), len(images[0])
            rows = self._centred(patches_of(images, self.size, self.max_patches, self.seed))[0]
            batch = 256
            self.model_ = kind([self.hidden], self.hidden, activation="relu", code_activation="relu", init="he_normal",
                               batch_size=batch, epochs=epochs_for(self.updates, len(rows), batch), seed=self.seed,
                               dtype=self.dtype, backend=self.backend, **noise).fit(rows)
        return self

    def denoise(self, image: Any) -> np.ndarray:
        """An image (height, width) or (3, height, width) without its noise: the same shape, values in [0, 1]."""
        planes = check_image(image, self._fitted().channels_)

        def answer(patches: np.ndarray) -> np.ndarray:
            rows, means = self._centred(patches)
            return self.model_.denoise(rows).reshape(patches.shape) * self.level_ + means

        clean = through_windows(planes, self.size, self.step, answer, self.size // 2)
        return np.clip(clean, 0.0, 1.0).astype(self.dtype).reshape(np.shape(image))

    def _centred(self, patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Patches as the network's rows, and the means that were taken from them."""
        means = patches.mean(axis=(2, 3), keepdims=True)
        return ((patches - means) / self.level_).reshape(len(patches), -1).astype(self.dtype), means

    def _fitted(self) -> PatchDenoiser:
        if not hasattr(self, "model_"):
            raise NotFittedError("this PatchDenoiser is not fitted yet: call fit or fit_noisy first, or load one")
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that `load` needs to one safetensors file, with a checksum."""
        tensors, model = contents(self._fitted().model_)
        params = {name: value for name, value in self.get_params().items() if name != "backend"}
        save_tensors(path, tensors, {"format": _FORMAT, "kind": "denoiser", "params": params, "model": model,
                                     "level": self.level_, "channels": self.channels_})

    @classmethod
    def load(cls, path: str | os.PathLike[str], backend: str | Backend | None = None) -> PatchDenoiser:
        """The denoiser in a file that `save` wrote, which gives the same answers. Raises `StorageError` for files that
        are missing, damaged (by their checksum), of another kind or of a later format."""
        expected = "a denoiser of images: fit one by miniae restore --fit, or PatchDenoiser.save"
        with reading(path, "denoiser", _FORMAT, expected) as (tensors, header):
            denoiser = cls(**header["params"], backend=backend)
            denoiser.level_, denoiser.channels_ = header["level"], header["channels"]
            denoiser.model_ = model_of(tensors, header["model"], path, backend)
        return denoiser


def _check_level(deviation: float) -> float:
    if not check_number("level", deviation):
        raise ValueError("the noise's level is 0: there is nothing to take out")
    return deviation


def noise_level(image: Any) -> float:
    """The deviation of white normal noise in an image, (height, width) or (3, height, width), from its finest details.

    d = (a - b - c + d) / 2 over the squares [[a, b], [c, d]] has the noise's own deviation where the image is smooth;
    the median of |d| / 0.6745 hardly minds the edges, but takes a fine texture for noise. At least 2 x 2 pixels.
    Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81, 1994.
    """
    x = check_image(image)
    if min(x.shape[1:]) < 2:
        raise ValueError(f"an image of {x.shape[1]} x {x.shape[2]} pixels does not tell its noise: give its level")
    details = x[:, :-1, :-1] - x[:, 1:, :-1] - x[:, :-1, 1:] + x[:, 1:, 1:]
    return float(np.median(np.abs(details)) / 2 / 0.6745)


def check_image(image: Any, channels: int | None = None) -> np.ndarray:
    """An image (height, width), or (1 or 3, height, width), as (channels, height, width) of floats.

    Raises `ValueError` for what is no image, is not finite, has other `channels` than are expected, or pixels from 0 to
    255. These are told by their mean, which noise hardly changes.
    """
    planes = np.asarray(image)
    if planes.dtype.kind not in "fiub" or planes.ndim not in (2, 3) or not planes.size or (
            planes.ndim == 3 and len(planes) not in (1, 3)):
        raise ValueError(f"an image is an array (height, width) or (3, height, width) of numbers, got {planes.dtype} "
                         f"of shape {planes.shape}" + (": put the channels first, image.transpose(2, 0, 1)"
                                                       if planes.ndim == 3 and planes.shape[-1] in (1, 3) else ""))
    check_finite("the image", planes)
    planes = planes.astype(np.result_type(planes.dtype, np.float32)).reshape(-1, *planes.shape[-2:])
    mean = planes.mean(dtype=np.float64)
    if not -1 <= mean <= 2:
        raise ValueError(f"an image goes from 0 (black) to 1 (white), this one's mean is {mean:.4g}: divide it by 255, "
                         "or by what white is in it")
    if channels is not None and len(planes) != channels:
        raise ValueError(f"the image has {len(planes)} channel{'s' * (len(planes) > 1)}, what was fitted had "
                         f"{channels}: give images of one kind, grey or colour")
    return planes


def check_images(images: Any) -> list[np.ndarray]:
    """One image, or a list of at least one, each as `check_image` has it, all with as many channels."""
    several = list(images) if isinstance(images, (list, tuple)) else [images]
    if not several:
        raise ValueError("there are no images: give at least one")
    first = check_image(several[0])
    return [first, *(check_image(image, len(first)) for image in several[1:])]


def patches_of(images: Sequence[np.ndarray], size: int, count: int, seed: int) -> np.ndarray:
    """At most so many patches (n, channels, size, size), all equally likely; small images are mirrored at their rims.
    """
    padded = [_mirrored(image, max(0, size - min(image.shape[1:]))) for image in images]
    windows = [Windows(image.shape[1:], size) for image in padded]
    ends = np.cumsum([len(w) for w in windows])
    rng = np.random.default_rng(check_count("seed", seed, least=0))
    chosen = np.sort(rng.choice(ends[-1], min(count, ends[-1]), replace=False, shuffle=False))
    parts = []
    for image, w, end in zip(padded, windows, ends, strict=True):
        rows, columns = w.corners[chosen[(chosen >= end - len(w)) & (chosen < end)] - (end - len(w))].T
        views = np.lib.stride_tricks.sliding_window_view(image, (size, size), (1, 2))
        parts.append(views[:, rows, columns].swapaxes(0, 1))
    return np.concatenate(parts)


def through_windows(image: np.ndarray, size: int, step: int, answer: Callable[[np.ndarray], np.ndarray],
                    rim: int = 0) -> np.ndarray:
    """What `answer` makes of each window (n, channels, size, size), laid together: the shape of the image, (channels,
    height, width).

    Before that the image is mirrored at its rims, by `rim` pixels, or more where it is smaller than a window. With
    size // 2, its corners are in as many windows as the rest; with 0, no window shows what is not there.
    """
    rim = max(rim, math.ceil((size - min(image.shape[1:])) / 2))
    padded = _mirrored(image, rim)
    bump = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    windows = Windows(padded.shape[1:], size, step)
    whole = windows.overlay((answer(block) for block in windows.blocks(padded)), np.outer(bump, bump))
    return whole[:, rim:rim + image.shape[1], rim:rim + image.shape[2]]


def _mirrored(image: np.ndarray, rim: int) -> np.ndarray:
    return np.pad(image, ((0, 0), (rim, rim), (rim, rim)), mode="symmetric")
