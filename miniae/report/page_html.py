"""An explanation as one HTML page: its texts, styles, scripts and data are all inside, and nothing is fetched."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import re
from html import escape
from importlib.resources import files

from miniae.report.computation_picture import graph_drawings, graph_table
from miniae.report.explanation import Explanation
from miniae.report.page_data import base64_floats, page_data

__all__ = ["explanation_page", "is_page", "page_labels"]

_SCRIPTS = ("decoder.js", "drawing.js", "charts.js", "tables.js", "map.js", "page.js")
_GENERATOR = '<meta name="generator" content="miniae explain">'
_BEGINNING = 1024  # bytes of a page, among which that is
_SECTIONS = ("map", "graph", "losses", "signals", "filters", "reconstructions")
_SECTION = """<section id="{0}" aria-labelledby="{0}-h">
  <h2 id="{0}-h" data-label="{0}_title"></h2>"""
_HEAT = """<h3 data-label="{0}s_title"></h3>
    <figure>
      <div class="heat" id="{0}-heat"></div>
      <figcaption id="{0}-heat-caption"></figcaption>
    </figure>"""


def _asset(name: str) -> str:
    return files("miniae.report").joinpath("page", name).read_text(encoding="utf-8")


@functools.cache
def page_labels() -> dict[str, dict[str, str]]:
    """All texts of the page by language, "en" and "zh"."""
    return json.loads(_asset("labels.json"))


def explanation_page(explanation: Explanation) -> str:
    """The page. What comes from the run can't become part of its HTML or of its scripts, which are the only ones that a
    browser will run: their hash is in the page's content security policy."""
    english = page_labels()["en"]
    script = "\n".join(map(_asset, _SCRIPTS))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    decoder = explanation.decoder
    parts = {
        "title": escape(f"{english['title']}: {explanation.facts['model']}, {explanation.facts['data']}"),
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        "style": _asset("page.css"),
        "generator": _GENERATOR,
        "contents": "\n    ".join(f'<a href="#{name}" data-label="{name}_title"></a>' for name in _SECTIONS),
        **{f"section_{name}": _SECTION.format(name) for name in _SECTIONS},
        **{f"heat_{kind}": _HEAT.format(kind) for kind in ("gradient", "value")},
        "graph": graph_drawings(explanation.graph, english["graph_alt"]),
        "graph_table": graph_table(explanation.graph),
        "data": _json(page_data(explanation)),
        "labels": _json(page_labels()),
        "weights": "" if decoder is None else base64_floats(decoder.weights),
        "script": script,
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))
    return re.sub(r'data-label="(\w+)">(?=</)', lambda found: found[0] + escape(english[found[1]]), page)


def is_page(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file that holds what `explanation_page` made."""
    try:
        with open(path, "rb") as file:
            return _GENERATOR.encode() in file.read(_BEGINNING)
    except OSError:
        return False


def _json(value: object) -> str:
    """JSON that can stand in a script element: nothing in it ends that, or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
