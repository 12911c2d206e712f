"""What the parameters of a class mean, as its docstrings say."""

from __future__ import annotations

import inspect
import re

__all__ = ["meanings"]

_SECTION = re.compile(r"^Parameters.*\n-+\n((?:.+\n?)*)", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+(?:, \w+)*) : ((?:.+\n?)(?:^ .*\n?)*)", re.MULTILINE)


def meanings(kind: type) -> dict[str, str]:
    """What each parameter means, in one line: from the sections "Parameters" of the docstrings of `kind` and of the
    classes that it is based on. Where several speak of one, the most special class has the word."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        for section in _SECTION.findall(inspect.cleandoc(base.__doc__ or "")):
            for names, text in _ENTRY.findall(section):
                found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found
