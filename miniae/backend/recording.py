"""Recordings: the kernels that a training step calls, to be called again without the Python that chose them.

Every step of training calls the same kernels on the same buffers: functions, tape and optimizer only find out, step
after step, which. A `Recording` notes the calls of one step, and `replay` makes them again.

Nothing says of a step that it may be recorded: it might write into an array with NumPy itself, or use a number that
Python keeps. So a recording is compared with the calls of the next step (`repeats`), and before the first is replayed
that step is made both ways, and has to leave the same bits behind in every array that outlives it (`stands_test`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniae.backend.base import Array, Backend

__all__ = ["Recording", "StepChanged"]

# Of a backend's methods these are no kernels.
_NO_KERNELS = {"arena", "capture", "device_info", "devices", "empty", "empty_like", "explained", "feeder", "graph",
               "is_array", "may_copy", "memory", "one", "release", "rewind", "room_for", "silent"}
# And these a recording can't hold.
_TROUBLE = {"synchronize": "waits for the device", "to_host": "waits for the device", "upload": "copies from the host",
            "asarray": "makes an array", "zeros": "makes an array"}
# These functions of the array namespace write into their first argument.
_WRITING = {"add.at", "copyto"}
# Held while a step is recorded: one at a time.
_recording = threading.Lock()


class StepChanged(RuntimeError):
    """A step that is replayed is not the one that was recorded."""


class Recording:
    """The calls of one run of `step`, which returns arrays by name: those it has worked out, `result`.

    `trouble` says why the recording is of no use, or is empty. The step runs in an arena, whose buffers the recording
    goes on using.
    """

    def __init__(self, backend: Backend, step: Callable[[], dict[str, Array]]):
        self.backend, self.trouble = backend, ""
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], int]] = []
        self._buffers = _Noted(backend._thread.arena)
        self._thread = threading.get_ident()
        self._inside = False  # a kernel, which may call others
        if _recording.acquire(blocking=False):
            try:
                with self._watching(), backend.arena(self._buffers):
                    self.result = step()
            finally:
                _recording.release()
        else:
            self.trouble, self.result = "another step was being recorded", step()

    def replay(self) -> None:
        """Make the calls again, on the same arrays: `result` holds what they have worked out."""
        buffers = self._again()
        with self.backend.arena(buffers):
            for function, args, kwargs, first_buffer in self.calls:
                buffers.next = first_buffer
                function(*args, **kwargs)
        if buffers.differs:
            raise StepChanged("a replayed step asked for other arrays than the recorded one: it depends on something "
                              "that changes. Train with trainer.replay = False")

    def repeats(self, step: Callable[[], dict[str, Array]]) -> bool:
        """Run `step` once more; return whether it makes the same calls, with the same numbers and on the same arrays.

        `result` is then what this step has worked out. (If `trouble` is known, the step is just run.)
        """
        if self.trouble:
            self.result = step()
            return False
        buffers, recorded = self._again(), self.result
        with self.backend.arena(buffers):
            again = Recording(self.backend, step)
        self.result = again.result
        same = not buffers.differs and _alike(self.calls, again.calls) and self.result.keys() == recorded.keys()
        if not same or again.trouble:
            self.trouble = again.trouble or "one step makes other calls than the next, or works with arrays of its own"
        return not self.trouble

    def stands_test(self, step: Callable[[], dict[str, Array]]) -> bool:
        """Run `step` once more; return whether a replay in its place would have done the same: the same calls, and the
        same bits left behind in every array that was there before the step.

        Whatever is returned, the step has been made once then, and `result` is what it has worked out.
        """
        lasting, recorded = self._lasting(), self.result
        if not self.backend.may_copy(sum(a.nbytes for a in lasting)):
            self.trouble = self.trouble or "too much memory is involved to try it"
        before = [] if self.trouble else self._copies(lasting)
        if not self.repeats(step):
            return False
        right = [*lasting, *self.result.values()]
        after, same = self._copies(right), False
        try:
            self._put(before, lasting)
            self.replay()
            same = all(map(self._same, [*lasting, *recorded.values()], after))
        finally:
            if not same:
                self._put(after, right)
                self.trouble = "it does something beside calling kernels"
        return same

    def _again(self) -> _Again:
        return _Again(self._buffers.taken, self.backend.allocate)

    # ---------------------------------------------------------------- noting

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """A block in which the backend's kernels, and functions of its array namespace, are noted when called."""
        be, xp = self.backend, self.backend.xp
        names = [name for name in dir(type(be)) if not name.startswith("_") and name not in _NO_KERNELS
                 and callable(getattr(type(be), name))]
        try:
            for name in names:
                if name in _TROUBLE:
                    setattr(be, name, self._troubled(getattr(be, name), f"{name} {_TROUBLE[name]}"))
                else:
                    setattr(be, name, self._noted(getattr(be, name)))
            be.xp = _Namespace(xp, self)
            yield
        finally:
            be.xp = xp
            for name in names:
                be.__dict__.pop(name, None)

    def is_unnoted(self) -> bool:
        """Whether a call that is made now is none to note: a kernel makes it, or another thread."""
        return self._inside or threading.get_ident() != self._thread

    def _noted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.is_unnoted():
                return function(*args, **kwargs)
            args = tuple([a.function if isinstance(a, _NotedFunction) else a for a in args])  # that `elementwise` calls
            self._inside, first_buffer = True, len(self._buffers.taken)
            try:
                result = function(*args, **kwargs)
            finally:
                self._inside = False
            self.calls.append((function, args, kwargs, first_buffer))
            return result

        return call

    def _troubled(self, function: Callable[..., Any], why: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.trouble = self.trouble or ("" if self.is_unnoted() else why)
            return function(*args, **kwargs)

        return call

    # ---------------------------------------------------------------- testing

    def _lasting(self) -> list[Array]:
        """The arrays that kernels were called with, and that were there before the step: whole ones, no parts."""
        buffers = {id(b) for b in self._buffers.taken}
        owners = [_owner(a) for _, args, kwargs, _ in self.calls for a in _arrays(self.backend, (args, kwargs))]
        return list({id(a): a for a in owners if id(a) not in buffers and getattr(a.flags, "writeable", True)}.values())

    def _copies(self, arrays: list[Array]) -> list[Array]:
        return [self.backend.xp.array(a) for a in arrays]

    def _put(self, copies: list[Array], arrays: list[Array]) -> None:
        for copy, a in zip(copies, arrays, strict=True):
            self.backend.copy(copy, out=a)

    def _same(self, a: Array, b: Array) -> bool:
        return self.backend.to_host(a).tobytes() == self.backend.to_host(b).tobytes()


class _Namespace:
    """The backend's `xp`, whose functions are noted where they write into an array, and are trouble where they make
    one."""

    def __init__(self, xp: Any, recording: Recording):
        self._xp, self._recording = xp, recording

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._xp, name)
        return value if isinstance(value, type) or not callable(value) else _NotedFunction(value, name, self._recording)


