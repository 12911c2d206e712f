"""A pretend device for tests: NumPy underneath, as unforgiving as a GPU on top.

Code that would break, or silently crawl, on a GPU fails here on any machine:

- arrays don't convert to or from NumPy by themselves, don't mix with it or with another device, and don't become Python
  numbers; `to_host` is the way, and every wait for the device is counted in `waits`;
- nothing is promoted to float64 silently, and only functions that CuPy has exist;
- `empty` is full of NaN, what is written may not overlap an operand in part, integer indices are checked;
- `capture` records a step and fails on what a CUDA graph could not hold.

An array here is a wrapper and not a subclass of `numpy.ndarray`, which NumPy's functions would accept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, CaptureError, Shape
from miniae.backend.philox import philox_generator

_UFUNCS = """abs absolute add arctan2 bitwise_and ceil cos cosh divide equal exp expm1 floor greater greater_equal
isfinite isinf isnan less less_equal log log1p logaddexp logical_and logical_not logical_or maximum minimum mod
multiply negative not_equal power right_shift rint sign sin sinh sqrt square subtract tanh true_divide""".split()

_FUNCTIONS = """all any arange argmax argmin argsort array asarray broadcast_to clip concatenate copyto cumsum dot
einsum empty empty_like expand_dims flip full full_like linspace matmul max mean min moveaxis ones ones_like pad
partition prod repeat reshape roll sort squeeze stack std sum swapaxes take take_along_axis tensordot tile transpose
var where zeros zeros_like""".split()

_CONSTANTS = "float16 float32 float64 int8 int32 int64 uint8 uint32 uint64 bool_ newaxis inf nan pi".split()

# These make arrays from something other than arrays; the first two may take host data.
_FROM_HOST = {"array", "asarray"}
_MAKING = _FROM_HOST | {"arange", "empty", "full", "linspace", "ones", "zeros"}
# These exist to convert, so they may change the dtype.
_CONVERTING = {"array", "asarray", "copyto", "setitem", "astype"}
# These write into their first argument.
_WRITING = {"copyto", "setitem", "fill", "add.at", "partition in place", "philox_uniform"}
# These go element by element, as ufuncs do: writing over an operand itself is safe.
_ELEMENTWISE = {"clip", "copyto", "setitem"}
# Keywords of NumPy's that CuPy's functions lack.
_UFUNC_KEYWORDS = {"out", "dtype", "casting"}
_MISSING_KEYWORDS = {"take": {"mode"}, "clip": {"min", "max"}} | dict.fromkeys(
    ("all", "any", "max", "mean", "min", "prod", "std", "sum", "var"), {"where", "initial"})


@dataclass(frozen=True)
class Call:
    """One recorded primitive: its name, what it was called with, and how to do it again."""

    name: str
    operands: tuple[Any, ...]
    again: Callable[[], Any]


class Device:
    """What arrays of one device share: its number, how often the host waited for it, and the recording in progress."""

    def __init__(self, number: int):
        self.number = number
        self.waits = 0
        self.recording: list[Call] | None = None

    def wait(self, why: str) -> None:
        """The host waits for the device."""
        if self.recording is not None:
            raise CaptureError(f"{why} waits for the device: a recorded step can't")
        self.waits += 1

    def run(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a NumPy function on wrapped arguments, with all the checks; return wrapped results.

        While a recording is in progress, what writes into a buffer is noted and not done, as a GPU's stream does.
        """
        values = _flat((*args, *kwargs.values()))
        arrays = [v for v in values if isinstance(v, StrictArray)]
        for v in values:
            if isinstance(v, np.ndarray) and name not in _FROM_HOST:
                raise TypeError(f"{name} got a NumPy array on device {self.number}: move it there with asarray")
        for a in arrays:
            if a._device is not self:
                raise TypeError(f"{name} got arrays of devices {self.number} and {a._device.number}")
        written = args[0] if name in _WRITING else kwargs.get("out")
        if written is not None:
            _check_written(name, function, written, args[1:] if name in _WRITING else args)
        raw_args = [_unwrap(a) for a in args]
        raw_kwargs = {k: _unwrap(v) for k, v in kwargs.items()}
        if written is None:
            result = function(*raw_args, **raw_kwargs)
            if kwargs.get("dtype") is None and name not in _CONVERTING:
                _check_promotion(name, arrays, result)
            return self.wrap(name, result, arrays)
        if self.recording is None:
            function(*raw_args, **raw_kwargs)
        else:
            operands = tuple(_describe(o) for o in _flat((*raw_args, *raw_kwargs.values())))
            self.recording.append(Call(name, operands, lambda: function(*raw_args, **raw_kwargs)))
        return written

    def wrap(self, name: str, result: Any, sources: list[StrictArray]) -> Any:
        """Wrap a result; one that is not a view of a source was allocated."""
        if isinstance(result, (tuple, list)):
            return type(result)(self.wrap(name, r, sources) for r in result)
        array = np.asarray(result)
        for source in sources:
            if array is source._a or np.may_share_memory(array, source._a):
                return StrictArray(array, self, source)
        if self.recording is not None and array.size:
            raise CaptureError(f"{name} allocates an array of shape {array.shape}: in a recorded step, "
                               "write into a buffer that exists (out=, or Backend.empty within an arena)")
        return StrictArray(array, self, None)


