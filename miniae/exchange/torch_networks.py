"""What each model is in PyTorch: the text of a module that computes what the model does, of data as they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from miniae.data.errors import a_kind
from miniae.data.scaling import Scaler
from miniae.exchange.torch_modules import (
    activation_of,
    has_modules,
    modules_source,
    own_tensors,
    parameters_source,
)
from miniae.models.autorec import AutoRecNetwork
from miniae.models.classifier import ClassifierNetwork
from miniae.models.compressive import CompressiveNetwork
from miniae.models.conditional import ConditionalNetwork
from miniae.models.estimator import NetworkEstimator
from miniae.models.hashing import HashingNetwork
from miniae.models.network import AutoencoderNetwork
from miniae.models.sparse import KSparseNetwork
from miniae.models.variational import VariationalNetwork
from miniae.models.vector_quantised import VectorQuantisedNetwork
from miniae.nn import Layer
from miniae.nn.layer import Shape

__all__ = ["network_of", "scaler_of", "torch_source"]


def torch_source(model: Any) -> str:
    """The text of the PyTorch module whose `state_dict` is `to_torch_state_dict(model)`.

    Of a model it is a Python file with the class `Model`, whose `forward` gives what the model says of data as they
    are: reconstructions, a classifier's probabilities. Scaling (buffers in float64, as it was learnt) and the
    output's activation are part of it. Autoencoders have `encode` and `decode`, too, and the layers alone are
    `encoder` and `decoder`; conditional ones also take labels, one-hot rows (N, classes) in the order of `classes_`.
    Recommenders take the rows that their networks get. Give samples in the dtype of the weights, and call `eval()`
    first, so that nothing is dropped.

        names: dict = {}
        exec(torch_source(model), names)
        twin = names["Model"]()
        twin.load_state_dict({name: torch.from_numpy(a) for name, a in to_torch_state_dict(model).items()})

    Of a layer it is an expression in terms of `nn` (torch.nn), for `eval`: of a `Sequential`, nn.Sequential(...).
    Raises `ValueError` for a layer that PyTorch has not, and for a network with an `encode` or `decode` of its own.
    """
    network = network_of(model)
    return modules_source(network) if has_modules(network) else _file(network, scaler_of(model), type(model).__name__)


def network_of(model: Any) -> Layer:
    """The layer whose tensors those of a model are. Raises `ValueError` for what has none."""
    if not isinstance(model, (Layer, NetworkEstimator)):
        raise ValueError(f"{a_kind(model)} has no PyTorch module: expected a layer, an autoencoder or a classifier; "
                         "to_onnx takes other models")
    return model if isinstance(model, Layer) else model._network()


def scaler_of(model: Any) -> Scaler | None:
    """The scaling of a model's data; None of a layer, and where data are not scaled."""
    return model.scaler_ if isinstance(model, NetworkEstimator) and model.scaler_.state() else None


# -------------------------------------------------------------------- the file

_SCALING = '''
class Scaling(nn.Module):
    """(x - offset) / scale for each feature, and back, computed in float64."""

    def __init__(self, *shape):
        super().__init__()
        self.register_buffer("offset", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(shape, dtype=torch.float64))

    def forward(self, x):
        return ((x.double() - self.offset) / self.scale).to(x.dtype)

    def back(self, y):
        return (y.double() * self.scale + self.offset).to(y.dtype)

'''


def _file(network: Any, scaler: Scaler | None, kind: str) -> str:
    from miniae import __version__

    scaling = [] if scaler is None else _SCALING.splitlines()
    return "\n".join([
        f'"""{kind} as a module of PyTorch, written by miniae {__version__}."""', "", "import torch",
        "from torch import nn", "", *scaling, "", "class Model(nn.Module):", "    def __init__(self):",
        "        super().__init__()", *_indented(_parts(network, scaler), 8), "",
        *_indented(_methods(network, scaler), 4), ""])


def _indented(lines: list[str], by: int) -> list[str]:
    return [" " * by + line if line else line for text in lines for line in text.split("\n")]


def _parts(network: Any, scaler: Scaler | None) -> list[str]:
    """What the module is made of: scaling, the network's children, and the output's activation."""
    parts = {} if scaler is None else {"scaling": f"Scaling({', '.join(map(str, scaler.state()['scale'].shape))})"}
    for name, child in network.children().items():
        if "." in name:  # one of several that act in training only
            continue
        if has_modules(child):
            parts[name] = modules_source(child)
        elif own_tensors(child):
            parts[name] = parameters_source(own_tensors(child))
    if own_tensors(network):
        parts["own"] = parameters_source(own_tensors(network))
    if (output := _output(network)) is not None:
        parts["output"] = output
    return [f"self.{name} = {text}" for name, text in parts.items()]


