"""Models as files: weights, architecture and scaling in one safetensors file.

The header's JSON holds `format` (1), `kind` ("model"), `class`, `params` (the constructor's arguments), `network` (the
architecture, layer by layer), `input_shape`, a classifier's `classes`, the `feature_names` of a model of frames, and
whatever the caller adds. What a reader may ignore of files of later versions, and what it refuses, is said in
`miniae.data.storage`.

A file can't ask for more than it holds: layers are only made where their parameters have room among its numbers.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae.backend import Backend, get
from miniae.data.errors import StorageError
from miniae.data.scaling import Scaler, scaler_from, scaling_name
from miniae.data.storage import check_kind, described, extra_of, load_tensors, save_tensors, under
from miniae.models.estimator import MODELS, NetworkEstimator
from miniae.nn import Build, Layer, layer_config, layer_from_config
from miniae.nn.layer import Room

__all__ = ["contents", "load", "model_of", "resized", "save"]

_FORMAT = 1
_LARGEST_INPUT = 1 << 28
"""How many numbers a sample of a model in a file may have."""
_MOST_LAYERS = 10_000
"""How many layers a network in a file may have, as some hold no numbers."""


def save(path: str | os.PathLike[str], model: NetworkEstimator, extra: dict[str, Any] | None = None) -> None:
    """Write a trained model to `path`, whole or not at all. `extra` is JSON to keep with it, given back by `load`."""
    save_tensors(path, *contents(model, extra))


def contents(model: NetworkEstimator, extra: dict[str, Any] | None = None) -> tuple[dict[str, np.ndarray],
                                                                                    dict[str, Any]]:
    """A trained model as what its file holds: arrays by name, and the header."""
    network, names = model._network(), vars(model).get("feature_names_in_")
    not_here = (*model.in_network, "backend")  # what the network's own description holds, or belongs to the machine
    tensors = {f"network.{name}": a for name, a in network.state_dict().items()}
    tensors |= {f"scaling.{name}": a for name, a in model.scaler_.state().items()}
    tensors |= {f"own.{name}": a for name, a in model._arrays().items()}
    header = {
        "format": _FORMAT,
        "kind": "model",
        "class": type(model).__name__,
        "params": {**{name: _plain(v) for name, v in model.get_params().items() if name not in not_here},
                   "scaling": scaling_name(model.scaling), "seed": network.place.seed, "dtype": network.place.dtype},
        "own_scaling": isinstance(model.scaling, Scaler),
        "own_layers": model.encoder is not None,
        "network": layer_config(network),
        "input_shape": list(network.input_shape),
        "generators": {name: g.step for name, g in network.generators().items()},
        "extra": extra or {},
        **({} if names is None else {"feature_names": list(names)}),
        **model._header(),
    }
    return tensors, header


def load(path: str | os.PathLike[str], backend: str | Backend | None = None) -> Any:
    """The model in a file that `save` wrote, ready to use, on the given or the default backend.

    Nothing in the file is run. `partial_fit` goes on with its weights; `fit` starts anew as the saved model's would, or
    from these weights where that had layers of its own (`encoder=`, or an unrolled stack). What was passed to `save` as
    `extra` is in `model.extra_`. Raises `StorageError` when the file is missing, damaged, of another program or of a
    later format.
    """
    return model_of(*load_tensors(path), path, backend)


def model_of(tensors: dict[str, np.ndarray], header: dict[str, Any], path: str | os.PathLike[str],
             backend: str | Backend | None = None) -> Any:
    """The model whose `contents` these are. Raises `StorageError`, naming `path` as where they are from, for others."""
    check_kind(path, header, "model", _FORMAT, "a model: name the model.safetensors of a run")
    if not isinstance(header.get("class"), str) or header["class"] not in MODELS:
        raise StorageError(f"{path} holds a {str(header.get('class'))[:80]!r}, expected one of {', '.join(MODELS)}: it "
                           "is damaged, or of a newer miniae")
    backend = None if backend is None else get(backend)
    with described(path):
        make: Any = MODELS[header["class"]]
        known = set(make._parameter_names()) - {*make.in_network, "backend"}
        params = {name: value for name, value in header["params"].items() if name in known}
        if (count := _layers(header["network"])) > _MOST_LAYERS:
            raise ValueError(f"its network has {count:,} layers, expected at most {_MOST_LAYERS:,}")
        model = make(**params, backend=backend)
        network, state = layer_from_config(_unbuilt(header["network"])), under("network.", tensors)
        room = Room(sum(a.size for a in state.values()))
        network.build(_input_shape(header), Build("", model.seed, model.dtype, backend, room))
        room.left = None
        network.load_state_dict(state)
        for name, generator in network.generators().items():
            generator.step = operator.index(header["generators"].get(name, 0))
        model._set_fitted(network, scaler_from(model.scaling, under("scaling.", tensors)))
        if header.get("own_scaling"):
            model.scaling = model.scaler_
        model._set_arrays(under("own.", tensors), header)
        model._set_loaded(header)
        model.extra_ = extra_of(header)
        model._set_names(header.get("feature_names") or model.extra_.get("feature_names"))
    return model


def _input_shape(header: dict[str, Any]) -> tuple[int, ...]:
    shape = tuple(header["input_shape"])
    if not all(type(n) is int and n > 0 for n in shape) or math.prod(shape) > _LARGEST_INPUT:
        raise ValueError(f"a sample of it has the shape {shape}, expected at most {_LARGEST_INPUT:,} numbers")
    return shape


def resized(network: Layer, input_shape: Sequence[int]) -> Layer:
    """A copy of a network for inputs of another shape, its weights fitting that: images of another size, where it has
    convolutions only."""
    copy = layer_from_config(_unbuilt(layer_config(network)))
    copy.build(tuple(input_shape), network.place)
    copy.load_state_dict(network.state_dict())
    return copy


def _unbuilt(config: Any) -> Any:
    """An architecture without the input shapes of its parts: so that they are built with the whole, where that is."""
    if isinstance(config, list):
        return [_unbuilt(value) for value in config]
    if not isinstance(config, dict):
        return config
    return {name: _unbuilt(value) for name, value in config.items()
            if not (name == "input_shape" and config.get("type") == "Sequential")}


def _layers(config: Any) -> int:
    """How many layers an architecture has."""
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return (isinstance(config, dict) and "type" in config) + sum(map(_layers, parts))


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's."""
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
