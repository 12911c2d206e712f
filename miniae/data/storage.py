"""Files of arrays with a description, read without running anything in them.

They are kept as safetensors. One entry of its header, `miniae`, holds JSON: what the tensors belong to. It always
has the entries `kind`, `format` (a number) and `checksum`, and perhaps `needs`. How versions get along:

- a reader reads every format up to the newest it knows, and refuses newer ones;
- a writer may add entries, parameters and tensors at any time, in the same format: readers ignore what they don't know;
- what must not be ignored, as what the file says would be misread without it, is named in the list `needs`: a reader
  refuses a file that needs something it does not know, and says that a newer miniae reads it;
- what an entry that there is means never changes, except with the format.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data.errors import StorageError, first_line
from miniae.data.whole_files import writing

__all__ = ["check_kind", "checksum", "crc_of", "described", "extra_of", "labels_of", "load_header", "load_tensors",
           "reading", "save_tensors", "under"]

_HEADER_KEY, _CHECKSUM = "miniae", "checksum"  # one entry, as safetensors keeps several in no fixed order

_KNOWN_NEEDS: frozenset[str] = frozenset()
"""What files may need that this version knows: nothing so far."""

# How much of what is wrong with a file is said.
_SAID = 200

_PICKLE = ("is a file of PyTorch's, a pickle, which torch.load reads and miniae never does, as it could run code. To "
           "have a state dict's weights here, write it by safetensors.torch.save_file: "
           "miniae.exchange.from_torch_state_dict takes them")
_OTHERS = {".onnx": "is an ONNX graph, which onnxruntime reads and miniae only writes: name the .safetensors file that "
                    "it was made of", ".pt": _PICKLE, ".pth": _PICKLE}
"""What files with these endings are, where they are no safetensors files."""


def save_tensors(path: str | os.PathLike[str], tensors: dict[str, np.ndarray], header: dict[str, Any],
                 previous: Path | None = None) -> None:
    """Write arrays by name, with a JSON header and a checksum. The same contents give the same bytes.

    The file that was there before is kept as `previous`, if that is given.
    """
    from safetensors.numpy import save

    contiguous = {name: np.asarray(a, order="C") for name, a in tensors.items()}
    checked = {**header, _CHECKSUM: _checksum(contiguous, header)}
    data = save(contiguous, metadata={_HEADER_KEY: json.dumps(checked)})
    with writing(path, previous) as temporary:
        temporary.write_bytes(data)


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the header that `save_tensors` wrote. Raises `StorageError` for anything else."""
    with _opened(path) as (file, header):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    if _CHECKSUM in header and header.pop(_CHECKSUM) != _checksum(tensors, header):  # older files have none
        raise StorageError(f"{path} is damaged: its checksum is not that of its contents. Write it again, or use a "
                           "copy")
    return tensors, header


def load_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The header alone of what `save_tensors` wrote. Its `checksum`, which only the oldest files have none of, is of
    the arrays too, and not compared."""
    with _opened(path) as (_, header):
        return header


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """What reads the arrays of a file one by one, and its header. Raises `StorageError` for files of others."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.is_dir():
        raise StorageError(f"{path} is a folder, expected a .safetensors file: name the file in it")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if _HEADER_KEY not in metadata:
                raise StorageError(f"{path} is a safetensors file of some other program: it has no {_HEADER_KEY!r} "
                                   "header. Expected a file that miniae wrote")
            header = json.loads(metadata[_HEADER_KEY])
            if not isinstance(header, dict):
                raise StorageError(f"{path} is damaged: its header is not a JSON object")
            yield file, header
    except FileNotFoundError:
        raise StorageError(f"{path} does not exist: name a .safetensors file that miniae wrote") from None
    except StorageError:
        raise
    except (SafetensorError, ValueError, OSError, TypeError, KeyError, RecursionError) as why:
        if path.suffix.lower() in _OTHERS:
            raise StorageError(f"{path} {_OTHERS[path.suffix.lower()]}") from None
        raise StorageError(f"{path} is damaged or not a safetensors file ({first_line(why)}): write it again, or use a "
                           "copy") from None


