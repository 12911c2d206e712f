"""What the parts of gpu_check.py share: where they measure, how long they may, and where they put what they find."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from miniae.backend import Backend
from miniae.data import write_json
from miniae.gpucheck.check import ran, shortcomings, storable


def set_tf32(be: Backend, on: bool) -> bool:
    """Lets the backend round the factors of matrix products to TF32, or not; whether it can."""
    if not hasattr(be, "precision"):
        return False
    be.precision = "tf32" if on else "float32"
    return True


@dataclass
class Work:
    """A part at work on the backend `be`, with NumPy's `cpu` beside it, for at most so many seconds.

    What `note` is given is written to the file `to` at once, whole or not at all.
    """

    be: Backend
    cpu: Backend
    quick: bool
    seconds: float
    to: Path
    results: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds

    @property
    def is_gpu(self) -> bool:
        return self.be.name == "cupy"

    def left(self) -> float:
        """How many seconds are left."""
        return self._end - time.monotonic()

    def each(self, names: Iterable[str], seconds: float = 0.0) -> Iterator[str]:
        """The names, while more than so many seconds are left; the others are noted as `left_out`."""
        for name in names:
            if self.left() > seconds:
                yield name
            else:
                self.leave_out(name, "no time was left")

    def leave_out(self, name: str, why: str) -> None:
        """Note what is not measured though it was to be."""
        self.note(why, "left_out", name)

    def note(self, value: Any, *names: str) -> None:
        """results[names[0]][names[1]]... = value, in the file at once."""
        place = self.results
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = value
        self.save()

    def save(self) -> None:
        write_json(self.to, storable({"results": self.results, "wrong": self.wrong(),
                                      "kernel_sha256": ran(self.be) if self.is_gpu else {}}))

    def wrong(self) -> list[str]:
        """What of the results is not as it should be."""
        return shortcomings(self.results) + self.results.get("failures", [])
