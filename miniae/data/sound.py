"""WAV files: sounds as arrays."""

from __future__ import annotations

import os
import wave
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data.errors import DataError
from miniae.data.whole_files import writing

__all__ = ["read_wav", "write_wav"]

_BITS = (8, 16, 24, 32)


def read_wav(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """(sound, samples a second) of a WAV file of 8, 16, 24 or 32 bits, PCM. The sound is (T,), or (T, channels) where
    there are several, float32 (float64 of more than 16 bits) from -1 to 1. Raises `DataError` for anything else."""
    path = Path(path)
    try:
        with path.open("rb") as file, wave.open(file) as sound:
            channels, width, rate, count = sound.getparams()[:4]
            data = sound.readframes(count)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: name a WAV file") from None
    except OSError as why:
        raise DataError(f"{path} can't be read: {why.strerror or why}") from None
    except (wave.Error, EOFError, RuntimeError) as why:  # the last one for a chunk that ends beyond the file
        raise DataError(f"{path} is not a WAV file of integers, or damaged ({str(why) or 'it ends too early'}): save "
                        "it as WAV, PCM of 16 bits") from None
    if 8 * width not in _BITS or not channels or not rate:
        raise DataError(f"{path} has samples of {8 * width} bits, expected {', '.join(map(str, _BITS))}: convert it")
    if not data or len(data) != count * channels * width:
        raise DataError(f"{path} holds {len(data)} bytes of sound, its header says {count * channels * width}, and "
                        "there must be some: it is empty or cut off, save it again")
    values = _integers(np.frombuffer(data, np.uint8).reshape(-1, width))
    x = (values / 2.0 ** (8 * width - 1)).astype(np.float32 if width < 3 else np.float64)
    return (x if channels == 1 else x.reshape(-1, channels)), rate


def write_wav(path: str | os.PathLike[str], x: Any, rate: int, bits: int = 16) -> None:
    """Write a sound (T,) or (T, channels) from -1 to 1, with so many samples a second, as PCM of 8, 16, 24 or 32 bits;
    what is beyond that range is clipped. Raises `DataError` for what is no such sound."""
    x = np.asarray(x)
    if x.ndim not in (1, 2) or not x.size or x.dtype.kind not in "fiu" or not np.isfinite(x).all():
        raise DataError(f"can't write {os.fspath(path)}: a sound is (T,) or (T, channels), finite real numbers from -1 "
                        f"to 1; got shape {x.shape}, {x.dtype}")
    if bits not in _BITS or isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate < 1:
        raise DataError(f"can't write {os.fspath(path)}: expected a whole number of samples a second and {_BITS} bits; "
                        f"got {rate!r} and {bits!r}")
    half = 1 << (bits - 1)
    values = np.clip(np.rint(x.astype(np.float64) * half), -half, half - 1).astype(np.int64)
    stored = values + half if bits == 8 else values  # 8 bits are without a sign
    data = stored.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :bits // 8].tobytes()
    with writing(path) as temporary, temporary.open("wb") as file, wave.open(file, "wb") as sound:
        sound.setparams((1 if x.ndim == 1 else x.shape[1], bits // 8, int(rate), 0, "NONE", ""))
        sound.writeframes(data)


def _integers(little: np.ndarray) -> np.ndarray:
    """The numbers of these bytes, (N, 1 to 4), the least of each first; 8 bits are without a sign."""
    width = little.shape[1]
    if width == 1:
        return little[:, 0].astype(np.int64) - 128
    wide = np.zeros((len(little), 4), np.uint8)
    wide[:, 4 - width:] = little
    return wide.view("<i4")[:, 0].astype(np.int64) >> (8 * (4 - width))