class StrictArray:
    """An array on the pretend device."""

    __slots__ = ("_a", "_device", "_source", "__weakref__")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray, device: Device, source: StrictArray | None):
        self._a, self._device = array, device
        self._source = source  # what this is a view of: kept, so that the owner of a buffer knows it is in use

    # ---------------------------------------------------------------- what a GPU array refuses

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("an array on the device does not convert to NumPy by itself: use Backend.to_host")

    def _no_number(self, *args: Any) -> Any:
        raise TypeError("an array on the device does not become a Python number by itself: use Backend.to_host")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} got an array on the device: use the backend's xp instead of numpy")

    __float__ = __int__ = __bool__ = __index__ = __complex__ = item = tolist = _no_number

    def __iter__(self) -> Any:
        raise TypeError("going through an array on the device would wait for each element: use Backend.to_host")

    # ---------------------------------------------------------------- what it is

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    flags = property(lambda self: self._a.flags)
    base = property(lambda self: self._source)
    T = property(lambda self: self.transpose())

    def __len__(self) -> int:
        return len(self._a)

    def __repr__(self) -> str:
        return f"StrictArray(shape={self.shape}, dtype={self.dtype}, device={self._device.number})"

    # ---------------------------------------------------------------- views, copies, writes

    def _view(self, name: str, array: Any) -> StrictArray:
        return self._device.wrap(name, array, [self])

    def reshape(self, *shape: Any) -> StrictArray:
        return self._view("reshape", self._a.reshape(*shape))

    def transpose(self, *axes: Any) -> StrictArray:
        return self._view("transpose", self._a.transpose(*axes))

    def squeeze(self, axis: Any = None) -> StrictArray:
        return self._view("squeeze", self._a.squeeze(axis))

    def ravel(self) -> StrictArray:
        return self._view("ravel", self._a.ravel())

    def astype(self, dtype: Any, copy: bool = True) -> StrictArray:
        return self._device.run("astype", lambda a: a.astype(dtype, copy=copy), self)

    def view(self, dtype: Any) -> StrictArray:
        return self._view("view", self._a.view(dtype))

    def copy(self) -> StrictArray:
        return self._device.run("copy", np.copy, self)

    def __deepcopy__(self, memo: Any) -> StrictArray:
        return self.copy()

    def fill(self, value: float) -> None:
        self._device.run("fill", np.ndarray.fill, self, value)

    def partition(self, kth: int, axis: int = -1) -> None:
        self._device.run("partition in place", np.ndarray.partition, self, kth, axis=axis)

    def __getitem__(self, index: Any) -> StrictArray:
        parts = self._index(index)
        if _is_basic(parts):
            return self._view("getitem", self._a[(*parts, Ellipsis) if Ellipsis not in parts else parts])
        if any(isinstance(p, StrictArray) and p.dtype == bool for p in parts):
            self._device.wait("indexing with a boolean mask")
        return self._device.run("getitem", lambda a, *i: a[i], self, *parts)

    def __setitem__(self, index: Any, value: Any) -> None:
        parts = self._index(index)
        if _is_basic(parts):
            self._device.run("setitem", _set_item, self[parts], value, Ellipsis)
            return
        if any(isinstance(p, StrictArray) and p.dtype == bool for p in parts) and isinstance(value, StrictArray):
            self._device.wait("writing an array through a boolean mask")
        self._device.run("setitem", _set_item, self, value, *parts)

    def _index(self, index: Any) -> tuple[Any, ...]:
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(p, np.ndarray) for p in parts):
            raise TypeError("a NumPy array can't index an array on the device: move it there with asarray")
        return parts

    def sum(self, axis: Any = None, keepdims: bool = False) -> StrictArray:
        return self._device.run("sum", np.sum, self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> StrictArray:
        return self._device.run("mean", np.mean, self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> StrictArray:
        return self._device.run("max", np.max, self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> StrictArray:
        return self._device.run("min", np.min, self, axis=axis, keepdims=keepdims)


def _operator(name: str, ufunc: Any, swapped: bool = False) -> Callable[..., Any]:
    def method(self: StrictArray, *other: Any) -> Any:
        if other and not _is_operand(name, other[0]):
            return NotImplemented
        return self._device.run(name, ufunc, *((*other, self) if swapped else (self, *other)))

    return method


def _in_place(name: str, ufunc: Any) -> Callable[..., StrictArray]:
    def method(self: StrictArray, other: Any) -> StrictArray:
        return self._device.run(name, ufunc, self, other, out=self) if _is_operand(name, other) else NotImplemented

    return method


def _is_operand(name: str, other: Any) -> bool:
    if isinstance(other, (np.ndarray, list, tuple)):
        raise TypeError(f"{name} got a {type(other).__name__} and an array on the device: move it there with asarray")
    return isinstance(other, (StrictArray, int, float, np.number))


for _name, _ufunc in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power,
                      "matmul": np.matmul, "and": np.bitwise_and, "or": np.bitwise_or, "mod": np.mod,
                      "floordiv": np.floor_divide}.items():
    setattr(StrictArray, f"__{_name}__", _operator(_name, _ufunc))
    setattr(StrictArray, f"__r{_name}__", _operator(_name, _ufunc, swapped=True))
for _name, _ufunc in {"neg": np.negative, "abs": np.abs, "invert": np.invert, "eq": np.equal, "ne": np.not_equal,
                      "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}.items():
    setattr(StrictArray, f"__{_name}__", _operator(_name, _ufunc))
for _name, _ufunc in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide}.items():
    setattr(StrictArray, f"__i{_name}__", _in_place(_name, _ufunc))


class StrictUfunc:
    """A ufunc of the pretend device. Like CuPy's it takes arrays and numbers, no lists."""

    def __init__(self, name: str, device: Device):
        self._name, self._ufunc, self._device = name, getattr(np, name), device

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) > self._ufunc.nin or not kwargs.keys() <= _UFUNC_KEYWORDS:
            raise TypeError(f"{self._name} takes {self._ufunc.nin} operands, out=, dtype= and casting=, "
                            f"got {len(args)} and {sorted(kwargs)}")
        for a in args:
            _is_operand(self._name, a)
        return self._device.run(self._name, self._ufunc, *args, **kwargs)

    def at(self, a: StrictArray, index: Any, value: Any) -> None:
        """a[index] += value, for each time an element is named."""
        if self._name != "add":
            raise AttributeError(f"{self._name}.at is not among the functions the strict backend knows")
        self._device.run("add.at", _add_at, a, value, *a._index(index))


class StrictNamespace:
    """`xp` of the pretend device: a list of names, all of which CuPy has too."""

    ndarray = StrictArray
    names = (*_UFUNCS, *_FUNCTIONS, *_CONSTANTS)

    def __init__(self, device: Device):
        for name in _CONSTANTS:
            setattr(self, name, getattr(np, name))
        for name in _UFUNCS:
            setattr(self, name, StrictUfunc(name, device))
        for name in _FUNCTIONS:
            setattr(self, name, _function(name, device))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not among the functions the strict backend knows: if CuPy has it, "
                             "add it to the list in miniae/backend/strict.py")


