"""One training step of a variational autoencoder, 784-200-200-50, batch 100, with fresh binary pixels, on the CPU.

    OMP_NUM_THREADS=1 python benchmarks/vae_speed.py       writes benchmarks/results/vae_speed.json

Beside it the same step in PyTorch. Processor time, so that other programs disturb less; medians over blocks of 50 steps
that take turns in one process. Also the time of 5,000 importance samples of a test image.
"""

import os
import time
import warnings

import numpy as np
import torch
from results import write

from miniae.autodiff import Tensor
from miniae.backend import get, use_backend
from miniae.backend.arena import Arena
from miniae.data import load
from miniae.models import PosteriorCollapse, VariationalAutoencoder
from miniae.optim import Adam

BLOCKS, STEPS = 12, 50
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
data = load("mnist")
x = np.ascontiguousarray(data.train[:100])


def miniae_steps():
    """Steps as the trainer makes them: in an arena."""
    be = get("numpy")
    with use_backend(be):
        model = VariationalAutoencoder([200, 200], 50, activation="tanh", epochs=0, binarise=True, batch_size=100)
        network = model.fit(x).network_.train()
    optimizer, arena, rows = Adam(network.parameters(), lr=1e-3), Arena(be.xp.empty), Tensor(x, backend=be)

    def step():
        with be.arena(arena), be.silent():
            optimizer.zero_grad()
            terms = network.loss_terms(rows)
            (terms["reconstruction"] + terms["kl"]).backward()
            optimizer.step()
    return step, model


def pytorch_steps():
    nn = torch.nn
    encoder = nn.Sequential(nn.Linear(784, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 100))
    decoder = nn.Sequential(nn.Linear(50, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 784))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    rows = torch.tensor(x)

    def step():
        pixels = torch.bernoulli(rows)
        mean, log_variance = encoder(pixels).chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        loss = nn.functional.binary_cross_entropy_with_logits(decoder(z), pixels, reduction="sum") / len(pixels)
        loss = loss + 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum() / len(pixels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return step


ours, model = miniae_steps()
steps = {"miniae": ours, "pytorch_fused": pytorch_steps()}
times = {name: [] for name in steps}
for _ in range(BLOCKS):
    for name, step in steps.items():
        step()
        began = time.process_time()
        for _ in range(STEPS):
            step()
        times[name].append((time.process_time() - began) / STEPS)
results = {f"step_ms_{name}": 1000 * float(np.median(values)) for name, values in times.items()}
binary = (data.test[:20] > 0.5).astype(np.float32)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", PosteriorCollapse)
    began = time.process_time()
    model.log_likelihood(binary)
results["likelihood_ms_an_image"] = 1000 * (time.process_time() - began) / len(binary)
results["threads"] = torch.get_num_threads()
for name, value in results.items():
    print(f"{name:32s} {value:.4g}")
write("vae_speed", results)
