"""`Tensor`: an array, its gradient, and the function that made it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.backend import Backend, get
from miniae.backend.base import Array, Shape

if TYPE_CHECKING:
    from miniae.autodiff.function import Function


class Version:
    """Counts the changes of a tensor's array made in place.

    Changes through the tensor (`t[...] = v`, an optimizer step) are counted. Once the raw array has been handed out by
    `Tensor.data` a change can come from anywhere, so from then on its contents are compared too, by checksum.
    """

    __slots__ = ("count", "handed_out", "checksum")

    def __init__(self) -> None:
        self.count = 0
        self.handed_out = False
        self.checksum: int | None = None

    def note(self, tensor: Tensor) -> int:
        """The current version, to be compared later with `differs`."""
        self.checksum = _checksum(tensor._data, tensor.backend) if self.handed_out else None
        return self.count

    def hand_out(self, tensor: Tensor) -> None:
        if not self.handed_out:
            self.handed_out = True
            self.checksum = _checksum(tensor._data, tensor.backend)

    def differs(self, noted: int, array: Array, backend: Backend) -> bool:
        return self.count != noted or (self.checksum is not None and self.checksum != _checksum(array, backend))


def _checksum(array: Array, backend: Backend) -> int:
    return zlib.crc32(np.ascontiguousarray(backend.to_host(array)).view(np.uint8).reshape(-1).data)


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    `data` is copied from an array (also of PyTorch, or whatever has `__dlpack__`), a list or a number; `from_dlpack`
    makes a tensor without a copy, and other libraries take one so, by `torch.from_dlpack(t)`. Floats keep their dtype;
    Python numbers and integers become float32 unless `dtype` says otherwise. With `requires_grad`, `backward` on
    anything computed from this tensor leaves the gradient in `grad`, a raw array of the same shape (or `None` before).

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> loss.backward()
    >>> x.grad
    array([[2., 4.],
           [6., 8.]], dtype=float32)
    """

    __slots__ = ("_data", "_version", "backend", "creator", "grad", "requires_grad", "tangent", "__weakref__")
    __array_ufunc__ = None  # so that `numpy_array * tensor` asks the tensor

    if TYPE_CHECKING:
        creator: Function | None
        grad: Any
        tangent: Tensor | None
        # `miniae.functions` gives tensors these.
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pow__(self, power: float) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def reshape(self, *shape: Any) -> Tensor: ...
        def transpose(self, *axes: Any) -> Tensor: ...
        @property
        def T(self) -> Tensor: ...
        def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def max(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def min(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None, backend: str | Backend | None = None):
        if isinstance(data, Tensor):
            data, backend = data._data, backend or data.backend
        elif _is_of_another_library(data):
            from miniae.autodiff.dlpack import borrow

            data, _ = borrow(data)  # and copied below
        if backend is None and not isinstance(data, (np.ndarray, list, tuple, int, float)):
            backend = _backend_of(data)
        self.backend = get(backend)
        if self.backend.is_array(data):
            dtype = _float_dtype(data.dtype) if dtype is None else np.dtype(dtype)
            array = data.astype(dtype)
        else:
            if not isinstance(data, (np.ndarray, np.generic, list, tuple, int, float)):
                data = get(_backend_of(data)).to_host(data)
            host = np.asarray(data)
            if dtype is None:
                python_numbers = not isinstance(data, (np.ndarray, np.generic))
                dtype = np.dtype("float32") if python_numbers else _float_dtype(host.dtype)
            array = self.backend.asarray(host, np.dtype(dtype))
        self._set(array, requires_grad)

    def _set(self, array: Array, requires_grad: bool) -> None:
        self._data = array
        self._version = Version()
        self.requires_grad = requires_grad
        self.creator = None
        self.grad = None
        self.tangent = None

    @classmethod
    def _wrap(cls, array: Array, backend: Backend) -> Tensor:
        """A tensor around this very array, without a copy."""
        t = Tensor.__new__(Tensor)
        t.backend = backend
        t._set(array if backend.is_array(array) else backend.xp.asarray(array), False)
        return t

    # ---------------------------------------------------------------- what it is

    @property
    def data(self) -> Array:
        """The raw array itself, not a copy. After writing into it, compute again before calling `backward`."""
        self._version.hand_out(self)
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self.assign(value)

    @property
    def shape(self) -> Shape:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def dtype(self) -> Any:
        return self._data.dtype

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=20)
        extra = ", requires_grad=True" if self.requires_grad else ""
        where = "" if self.backend.name == "numpy" else f", backend={self.backend.name!r}"
        return f"Tensor({values}, dtype={self.dtype}{extra}{where})"

    def numpy(self) -> np.ndarray:
        """A NumPy copy, wherever the data is. Waits for the device."""
        return self.backend.to_host(self._data)

    def __dlpack__(self, **how: Any) -> Any:
        """This very memory for another library, not a copy: what `torch.from_dlpack(t)` calls.

        Raises `BufferError` for what has to do with a gradient, which the other library would not know of, and for a
        pretend device.
        """
        if self.requires_grad:
            raise BufferError("a tensor that requires a gradient is not given to another library: detach() it first")
        if not hasattr(self._data, "__dlpack__"):
            raise BufferError(f"no other library has arrays of the backend {self.backend.name}: move it by to('numpy')")
        return self.data.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's name of the device: (1, 0) is the CPU, (2, n) a CUDA device."""
        if not hasattr(self._data, "__dlpack_device__"):
            raise BufferError(f"no other library has arrays of the backend {self.backend.name}: move it by to('numpy')")
        return self._data.__dlpack_device__()

    def item(self) -> float:
        """The value of a tensor of one element as a Python number. Waits for the device."""
        if self.size != 1:
            raise ValueError(f"item() needs a tensor of one element, this one has shape {self.shape}")
        return self.numpy().item()

    __float__ = item

    def detach(self) -> Tensor:
        """The same array, cut off from the tape."""
        t = Tensor._wrap(self._data, self.backend)
        t._version = self._version
        return t

    def __deepcopy__(self, memo: Any) -> Tensor:
        """A leaf with a copy of the data, and without a gradient."""
        copied = memo[id(self)] = Tensor(self, self.requires_grad, self.dtype)
        return copied

    def to(self, backend: str | Backend) -> Tensor:
        """A copy on another backend, cut off from the tape; this very tensor if it is there already."""
        backend = get(backend)
        return self if backend is self.backend else Tensor(self.numpy(), dtype=self.dtype, backend=backend)

    # ---------------------------------------------------------------- changing it in place

    def assign(self, value: Any) -> None:
        """Write `value` (of the same shape) into this tensor's array."""
        source = value._data if isinstance(value, Tensor) else value
        if not self.backend.is_array(source):
            source = self.backend.asarray(source, self.dtype)
        if source.shape != self.shape:
            raise ValueError(f"can't write an array of shape {source.shape} into a tensor of shape {self.shape}")
        self.backend.copy(source, out=self._data)
        self._version.count += 1

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.creator is not None:
            raise RuntimeError("can't write into a tensor that was computed from others: detach() it first")
        self._data[index] = value._data if isinstance(value, Tensor) else value
        self._version.count += 1

    # ---------------------------------------------------------------- gradients

    def grad_buffer(self) -> Array | None:
        """Where the gradient may be written directly, when nothing has been accumulated yet (see nn.Parameter)."""
        return None

    def accumulate_grad(self, g: Array) -> None:
        """grad += g, where no gradient yet means zero."""
        if self.grad is None:
            self.grad = self.backend.xp.array(g)
        else:
            self.backend.add(self.grad, g, out=self.grad)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def backward(self, seed: Any = None, retain_tape: bool = False) -> None:
        """Add d(self)/dt to `t.grad` for every tensor t with `requires_grad` that this one was computed from.

        `seed` is dL/d(self), an array of the same shape: needed unless this tensor has one element. What the functions
        saved is freed on the way, unless `retain_tape`. Raises `RuntimeError` when there is no tape, when it was freed
        by an earlier backward, or when an array on it was changed in place.
        """
        from miniae.autodiff.tape import backward

        backward(self, seed, retain_tape)


def as_tensor(value: Any, dtype: Any = None, backend: str | Backend | None = None) -> Tensor:
    """`value` itself when it is a tensor, else a constant tensor made from it."""
    return value if isinstance(value, Tensor) else Tensor(value, dtype=dtype, backend=backend)


def give_tensors(**operations: Any) -> None:
    """Make functions of the modules after this one methods of tensors: operators, mostly."""
    for name, operation in operations.items():
        setattr(Tensor, name, operation)


def _is_of_another_library(data: Any) -> bool:
    """Whether it is an array that no loaded backend has."""
    return hasattr(data, "__dlpack_device__") and not isinstance(data, np.ndarray) and _backend_of(data) is None


def _backend_of(data: Any) -> str | Backend | None:
    from miniae.backend import of

    try:
        return of(data)
    except TypeError:
        return None


def _float_dtype(dtype: Any) -> np.dtype:
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return dtype
    if dtype.kind in "iub":
        return np.dtype("float32")
    raise TypeError(f"a tensor holds real numbers, got dtype {dtype}: convert the data to float32 or float64 first")
