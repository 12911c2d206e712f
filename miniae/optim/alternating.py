"""`Alternating`: several losses, each lowered by an optimizer of its own parameters, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from miniae.autodiff import Tensor
from miniae.backend.repeats import may_repeat
from miniae.nn.parameter import Parameter, ParameterPack
from miniae.optim.optimizer import Optimizer


class Alternating(Optimizer):
    """Lowers several losses of the same minibatch one after the other, each with respect to parameters of its own.

        for phase in phases:   lower L_phase(p_phase), all other parameters being constants

    as two networks do that play against each other. `phases` gives each phase's optimizer by its name, in the order of
    the steps; parameters may be in several. `begin(name)` is told of every phase before its loss is evaluated, and
    `begin(None)` when the last is over: there a model takes note which of its losses is wanted.

    `lr` is the first phase's learning rate; to set it changes the others in proportion.

    Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, algorithm 1.
    """

    def __init__(self, phases: Mapping[str, Optimizer], begin: Callable[[str | None], None]):
        if not phases:
            raise ValueError("there are no phases to go through: give at least one optimizer")
        self.phases, self.begin = dict(phases), begin
        self._active = self._first = next(iter(self.phases.values()))
        if not self._first.lr > 0:
            raise ValueError(f"the first phase has lr={self._first.lr:g}, expected a number above 0: the learning "
                             "rates of the others are kept in proportion to it")
        self.backend = self._first.backend
        self._rates = [optimizer.lr for optimizer in self.phases.values()]

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters of all phases, each once."""
        return list({id(p): p for optimizer in self.phases.values() for p in optimizer.parameters}.values())

    @property
    def lr(self) -> float:
        """The first phase's learning rate; the others follow it in proportion."""
        return self._first.lr

    @lr.setter
    def lr(self, value: float) -> None:
        for optimizer, rate in zip(self.phases.values(), self._rates, strict=True):
            optimizer.lr = value / self._rates[0] * rate

    @property
    def scratch(self) -> Any:
        """That of the phase's optimizer."""
        return self._active.scratch

    @property
    def repeatable(self) -> bool:
        return may_repeat([self, self.begin]) and all(optimizer.repeatable for optimizer in self.phases.values())

    @property
    def packs(self) -> list[ParameterPack]:
        return [pack for optimizer in self.phases.values() for pack in optimizer.packs]

    def gradient(self) -> Any:
        """The flat gradient of the parameters of the phase."""
        return self._active.gradient()

    def written(self) -> None:
        for optimizer in self.phases.values():
            optimizer.written()

    def step(self) -> None:
        raise TypeError("Alternating evaluates one loss after the other: call minimize(evaluate), not step()")

    def minimize(self, evaluate: Callable[[], Tensor]) -> Tensor:
        """Go through the phases once; return the sum of their losses, each as it was before its own step."""
        total: Any = None
        try:
            for phase, optimizer in self.phases.items():
                self.phase, self._active = phase, optimizer
                self.begin(phase)
                with self._only(optimizer.parameters):
                    loss = optimizer.minimize(evaluate).detach()
                total = loss if total is None else total + loss
        finally:
            self.phase, self._active = "", self._first
            self.begin(None)
        return total

    @contextmanager
    def _only(self, chosen: list[Parameter]) -> Iterator[None]:
        """A block in which only these of all parameters want gradients."""
        keep, all_of_them = {id(p) for p in chosen}, self.parameters
        wanted = [p.requires_grad for p in all_of_them]
        try:
            for p in all_of_them:
                p.requires_grad = p.requires_grad and id(p) in keep
            yield
        finally:
            for p, before in zip(all_of_them, wanted, strict=True):
                p.requires_grad = before

    def config(self) -> dict[str, Any]:
        """Of every phase its rule and that one's constants."""
        return {phase: {"type": type(optimizer).__name__, **optimizer.config()}
                for phase, optimizer in self.phases.items()}

    def state_dict(self) -> dict[str, np.ndarray]:
        """The states of all optimizers, each name after that of its phase."""
        return {f"{phase}.{name}": a for phase, optimizer in self.phases.items()
                for name, a in optimizer.state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned. Raises `ValueError`, changing nothing, when it does not fit."""
        unknown = [name for name in state if name.split(".")[0] not in self.phases]
        if unknown:
            raise ValueError(f"the state has {unknown[0]}, expected only {', '.join(self.phases)}: was it saved by "
                             "another optimizer?")
        before = self.state_dict()
        try:
            self._load(state)
        except ValueError:
            self._load(before)
            raise

    def _load(self, state: dict[str, Any]) -> None:
        for phase, optimizer in self.phases.items():
            optimizer.load_state_dict({name.removeprefix(f"{phase}."): a for name, a in state.items()
                                       if name.startswith(f"{phase}.")})

    def __repr__(self) -> str:
        return f"Alternating({', '.join(f'{phase}: {optimizer!r}' for phase, optimizer in self.phases.items())})"
