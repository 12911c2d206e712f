"""What each layer is in PyTorch: modules of `torch.nn` as source text, and where their tensors are in ours.

PyTorch itself is not needed here. A layer with an activation is two modules, and one whose padding has an odd row is
two as well, so that modules of a `torch.nn.Sequential` are counted otherwise than layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from miniae.autodiff import Tensor
from miniae.exchange.onnx_layers import activation_name
from miniae.exchange.windows import as_image, moves
from miniae.models.hashing import Balanced
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
    UpSample1D,
    UpSample2D,
)

__all__ = ["Module", "Placed", "activation_of", "has_modules", "modules_of", "modules_source", "own_tensors",
           "parameters_source"]


class Placed(NamedTuple):
    """A tensor of ours, which PyTorch has with its axes in another order, and without those that are 1 in a series."""

    tensor: Tensor
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor, axes: Sequence[int] | None = None, shape: Sequence[int] | None = None) -> Placed:
        axes = tuple(range(tensor.ndim) if axes is None else axes)
        return cls(tensor, axes, tuple(tensor.shape[axis] for axis in axes) if shape is None else tuple(shape))

    def to_torch(self) -> np.ndarray:
        return np.ascontiguousarray(self.tensor.numpy().transpose(self.axes).reshape(self.shape))

    def from_torch(self, value: np.ndarray) -> np.ndarray:
        ordered = value.reshape([self.tensor.shape[axis] for axis in self.axes])
        return ordered.transpose(np.argsort(self.axes)) if self.axes else ordered


class Module(NamedTuple):
    """A module as source text, None for what PyTorch has none of, and its tensors by PyTorch's names."""

    source: str | None
    tensors: dict[str, Placed]


_ACTIVATIONS = {
    "linear": None, "sigmoid": "nn.Sigmoid()", "tanh": "nn.Tanh()", "relu": "nn.ReLU()",
    "leaky_relu": "nn.LeakyReLU(0.01)", "elu": "nn.ELU()", "selu": "nn.SELU()", "softplus": "nn.Softplus()",
    "gelu": "nn.GELU(approximate='tanh')", "silu": "nn.SiLU()", "softmax": "nn.Softmax(-1)",
}


def activation_of(function: Any) -> list[Module]:
    """The module of an activation, none for a linear one."""
    name = activation_name(function)
    if name not in _ACTIVATIONS:
        return [Module(None, {})]
    return [] if _ACTIVATIONS[name] is None else [Module(_ACTIVATIONS[name], {})]


# -------------------------------------------------------------------- layers

def _dense(one: Dense) -> list[Module]:
    """torch.nn.Linear's weight is (out, in), ours (in, out)."""
    inputs, outputs = one.weight.shape
    tensors = {"weight": Placed.of(one.weight, (1, 0)), "bias": Placed.of(one.bias)}
    return [Module(f"nn.Linear({inputs}, {outputs})", tensors), *activation_of(one.activation)]


def _tied(one: TiedDense) -> list[Module]:
    """x W' + b: the Linear's weight (out, in) is W (in, out) of the other layer as it is."""
    outputs, inputs = one.source.weight.shape
    tensors = {"weight": Placed.of(one.source.weight), "bias": Placed.of(one.bias)}
    return [Module(f"nn.Linear({inputs}, {outputs})", tensors), *activation_of(one.activation)]


def _pad(one: Layer, padding: Any, value: str, sign: int = 1) -> list[Module]:
    """As many values around the image, where there are any; below 0, as many less. PyTorch begins with the columns."""
    sides = [sign * n for side in padding[::-1][:_axes(one)] for n in side]
    return [Module(f"nn.ConstantPad{_axes(one)}d({tuple(sides)}, {value})", {})] if any(sides) else []


def _axes(one: Layer) -> int:
    """1 for series, 2 for images."""
    return len(one.input_shape) - 1


def _convolution(one: Conv2D | ConvTranspose2D) -> list[Module]:
    """Weights are (filters, channels, kh, kw), those of a transposed convolution (channels, filters, kh, kw), as ours;
    those over time have no kh. Where the padding differs from side to side it is a module of its own."""
    n, move, transposed = _axes(one), moves(one), isinstance(one, ConvTranspose2D)
    even = all(first == last for first, last in move.padding)
    arguments = {"stride": move.stride, "padding": tuple(p[0] for p in move.padding) if even else (0, 0),
                 "dilation": move.dilation}
    if transposed:
        arguments["output_padding"] = move.rest
    text = ", ".join([str(as_image(one)[0]), str(one.filters), str(move.size[-n:]),
                      *(f"{name}={value[-n:]}" for name, value in arguments.items())])
    weight = Placed.of(one.weight, shape=(*one.weight.shape[:2], *one.weight.shape[4 - n:]))
    module = Module(f"nn.Conv{'Transpose' * transposed}{n}d({text})", {"weight": weight, "bias": Placed.of(one.bias)})
    around = [] if even else _pad(one, move.padding, "0.0", -1 if transposed else 1)
    order = [module, *around] if transposed else [*around, module]
    return [*order, *activation_of(one.activation)]


