"""What the operands of matrix products are rounded to, and so those of convolutions made of matrix products.

GPUs multiply shorter numbers several times as fast: `tf32` has the exponents of float32 and 10 bits of fraction,
`bfloat16` 7 of them, `float16` 10 and a smaller range, from 6e-8 to 65,504. Products are added up in float32, and all
else stays float32: weights, gradients, optimizers. Only operands of float32 are rounded, to the nearest number and in a
tie to the even one.

On a GPU cuBLAS does it, by the types of its operands (for `tf32` with a rounding of the device's own). Elsewhere the
same is worked out by `Precision.rounded`, which saves no time: it shows on any machine what a precision costs.
"""

from __future__ import annotations

from typing import Any

from miniae.backend.mixed import Mixed

Array = Any

__all__ = ["PRECISIONS", "Precision"]

PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
_DROPPED = {"tf32": 13, "bfloat16": 16}
"""How many bits of the 23 in the fraction of a float32 go."""


class Precision(Mixed):
    """Mixed into `Backend`: the attribute `precision`, and the reference of what it means."""

    _precision: str | None = None  # None stands for float32

    @property
    def precision(self) -> str:
        """One of `PRECISIONS`; "float32" unless it is set. Set it before a training, not in the middle of one: steps
        that are replayed keep what they were recorded with. Raises `ValueError` for another name."""
        return self._precision or "float32"

    @precision.setter
    def precision(self, name: str) -> None:
        if name not in PRECISIONS:
            raise ValueError(f"unknown precision {name!r}: expected one of {', '.join(PRECISIONS)}")
        self._precision = None if name == "float32" else name

    def rounded(self, a: Array) -> Array:
        """`a` as matrix products take it: itself, or where it is float32 and `precision` is less, rounded."""
        if self._precision is None or str(a.dtype) != "float32":
            return a
        out = self.empty_like(a)
        if self._precision == "float16":
            half = self.empty_like(a, dtype="float16")
            with self.silent():  # too large numbers become infinite
                self.xp.copyto(half, a)
            self.xp.copyto(out, half)
        else:
            self._round_bits(a, out, _DROPPED[self._precision])
        return out

    def _round_bits(self, a: Array, out: Array, dropped: int) -> None:
        """out = a without the last bits: to them is added half of the last one that stays, or just less than half
        where that one is 0 and a tie is to go down; what carries over, carries over into the exponent rightly."""
        xp = self.xp
        self.copy(a, out=out)
        bits = out.view("uint32")
        last, nan = self.empty_like(bits), self.empty_like(a, dtype="bool")
        xp.right_shift(bits, dropped, out=last)
        xp.bitwise_and(last, 1, out=last)
        xp.add(last, 2 ** (dropped - 1) - 1, out=last)
        xp.add(bits, last, out=bits)
        xp.bitwise_and(bits, 2**32 - 2**dropped, out=bits)
        xp.isnan(a, out=nan)
        xp.copyto(out, a, where=nan)
