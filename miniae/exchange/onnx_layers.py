"""What each layer is in ONNX: the nodes that compute what its `forward` does when nothing is learned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.backend.image import as_pair
from miniae.exchange.onnx_graph import Graph
from miniae.exchange.windows import Moves, as_image, moves
from miniae.functions.activation import GELU
from miniae.models.hashing import Balanced
from miniae.models.sparse import TopK
from miniae.models.vector_quantised import VectorQuantiser
from miniae.nn import (
    Activation,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Crop,
    Crop1D,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    Layer,
    LayerNorm,
    Masking,
    MaxPool1D,
    MaxPool2D,
    Reshape,
    SaltAndPepper,
    Sequential,
    TiedDense,
    UnitNorm,
    UpSample1D,
    UpSample2D,
)

__all__ = ["RULES", "activated", "activation_name", "layer"]

Rule = Callable[[Graph, Any, str], str]

RULES: dict[type[Layer], Rule] = {}
"""The layers that have ONNX nodes, each with the function (graph, layer, input) -> output that makes them, by names.

For a layer of your own: `RULES[MyLayer] = lambda graph, layer, x: graph.op("Cos", x)`.
"""


def layer(graph: Graph, one: Layer, x: str) -> str:
    """The nodes of a layer; return its output's name. Raises `ValueError` for a layer that has no rule."""
    if type(one) not in RULES:
        raise ValueError(f"the layer {one!r} has no nodes in ONNX: give it some, exchange.RULES[{type(one).__name__}] "
                         "= a function of (graph, layer, input) that returns an output, or take it out")
    return RULES[type(one)](graph, one, x)


def _rule(*kinds: type[Layer]) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, function))
        return function
    return register


# -------------------------------------------------------------------- activations

def _gelu(g: Graph, x: str) -> str:
    """x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3)."""
    cube = g.op("Mul", g.op("Mul", x, x), x)
    u = g.op("Mul", g.op("Add", x, g.op("Mul", cube, g.constant(GELU.CUBIC))), g.constant(GELU.SLOPE))
    return g.op("Mul", g.op("Mul", x, g.constant(0.5)), g.op("Add", g.op("Tanh", u), g.constant(1.0)))


_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "linear": lambda g, x: x,
    "sigmoid": lambda g, x: g.op("Sigmoid", x),
    "tanh": lambda g, x: g.op("Tanh", x),
    "relu": lambda g, x: g.op("Relu", x),
    "leaky_relu": lambda g, x: g.op("LeakyRelu", x, alpha=0.01),
    "elu": lambda g, x: g.op("Elu", x, alpha=1.0),
    "selu": lambda g, x: g.op("Selu", x, alpha=1.6732632423543772, gamma=1.0507009873554805),
    "softplus": lambda g, x: g.op("Softplus", x),
    "gelu": _gelu,
    "silu": lambda g, x: g.op("Mul", x, g.op("Sigmoid", x)),
    "softmax": lambda g, x: g.op("Softmax", x, axis=-1),
}


def activation_name(function: Any) -> Any:
    """The name of an activation, given by name, as a function, or as None; the function itself, where it has none."""
    if callable(function):
        return next((name for name, known in F.ACTIVATIONS.items() if known is function), function)
    return function or "linear"


