"""Whole models on a backend beside the same on NumPy: gradients, loss curves, and replayed training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from miniae.autodiff import Tensor
from miniae.backend import Backend
from miniae.backend.philox import host_generator
from miniae.gpucheck.kernels import error
from miniae.models import (
    Autoencoder,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    VariationalAutoencoder,
    compressor,
)
from miniae.optim import Adam, Momentum
from miniae.rbm import RBM
from miniae.training import Trainer

__all__ = ["MODELS", "check_curve", "check_gradients", "check_replay", "images", "trainer_of"]


def _compressor(**settings: Any) -> Autoencoder:
    encoder, decoder = compressor(sample_shape=(784,))
    return Autoencoder(encoder=encoder, decoder=decoder, **settings)


MODELS: dict[str, Callable[..., Any]] = {
    "dense": lambda **settings: Autoencoder([128], 32, loss="bce", **settings),
    "convolutional": lambda **settings: _compressor(loss="mse", **settings),
    "convolutional, strided": lambda **settings: ConvolutionalAutoencoder((4, 8), 10, image_shape=(28, 28), **settings),
    "denoising": lambda **settings: DenoisingAutoencoder([128], 32, noise="masking", level=0.3, **settings),
    "variational": lambda **settings: VariationalAutoencoder([100], 20, loss="bce", **settings),
    "rbm": lambda **settings: RBM(200, **settings),
}
"""Estimators of 784 pixels, by name; arguments are theirs."""


def images(n: int, stream: str = "images") -> np.ndarray:
    """Samples (n, 784) in [0, 1]: three blurred dots each, a little like digits."""
    rng = host_generator(0, stream)
    dots = rng.uniform(7, 21, (n, 3, 2, 1))
    lines = np.exp(-((np.arange(28) - dots) / 3) ** 2)
    return (np.einsum("nki,nkj->nij", lines[:, :, 0], lines[:, :, 1]) / 3).reshape(n, 784).astype("float32")


def network_of(name: str, be: Backend, X: np.ndarray, dtype: str = "float32", **settings: Any) -> Any:
    """The untrained network of a model, or the machine of an RBM: the same weights on every backend."""
    model = MODELS[name](backend=be, dtype=dtype, epochs=0, **settings).fit(X)
    return model.machine_ if isinstance(model, RBM) else model.network_


def trainer_of(name: str, be: Backend, X: np.ndarray, batch: int) -> Trainer:
    """A trainer of such a network: Adam, or for an RBM gradient descent with momentum."""
    network = network_of(name, be, X)
    parameters = network.parameters()
    optimizer = Momentum(parameters, lr=0.1, momentum=0.5) if name == "rbm" else Adam(parameters, lr=1e-3)
    return Trainer(network, optimizer, batch_size=batch)


def check_gradients(name: str, gpu: Backend, cpu: Backend, batch: int = 16) -> float:
    """The largest difference of a model's gradients in float64, relative to each parameter's largest one.

    An RBM's is that of contrastive divergence: its update, but for the rate.
    """
    X = images(batch)
    gradients = []
    for be in (gpu, cpu):
        network = network_of(name, be, X, "float64")
        network.train(True)
        loss, *others = network.loss_terms(Tensor(X.astype("float64"), backend=be)).values()
        for term in others:
            loss = loss + term
        loss.backward()
        gradients.append([be.to_host(p.grad) for p in network.parameters()])
    return max(error(ours, theirs) for ours, theirs in zip(*gradients, strict=True))


def loss_curve(name: str, be: Backend, X: np.ndarray, steps: int) -> Iterator[float]:
    """The loss of each of so many training steps in float32, each on the next part of X."""
    batch = len(X) // steps
    trainer = trainer_of(name, be, X[:batch], batch)
    for part in np.split(X[:steps * batch], steps):  # an epoch of one batch gives that batch's loss
        yield trainer.fit(part, trainer.epoch + 1)[-1]["loss"]


def check_curve(name: str, gpu: Backend, cpu: Backend, steps: int = 100, batch: int = 128) -> dict[str, Any]:
    """The losses of the first steps on both, and their `largest_difference`, relative to the loss on the CPU."""
    X = images(steps * batch)
    ours, theirs = (np.array(list(loss_curve(name, be, X, steps))) for be in (gpu, cpu))
    difference = np.abs(ours - theirs) / np.abs(theirs)
    return {"steps": steps, "largest_difference": float(difference.max()), "at_step": int(difference.argmax()) + 1,
            "first": [float(ours[0]), float(theirs[0])], "last": [float(ours[-1]), float(theirs[-1])]}


def check_replay(name: str, be: Backend, epochs: int = 3, batches: int = 20, batch: int = 32) -> dict[str, Any]:
    """Whether training with and without `Trainer.replay` leaves the same bits: over several epochs, each of whole
    batches and a smaller one. `replayed` says how many steps were replayed, `graphed` how many of them as a graph
    of the device, if it `has_graphs`."""
    X = images(batches * batch + batch // 3)
    states, losses = [], []
    for replay in (True, False):
        trainer = trainer_of(name, be, X, batch)
        trainer.replay = replay
        losses.append([row["loss"] for row in trainer.fit(X, epochs)])
        states.append([be.to_host(p._data) for p in trainer.model.parameters()]
                      + [np.asarray(v) for v in _arrays(trainer.optimizer.state_dict())])
        if replay:
            counted = {"replayed": trainer.replays.replayed, "graphed": trainer.replays.graphed,
                       "not_replayed": trainer.replays.not_replayed, "has_graphs": type(be).graph is not Backend.graph}
    same = losses[0] == losses[1] and all(a.tobytes() == b.tobytes() for a, b in zip(*states, strict=True))
    return {"same_bits": same, "steps": epochs * (batches + 1), **counted}


def _arrays(state: Any) -> Sequence[Any]:
    """The values of a state, in the order of their names."""
    return [state[name] for name in sorted(state)]
