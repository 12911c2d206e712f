"""A training step of a dense autoencoder as a bare loop over preallocated arrays: what a library should cost.

The same mathematics as in `miniae`: ReLU layers, a sigmoid, the squared error summed over pixels and averaged over the
batch, and Adam, with nothing between it and NumPy: no tape, no classes, no choice of anything.
"""

from __future__ import annotations

import numpy as np


def training(sizes, X, batch, lr=1e-3, seed=0):
    """A function that makes one epoch over X, the batches shuffled; whole batches only."""
    rng = np.random.default_rng(seed)
    layers = list(zip(sizes, sizes[1:], strict=False))
    count = sum(a * b + b for a, b in layers)
    p, g, m, v, scratch = (np.zeros(count, np.float32) for _ in range(5))
    W, B, gW, gB = [], [], [], []
    at = 0
    for a, b in layers:
        for flat, weights, biases in ((p, W, B), (g, gW, gB)):
            weights.append(flat[at:at + a * b].reshape(a, b))
            biases.append(flat[at + a * b:at + a * b + b])
        W[-1][...] = rng.uniform(-1, 1, (a, b)) * np.sqrt(6 / (a + b))
        at += a * b + b
    x = np.empty((batch, sizes[0]), np.float32)
    h = [np.empty((batch, n), np.float32) for n in sizes[1:]]
    gh = [np.empty((batch, n), np.float32) for n in sizes[1:]]
    mask = [np.empty((batch, n), np.float32) for n in sizes[1:]]
    steps = [0]

    def step(rows):
        np.take(X, rows, axis=0, out=x, mode="clip")
        below = x
        for i in range(len(W)):
            np.matmul(below, W[i], out=h[i])
            np.add(h[i], B[i], out=h[i])
            if i < len(W) - 1:
                np.maximum(h[i], 0, out=h[i])
            below = h[i]
        y, gy = h[-1], gh[-1]
        np.negative(y, out=y)
        np.exp(y, out=y)
        np.add(y, 1, out=y)
        np.divide(1, y, out=y)
        np.subtract(y, x, out=gy)
        loss = float(np.vdot(gy, gy)) / batch
        np.multiply(gy, 2 / batch, out=gy)
        np.multiply(gy, y, out=gy)
        np.subtract(1, y, out=y)
        np.multiply(gy, y, out=gy)
        for i in reversed(range(len(W))):
            np.matmul((h[i - 1] if i else x).T, gh[i], out=gW[i])
            np.sum(gh[i], axis=0, out=gB[i])
            if i:
                np.matmul(gh[i], W[i].T, out=gh[i - 1])
                np.greater(h[i - 1], 0, out=mask[i - 1])
                np.multiply(gh[i - 1], mask[i - 1], out=gh[i - 1])
        adam()
        return loss

    def adam():
        steps[0] += 1
        w1, root = (1 - 0.9 ** steps[0]) / 0.1, np.sqrt((1 - 0.999 ** steps[0]) / 0.001)
        np.multiply(m, 0.9, out=m)
        np.add(m, g, out=m)
        np.multiply(g, g, out=scratch)
        np.multiply(v, 0.999, out=v)
        np.add(v, scratch, out=v)
        np.sqrt(v, out=scratch)
        np.add(scratch, 1e-8 * root, out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, lr * root / w1, out=scratch)
        np.subtract(p, scratch, out=p)

    def epoch():
        order = rng.permutation(len(X))
        total = 0.0
        for i in range(0, len(X) - batch + 1, batch):
            total += step(order[i:i + batch])
        return total / (len(X) // batch)
    return epoch
