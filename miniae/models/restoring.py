"""Autoencoders that learn from pairs: what is spoilt, and what it should have been."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Tensor
from miniae.models.autoencoder import Autoencoder
from miniae.models.estimator import Scaled
from miniae.models.network import AutoencoderNetwork
from miniae.training import check_samples

__all__ = ["RestoringAutoencoder", "RestoringNetwork"]


class RestoringNetwork(AutoencoderNetwork):
    """An autoencoder whose reconstruction of a spoilt x is compared with the good one, t: L = l(f(x), t)."""

    def loss_terms(self, x: Tensor, good: Tensor) -> dict[str, Tensor]:  # type: ignore[override]  # of pairs
        code, code_terms = self.code_and_terms(self.corrupted(x))
        return {"reconstruction": self.reconstruction.loss(self.decoder(code), good), **code_terms,
                **self.penalty_terms()}


class RestoringAutoencoder(Autoencoder):
    """Learns to make good what is spoilt, from pairs: noisy and clean spectrograms, blurred and sharp images.

    As `DenoisingAutoencoder`, for what spoils real data and no layer draws: `fit(X, y)` takes the spoilt samples and
    the good ones, (N, ...) both. `reconstruct` gives the good of the spoilt. Both are scaled alike, by the scaling of
    X; validation is a pair (X, y). All else is as in `Autoencoder`.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> good = np.repeat(rng.normal(size=(200, 2)), 4, axis=1)
    >>> model = RestoringAutoencoder([16], 2, epochs=3).fit(good + rng.normal(size=good.shape), good)
    >>> model.reconstruct(good).shape
    (200, 8)

    Xie, Xu and Chen, "Image denoising and inpainting with deep neural networks", NIPS 2012; for speech, Lu, Tsao,
    Matsuda and Hori, "Speech enhancement based on deep denoising autoencoder", Interspeech 2013.
    """

    network_: RestoringNetwork
    network_class = RestoringNetwork

    def _beside(self, scaled: Scaled, y: Any, name: str = "y") -> Any:
        if y is None:
            raise ValueError(f"{name} is missing: a RestoringAutoencoder learns from pairs, give fit(X, y) the good "
                             "samples, too")
        good = check_samples(y, self._network().input_shape, name=name)
        if len(good) != len(scaled):
            raise ValueError(f"{name} has {len(good)} samples for {len(scaled)} spoilt ones: give as many of each")
        return scaled, self._scaled(good, name)

    def _held_out(self, validation: Any) -> Any:
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise ValueError(f"validation is a pair (X, y), spoilt and good; got {type(validation).__name__}")
        return self._beside(self._scaled(validation[0], "validation"), validation[1], "validation")
