"""The computation graph of a training step, as data, as a drawing and in words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from miniae.autodiff.mode import note_applied
from miniae.functions.catalogue import examples
from miniae.models import Autoencoder, ContractiveAutoencoder, VariationalAutoencoder
from miniae.report.computation import Computation, Node, computation, formulas
from miniae.report.computation_picture import graph_drawings, graph_svg, graph_table

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")

X = np.random.default_rng(0).random((20, 6), dtype=np.float32)


def graph_of(model, n=8):
    return computation(model.fit(X).network_, model.as_batch(X[:n]))


def test_a_chain(backend):
    graph = graph_of(Autoencoder([4], 2, activation="sigmoid", loss="bce", epochs=1, backend=backend))
    assert [node.name for node in graph.nodes] == ["x", "Dense", "Dense", "Dense", "Dense",
                                                   "Binary cross entropy with logits"]
    assert [node.shape for node in graph.nodes] == [(8, 6), (8, 4), (8, 2), (8, 4), (8, 6), ()]
    assert [node.inputs for node in graph.nodes] == [[], [0], [1], [2], [3], [4, 0]]
    first = graph.nodes[1]
    assert first.layer == "encoder.0" and first.f == "f = sigmoid: y = 1 / (1 + exp(-x))"
    assert first.parameters == [("encoder.0.weight", (6, 4)), ("encoder.0.bias", (4,))]
    assert first.formula.startswith("Y = f(X W + b)") and "dL/dW = X' G" in first.gradient
    assert graph.nodes[-1].term == "reconstruction" and graph.rows() == [[0], [1], [2], [3], [4], [5]]


def test_terms_are_added_and_shared_weights_are_said():
    graph = graph_of(Autoencoder([4], 2, tied=True, l2=0.01, epochs=1))
    assert graph.nodes[-1].name == "Add" and {n.term for n in graph.nodes} == {"", "reconstruction", "l2"}
    decoder = next(node for node in graph.nodes if node.layer == "decoder.0")
    assert decoder.parameters[0] == ("encoder.1.weight transposed", (2, 4))
    assert "0.01" in [c for node in graph.nodes for c in node.constants]
    graph = graph_of(VariationalAutoencoder([4], 2, epochs=1, beta=0.1))
    code = next(node for node in graph.nodes if node.name == "Gaussian code")
    assert code.constants == ["8×2"]  # its noise
    assert {n.term for n in graph.nodes} == {"", "reconstruction", "kl"}


def test_the_network_is_left_alone():
    model = Autoencoder([4], 2, dropout=0.5, batch_norm=True, epochs=1).fit(X)
    before = model.network_.state_dict(), [g.step for g in model.network_.generators().values()]
    computation(model.network_, [X])
    assert not model.network_.training
    after = model.network_.state_dict(), [g.step for g in model.network_.generators().values()]
    np.testing.assert_equal(after, before)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("model", [Autoencoder([4], 2, epochs=1, batch_norm=True, l1=1e-3, l2=1e-3),
                                   ContractiveAutoencoder(3, epochs=1), VariationalAutoencoder([4], 2, epochs=1)],
                         ids=lambda model: type(model).__name__)
def test_boxes_stand_apart_and_follow_their_inputs(model, parts):
    graph = graph_of(model)
    drawn = ET.fromstring(graph_svg(graph, "title", parts))
    width, height = (float(drawn.get(k)) for k in ("width", "height"))
    boxes = [tuple(float(r.get(k)) for k in ("x", "y", "width", "height")) for r in drawn.iter("rect")]
    assert len(boxes) == len(graph.nodes)
    for i, (x, y, w, h) in enumerate(boxes):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        for other in boxes[:i]:
            assert x + w <= other[0] or other[0] + other[2] <= x or y + h <= other[1] or other[1] + other[3] <= y
    rows = graph.rows()
    assert sorted(i for row in rows for i in row) == list(range(len(graph.nodes)))
    row_of = {i: r for r, row in enumerate(rows) for i in row}
    assert all(row_of[j] < row_of[i] for i, node in enumerate(graph.nodes) for j in node.inputs)
    edges = [p for p in drawn.iter("path") if p.get("class") == "edge"]
    assert len(edges) == sum(len(node.inputs) for node in graph.nodes)
    assert graph_table(graph).count("<tr>") == 1 + len(graph.nodes)


def test_only_long_chains_are_drawn_in_two_parts_too():
    chain, short = graph_of(Autoencoder([4], 2, epochs=1)), graph_of(Autoencoder([], 2, epochs=1))
    wide = graph_of(VariationalAutoencoder([4], 2, epochs=1))
    assert graph_drawings(short, "title").count("<svg") == graph_drawings(wide, "title").count("<svg") == 1
    one, two = (ET.fromstring(f"<svg{svg}") for svg in graph_drawings(chain, "title").split("<svg")[1:])
    assert float(two.get("height")) < 0.7 * float(one.get("height"))
    edges = [re.findall(r"-?[0-9.]+", path.get("d")) for path in two.iter("path") if path.get("class") == "edge"]
    assert min(float(n) for d in edges for n in d) >= 0  # none leaves the picture


def test_names_are_escaped():
    nodes = [Node("x", (1, 1), batch=True), Node("<script>", (), [0], [("a&b.<i>", (1,))], formula="y < x")]
    for text in (graph_svg(Computation(nodes), "<title>"), graph_table(Computation(nodes))):
        assert "<script" not in text and "<i>" not in text and "&lt;script&gt;" in text


@pytest.mark.parametrize("example", [e for e in examples() if e.name != "linear"], ids=lambda example: example.name)
def test_every_function_says_its_formula(example):
    """The documentation of every function in the catalogue gives a value and a gradient, each in a line."""
    with note_applied() as applied:
        example.function(*example.inputs(backend="numpy"))
    for function, _ in applied:
        value, gradient = formulas(type(function).__doc__)
        assert value and "\n" not in value + gradient
        assert re.match(r"(With . = )?dL/d", gradient), gradient
