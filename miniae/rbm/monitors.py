"""Callbacks that watch a restricted Boltzmann machine learn, where the reconstruction error tells little.

    rbm.fit(X, callbacks=[FreeEnergyGap(X[:1000], held_out), PseudoLikelihood(held_out > 0.5), Activity(held_out)])

Each adds its numbers to the epoch's row of the history, for `report.monitors` to draw. They need the trainer's model
to be a `Machine`, and raise `TypeError` before training where it is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.rbm.machine import Machine
from miniae.rbm.rbm import pseudo_likelihood, rows, visible_states
from miniae.training import Callback, Trainer

__all__ = ["MONITORED", "Activity", "FreeEnergyGap", "Monitor", "PseudoLikelihood"]

MONITORED = ("free_energy_gap", "pseudo_likelihood", "hidden_activity", "hidden_off", "hidden_on")
"""The names that monitors add to a history."""


class Monitor(Callback):
    """Adds what `measure` finds after an epoch to the epoch's row. `data`: arrays (N, visible) by name."""

    only_device = True

    def __init__(self, **data: Any):
        self.data = data

    def measure(self, machine: Machine, *args: Any, **states: Any) -> dict[str, float]:
        """Numbers by name, from the data as states of the machine's visible units."""
        raise NotImplementedError

    def on_train_begin(self, trainer: Trainer) -> None:
        machine = trainer.model
        if not isinstance(machine, Machine):
            raise TypeError(f"{type(self).__name__} watches the Machine of an RBM, this trainer trains a "
                            f"{type(machine).__name__}")
        self._states = {name: visible_states(machine, X, name) for name, X in self.data.items()}
        self.measure(machine, **self._states)  # what can't be measured fails now, not after an epoch

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        logs |= self.measure(trainer.model, **self._states)


class FreeEnergyGap(Monitor):
    """`free_energy_gap` = mean F(held-out data) - mean F(a part of the training data), in nats.

    As log Z is in both, the gap compares their log-likelihoods without it. Near 0 the machine treats new data like
    old; a gap that grows is overfitting. Hinton, "A practical guide to training RBMs", 2010, section 6.
    """

    def __init__(self, train_subset: Any, held_out: Any):
        super().__init__(train_subset=train_subset, held_out=held_out)

    def measure(self, machine: Machine, train_subset: np.ndarray, held_out: np.ndarray) -> dict[str, float]:
        old, new = (rows(machine, machine.free_energy, X).mean(dtype=np.float64) for X in (train_subset, held_out))
        return {"free_energy_gap": float(new - old)}


class PseudoLikelihood(Monitor):
    """`pseudo_likelihood`: the mean of `RBM.pseudo_likelihood` over X, states 0 and 1, in nats a sample.

    The same units are flipped after every epoch, so that the curve shows learning and not the draw.
    """

    def __init__(self, X: Any, seed: int = 0):
        super().__init__(X=X)
        self.seed = seed

    def measure(self, machine: Machine, X: np.ndarray) -> dict[str, float]:
        return {"pseudo_likelihood": float(pseudo_likelihood(machine, X, self.seed).mean(dtype=np.float64))}


class Activity(Monitor):
    """`hidden_activity`, the mean of E[h | v] over X and all units, and the shares of units that carry nothing:

    `hidden_off` of those with a mean over X below `margin`, `hidden_on` of those with one above 1 - `margin`. For
    hidden units with states in [0, 1]; raises `ValueError` before training for others. Hinton 2010, section 11.
    """

    def __init__(self, X: Any, margin: float = 0.01):
        if not 0 <= margin < 0.5:
            raise ValueError(f"margin is {margin}, expected a mean activity from 0 to below 0.5")
        super().__init__(X=X)
        self.margin = margin

    def measure(self, machine: Machine, X: np.ndarray) -> dict[str, float]:
        if not machine.hidden_units.unit_interval:
            raise ValueError(f"Activity counts units that are always off or on, {machine.hidden_units.name} hidden "
                             "units never are: leave it out")
        activity = rows(machine, machine.hidden_mean, X).mean(axis=0, dtype=np.float64)
        return {"hidden_activity": float(activity.mean()), "hidden_off": float((activity < self.margin).mean()),
                "hidden_on": float((activity > 1.0 - self.margin).mean())}
