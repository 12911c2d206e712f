"""Autoencoders whose codes follow a known distribution, so that there can be new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.models.autoencoder import Autoencoder
from miniae.models.labelled import each
from miniae.training import check_count

__all__ = ["GenerativeAutoencoder"]


class GenerativeAutoencoder(Autoencoder):
    """An autoencoder that is trained so that its codes follow a prior p(z): x = decoder(z), z ~ p(z), is a new sample.

    A variant says how to draw from its prior, in `draw_codes`.
    """

    network_: Any  # one with a `prior`
    classes_: np.ndarray  # of those that are trained with labels

    def sample(self, n: int = 1, *, labels: Any = None, seed: int = 0) -> np.ndarray:
        """New samples (n, ...) in the units of the data: the means that the decoder gives for codes of the prior.

        `labels`, one for all or (n,), where the model was trained with labels. The same seed gives the same samples.
        """
        labels = each(labels, check_count("n", n))
        check_count("seed", seed, least=0)
        return self._decode_for(self.draw_codes(n, labels, seed), labels)

    def draw_codes(self, n: int, labels: Any = None, seed: int = 0) -> np.ndarray:
        """`n` codes (n, code) from the prior, of these labels where that depends on them."""
        raise NotImplementedError(f"{type(self).__name__} has no prior")
