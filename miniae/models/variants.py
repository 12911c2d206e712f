"""The kinds of autoencoders by name."""

from __future__ import annotations

from miniae.models.adversarial import AdversarialAutoencoder
from miniae.models.autoencoder import Autoencoder
from miniae.models.conditional import ConditionalVariationalAutoencoder
from miniae.models.contractive import ContractiveAutoencoder
from miniae.models.convolutional import ConvolutionalAutoencoder
from miniae.models.denoising import DenoisingAutoencoder
from miniae.models.hashing import SemanticHashing
from miniae.models.sparse import KSparseAutoencoder, L1SparseAutoencoder, SparseAutoencoder
from miniae.models.variational import VariationalAutoencoder
from miniae.models.vector_quantised import VectorQuantisedAutoencoder
from miniae.models.wasserstein import WassersteinAutoencoder

__all__ = ["VARIANTS"]

VARIANTS: dict[str, type[Autoencoder]] = {
    "autoencoder": Autoencoder,
    "denoising": DenoisingAutoencoder,
    "sparse": SparseAutoencoder,
    "l1-sparse": L1SparseAutoencoder,
    "k-sparse": KSparseAutoencoder,
    "contractive": ContractiveAutoencoder,
    "convolutional": ConvolutionalAutoencoder,
    "vector-quantised": VectorQuantisedAutoencoder,
    "variational": VariationalAutoencoder,
    "conditional": ConditionalVariationalAutoencoder,
    "adversarial": AdversarialAutoencoder,
    "wasserstein": WassersteinAutoencoder,
    "semantic-hashing": SemanticHashing,
}
"""What the command line and the settings of a run call them."""
