"""A computation graph as a drawing (SVG), and in words (a table), for a page."""

from __future__ import annotations

import textwrap
from html import escape

import numpy as np

from miniae.report.computation import Computation, Node, size

__all__ = ["graph_svg", "graph_table"]

_WIDTH, _GAP, _ROW_GAP, _PAD, _LINE, _LANE = 344, 28, 38, 12, 16, 14
_LETTERS, _TITLE_LETTERS = 44, 38  # of a line, in a box
_MOST_LINES = 3  # of a formula
_LANES = 6  # beside a part, at most
_FOLDED = 6  # rows, from which on a chain is drawn in two parts, too


def _lines(node: Node) -> list[tuple[str, str]]:
    """The lines of a node's box, each with its class."""
    title = " · ".join(part for part in (node.name, node.layer, node.term) if part)
    lines = [("title", part) for part in textwrap.wrap(title, _TITLE_LETTERS)]
    for kind, text in (("formula", node.formula), ("formula", node.f), ("gradient", node.gradient)):
        wrapped = textwrap.wrap(text, _LETTERS - 2 * (kind == "gradient"))
        if len(wrapped) > _MOST_LINES:
            wrapped = [*wrapped[:_MOST_LINES - 1], wrapped[_MOST_LINES - 1][:_LETTERS - 4] + " …"]
        mark = "↑ " if kind == "gradient" else ""
        lines += [(kind, (mark if i == 0 else " " * len(mark)) + part) for i, part in enumerate(wrapped)]
    for name, shape in node.parameters:
        lines += [("parameter", textwrap.shorten(f"{name} {size(shape)}", _LETTERS, placeholder="…"))]
    lines += [("constant", f"constant {each}") for each in node.constants]
    return [*lines, ("shape", f"→ {size(node.shape)}")]


def graph_drawings(graph: Computation, title: str) -> str:
    """The graph as `graph_svg` draws it; a chain of many boxes twice, in one part for narrow screens and in two for
    wide ones, of which the page's styles show one."""
    rows = graph.rows()
    if max(map(len, rows)) > 1 or len(rows) < _FOLDED:
        return graph_svg(graph, title)
    return graph_svg(graph, title) + graph_svg(graph, title, parts=2)


def graph_svg(graph: Computation, title: str, parts: int = 1) -> str:
    """The graph as inline SVG: a box for each node, the batch above and the loss below, colours by CSS classes. Its
    rows are cut into so many `parts`, of about one height, which stand side by side."""
    rows, lines = graph.rows(), [_lines(node) for node in graph.nodes]
    height = [2 * _PAD + _LINE * len(each) - 4 for each in lines]
    part_of_row = _parts([max(height[i] for i in row) + _ROW_GAP for row in rows], parts)
    row_of = {i: r for r, row in enumerate(rows) for i in row}
    part_of = {i: part_of_row[r] for i, r in row_of.items()}
    edges = [(i, slot, j) for i, node in enumerate(graph.nodes) for slot, j in enumerate(node.inputs)]
    # An edge to the next row goes straight there; others go round, by a lane on the right of the part they come from.
    round_about = [(i, slot, j) for i, slot, j in edges if row_of[i] - row_of[j] != 1 or part_of[i] != part_of[j]]
    places: dict[int, tuple[float, float]] = {}
    left, tall, rights = 6, 0, []
    for part in range(parts):
        y, right = 6 + _ROW_GAP * (part > 0), left  # above the first row of a later part edges come in
        for row in (row for r, row in enumerate(rows) if part_of_row[r] == part):
            for column, i in enumerate(_in_order(row, graph, places)):
                places[i] = left + column * (_WIDTH + _GAP), y
                right = max(right, left + column * (_WIDTH + _GAP) + _WIDTH)
            y += max(height[i] for i in row) + _ROW_GAP
        rights.append(right)
        left = right + _LANE * (min(sum(part_of[j] == part for _, _, j in round_about), _LANES) + 1)
        tall = max(tall, y - _ROW_GAP + 6)
    drawn, taken = "", [0] * parts
    for i, slot, j in edges:
        (x1, y1), (x2, y2) = places[j], places[i]
        x2 += _WIDTH * (slot + 1) / (len(graph.nodes[i].inputs) + 1)
        y1 += height[j]
        if (i, slot, j) in round_about:
            lane = rights[part_of[j]] + _LANE * (1 + taken[part_of[j]] % _LANES)
            taken[part_of[j]] += 1
            d = f"M{x1 + _WIDTH:g} {y1 - 18:g} H{lane:g} V{y2 - _ROW_GAP / 2:g} H{x2:g} V{y2:g}"
        else:
            x1, middle = x1 + _WIDTH / 2, (y1 + y2) / 2
            d = f"M{x1:g} {y1:g} C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"
        drawn += f'<path class="edge" d="{d}" marker-end="url(#arrow{parts})"/>'
    for i, (x, top) in places.items():
        node = graph.nodes[i]
        kind = "batch" if node.batch else "loss" if node.shape == () else "function"
        text = "".join(f'<text class="{kind_of}" x="{x + 12}" y="{top + _PAD + 9 + n * _LINE}">{escape(line)}</text>'
                       for n, (kind_of, line) in enumerate(lines[i]))
        drawn += (f'<g class="node {kind}"><rect x="{x}" y="{top}" width="{_WIDTH}" height="{height[i]}" rx="8"/>'
                  f"{text}</g>")
    arrow = (f'<defs><marker id="arrow{parts}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
             'orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>')
    kind = "folded" if parts > 1 else "wide" if max(map(len, rows)) > 1 else "chain"
    return (f'<svg class="graph {kind}" viewBox="0 0 {left:g} {tall:g}" width="{left:g}" height="{tall:g}" role="img" '
            f'lang="en"><title>{escape(title)}</title>{arrow}{drawn}</svg>')


def _parts(heights: list[int], parts: int) -> list[int]:
    """For each row, one after the other, its part: so that all parts are about as high."""
    ends = np.cumsum(heights)
    middles = ends - np.array(heights) / 2
    return (middles * parts // ends[-1]).astype(int).tolist()


def _in_order(row: list[int], graph: Computation, places: dict[int, tuple[float, float]]) -> list[int]:
    """A row's nodes from left to right, each as near as can be to what it is computed from."""
    def wanted(i: int) -> float:
        inputs = [places[j][0] for j in graph.nodes[i].inputs if j in places]
        return sum(inputs) / len(inputs) if inputs else float("inf")  # what only parameters go into stands aside

    return sorted(row, key=lambda i: (wanted(i), i))


def graph_table(graph: Computation) -> str:
    """The graph in words: a row for each function, in the order of computing. Headings are named in labels.json."""
    names = [node.name if node.batch else str(i) for i, node in enumerate(graph.nodes)]
    body = []
    for i, node in enumerate(graph.nodes):
        goes_in = [f"{names[j]} ({size(graph.nodes[j].shape)})" for j in node.inputs]
        goes_in += [f"{name} ({size(shape)})" for name, shape in node.parameters]
        goes_in += [f"constant ({each})" for each in node.constants]
        says = "; ".join(part for part in (node.formula, node.f) if part)
        cells = (names[i], node.name, says, ", ".join(goes_in), size(node.shape), node.gradient)
        body.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f'<th scope="col" data-label="graph_{key}"></th>' for key in
                   ("number", "function", "formula", "inputs", "output", "gradient"))
    return f'<table><thead><tr>{head}</tr></thead><tbody lang="en">{"".join(body)}</tbody></table>'
