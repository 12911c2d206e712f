"""What a run on a table does by default, where that is something else than on images.

Images have hundreds of pixels and come by the thousand; a table may have ten columns and a few hundred rows. There

    an epoch is a few batches only    so batches are smaller, and there are as many epochs as UPDATES updates take,
    columns are few                   so the code has the square root of their number, behind one hidden layer,
    RBMs have little to go by         so there is no pretraining, and hidden units are ELUs: smoother than ReLUs
                                      between few rows.

What is given is always as it was given. The README ("Tables") has the figures that this was chosen by;
`benchmarks/own_tables.py` measures them.
"""

from __future__ import annotations

import math
from typing import Any

from miniae.tasks.config import RunConfig
from miniae.training import epochs_for

__all__ = ["ACTIVATION", "BY_BATCH", "FOR_TABLES", "UPDATES", "batch_for", "for_table", "layers_for"]

UPDATES = 2000
"""How many updates a model of a table is trained by, at least, where no number of epochs is given."""

_SMALLEST, _LARGEST = 16, 128  # batches, which between these leave so many updates an epoch:
_AN_EPOCH = 100
_HIDDEN, _CODE = 64, 16  # the hidden layer, and the largest code
_WIDE = 256  # columns from which on the layers are those for images
ACTIVATION = "elu"

# Kinds whose code is to be shorter than a sample. (Denoising ones are kept from copying by noise, and do better with
# the larger layers; the bits of a hash are to be many.)
_SHORT_CODES = ("autoencoder", "variational", "conditional", "adversarial", "wasserstein")
BY_BATCH = ("sparse",)  # the mean activity of a batch is part of its loss: it is to be of many samples

FOR_TABLES = {
    "layers": f"{_HIDDEN} and the square root of the number of columns, {_CODE} at most, for {', '.join(_SHORT_CODES)} "
              f"of less than {_WIDE} columns",
    "activation": f"{ACTIVATION} for autoencoder",
    "pretrain": "none, unless --pretrain-epochs asks for it",
    "epochs": f"as many as make {UPDATES:,} updates, if these are more",
    "batch_size": f"a hundredth of the samples, from {_SMALLEST} to {_LARGEST}, but for {', '.join(BY_BATCH)}",
}
"""What `for_table` does, in words, by setting."""


def for_table(config: RunConfig, rows: int, columns: int) -> RunConfig:
    """The settings of a run on a table of so many columns, and rows to train on: what was left open as tables ask for
    it, and all else as it was."""
    best: dict[str, Any] = {}
    if config.model not in BY_BATCH:
        best["batch_size"] = batch_for(rows)
    if config.model in _SHORT_CODES and columns < _WIDE:
        best["layers"] = layers_for(columns)
    if config.model == "autoencoder":
        if {"pretrain", "pretrain_epochs"} <= config.left_open:
            best["pretrain"] = "none"
        if config.pretrain == "none" or "pretrain" in best:  # units that are pretrained are sigmoids
            best["activation"] = ACTIVATION
    config = config.but(**{name: value for name, value in best.items() if name in config.left_open})
    if "epochs" not in config.left_open or config.epochs is None or config.batch_size is None:
        return config
    return config.but(epochs=max(config.epochs, epochs_for(UPDATES, rows, config.batch_size)))


def batch_for(rows: int) -> int:
    """How many of so many rows make a batch: few enough for some updates an epoch."""
    return min(max(rows // _AN_EPOCH, _SMALLEST), _LARGEST)


def layers_for(columns: int) -> tuple[int, int]:
    """A hidden layer and a code for so many columns."""
    return _HIDDEN, min(max(round(math.sqrt(columns)), 1), _CODE)
