"""The samples of a whole minibatch, for losses of all of them together."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor
from miniae.backend.sharing import all_rows as gathered
from miniae.backend.sharing import batch_sum, current_share

__all__ = ["all_rows"]


class AllRows(Function):
    """Y is the rows X_r of all ranks r, one below the other.   dL/dX_r = sum over ranks s of (dL_s/dY)_r.

    Each rank has a part L_s of the loss L, and gradients of its own part only.
    """

    def forward(self, x):
        return gathered(self.be, x)

    def backward(self, gy):
        total = batch_sum(self.be, self.be.copy(gy, out=self.be.empty(gy.shape, gy.dtype)))
        share = current_share()
        return total if share is None else total[share.part]

    def jvp(self, y, tx):
        return all_rows(tx)


def all_rows(x: Any) -> Tensor:
    """x (n, ...), a row for each sample of a minibatch, together with the rows of other ranks that share it: (N, ...).

    It is x itself where none does. See `backend.sharing`.
    """
    x = as_tensor(x)
    return x if current_share() is None else AllRows()(x)
