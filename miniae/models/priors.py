"""The distributions that codes can be made to follow."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from miniae.backend import Backend
from miniae.backend.philox import Generator
from miniae.training import check_count, check_number

__all__ = ["PRIORS", "Gaussian", "GaussianMixture", "Prior", "SwissRoll", "get_prior"]

PRIORS: dict[str, type[Prior]] = {}
"""The priors by name. Add your own: a subclass of `Prior` with a `name`."""


class Prior:
    """A distribution p(z) of codes z.

    A subclass says its `name` and, where it is made of `parts` that labels can stand for, how many there are; it makes
    standard normal numbers into its own in `shape`, and keeps its constructor's arguments under their names.
    """

    name: ClassVar[str]
    parts: int = 0
    least: ClassVar[int] = 1
    """How many numbers a code must have at least."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        PRIORS[cls.name] = cls

    def draw(self, n: int, size: int, source: Generator | int = 0, labels: Any = None, dtype: str = "float32",
             backend: str | Backend | None = None) -> Any:
        """`n` codes (n, size), an array of the backend.

        `source` is where random numbers come from: a generator, or the seed of a new one on `backend`. `labels` (n,)
        are integers from 0: a code with label k is drawn from part k, one with label -1 from the whole prior. Raises
        `ValueError` for sizes and labels that this prior does not have.
        """
        self.check_size(size)
        generator = source if isinstance(source, Generator) else Generator(source, "prior", backend)
        if labels is not None and not generator.backend.is_array(labels):
            labels = generator.backend.asarray(self._checked(labels, n), "int64")
        z = generator.normal((n, size), dtype)
        self.shape(z, generator, labels)
        return z

    def shape(self, z: Any, generator: Generator, labels: Any) -> None:
        """Turn standard normal numbers z (n, size) into draws, in place. `labels` is None or on the device."""

    def mean_square(self, size: int) -> float:
        """E |z|^2 of a code of this size."""
        raise NotImplementedError(f"{type(self).__name__} has no mean_square")

    def mean(self, size: int) -> np.ndarray:
        """E z of a code of this size: (size,). It is 0 unless a subclass says otherwise."""
        return np.zeros(size)

    def mean_squared_distance(self, size: int) -> float:
        """E |z - z'|^2 = 2 (E |z|^2 - |E z|^2) of two independent codes of this size."""
        return 2.0 * (self.mean_square(size) - float(np.square(self.mean(size)).sum()))

    def check_size(self, size: int) -> None:
        """Raise `ValueError` when there is no such prior of codes of this size."""
        if size < self.least:
            raise ValueError(f"a {self.name} prior is of codes of {self.least} numbers or more, got code={size}")

    def config(self) -> dict[str, Any]:
        """The prior as JSON: its name and its constructor's arguments."""
        return {"name": self.name, **vars(self)}

    def _checked(self, labels: Any, n: int) -> np.ndarray:
        array = np.asarray(labels)
        if array.shape != (n,) or array.dtype.kind not in "iu":
            raise ValueError(f"labels are {array.dtype} of shape {array.shape}, expected one integer for each of the "
                             f"{n} codes")
        if n and not -1 <= array.min() <= array.max() < self.parts:
            raise ValueError(f"labels range from {array.min()} to {array.max()}, but this {self.name} prior has "
                             f"{self.parts} parts: expected 0 to {self.parts - 1}, or -1 for the whole prior")
        return array

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prior) and self.config() == other.config()

    __hash__ = None  # type: ignore[assignment]


class Gaussian(Prior):
    """z ~ N(0, I). Labels have no part of it."""

    name = "gaussian"

    def mean_square(self, size: int) -> float:
        return float(size)


class GaussianMixture(Prior):
    """Equally probable narrow Gaussians on a ring, the petals of a flower, in the first two numbers of the code:

        z = (d + r e1) (cos a, sin a) + t e2 (-sin a, cos a),   a = 2 pi k / components,  e standard normal,

    for component k, with `distance` d from the centre and standard deviations `radial` r and `tangential` t. Further
    numbers of a longer code are standard normal, whatever the component. Part k is component k. Makhzani et al.,
    "Adversarial autoencoders", 2015, figure 4.
    """

    name = "mixture"
    least = 2

    def __init__(self, components: int = 10, distance: float = 2.0, radial: float = 0.5, tangential: float = 0.15):
        self.components = check_count("components", components)
        self.distance = check_number("distance", distance)
        self.radial, self.tangential = check_number("radial", radial), check_number("tangential", tangential)

    @property
    def parts(self) -> int:  # type: ignore[override]
        return self.components

    def shape(self, z: Any, generator: Generator, labels: Any) -> None:
        be, xp = generator.backend, generator.backend.xp
        angle = generator.uniform((len(z),), z.dtype)
        be.multiply(angle, self.components, out=angle)
        xp.floor(angle, out=angle)
        xp.minimum(angle, self.components - 1, out=angle)  # where rounding made the product too large
        _choose(be, labels, angle, lambda label: label)
        be.multiply(angle, 2.0 * math.pi / self.components, out=angle)
        cos, sin = be.elementwise(xp.cos, angle), be.elementwise(xp.sin, angle)
        along, across = z[:, 0], z[:, 1]
        be.multiply(along, self.radial, out=along)
        be.add(along, self.distance, out=along)
        be.multiply(across, self.tangential, out=across)
        x = be.subtract(be.multiply(along, cos), be.multiply(across, sin))
        y = be.add(be.multiply(along, sin), be.multiply(across, cos))
        be.copy(x, out=along)
        be.copy(y, out=across)

    def mean_square(self, size: int) -> float:
        return self.distance**2 + self.radial**2 + self.tangential**2 + size - 2

    def mean(self, size: int) -> np.ndarray:
        centre = np.zeros(size)
        centre[0] = self.distance if self.components == 1 else 0.0
        return centre


