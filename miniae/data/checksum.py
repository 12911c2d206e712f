"""Tensor files with a checksum: a flipped bit is found, not answered with."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import numpy as np

from miniae.data.storage import StorageError, load_tensors, save_tensors

__all__ = ["load_checked", "save_checked"]

_KEY = "sha256"


def save_checked(path: str | os.PathLike[str], tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Write arrays by name with a JSON header, which gets a checksum of all of it."""
    save_tensors(path, tensors, {**header, _KEY: _checksum(tensors, header)})


def load_checked(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the header that `save_checked` wrote, of the header's `kind`.

    Raises `StorageError`, in one line, for another kind of file and for one that has changed since.
    """
    tensors, header = load_tensors(path)
    if header.get("kind") != kind:
        raise StorageError(f"{path} holds a {header.get('kind', 'thing without a kind')}, expected a file of the kind "
                           f"{kind!r}")
    written = header.pop(_KEY, None)
    if written != _checksum(tensors, header):
        raise StorageError(f"{path} is damaged: its checksum is not that of its contents. Write it again, or use a "
                           "copy")
    return tensors, header


def _checksum(tensors: dict[str, np.ndarray], header: dict[str, Any]) -> str:
    """SHA-256 over the header as sorted JSON and over every array's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()
