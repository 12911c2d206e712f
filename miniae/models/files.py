"""Models as files: weights, architecture and scaling in one safetensors file.

The header's JSON holds `format` (1), `kind` ("model"), `class`, `params` (the constructor's arguments), `network` (the
architecture, layer by layer), `input_shape`, a classifier's `classes`, and whatever the caller adds. A reader refuses a
format newer than it knows, and ignores entries it does not know.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae.backend import Backend, get
from miniae.data.scaling import Scaler, scaler_from, scaling_name
from miniae.data.storage import StorageError, check_kind, extra_of, load_tensors, save_tensors, under
from miniae.models.estimator import MODELS, NetworkEstimator
from miniae.nn import Build, Layer, layer_config, layer_from_config

__all__ = ["contents", "load", "model_of", "resized", "save"]

_FORMAT = 1


def save(path: str | os.PathLike[str], model: NetworkEstimator, extra: dict[str, Any] | None = None) -> None:
    """Write a trained model to `path`, whole or not at all. `extra` is JSON to keep with it, given back by `load`."""
    save_tensors(path, *contents(model, extra))


def contents(model: NetworkEstimator, extra: dict[str, Any] | None = None) -> tuple[dict[str, np.ndarray],
                                                                                    dict[str, Any]]:
    """A trained model as what its file holds: arrays by name, and the header."""
    network = model._network()
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
        **model._header(),
    }
    return tensors, header


def load(path: str | os.PathLike[str], backend: str | Backend | None = None) -> NetworkEstimator:
    """The model in a file that `save` wrote, ready to use, on the given or the default backend.

    Nothing in the file is run. `partial_fit` goes on with its weights; `fit` starts anew as the saved model's would, or
    from these weights where that had layers of its own (`encoder=`, or an unrolled stack). What was passed to `save` as
    `extra` is in `model.extra_`. Raises `StorageError` when the file is missing, damaged, of another program or of a
    later format.
    """
    return model_of(*load_tensors(path), path, backend)


def model_of(tensors: dict[str, np.ndarray], header: dict[str, Any], path: str | os.PathLike[str],
             backend: str | Backend | None = None) -> NetworkEstimator:
    """The model whose `contents` these are. Raises `StorageError`, naming `path` as where they are from, for others."""
    check_kind(path, header, "model", _FORMAT, "a model: name the model.safetensors of a run")
    if not isinstance(header.get("class"), str) or header["class"] not in MODELS:
        raise StorageError(f"{path} holds a {header.get('class')!r}, expected one of {', '.join(MODELS)}")
    backend = None if backend is None else get(backend)
    try:
        known = set(MODELS[header["class"]]._parameter_names())
        params = {name: value for name, value in header["params"].items() if name in known}
        model = MODELS[header["class"]](**params, backend=backend)
        network = layer_from_config(_unbuilt(header["network"]))
        network.build(tuple(header["input_shape"]), Build("", model.seed, model.dtype, backend))
        network.load_state_dict(under("network.", tensors))
        for name, generator in network.generators().items():
            generator.step = header["generators"].get(name, 0)
        model._set_fitted(network, scaler_from(model.scaling, under("scaling.", tensors)))
        if header.get("own_scaling"):
            model.scaling = model.scaler_
        model._set_arrays(under("own.", tensors), header)
        model._set_loaded(header)
        model.extra_ = extra_of(header)
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        raise StorageError(f"{path} is damaged: {why}") from None
    return model


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


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's."""
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
