"""Contractive autoencoders: codes that change little where the input changes a little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from miniae.autodiff import Tensor
from miniae.models.autoencoder import Autoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.nn import Dense, Flatten, Layer, Sequential
from miniae.training import check_number

__all__ = ["ContractiveAutoencoder", "ContractiveNetwork", "contraction"]

_LINEAR = (None, "linear")
# dh/dx of an activation, written in h itself.
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda h: h * (1.0 - h),
    "tanh": lambda h: 1.0 - h * h,
}


def contraction(layer: Dense, h: Tensor) -> Tensor:
    """The squared Frobenius norm of the Jacobian dh/dx of a layer h = s(xW + b), the mean over samples.

        |dh/dx|^2 = sum_j s'_j^2 sum_i W_ij^2,  s' = h (1 - h) for the sigmoid, 1 - h^2 for tanh, 1 for a linear layer.

    `h` (N, units) is the layer's output. As it is composed of differentiable functions, its gradient reaches W both
    directly and by way of h. Raises `ValueError` for other activations. Rifai et al., "Contractive auto-encoders", ICML
    2011, equation 7.
    """
    lengths = (layer.weight * layer.weight).sum(0)
    if layer.activation in _LINEAR:
        return lengths.sum()
    if layer.activation not in _SLOPES:
        raise ValueError(f"the contraction of a layer has this closed form for {', '.join(_SLOPES)} and linear units, "
                         f"got {layer.activation!r}")
    slope = _SLOPES[layer.activation](h)
    return (slope * slope * lengths).sum() * (1.0 / max(len(h), 1))


class ContractiveNetwork(AutoencoderNetwork):
    """An autoencoder of one hidden layer, whose loss also has `strength` times the `contraction` of its encoder."""

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, strength: float = 0.1, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        layers = list(encoder) if isinstance(encoder, Sequential) else [encoder]
        layers = layers[1:] if isinstance(layers[0], Flatten) else layers
        if len(layers) != 1 or not isinstance(layers[0], Dense) or layers[0].activation not in (*_SLOPES, *_LINEAR):
            raise ValueError(f"a contractive encoder is one Dense layer of {', '.join(_SLOPES)} or linear units, got "
                             f"{encoder!r}: pretrain deeper ones layer by layer, with method='contractive'")
        self.layer, self.strength = layers[0], strength

    def code_terms(self, code: Tensor) -> dict[str, Tensor]:
        return {"contraction": contraction(self.layer, code) * self.strength}

    def config(self) -> dict[str, Any]:
        return {**super().config(), "strength": self.strength}


class ContractiveAutoencoder(Autoencoder):
    """An autoencoder of one hidden layer, the code, that is penalised for how much the code moves with the input.

    The loss is the reconstruction's plus `strength` times the squared Frobenius norm of dcode/dx, the mean over
    samples: what is left to move is what the reconstruction needs. With tied weights the encoder can't escape by
    shrinking while the decoder grows. `code_activation` is sigmoid, tanh or linear; all else is as in `Autoencoder`.
    Rifai et al., "Contractive auto-encoders: explicit invariance during feature extraction", ICML 2011.
    """

    network_class = ContractiveNetwork
    network_settings = (*Autoencoder.network_settings, "strength")

    def __init__(self, code: int = 32, *, hidden: Sequence[int] = (), strength: float = 0.1,
                 code_activation: str = "sigmoid", tied: bool = True, **settings: Any):
        super().__init__(hidden, code, code_activation=code_activation, tied=tied, **settings)
        self.strength = strength

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("strength", self.strength)
        if self.encoder is None and self.code_activation not in (*_SLOPES, *_LINEAR):
            raise ValueError(f"a contractive code is of {', '.join(_SLOPES)} or linear units, got "
                             f"{self.code_activation!r}")
