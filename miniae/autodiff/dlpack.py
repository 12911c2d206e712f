"""Arrays of other libraries as they lie in memory, by DLPack: https://data-apis.org/array-api/latest"""

from __future__ import annotations

from typing import Any

from miniae.autodiff.tensor import Tensor
from miniae.backend import Backend, get

__all__ = ["from_dlpack"]


def from_dlpack(array: Any) -> Tensor:
    """A tensor around the memory of an array of another library (PyTorch, CuPy, NumPy, JAX), without a copy.

    Whoever writes into one writes into the other; what was computed from the tensor and recorded notices that, as it
    keeps checksums of the contents. The tensor is on the backend of the array's device; `Tensor(array)`
    is a copy instead, on the backend of your choice. The other way round, a `Tensor` is what `torch.from_dlpack` and
    `cupy.from_dlpack` take.

        weights = from_dlpack(module.weight.detach())

    Raises `TypeError` for what has no DLPack and for numbers that are not real, `ValueError` for another kind of device
    than CPU or CUDA, and `BackendUnavailable` where CuPy can't be used for the latter.
    """
    borrowed, backend = borrow(array)
    if borrowed.dtype.kind != "f":
        raise TypeError(f"a tensor holds real numbers, got dtype {borrowed.dtype}: Tensor(array) is a copy in float32")
    tensor = Tensor._wrap(borrowed, backend)
    tensor._version.handed_out = True  # its owner may write there; nothing has noted the contents yet
    return tensor


def borrow(array: Any) -> tuple[Any, Backend]:
    """The array as one of the backend that is on its device, without a copy; and that backend."""
    if not hasattr(array, "__dlpack_device__"):
        raise TypeError(f"expected an array with __dlpack__, got {type(array).__name__}: Tensor(data) copies lists and "
                        "numbers")
    kind = int(array.__dlpack_device__()[0])
    name = {_CPU: "numpy", _CUDA: "cupy"}.get(kind)
    if name is None:
        raise ValueError(f"the array is on a device of DLPack's kind {kind}, expected the CPU or CUDA: move it there "
                         "first")
    backend = get(name)
    return backend.xp.from_dlpack(array), backend


_CPU, _CUDA = 1, 2
