"""Warnings that show the line of the user's program, however deep in the library they are found necessary."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings

__all__ = ["warn"]

# This package, and what of Python's library may stand between two of its functions.
_OURS = (os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep, contextlib.__file__, functools.__file__)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, of the line that called this package: `warnings.warn` with the `stacklevel` of the first frame outside."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
