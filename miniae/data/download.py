"""Fetching files from the network, into a cache of the user's, checked before they count."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from miniae.data.errors import DataError
from miniae.data.whole_files import writing

__all__ = ["cache_folder", "fetch"]

_TIMEOUT = 30.0  # seconds without a byte


def cache_folder() -> Path:
    """Where downloads are kept: the platform's folder for a user's cached files."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "miniae"


def fetch(name: str, mirrors: Sequence[str], sha256: str, size: int, folder: Path) -> Path:
    """The file `folder/name` (gzip), downloaded from the first mirror that has it right.

    `sha256` and `size` are those of the unpacked contents, which mirrors that pack differently share. Raises
    `DataError` when no mirror delivers, with each one's reason.
    """
    path, reasons = folder / name, []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise DataError(f"can't make the folder {folder} for downloads: {why.strerror}. Set MINIAE_DATA to a folder "
                        "that holds the data") from None
    for mirror in mirrors:
        try:
            with writing(path) as temporary:
                _download(mirror + name, temporary)
                _check(temporary, sha256, size)
            return path
        except ValueError as why:
            reasons.append(f"{mirror}: {why}")
    raise DataError(f"can't download {name} ({'; '.join(reasons)}). Put it into {folder}, or set MINIAE_DATA to a "
                    "folder that has it")


def _download(url: str, path: Path) -> None:
    from http.client import HTTPException
    from urllib.request import urlopen

    from tqdm import tqdm

    try:
        with urlopen(url, timeout=_TIMEOUT) as response, path.open("wb") as file:
            length = response.headers.get("Content-Length")
            bar: Any = tqdm(total=int(length) if length else None, unit="B", unit_scale=True,
                            desc=url.rsplit("/", 1)[-1], disable=not sys.stderr.isatty())
            with bar:
                while block := response.read(1 << 16):
                    file.write(block)
                    bar.update(len(block))
    except (OSError, HTTPException) as why:  # a URLError is an OSError
        raise ValueError(str(getattr(why, "reason", "") or why)) from None


def _check(path: Path, sha256: str, size: int) -> None:
    """Raise unless the file unpacks to exactly what is expected; never unpacks more than that."""
    digest, total = hashlib.sha256(), 0
    try:
        with gzip.open(path) as file:
            while block := file.read(1 << 20):
                total += len(block)
                if total > size:
                    raise ValueError(f"the file unpacks to more than the expected {size} bytes")
                digest.update(block)
    except (OSError, EOFError, zlib.error) as why:
        raise ValueError(f"the file can't be unpacked ({why})") from None
    if total != size or digest.hexdigest() != sha256:
        raise ValueError(f"the checksum of the {total} unpacked bytes is {digest.hexdigest()[:12]}..., "
                         f"expected {sha256[:12]}... of {size}")
