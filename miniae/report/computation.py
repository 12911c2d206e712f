"""The computation graph of a training step: which functions are applied to what, from a batch to its loss."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from miniae.autodiff import Function, Tensor
from miniae.autodiff.mode import note_applied
from miniae.functions.activation import ByValue
from miniae.nn.parameter import Parameter

__all__ = ["Computation", "Node", "computation", "size"]

Shape = tuple[int, ...]


@dataclass
class Node:
    """A function as it was applied, or a part of the `batch` (then there are no `inputs` and no `formula`).

    `inputs` are the numbers of nodes; `parameters`, by name and shape, and `constants`, numbers or shapes in words, are
    what else goes in. `formula` and `gradient` are what the function's own documentation says; `f` is the activation
    that it ends in, if any; `term` the name of the loss's term that it is, if it is one.
    """

    name: str
    shape: Shape
    inputs: list[int] = field(default_factory=list)
    parameters: list[tuple[str, Shape]] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    formula: str = ""
    gradient: str = ""
    layer: str = ""
    f: str = ""
    term: str = ""
    batch: bool = False


@dataclass
class Computation:
    """Nodes in the order of computing; the last is the loss."""

    nodes: list[Node]

    def rows(self) -> list[list[int]]:
        """The nodes by how many steps they are from the loss, the farthest first; a batch is always in the first row.
        """
        distance = [0] * len(self.nodes)
        for i in reversed(range(len(self.nodes))):
            for j in self.nodes[i].inputs:
                distance[j] = max(distance[j], distance[i] + 1)
        far = max(distance)
        rows: list[list[int]] = [[] for _ in range(far + 1)]
        for i, node in enumerate(self.nodes):
            rows[0 if node.batch else far - distance[i]].append(i)
        return rows


def size(shape: Shape) -> str:
    """A shape in a few letters: 128×784."""
    return "×".join(map(str, shape)) or "1"


def computation(network: Any, batch: Sequence[np.ndarray]) -> Computation:
    """The graph of `network.loss_terms(*batch)` and of the sum of the terms, as in training; the network stays as is.

    `batch` are host arrays: samples, and labels where the network takes them. What has no part in the loss is left out,
    and a parameter that is only turned or reshaped before it is used counts as a parameter where it is used.
    """
    network = copy.deepcopy(network)
    network.train(True)
    place = network.place
    tensors = [Tensor(a, dtype=place.dtype, backend=place.backend) for a in batch]
    with place.backend.silent(), note_applied() as applied:
        terms = network.loss_terms(*tensors)
        loss, *others = terms.values()
        for term in others:
            loss = loss + term
    used = _used(applied, loss)
    nodes = [Node(name, t.shape, batch=True) for name, t in zip(("x", "labels"), tensors, strict=False)]
    numbers: dict[int, int] = {id(t): i for i, t in enumerate(tensors)}
    turned: dict[int, tuple[str, Shape]] = {}
    for function, y in used:
        first = function.inputs[0]
        if len(function.inputs) == 1 and function.name in ("Transpose", "Reshape") and isinstance(first, Parameter):
            turned[id(y)] = f"{first.name} {'transposed' if function.name == 'Transpose' else 'reshaped'}", y.shape
            continue
        numbers[id(y)] = len(nodes)
        nodes.append(_node(function, y, numbers, turned))
    for name, t in terms.items():
        if id(t) in numbers:
            nodes[numbers[id(t)]].term = name
    return Computation(nodes)


def _used(applied: list[tuple[Function, Tensor]], loss: Tensor) -> list[tuple[Function, Tensor]]:
    """The functions that the loss was computed from, in the order they were applied."""
    wanted, used = {id(loss)}, []
    for function, y in reversed(applied):
        if id(y) in wanted:
            used.append((function, y))
            wanted.update(id(t) for t in function.inputs)
    return used[::-1]


def _node(function: Function, y: Tensor, numbers: dict[int, int], turned: dict[int, tuple[str, Shape]]) -> Node:
    formula, gradient = formulas(type(function).__doc__ or "")
    node = Node(_title(function.name), y.shape, formula=formula, gradient=gradient)
    f: Any = getattr(function, "f", None)
    node.f = f"f = {f.kernel}: {formulas(type(f).__doc__ or '')[0]}" if isinstance(f, ByValue) else ""
    for t in function.inputs:
        if id(t) in numbers:
            node.inputs.append(numbers[id(t)])
        elif id(t) in turned:
            node.parameters.append(turned[id(t)])
        elif isinstance(t, Parameter):
            node.parameters.append((t.name, t.shape))
        else:
            node.constants.append(f"{float(t):g}" if not isinstance(t, Tensor) or t.size == 1 else size(t.shape))
    if node.parameters:  # the last is the layer's own where the others are shared
        node.layer = node.parameters[-1][0].split(" ")[0].rpartition(".")[0]
    return node


def formulas(documentation: str) -> tuple[str, str]:
    """What a function's documentation says of its value, and of its gradient: `y = tanh(x)`, `dL/dx = ...`."""
    text = re.sub(r"\n\s*\n", "\n\n", documentation.strip())
    begin = re.search(r"(With [A-Za-z] = )?dL/d", text)
    value = (text if begin is None else text[:begin.start()]).split("\n\n")[0]
    value = re.split(r";|: |\. |, which ", " ".join(value.split()))[0].rstrip(". ")
    gradient = "" if begin is None else " ".join(text[begin.start():].split("\n\n")[0].split())
    return value, re.split(r"; |\. ", gradient)[0].rstrip(".")


def _title(name: str) -> str:
    """`BinaryCrossEntropyWithLogits` as words; a dense layer's function as its layer."""
    name = name.removesuffix("Function").replace("ReLU", "Relu")
    words = re.findall(r"[A-Z]+(?![a-z])[0-9D]*|[A-Z][a-z]+|[0-9]+D?", name)
    return " ".join(w if i == 0 or w.isupper() else w.lower() for i, w in enumerate(words)) or name