def extra_of(header: dict[str, Any]) -> dict[str, Any]:
    """What the caller of `save` added to a file, by its header. Raises `ValueError` where that is no object, or its
    `feature_names` or `dropped` columns are no names."""
    extra = header.get("extra", {})
    if not isinstance(extra, dict):
        raise ValueError(f"'extra' in its header is a {type(extra).__name__}, expected an object")
    names = extra.get("feature_names")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError("'feature_names' in its header are no list of names")
    dropped = extra.get("dropped", [])
    if not (isinstance(dropped, list) and all(isinstance(column, str) for column in dropped)):
        raise ValueError("'dropped' in its header is no list of names")
    return extra


def check_kind(path: str | os.PathLike[str], header: dict[str, Any], kind: str, newest: int, expected: str) -> None:
    """Raises `StorageError` unless a file's header says it is of that `kind`, and of a format up to the newest known.

    `expected` says what it should be, and how to get it.
    """
    if header.get("kind") != kind:
        found = _short(header.get("kind", "thing without a kind"))
        raise StorageError(f"{path} holds {'an' if found[:1] in 'aeiou' else 'a'} {found}, expected {expected}")
    if not isinstance(header.get("format"), int) or header["format"] > newest:
        raise StorageError(f"{path} has format {_short(header.get('format'))}, this version reads up to {newest}: "
                           "install a newer miniae")
    needs = header.get("needs", [])
    unknown = [n for n in needs if not isinstance(n, str) or n not in _KNOWN_NEEDS] if isinstance(needs, list) else \
        [needs]
    if unknown:
        raise StorageError(f"{path} needs {_short(unknown[0])}, which this version does not know: install a newer "
                           "miniae")


@contextlib.contextmanager
def described(path: str | os.PathLike[str]) -> Iterator[None]:
    """Makes what a file describes: whatever goes wrong because its description can't be is a `StorageError`."""
    try:
        yield
    except StorageError:
        raise
    except _CONTRADICTIONS as why:
        raise StorageError(f"{path} is damaged: {first_line(why)} (or it is of a newer miniae)") from None


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], kind: str, newest: int,
            expected: str) -> Iterator[tuple[dict[str, np.ndarray], dict[str, Any]]]:
    """The arrays and the header of a file of that `kind`, for a block that makes something of them.

    Raises `StorageError` as `load_tensors` and `check_kind` do, and where the block finds an entry missing or wrong.
    """
    tensors, header = load_tensors(path)
    check_kind(path, header, kind, newest, expected)
    with described(path):
        yield tensors, header


_CONTRADICTIONS = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError,
                   NotImplementedError)


def labels_of(entry: Any, name: str) -> np.ndarray:
    """The labels or ids of an entry {"dtype": "<i8", `name`: [...]} of a header: integers, real numbers, or strings.

    Raises `TypeError`, `ValueError` or `KeyError` for others.
    """
    kind, given = np.dtype(entry["dtype"]), entry[name]
    types: dict[str, tuple[type, ...]] = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float), "U": (str,)}
    wanted = types.get(kind.kind)
    if wanted is None or not isinstance(given, list) or not all(isinstance(value, wanted) for value in given):
        raise ValueError(f"its {name} are {_short(given)}, expected a list of the type {_short(entry['dtype'])}")
    # Strings as long as the longest: what the file claims of their length would be so much memory for each.
    return np.array(given, str if kind.kind == "U" else kind)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= _SAID else text[:_SAID] + " ..."


def under(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    """The arrays whose names begin so, by the rest of their names."""
    return {name[len(prefix):]: a for name, a in tensors.items() if name.startswith(prefix)}


def _checksum(tensors: dict[str, np.ndarray], header: dict[str, Any]) -> str:
    """The CRC-32 of the header and of all arrays."""
    return f"{checksum(tensors, zlib.crc32(json.dumps(header).encode())):08x}"


def checksum(tensors: dict[str, np.ndarray], start: int = 0) -> int:
    """The CRC-32 of arrays with their names, types and shapes, in the names' order, after what gave `start`."""
    total = start
    for name, a in sorted(tensors.items()):
        total = crc_of(a, zlib.crc32(f"{name} {a.dtype.name} {a.shape}".encode(), total))
    return total


def crc_of(array: np.ndarray, start: int = 0) -> int:
    """The CRC-32 of an array's bytes, in C order, after what gave `start`."""
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, start)
