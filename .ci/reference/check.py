"""Looks for what goes wrong with pages of the API reference: marks of docstrings that stand in them, missing names."""

from __future__ import annotations

import re
from pathlib import Path

LEFT_OVER = {
    "an example as prose": r"&gt;&gt;&gt;",
    "a section that has not become a list": r"-{4,}|^(?:<p>|<li>)?(?:<strong>)?\w+(?:, \w+)* : ",
    "a backtick": "`",
    "asterisks": r"\*\*",
    "a heading": r"<h[1-6]",
}


def left_over(html: str) -> list[str]:
    """What stands in a docstring's HTML, beside what is set as code, that ought to have become something else."""
    prose = re.sub(r"<(pre|code)\b.*?</\1>", "#", html, flags=re.DOTALL)
    found = {what: re.search(pattern, prose, re.MULTILINE) for what, pattern in LEFT_OVER.items()}
    return [f"{what}: {prose[max(where.start() - 60, 0):where.end() + 60]!r}" for what, where in found.items() if where]


def dead_links(folder: Path) -> list[str]:
    """The links of pages that lead nowhere, to pages that are not there or places that are not on them."""
    pages = {path.resolve(): path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    places = {path: {f"{path}#{name}" for name in re.findall(r'id="([^"]+)"', page)} | {str(path)}
              for path, page in pages.items()}
    dead = []
    for path, page in pages.items():
        for link in set(re.findall(r'<a [^>]*href="((?!https?:)[^"$]+)"', page)):
            name, mark, place = link.partition("#")
            there = (path.parent / name).resolve() if name else path
            if f"{there}{mark}{place}" not in places.get(there, ()):
                dead.append(f"{path.name}: {link}")
    return dead


def missing(page: str, names: list[str]) -> list[str]:
    """The names that have no section on a page."""
    return [name for name in names if f'<section id="{name}">' not in page]
