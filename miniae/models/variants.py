"""The kinds of autoencoders by name."""

from __future__ import annotations

from miniae.models.autoencoder import Autoencoder
from miniae.models.contractive import ContractiveAutoencoder

__all__ = ["VARIANTS"]

VARIANTS: dict[str, type[Autoencoder]] = {
    "autoencoder": Autoencoder,
    "contractive": ContractiveAutoencoder,
}
"""What the command line and the settings of a run call them."""