class _NotedFunction:
    """A function of the array namespace, and what hangs on it (`add.at`)."""

    def __init__(self, function: Callable[..., Any], name: str, recording: Recording):
        self.function, self._name, self._recording = function, name, recording
        self._noted = recording._noted(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        recording = self._recording
        if recording.is_unnoted():
            return self.function(*args, **kwargs)
        if kwargs.get("out") is not None or self._name in _WRITING:
            return self._noted(*args, **kwargs)
        result = self.function(*args, **kwargs)
        if not any(_owner(a) is _owner(result) for a in _arrays(recording.backend, (args, kwargs))):
            recording.trouble = recording.trouble or f"{self._name} makes an array"
        return result

    def __getattr__(self, name: str) -> Any:
        return _NotedFunction(getattr(self.function, name), f"{self._name}.{name}", self._recording)


class _Noted:
    """An arena whose buffers are noted as they are taken."""

    def __init__(self, arena: Any):
        self._arena = arena
        self.taken: list[Array] = []

    def rewind(self, part: str = "") -> None:
        self._arena.rewind(part)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        buffer = self._arena.empty(shape, dtype)
        self.taken.append(buffer)
        return buffer


class _Again:
    """The buffers of a recording in their order, whoever holds them. `differs` says whether others were asked for."""

    def __init__(self, taken: list[Array], allocate: Callable[..., Array]):
        self._taken, self._allocate, self.next, self.differs = taken, allocate, 0, False

    def rewind(self, part: str = "") -> None:
        """Parts follow one another in the order in which they were recorded."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        index = self.next
        self.next = index + 1
        if index < len(self._taken):
            buffer = self._taken[index]
            if buffer.shape == shape and buffer.dtype == dtype:
                return buffer
        self.differs = True
        return self._allocate(shape, dtype)


def _arrays(backend: Backend, values: Any) -> Iterator[Array]:
    """The arrays among nested values."""
    if backend.is_array(values):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _arrays(backend, value)
    elif isinstance(values, dict):
        yield from _arrays(backend, list(values.values()))


def _owner(a: Any) -> Any:
    """The array that owns the memory of `a`."""
    base = getattr(a, "base", None)
    return _owner(base) if type(base) is type(a) else a


def _alike(a: Any, b: Any) -> bool:
    """Whether two arguments of calls are the same: arrays as parts of the same memory, all else by its value."""
    if hasattr(a, "strides"):
        return hasattr(b, "strides") and _owner(a) is _owner(b) and (a.shape, a.strides, a.dtype) == (
            b.shape, b.strides, b.dtype)
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    return a is b or bool(a == b)
