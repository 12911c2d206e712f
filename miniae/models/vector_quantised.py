"""Vector-quantised autoencoders: codes that are integers, names of vectors in a codebook."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.backend.base import Array
from miniae.backend.philox import host_generator
from miniae.backend.sharing import all_rows, batch_rows, batch_sum, unshared
from miniae.models.convolutional import ConvolutionalAutoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.nn import Activation, Conv2D, Layer, Sequential
from miniae.nn.layer import Shape
from miniae.training import check_count, check_number

__all__ = ["VectorQuantisedAutoencoder", "VectorQuantisedNetwork", "VectorQuantiser"]

# Keeps the division finite where a vector was not used (Laplace smoothing, van den Oord et al. 2017, appendix A.1).
_SMOOTHING = 1e-5


class VectorQuantiser(Layer):
    """Each vector x becomes the nearest e_k of `size` in the codebook, k = argmin |x - e_k|; the gradient passes by.

        dL/dx = dL/dy                                            (straight-through)
        n_k += (1 - decay) (how many x chose k - n_k)            in training: e_k is the moving mean of
        m_k += (1 - decay) (the sum of x that chose k - m_k)     the x that chose it
        e_k  = m_k / n_k

    Features (channels, ...) are cut into groups of `dim` channels: at each position of feature maps, and in a vector,
    every group is quantised by itself, all with the same codebook. In training a vector that is chosen less than
    `restart` times as often as it would be if all were alike is first replaced by one of the batch's x, drawn at
    random; so at the first batch all of them are. With restart=0 none ever is: the codebook begins as standard normal
    vectors that count as chosen once each, and one that is never chosen stays where it is. Codebook and means are saved
    with the model. van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NIPS 2017, section
    3 and appendix A.1; restarts: Dhariwal et al., "Jukebox", 2020.
    """

    def __init__(self, size: int = 512, dim: int = 16, decay: float = 0.99, restart: float = 0.1):
        super().__init__()
        self.size, self.dim = check_count("the codebook's size", size), check_count("dim", dim)
        self.decay, self.restart = check_number("decay", decay), check_number("restart", restart)
        if decay >= 1:
            raise ValueError(f"decay is the share of the mean that stays, in [0, 1), got {decay}")

    def make(self, input_shape: Shape) -> None:
        if not input_shape or input_shape[0] % self.dim:
            raise ValueError(f"codes of shape {input_shape} can't be cut into vectors of dim={self.dim}: make the "
                             "number of their channels a multiple of that")
        self.groups, self.positions = input_shape[0] // self.dim, input_shape[1:]
        self.claim((self.size, self.dim), (self.size, self.dim), (self.size,))
        start = host_generator(self.place.seed, self.place.child("codebook").name)
        vectors, chosen = start.standard_normal((self.size, self.dim)), 0.0 if self.restart else 1.0
        self.codebook = self.add_buffer("codebook", vectors)
        self.counts = self.add_buffer("counts", np.full(self.size, chosen))
        self.sums = self.add_buffer("sums", vectors * chosen)
        self._random = self.generator("restart")
        self._numbers = self.place.backend.asarray(np.arange(self.size).reshape(1, -1), "int64")

    @property
    def index_shape(self) -> Shape:
        """The shape of a sample's indices: (h, w) for feature maps, (groups,) for vectors, (groups, h, w) for both."""
        return self.positions if self.groups == 1 and self.positions else (self.groups, *self.positions)

    def forward(self, x: Tensor) -> Tensor:
        rows = self._rows(x)
        learns = self.training and batch_rows(len(rows)) > 0
        if learns:
            self._restart(all_rows(x.backend, rows, self.groups * math.prod(self.positions)))
        index = self._nearest(rows)
        value = Tensor._wrap(self._features(x.backend.gather(self.codebook._data, index), len(x)), x.backend)
        if learns:
            self._follow(rows, index)
        return F.straight_through(x, value)

    def indices(self, x: Tensor) -> Tensor:
        """Which vectors are the nearest ones: (N, channels, ...) to integers (N, *index_shape)."""
        return Tensor._wrap(self._nearest(self._rows(x)).reshape(len(x), *self.index_shape), x.backend)

    def vectors(self, indices: Tensor) -> Tensor:
        """The features (N, channels, ...) that indices (N, *index_shape) stand for."""
        be = self.codebook.backend
        rows = be.gather(self.codebook._data, indices._data.reshape(-1))
        return Tensor._wrap(self._features(rows, len(indices)), be)

    def _rows(self, x: Tensor) -> Array:
        """(N, groups * dim, ...) as (N * groups * positions, dim)."""
        be = x.backend
        split = be.reshape(x._data, (len(x), self.groups, self.dim, math.prod(self.positions))).transpose(0, 1, 3, 2)
        return be.reshape(split, (-1, self.dim))

    def _features(self, rows: Array, n: int) -> Array:
        """What `_rows` has undone: (n * groups * positions, dim) as (n, groups * dim, ...)."""
        split = rows.reshape(n, self.groups, math.prod(self.positions), self.dim).transpose(0, 1, 3, 2)
        return self.codebook.backend.reshape(split, (n, self.groups * self.dim, *self.positions))

    def _nearest(self, rows: Array) -> Array:
        """argmin_k |x - e_k|^2 = argmin_k |e_k|^2 - 2 x e_k, for each row; the first among equals."""
        be, e = self.codebook.backend, self.codebook._data
        distances = be.matmul(rows, e.T)
        be.multiply(distances, -2.0, out=distances)
        be.add(distances, be.sum(be.multiply(e, e), axis=1), out=distances)
        return be.xp.argmin(distances, axis=1, out=be.empty((len(rows),), "int64"))

    def _restart(self, rows: Array) -> None:
        """Put rows in place of the vectors that are hardly used.

        They begin at twice the count below which they would be replaced again: on probation, because many of the rows
        are alike (an image's background), and what merely doubles another vector should soon be drawn anew.
        """
        be, n = self.codebook.backend, len(rows)
        counts, least = self.counts._data, self.restart * n / self.size
        dead = be.less(counts, least, out=be.empty_like(counts))
        with unshared():  # the same draws on all ranks
            drawn = self._random.uniform((self.size,), rows.dtype)
        pick = be.xp.multiply(drawn, float(n), out=be.empty((self.size,), "int64"), casting="unsafe")
        pick = be.xp.minimum(pick, n - 1, out=pick)  # a product can be rounded up to n
        fresh = be.gather(rows, pick)
        column = dead.reshape(-1, 1)
        _blend(be, self.codebook._data, fresh, column)
        _blend(be, self.sums._data, be.multiply(fresh, 2.0 * least), column)
        _blend(be, counts, 2.0 * least, dead)

    def _follow(self, rows: Array, index: Array) -> None:
        """Move the means, and the codebook with them."""
        be, (counts, sums) = self.codebook.backend, (self.counts._data, self.sums._data)
        chosen = be.xp.equal(index.reshape(-1, 1), self._numbers, out=be.empty((len(rows), self.size), rows.dtype))
        _blend(be, counts, batch_sum(be, be.sum(chosen, axis=0)), 1.0 - self.decay)
        _blend(be, sums, batch_sum(be, be.matmul(chosen.T, rows)), 1.0 - self.decay)
        total = be.sum(counts, keepdims=True)
        smooth = be.add(counts, _SMOOTHING)
        scale = be.divide(total, be.add(total, self.size * _SMOOTHING))
        be.multiply(smooth, scale, out=smooth)
        be.divide(sums, smooth.reshape(-1, 1), out=self.codebook._data)

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "dim": self.dim, "decay": self.decay, "restart": self.restart}


