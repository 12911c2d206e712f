"""Restricted Boltzmann machines.

`RBM` is trained and used like other models. Below it are the `Machine`, an energy with its conditionals, its training
by `ContrastiveDivergence`, what tells how good it is (`annealed_importance_sampling`, `exact_log_partition`,
`PartitionEstimate`), monitors (`PseudoLikelihood`, `FreeEnergyGap`, `Activity`), and kinds of units: `Bernoulli`,
`Gaussian`, `GaussianLearned`, `Rectified`, `Softmax`. `pretrain` of `miniae.models` puts machines on one another.
"""

from miniae.rbm.divergence import ContrastiveDivergence
from miniae.rbm.machine import Machine
from miniae.rbm.monitors import Activity, FreeEnergyGap, Monitor, PseudoLikelihood
from miniae.rbm.partition import PartitionEstimate, annealed_importance_sampling, exact_log_partition
from miniae.rbm.rbm import RBM
from miniae.rbm.units import UNITS, Bernoulli, Gaussian, GaussianLearned, Rectified, Softmax, Units, get_units

__all__ = [
    "RBM", "UNITS", "Activity", "Bernoulli", "ContrastiveDivergence", "FreeEnergyGap", "Gaussian", "GaussianLearned",
    "Machine", "Monitor", "PartitionEstimate", "PseudoLikelihood", "Rectified", "Softmax", "Units",
    "annealed_importance_sampling", "exact_log_partition", "get_units",
]
