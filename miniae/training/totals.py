"""The running means of an epoch's losses."""

from __future__ import annotations

from typing import Any

from miniae.backend import Backend

__all__ = ["Totals"]


class Totals:
    """Loss terms by name, summed over samples on the device. The sums are kept in the same arrays all the time."""

    def __init__(self, backend: Backend, dtype: Any):
        self._backend, self._dtype = backend, dtype
        self._sums: dict[str, Any] = {}
        self.samples = 0  # whoever has added a batch says so here, as a replay of `add` can't

    def add(self, terms: dict[str, Any], n: int) -> None:
        """Add the terms of a batch of n samples, each a mean over them: arrays without axes."""
        be = self._backend
        for name, term in terms.items():
            if name not in self._sums:
                self._sums[name] = be.zeros((), self._dtype)
            be.add_scaled(self._sums[name], term, float(n))

    def clear(self) -> None:
        """Begin anew."""
        for total in self._sums.values():
            self._backend.fill(total, 0.0)
        self.samples = 0

    def state_dict(self) -> dict[str, Any]:
        """What they stand at, as JSON values: the sums' order is that in which they are added up."""
        return {"samples": self.samples, "sums": {name: float(self._backend.to_host(a))
                                                  for name, a in self._sums.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._sums = {name: self._backend.zeros((), self._dtype) for name in state["sums"]}
        for name, total in self._sums.items():
            self._backend.fill(total, state["sums"][name])
        self.samples = state["samples"]

    def means(self) -> dict[str, float]:
        """The means over all samples so far. Waits for the device."""
        return {name: float(self._backend.to_host(a)) / max(self.samples, 1) for name, a in self._sums.items()}
