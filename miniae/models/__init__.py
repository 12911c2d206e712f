"""Autoencoders, deep belief networks, classifiers, and what they are compared with."""

from miniae.models.autoencoder import Autoencoder
from miniae.models.classifier import Classifier, ClassifierNetwork
from miniae.models.contractive import ContractiveAutoencoder, contraction
from miniae.models.dbn import DeepBeliefNetwork
from miniae.models.denoising import NOISES, DenoisingAutoencoder
from miniae.models.estimator import MODELS
from miniae.models.files import load, save
from miniae.models.generative import GenerativeAutoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.models.pca import PCA
from miniae.models.reconstruction import RECONSTRUCTION_LOSSES, Reconstruction
from miniae.models.sparse import KSparseAutoencoder, L1SparseAutoencoder, SparseAutoencoder
from miniae.models.stack import PRETRAINING, Stack, pretrain

__all__ = [
    "MODELS", "NOISES", "PCA", "PRETRAINING", "RECONSTRUCTION_LOSSES", "Autoencoder", "AutoencoderNetwork",
    "Classifier", "ClassifierNetwork", "ContractiveAutoencoder", "DeepBeliefNetwork", "DenoisingAutoencoder",
    "GenerativeAutoencoder", "KSparseAutoencoder", "L1SparseAutoencoder", "Reconstruction", "SparseAutoencoder",
    "Stack", "contraction",
    "load", "pretrain", "save",
]
