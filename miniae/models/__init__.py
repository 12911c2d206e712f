"""Autoencoders of every kind, deep belief networks, classifiers, and what they are compared with.

- `Autoencoder`, of dense layers or of your own; those below are kinds of it
- against noise: `DenoisingAutoencoder`, `RecorruptedAutoencoder`, `RestoringAutoencoder`
- for codes with some property: `SparseAutoencoder`, `L1SparseAutoencoder`, `KSparseAutoencoder`,
  `ContractiveAutoencoder`, `SemanticHashing`
- of images and series: `ConvolutionalAutoencoder`, `SeriesAutoencoder`, `VectorQuantisedAutoencoder`,
  `CompressiveAutoencoder`
- models that make new samples: `VariationalAutoencoder`, `ConditionalVariationalAutoencoder`,
  `AdversarialAutoencoder`, `WassersteinAutoencoder`
- layer by layer: `pretrain`, `Stack`, `DeepBeliefNetwork`
- of labels and ratings: `Classifier`, `AutoRec`, `MultinomialVAE`
- to compare with: `PCA`
- files: `load`, `save`
"""

from miniae.models.adversarial import AdversarialAutoencoder, AdversarialNetwork
from miniae.models.autoencoder import Autoencoder
from miniae.models.autorec import AutoRec, AutoRecNetwork, Biases
from miniae.models.classifier import Classifier, ClassifierNetwork
from miniae.models.compressive import CompressiveAutoencoder, CompressiveNetwork
from miniae.models.conditional import ConditionalNetwork, ConditionalVariationalAutoencoder
from miniae.models.contractive import JACOBIANS, ContractiveAutoencoder
from miniae.models.convolutional import (
    DOWNSAMPLING,
    ConvolutionalAutoencoder,
    SeriesAutoencoder,
    compressor,
    convolutional,
    convolutional_series,
)
from miniae.models.dbn import DeepBeliefNetwork
from miniae.models.denoising import NOISES, DenoisingAutoencoder
from miniae.models.estimator import MODELS
from miniae.models.files import load, save
from miniae.models.generative import GenerativeAutoencoder
from miniae.models.hashing import HashingNetwork, SemanticHashing
from miniae.models.jacobian import contraction, jacobian_norm
from miniae.models.multinomial import MultinomialNetwork, MultinomialVAE
from miniae.models.network import AutoencoderNetwork
from miniae.models.parameters import meanings
from miniae.models.pca import PCA
from miniae.models.priors import PRIORS, Gaussian, GaussianMixture, Prior, SwissRoll, get_prior
from miniae.models.recommender import Recommender
from miniae.models.reconstruction import RECONSTRUCTION_LOSSES, Reconstruction
from miniae.models.recorrupted import RecorruptedAutoencoder, RecorruptedNetwork
from miniae.models.restoring import RestoringAutoencoder, RestoringNetwork
from miniae.models.scales import MixedScales
from miniae.models.sparse import KSparseAutoencoder, L1SparseAutoencoder, SparseAutoencoder
from miniae.models.stack import PRETRAINING, Stack, pretrain
from miniae.models.variants import VARIANTS
from miniae.models.variational import COLLAPSED, PosteriorCollapse, VariationalAutoencoder, VariationalNetwork
from miniae.models.vector_quantised import VectorQuantisedAutoencoder, VectorQuantiser
from miniae.models.wasserstein import WassersteinAutoencoder, WassersteinNetwork, kernel_scales

__all__ = [
    "COLLAPSED", "DOWNSAMPLING", "JACOBIANS", "MODELS", "NOISES", "PCA", "PRETRAINING", "PRIORS",
    "RECONSTRUCTION_LOSSES", "VARIANTS", "AdversarialAutoencoder", "AdversarialNetwork", "AutoRec", "AutoRecNetwork",
    "Autoencoder", "AutoencoderNetwork", "Biases", "Classifier", "ClassifierNetwork", "CompressiveAutoencoder",
    "CompressiveNetwork", "ConditionalNetwork", "ConditionalVariationalAutoencoder", "ContractiveAutoencoder",
    "ConvolutionalAutoencoder", "DeepBeliefNetwork", "DenoisingAutoencoder", "Gaussian", "GaussianMixture",
    "GenerativeAutoencoder", "HashingNetwork", "KSparseAutoencoder", "L1SparseAutoencoder", "MixedScales",
    "MultinomialNetwork", "MultinomialVAE", "PosteriorCollapse", "Prior", "Recommender", "Reconstruction",
    "RecorruptedAutoencoder", "RecorruptedNetwork", "RestoringAutoencoder", "RestoringNetwork", "SemanticHashing",
    "SeriesAutoencoder", "SparseAutoencoder", "Stack", "SwissRoll", "VariationalAutoencoder", "VariationalNetwork",
    "VectorQuantisedAutoencoder", "VectorQuantiser", "WassersteinAutoencoder", "WassersteinNetwork", "compressor",
    "contraction", "convolutional", "convolutional_series", "get_prior", "jacobian_norm", "kernel_scales", "load",
    "meanings", "pretrain", "save",
]
