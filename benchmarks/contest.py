"""What the benchmarks of speed share: models, their training by the library, and turns that contestants take."""

import statistics
import time

from miniae.models import Autoencoder, VariationalAutoencoder
from miniae.models.convolutional import compressor
from miniae.optim import Adam, Momentum
from miniae.rbm import RBM
from miniae.training import Trainer

DENSE = {
    "784-32-784": [784, 32, 784],
    "784-128-64-128-784": [784, 128, 64, 128, 784],
    "784-128-64-32-64-128-784": [784, 128, 64, 32, 64, 128, 784],
    "784-1000-500-250-30": [784, 1000, 500, 250, 30, 250, 500, 1000, 784],
}
CONVOLUTIONAL = "convolutional 16-8-8"
BOLTZMANN = "RBM 784-500, CD-1"
VARIATIONAL = "variational 784-400-20"


def trainer_of(name, X, batch, backend=None, dtype="float32", callbacks=()):
    """The library's trainer of a model, not yet trained, for samples like X."""
    settings = {"epochs": 0, "backend": backend, "dtype": dtype}
    others = {"batch_size": batch, "callbacks": callbacks}
    if name == BOLTZMANN:
        machine = RBM(500, **settings).fit(X).machine_
        return Trainer(machine, Momentum(machine.parameters(), lr=0.1, momentum=0.5), **others)
    if name in DENSE:
        sizes = DENSE[name]
        middle = len(sizes) // 2
        model = Autoencoder(sizes[1:middle], sizes[middle], activation="relu", code_activation="relu",
                            output_activation="sigmoid", loss="mse", **settings)
    elif name == CONVOLUTIONAL:
        encoder, decoder = compressor((1, 28, 28))
        model = Autoencoder(encoder=encoder, decoder=decoder, loss="mse", **settings)
    else:
        model = VariationalAutoencoder([400], 20, activation="relu", loss="bce", **settings)
    network = model.fit(shaped(name, X)).network_
    return Trainer(network, Adam(network.parameters(), lr=1e-3), **others)


def shaped(name, X):
    """X (N, 784) as the model takes it."""
    return X.reshape(-1, 1, 28, 28) if name == CONVOLUTIONAL else X


def take_turns(epochs, steps, turns, synchronize=lambda: None):
    """Milliseconds a step of each: (first quartile, median, third quartile).

    `synchronize` waits for what a turn has begun on a device.
    """
    times = {name: [] for name in epochs}
    for turn in range(turns + 1):
        for name, epoch in epochs.items():
            synchronize()
            began = time.perf_counter()
            epoch()
            synchronize()
            if turn:  # the first warms up
                times[name].append((time.perf_counter() - began) * 1e3 / steps)
    return {name: statistics.quantiles(t, n=4) for name, t in times.items()}