def _max_pool(one: MaxPool2D) -> list[Module]:
    n, move = _axes(one), moves(one)
    return [*_pad(one, move.padding, "float('-inf')"),
            Module(f"nn.MaxPool{n}d({move.size[-n:]}, {move.stride[-n:]})", {})]


def _avg_pool(one: AvgPool2D) -> list[Module]:
    n, move = _axes(one), moves(one)
    return [Module(f"nn.AvgPool{n}d({move.size[-n:]}, {move.stride[-n:]})", {})]


def _upsample(one: UpSample2D) -> list[Module]:
    wide, given = one.output_shape(one.input_shape)[1:], one.input_shape[1:]
    return [Module(f"nn.Upsample(scale_factor={tuple(float(w // g) for w, g in zip(wide, given, strict=True))})", {})]


def _crop(one: Crop) -> list[Module]:
    _, height, width = as_image(one)
    return _pad(one, ((0, height - one.height), (0, width - one.width)), "0.0", -1)


def _batch_norm(one: BatchNorm) -> list[Module]:
    """weight and bias are our scale and shift, running_var our running variance; its count of batches we don't have."""
    (channels,) = one.scale.shape
    kind = "1d" if len(one.input_shape) == 1 else "2d"
    tensors = {"weight": one.scale, "bias": one.shift, "running_mean": one.running_mean,
               "running_var": one.running_variance}
    return [Module(f"nn.BatchNorm{kind}({channels}, eps={one.epsilon!r}, momentum={one.momentum!r})",
                   {name: Placed.of(tensor) for name, tensor in tensors.items()})]


def _layer_norm(one: LayerNorm) -> list[Module]:
    tensors = {"weight": Placed.of(one.scale), "bias": Placed.of(one.shift)}
    return [Module(f"nn.LayerNorm({tuple(one.input_shape)}, eps={one.epsilon!r})", tensors)]


def _reshape(one: Reshape) -> list[Module]:
    flat = [Module("nn.Flatten()", {})] if len(one.input_shape) > 1 else []
    return [*flat, Module(f"nn.Unflatten(1, {tuple(one.shape)})", {})] if len(one.shape) > 1 else \
        [Module("nn.Flatten()", {})]


_MODULES: dict[type[Layer], Callable[[Any], list[Module]]] = {
    Dense: _dense, TiedDense: _tied, BatchNorm: _batch_norm, Balanced: _batch_norm, LayerNorm: _layer_norm,
    Reshape: _reshape,
    Flatten: lambda one: [Module("nn.Flatten()", {})],
    Activation: lambda one: activation_of(one.function),
    Dropout: lambda one: [Module(f"nn.Dropout({one.rate!r})", {})],
    **dict.fromkeys((Conv2D, Conv1D, ConvTranspose2D, ConvTranspose1D), _convolution),
    **dict.fromkeys((MaxPool2D, MaxPool1D), _max_pool), **dict.fromkeys((AvgPool2D, AvgPool1D), _avg_pool),
    **dict.fromkeys((UpSample2D, UpSample1D), _upsample), **dict.fromkeys((Crop, Crop1D), _crop),
    **dict.fromkeys((GaussianNoise, Masking, SaltAndPepper), lambda one: []),
    Sequential: lambda one: [module for layer in one.layers for module in modules_of(layer)],
}


def modules_of(layer: Layer) -> list[Module]:
    """The modules that do what a built layer does, one after the other. A layer that PyTorch has not is one module
    without source, whose tensors have our names."""
    return _MODULES[type(layer)](layer) if type(layer) in _MODULES else \
        [Module(None, {name: Placed.of(tensor) for name, tensor in
                       [*layer.named_parameters(), *layer._walk("_buffers")]})]


def own_tensors(network: Layer) -> dict[str, Tensor]:
    """The parameters and buffers that are not those of a network's children."""
    return {**network._parameters, **network._buffers}


def has_modules(layer: Layer) -> bool:
    """Whether a layer is modules of PyTorch: a network is not, nor is a layer of your own."""
    return type(layer) in _MODULES


def modules_source(layer: Layer) -> str:
    """The text of the expression that makes a layer's modules. Raises `ValueError` for a layer that PyTorch has not."""
    sources = []
    for module in modules_of(layer):
        if module.source is None:
            raise ValueError(f"{layer!r} holds a layer or an activation that torch.nn has no module for: write that "
                             "module yourself; to_torch_state_dict names its tensors")
        sources.append(module.source)
    if len(sources) == 1 and not isinstance(layer, Sequential):
        return sources[0]
    lines = "".join(f"    {source},\n" for source in sources)
    return f"nn.Sequential(\n{lines})" if sources else "nn.Sequential()"


def parameters_source(tensors: dict[str, Tensor]) -> str:
    """The text of what holds tensors that are no module's."""
    shapes = ", ".join(f"{name!r}: torch.zeros({tuple(t.shape)})" for name, t in tensors.items())
    return f"nn.ParameterDict({{{shapes}}})"
