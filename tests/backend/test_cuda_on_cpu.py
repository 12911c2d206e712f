"""The stand-in that runs the CUDA sources on the CPU: that it would show what goes wrong on a GPU."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_on_cpu import CupyOnCPU

N = 64
# The sum of x, by halves: shared memory is read by another thread than wrote it.
SUM = """
template <typename T> __global__ void total(const T* x, T* y) {
    __shared__ T part[64];
    int t = threadIdx.x;
    part[t] = x[blockIdx.x * 64 + t];
    __syncthreads();
    for (int half = 32; half; half /= 2) {
        if (t < half) part[t] += part[t + half];
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = part[0];
}
"""
LAST = "        __syncthreads();\n"  # within the loop
FIRST = "    __syncthreads();\n    for"
DIVERGENT = SUM.replace("if (t < half) part[t] += part[t + half];\n        __syncthreads();",
                        "if (t < half) { part[t] += part[t + half]; __syncthreads(); }")


@pytest.fixture
def cupy(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to run the CUDA sources on the CPU")
    return CupyOnCPU(tmp_path)


def totals(cupy, text):
    """What the kernel gives for each of three rows of N numbers, and what it should."""
    x, y = np.random.default_rng(0).standard_normal((3, N)), np.empty(3)
    kernel = cupy.RawModule(text, options=("--std=c++17",), name_expressions=["total<double>"])
    kernel.get_function("total<double>")((3,), (N,), (x, y))
    return y, x.sum(axis=1)


@pytest.mark.parametrize("schedule", [0, 1, 6, 33])
def test_threads_share_memory_and_wait_for_each_other(cupy, schedule):
    cupy.schedule = schedule
    mine, theirs = totals(cupy, SUM)
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize("missing", ["in the loop", "before the loop"])
def test_a_missing_barrier_shows(cupy, missing):
    text = SUM.replace(LAST, "", 1) if missing == "in the loop" else SUM.replace(FIRST, "    for", 1)
    assert text.count("__syncthreads") == 1
    wrong = 0
    for schedule in (0, 1):
        cupy.schedule = schedule
        mine, theirs = totals(cupy, text)
        wrong += not np.allclose(mine, theirs)
    assert wrong


MISALIGNED = """
struct alignas(16) Two { double at[2]; };
template <typename T> __global__ void total(const T* x, T* y) { *(Two*)(y + 1) = *(const Two*)x; }
"""


@pytest.mark.parametrize("text, said", [(DIVERGENT, "only some threads arrived at __syncthreads"), (MISALIGNED, "")],
                         ids=["a barrier that only some threads reach", "an address that does not fit its type"])
def test_what_a_gpu_would_not_survive_ends_the_process(tmp_path, text, said):
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to run the CUDA sources on the CPU")
    assert DIVERGENT != SUM
    script = f"""
import sys
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]!r}
from cuda_on_cpu import CupyOnCPU
from test_cuda_on_cpu import totals
totals(CupyOnCPU(Path({str(tmp_path)!r})), {text!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode < 0, "no signal ended it"
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_structure_of_the_host_is_passed_by_value(cupy):
    struct = np.array([(3, 0.5, 7)], np.dtype([("a", "i4"), ("b", "f8"), ("c", "i4")], align=True))
    text = """
    struct Numbers { int a; double b; int c; };
    template <typename T> __global__ void spread(Numbers numbers, T* y) {
        y[0] = numbers.a, y[1] = numbers.b, y[2] = numbers.c;
    }
    """
    y = np.empty(3)
    kernel = cupy.RawModule(text, options=("--std=c++17",), name_expressions=["spread<double>"])
    kernel.get_function("spread<double>")((1,), (1,), (struct, y))
    np.testing.assert_array_equal(y, [3.0, 0.5, 7.0])
    with pytest.raises(AssertionError, match="has 4 bytes, not 24"):
        kernel.get_function("spread<double>")((1,), (1,), (np.int32(1), y))
