"""One training step of a dense autoencoder, and one epoch of an RBM, beside PyTorch and scikit-learn.

    python benchmarks/speed.py          writes benchmarks/results/speed.json

The libraries take turns in one process, with the same data, sizes, precision (float32) and number of threads; medians.
"""

import statistics
import time

import numpy as np
import torch
from results import write
from sklearn.neural_network import BernoulliRBM

from miniae import RBM
from miniae.data import load
from miniae.models import AutoencoderNetwork
from miniae.nn import Build, Dense, Sequential
from miniae.optim import Adam
from miniae.training import Trainer

SIZES, BATCH, ROUNDS = [784, 128, 64, 32, 64, 128, 784], 128, 11
X = load("digits").train
steps = -(-len(X) // BATCH)


def ours():
    layers = [Dense(n, "relu") for n in SIZES[1:-1]]
    network = AutoencoderNetwork(Sequential(layers[:3]), Sequential([*layers[3:], Dense(784)]), "mse", "sigmoid")
    network.build((784,), Build())
    trainer = Trainer(network, Adam(network.parameters(), lr=1e-3), batch_size=BATCH)
    return lambda: trainer.fit(X, trainer.epoch + 1)


def pytorch(**adam):
    parts = [torch.nn.Linear(SIZES[0], SIZES[1])]
    for a, b in zip(SIZES[1:], SIZES[2:], strict=False):
        parts += [torch.nn.ReLU(), torch.nn.Linear(a, b)]
    model = torch.nn.Sequential(*parts, torch.nn.Sigmoid())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **adam)
    data = torch.tensor(X)

    def epoch():
        order = torch.randperm(len(data))
        for i in range(0, len(data), BATCH):
            x = data[order[i:i + BATCH]]
            loss = ((model(x) - x) ** 2).sum() / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return epoch


def alternate(contestants, divide):
    """Median milliseconds of each, the contestants taking turns."""
    times = {name: [] for name in contestants}
    for i in range(ROUNDS + 1):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            if i:  # the first round warms up
                times[name].append((time.perf_counter() - began) * 1e3 / divide)
    return {name: statistics.median(t) for name, t in times.items()}


def products(batch):
    """The five matrix products of a Gibbs step and its gradient, and nothing else: no RBM can be faster than these."""
    v, w, h = (np.ones(shape, np.float32) for shape in ((batch, X.shape[1]), (X.shape[1], 500), (batch, 500)))
    up, down, gradient = np.empty_like(h), np.empty_like(v), np.empty_like(w)

    def epoch():
        for _ in range(0, len(X), batch):
            np.matmul(v, w, out=up)
            np.matmul(h, w.T, out=down)
            np.matmul(v, w, out=up)
            np.matmul(v.T, h, out=gradient)
            np.matmul(v.T, h, out=gradient)
    return epoch


dense = alternate({"miniae": ours(), "pytorch": pytorch(), "pytorch_fused": pytorch(fused=True)}, steps)
results = {f"dense_step_ms_{k}": v for k, v in dense.items()}
doubles = X.astype(np.float64)  # what dividing bytes by 255 gives, and what scikit-learn then computes in
alike = {"momentum": (0, 0), "weight_cost": 0, "epochs": 1}  # scikit-learn's RBM has neither
for batch in (10, 100):
    rbm = alternate({
        "products": products(batch),
        "miniae": lambda b=batch: RBM(500, batch_size=b, **alike).fit(X),
        "miniae_persistent": lambda b=batch: RBM(500, batch_size=b, persistent=True, **alike).fit(X),
        "miniae_default": lambda b=batch: RBM(500, batch_size=b, epochs=1).fit(X),
        "scikit_learn": lambda b=batch: BernoulliRBM(500, n_iter=1, batch_size=b).fit(X),
        "scikit_learn_float64": lambda b=batch: BernoulliRBM(500, n_iter=1, batch_size=b).fit(doubles)}, 1)
    results |= {f"rbm_{batch}_epoch_ms_{k}": v for k, v in rbm.items()}
results["threads"] = torch.get_num_threads()
for name, value in results.items():
    print(f"{name:32s} {value:.3g}")
assert np.isfinite(list(results.values())).all()
write("speed", results)
