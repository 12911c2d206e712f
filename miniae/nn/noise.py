"""Layers that disturb their input while training, and pass it on unchanged otherwise."""

from __future__ import annotations

from typing import Any

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.nn.layer import Layer, Shape


class Dropout(Layer):
    """In training y = x m / (1 - rate), m being 0 with probability `rate` and else 1, for each element on its own.

    So the mean of y is x. Srivastava et al., "Dropout", JMLR 15, 2014.
    """

    def __init__(self, rate: float = 0.5):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the dropout rate must lie in [0, 1), got {rate}")
        self.rate = float(rate)

    def make(self, input_shape: Shape) -> None:
        self._random = self.generator("mask")

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.rate, self._random) if self.training and self.rate else x

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate}


class GaussianNoise(Layer):
    """In training y = x + std e, with e standard normal, for each element on its own."""

    def __init__(self, std: float = 0.1):
        super().__init__()
        if not 0 <= std < float("inf"):
            raise ValueError(f"the standard deviation must be a finite number of at least 0, got {std}")
        self.std = float(std)

    def make(self, input_shape: Shape) -> None:
        self._random = self.generator("noise")

    def forward(self, x: Tensor) -> Tensor:
        return self.disturbed(x) if self.training and self.std else x

    def disturbed(self, x: Tensor) -> Tensor:
        """x as it becomes in training; outside of it with the same noise at every call."""
        noise = self.draws(self._random).normal(x.shape, x.dtype)
        return x + Tensor._wrap(x.backend.multiply(noise, self.std, out=noise), x.backend)

    def config(self) -> dict[str, Any]:
        return {"std": self.std}


class Masking(Layer):
    """In training each element is 0 with probability `rate`; the others stay as they are.

    Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008, section 2.3.
    """

    def __init__(self, rate: float = 0.25):
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"the masking rate must lie in [0, 1], got {rate}")
        self.rate = float(rate)

    def make(self, input_shape: Shape) -> None:
        self._random = self.generator("mask")

    def forward(self, x: Tensor) -> Tensor:
        return self.disturbed(x) if self.training and self.rate else x

    def disturbed(self, x: Tensor) -> Tensor:
        """x as it becomes in training; outside of it with the same noise at every call."""
        return self.disturb(x)[0]

    def disturb(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`disturbed` x, and 1 for each element that was left as it is, 0 for those that were chosen."""
        kept = Tensor._wrap(self.draws(self._random).mask(x.shape, x.dtype, self.rate), x.backend)
        return x * kept, kept

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate}


class SaltAndPepper(Layer):
    """In training each element becomes `low` or `high`, half of the time each, with probability `rate`.

    Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010, section 3.3.
    """

    def __init__(self, rate: float = 0.25, low: float = 0.0, high: float = 1.0):
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of salt and pepper must lie in [0, 1], got {rate}")
        self.rate, self.low, self.high = float(rate), float(low), float(high)

    def make(self, input_shape: Shape) -> None:
        self._random = self.generator("grains")

    def forward(self, x: Tensor) -> Tensor:
        return self.disturbed(x) if self.training and self.rate else x

    def disturbed(self, x: Tensor) -> Tensor:
        """x as it becomes in training; outside of it with the same noise at every call."""
        return self.disturb(x)[0]

    def disturb(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`disturbed` x, and 1 for each element that was left as it is, 0 for those that were chosen."""
        be = x.backend
        drawn = self.draws(self._random).uniform(x.shape, x.dtype)
        keep = be.elementwise(be.xp.greater_equal, drawn, self.rate, out=be.empty_like(drawn))
        grain = be.less(drawn, self.rate / 2, out=drawn)  # 1 for salt
        be.multiply(grain, self.high - self.low, out=grain)
        be.add(grain, self.low, out=grain)
        be.multiply(grain, be.subtract(1.0, keep), out=grain)
        kept = Tensor._wrap(keep, be)
        return x * kept + Tensor._wrap(grain, be), kept

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate, "low": self.low, "high": self.high}
