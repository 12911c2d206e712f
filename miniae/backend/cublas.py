"""Matrix products by cuBLAS, called by ctypes.

CuPy refuses its own calls of cuBLAS while a CUDA graph is captured; cuBLAS itself allows them, on a stream and with a
workspace that the caller has set. cuBLAS counts along columns: a row-major C = A B is to it a column-major C' = B' A',
so the operands change places, and a transposed view goes as a flag. See "cublasGemmEx" and "CUDA Graphs Support" in the
cuBLAS documentation.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from ctypes import c_char_p, c_double, c_float, c_int, c_longlong, c_size_t, c_void_p
from typing import Any

Array = Any

__all__ = ["BFLOAT16", "Cublas", "library", "plain"]

WORKSPACE = 32 << 20
"""Bytes for each stream: NVIDIA's figure for its largest GPUs."""

BFLOAT16 = "uint16"
"""The dtype of arrays that hold bfloat16 numbers, which NumPy has no name for."""

# cudaDataType of an operand or result, and cublasComputeType_t of products that end in float32 or float64
_DATA = {"float32": 0, "float64": 1, "float16": 2, BFLOAT16: 14}
_COMPUTE = {"float32": 68, "float64": 70}
_COMPUTE_TF32 = 77
_DEFAULT_ALGORITHM = -1

_SIZES = [c_void_p, c_int, c_int, c_int, c_int, c_int, c_void_p]  # handle, two flags, m, n, k, alpha
_MATRIX = [c_void_p, c_int, c_int]  # pointer, type, leading dimension
_HOW = [c_int, c_int]  # compute type, algorithm
_GEMM = [*_SIZES, *_MATRIX, *_MATRIX, c_void_p, *_MATRIX, *_HOW]
_STACK = [*_MATRIX, c_longlong]
_BATCHED = [*_SIZES, *_STACK, *_STACK, c_void_p, *_STACK, c_int, *_HOW]
_FUNCTIONS = {"cublasCreate_v2": [c_void_p], "cublasDestroy_v2": [c_void_p], "cublasSetStream_v2": [c_void_p, c_void_p],
              "cublasSetWorkspace_v2": [c_void_p, c_void_p, c_size_t], "cublasGemmEx": _GEMM,
              "cublasGemmStridedBatchedEx": _BATCHED}


