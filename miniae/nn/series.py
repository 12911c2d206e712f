"""Layers on series (N, channels, time): those on images, which take a series for an image of height 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from miniae.autodiff import Tensor
from miniae.nn.conv import Conv2D, ConvTranspose2D
from miniae.nn.init import Initializer
from miniae.nn.layer import Shape
from miniae.nn.pooling import AvgPool2D, Crop, MaxPool2D, UpSample2D

if TYPE_CHECKING:
    from miniae.nn.image import ImageLayer as _OnImages
else:
    _OnImages = object


class OnSeries(_OnImages):
    """What is put before a layer on images to make it one on series: (N, C, T) -> (N, C, 1, T) -> (N, C', T')."""

    if TYPE_CHECKING:
        def __init__(self, *args: Any, **settings: Any) -> None: ...

    def make(self, input_shape: Shape) -> None:
        if len(input_shape) != 2:
            raise ValueError(f"{type(self).__name__} takes series (N, channels, time), got features of shape "
                             f"{input_shape}: put a Reshape layer before it")
        super().make((input_shape[0], 1, input_shape[1]))

    def forward(self, x: Tensor) -> Tensor:
        n, channels, time = x.shape
        y = super().forward(x.reshape(n, channels, 1, time))
        return y.reshape(n, y.shape[1], y.shape[3])


class SeriesConvolution(OnSeries):
    """What the two convolutions over time share: `filters` windows of `size` moments, as `Convolution` has them.

    `size`, `stride` and `dilation` are numbers; `padding` is "same", "valid" (none), or how many zeros to put on each
    side.
    """

    def __init__(self, filters: int, size: int = 3, stride: int = 1, padding: str | int = "same",
                 activation: str | Callable[[Tensor], Tensor] | None = None,
                 init: str | Initializer = "glorot_uniform", dilation: int = 1):
        across = {name: (1, _count(self, name, value)) for name, value in
                  (("size", size), ("stride", stride), ("dilation", dilation))}
        super().__init__(filters, **across, padding=padding if isinstance(padding, str) else (0, padding),
                         activation=activation, init=init)

    def config(self) -> dict[str, Any]:
        """The second of every pair."""
        return {name: value[1] if isinstance(value, tuple) else value for name, value in super().config().items()}


class Conv1D(SeriesConvolution, Conv2D):
    """y = activation(x * W + b): (N, C, T) to (N, filters, T'). The weight is (filters, C, 1, size).

    With padding "same", T' is T over the stride, rounded up; see `functions.conv2d` and `SeriesConvolution`. Waibel et
    al., "Phoneme recognition using time-delay neural networks", IEEE Transactions on Acoustics, Speech, and Signal
    Processing 37, 1989.
    """


class ConvTranspose1D(SeriesConvolution, ConvTranspose2D):
    """y = activation(x *' W + b), the transpose of a convolution: (N, C, T) to (N, filters, T').

    The weight is (C, filters, 1, size). With padding "same", T' is T times the stride; see
    `functions.conv_transpose2d` and `SeriesConvolution`.
    """


class MaxPool1D(OnSeries, MaxPool2D):
    """The largest value of each window: (N, C, T) to (N, C, T'), T' = floor((T - size) / stride) + 1.

    The stride is the size when None. With padding "same" T' is T / stride rounded up.
    """

    def __init__(self, size: int = 2, stride: int | None = None, padding: str = "valid"):
        super().__init__((1, _count(self, "size", size)), _stride(self, stride), padding)

    def config(self) -> dict[str, Any]:
        return {**_window(self), "padding": self.padding}


class AvgPool1D(OnSeries, AvgPool2D):
    """The mean of each window; shapes and arguments as in `MaxPool1D`."""

    def __init__(self, size: int = 2, stride: int | None = None):
        super().__init__((1, _count(self, "size", size)), _stride(self, stride))

    def config(self) -> dict[str, Any]:
        return _window(self)


class UpSample1D(OnSeries, UpSample2D):
    """Every moment repeated `factor` times: (N, C, T) to (N, C, T factor)."""

    factor: tuple[int, int]

    def __init__(self, factor: int = 2):
        super().__init__((1, _count(self, "factor", factor)))

    def config(self) -> dict[str, Any]:
        return {"factor": self.factor[1]}


class Crop1D(OnSeries, Crop):
    """The first `time` moments of longer series: (N, C, T) to (N, C, time)."""

    def __init__(self, time: int):
        super().__init__(1, _count(self, "time", time))

    def config(self) -> dict[str, Any]:
        return {"time": self.width}


def _stride(layer: Any, stride: int | None) -> tuple[int, int] | None:
    return None if stride is None else (1, _count(layer, "stride", stride))


def _window(layer: Any) -> dict[str, Any]:
    return {"size": layer.size[1], "stride": None if layer.stride is None else layer.stride[1]}


def _count(layer: Any, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"the {name} of a {type(layer).__name__} is a whole number of at least 1, got {value!r}")
    return value
