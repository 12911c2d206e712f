"""A bound on the weights into every unit."""

from __future__ import annotations

from typing import Any

from miniae.backend import Backend


def bound_norms(be: Backend, w: Any, limit: float, unit_axis: int) -> None:
    """Scale the weights of every unit down, in place, where their length is above the limit:

        w_j = w_j min(1, limit / |w_j|),   w_j being all weights at position j of `unit_axis`.

    A large learning rate can't make such weights explode, so it may start high. Hinton et al., "Improving neural
    networks by preventing co-adaptation of feature detectors", 2012; Srivastava et al., "Dropout", JMLR 15, 2014,
    appendix A.
    """
    others = tuple(axis for axis in range(w.ndim) if axis != unit_axis % w.ndim)
    factor = be.sum(be.multiply(w, w), axis=others, keepdims=True)
    be.xp.sqrt(factor, out=factor)
    be.xp.maximum(factor, limit, out=factor)
    be.divide(limit, factor, out=factor)  # exactly 1 where the weights are short enough
    be.multiply(w, factor, out=w)
