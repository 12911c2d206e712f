"""What a run is: its data and settings, written down, so that no other run goes on from its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.backend import Backend
from miniae.data.errors import StorageError
from miniae.nn import Layer, layer_config
from miniae.training.sample import blocks_of, differ, number_of, of_streams, sampled

if TYPE_CHECKING:
    from miniae.training.trainer import Trainer

__all__ = ["OfAnother", "check_data_of", "check_settings_of", "data_of", "settings_of"]

_SAID = 80  # characters of a value


class OfAnother(StorageError):
    """A checkpoint is whole, but of another run."""


def data_of(trainer: Trainer) -> dict[str, Any]:
    """What tells the data that training is to be on from others, and the held-out data, where there are any."""
    held_out = trainer.held_out
    return {"shuffle": blocks_of(trainer.data), **_rows(trainer.data, trainer.backend),
            "held_out": None if held_out is None else _rows(held_out, trainer.backend)}


def _rows(data: Any, backend: Backend) -> dict[str, Any]:
    return {"samples": number_of(data), "values": sampled(data, backend).tolist(), "streams": of_streams(data).tolist()}


def settings_of(trainer: Trainer) -> dict[str, Any]:
    """What decides the weights beside the data, as JSON values, of a trainer that has yet to train.

    Batch size, seed, types of numbers, the network's layers, losses, penalties and corruption, the optimizer with its
    learning rate and constants, the bound on the gradient, and the `fixed_settings` of callbacks. How long training is
    to go on, where, and what else callbacks do, is not in it.
    """
    return _as_json({
        "batch_size": trainer.batch_size, "seed": trainer.seed, "dtype": np.dtype(trainer.dtype).name,
        "precision": trainer.backend.precision,
        "network": _network(trainer.model),
        "optimizer": {"type": type(trainer.optimizer).__name__, **trainer.optimizer.config()},
        "clip": None if trainer.clip is None else {"type": type(trainer.clip).__name__,
                                                   **getattr(trainer.clip, "__dict__", {})},
        "callbacks": sorted(({"type": type(callback).__name__, **settings} for callback in trainer.callbacks
                             if (settings := callback.fixed_settings())), key=repr),
    })


def check_data_of(path: Path, found: dict[str, Any], given: dict[str, Any]) -> None:
    """Raise `OfAnother` where a checkpoint is of training on other data, or on a stream that is shuffled otherwise."""
    if found.get("samples") != given["samples"]:
        raise _refused(path, f"training on {found.get('samples')} samples, these are {given['samples']}")
    if _differ(found, given):
        raise _refused(path, "training on other data")
    before, now = found.get("held_out"), given["held_out"]
    if before and now and (before.get("samples", now["samples"]) != now["samples"] or _differ(before, now)):
        raise _refused(path, "training with other data held out")
    if "shuffle" in found:
        check_settings_of(path, {"shuffle": found["shuffle"]}, given)


def _differ(found: dict[str, Any], given: dict[str, Any]) -> bool:
    pairs = [(np.asarray(found.get(name, ()), "float64"), np.asarray(given[name])) for name in ("values", "streams")]
    return any(before.size and now.size and differ(before, now) for before, now in pairs)


def check_settings_of(path: Path, found: Any, given: dict[str, Any]) -> None:
    """Raise `OfAnother`, naming the setting, where a checkpoint is of training by other settings.

    What only one of the two mentions is not compared: the other is of a version that did not know it.
    """
    different = _difference("", found, given)
    if different:
        name, before, now = different
        raise _refused(path, f"training with {name} {repr(before)[:_SAID]}, given is {repr(now)[:_SAID]}")


def _refused(path: Path, what: str) -> OfAnother:
    return OfAnother(f"{path} is a checkpoint of {what}: choose another path, or delete it to begin anew")


def _network(model: Any) -> Any:
    """The layers and their settings; None for what can't be written down, as layers with functions of one's own."""
    if not isinstance(model, Layer):
        return None
    try:
        return layer_config(model)
    except (TypeError, ValueError, AttributeError):
        return None


def _as_json(value: Any) -> Any:
    """As it comes back from a file. Of objects that JSON has no form of only the kind is noted."""
    def plain(a: Any) -> Any:
        return a.item() if isinstance(a, np.generic) else type(a).__name__

    return json.loads(json.dumps(value, default=plain, skipkeys=True))


def _difference(name: str, found: Any, given: Any) -> tuple[str, Any, Any] | None:
    """Where two descriptions differ first: the name of the setting, and both values."""
    if isinstance(found, dict) and isinstance(given, dict):
        if "type" in found and "type" in given and found["type"] != given["type"]:
            return name, found["type"], given["type"]
        parts = [(f"{name}.{key}".lstrip("."), found[key], given[key]) for key in given if key in found]
    elif isinstance(found, list) and isinstance(given, list) and len(found) == len(given):
        parts = [(f"{name}.{i}", *pair) for i, pair in enumerate(zip(found, given, strict=True))]
    else:
        return None if found == given else (name, found, given)
    return next((different for part in parts if (different := _difference(*part))), None)
