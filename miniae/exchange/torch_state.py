"""Weights as PyTorch's state dicts, and back."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data.errors import StorageError, first_line
from miniae.data.scaling import Scaler
from miniae.data.whole_files import writing
from miniae.exchange.torch_modules import Placed, modules_of, own_tensors
from miniae.exchange.torch_networks import network_of, scaler_of
from miniae.nn import Layer, Sequential

__all__ = ["from_torch_state_dict", "read_tensors", "to_torch_state_dict", "write_tensors"]

_COUNT = "num_batches_tracked"
"""What PyTorch's batch normalisation counts, and ours does not."""

_SCALING = "scaling."
"""What the names of a model's scaling begin with."""


def to_torch_state_dict(model: Any) -> dict[str, np.ndarray]:
    """The weights of a trained model, or of a built layer, by the names and in the layouts of PyTorch: arrays.

    The names are those of the module that `torch_source(model)` makes: `encoder.0.weight`, the number being that of the
    module in its Sequential, where an activation is a module, too.

        Dense                 Linear: the weight transposed, (out, in)
        TiedDense             Linear: the weight of the other layer, once more
        Conv, ConvTranspose   the same layout; over time without the axis of length 1
        BatchNorm             weight (our scale), bias (shift), running_mean, running_var, num_batches_tracked (0)
        LayerNorm             weight (scale), bias (shift)

    What PyTorch has no module for has its own name: `quantiser.codebook`, `likelihood.log_sigma`. A model that scales
    its data has `scaling.offset` and `scaling.scale`, float64.
    """
    state: dict[str, np.ndarray] = _scaling_of(model)
    for name, placed in _places(network_of(model)):
        state[name] = placed.to_torch()
        if name.endswith("running_var"):
            state[name.removesuffix("running_var") + _COUNT] = np.zeros((), np.int64)
    return state


def from_torch_state_dict(model: Any, state: Mapping[str, Any]) -> None:
    """Write the weights of a state dict, as `to_torch_state_dict` describes them, into a model or a built layer.

    Values are PyTorch's tensors, of any device, or arrays. A model that has none yet gets its network by `fit` with
    epochs=0. Where the state dict has no scaling, as that of layers written by hand, the model keeps its own. Raises
    `ValueError`, in one line and changing nothing, for names that are missing or not known, for a shape that does not
    fit, and for tied weights that differ; `TypeError` for what is no array of real numbers.
    """
    places, scaling = dict(_places(network_of(model))), _scaling_of(model)
    given = {name for name in state if not name.endswith(_COUNT)}
    scaled = any(name.startswith(_SCALING) for name in given)
    wanted = places.keys() | (scaling.keys() if scaled else set())
    missing, unknown = sorted(wanted - given), sorted(given - wanted)
    if missing or unknown:
        raise ValueError(f"the state dict does not fit the model: missing {_some(missing)}, unknown {_some(unknown)}; "
                         "torch_source(model) shows the module whose state dict fits")
    values: dict[int, tuple[str, np.ndarray]] = {}
    for name, placed in places.items():
        value = _host(name, state[name])
        if value.shape != placed.shape:
            raise ValueError(f"{name} has shape {value.shape}, expected {placed.shape}")
        ours = placed.from_torch(value)
        first, before = values.setdefault(id(placed.tensor), (name, ours))
        if not np.array_equal(before, ours, equal_nan=True):
            raise ValueError(f"{name} is not the transpose of {first}, and the model's are tied: train a model without "
                             "tied=True to import both")
    rescaled = _rescaled(model, scaling, state) if scaled else None
    for placed in places.values():
        placed.tensor.assign(values[id(placed.tensor)][1])
    if rescaled is not None:
        model.scaler_ = rescaled


def write_tensors(path: str | os.PathLike[str], state: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name to a plain safetensors file, as `safetensors.torch.load_file` reads it."""
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in state.items()})
    with writing(path) as temporary:
        temporary.write_bytes(data)


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, by name, as `safetensors.torch.save_file` writes state dicts.

    PyTorch's own files (.pt, .pth, .bin) are pickles, which may run code when they are read: they are refused. Raises
    `StorageError`.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    if path.suffix.lower() in (".pt", ".pth", ".bin", ".pkl", ".ckpt"):
        raise StorageError(f"{path} is a pickle, which could run code when it is read: write the state dict by "
                           "safetensors.torch.save_file")
    try:
        return load_file(path)
    except FileNotFoundError:
        raise StorageError(f"{path} does not exist: name a .safetensors file") from None
    except (SafetensorError, OSError, KeyError, ValueError) as why:
        raise StorageError(f"{path} is damaged, not a safetensors file, or of types that NumPy has not "
                           f"({first_line(why)})") from None


def _scaling_of(model: Any) -> dict[str, np.ndarray]:
    """Offset and scale by PyTorch's names; nothing where data are not scaled."""
    scaler = scaler_of(model)
    return {} if scaler is None else {_SCALING + name: np.asarray(a) for name, a in scaler.state().items()}


def _rescaled(model: Any, scaling: dict[str, np.ndarray], state: Mapping[str, Any]) -> Scaler:
    """The model's scaler with the offset and scale of a state dict."""
    given = {name: _host(name, state[name]).astype(np.float64) for name in scaling}
    for name, value in given.items():
        if value.shape != scaling[name].shape:
            raise ValueError(f"{name} has shape {value.shape}, expected {scaling[name].shape}")
    scaler = copy.copy(model.scaler_)
    scaler.offset, scaler.scale = given[f"{_SCALING}offset"], given[f"{_SCALING}scale"]
    return scaler


def _places(layer: Layer, path: str = "") -> Iterator[tuple[str, Placed]]:
    """PyTorch's name of every tensor of a layer, and where it is."""
    modules = modules_of(layer)
    if isinstance(layer, Sequential) or len(modules) > 1:
        for i, module in enumerate(modules):
            yield from ((f"{path}{i}.{name}", placed) for name, placed in module.tensors.items())
    elif not modules or modules[0].source is not None or not layer.children():
        for module in modules:
            yield from ((f"{path}{name}", placed) for name, placed in module.tensors.items())
    else:  # a network
        for name, child in layer.children().items():
            yield from _places(child, f"{path}{name}.")
        inside = f"{path}own." if not path else path
        yield from ((f"{inside}{name}", Placed.of(tensor)) for name, tensor in own_tensors(layer).items())


def _host(name: str, value: Any) -> np.ndarray:
    """A tensor of PyTorch, or an array, as a NumPy array."""
    for step in ("detach", "cpu"):  # off the tape, and off the device
        value = getattr(value, step, lambda value=value: value)()
    if hasattr(value, "get") and not isinstance(value, np.ndarray):  # CuPy's arrays
        value = value.get()
    try:
        array = np.asarray(value)
    except (TypeError, RuntimeError) as why:
        raise TypeError(f"{name} can't be read as an array ({first_line(why)}): convert it with .float()") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} is of type {array.dtype}, expected real numbers")
    return array


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + ", ..." * (len(names) > 5) if names else "nothing"
