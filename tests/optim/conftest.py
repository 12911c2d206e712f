"""A small problem whose gradient is known: every optimizer descends it."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.nn.parameter import Parameter


class Problem:
    """f(p) = p'Ap / 2 - b'p + sum of cos(p), over the elements of a matrix and a vector laid end to end."""

    shapes = ((3, 4), (5,))

    def __init__(self):
        rng = np.random.default_rng(3)
        root = rng.standard_normal((17, 17))
        self.a, self.b = root @ root.T / 17, rng.standard_normal(17)
        self.start = [rng.standard_normal(shape) for shape in self.shapes]

    def gradients(self, values: list[np.ndarray]) -> list[np.ndarray]:
        """The gradient with respect to each array."""
        p = np.concatenate([v.reshape(-1).astype("float64") for v in values])
        g = self.a @ p - self.b - np.sin(p)
        return [g[:12].reshape(3, 4), g[12:]]

    def parameters(self, backend, dtype: str = "float64") -> list[Parameter]:
        return [Parameter(v, f"p{i}", dtype, backend) for i, v in enumerate(self.start)]

    def put_gradients(self, parameters: list[Parameter]) -> None:
        """Leave the gradient in the parameters, as backward would."""
        for p, g in zip(parameters, self.gradients([p.numpy() for p in parameters]), strict=True):
            p.grad = p.backend.asarray(g, p.dtype)

    def descend(self, optimizer, steps: int) -> list[np.ndarray]:
        """All parameters after each of these steps, one flat array a step."""
        path = []
        for _ in range(steps):
            optimizer.zero_grad()
            self.put_gradients(optimizer.parameters)
            optimizer.step()
            path.append(np.concatenate([p.numpy().reshape(-1) for p in optimizer.parameters]))
        return path


@pytest.fixture
def problem() -> Problem:
    return Problem()
