"""Small data that have something to learn."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.autodiff import Tensor
from miniae.backend import get
from miniae.optim import Adam


@pytest.fixture
def blobs() -> np.ndarray:
    """150 samples of 12 features in [0, 1], near a plane of 3 dimensions."""
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((150, 3))
    x = codes @ rng.standard_normal((3, 12)) + 0.05 * rng.standard_normal((150, 12))
    return (1 / (1 + np.exp(-x))).astype(np.float32)


@pytest.fixture
def eager_and_replayed():
    """A function of (make, x): the network make(backend) after 5 steps of Adam on NumPy, and after 2 and 3 replays of
    a recorded one on the strict backend, which refuses to record what allocates; every step is on the batch x."""
    def made(make, x, be):
        network = make(be)
        optimizer, batch = Adam(network.parameters(), lr=0.01), Tensor(x, dtype="float32", backend=be)

        def step():
            optimizer.zero_grad()
            first, *others = network.loss_terms(batch).values()
            sum(others, first).backward()
            optimizer.step()

        return network, step

    def both(make, x):
        (eager, step), (recorded, to_record) = (made(make, x, get(name)) for name in ("numpy", "strict"))
        for _ in range(5):
            step()
        replay = get("strict").capture(to_record, warmup=2)
        for _ in range(3):
            replay()
        return eager, recorded

    return both
