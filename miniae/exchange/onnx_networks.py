"""What each network of autoencoders is in ONNX: its way to the code, and its way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.data.errors import a_kind
from miniae.exchange.onnx_graph import Graph
from miniae.exchange.onnx_layers import activated, layer
from miniae.models.autorec import AutoRecNetwork
from miniae.models.compressive import CompressiveNetwork
from miniae.models.conditional import ConditionalNetwork
from miniae.models.hashing import HashingNetwork
from miniae.models.network import AutoencoderNetwork
from miniae.models.sparse import KSparseNetwork, TopK
from miniae.models.variational import VariationalNetwork
from miniae.models.vector_quantised import VectorQuantisedNetwork
from miniae.nn import Layer
from miniae.nn.layer import Shape

__all__ = ["decoded", "encoded"]


def encoded(graph: Graph, network: AutoencoderNetwork, x: str, labels: str | None = None) -> str:
    """The nodes of `network.encode`. Raises `ValueError` for a network that has an `encode` of its own."""
    return _known(_ENCODE, network, "encode")(graph, network, x, labels)


def decoded(graph: Graph, network: AutoencoderNetwork, code: str, labels: str | None = None) -> str:
    """The nodes of `network.decode`."""
    return _known(_DECODE, network, "decode")(graph, network, code, labels)


def _known(rules: dict[Any, Callable[..., str]], network: Layer, method: str) -> Callable[..., str]:
    """The rule of a method, wherever the network's class has it from."""
    function = getattr(type(network), method, None)
    if function not in rules:
        raise ValueError(f"{a_kind(network)} has a way to {method} of its own, which has no nodes in ONNX: "
                         "export its encoder or decoder in a plain Autoencoder")
    return rules[function]


def _encoder(g: Graph, network: AutoencoderNetwork, x: str, labels: str | None) -> str:
    return layer(g, network.encoder, x)


def _known_ratings(g: Graph, network: AutoRecNetwork, x: str, labels: str | None) -> str:
    """NaN becomes 0."""
    return layer(g, network.encoder, g.op("Where", g.op("IsNaN", x), g.constant(0.0), x))


def _whole_steps(g: Graph, network: CompressiveNetwork, x: str, labels: str | None) -> str:
    """round(h / step) step, half to even."""
    steps = g.op("Mul", layer(g, network.encoder, x), g.constant(1 / network.finest))
    return g.op("Mul", g.op("Round", steps), g.constant(network.finest))


def _sigmoids(g: Graph, network: HashingNetwork, x: str, labels: str | None) -> str:
    return activated(g, "sigmoid", layer(g, network.encoder, x), network)


def _largest(g: Graph, network: KSparseNetwork, x: str, labels: str | None) -> str:
    largest = TopK(network.k)
    largest.build(network.code_shape, network.place.child("largest"))
    return layer(g, largest, layer(g, network.encoder, x))


def _nearest(g: Graph, network: VectorQuantisedNetwork, x: str, labels: str | None) -> str:
    return layer(g, network.quantiser, layer(g, network.encoder, x))


def _means(g: Graph, network: VariationalNetwork, x: str, labels: str | None) -> str:
    """The first half of the head's outputs: (m, l) = features W + b."""
    features = layer(g, network.encoder, _with_labels(g, network, x, network.input_shape, labels))
    features = g.reshape(features, network.head.input_shape)
    code = network.code
    return g.op("Gemm", features, g.constant(network.head.weight.numpy()[:, :code]),
                g.constant(network.head.bias.numpy()[:code]))


def _decoder(g: Graph, network: AutoencoderNetwork, code: str, labels: str | None) -> str:
    return activated(g, network.reconstruction.activation, layer(g, network.decoder, code), network)


def _likelihood(g: Graph, network: VariationalNetwork, code: str, labels: str | None) -> str:
    return _decoder(g, network, _with_labels(g, network, code, network.code_shape, labels), labels)


def _with_labels(g: Graph, network: VariationalNetwork, a: str, shape: Shape, labels: str | None) -> str:
    """(a, labels) side by side, behind an image's channels as planes, where the network is told labels."""
    if not isinstance(network, ConditionalNetwork):
        return a
    if labels is None:
        raise ValueError(f"{a_kind(network)} is told labels: the graph needs an input for them")
    if len(shape) == 3 and network.planes:
        planes = g.op("Mul", g.reshape(labels, (network.classes, 1, 1)), g.constant(np.ones((1, 1, *shape[1:]))))
        return g.op("Concat", a, planes, axis=1)
    return g.op("Concat", g.reshape(a, (math.prod(shape),)), labels, axis=1)


_ENCODE: dict[Any, Callable[..., str]] = {
    AutoencoderNetwork.encode: _encoder,
    AutoRecNetwork.encode: _known_ratings,
    CompressiveNetwork.encode: _whole_steps,
    HashingNetwork.encode: _sigmoids,
    KSparseNetwork.encode: _largest,
    VariationalNetwork.encode: _means,
    VectorQuantisedNetwork.encode: _nearest,
}
_DECODE: dict[Any, Callable[..., str]] = {
    AutoencoderNetwork.decode: _decoder,
    VariationalNetwork.decode: _likelihood,
}