def _output(network: Any) -> str | None:
    """The module of the output's activation, None where that is linear."""
    softmax = isinstance(network, ClassifierNetwork)
    modules = activation_of("softmax" if softmax else network.reconstruction.activation)
    if any(module.source is None for module in modules):
        raise ValueError(f"torch.nn has no module for the activation of {network!r}: export its encoder_ and decoder_")
    return modules[0].source if modules else None


# -------------------------------------------------------------------- what it does

def _methods(network: Any, scaler: Scaler | None) -> list[str]:
    scaled = ["    x = self.scaling(x)"] * (scaler is not None)
    back = ["    y = self.scaling.back(y)"] * (scaler is not None)
    output = ["    y = self.output(y)"] * (_output(network) is not None)
    if isinstance(network, ClassifierNetwork):
        return ["def forward(self, x):", *scaled, "    y = self.head(self.encoder(x))", *output, "    return y"]
    told = ", labels" * isinstance(network, ConditionalNetwork)
    return [f"def encode(self, x{told}):", *scaled, *_indented(_way(_ENCODE, network, "encode"), 4), "",
            f"def decode(self, code{told}):", *_indented(_way(_DECODE, network, "decode"), 4), *output, *back,
            "    return y", "",
            f"def forward(self, x{told}):", f"    return self.decode(self.encode(x{told}){told})"]


def _way(rules: dict[Any, Callable[[Any], list[str]]], network: Layer, method: str) -> list[str]:
    """The lines of a method, wherever the network's class has it from."""
    function = getattr(type(network), method, None)
    if function not in rules:
        raise ValueError(f"{a_kind(network)} has a way to {method} of its own, which has no text for PyTorch: give "
                         "its encoder or decoder, and write the rest yourself")
    return rules[function](network)


def _largest(network: KSparseNetwork) -> list[str]:
    return ["h = self.encoder(x)",
            "rows = h.flatten(1)",
            f"values, places = rows.topk({network.k})",
            "return torch.zeros_like(rows).scatter(1, places, values).reshape(h.shape)"]


def _nearest(network: VectorQuantisedNetwork) -> list[str]:
    """e_k, k = argmin_k |e_k|^2 - 2 x e_k, for each vector of `dim` channels."""
    quantiser = network.quantiser
    shape = f"{quantiser.groups}, {quantiser.dim}, {math.prod(quantiser.positions)}"
    return ["h, e = self.encoder(x), self.quantiser.codebook",
            f"rows = h.reshape(len(h), {shape}).transpose(2, 3)",
            "nearest = (e.square().sum(1) - 2 * rows @ e.T).argmin(3)",
            "return e[nearest].transpose(2, 3).reshape(h.shape)"]


def _means(network: VariationalNetwork) -> list[str]:
    """The first half of the head's outputs."""
    x = _beside_labels(network, "x", network.input_shape)
    return [f"return self.head(self.encoder({x}).flatten(1))[:, :{network.code}]"]


def _likelihood(network: VariationalNetwork) -> list[str]:
    return [f"y = self.decoder({_beside_labels(network, 'code', network.code_shape)})"]


def _beside_labels(network: VariationalNetwork, name: str, shape: Shape) -> str:
    """(name, labels) side by side, behind an image's channels as planes, where the network is told labels."""
    if not isinstance(network, ConditionalNetwork):
        return name
    if len(shape) == 3 and network.planes:
        return f"torch.cat([{name}, labels[:, :, None, None].expand(-1, -1, *{name}.shape[2:])], 1)"
    return f"torch.cat([{name}.flatten(1), labels], 1)"


_ENCODE: dict[Any, Callable[[Any], list[str]]] = {
    AutoencoderNetwork.encode: lambda network: ["return self.encoder(x)"],
    AutoRecNetwork.encode: lambda network: ["return self.encoder(torch.where(torch.isnan(x), 0.0, x))"],
    CompressiveNetwork.encode: lambda network: [
        f"return torch.round(self.encoder(x) * {1 / network.finest!r}) * {network.finest!r}"],
    HashingNetwork.encode: lambda network: ["return torch.sigmoid(self.encoder(x))"],
    KSparseNetwork.encode: _largest,
    VariationalNetwork.encode: _means,
    VectorQuantisedNetwork.encode: _nearest,
}
_DECODE: dict[Any, Callable[[Any], list[str]]] = {
    AutoencoderNetwork.decode: lambda network: ["y = self.decoder(code)"],
    VariationalNetwork.decode: _likelihood,
}
