"""Fixtures of the backends' tests."""

from __future__ import annotations

import math

import numpy as np
import pytest

GUARD = 80  # elements on either side of an array


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def guarded(cuda_on_cpu, monkeypatch):
    """The CUDA sources on the CPU, with guards around what is allocated: bytes 255, in floats a NaN. So is what is not
    written yet. Convolutions take the kernels that make no columns."""
    memories = []

    def allocate(shape, dtype):
        size = math.prod(shape)
        memory = cuda_on_cpu.xp.empty(size + 2 * GUARD, dtype)
        memory.view("u1").fill(255)
        memories.append((memory, size))
        return memory[GUARD:GUARD + size].reshape(shape)

    monkeypatch.setattr(cuda_on_cpu, "allocate", allocate)
    monkeypatch.setattr(cuda_on_cpu, "convolution", "implicit")
    yield cuda_on_cpu
    for memory, size in memories:
        for guard in (memory[:GUARD], memory[GUARD + size:]):
            assert (guard.view("u1") == 255).all(), "a kernel wrote outside of its arrays"


@pytest.fixture
def on_device(guarded):
    def on_device(host):
        array = guarded.empty(host.shape, host.dtype)
        array[...] = host
        return array

    return on_device
