"""Autoencoders, deep belief networks, classifiers, and what they are compared with."""

from miniae.models.autoencoder import Autoencoder
from miniae.models.classifier import Classifier, ClassifierNetwork
from miniae.models.contractive import ContractiveAutoencoder, contraction
from miniae.models.convolutional import DOWNSAMPLING, ConvolutionalAutoencoder, compressor, convolutional
from miniae.models.dbn import DeepBeliefNetwork
from miniae.models.estimator import MODELS
from miniae.models.files import load, save
from miniae.models.generative import GenerativeAutoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.models.pca import PCA
from miniae.models.reconstruction import RECONSTRUCTION_LOSSES, Reconstruction
from miniae.models.stack import PRETRAINING, Stack, pretrain
from miniae.models.vector_quantised import VectorQuantisedAutoencoder, VectorQuantiser

__all__ = [
    "DOWNSAMPLING", "MODELS", "PCA", "PRETRAINING", "RECONSTRUCTION_LOSSES", "Autoencoder", "AutoencoderNetwork",
    "Classifier", "ClassifierNetwork", "ContractiveAutoencoder", "ConvolutionalAutoencoder", "DeepBeliefNetwork",
    "GenerativeAutoencoder", "Reconstruction", "Stack", "VectorQuantisedAutoencoder", "VectorQuantiser", "compressor",
    "contraction", "convolutional", "load", "pretrain", "save",
]
