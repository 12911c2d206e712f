"""Contractive autoencoders: codes that change little where the input changes a little."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from miniae.autodiff import Linearization, Tensor
from miniae.models.autoencoder import Autoencoder
from miniae.models.jacobian import (
    contraction,
    mixes_samples,
    norm_by_columns,
    norm_by_probes,
    norm_by_rows,
    only_layer,
)
from miniae.models.network import AutoencoderNetwork
from miniae.nn import Layer
from miniae.nn.layer import Shape
from miniae.training import check_count, check_number

__all__ = ["JACOBIANS", "ContractiveAutoencoder", "ContractiveNetwork"]

JACOBIANS = ("auto", "exact", "estimate")
"""The ways to the norm of an encoder's Jacobian."""

_FEW = 16  # numbers in the input or the code up to which "auto" is exact: every one costs about as much as the encoder


class ContractiveNetwork(AutoencoderNetwork):
    """An autoencoder whose loss has `strength` times |dcode/dx|^2 as well, the mean over samples.

    The Jacobian is that of the very evaluation whose code is decoded: at the corrupted input, with the same dropout
    mask. Directions for an estimate are drawn anew at every step in training, and are always the same otherwise, so
    that evaluations can be compared.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, strength: float = 0.1, jacobian: str = "auto",
                 probes: int = 1, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.strength, self.jacobian, self.probes = strength, check_jacobian(jacobian), check_count("probes", probes)

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        self._random = self.generator("directions")
        inputs, codes = math.prod(input_shape), math.prod(self.code_shape)
        mixed = mixes_samples(self.encoder)
        if self.jacobian == "exact" and mixed:
            raise ValueError("with batch normalisation a code depends on the whole batch, whose Jacobian is too large "
                             "to be had exactly: choose jacobian='estimate', or LayerNorm layers")
        if self.jacobian != "estimate" and only_layer(self.encoder) is not None:
            self.code_and_norm = self._in_closed_form
        elif self.jacobian == "estimate" or self.jacobian == "auto" and (mixed or min(inputs, codes) > _FEW):
            self.code_and_norm = self._by_probes
        else:
            self.code_and_norm = self._by_columns if inputs <= codes else self._by_rows

    def code_and_terms(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        code, norm = self.code_and_norm(x)
        return code, {"contraction": norm * self.strength, **self.code_terms(code)}

    # Each returns the code of x, and the squared norm of the Jacobian of that evaluation.

    def _in_closed_form(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(x)
        return code, contraction(only_layer(self.encoder), code)

    def _by_columns(self, x: Tensor) -> tuple[Tensor, Tensor]:
        at = Linearization(self.encoder, x)
        return at.y, norm_by_columns(at)

    def _by_rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        at = Linearization(self.encoder, x)
        return at.y, norm_by_rows(at)

    def _by_probes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        at = Linearization(self.encoder, x)
        return at.y, norm_by_probes(at, self.draws(self._random), self.probes)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "strength": self.strength, "jacobian": self.jacobian, "probes": self.probes}


class ContractiveAutoencoder(Autoencoder):
    """An autoencoder that is penalised for how much its code moves with the input.

    The loss is the reconstruction's plus `strength` times |dcode/dx|^2, the squared Frobenius norm of the encoder's
    Jacobian, the mean over samples: what is left to move is what the reconstruction needs. With tied weights the
    encoder can't escape by shrinking while the decoder grows. Any encoder will do, of `hidden` layers or of your own;
    all else is as in `Autoencoder`.

    Parameters
    ----------
    strength : of the penalty, at least 0.
    jacobian : "exact" computes the norm, "estimate" draws random directions v and takes |J v|^2, whose mean it is. One
        Dense layer of sigmoid, tanh or linear units has a closed form. Other encoders take as many more passes as the
        input or the code has numbers, whichever is less, to be exact, and one or two to be estimated. "auto" is exact
        for that one layer and where the input or the code has at most 16 numbers, and else estimates.
    probes : how many directions an estimate draws for each sample at every step. The estimate is unbiased, its variance
        2 |J'J|^2 / probes for a sample, which the mean over the batch divides again.

    The Jacobian is that of the encoder as it acts in the step: with the same dropout mask, at the corrupted input. With
    batch normalisation a code depends on all inputs of its batch. The norm is then that of all these dependences, for a
    code the sum over all inputs, and only estimated.

    Rifai et al., "Contractive auto-encoders: explicit invariance during feature extraction", ICML 2011.
    """

    network_: ContractiveNetwork
    network_class = ContractiveNetwork
    network_settings = (*Autoencoder.network_settings, "strength", "jacobian", "probes")

    def __init__(self, code: int = 32, *, hidden: Sequence[int] = (), strength: float = 0.1, jacobian: str = "auto",
                 probes: int = 1, code_activation: str = "sigmoid", tied: bool = True, **settings: Any):
        super().__init__(hidden, code, code_activation=code_activation, tied=tied, **settings)
        self.strength, self.jacobian, self.probes = strength, jacobian, probes

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("strength", self.strength)
        check_jacobian(self.jacobian)
        check_count("probes", self.probes)


def check_jacobian(jacobian: Any) -> str:
    """Raise `ValueError` for anything but one of the ways to the norm."""
    if jacobian not in JACOBIANS:
        raise ValueError(f"jacobian is one of {', '.join(JACOBIANS)}, got {jacobian!r}")
    return jacobian
