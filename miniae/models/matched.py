"""Autoencoders whose codes, all together, are matched with draws from a prior."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.autodiff import Tensor
from miniae.backend.philox import Generator
from miniae.models.autoencoder import Autoencoder
from miniae.models.generative import GenerativeAutoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.models.priors import Prior, get_prior
from miniae.nn import Layer
from miniae.nn.layer import Shape, batch_shape

__all__ = ["MatchedAutoencoder", "MatchedNetwork"]


class MatchedNetwork(AutoencoderNetwork):
    """An autoencoder with a prior p(z), from which it draws in training. A variant compares the codes with the draws.

    Where nothing is learned the draws are the same at every call, so that held-out losses don't depend on chance.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, prior: str | dict[str, Any] | Prior = "gaussian",
                 **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.prior = get_prior(prior)

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        if len(self.code_shape) != 1:
            raise ValueError(f"the encoder gives codes {batch_shape(self.code_shape)}, expected (N, code) to compare "
                             "with draws from a prior: end it with nn.Flatten(), or a Dense layer")
        self.prior.check_size(self.code_shape[0])
        self._random = self.generator("prior")

    def draw(self, n: int, labels: Any = None) -> Tensor:
        """`n` draws from the prior: (n, code). `labels` is an array of the backend, see `Prior.draw`."""
        source = self.draws(self._random)
        return Tensor._wrap(self.prior.draw(n, self.code_shape[0], source, labels, self.place.dtype), source.backend)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "prior": self.prior.config()}


class MatchedAutoencoder(GenerativeAutoencoder):
    """What the estimators around a `MatchedNetwork` share: the parameter `prior`, and samples from it."""

    network_: MatchedNetwork
    prior: str | dict[str, Any] | Prior

    in_network = (*Autoencoder.in_network, "prior")
    network_class = MatchedNetwork
    network_settings = (*Autoencoder.network_settings, "prior")

    def draw_codes(self, n: int, labels: Any = None, seed: int = 0) -> np.ndarray:
        network = self._network()
        place = network.place
        source, parts = Generator(seed, "sample", place.backend), self._parts(n, labels)
        return place.backend.to_host(network.prior.draw(n, *network.code_shape, source, parts, place.dtype))

    def _parts(self, n: int, labels: Any) -> np.ndarray | None:
        """The parts of the prior that these labels stand for, where the model was trained with labels."""
        self._without(labels)
        return None

    def _set_loaded(self, header: dict[str, Any]) -> None:
        super()._set_loaded(header)
        if self.network_.prior != get_prior(self.prior):  # else its name will do
            self.prior = self.network_.prior
