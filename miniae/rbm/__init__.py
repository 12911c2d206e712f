"""Restricted Boltzmann machines."""

from miniae.rbm.divergence import ContrastiveDivergence
from miniae.rbm.machine import Machine
from miniae.rbm.rbm import RBM
from miniae.rbm.units import UNITS, Bernoulli, Gaussian, GaussianLearned, Rectified, Softmax, Units, get_units

__all__ = ["RBM", "UNITS", "Bernoulli", "ContrastiveDivergence", "Gaussian", "GaussianLearned", "Machine",
           "Rectified", "Softmax", "Units", "get_units"]
