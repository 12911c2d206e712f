"""The CUDA sources run on the CPU: compiled by g++ under a shim, and called the way CuPy calls them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from miniae.backend import BackendUnavailable, get
from miniae.backend.cupy import CupyBackend

# What CUDA C++ adds to C++, for one thread at a time.
SHIM = """
#include <math.h>
#include <utility>
#define __global__
#define __device__
struct Index { unsigned x; };
static Index blockIdx, threadIdx, blockDim, gridDim;
static unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
"""
# Like cuLaunchKernel: the arguments come as pointers to their values, unchecked; `size_of` is what lets Python check.
LAUNCHER = """
template <typename... A, size_t... I>
void call(void (*kernel)(A...), void** args, std::index_sequence<I...>) { kernel(*(A*)args[I]...); }
template <typename... A>
void launch(void (*kernel)(A...), unsigned blocks, unsigned threads, void** args) {
    gridDim.x = blocks, blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x)
            call(kernel, args, std::index_sequence_for<A...>());
}
template <typename... A>
int size_of(void (*kernel)(A...), unsigned k) {
    int sizes[] = {sizeof(A)..., 0};
    return k < sizeof...(A) ? sizes[k] : 0;
}
"""


class RawModule:
    """Stands in for `cupy.RawModule`."""

    folder = None

    def __init__(self, code, options, name_expressions):
        self.names = list(name_expressions)
        entries = "".join(f"""
            extern "C" void kernel_{i}(unsigned blocks, unsigned threads, void** args) {{
                launch({name}, blocks, threads, args);
            }}
            extern "C" int size_{i}(unsigned k) {{ return size_of({name}, k); }}
        """ for i, name in enumerate(self.names))
        source, library = self.folder / "kernels.cpp", self.folder / "kernels.so"
        source.write_text(SHIM + code + LAUNCHER + entries)
        subprocess.run(["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", source, "-o", library],
                       check=True)
        self.library = ctypes.CDLL(str(library))

    def get_function(self, name):
        index = self.names.index(name)
        entry, size = getattr(self.library, f"kernel_{index}"), getattr(self.library, f"size_{index}")

        def function(grid, block, args):
            values = []
            for k, a in enumerate(args):
                value = np.uint64(a.ctypes.data) if isinstance(a, np.ndarray) else a
                value = value.tobytes()  # a Python number has no fixed size, and fails here
                assert len(value) == size(k), f"argument {k} of {name} has {len(value)} bytes, not {size(k)}"
                values.append(ctypes.create_string_buffer(value, len(value)))
            assert size(len(args)) == 0, f"{name} takes more than {len(args)} arguments"
            pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
            entry(ctypes.c_uint(grid[0]), ctypes.c_uint(block[0]), pointers)

        return function


class CupyOnCPU:
    """NumPy with `RawModule`: what `CupyBackend` needs of the cupy package."""

    ndarray = np.ndarray
    RawModule = RawModule
    asnumpy = staticmethod(np.array)

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.fixture(scope="session")
def cuda_on_cpu(tmp_path_factory):
    """The CuPy backend with its kernels run on the CPU."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to run the CUDA sources on the CPU")
    RawModule.folder = tmp_path_factory.mktemp("cuda")
    return CupyBackend(CupyOnCPU())


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