class SwissRoll(Prior):
    """A spiral in the first two numbers of the code, with some width:

        z = s (cos 2 pi turns s, sin 2 pi turns s) radius + std e,   s = sqrt(u),  u uniform in [0, 1), e standard
        normal,

    so that draws are about equally dense along it. Further numbers of a longer code are standard normal. Part k of
    `positions` is the stretch with k <= positions u < k + 1, from the inner end to the outer. Makhzani et al.,
    "Adversarial autoencoders", 2015, figure 4.
    """

    name = "swiss_roll"
    least = 2

    def __init__(self, positions: int = 10, turns: float = 2.0, radius: float = 3.0, std: float = 0.1):
        self.positions = check_count("positions", positions)
        self.turns, self.radius = check_number("turns", turns), check_number("radius", radius)
        self.std = check_number("std", std)

    @property
    def parts(self) -> int:  # type: ignore[override]
        return self.positions

    def shape(self, z: Any, generator: Generator, labels: Any) -> None:
        be, xp = generator.backend, generator.backend.xp
        s = generator.uniform((len(z),), z.dtype)
        within = be.copy(s)
        _choose(be, labels, s, lambda label: be.divide(be.add(label, within, out=label), self.positions, out=label))
        xp.sqrt(s, out=s)
        angle = be.multiply(s, 2.0 * math.pi * self.turns)
        be.multiply(s, self.radius, out=s)
        for number, wave in enumerate((xp.cos, xp.sin)):
            column = z[:, number]
            be.multiply(column, self.std, out=column)
            be.add(column, be.multiply(be.elementwise(wave, angle), s), out=column)

    def mean_square(self, size: int) -> float:
        return self.radius**2 / 2 + 2 * self.std**2 + size - 2

    def mean(self, size: int) -> np.ndarray:
        s = np.sqrt((np.arange(10_000) + 0.5) / 10_000)  # by the midpoint rule in u
        centre, angle = np.zeros(size), 2.0 * math.pi * self.turns * s
        centre[:2] = self.radius * np.mean(s * np.stack([np.cos(angle), np.sin(angle)]), axis=1)
        return centre


def _choose(be: Backend, labels: Any, value: Any, of_label: Any) -> None:
    """value = of_label(label) where there is a label, in place: with a mask, as the device can't branch."""
    if labels is None:
        return
    label, known = be.empty_like(value), be.empty_like(value)
    be.xp.copyto(label, labels)
    be.xp.greater_equal(label, 0, out=known)
    change = be.subtract(of_label(label), value)
    be.add(value, be.multiply(change, known, out=change), out=value)


def check_parts(prior: Prior, classes: int) -> None:
    """Raise `ValueError` unless a prior has a part for each of so many different labels."""
    if classes != prior.parts:
        raise ValueError(f"there are {classes} different labels, and the {prior.name} prior has {prior.parts} parts "
                         "for them: choose one with a part for each label, "
                         f'prior={{"name": "mixture", "components": {classes}}} say, or leave the labels out')


def get_prior(prior: str | dict[str, Any] | Prior) -> Prior:
    """The prior of that name, with its usual settings, or of a `config`; a prior is returned as it is.

    Raises `ValueError` for anything else.
    """
    if isinstance(prior, Prior):
        return prior
    settings = dict(prior) if isinstance(prior, dict) else {"name": prior}
    name = settings.pop("name", None)
    if not isinstance(name, str) or name not in PRIORS:
        raise ValueError(f"unknown prior {prior!r}: expected one of {', '.join(PRIORS)}, or a miniae.models.Prior")
    try:
        return PRIORS[name](**settings)
    except TypeError as why:  # an argument that there is not
        raise ValueError(f"the {name} prior can't be made of {settings}: {why}") from None
