"""What is particular about this project's docstrings, for the pages of the API reference.

They are Markdown, with one addition: a heading underlined with dashes, "Parameters" say, and below it a line for each
name, `name : what it is`, further lines of it being indented. NumPy's sections look alike, but have a type behind the
colon, and end only with the next heading.
"""

from __future__ import annotations

import re
from types import ModuleType

UNDERLINE = re.compile(r"-{3,}")
ITEM = re.compile(r"(\w+(?:, \w+)*) : (.*)")


def as_markdown(docstring: str) -> str:
    """A docstring with such sections as lists, each name as code."""
    lines, text, within = docstring.split("\n"), [], False
    for i, line in enumerate(lines):
        item = ITEM.fullmatch(line)
        if UNDERLINE.fullmatch(line):
            text[-1:] = [f"**{text[-1]}**", ""]
            within = True
        elif within and item:
            names = ", ".join(f"`{name}`" for name in item[1].split(", "))
            text.append(f"- {names}: {item[2]}")
        elif within and line.startswith("    "):
            text.append(line[2:])
        else:
            within = within and (not line or UNDERLINE.fullmatch(lines[min(i + 1, len(lines) - 1)]) is not None)
            text.append(line)
    return "\n".join(text)


def in_order(module: ModuleType) -> list[str]:
    """The public names of a package: those that its docstring tells of, as these come in it; then the others,
    constants last."""
    told = re.findall(r"`(\w+)`", module.__doc__ or "")

    def place(name: str) -> tuple[int, bool]:
        return told.index(name) if name in told else len(told), not callable(getattr(module, name))

    return sorted(module.__all__, key=place)
