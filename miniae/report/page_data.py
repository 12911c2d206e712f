"""An explanation as JSON values, for the scripts of its page. Arrays are base64: bytes, or little-endian float32."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae.report.canvas import as_image_shape
from miniae.report.explanation import Explanation, LatentPlane, Twin
from miniae.training import LayerLook

__all__ = ["base64_floats", "page_data"]

_BINS = 24
_DECADES = 12  # of gradients, at most
_FILTERS = 40
_CHECKED = 4  # codes whose samples are compared with the page's


def page_data(explanation: Explanation) -> dict[str, Any]:
    """What the page's scripts draw."""
    shape = as_image_shape(explanation.image_shape, explanation.samples.shape[1:])
    low, high = explanation.low.astype(np.float64), explanation.high.astype(np.float64)
    if shape is not None:  # pixels have one range
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    plane, decoder = explanation.plane, explanation.decoder
    refused = explanation.refused
    return {
        "facts": explanation.facts,
        "shape": shape,
        "names": explanation.feature_names,
        "low": low.tolist(), "high": high.tolist(),
        "stages": {name: {key: [_short(row[key]) for row in rows] for key in ("epoch", "loss", "val_loss")
                          if all(key in row for row in rows)} for name, rows in explanation.stages.items()},
        "samples": {"count": len(explanation.samples), "bytes": _bytes(explanation.samples, low, high)},
        "twins": _twins(explanation, low, high),
        "filters": _filters(explanation, shape),
        "plane": None if plane is None else _plane(plane),
        "decoder": None if decoder is None else {"steps": decoder.steps, "result": decoder.result},
        "refused": None if refused is None else {"reason": refused.reason, "detail": refused.detail},
        "checks": [] if decoder is None or plane is None else _checks(explanation, plane),
    }


def _twins(explanation: Explanation, low: np.ndarray, high: np.ndarray) -> list[dict[str, Any]]:
    twins = explanation.twins
    looks = [look for twin in twins for look in twin.insight.layers.values()]
    gradients = _decades([g for look in looks for g in look.gradients])
    ranges = {look.name: _range([a for other in looks if other.name == look.name for a in other.values])
              for look in looks}
    unscaled = explanation.model.scaler_.inverse_transform
    return [{
        "pretraining": twin.pretraining, "repeats": twin.repeats, "epochs": twin.insight.epochs,
        "losses": [_short(loss) for loss in twin.insight.losses],
        "layers": [_layer(look, ranges[look.name], gradients) for look in twin.insight.layers.values()],
        "reconstructions": [_bytes(unscaled(a), low, high) for a in _made(twin)],
    } for twin in twins]


def _made(twin: Twin) -> list[np.ndarray]:
    return [a.reshape(len(a), -1) for a in twin.insight.reconstructions]


def _layer(look: LayerLook, values: tuple[float, float], gradients: tuple[int, int]) -> dict[str, Any]:
    return {
        "name": look.name, "kind": look.kind, "shape": look.shape,
        "valueRms": [_short(v) for v in look.value_rms], "gradientRms": [_short(v) for v in look.gradient_rms],
        "values": {"low": values[0], "high": values[1], "counts": [_counts(a, *values) for a in look.values]},
        "gradients": {"low": gradients[0], "high": gradients[1],
                      "counts": [_counts(_magnitudes(a), *gradients) for a in look.gradients]},
    }


def _range(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """From the smallest to the largest value, without the outermost half per cent."""
    low, high = np.percentile(np.concatenate(arrays), [0.5, 99.5])
    if not low < high:
        return _short(low) - 0.5, _short(low) + 0.5
    step = 10.0 ** np.floor(np.log10(high - low) - 1)  # ends that are easy to read
    return _short(np.floor(low / step) * step), _short(np.ceil(high / step) * step)


def _decades(gradients: Sequence[np.ndarray]) -> tuple[int, int]:
    """The powers of ten between which the gradients are, but for the smallest per cent."""
    found = [a[a != 0] for a in gradients]
    magnitudes = np.log10(np.abs(np.concatenate(found))) if found else np.empty(0)
    if not magnitudes.size:
        return -1, 0
    high = int(np.ceil(magnitudes.max()))
    return max(min(int(np.floor(np.percentile(magnitudes, 1))), high - 1), high - _DECADES), high


def _magnitudes(gradients: np.ndarray) -> np.ndarray:
    """log10 |g|, and for gradients of 0 a number below all."""
    magnitudes = np.full(gradients.shape, -99.0)
    np.log10(np.abs(gradients), out=magnitudes, where=gradients != 0)
    return magnitudes


def _counts(a: np.ndarray, low: float, high: float) -> list[int]:
    """A histogram; what lies outside counts in the outermost bins."""
    return np.histogram(np.clip(a, low, high), _BINS, (low, high))[0].tolist()


def _filters(explanation: Explanation, shape: tuple[int, int, int] | None) -> dict[str, Any] | None:
    """The weights into the units of the first layer that have the longest ones; of filters their mean over channels."""
    weight = next((p.numpy() for p in explanation.model.network_.parameters() if p.ndim > 1), None)
    features = explanation.samples[0].size
    if weight is not None and weight.ndim == 4:
        units, shape = weight.mean(axis=1), (1, *weight.shape[2:])
    elif weight is not None and weight.ndim == 2 and len(weight) == features:
        units = weight.T
    else:
        return None
    units = units.reshape(len(units), -1).astype(np.float64)
    chosen = np.sort(np.argsort(-np.square(units).sum(axis=1), kind="stable")[:_FILTERS])
    largest = np.maximum(np.abs(units[chosen]).max(axis=1, keepdims=True), 1e-30)
    if shape is not None and shape[0] > 1 and weight.ndim == 2:  # of colours, too, only how bright
        shape, units = (1, *shape[1:]), units.reshape(len(units), shape[0], -1).mean(axis=1)
    return {"count": len(chosen), "of": len(units), "shape": shape, "units": chosen.tolist(),
            "windows": weight.ndim == 4,
            "bytes": _encoded(np.round(127.5 + 127.5 * units[chosen] / largest).astype(np.uint8))}


def _plane(plane: LatentPlane) -> dict[str, Any]:
    labels = None if plane.labels is None else [str(label) for label in plane.labels.tolist()]
    return {"places": base64_floats(plane.places), "mean": plane.mean.tolist(), "axes": plane.axes.tolist(),
            "share": plane.share, "labels": labels}


def _checks(explanation: Explanation, plane: LatentPlane) -> list[dict[str, list[float]]]:
    """Codes of the plane, and what the model itself makes of them."""
    codes = (plane.mean + plane.places[:_CHECKED] @ plane.axes).astype(explanation.model.dtype)
    samples = explanation.model.inverse_transform(codes).reshape(len(codes), -1)
    return [{"code": c.tolist(), "sample": s.tolist()} for c, s in zip(codes, samples, strict=True)]


def _bytes(samples: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Samples as a byte a feature, from 0 at its lowest to 255 at its highest."""
    flat = samples.reshape(len(samples), -1)
    share = (flat - low) / np.where(high > low, high - low, 1.0)
    return _encoded(np.round(255 * np.clip(np.nan_to_num(share), 0, 1)).astype(np.uint8))


def base64_floats(a: np.ndarray) -> str:
    """An array as base64 of little-endian float32."""
    return _encoded(a.astype("<f4"))


def _encoded(a: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()


def _short(value: float) -> float:
    """Six digits, which are enough to draw."""
    return float(f"{float(value):.6g}")