def _function(name: str, device: Device) -> Callable[..., Any]:
    function = getattr(np, name)
    missing = _MISSING_KEYWORDS.get(name, set())

    def call(*args: Any, **kwargs: Any) -> Any:
        if missing & kwargs.keys():
            raise TypeError(f"{name} has no {' or '.join(sorted(missing & kwargs.keys()))}= in CuPy")
        from_host = not any(isinstance(a, StrictArray) for a in _flat((*args, *kwargs.values())))
        if from_host and name not in _MAKING:
            raise TypeError(f"{name} takes arrays of device {device.number}, got {', '.join(map(_kind, args))}: "
                            "move the data there with asarray")
        if from_host and name in _FROM_HOST and device.recording is not None:
            raise CaptureError(f"{name} copies from the host: a recorded step can't")
        if name == "where" and len(args) == 1:
            device.wait("where with one argument")
        result = device.run(name, function, *args, **kwargs)
        if name in ("empty", "empty_like"):
            _spoil(result)
        return result

    return call


class StrictBackend(Backend):
    """See the module's description. `device` is the pretend device; `waits` counts how often the host waited for it."""

    name = "strict"

    def __init__(self, number: int = 0):
        self.device = Device(number)
        super().__init__(StrictNamespace(self.device))

    @property
    def waits(self) -> int:
        return self.device.waits

    def is_array(self, a: object) -> bool:
        return isinstance(a, StrictArray) and a._device is self.device

    def to_host(self, a: Array) -> np.ndarray:
        if not self.is_array(a):
            raise TypeError(f"to_host takes an array of device {self.device.number}, got {type(a).__name__}")
        self.device.wait("to_host")
        return a._a.copy()

    def synchronize(self) -> None:
        self.device.wait("synchronize")

    def device_info(self) -> dict[str, Any]:
        return {"device": f"pretend device {self.device.number} (for tests)"}

    def empty(self, shape: Shape, dtype: Any) -> Array:
        a = super().empty(shape, dtype)
        _spoil(a)  # the arena's buffers too: a step may not read what the step before left in them
        return a

    def philox_uniform(self, out: Array, seed: int, stream: int, step: Array, first: int = 0) -> None:
        self.device.run("philox_uniform", _philox_uniform, out, seed, stream, step, first)

    def formula(self, f: Callable[..., Array], *args: Any) -> Array:
        recording, self.device.recording = self.device.recording, None
        try:
            with contextlib.nullcontext() if recording is None else self.silent():
                result = f(self.xp, *args)  # in a recorded step only to learn its shape
        finally:
            self.device.recording = recording
        out = self.empty(result.shape, result.dtype)
        if recording is None:
            return self.copy(result, out=out)
        operands = tuple(_describe(_unwrap(a)) for a in (*args, out))
        recording.append(Call(f.__qualname__, operands, lambda: self.copy(f(self.xp, *args), out=out)))
        return out

    def graph(self, run: Callable[[], None]) -> Callable[[], None]:
        """Note what `run` calls, twice, without doing it; return what does the noted.

        The two recordings must be the same, as a graph would repeat the first for ever. Raises `CaptureError`, naming
        the primitive, for what a graph could not hold: an allocation, a copy from or to the host, a wait, another
        buffer, a number that has changed.
        """
        first, second = self._record(run), self._record(run)
        for i, (a, b) in enumerate(zip(first, second, strict=False)):
            if a.name != b.name or len(a.operands) != len(b.operands):
                raise CaptureError(f"primitive {i} was {a.name} in one step and {b.name} in the next")
            for x, y in zip(a.operands, b.operands, strict=True):
                if repr(x) != repr(y):
                    what = "another buffer" if isinstance(x, tuple) else f"another number ({x!r}, then {y!r})"
                    raise CaptureError(f"{a.name} (primitive {i}) got {what} in the second step: a graph would go on "
                                       "with the first. Keep what changes in an array on the device")
        if len(first) != len(second):
            raise CaptureError(f"one step has {len(first)} primitives, the next {len(second)}")

        def replay() -> None:
            for call in second:
                call.again()

        return replay

    def _record(self, step: Callable[[], None]) -> list[Call]:
        self.device.recording = []
        try:
            step()
            return self.device.recording
        finally:
            self.device.recording = None


