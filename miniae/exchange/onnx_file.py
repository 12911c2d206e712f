"""Models as ONNX files: data in, as a model takes them, and out what it says of them, the scaling included."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from miniae.data.errors import a_kind
from miniae.data.scaling import Scaler
from miniae.data.whole_files import writing
from miniae.exchange.onnx_graph import Graph
from miniae.exchange.onnx_layers import activated, layer
from miniae.exchange.onnx_networks import decoded, encoded
from miniae.models import PCA, Autoencoder, Classifier, DeepBeliefNetwork, Stack
from miniae.models.conditional import ConditionalNetwork
from miniae.models.stack import pair_of
from miniae.nn import Dense
from miniae.rbm import RBM
from miniae.tasks.detection import FAR, AnomalyDetector

__all__ = ["PARTS", "onnx_model", "to_onnx"]


def to_onnx(model: Any, path: str | os.PathLike[str], part: str | None = None) -> None:
    """Write what a trained model computes to an ONNX file, whole or not at all, for onnxruntime and other programs.

    `part` is one of `PARTS` for that kind of model, None the first of them. A graph has the input `x` (N, ...), of any
    N, in the units of the data, and for "decode" the input `code`; conditional models also have `labels`, one-hot rows
    (N, classes) in the order of `classes_`. Outputs are called `reconstruction` (in the units of the data), `code`,
    `probabilities` (N, classes), or `score` (N,). All are float32, also of models in float64; scalings compute in
    float64, as they do here. Recommenders take the rows that their networks get. Properties of the file say which
    class and part it is, and the classes or the threshold. Operators are those of ONNX's opset 17.

    Raises `ValueError` for what has no graph (a layer or an activation of your own, see `RULES`; an unknown part),
    `ImportError` without the package onnx (pip install 'miniae[onnx]').
    """
    data = onnx_model(model, part).SerializeToString(deterministic=True)
    with writing(path) as temporary:
        temporary.write_bytes(data)


def onnx_model(model: Any, part: str | None = None) -> Any:
    """What `to_onnx` writes, as an `onnx.ModelProto`."""
    try:
        import onnx  # noqa: F401  what Graph needs
    except ImportError as why:
        raise ImportError(f"writing ONNX files needs the package onnx ({why}): pip install 'miniae[onnx]'") from None
    kind = next((kind for kind in PARTS if isinstance(model, kind)), None)
    if kind is None:
        raise ValueError(f"{a_kind(model)} has no ONNX graph: expected one of "
                         f"{', '.join(kind.__name__ for kind in PARTS)}")
    parts = PARTS[kind]
    part = part or next(iter(parts))
    if part not in parts:
        raise ValueError(f"{a_kind(model)} has no part {part!r} to export: expected one of {', '.join(parts)}")
    graph = Graph()
    further = parts[part](graph, model) or {}
    return graph.model({"class": type(model).__name__, "part": part, **further})


# -------------------------------------------------------------------- autoencoders

def _reconstruct(g: Graph, model: Autoencoder) -> dict[str, str]:
    network = model._network()
    g.name_parameters(network)
    x, labels = g.input("x", network.input_shape), _labels(g, network)
    code = encoded(g, network, _scaled(g, model.scaler_, x), labels)
    g.output(_unscaled(g, model.scaler_, decoded(g, network, code, labels)), "reconstruction", network.input_shape)
    return _classes(model)


def _encode(g: Graph, model: Autoencoder) -> dict[str, str]:
    network = model._network()
    g.name_parameters(network)
    x, labels = g.input("x", network.input_shape), _labels(g, network)
    g.output(encoded(g, network, _scaled(g, model.scaler_, x), labels), "code", network.code_shape)
    return _classes(model)


def _decode(g: Graph, model: Autoencoder) -> dict[str, str]:
    network = model._network()
    g.name_parameters(network)
    code, labels = g.input("code", network.code_shape), _labels(g, network)
    g.output(_unscaled(g, model.scaler_, decoded(g, network, code, labels)), "reconstruction", network.input_shape)
    return _classes(model)


def _labels(g: Graph, network: Any) -> str | None:
    return g.input("labels", (network.classes,)) if isinstance(network, ConditionalNetwork) else None


def _classes(model: Any) -> dict[str, str]:
    classes = vars(model).get("classes_")
    return {} if classes is None else {"classes": json.dumps(classes.tolist())}


def _scaled(g: Graph, scaler: Scaler, x: str) -> str:
    """(x - offset) / scale, in float64."""
    if not scaler.state():
        return x
    centred = g.op("Sub", g.cast(x, "float64"), g.constant(scaler.offset, "float64"))
    return g.cast(g.op("Div", centred, g.constant(scaler.scale, "float64")), "float32")


def _unscaled(g: Graph, scaler: Scaler, y: str) -> str:
    """y scale + offset, in float64."""
    if not scaler.state():
        return y
    wide = g.op("Mul", g.cast(y, "float64"), g.constant(scaler.scale, "float64"))
    return g.cast(g.op("Add", wide, g.constant(scaler.offset, "float64")), "float32")


# -------------------------------------------------------------------- others

def _classify(g: Graph, model: Classifier) -> dict[str, str]:
    """softmax(head(encoder(x)))."""
    network = model._network()
    g.name_parameters(network)
    x = g.input("x", network.input_shape)
    scores = layer(g, network.head, layer(g, network.encoder, _scaled(g, model.scaler_, x)))
    g.output(activated(g, "softmax", scores, network), "probabilities", (len(model.classes_),))
    return _classes(model)


def _score(g: Graph, detector: AnomalyDetector) -> dict[str, str]:
    """mean_m mean_j e_mj^2 / v_mj, of z = (x - middle) / scale, which grows by its logarithm beyond 3."""
    detector._fitted()
    shape = detector.input_shape_
    far, first = g.constant(FAR, "float64"), g.cast(g.input("x", shape), "float64")
    z = g.op("Div", g.op("Sub", first, g.constant(detector.middle_, "float64")),
             g.constant(detector.scale_, "float64"))
    beyond = g.op("Mul", g.op("Log", g.op("Div", g.op("Max", g.op("Abs", z), far), far)), far)
    near = g.op("Max", g.op("Min", z, far), g.constant(-FAR, "float64"))
    rows = g.cast(g.op("Add", near, g.op("Mul", g.op("Sign", z), beyond)), "float32")
    wide = g.cast(rows, "float64")
    errors = [g.op("Mul", wide, wide)] if detector.far_out else []
    spreads = detector.spreads_[0 if detector.far_out else 1:]
    for i, member in enumerate(detector.members_):
        network = member._network()
        g.name_parameters(network, f"member.{i}.")
        y = decoded(g, network, encoded(g, network, _scaled(g, member.scaler_, rows)))
        error = g.op("Sub", g.cast(_unscaled(g, member.scaler_, y), "float64"), wide)
        errors.append(g.op("Mul", error, error))
    odd = [g.op("Div", error, g.constant(spread, "float64")) for error, spread in zip(errors, spreads, strict=True)]
    total = odd[0]
    for more in odd[1:]:
        total = g.op("Add", total, more)
    sums = g.op("ReduceSum", g.reshape(total, (-1,)), g.constant([1], "int64"), keepdims=0)
    share = g.constant(1 / (len(odd) * detector.n_features_in_), "float64")
    g.output(g.cast(g.op("Mul", sums, share), "float32"), "score", ())
    return {"threshold": repr(detector.threshold_)}


def _chain(up: bool, down: bool) -> Callable[[Graph, Any], None]:
    """The means of the layers of a machine or of a stack of them, all the way up, all the way down, or both."""
    def write(g: Graph, model: RBM | Stack | DeepBeliefNetwork) -> None:
        pairs = _pairs(model)
        if not pairs:
            raise ValueError("this stack has no layers: pretrain it first")
        ways = {"up": [pair.up for pair in pairs], "down": [pair.down for pair in reversed(pairs)]}
        layers: Sequence[Dense] = (ways["up"] if up else []) + (ways["down"] if down else [])
        a = g.input("x" if up else "code", layers[0].input_shape)
        for one in layers:
            a = layer(g, one, a)
        g.output(a, "reconstruction" if down else "code", (layers[-1].units,))
    return write


def _pairs(model: RBM | Stack | DeepBeliefNetwork) -> list[Any]:
    if isinstance(model, RBM):
        model._machine()
        return [pair_of(model)]
    return (model._stack() if isinstance(model, DeepBeliefNetwork) else model).pairs


def _components(up: bool, down: bool) -> Callable[[Graph, PCA], None]:
    """c = (x - m) W', y = c W + m, in float64."""
    def write(g: Graph, model: PCA) -> None:
        model._require_fit()
        shape, sizes = model.input_shape_, model.components_.shape
        mean, directions = (g.constant(a, "float64") for a in (model.mean_, model.components_))
        if up:
            x = g.cast(g.reshape(g.input("x", shape), (sizes[1],)), "float64")
            code = g.op("MatMul", g.op("Sub", x, mean), g.constant(np.asarray(model.components_).T, "float64"))
        else:
            code = g.cast(g.input("code", (sizes[0],)), "float64")
        if not down:
            g.output(g.cast(code, "float32"), "code", (sizes[0],))
            return
        y = g.op("Add", g.op("MatMul", code, directions), mean)
        g.output(g.reshape(g.cast(y, "float32"), shape), "reconstruction", shape)
    return write


_WAYS = {"reconstruct": (True, True), "encode": (True, False), "decode": (False, True)}
PARTS: dict[type, dict[str, Callable[[Graph, Any], dict[str, str] | None]]] = {
    Autoencoder: {"reconstruct": _reconstruct, "encode": _encode, "decode": _decode},
    Classifier: {"classify": _classify},
    AnomalyDetector: {"score": _score},
    PCA: {name: _components(*way) for name, way in _WAYS.items()},
    **{kind: {name: _chain(*way) for name, way in _WAYS.items()} for kind in (RBM, Stack, DeepBeliefNetwork)},
}
"""What there is to export of each kind of model, by name."""
