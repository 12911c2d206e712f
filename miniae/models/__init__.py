"""Autoencoders, deep belief networks, classifiers, and what they are compared with."""

from miniae.models.adversarial import AdversarialAutoencoder, AdversarialNetwork
from miniae.models.autoencoder import Autoencoder
from miniae.models.classifier import Classifier, ClassifierNetwork
from miniae.models.contractive import ContractiveAutoencoder, contraction
from miniae.models.dbn import DeepBeliefNetwork
from miniae.models.estimator import MODELS
from miniae.models.files import load, save
from miniae.models.generative import GenerativeAutoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.models.pca import PCA
from miniae.models.priors import PRIORS, Gaussian, GaussianMixture, Prior, SwissRoll, get_prior
from miniae.models.reconstruction import RECONSTRUCTION_LOSSES, Reconstruction
from miniae.models.stack import PRETRAINING, Stack, pretrain
from miniae.models.wasserstein import WassersteinAutoencoder, WassersteinNetwork, kernel_scales

__all__ = [
    "MODELS", "PCA", "PRETRAINING", "PRIORS", "RECONSTRUCTION_LOSSES", "AdversarialAutoencoder", "AdversarialNetwork",
    "Autoencoder", "AutoencoderNetwork", "Classifier", "ClassifierNetwork", "ContractiveAutoencoder",
    "DeepBeliefNetwork", "Gaussian", "GaussianMixture", "GenerativeAutoencoder", "Prior", "Reconstruction", "Stack",
    "SwissRoll", "WassersteinAutoencoder", "WassersteinNetwork", "contraction", "get_prior", "kernel_scales", "load",
    "pretrain", "save",
]