def _flat(values: Any) -> list[Any]:
    flat = []
    for v in values:
        flat.extend(_flat(v) if isinstance(v, (tuple, list)) else [v])
    return flat


def _unwrap(value: Any) -> Any:
    if isinstance(value, StrictArray):
        return value._a
    return type(value)(_unwrap(v) for v in value) if isinstance(value, (tuple, list)) else value


def _describe(value: Any) -> Any:
    """What must stay the same from step to step: a buffer's address and layout, or a number."""
    if isinstance(value, np.ndarray):
        return value.__array_interface__["data"][0], value.shape, value.strides, str(value.dtype)
    return value


def _is_basic(parts: tuple[Any, ...]) -> bool:
    """Whether an index gives a view: integers and slices only."""
    return all(p is None or p is Ellipsis or isinstance(p, (int, np.integer, slice)) for p in parts)


def _check_written(name: str, function: Any, written: Any, operands: Any) -> None:
    """Raise for a target that a GPU would fill with something else than NumPy does."""
    if not isinstance(written, StrictArray):
        raise TypeError(f"{name} writes into arrays of the device, got {_kind(written)}")
    if name == "matmul" and not written.flags.c_contiguous:
        raise TypeError("matmul writes into C-contiguous arrays only")
    one_by_one = name in _ELEMENTWISE or isinstance(function, np.ufunc) and function.signature is None
    arrays = [a for a in _flat(operands) if isinstance(a, StrictArray)]
    for a in arrays:
        if one_by_one and _describe(written._a) == _describe(a._a):
            continue
        if written.size and np.shares_memory(written._a, a._a):
            raise ValueError(f"{name} writes where an operand is read: a GPU would read what it has just written")
    if name not in _CONVERTING:
        _check_promotion(name, [written, *arrays], None)


