"""`Optimizer`: what all update rules share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from miniae.autodiff import Tensor
from miniae.backend.repeats import may_repeat
from miniae.nn.parameter import Parameter, ParameterPack


class Optimizer:
    """Changes parameters to lower a loss, from the gradients that backward has left in them.

        optimizer = Adam(model.parameters(), lr=1e-3)
        optimizer.zero_grad()
        loss(model(x)).backward()
        optimizer.step()

    All parameters live in one flat buffer, their gradients and the rule's own state in others laid out alike (see
    `ParameterPack`), so an update is a few passes whatever the number of layers. It allocates nothing, and what changes
    from step to step (the step count, the learning rate) lives on the device: a recorded step can be replayed.

    A subclass names its `state`, one buffer each that starts at zero, and writes `update`.
    """

    state: ClassVar[tuple[str, ...]] = ()
    """Names of the buffers the rule keeps from step to step."""
    phase: str = ""
    """Which loss of several `minimize` is at; rules of one loss have no need of it."""

    def __init__(self, parameters: Iterable[Parameter], lr: float):
        self.pack = ParameterPack(list(parameters))
        self.backend = self.pack.backend
        self.rate = self.backend.zeros((1,), self.pack.dtype)
        self.count = self.backend.zeros((1,), "float64")
        self.scratch = self.new_buffer()
        self.buffers = {name: self.new_buffer() for name in self.state}
        self.lr = lr

    def update(self, p: Any, g: Any) -> None:
        """Write new values into the flat parameters `p`, given their gradient `g`, which stays as it is.

        `self.rate` holds the learning rate and `self.count` the number of this step, from 1; `self.scratch` may be
        overwritten.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def average(self, mean: Any, value: Any, decay: float) -> None:
        """mean = decay mean + (1 - decay) value. The value may stand in `self.scratch`, which is overwritten."""
        xp = self.backend.xp
        xp.subtract(value, mean, out=self.scratch)
        xp.multiply(self.scratch, 1.0 - decay, out=self.scratch)
        xp.add(mean, self.scratch, out=mean)

    @property
    def repeatable(self) -> bool:
        """Whether a training step with this optimizer may be replayed from a recording."""
        return may_repeat(self)

    @property
    def packs(self) -> list[ParameterPack]:
        """The packs of parameters that `step` works on."""
        return [self.pack]

    def new_buffer(self) -> Any:
        """A buffer of zeros laid out like the parameters."""
        return self.backend.zeros((self.pack.size,), self.pack.dtype)

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters this optimizer changes."""
        return self.pack.parameters

    @property
    def lr(self) -> float:
        """The learning rate; it may be set at any time."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        if not 0 <= value < float("inf"):
            raise ValueError(f"the learning rate must be a finite number of at least 0, got {value}")
        self._lr = float(value)
        self.backend.fill(self.rate, self._lr)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.zero_grad()

    def gradient(self) -> Any:
        """The flat gradient itself, zero where backward has left none: what `step` will use."""
        if not self.pack.holds_all():  # another optimizer has moved a parameter into its own buffers
            self.pack = ParameterPack(self.parameters)
        self.pack.clear_missing_grads()
        return self.pack.grad

    def step(self) -> None:
        """Update the parameters once."""
        g = self.gradient()
        self.backend.increment(self.count)
        self.update(self.pack.data, g)
        self.written()

    def written(self) -> None:
        """Tell the tape that the parameters have changed."""
        self.pack.written()

    def minimize(self, evaluate: Callable[[], Tensor]) -> Tensor:
        """Lower the loss of one minibatch; return the loss before.

        `evaluate()` forgets the gradients, computes the loss, leaves its gradient in the parameters and returns it, a
        tensor without axes. Most rules call it once and make one step, without waiting for the device; those that
        search along a line call it several times.
        """
        loss = evaluate()
        self.step()
        return loss

    def config(self) -> dict[str, Any]:
        """The rule's constants, by the names of its constructor's arguments, and the learning rate."""
        names = list(inspect.signature(type(self).__init__).parameters)[2:]  # but for itself and the parameters
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def state_dict(self) -> dict[str, np.ndarray]:
        """The learning rate, the step count and the rule's buffers, as NumPy copies: enough to go on exactly."""
        device = {"count": self.count, **self.buffers}
        return {"lr": np.array([self._lr]), **{name: self.backend.to_host(a) for name, a in device.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned, for parameters of the same shapes in the same order.

        Raises `ValueError`, changing nothing, when it does not fit.
        """
        device = {"count": self.count, **self.buffers}
        if state.keys() != {"lr", *device}:
            raise ValueError(f"{type(self).__name__} keeps {', '.join(['lr', *device])}, the state has "
                             f"{', '.join(state) or 'nothing'}: was it saved by another optimizer?")
        for name, a in device.items():
            if np.shape(state[name]) != a.shape:
                raise ValueError(f"the state's {name} has shape {np.shape(state[name])}, this optimizer's {a.shape}: "
                                 "was it saved for another model?")
        self.lr = np.asarray(state["lr"]).item()
        for name, a in device.items():
            self.backend.copy(self.backend.asarray(np.asarray(state[name]), a.dtype), out=a)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sum(p.size for p in self.parameters)} parameters, lr={self._lr:g})"


def check_fraction(name: str, value: float) -> float:
    """`value` if it lies in [0, 1). Raises `ValueError` otherwise."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value}")
    return float(value)
