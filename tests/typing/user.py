"""What someone writes who uses the library: a type checker knows what all of it gives, in its strictest mode.

Lines that end in `type: ignore` are mistakes that it has to find: without one, the comment itself is an error.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import miniae
from miniae import RBM, AnomalyDetector, Autoencoder, Classifier, Function, Tensor, VariationalAutoencoder
from miniae import functions as F
from miniae.data import Dataset
from miniae.models import DenoisingAutoencoder
from miniae.nn import Dense, Layer, Parameter, Sequential
from miniae.optim import Adam
from miniae.training import Callback, EarlyStopping, Trainer

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:
    def assert_type(value: Any, kind: Any) -> Any:
        return value


class Scale(Layer):
    """y = x * s."""

    def make(self, input_shape: tuple[int, ...]) -> None:
        self.scale = self.add_parameter("scale", np.ones(input_shape))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Cube(Function):
    """y = x^3.   dL/dx = 3 x^2 dL/dy."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        return x * x * x

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return 3.0 * x * x * gy


class Losses(Callback):
    """Notes the loss of every epoch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        self.seen.append(logs["loss"] / trainer.epochs)


def tensors() -> None:
    x = Tensor(np.ones((4, 3)), requires_grad=True)
    y = (2.0 * x + x @ np.eye(3) - x / 3) ** 2
    assert_type(y, Tensor)
    assert_type(F.relu(y), Tensor)
    assert_type(F.conv2d(np.ones((1, 1, 5, 5)), np.ones((2, 1, 3, 3))), Tensor)
    assert_type(y.T[0], Tensor)
    assert_type(y.shape, tuple[int, ...])
    assert_type(y.numpy(), np.ndarray)
    loss = Cube()(y).sum() + F.squared_error(y, np.zeros((4, 3)))
    assert_type(loss, Tensor)
    loss.backward()
    with miniae.no_grad(), miniae.use_backend("numpy"):
        assert_type(y.mean(axis=0), Tensor)


def layers() -> None:
    model = Sequential([Dense(8, "relu"), Scale(), Dense(2)])
    assert_type(model.build((3,)), tuple[int, ...])
    assert_type(model(np.ones((4, 3))), Tensor)
    assert_type(model.parameters(), list[Parameter])
    optimizer = Adam(model.parameters(), lr=1e-3)
    optimizer.zero_grad()
    F.squared_error(model(np.ones((4, 3))), np.zeros((4, 2))).backward()
    optimizer.step()
    assert_type(optimizer.lr, float)


def models(folder: Path) -> None:
    digits = miniae.data.load("digits")
    assert_type(digits, Dataset)
    X = digits.train[:100]
    assert_type(X, np.ndarray)
    losses = Losses()
    model = Autoencoder(hidden=[16], code=4, epochs=2).fit(X, validation=X, callbacks=[losses, EarlyStopping(5)])
    assert_type(model, Autoencoder)
    assert_type(model.transform(X), np.ndarray)
    assert_type(model.reconstruct(X), np.ndarray)
    assert_type(model.score(X), float)
    assert_type(model.history_, list[dict[str, float]])
    assert_type(losses.seen, list[float])
    assert_type(model.classifier(epochs=1).fit(X, digits.train_labels[:100] if digits.train_labels is not None else 0),
                Classifier)
    model.save(folder / "model.safetensors")
    again: Autoencoder = miniae.load(folder / "model.safetensors")
    assert_type(again.set_params(lr=1e-4), Autoencoder)

    denoising = DenoisingAutoencoder([16], 4, epochs=1).fit(X).partial_fit(X)
    assert_type(denoising, DenoisingAutoencoder)
    assert_type(denoising.denoise(X), np.ndarray)
    variational = VariationalAutoencoder([16], 2, epochs=1, warmup=1).fit(X)
    assert_type(variational.sample(3, seed=1), np.ndarray)
    assert_type(variational.elbo(X), np.ndarray)

    rbm = RBM(8, epochs=1).fit(X).partial_fit(X)
    assert_type(rbm, RBM)
    assert_type(rbm.transform(X), np.ndarray)
    deep = miniae.pretrain(X, [X.shape[1], 16, 4], epochs=1).unroll(epochs=1)
    assert_type(deep.fit(X).encoder_, Layer)


def tasks(folder: Path) -> None:
    X = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    detector = AnomalyDetector(updates=20).fit(X).partial_fit(X)
    assert_type(detector, AnomalyDetector)
    assert_type(detector.predict(X), np.ndarray)
    assert_type(detector.threshold_, float)
    detector.save(folder / "detector.safetensors")
    assert_type(AnomalyDetector.load(folder / "detector.safetensors"), AnomalyDetector)


def mistakes(model: Autoencoder, x: Tensor) -> None:
    Autoencoder(hidden=16)  # type: ignore[arg-type]
    Autoencoder(layers=[16])  # type: ignore[call-arg]
    model.encode(x)  # type: ignore[attr-defined]
    model.fit(x).reconstructed  # type: ignore[attr-defined]  # noqa: B018
    model.transform()  # type: ignore[call-arg]
    model.save(3)  # type: ignore[arg-type]
    F.relu(x, slope=2)  # type: ignore[call-arg]
    x + 1 < 2  # type: ignore[operator]  # noqa: B015
    Dense("ten")  # type: ignore[arg-type]
    Trainer(x, Adam([], lr=1e-3))  # type: ignore[arg-type]
    miniae.data.load(3)  # type: ignore[arg-type]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        tensors()
        layers()
        models(Path(name))
        tasks(Path(name))
