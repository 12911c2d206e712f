"""A model as a table."""

from __future__ import annotations

import math

import numpy as np

from miniae.nn.layer import Layer, batch_shape


def summary_table(model: Layer) -> str:
    """Every layer with its output shape and number of parameters; then the totals, and the memory they take.

    A parameter shared by two layers is counted once, where it was made. Values are what the layers put out for one
    sample, which training keeps for backward. Raises `ValueError` for a model that has not been built.
    """
    if model.input_shape is None:
        raise ValueError("the model has no shapes yet: give it an input_shape, or call it once")
    rows = [("Layer", "Output shape", "Parameters"), ("Input", batch_shape(model.input_shape), "0")]
    parameters = values = buffers = 0
    for path, layer in model.named_layers():
        if layer.children():
            continue
        shape = layer.output_shape(layer.input_shape or ())
        count = sum(p.size for p in layer.parameters())
        rows.append((f"{path} {type(layer).__name__}".strip(), batch_shape(shape), f"{count:,}"))
        parameters, values = parameters + count, values + math.prod(shape)
        buffers += sum(b.size for b in layer._buffers.values())
    dtype = np.dtype(model.place.dtype)
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{name:<{widths[0]}}   {shape:<{widths[1]}}   {count:>{widths[2]}}" for name, shape, count in rows]
    rule = "-" * len(lines[0])
    lines[1:1] = [rule]
    lines += [rule, f"Parameters: {parameters:,} ({_memory(parameters * dtype.itemsize)} in {dtype})"]
    if buffers:
        lines.append(f"Buffers, not trained: {buffers:,}")
    return "\n".join([*lines, f"Values for one sample: {values:,} ({_memory(values * dtype.itemsize)})"])


def _memory(size: float) -> str:
    """Bytes in a readable unit."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
