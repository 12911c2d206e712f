"""Whose part of a training step may be replayed from a recording."""

from __future__ import annotations

from typing import Any

__all__ = ["may_repeat"]

_KNOWN = {__name__.partition(".")[0], "builtins", "numpy", "cupy"}


def may_repeat(part: Any) -> bool:
    """Whether a step that this object or function takes part in may be recorded once and repeated.

    Code that comes from elsewhere might do one thing in this step and another in the next, or keep an account of its
    own. So it may only if it says so, by an attribute `repeats = True`: what it does is to call the same functions of
    the library in every step of an epoch, on arrays that these have made or that last, with the same numbers. Of the
    containers list, tuple and dict it is what they hold that counts.
    """
    if isinstance(part, dict):
        return all(map(may_repeat, part.values()))
    if isinstance(part, (list, tuple)):
        return all(map(may_repeat, part))
    module = getattr(part, "__module__", None) or type(part).__module__
    return bool(getattr(part, "repeats", module.partition(".")[0] in _KNOWN))
