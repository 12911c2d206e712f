"""Fixtures of the backends' tests."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.backend import BackendUnavailable, get


@pytest.fixture(params=["numpy", "strict", "cupy", "cuda_on_cpu"])
def any_backend(request):
    """Every backend, and the CUDA sources on the CPU."""
    if request.param == "cuda_on_cpu":
        return request.getfixturevalue("cuda_on_cpu")
    try:
        return get(request.param)
    except BackendUnavailable as why:
        pytest.skip(str(why))


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)
