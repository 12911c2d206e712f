"""Files on disk: written whole or not at all, and read without running anything in them.

Weights are kept as safetensors. One entry of its header, `miniae`, holds JSON: what the tensors belong to. It always
has the entries `kind`, `format` (a number) and `checksum`, and perhaps `needs`. How versions get along:

- a reader reads every format up to the newest it knows, and refuses newer ones;
- a writer may add entries, parameters and tensors at any time, in the same format: readers ignore what they don't know;
- what must not be ignored, as what the file says would be misread without it, is named in the list `needs`: a reader
  refuses a file that needs something it does not know, and says that a newer miniae reads it;
- what an entry that there is means never changes, except with the format.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["StorageError", "check_unused", "writing", "writing_folder", "write_text", "write_json", "write_table",
           "save_tensors", "load_tensors", "load_header", "has_checksum", "extra_of", "check_kind", "described",
           "labels_of", "reading", "remove_leftovers", "under"]

_HEADER_KEY, _CHECKSUM = "miniae", "checksum"  # one entry, as safetensors keeps several in no fixed order

_KNOWN_NEEDS: frozenset[str] = frozenset()
"""What files may need that this version knows: nothing so far."""

_BEGAN = time.time()  # this process

# How much of what is wrong with a file is said.
_SAID = 200

_PICKLE = ("is a file of PyTorch's, a pickle, which torch.load reads and miniae never does, as it could run code. To "
           "have a state dict's weights here, write it by safetensors.torch.save_file: "
           "miniae.exchange.from_torch_state_dict takes them")
_OTHERS = {".onnx": "is an ONNX graph, which onnxruntime reads and miniae only writes: name the .safetensors file that "
                    "it was made of", ".pt": _PICKLE, ".pth": _PICKLE}
"""What files with these endings are, where they are no safetensors files."""


class StorageError(ValueError):
    """A file can't be read or written; the message names it and says what is wrong and how to mend it."""


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], previous: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    So `path` holds either what it held before or all of the new contents, whatever happens in between: also when the
    power fails, as the contents are on the disk before the name is. What it held before is kept as `previous`, if that
    is given; a process that ends between the two renamings leaves `path` missing and that whole. Raises `StorageError`
    when the folder is missing or can't be written, or the disk is full.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as why:
        raise StorageError(f"can't write {path}: {why.strerror or why}. Choose a folder that exists, is writable and "
                           "has space left") from None
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; these are ordinary ones
        _to_disk(temporary)
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
        _to_disk(path.parent)
    except OSError as why:
        raise StorageError(f"can't write {path}: {why.strerror or why}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk and not only in memory."""
    if path.is_dir() and os.name != "posix":  # only there a folder can be opened
        return
    folder = path.is_dir()
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as why:
        if not folder or why.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems can't do it for folders
            raise
    finally:
        os.close(handle)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while `writing(path)` have left beside it.

    What is younger than this process stays: another one may be writing it just now.
    """
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????{glob.escape(path.suffix)}"):
        with contextlib.suppress(FileNotFoundError):
            if leftover.stat().st_mtime < _BEGAN:
                leftover.unlink()


@contextlib.contextmanager
def writing_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside `folder`, renamed to it when the block ends well and removed when it does not.

    Raises `StorageError` for a folder that something is in, and where nothing can be written.
    """
    folder = Path(folder)
    check_unused(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as why:
        raise StorageError(f"can't write to {folder}: {why.strerror or why}. Choose a writable place with enough "
                           "room") from None


def _umask() -> int:
    mode = os.umask(0)
    os.umask(mode)
    return mode


def check_unused(folder: Path) -> None:
    """Raise `StorageError` for a folder that something is in, or a file in its place."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists already and is not an empty folder: choose a new one, so that nothing "
                           "is overwritten")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_table(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table with a header, whole or not at all: cells parted by tabs where the path ends in .tsv, else by
    commas."""
    with writing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t" if temporary.suffix.lower() == ".tsv" else ",", lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


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
    """The header alone of what `save_tensors` wrote; the checksum, which is of the arrays too, is not compared."""
    with _opened(path) as (_, header):
        return {name: value for name, value in header.items() if name != _CHECKSUM}


def has_checksum(path: str | os.PathLike[str]) -> bool:
    """Whether a file that `save_tensors` wrote has a checksum, which `load_tensors` compares; the oldest have none."""
    with _opened(path) as (_, header):
        return _CHECKSUM in header


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
        raise StorageError(f"{path} is damaged or not a safetensors file ({_reason(why)}): write it again, or use a "
                           "copy") from None


def extra_of(header: dict[str, Any]) -> dict[str, Any]:
    """What the caller of `save` added to a file, by its header. Raises `ValueError` where that is no object, or its
    `feature_names` are no names."""
    extra = header.get("extra", {})
    if not isinstance(extra, dict):
        raise ValueError(f"'extra' in its header is a {type(extra).__name__}, expected an object")
    names = extra.get("feature_names")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError("'feature_names' in its header are no list of names")
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
        raise StorageError(f"{path} is damaged: {_reason(why)} (or it is of a newer miniae)") from None


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


def _reason(why: BaseException) -> str:
    """What an error says, in one line that is not too long."""
    return _short(str(why).split("\n")[0] or type(why).__name__)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= _SAID else text[:_SAID] + " ..."


def under(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    """The arrays whose names begin so, by the rest of their names."""
    return {name[len(prefix):]: a for name, a in tensors.items() if name.startswith(prefix)}


def _checksum(tensors: dict[str, np.ndarray], header: dict[str, Any]) -> str:
    """The CRC-32 of the header and of all arrays, with their names, types and shapes."""
    total = zlib.crc32(json.dumps(header).encode())
    for name in sorted(tensors):
        a = tensors[name]
        total = zlib.crc32(f"{name} {a.dtype.name} {a.shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data, total)
    return f"{total:08x}"
