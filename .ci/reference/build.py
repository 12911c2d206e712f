"""The API reference as web pages: `python .ci/reference/build.py FOLDER`, which .ci/docs runs."""

from __future__ import annotations

import importlib
import operator
import pkgutil
import re
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pdoc
from check import dead_links, left_over, missing
from docstrings import as_markdown, in_order
from jinja2 import pass_context
from pdoc.render_helpers import relative_link, to_html

import miniae

HERE = Path(__file__).parent


def main(folder: Path) -> None:
    warnings.simplefilter("error")  # a name that can't be resolved
    warnings.filterwarnings("ignore", "Error parsing type annotation ForwardRef")  # named tuples keep theirs as text
    names = [name for name in miniae.__all__ if getattr(miniae, name)]  # loads them, which else happens at first use
    packages = _packages()
    for name in ("miniae", *packages):
        module = importlib.import_module(name)
        module.__all__ = in_order(module)
    pdoc.render.configure(docformat="markdown", template_directory=HERE)
    pdoc.render.env.filters.update(to_markdown=_markdown, to_html=_html, page=_page, is_restated=_is_restated)
    pdoc.pdoc("miniae", r"!miniae\.", *packages, r"!miniae\.\w+\.", output_directory=folder)
    for name in ("miniae", *packages):
        page = (folder / f"{name.replace('.', '/')}.html").read_text(encoding="utf-8")
        public = [one for one in sys.modules[name].__all__ if f"{name}.{one}" not in packages]
        if absent := missing(page, public):
            sys.exit(f"{name} has no section for {', '.join(absent)}")
    if dead := dead_links(folder):
        sys.exit(f"links that lead nowhere: {', '.join(dead)}")
    print(f"{folder}/miniae.html: {len(names)} names, {len(packages)} packages")


def _packages() -> list[str]:
    """The packages, those that the library's docstring tells of first, as they come in it."""
    told = re.findall(r"`(miniae\.\w+)`", miniae.__doc__ or "")
    there = [f"miniae.{part.name}" for part in pkgutil.iter_modules(miniae.__path__) if part.name != "__main__"]
    return sorted(there, key=lambda name: told.index(name) if name in told else len(told))


@pass_context
def _markdown(context: Any, docstring: str) -> str:
    """A docstring as Markdown, with links to other pages; those within a page are pdoc's."""
    here, pages = context["module"], context["all_modules"]

    def linked(code: re.Match[str]) -> str:
        page, name = ("", "") if here.get(code[1]) else _found(code[1], pages)
        return f"[{code[0]}]({relative_link(here.modulename, page)}#{name})" if page else code[0]

    return "\n".join(line if line.startswith(("    ", ">>>")) else re.sub(r"`([\w.]+)`", linked, line)
                     for line in as_markdown(docstring).split("\n"))


def _html(markdown: str) -> str:
    """Markdown as HTML, looked over."""
    html = to_html(markdown)
    if wrong := left_over(html):
        sys.exit(f"{wrong[0]} of\n{markdown}")
    return html


def _found(name: str, pages: Mapping[str, Any]) -> tuple[str, str]:
    """The page of a name and what it is called there: of `nn.Dropout`, or of a class, whatever package it is in."""
    package, _, rest = name.partition(".")
    if f"miniae.{package}" in pages:
        places = [(f"miniae.{package}", rest)]
    else:
        places = [(page, name) for page in pages] if name[0].isupper() else []
    known = ((page, rest) for page, rest in places if rest and (there := pages[page].get(rest)) and there.docstring)
    return next(known, ("", ""))


@pass_context
def _page(context: Any, base: tuple[str, ...]) -> str:
    """The page that a class is on: this one, or another; "" where it is on none."""
    pages = {context["module"].modulename: context["module"], **context["all_modules"]}
    for name, page in pages.items():
        known = page.get(base[1])
        if known is not None and known.taken_from == (base[0], base[1]):
            return name
    return ""


def _is_restated(variable: Any) -> bool:
    """Whether a class's variable is for who writes a class like it, or has another value than a base's."""
    owner = operator.attrgetter(variable.qualname.rpartition(".")[0])(sys.modules[variable.modulename])
    return variable.is_classvar or any(variable.name in vars(base) for base in owner.__mro__[1:])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
