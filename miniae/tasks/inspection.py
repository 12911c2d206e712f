"""Finding defects in images of materials: `TextureInspector`."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from miniae.backend import Backend
from miniae.data import Windows
from miniae.data.storage import reading, save_tensors, under
from miniae.models import DenoisingAutoencoder
from miniae.models.files import contents, model_of
from miniae.tasks.detection import check_share
from miniae.tasks.patches import check_image, check_images, patches_of, through_windows
from miniae.training import Estimator, NotFittedError, check_count, check_number, epochs_for

__all__ = ["Finding", "TextureInspector"]

_FORMAT = 1

# How many pixels are looked at for what is usual.
_PIXELS = 1 << 16


class Finding(NamedTuple):
    """What an image has of a defect: the largest value of its heat map, where that is, and how many pixels are above
    the threshold."""

    score: float
    row: int
    column: int
    area: int


class TextureInspector(Estimator):
    """Learns what a material looks like from images without defects, and says of every pixel how unusual it is.

    At each of several scales a denoising autoencoder learns the patches of the clean images, and an image's error
    e = x - f(x) is, by Tweedie's formula, the slope of the log-density there (see `AnomalyDetector`): it is large where
    a patch is not as the others. But it is *small* where the material is smoother than it should be, and a stain
    need not change the error at all. So the inspector looks at three local means in a bump of the deviation `radius`,
    and at how they go together:

        v(p) = (log mean e^2, log mean (x - mean x)^2, mean x)  for each scale (and colour, the last),
        heat(p) = (v(p) - m)^T C^-1 (v(p) - m) / dim v

    with the mean m and the covariance C of v over the pixels of the clean images. It is 1 on average there, and large
    values are defects, whether too much or too little is to be seen. Images may be of any size, all of the same
    resolution.

    Parameters
    ----------
    size, step : the height and width of a patch, and the distance from one window to the next.
    scales : how often the image's pixels are put together, 2 by 2, before: 0 for the image itself, 1 for half of its
        height and width, ...
    noise : the deviation of the noise that a network learns to undo, in units of the clean images' own deviation.
    radius : the deviation of the bump of the local means, in pixels of each scale.
    hidden, updates, max_patches : units of each of a network's three hidden layers, optimizer steps, and how many
        patches are learned from, at most.
    false_alarms : the share of the windows of the clean images, of `size` by `size`, in which the threshold is passed.
    seed, dtype, backend : as in `Autoencoder`.

    Attributes
    ----------
    threshold_ : the heat from which on a pixel is part of a defect.
    models_ : the autoencoders, one a scale.

    >>> rng = np.random.default_rng(0)
    >>> cloth = 0.5 + 0.2 * np.sin(np.arange(96) / 2)[:, None] * np.sin(np.arange(96) / 2)
    >>> inspector = TextureInspector(updates=100).fit(cloth + 0.02 * rng.standard_normal(cloth.shape))
    >>> torn = cloth + 0.02 * rng.standard_normal(cloth.shape)
    >>> torn[40:44, 20:60] = 0.5
    >>> finding = inspector.inspect(torn)
    >>> finding.score > inspector.threshold_, 38 <= finding.row <= 45
    (True, True)
    """

    def __init__(self, *, size: int = 12, step: int = 4, scales: Sequence[int] = (0, 1), noise: float = 0.5,
                 radius: float = 2.5, hidden: int = 128, updates: int = 600, max_patches: int = 1 << 15,
                 false_alarms: float = 0.001, seed: int = 0, dtype: str = "float32",
                 backend: str | Backend | None = None):
        self.size, self.step, self.scales, self.noise, self.radius = size, step, scales, noise, radius
        self.hidden, self.updates, self.max_patches, self.false_alarms = hidden, updates, max_patches, false_alarms
        self.seed, self.dtype, self.backend = seed, dtype, backend

    # ---------------------------------------------------------------- training

    def fit(self, images: Any) -> TextureInspector:
        """Learn from images without defects: one or a list of them, (height, width) or (3, height, width), in [0, 1].
        """
        images = check_images(images)
        with self._unless_refused():
            self._check_parameters()
            self.channels_ = len(images[0])
            pixels = np.concatenate([image.reshape(self.channels_, -1) for image in images], axis=1, dtype=np.float64)
            self.mean_, self.scale_ = pixels.mean(axis=1)[:, None, None], float(pixels.std(axis=1).mean()) or 1.0
            self.models_ = [self._fit_scale([_halved(self._scaled(image), scale) for image in images])
                            for scale in self.scales]
            features = [self._features(image) for image in images]
            rows = np.concatenate([f.reshape(len(f), -1) for f in features], axis=1)
            if rows.shape[1] <= len(rows):
                raise ValueError(f"images of {rows.shape[1]} pixels altogether do not say what is usual: give larger "
                                 "ones, or more of them")
            rows = rows[:, ::max(rows.shape[1] // _PIXELS, 1)]
            self.middle_ = rows.mean(axis=1)
            spread, axes = np.linalg.eigh(np.cov(rows))
            spread = np.maximum(spread, 1e-4 * spread.max() or 1.0)  # no combination of them is taken for certain
            self.whitening_ = axes / np.sqrt(spread * len(spread))
            self._cut([self._heat(f) for f in features], self.false_alarms)
        return self

    def _fit_scale(self, images: list[np.ndarray]) -> DenoisingAutoencoder:
        rows = patches_of(images, self.size, self.max_patches, self.seed)
        batch = 128
        epochs = epochs_for(self.updates, len(rows), batch)
        model = DenoisingAutoencoder([self.hidden], self.hidden, activation="tanh", code_activation="tanh",
                                     level=float(self.noise), lr=3e-3, batch_size=batch, epochs=epochs, seed=self.seed,
                                     dtype=self.dtype, backend=self.backend)
        return model.fit(rows.reshape(len(rows), -1).astype(self.dtype))

    def calibrate(self, images: Any, false_alarms: float = 0.001) -> TextureInspector:
        """Set the threshold so that it is passed in the share `false_alarms` of the windows of these images without
        defects, best of all ones that were not fitted."""
        check_share("false_alarms", false_alarms, "windows")
        self._fitted()
        images = [check_image(image, self.channels_) for image in check_images(images)]
        self._cut([self._heat(self._features(image)) for image in images], false_alarms)
        return self

    def _cut(self, heats: list[np.ndarray], share: float) -> None:
        most = []
        for heat in heats:
            size = tuple(min(self.size, n) for n in heat.shape)
            most.append(Windows(heat.shape, size, size).cut(heat).max(axis=(1, 2)))
        self.threshold_ = float(np.quantile(np.concatenate(most), 1.0 - share))

    def _check_parameters(self) -> None:
        for name in ("size", "step", "hidden", "updates", "max_patches"):
            check_count(name, getattr(self, name))
        if self.step > self.size:
            raise ValueError(f"step is {self.step}, expected at most the size of a patch, {self.size}")
        if not len(self.scales):
            raise ValueError("scales is empty, expected at least one: (0,) for the image itself")
        for scale in self.scales:
            check_count("every scale", scale, least=0)
        check_share("false_alarms", self.false_alarms, "windows")
        for name in ("noise", "radius"):
            if not check_number(name, getattr(self, name)):
                raise ValueError(f"{name} is 0, expected a positive number")

    # ---------------------------------------------------------------- use

    def heat_map(self, image: Any) -> np.ndarray:
        """How unusual each pixel of an image is: (height, width) or (3, height, width) to (height, width), float64.

        It is 1 on average over the clean images, and larger where something is odd.
        """
        return self._heat(self._features(check_image(image, self._fitted().channels_)))

    def mask(self, image: Any) -> np.ndarray:
        """The pixels that are part of a defect: (height, width), bool."""
        return self.heat_map(image) > self.threshold_

    def inspect(self, image: Any) -> Finding:
        """The oddest place of an image, and the area of its defects."""
        return self.finding(self.heat_map(image))

    def finding(self, heat: np.ndarray) -> Finding:
        """The same of a heat map that was computed before."""
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        return Finding(float(heat.max()), int(row), int(column), int((heat > self._fitted().threshold_).sum()))

    def predict(self, images: Sequence[Any]) -> np.ndarray:
        """-1 for images with a defect and 1 for others, (N,): a list of images."""
        return np.array([-1 if self.inspect(image).area else 1 for image in images])

    def _scaled(self, image: np.ndarray) -> np.ndarray:
        return (image - self.mean_) / self.scale_

    def _features(self, image: np.ndarray) -> np.ndarray:
        """v: (3 or 5 for each scale, height, width), the coarser scales' interpolated."""
        whole, maps = self._scaled(image), []
        for scale, model in zip(self.scales, self.models_, strict=True):
            x = _halved(whole, scale)
            error = x - through_windows(x, self.size, self.step, functools.partial(_reconstructed, model))
            light = _local_mean(x, self.radius)
            local = np.stack([_local_mean(np.square(a).mean(axis=0), self.radius) for a in (error, x - light)])
            maps += [_enlarged(a, whole.shape[1:]) for a in (*np.log(local + 1e-4), *light)]
        return np.stack(maps)

    def _heat(self, features: np.ndarray) -> np.ndarray:
        centred = features.reshape(len(features), -1) - self.middle_[:, None]
        return np.square(self.whitening_.T @ centred).sum(axis=0).reshape(features.shape[1:])

    def _fitted(self) -> TextureInspector:
        if not hasattr(self, "threshold_"):
            raise NotFittedError("this TextureInspector is not fitted yet: call fit first, or load one")
        return self

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that `load` needs to one safetensors file, with a checksum."""
        self._fitted()
        tensors, models = {"mean": self.mean_, "middle": self.middle_, "whitening": self.whitening_}, []
        for i, model in enumerate(self.models_):
            own, header = contents(model)
            tensors |= {f"model.{i}.{name}": a for name, a in own.items()}
            models.append(header)
        params = {name: value for name, value in self.get_params().items() if name != "backend"}
        save_tensors(path, tensors, {"format": _FORMAT, "kind": "inspector", "models": models,
                                     "params": {**params, "scales": list(map(int, self.scales))},
                                     "channels": self.channels_, "scale": self.scale_, "threshold": self.threshold_})

    @classmethod
    def load(cls, path: str | os.PathLike[str], backend: str | Backend | None = None) -> TextureInspector:
        """The inspector in a file that `save` wrote, which gives the same answers. Raises `StorageError` for files that
        are missing, damaged (by their checksum), of another kind or of a later format."""
        with reading(path, "inspector", _FORMAT,
                     "an inspector: fit one by miniae inspect --fit, or TextureInspector.save") as (tensors, header):
            inspector = cls(**header["params"], backend=backend)
            inspector.channels_, inspector.scale_ = header["channels"], header["scale"]
            inspector.mean_, inspector.middle_ = tensors["mean"], tensors["middle"]
            inspector.whitening_, inspector.threshold_ = tensors["whitening"], header["threshold"]
            inspector.models_ = [model_of(under(f"model.{i}.", tensors), model, path, backend)
                                 for i, model in enumerate(header["models"])]
        return inspector


def _reconstructed(model: DenoisingAutoencoder, patches: np.ndarray) -> np.ndarray:
    return model.reconstruct(patches.reshape(len(patches), -1)).reshape(patches.shape)


def _halved(image: np.ndarray, times: int) -> np.ndarray:
    """Means of 2 by 2 pixels, so many times over: (channels, height, width) to half of each, rounded up."""
    for _ in range(times):
        image = np.pad(image, ((0, 0), (0, image.shape[1] % 2), (0, image.shape[2] % 2)), mode="edge")
        image = (image[:, ::2, ::2] + image[:, 1::2, ::2] + image[:, ::2, 1::2] + image[:, 1::2, 1::2]) / 4
    return image


def _enlarged(plane: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A plane on a finer grid of this shape, linearly between the middles of its pixels, along one axis after the
    other."""
    for axis, n in enumerate(shape):
        old = plane.shape[axis]
        if old == n:
            continue
        factor = 2 ** round(math.log2(n / old)) if old > 1 else n
        at = np.clip((np.arange(n) + 0.5) / factor - 0.5, 0, old - 1)
        low = np.minimum(at.astype(int), max(old - 2, 0))
        part = np.expand_dims(at - low, 1 - axis)
        plane = plane.take(low, axis) * (1 - part) + plane.take(np.minimum(low + 1, old - 1), axis) * part
    return plane


def _local_mean(planes: np.ndarray, radius: float) -> np.ndarray:
    """Means weighted by a normal bump of this deviation, over the last two axes, mirrored at the rims."""
    reach = max(math.ceil(3 * radius), 1)
    bump = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / radius))
    bump /= bump.sum()
    for axis in (-2, -1):
        rims = [(0, 0)] * planes.ndim
        rims[axis] = (reach, reach)
        padded, n = np.pad(planes, rims, mode="symmetric"), planes.shape[axis]
        planes = sum(weight * padded.take(range(i, i + n), axis) for i, weight in enumerate(bump))
    return planes
