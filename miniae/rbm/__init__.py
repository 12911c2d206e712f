"""Restricted Boltzmann machines."""

from miniae.rbm.divergence import ContrastiveDivergence
from miniae.rbm.machine import Machine
from miniae.rbm.monitors import Activity, FreeEnergyGap, Monitor, PseudoLikelihood
from miniae.rbm.partition import PartitionEstimate, annealed_importance_sampling, exact_log_partition
from miniae.rbm.rbm import RBM
from miniae.rbm.units import UNITS, Bernoulli, Gaussian, get_units

__all__ = [
    "RBM", "UNITS", "Activity", "Bernoulli", "ContrastiveDivergence", "FreeEnergyGap", "Gaussian", "Machine", "Monitor",
    "PartitionEstimate", "PseudoLikelihood", "annealed_importance_sampling", "exact_log_partition", "get_units",
]
