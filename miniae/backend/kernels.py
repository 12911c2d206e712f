"""The CUDA sources: their text, and their kernels compiled and launched through CuPy.

The folder `cuda` has a file for each subject. A file is compiled, for the device at hand, when one of its kernels is
first asked for; CuPy keeps the result on disk. A line `#include "name.cuh"` is replaced by that file of the folder.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Any

import numpy as np

__all__ = ["FILES", "TYPES", "Kernels", "hashes", "instances", "source"]

FILES = ("elementwise", "layers", "losses", "random", "product", "convolution", "image")
TYPES = {"float32": "float", "float64": "double"}
# The sizes (rows, columns) of the tiles that the blocks of a matrix product compute: 16 elements for each thread.
TILES = ((64, 64), (16, 128))
_TILED = tuple(f"{t}, {rows}, {columns}" for t in TYPES.values() for rows, columns in TILES)
_POOLED = tuple(f"{t}, {winner}" for t in TYPES.values() for winner in ("unsigned char", "unsigned short"))
# Kernels are templates in one number type; these are not, and exist for the types named here.
_OTHER_TYPES: dict[str, tuple[str, ...]] = {
    "matrix_product": tuple(f"{t}, {a}, {b}, {rows}, {columns}" for t in TYPES.values() for rows, columns in TILES
                            for a in ("true", "false") for b in ("true", "false")),
    "conv": _TILED, "conv_input_grad": _TILED, "conv_weight_grad": _TILED,
    "max_pool": _POOLED, "max_pool_select": _POOLED, "max_pool_grad": _POOLED,
    "to_float16": ("float",), "to_bfloat16": ("float",), "increment": ("double", "long long"),
    "gather": ("float", "double", "unsigned char", "long long"),
}
_KERNEL = re.compile(r"(?:^//[^\n]*\n)*^template <[^>]*>\s*__global__ void (\w+)\(.*?^}\n", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"\n', re.MULTILINE)
_THREADS = 256
_MOST_BLOCKS = 4096  # enough to fill any GPU; each thread then takes several elements


def source(file: str) -> str:
    """The text of a file as the compiler gets it."""
    return _text("launch.cuh") + _INCLUDE.sub(lambda line: _text(line[1]), _text(f"{file}.cu"))


def _text(name: str) -> str:
    return files("miniae.backend").joinpath("cuda", name).read_text(encoding="utf-8")


def instances(file: str) -> list[str]:
    """Every kernel of a file in every type, as C++ names it: `sigmoid<float>`."""
    kernels = _KERNEL.findall(source(file))
    return [f"{kernel}<{types}>" for kernel in kernels for types in _OTHER_TYPES.get(kernel, TYPES.values())]


def hashes() -> dict[str, str]:
    """For every kernel by name the SHA-256 of its text, and of what stands beside the kernels in its file."""
    result = {}
    for file in FILES:
        text = source(file)
        beside = _KERNEL.sub("", text)
        for kernel in _KERNEL.finditer(text):
            result[kernel[1]] = hashlib.sha256((beside + kernel[0]).encode()).hexdigest()
    return result


class Kernels:
    """The kernels of all files on the current device."""

    def __init__(self, cupy: Any):
        self._modules = {file: cupy.RawModule(code=source(file), options=("--std=c++17",),
                                              name_expressions=instances(file)) for file in FILES}
        self._file = {instance: file for file in FILES for instance in instances(file)}
        self._functions: dict[str, Any] = {}

    def launch(self, instance: str, blocks: tuple[int, ...], threads: tuple[int, ...], *args: Any) -> None:
        """Run a kernel, `sigmoid<float>` say. Its arguments are arrays of the device, and NumPy's numbers of just the
        types that the source declares: nothing checks them."""
        if instance not in self._functions:
            self._functions[instance] = self._modules[self._file[instance]].get_function(instance)
        self._functions[instance](blocks, threads, args)

    @property
    def launched(self) -> set[str]:
        """The names of the kernels that have run."""
        return {instance.split("<")[0] for instance in self._functions}

    def for_each(self, kernel: str, n: int, dtype: Any, *args: Any) -> None:
        """Run a kernel for n elements of a dtype; n comes as its last argument."""
        self.for_each_of(f"{kernel}<{TYPES[str(dtype)]}>", n, *args)

    def for_each_of(self, instance: str, n: int, *args: Any) -> None:
        """The same, for a kernel by its full name."""
        if n:
            self.launch(instance, *self.grid(n), *args, np.int64(n))

    @staticmethod
    def grid(n: int) -> tuple[tuple[int], tuple[int]]:
        """Blocks and threads for n elements."""
        return (min(-(-n // _THREADS), _MOST_BLOCKS),), (_THREADS,)
