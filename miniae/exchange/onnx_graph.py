"""`Graph`: an ONNX graph as it grows, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae.autodiff import Tensor
from miniae.nn import Layer

__all__ = ["OPSET", "Graph"]

OPSET = 17
"""The version of ONNX's operators that graphs are written in: of 2022, read by onnxruntime from 1.12 on."""

_IR = 8  # the file format that came with it


class Graph:
    """Nodes, constants, inputs and outputs, all by name. Numbers are float32 where nothing says otherwise.

        graph = Graph()
        x = graph.input("x", (784,))
        y = graph.op("Sigmoid", graph.op("Gemm", x, graph.tensor(weight), graph.tensor(bias)))
        graph.output(y, "code", (32,))

    `named` is a network whose parameters keep their names.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._names: dict[int, str] = {}

    def name_parameters(self, network: Layer, prefix: str = "") -> None:
        """Let the constants of this network's parameters and buffers have their names in it."""
        for name, tensor in [*network.named_parameters(), *network._walk("_buffers")]:
            self._names.setdefault(id(tensor), prefix + name)

    def input(self, name: str, shape: Sequence[int]) -> str:
        """An input (N, *shape), N being as it comes."""
        self.inputs.append(_float32(name, shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int]) -> None:
        """Give this value out as (N, *shape) by that name."""
        self._node("Identity", [value], name, {})
        self.outputs.append(_float32(name, shape))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node of ONNX's operator `kind`; return its output's name."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self._node(kind, list(inputs), name, attributes)
        return name

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """A node with several outputs."""
        from onnx import helper

        names = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def cast(self, value: str, dtype: str) -> str:
        """The value in another type, "float32" or "float64"."""
        from onnx import TensorProto

        return self.op("Cast", value, to={"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[dtype])

    def constant(self, value: Any, dtype: str = "float32", name: str | None = None) -> str:
        """An array that the graph holds."""
        name = name or f"constant_{len(self.constants)}"
        if name in self.constants:
            raise ValueError(f"two constants of one graph are called {name!r}: give one of them another name")
        self.constants[name] = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        return name

    def tensor(self, tensor: Tensor) -> str:
        """A parameter or a buffer of a network: one constant, however often it is used."""
        name = self._names.setdefault(id(tensor), f"tensor_{len(self._names)}")
        return name if name in self.constants else self.constant(tensor.numpy(), name=name)

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Every sample in another shape: (N, ...) to (N, *shape)."""
        return self.op("Reshape", x, self.constant([0, *shape], "int64"))

    def model(self, properties: dict[str, str]) -> Any:
        """The ONNX model, checked. Raises `ValueError` for what is too large for a file of this format."""
        from onnx import checker, helper, numpy_helper

        from miniae import __version__

        size = sum(a.nbytes for a in self.constants.values())
        if size >= 2**31 - 2**20:
            raise ValueError(f"the weights are {size:,} bytes, an ONNX file holds less than 2 GB: export a smaller "
                             "model, or one part of it (encode, decode)")
        constants = [numpy_helper.from_array(a, name) for name, a in self.constants.items()]
        graph = helper.make_graph(self.nodes, "miniae", self.inputs, self.outputs, constants)
        model = helper.make_model(graph, producer_name="miniae", producer_version=__version__, ir_version=_IR,
                                  opset_imports=[helper.make_opsetid("", OPSET)])
        helper.set_model_props(model, properties)
        checker.check_model(model, full_check=True)
        return model

    def _node(self, kind: str, inputs: list[str], output: str, attributes: dict[str, Any]) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))


def _float32(name: str, shape: Sequence[int]) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