def library(cuda: int) -> Any:
    """The library cuBLAS for that major version of CUDA, or None where there is none."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib  # comes with CuPy 14

        path = load_nvidia_dynamic_lib("cublas").abs_path
        if path:  # without one this program itself would be taken
            return ctypes.CDLL(path)
    except (ImportError, RuntimeError, OSError):
        pass
    for name in (f"libcublas.so.{cuda}", f"cublas64_{cuda}.dll", "libcublas.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    return None


class Cublas:
    """cuBLAS on the device that is current when the first product is asked for.

    It works on CuPy's current stream. Each stream gets a workspace that lives as long as this object, unless it is
    taken over by `let_go`: by a graph that was captured on the stream.
    """

    def __init__(self, cupy: Any, library: Any):
        self._cupy, self._library = cupy, library
        for name, types in _FUNCTIONS.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, c_int
        library.cublasGetStatusString.argtypes, library.cublasGetStatusString.restype = [c_int], c_char_p
        self._lock = threading.Lock()  # from setting the stream to the product on it
        self._handle: Any = None
        self._stream: int | None = None
        self._workspaces: dict[int, Array] = {}
        self._one_and_zero = {"float32": (c_float(1.0), c_float(0.0)), "float64": (c_double(1.0), c_double(0.0))}

    def product(self, a: Array, b: Array, out: Array, tf32: bool = False) -> None:
        """out = a @ b, of matrices (n, k) and (k, m), or of as many matrices each, (N, n, k) and (N, k, m).

        a and b are `plain`, and of one type: that of `out`, float32 or float64, or float16 or `BFLOAT16` for an `out`
        of float32. `out` is C-contiguous, and no part of a or b. With `tf32` the operands may be rounded to 10 bits
        after the point. Raises `RuntimeError` with what cuBLAS says when it fails.
        """
        (n, k), m = a.shape[-2:], b.shape[-1]
        if not out.size:
            return
        if not k:
            out.fill(0.0)
            return
        kind = str(out.dtype)
        first, second = _layout(a), _layout(b)
        assert first and second, "fits(a) and fits(b)"
        (a_flag, a_step), (b_flag, b_step) = first, second
        if max(n, m, k, a_step, b_step) >= 2**31:
            raise ValueError(f"cuBLAS takes matrices of less than 2**31 rows and columns, got {a.shape} @ {b.shape}")
        one, zero = self._one_and_zero[kind]
        data, result = _DATA[str(a.dtype)], _DATA[kind]
        compute = _COMPUTE_TF32 if tf32 and kind == "float32" else _COMPUTE[kind]
        sizes = b_flag, a_flag, m, n, k, ctypes.addressof(one)
        with self._lock:
            handle = self._on_current_stream()
            if a.ndim == 2:
                self._check("cublasGemmEx", handle, *sizes, b.data.ptr, data, b_step, a.data.ptr, data, a_step,
                            ctypes.addressof(zero), out.data.ptr, result, m, compute, _DEFAULT_ALGORITHM)
            else:
                a_next, b_next = (x.strides[0] // x.itemsize for x in (a, b))
                self._check("cublasGemmStridedBatchedEx", handle, *sizes, b.data.ptr, data, b_step, b_next, a.data.ptr,
                            data, a_step, a_next, ctypes.addressof(zero), out.data.ptr, result, m, n * m, len(out),
                            compute, _DEFAULT_ALGORITHM)

    def let_go(self, stream: Any) -> Array | None:
        """The stream's workspace, which is then the caller's to keep; None if there is none."""
        with self._lock:
            if self._stream == stream.ptr:
                self._stream = None
            return self._workspaces.pop(stream.ptr, None)

    def _on_current_stream(self) -> Any:
        """The handle, which works on CuPy's current stream from here on."""
        stream = self._cupy.cuda.get_current_stream().ptr
        if self._handle is None:
            handle = c_void_p()
            self._check("cublasCreate_v2", ctypes.addressof(handle))
            self._handle = handle
            weakref.finalize(self, self._library.cublasDestroy_v2, handle).atexit = False  # CUDA may be gone by then
        if stream != self._stream:
            workspace = self._workspaces.get(stream)
            if workspace is None:
                workspace = self._workspaces[stream] = self._cupy.empty((WORKSPACE,), "uint8")
            self._stream = None
            self._check("cublasSetStream_v2", self._handle, stream)  # which forgets the workspace
            self._check("cublasSetWorkspace_v2", self._handle, workspace.data.ptr, WORKSPACE)
            self._stream = stream
        return self._handle

    def _check(self, function: str, *args: Any) -> None:
        status = getattr(self._library, function)(*args)
        if status:
            raise RuntimeError(f"{function} failed: {self._library.cublasGetStatusString(status).decode()} ({status})")


def plain(a: Array) -> bool:
    """Whether cuBLAS can read these matrices where they lie: rows or columns without gaps between their elements."""
    return _layout(a) is not None


def _layout(a: Array) -> tuple[int, int] | None:
    """Of matrices: 0 if their rows lie without gaps, 1 if their columns do; and the step to the next."""
    (n, m), item = a.shape[-2:], a.itemsize
    down, across = a.strides[-2] // item, a.strides[-1] // item
    if (m == 1 or across == 1) and (n == 1 or down >= m):
        return 0, max(down, m) if n > 1 else m
    if (n == 1 or down == 1) and (m == 1 or across >= n):
        return 1, across if m > 1 else n
    return None
