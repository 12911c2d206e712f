"""Sparse autoencoders: codes of many units, of which each sample uses few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.models.autoencoder import Autoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.nn import Activation, Dropout, Flatten, Layer, Reshape, Sequential
from miniae.nn.layer import Shape
from miniae.training import check_count, check_number

__all__ = ["KSparseAutoencoder", "KSparseNetwork", "L1SparseAutoencoder", "L1SparseNetwork", "SparseAutoencoder",
           "SparseNetwork", "TopK"]


# -------------------------------------------------------------------- a target for the mean activity

class SparseNetwork(AutoencoderNetwork):
    """An autoencoder with a code h in (0, 1), whose units should be active `target` of the time on average.

        L = reconstruction + strength sum_j KL(rho || r_j),   r_j = 1/N sum_n h_nj,   rho = `target`,

    the sum over the units of the code, the mean activity r over the batch. See `functions.kl_sparsity`.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, target: float = 0.05, strength: float = 3.0,
                 **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        last = _last_layer(encoder)
        if getattr(last, "function" if isinstance(last, Activation) else "activation", None) != "sigmoid":
            what = "there is no layer with units" if last is None else f"its last layer is {last!r}"
            raise ValueError(f"the code of a sparse autoencoder has activities from 0 to 1, but {what}: "
                             "end the encoder with activation='sigmoid', or use L1SparseAutoencoder")
        self.target, self.strength = target, strength

    def code_terms(self, code: Tensor) -> dict[str, Tensor]:
        return {"sparsity": F.kl_sparsity(code, self.target) * self.strength}

    def config(self) -> dict[str, Any]:
        return {**super().config(), "target": self.target, "strength": self.strength}


def _last_layer(encoder: Layer) -> Layer | None:
    """The last layer that makes numbers, which what follows only reshapes or drops; None where there is none."""
    if isinstance(encoder, Sequential):
        found = (_last_layer(layer) for layer in reversed(encoder.layers))
        return next((layer for layer in found if layer is not None), None)
    return None if isinstance(encoder, (Flatten, Reshape, Dropout)) else encoder


class SparseAutoencoder(Autoencoder):
    """An autoencoder whose code is of sigmoid units that are each active a share `target` of the time, on average.

    The loss is the reconstruction's plus `strength` times the Kullback-Leibler divergence between that target and the
    mean activity of each unit in the batch, summed over units (see `SparseNetwork`). So batches should be large enough
    for a mean: some hundreds. Ng's beta of 3 stands beside half of the squared error; here "mse" is the whole of it.
    All else is as in `Autoencoder`. Ng, "Sparse autoencoder", CS294A lecture notes, 2011, section 3.

    Parameters
    ----------
    target : the mean activity that every unit is to have, between 0 and 1.
    strength : the weight of the divergence from it in the loss, at least 0.
    """

    network_: SparseNetwork
    network_class = SparseNetwork
    network_settings = (*Autoencoder.network_settings, "target", "strength")

    def __init__(self, hidden: Sequence[int] = (), code: int = 196, *, target: float = 0.05, strength: float = 3.0,
                 code_activation: str = "sigmoid", batch_size: int = 256, **settings: Any):
        super().__init__(hidden, code, code_activation=code_activation, batch_size=batch_size, **settings)
        self.target, self.strength = target, strength

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("strength", self.strength)
        if not 0 < check_number("target", self.target) < 1:
            raise ValueError(f"target is the mean activity of units, between 0 and 1; got {self.target!r}")


# -------------------------------------------------------------------- a price for activity

class L1SparseNetwork(AutoencoderNetwork):
    """An autoencoder whose loss also has `strength` times |h|_1 of its code: summed over units, the mean over samples.

    The gradient pushes every active unit down alike, and those that are of little use to 0.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, strength: float = 0.1, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.strength = strength

    def code_terms(self, code: Tensor) -> dict[str, Tensor]:
        return {"activity": F.absolute(code).sum() * (self.strength / max(len(code), 1))}

    def config(self) -> dict[str, Any]:
        return {**super().config(), "strength": self.strength}


class L1SparseAutoencoder(Autoencoder):
    """An autoencoder that pays for the activity of its code: `strength` times sum_j |h_j|, the mean over samples.

    With the rectified units that it has by default a unit that is not needed is exactly 0. As a smaller code with a
    larger decoder would be cheaper and no sparser, hold the weights with `max_norm` or `l2`, or tie them, as they are
    by default. All else is as in `Autoencoder`. Lee et al., "Efficient sparse coding algorithms", NeurIPS 2006, for
    the penalty; Ng's notes (see `SparseAutoencoder`) for the autoencoder.

    Parameters
    ----------
    strength : the price of a unit of activity, at least 0.
    """

    network_: L1SparseNetwork
    network_class = L1SparseNetwork
    network_settings = (*Autoencoder.network_settings, "strength")

    def __init__(self, hidden: Sequence[int] = (), code: int = 196, *, strength: float = 0.1,
                 code_activation: str = "relu", tied: bool = True, **settings: Any):
        super().__init__(hidden, code, code_activation=code_activation, tied=tied, **settings)
        self.strength = strength

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("strength", self.strength)


# -------------------------------------------------------------------- a number of active units

class TopK(Layer):
    """y = x where x is among the k largest of its sample, else 0: see `functions.top_k`."""

    def __init__(self, k: int):
        super().__init__()
        self.k = check_count("k", k)

    def forward(self, x: Tensor) -> Tensor:
        return F.top_k(x, self.k)

    def config(self) -> dict[str, Any]:
        return {"k": self.k}


class KSparseNetwork(AutoencoderNetwork):
    """An autoencoder of whose code only the `k` largest units of each sample are kept, in training and in use.

    The others are 0, and no gradient reaches them. See `functions.top_k`.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, k: int | None = None, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.k: Any = k  # a number, once it is built

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        if self.k is None:
            self.k = max(math.prod(self.code_shape) // 8, 1)

    def encode(self, x: Tensor) -> Tensor:
        return F.top_k(self.encoder(x), self.k)

    def code_layers(self) -> list[Layer]:
        return [self.encoder, TopK(self.k)]

    def config(self) -> dict[str, Any]:
        return {**super().config(), "k": self.k}


class KSparseAutoencoder(Autoencoder):
    """An autoencoder of whose code only the `k` largest units of each sample are kept; the others are 0.

    There is no penalty to tune: `k` is how many units are active. The code is linear before the choice, as in the
    paper, and tied as there; `code` is large, some times `k`, which by default is an eighth of it. `encoder_` is the
    part before the choice. All else is as in `Autoencoder`. Makhzani and Frey, "k-sparse autoencoders", ICLR 2014.

    Parameters
    ----------
    k : how many units of the code are kept; None is an eighth of them.
    """

    network_: KSparseNetwork
    network_class = KSparseNetwork
    network_settings = (*Autoencoder.network_settings, "k")

    def __init__(self, hidden: Sequence[int] = (), code: int = 196, *, k: int | None = None, tied: bool = True,
                 **settings: Any):
        super().__init__(hidden, code, tied=tied, **settings)
        self.k = k

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.k is None:
            return
        check_count("k", self.k)
        if self.encoder is None and self.k > self.code:
            raise ValueError(f"k is {self.k}, more than the {self.code} units of the code: choose a smaller one")
