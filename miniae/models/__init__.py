"""Autoencoders, and what they are compared with."""

from miniae.models.autoencoder import Autoencoder
from miniae.models.files import MODELS, load, save
from miniae.models.network import AutoencoderNetwork
from miniae.models.pca import PCA
from miniae.models.reconstruction import RECONSTRUCTION_LOSSES, Reconstruction
from miniae.models.stack import PRETRAINING, Stack, pretrain

__all__ = [
    "MODELS", "PCA", "PRETRAINING", "RECONSTRUCTION_LOSSES", "Autoencoder", "AutoencoderNetwork", "Reconstruction",
    "Stack", "load", "pretrain", "save",
]