def activated(graph: Graph, function: Any, x: str, of: Any) -> str:
    """x after an activation of the part `of`. Raises `ValueError` for one that has no nodes."""
    name = activation_name(function)
    if name not in _ACTIVATIONS:
        raise ValueError(f"the activation of {of!r} has no nodes in ONNX: choose one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name](graph, x)


@_rule(Activation)
def _activation(g: Graph, one: Activation, x: str) -> str:
    return activated(g, one.function, x, one)


# -------------------------------------------------------------------- dense layers

@_rule(Dense)
def _dense(g: Graph, one: Dense, x: str) -> str:
    """f(x W + b)."""
    return activated(g, one.activation, g.op("Gemm", x, g.tensor(one.weight), g.tensor(one.bias)), one)


@_rule(TiedDense)
def _tied(g: Graph, one: TiedDense, x: str) -> str:
    """f(x W' + b), W being the constant that the other layer has."""
    y = g.op("Gemm", x, g.tensor(one.source.weight), g.tensor(one.bias), transB=1)
    return activated(g, one.activation, y, one)


@_rule(Sequential)
def _sequential(g: Graph, one: Sequential, x: str) -> str:
    for part in one.layers:
        x = layer(g, part, x)
    return x


# -------------------------------------------------------------------- images and series

def _on_images(rule: Rule) -> Rule:
    """The same rule for layers on series, which go through it as images."""
    def function(g: Graph, one: Layer, x: str) -> str:
        if len(one.input_shape) == 3:
            return rule(g, one, x)
        y = rule(g, one, g.reshape(x, as_image(one)))
        return g.reshape(y, one.output_shape(one.input_shape))
    return function


def _window(move: Moves) -> dict[str, list[int]]:
    """In ONNX's names and order: above, left, below, right."""
    (above, below), (left, right) = move.padding
    return {"kernel_shape": list(move.size), "strides": list(move.stride), "pads": [above, left, below, right]}


@_rule(Conv2D, Conv1D)
@_on_images
def _conv(g: Graph, one: Conv2D, x: str) -> str:
    """f(x * W + b): ONNX's Conv is the same correlation, of the same (filters, channels, kh, kw)."""
    move = moves(one)
    y = g.op("Conv", x, g.tensor(one.weight), g.tensor(one.bias), dilations=list(move.dilation), **_window(move))
    return activated(g, one.activation, y, one)


@_rule(ConvTranspose2D, ConvTranspose1D)
@_on_images
def _conv_transpose(g: Graph, one: ConvTranspose2D, x: str) -> str:
    """f(x *' W + b): ONNX's ConvTranspose, of the same (channels, filters, kh, kw)."""
    move = moves(one)
    y = g.op("ConvTranspose", x, g.tensor(one.weight), g.tensor(one.bias), dilations=list(move.dilation),
             output_padding=list(move.rest), **_window(move))
    return activated(g, one.activation, y, one)


@_rule(MaxPool2D, MaxPool1D)
@_on_images
def _max_pool(g: Graph, one: MaxPool2D, x: str) -> str:
    """The largest of each window, of what is inside of the image."""
    return g.op("MaxPool", x, **_window(moves(one)))


@_rule(AvgPool2D, AvgPool1D)
@_on_images
def _avg_pool(g: Graph, one: AvgPool2D, x: str) -> str:
    return g.op("AveragePool", x, **_window(moves(one)))


@_rule(UpSample2D, UpSample1D)
@_on_images
def _upsample(g: Graph, one: UpSample2D, x: str) -> str:
    """y[i, j] = x[floor(i / factor), floor(j / factor)]."""
    scales = g.constant([1.0, 1.0, *map(float, as_pair("factor", one.factor))])
    return g.op("Resize", x, "", scales, mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric")


@_rule(Crop, Crop1D)
@_on_images
def _crop(g: Graph, one: Crop, x: str) -> str:
    starts, ends, axes = (g.constant(a, "int64") for a in ([0, 0], [one.height, one.width], [2, 3]))
    return g.op("Slice", x, starts, ends, axes)


# -------------------------------------------------------------------- normalisation

@_rule(BatchNorm, Balanced)
def _batch_norm(g: Graph, one: BatchNorm, x: str) -> str:
    """scale (x - m) / sqrt(v + epsilon) + shift, m and v being the running ones."""
    return g.op("BatchNormalization", x, *(g.tensor(t) for t in (one.scale, one.shift, one.running_mean,
                                                                 one.running_variance)), epsilon=one.epsilon)


@_rule(LayerNorm)
def _layer_norm(g: Graph, one: LayerNorm, x: str) -> str:
    """scale (x - m) / sqrt(v + epsilon) + shift, m and v being the sample's own."""
    axes = list(range(1, 1 + len(one.input_shape)))
    centred = g.op("Sub", x, g.op("ReduceMean", x, axes=axes))
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), axes=axes)
    y = g.op("Div", centred, g.op("Sqrt", g.op("Add", variance, g.constant(one.epsilon))))
    return g.op("Add", g.op("Mul", y, g.tensor(one.scale)), g.tensor(one.shift))


@_rule(UnitNorm)
def _unit_norm(g: Graph, one: UnitNorm, x: str) -> str:
    """x / |x| along the last axis, and 0 where that is 0: x / sqrt(max(|x|^2, tiny))."""
    squared = g.op("ReduceSum", g.op("Mul", x, x), g.constant([-1], "int64"))
    return g.op("Div", x, g.op("Sqrt", g.op("Max", squared, g.constant(np.finfo(np.float32).tiny))))


# -------------------------------------------------------------------- shapes, and what acts in training only

@_rule(Flatten)
def _flatten(g: Graph, one: Flatten, x: str) -> str:
    return g.reshape(x, one.output_shape(one.input_shape))


@_rule(Reshape)
def _reshape(g: Graph, one: Reshape, x: str) -> str:
    return g.reshape(x, one.shape)


@_rule(Dropout, GaussianNoise, Masking, SaltAndPepper)
def _same(g: Graph, one: Layer, x: str) -> str:
    return x


# -------------------------------------------------------------------- codes

@_rule(TopK)
def _top_k(g: Graph, one: TopK, x: str) -> str:
    """The k largest of a sample where they stand, and 0 elsewhere: their values put into zeros."""
    shape = one.input_shape
    rows = g.reshape(x, (math.prod(shape),))
    values, places = g.ops("TopK", 2, rows, g.constant([one.k], "int64"), axis=1)
    return g.reshape(g.op("ScatterElements", g.op("Mul", rows, g.constant(0.0)), places, values, axis=1), shape)


@_rule(VectorQuantiser)
def _quantiser(g: Graph, one: VectorQuantiser, x: str) -> str:
    """e_k, k = argmin_k |e_k|^2 - 2 x e_k, for each vector of `dim` channels: (N, groups dim, ...) to the same."""
    positions = math.prod(one.positions)
    rows = g.op("Transpose", g.reshape(x, (one.groups, one.dim, positions)), perm=[0, 1, 3, 2])
    e = one.codebook.numpy()
    distances = g.op("Add", g.op("MatMul", rows, g.constant(-2.0 * e.T)), g.constant(np.square(e).sum(1)))
    nearest = g.op("ArgMin", distances, axis=3, keepdims=0)
    vectors = g.op("Transpose", g.op("Gather", g.tensor(one.codebook), nearest), perm=[0, 1, 3, 2])
    return g.reshape(vectors, (one.groups * one.dim, *one.positions))
