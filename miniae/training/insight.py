"""What goes on inside a network as it learns: the values and gradients of its layers, epoch by epoch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from miniae.autodiff import Tensor, no_grad, observe
from miniae.nn import Layer
from miniae.training.callbacks import Callback
from miniae.training.trainer import Trainer

__all__ = ["Insight", "LayerLook"]

_KEPT = 4096  # values of a layer that are kept an epoch


@dataclass
class LayerLook:
    """A layer with weights, seen at the beginning of training and after every epoch.

    `values` and `gradients` hold for each time some of the outputs y and of dl/dy, the same elements every time, l
    being the loss of one sample; `value_rms` and `gradient_rms` the root mean squares of all of them.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    values: list[np.ndarray] = field(default_factory=list)
    gradients: list[np.ndarray] = field(default_factory=list)
    value_rms: list[float] = field(default_factory=list)
    gradient_rms: list[float] = field(default_factory=list)


class Insight(Callback):
    """Looks at every layer, forward and backward, on one fixed batch: at the beginning and after every epoch.

    `batch` is what the model's `loss_terms` takes, as host arrays. It goes through a copy of the model, as it behaves
    outside training, so that training goes on to the same weights, bit for bit, as without. `epochs` are the numbers of
    complete epochs at which it looked, `losses` the batch's losses then, `layers` what was seen, by the layers' paths
    in the model, and `reconstructions` what the model made of the first `shown` samples.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010, has
    such histograms, of forward values and of gradients that get smaller from layer to layer.
    """

    only_device = True

    def __init__(self, batch: Sequence[np.ndarray], shown: int = 10):
        self.batch, self.shown = tuple(batch), shown
        self.epochs: list[int] = []
        self.losses: list[float] = []
        self.layers: dict[str, LayerLook] = {}
        self.reconstructions: list[np.ndarray] = []

    def on_train_begin(self, trainer: Trainer) -> None:
        if trainer.epoch not in self.epochs:
            self._look(trainer)

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        self._look(trainer)

    def _look(self, trainer: Trainer) -> None:
        model: Any = copy.deepcopy(trainer.model)
        model.train(False)
        batch = [Tensor(a, dtype=trainer.dtype, backend=trainer.backend) for a in self.batch]
        outputs: dict[str, tuple[Layer, Tensor]] = {}
        for path, layer in model.named_layers():
            if "bias" in layer._parameters:
                layer.forward = _noting(outputs, path, layer)
        gradients: dict[int, np.ndarray] = {}

        def watch(what: Any, compute: Callable[..., Any], *arguments: Any) -> Any:
            if compute.__name__ == "backward":
                gradients[id(what)] = np.array(trainer.backend.to_host(arguments[0]))
            return compute(*arguments)

        with trainer.backend.silent():
            loss, *others = model.loss_terms(*batch).values()
            for term in others:
                loss = loss + term
            if not np.isfinite(loss.item()):
                return  # which the trainer is about to say
            with observe(watch):
                loss.backward()
            for path, (layer, y) in list(outputs.items()):
                # A mean over the batch is behind the loss: times its size, gradients are those of one sample's loss.
                gradient = gradients.get(id(y.creator), np.zeros(y.shape)) * len(y)
                self._note(path, layer, y.numpy(), gradient)
            with no_grad():  # again, as what the loss was of may come from disturbed samples, or from codes drawn
                shown = model.forward(*[Tensor(a[:self.shown], dtype=trainer.dtype, backend=trainer.backend)
                                        for a in self.batch])
        self.epochs.append(trainer.epoch)
        self.losses.append(loss.item())
        self.reconstructions.append(shown.numpy())

    def _note(self, path: str, layer: Layer, y: np.ndarray, gradient: np.ndarray) -> None:
        look = self.layers.setdefault(path, LayerLook(path, type(layer).__name__, y.shape[1:]))
        chosen = np.random.default_rng(0).permutation(y.size)[:_KEPT]
        look.values.append(y.reshape(-1)[chosen].astype(np.float32))
        look.gradients.append(gradient.reshape(-1)[chosen].astype(np.float32))
        look.value_rms.append(_rms(y))
        look.gradient_rms.append(_rms(gradient))


def _noting(outputs: dict[str, tuple[Layer, Tensor]], path: str, layer: Layer) -> Callable[[Tensor], Tensor]:
    """The layer's forward, which notes the first output of each run."""
    forward = layer.forward

    def noting(x: Tensor) -> Tensor:
        y = forward(x)
        outputs.setdefault(path, (layer, y))
        return y

    return noting


def _rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.square(a, dtype=np.float64).mean()))
