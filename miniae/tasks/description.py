"""What a file holds, in a few plain lines: a detector, an inspector, a denoiser, an index or a compressor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from miniae.data.storage import described, load_header
from miniae.tasks.compression import ImageCompressor
from miniae.tasks.detection import AnomalyDetector
from miniae.tasks.inspection import TextureInspector
from miniae.tasks.patches import PatchDenoiser
from miniae.tasks.quantised_compression import VectorQuantisedCompressor
from miniae.tasks.retrieval import SemanticIndex
from miniae.tasks.series import SeriesDetector
from miniae.training import Estimator

__all__ = ["describe", "made_without"]


def describe(path: str | os.PathLike[str]) -> list[str] | None:
    """Lines that say what kind of file this is, when it was written, what was fitted to what, its shapes, settings and
    threshold. None for files of other kinds, as models are, which have layers to be listed.

    The whole file is read, once, and made use of, so that a damaged one is not described. Raises `StorageError` for
    files that miniae did not write, or can't use.
    """
    header = load_header(path)
    kind = header.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        return None
    load, facts = _KINDS[kind]
    fitted = load(path, "numpy")
    about = getattr(fitted, "extra_", None) or getattr(fitted, "extra", None) or {}
    source = f", fitted to {about['data']}{made_without(about)}" if about.get("data") else ""
    written = time.strftime("%Y-%m-%d %H:%M", time.localtime(Path(path).stat().st_mtime))
    checked = "checksum verified" if "checksum" in header else "without a checksum, as older files are"
    with described(path):  # a threshold may be no number, say
        said = facts(fitted, about.get("feature_names"))
    return [f"{path}: {kind} ({type(fitted).__name__}){source}, written {written}, {checked}", *said,
            f"settings: {_settings(fitted, header) or 'the defaults'}"]


def made_without(about: dict[str, Any]) -> str:
    """The columns that were dropped, by what a file keeps beside what it holds; nothing where there are none."""
    dropped = about.get("dropped")
    return f" without {', '.join(map(repr, dropped))}" if dropped else ""


def _settings(fitted: Any, header: dict[str, Any]) -> str:
    """Those that are not the defaults; of what is no `Estimator`, those that its file names."""
    if isinstance(fitted, Estimator):
        given = fitted.changed_params()
    elif isinstance(fitted, VectorQuantisedCompressor):
        given = {"name": fitted.name, **fitted.model_.changed_params()}
    else:
        given = header.get("settings") or {name: header.get(name) for name in ("metric", "threshold")}
        given = {name: value for name, value in given.items() if value is not None}
    return ", ".join(f"{name}={value!r}" for name, value in given.items() if name not in ("backend", "model"))


def _rows(detector: AnomalyDetector, names: list[str] | None) -> list[str]:
    return [f"rows of shape {detector.input_shape_}{_called(names)}", _networks(detector.members_),
            f"threshold {detector.threshold_:.4g}: rows of larger scores are anomalies, 1 is usual"]


def _moments(detector: SeriesDetector, names: list[str] | None) -> list[str]:
    return [f"series of {_count(detector.channels_, 'channel')}{_called(names)}, in windows of {detector.window_} "
            "moments", _networks(detector.detector_.members_),
            f"threshold {detector.threshold_:.4g}: moments of larger scores are anomalies, 1 is usual"]


def _textures(inspector: TextureInspector, names: None) -> list[str]:
    return [f"images of {_count(inspector.channels_, 'channel')}, in patches of {inspector.size} x {inspector.size} at "
            f"{_count(len(inspector.models_), 'scale')}", _networks(inspector.models_),
            f"threshold {inspector.threshold_:.4g}: pixels of larger heat are defects, 1 is usual"]


def _noisy(denoiser: PatchDenoiser, names: None) -> list[str]:
    return [f"images of {_count(denoiser.channels_, 'channel')}, in patches of {denoiser.size} x {denoiser.size}",
            _networks([denoiser.model_]),
            f"for noise of deviation {denoiser.level_:.4g}, where black is 0 and white 1"]


def _codes(index: SemanticIndex, names: None) -> list[str]:
    lines = [_count(len(index), "code") + (f" of {index.bytes_per_code} bytes each" if len(index) else "")]
    if index.model is None:
        return [*lines, "no model, which would make codes of samples"]
    return [*lines, f"by a model, {type(index.model).__name__}, of samples of shape {index.model.network_.input_shape}",
            _networks([index.model])]


def _pictures(compressor: ImageCompressor, names: None) -> list[str]:
    return [f"images of any size, in blocks of {compressor.size} x {compressor.size} pixels, {compressor.filters} "
            f"numbers a block at most; identity {compressor.checksum_:08x}", _networks([compressor.model_])]


def _tiles(compressor: VectorQuantisedCompressor, names: None) -> list[str]:
    channels, height, width = compressor.image_shape
    return [f"images of any size, in tiles of {height} x {width} pixels of {_count(channels, 'channel')}, by a "
            f"codebook of {compressor.model_.network_.quantiser.size}; identity {compressor.checksum_:08x}",
            _networks([compressor.model_])]


def _networks(models: Sequence[Any]) -> str:
    weights = sum(p.size for model in models for p in model.network_.parameters())
    return f"{_count(len(models), 'network')}, {weights:,} weights"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _called(names: list[str] | None) -> str:
    return f" ({', '.join(names[:10])}{', ...' * (len(names) > 10)})" if names else ""


_KINDS: dict[str, tuple[Callable[..., Any], Callable[..., list[str]]]] = {
    "detector": (AnomalyDetector.load, _rows),
    "series detector": (SeriesDetector.load, _moments),
    "inspector": (TextureInspector.load, _textures),
    "denoiser": (PatchDenoiser.load, _noisy),
    "index": (SemanticIndex.load, _codes),
    "compressor": (ImageCompressor.load, _pictures),
    "vector-quantised compressor": (VectorQuantisedCompressor.load, _tiles),
}