def _check_promotion(name: str, arrays: list[StrictArray], result: Any) -> None:
    floats = {a.dtype for a in arrays if a.dtype.kind == "f"}
    if len(floats) > 1:
        raise TypeError(f"{name} mixes {' and '.join(sorted(map(str, floats)))}: convert one with astype")
    dtype = getattr(result, "dtype", None)
    if floats and dtype is not None and dtype.kind == "f" and dtype not in floats:
        raise TypeError(f"{name} turned {floats.pop()} into {dtype} silently: use arrays and numbers of one dtype")


def _kind(value: Any) -> str:
    return type(value).__name__


def _spoil(a: StrictArray) -> None:
    """Make undefined contents look like it."""
    a._a.fill({"f": np.nan, "b": True}[a.dtype.kind] if a.dtype.kind in "fb" else np.iinfo(a.dtype).max)


def _set_item(a: np.ndarray, value: Any, *index: Any) -> None:
    a[index] = value


def _add_at(a: np.ndarray, value: Any, *index: Any) -> None:
    np.add.at(a, index, value)


def _philox_uniform(out: np.ndarray, seed: int, stream: int, step: np.ndarray, first: int) -> None:
    out[...] = philox_generator(out.dtype, seed, stream, int(step[0]), first).random(out.shape, out.dtype)


def make() -> StrictBackend:
    """The backend `get("strict")` returns."""
    return StrictBackend()
