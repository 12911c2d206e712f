"""Convolutional autoencoders: layers for images and for series, for every variant, and the estimators made of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from miniae.models.autoencoder import Autoencoder
from miniae.models.estimator import check_sizes
from miniae.nn import (
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Crop,
    Crop1D,
    Dense,
    Flatten,
    Layer,
    MaxPool1D,
    MaxPool2D,
    Reshape,
    Sequential,
    UpSample1D,
    UpSample2D,
)
from miniae.nn.layer import Shape
from miniae.training import check_count

__all__ = ["DOWNSAMPLING", "ConvolutionalAutoencoder", "SeriesAutoencoder", "compressor", "convolutional",
           "convolutional_series"]

# A layer that still lacks its activation, and the layers that make a hidden one of it.
Bare = Callable[[str | None], Layer]
Hidden = Callable[[Bare], list[Layer]]


class _Kinds(NamedTuple):
    """The layers that a convolutional autoencoder is made of, and the size of its windows."""

    conv: Callable[..., Layer]
    transpose: Callable[..., Layer]
    pool: Callable[..., Layer]
    repeat: Callable[..., Layer]
    crop: Callable[..., Layer]
    size: int


_OF_IMAGES = _Kinds(Conv2D, ConvTranspose2D, MaxPool2D, UpSample2D, Crop, 3)
_OF_SERIES = _Kinds(Conv1D, ConvTranspose1D, MaxPool1D, UpSample1D, Crop1D, 5)


def _strided_down(kinds: _Kinds, bare: Callable[..., Bare], filters: int, around: Hidden) -> list[Layer]:
    return around(bare(kinds.conv, filters, stride=2))


def _strided_up(kinds: _Kinds, bare: Callable[..., Bare], filters: int, around: Hidden) -> list[Layer]:
    return around(bare(kinds.transpose, filters, stride=2))


def _pooled_down(kinds: _Kinds, bare: Callable[..., Bare], filters: int, around: Hidden) -> list[Layer]:
    return [*around(bare(kinds.conv, filters)), kinds.pool(2, padding="same")]


def _pooled_up(kinds: _Kinds, bare: Callable[..., Bare], filters: int, around: Hidden) -> list[Layer]:
    return [*around(bare(kinds.conv, filters)), kinds.repeat(2)]


_HALVE_AND_DOUBLE = {"stride": (_strided_down, _strided_up), "pooling": (_pooled_down, _pooled_up)}
DOWNSAMPLING = tuple(_HALVE_AND_DOUBLE)


def convolutional(image_shape: Sequence[int], filters: Sequence[int] = (32, 64), code: int | None = None, *,
                  downsampling: str = "stride", sample_shape: Sequence[int] | None = None, activation: str = "relu",
                  code_activation: str | None = None, init: str = "glorot_uniform",
                  hidden: Hidden | None = None) -> tuple[Sequential, Sequential]:
    """The layers (encoder, decoder) of a convolutional autoencoder, for `encoder=` and `decoder=` of any variant.

    Every number in `filters` is a level of the encoder: a 3x3 convolution with that many, which halves height and width
    (rounded up) by its stride of 2, or is followed by 2x2 max pooling where `downsampling` is "pooling". The decoder
    has the levels in reverse: a transposed convolution that doubles height and width, or a convolution and every pixel
    repeated, cropped to the size that the encoder had there; and a last convolution to the image's channels.

    `image_shape` is (channels, height, width) or (height, width), of any size. The code is the last level's feature
    maps, (filters[-1], h, w), or with `code` a vector of that size, from a dense layer. Without that dense layer,
    `encoder[:-1]` gives all features as a vector, for variants that put layers of their own there; the decoder takes
    vectors of any size.

    `sample_shape` is the shape of the samples, where it is not (channels, height, width): (features,) for flat images.
    `code_activation` belongs to the layer that makes the code. `hidden` makes the layers of a hidden one (with batch
    normalisation, say) from a function that gives a layer with the activation it is told. Raises `ValueError` for what
    isn't the shape of an image, and for sizes below 1.

    >>> encoder, decoder = convolutional((1, 28, 28), filters=(8, 16), code=10)
    >>> encoder.build((1, 28, 28)), decoder.build((10,))
    ((10,), (1, 28, 28))
    """
    return _layers(_OF_IMAGES, _as_image_shape(image_shape), filters, code, downsampling, sample_shape, activation,
                   code_activation, init, hidden)


def convolutional_series(series_shape: Sequence[int], filters: Sequence[int] = (32, 64), code: int | None = None, *,
                         downsampling: str = "stride", sample_shape: Sequence[int] | None = None,
                         activation: str = "relu", code_activation: str | None = None, init: str = "glorot_uniform",
                         hidden: Hidden | None = None) -> tuple[Sequential, Sequential]:
    """The layers (encoder, decoder) of a convolutional autoencoder of series (channels, time), for any variant.

    As `convolutional`, over time alone: windows of 5 moments, and each level halves the time (rounded up). The code is
    (filters[-1], t), or with `code` a vector. Raises `ValueError` for what isn't the shape of a series.

    >>> encoder, decoder = convolutional_series((2, 50), filters=(8, 16), code=10)
    >>> encoder.build((2, 50)), decoder.build((10,))
    ((10,), (2, 50))
    """
    if isinstance(series_shape, (str, int)) or len(series_shape) != 2:
        raise ValueError(f"the shape of a series is (channels, time), got {series_shape!r}")
    shape = tuple(check_count("every size of a series", n) for n in series_shape)
    return _layers(_OF_SERIES, shape, filters, code, downsampling, sample_shape, activation, code_activation, init,
                   hidden)


def _layers(kinds: _Kinds, shape: Shape, filters: Sequence[int], code: int | None, downsampling: str,
            sample_shape: Sequence[int] | None, activation: str, code_activation: str | None, init: str,
            hidden: Hidden | None) -> tuple[Sequential, Sequential]:
    """(encoder, decoder) of layers of these kinds, for samples (channels, *grid)."""
    channels, *grid = shape
    filters = check_sizes("filters", filters)
    if downsampling not in DOWNSAMPLING or not filters:
        raise ValueError(f"a convolutional autoencoder has one or more levels of filters and downsampling "
                         f"{' or '.join(DOWNSAMPLING)}, got filters={filters}, downsampling={downsampling!r}")
    down, up = _HALVE_AND_DOUBLE[downsampling]
    hidden = hidden or (lambda layer: [layer(activation)])

    def bare(kind: Callable[..., Layer], filters: int, stride: int = 1) -> Bare:
        return lambda activation: kind(filters, kinds.size, stride, activation=activation, init=init)

    def last(layer: Bare) -> list[Layer]:
        return [layer(code_activation)]

    sizes = [tuple(grid)]
    for _ in filters:
        sizes.append(tuple(-(-n // 2) for n in sizes[-1]))
    features = (filters[-1], *sizes[-1])
    outside = shape if sample_shape is None else tuple(sample_shape)
    encoder: list[Layer] = [] if outside == shape else [Reshape(shape)]
    for n in filters[:-1]:
        encoder += down(kinds, bare, n, hidden)
    encoder += down(kinds, bare, filters[-1], last if code is None else hidden)
    decoder: list[Layer] = []
    if code is not None:
        encoder += [Flatten(), Dense(check_count("code", code), code_activation, init)]
        decoder += [*hidden(functools.partial(Dense, math.prod(features), init=init)), Reshape(features)]
    for n, size in zip(reversed(filters), reversed(sizes[:-1]), strict=True):
        decoder += [*up(kinds, bare, n, hidden), kinds.crop(*size)]
    decoder += [bare(kinds.conv, channels)(None), *([] if outside == shape else [Reshape(outside)])]
    return Sequential(encoder), Sequential(decoder)


def compressor(image_shape: Sequence[int] = (1, 28, 28),
               sample_shape: Sequence[int] | None = None) -> tuple[Sequential, Sequential]:
    """The layers (encoder, decoder) of the classic image compressor: `convolutional` with 16, 8 and 8 filters, pooled.

    Images of 28x28 have codes of (8, 4, 4), ReLUs as all its hidden layers are. Chollet, "Building autoencoders in
    Keras", 2016; where that has a convolution without padding to come from 16x16 back to 14x14, this one crops.
    """
    return convolutional(image_shape, (16, 8, 8), downsampling="pooling", sample_shape=sample_shape,
                         code_activation="relu")


class ConvolutionalAutoencoder(Autoencoder):
    """An autoencoder of images, whose layers look at 3x3 pixels at a time, the same way everywhere.

    x (N, C, H, W) -> levels of half the size each -> code -> levels of twice the size each -> (N, C, H, W). See
    `convolutional`, which makes the same layers for other variants.

    Parameters
    ----------
    filters : how many feature maps each level of the encoder has; the decoder has them in reverse.
    code : the size of a code that is a vector, or None for the last level's feature maps, (filters[-1], h, w).
    image_shape : (channels, height, width) or (height, width) of samples that are flat, (N, features); reconstructions
        are flat, too. None takes them for a square where their number is one, and for a single line of pixels
        otherwise. Samples of three or two axes are images by themselves.
    downsampling : how a level halves height and width: "stride" or "pooling".

    All others are those of `Autoencoder`, but for `hidden`, `decoder_hidden` and `tied`, which are of dense layers.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((100, 3, 13, 9), dtype=np.float32)
    >>> model = ConvolutionalAutoencoder(filters=(4, 8), epochs=1).fit(X)
    >>> model.transform(X).shape, model.reconstruct(X).shape
    ((100, 8, 4, 3), (100, 3, 13, 9))

    LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86, 1998; Zeiler et al.,
    "Deconvolutional networks", CVPR 2010.
    """

    _make_layers: ClassVar[Callable[..., tuple[Sequential, Sequential]]] = staticmethod(convolutional)

    def __init__(self, filters: Sequence[int] = (32, 64), code: int | None = None, *,
                 image_shape: Sequence[int] | None = None, downsampling: str = "stride", hidden: Sequence[int] = (),
                 **settings: Any):
        super().__init__(hidden, code, **settings)  # type: ignore[arg-type]  # None: a code of feature maps
        self.filters, self.image_shape, self.downsampling = filters, image_shape, downsampling

    def _check_sizes(self) -> None:
        if len(self.hidden) or self.decoder_hidden is not None or self.tied:
            raise ValueError("hidden, decoder_hidden and tied are of dense layers, a convolutional autoencoder has "
                             "filters: leave them out, or give an encoder= and a decoder= of your own")

    def _layers(self, input_shape: Shape) -> tuple[Sequential, Sequential]:
        return self._make_layers(
            self._shape_of(input_shape), self.filters, self.code, downsampling=self.downsampling,
            sample_shape=input_shape, activation=self.activation, code_activation=self.code_activation, init=self.init,
            hidden=self._hidden)

    def _shape_of(self, input_shape: Shape) -> Shape:
        """What the samples are, by themselves or as the settings say: the shape that layers are made for."""
        image_shape = _likely(input_shape) if self.image_shape is None else _as_image_shape(self.image_shape)
        if len(image_shape) not in (2, 3):
            raise ValueError(f"X has samples of shape {input_shape}, expected images (channels, height, width) or "
                             "(height, width): say which these are with image_shape=")
        if math.prod(image_shape) != math.prod(input_shape):
            raise ValueError(f"image_shape {tuple(self.image_shape or ())} has {math.prod(image_shape)} values, "
                             f"samples of X have shape {input_shape}: give the channels, height and width of these")
        return image_shape


def _likely(shape: Shape) -> Shape:
    """The shape of an image whose samples have this one: of flat ones, a square if it can be, or a line of pixels."""
    if len(shape) != 1:
        return shape
    side = math.isqrt(shape[0])
    return (side, side) if side * side == shape[0] else (1, shape[0])


class SeriesAutoencoder(ConvolutionalAutoencoder):
    """An autoencoder of series (N, channels, time), whose layers look at 5 moments at a time, always the same way.

    As `ConvolutionalAutoencoder`, with the layers of `convolutional_series`. `series_shape` is (channels, time) of
    samples that are flat.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((100, 3, 21), dtype=np.float32)
    >>> model = SeriesAutoencoder(filters=(4, 8), epochs=1).fit(X)
    >>> model.transform(X).shape, model.reconstruct(X).shape
    ((100, 8, 6), (100, 3, 21))
    """

    _make_layers = staticmethod(convolutional_series)

    def __init__(self, filters: Sequence[int] = (32, 64), code: int | None = None, *,
                 series_shape: Sequence[int] | None = None, **settings: Any):
        super().__init__(filters, code, **settings)
        self.series_shape = series_shape

    def _shape_of(self, input_shape: Shape) -> Shape:
        shape = input_shape if self.series_shape is None else tuple(self.series_shape)
        if len(shape) != 2 or math.prod(shape) != math.prod(input_shape):
            raise ValueError(f"X has samples of shape {input_shape}, expected series (channels, time): say which these "
                             f"are with series_shape=, of {math.prod(input_shape)} values; got {self.series_shape}")
        return shape


def _as_image_shape(shape: Any) -> Shape:
    """(channels, height, width), from that or (height, width). Raises `ValueError` for anything else."""
    if isinstance(shape, (str, int)) or len(shape) not in (2, 3):
        raise ValueError(f"the shape of an image is (channels, height, width) or (height, width), got {shape!r}")
    sizes = tuple(check_count("every size of an image", n) for n in shape)
    return sizes if len(sizes) == 3 else (1, *sizes)
