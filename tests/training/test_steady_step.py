"""A training step that has found its buffers makes no array: what is left is small change.

That is Python's own objects, and the buffers of 8,192 elements in which NumPy converts a type on its way.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from miniae.models import Autoencoder, VariationalAutoencoder, compressor
from miniae.training import Callback

BATCH = 1024
SMALL = 150_000  # bytes: fewer than those of the smallest array with a row a sample below, 1024 x 50 float32


class Peaks(Callback):
    """How much memory each batch took on its way, beyond what was there before it."""

    def __init__(self):
        self.peaks = []

    def on_epoch_begin(self, trainer):
        tracemalloc.start()

    def on_batch_end(self, trainer, batch):
        now, peak = tracemalloc.get_traced_memory()
        self.peaks.append(peak - self.before if batch else None)
        self.before = now
        tracemalloc.reset_peak()

    def on_epoch_end(self, trainer, logs):
        tracemalloc.stop()


def convolutional(loss):
    encoder, decoder = compressor((1, 12, 12))
    return Autoencoder(encoder=encoder, decoder=decoder, loss=loss, epochs=1, batch_size=BATCH)


@pytest.mark.parametrize("make", [
    lambda: Autoencoder([100, 60], 50, activation="relu", epochs=1, batch_size=BATCH),
    lambda: Autoencoder([100], 50, activation="tanh", loss="bce", optimizer="momentum", epochs=1, batch_size=BATCH),
    lambda: Autoencoder([100], 50, activation="sigmoid", tied=True, dropout=0.2, epochs=1, batch_size=BATCH),
    lambda: VariationalAutoencoder([100], 50, activation="relu", binarise=True, epochs=1, batch_size=BATCH),
    lambda: convolutional("mse"),
    lambda: convolutional("bce"),
], ids=["relu", "cross-entropy", "tied, dropout", "variational", "convolutional", "convolutional, cross-entropy"])
@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
def test_a_steady_step_makes_no_array(make):
    X = np.random.default_rng(0).random((BATCH * 6, 144), np.float32)
    model, peaks = make(), Peaks()
    if model.encoder is not None:
        X = X.reshape(-1, 1, 12, 12)
    model.fit(X, callbacks=[peaks])
    assert len(peaks.peaks) == 6
    assert max(peaks.peaks[2:]) < SMALL, peaks.peaks