def _blend(be: Any, old: Array, new: Any, share: Any) -> None:
    """old = (1 - share) old + share new, in place."""
    kept = be.subtract(1.0, share) if be.is_array(share) else 1.0 - share
    be.multiply(old, kept, out=old)
    be.add(old, be.multiply(share, new) if be.is_array(share) else be.multiply(new, share), out=old)


class VectorQuantisedNetwork(AutoencoderNetwork):
    """An autoencoder whose code is quantised, and whose loss also has `commitment` |h - e|^2 for features h and their
    vectors e: summed over dims and positions, the mean over samples. It moves h to e, as e moves by itself."""

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, codebook: int = 512, dim: int = 16,
                 decay: float = 0.99, restart: float = 0.1, commitment: float = 0.25, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.quantiser = VectorQuantiser(codebook, dim, decay, restart)
        self.commitment = commitment

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        self.quantiser.build(self.code_shape, self.place.child("quantiser"))

    def encode(self, x: Tensor) -> Tensor:
        return self.quantiser(self.encoder(x))

    def code_layers(self) -> list[Layer]:
        return [self.encoder, self.quantiser]

    def indices(self, x: Tensor) -> Tensor:
        """The code of x as integers."""
        return self.quantiser.indices(self.encoder(x))

    def code_and_terms(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.encoder(x)
        code = self.quantiser(features)
        return code, {"commitment": F.squared_error(features, code.detach()) * self.commitment}

    def children(self) -> dict[str, Layer]:
        return {**super().children(), "quantiser": self.quantiser}

    def config(self) -> dict[str, Any]:
        q = self.quantiser
        return {**super().config(), "codebook": q.size, "dim": q.dim, "decay": q.decay, "restart": q.restart,
                "commitment": self.commitment}


class VectorQuantisedAutoencoder(ConvolutionalAutoencoder):
    """A convolutional autoencoder that writes an image as integers: log2(codebook) bits for each position of its code.

    The encoder's feature maps are brought to `dim` channels by a 1x1 convolution, and each position's vector is
    replaced by the nearest of `codebook` vectors, which follow the means of what they replace (see `VectorQuantiser`).

    Parameters
    ----------
    filters : how many feature maps each level has; each halves height and width, so these decide the number of bits.
    codebook : how many vectors there are to choose from.
    dim : the size of these vectors. Codes that are vectors, of `code` numbers or from an encoder of your own, dense
        layers for instance, are cut into groups of this size.
    commitment : the weight of the features' distance from their vectors in the loss.
    decay : how much of the moving means stays at an update.
    restart : a vector used less often than this, relative to the average one, starts again from the data.

    `transform` gives the quantised vectors, (N, dim, h, w), which `inverse_transform` takes; `encode_indices` gives
    the integers (N, h, w) that are to be stored, and `decode_indices` the images from them. All other parameters are
    those of `ConvolutionalAutoencoder`.

    >>> X = np.random.default_rng(0).random((50, 1, 12, 12), dtype=np.float32)
    >>> model = VectorQuantisedAutoencoder((8, 8), codebook=32, dim=4, epochs=2).fit(X)
    >>> model.encode_indices(X).shape, model.transform(X).shape
    ((50, 3, 3), (50, 4, 3, 3))

    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NIPS 2017.
    """

    network_: VectorQuantisedNetwork
    network_class = VectorQuantisedNetwork
    network_settings = (*ConvolutionalAutoencoder.network_settings, "codebook", "dim", "decay", "restart", "commitment")

    def __init__(self, filters: Sequence[int] = (32, 64), code: int | None = None, *, codebook: int = 512,
                 dim: int = 16, commitment: float = 0.25, decay: float = 0.99, restart: float = 0.1, **settings: Any):
        super().__init__(filters, code, **settings)
        self.codebook, self.dim, self.commitment = codebook, dim, commitment
        self.decay, self.restart = decay, restart

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("codebook", self.codebook)
        check_count("dim", self.dim)
        check_number("commitment", self.commitment)

    def _layers(self, input_shape: Shape) -> tuple[Sequential, Sequential]:
        encoder, decoder = super()._layers(input_shape)
        if self.code is None:
            encoder.add(Activation(self.activation))
            encoder.add(Conv2D(self.dim, 1, activation=self.code_activation, init=self.init))
        return encoder, decoder

    def encode_indices(self, X: Any) -> np.ndarray:
        """X as integers from 0 to codebook - 1: (N, ...) to (N, h, w), or (N, groups) where codes are vectors."""
        return self._through(self._network().indices, self._scaled(X))

    def decode_indices(self, indices: Any) -> np.ndarray:
        """The reconstructions from integers: (N, h, w) to (N, ...), in the units of the data.

        Raises `ValueError` for indices of another shape, or outside the codebook.
        """
        quantiser, indices = self._network().quantiser, np.asarray(indices)
        if indices.dtype.kind not in "iu" or indices.shape[1:] != quantiser.index_shape or not len(indices):
            raise ValueError(f"indices are {indices.dtype} of shape {indices.shape}, expected integers "
                             f"(N, {', '.join(map(str, quantiser.index_shape))})")
        if indices.min() < 0 or indices.max() >= quantiser.size:
            raise ValueError(f"indices range from {indices.min()} to {indices.max()}, the codebook has "
                             f"{quantiser.size} vectors: they go from 0 to {quantiser.size - 1}")
        be = quantiser.codebook.backend
        vectors = quantiser.vectors(Tensor._wrap(be.asarray(indices, "int64"), be)).numpy()
        return self.inverse_transform(vectors)

    def usage(self, X: Any) -> dict[str, float]:
        """How X uses the codebook, and what X costs to store.

        - `perplexity`: 2^H, H the entropy in bits of an index, taken over all samples and positions: as many vectors
          used alike would have that entropy; `used`: the share of vectors that are used at all;
        - `bits_per_pixel`: log2(codebook) times the number of indices over the number of pixels (height times width,
          or features); `entropy_bits_per_pixel`: with H in place of log2(codebook), what a coder that knows how often
          each index comes could reach.
        """
        indices = self.encode_indices(X)
        frequency = np.bincount(indices.ravel(), minlength=self._network().quantiser.size) / indices.size
        entropy = float(-(frequency[frequency > 0] * np.log2(frequency[frequency > 0])).sum())
        density = math.prod(indices.shape[1:]) / self._pixels()
        return {"perplexity": 2.0**entropy, "used": float((frequency > 0).mean()),
                "bits_per_pixel": math.log2(len(frequency)) * density, "entropy_bits_per_pixel": entropy * density}

    def _pixels(self) -> int:
        shape = self._network().input_shape if self.image_shape is None else tuple(self.image_shape)
        return math.prod(shape[-2:])
