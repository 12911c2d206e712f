"""Parameters, and the flat buffers they live in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from miniae.autodiff import Tensor
from miniae.backend import Backend

# Each parameter starts on a multiple of this many elements, so that its address suits vector instructions and cuBLAS.
_ALIGNMENT = 64


class Parameter(Tensor):
    """A tensor that training changes: it wants a gradient from birth, and keeps one buffer for it all its life.

    `name` says where it belongs, `encoder.0.weight` for instance; the layer that makes it sets it.
    """

    __slots__ = ("name", "pack", "_home", "_has_grad", "_lent")

    def __init__(self, data: Any, name: str = "", dtype: Any = None, backend: str | Backend | None = None):
        self.name, self._home = name, None
        self.pack: ParameterPack | None = None
        super().__init__(data, requires_grad=True, dtype=dtype, backend=backend)

    def __deepcopy__(self, memo: Any) -> Parameter:
        """A parameter with a copy of the data, in no pack, and without a gradient."""
        copied = memo[id(self)] = Parameter(self, self.name, self.dtype)
        copied.requires_grad = self.requires_grad
        return copied

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """What a pickle holds. The gradient is in its buffer; to set it would write there, where a file may lie."""
        for name, value in {**(state[0] or {}), **state[1]}.items():
            if name != "grad":
                setattr(self, name, value)
        if self.pack is not None:  # else, the pack is being read itself, and sees to it
            self.pack.bind([self])

    @property
    def grad(self) -> Any:
        """dL/d(this), a raw array; None when no backward has reached it since `zero_grad`."""
        return self._home if self._has_grad else None

    @grad.setter
    def grad(self, value: Any) -> None:
        self._lent = self._has_grad = False
        if value is not None:
            self.accumulate_grad(value)

    def zero_grad(self) -> None:
        """Forget the gradient. Nothing is written: the next backward overwrites it."""
        self._lent = self._has_grad = False

    def hold_grad(self) -> None:
        """The gradient's buffer holds a gradient: a replayed step has written it there."""
        self._has_grad = True

    def grad_buffer(self) -> Any:
        """The gradient's own buffer, when nothing is in it: a kernel may write there instead of into a temporary."""
        if self._has_grad or self._lent:
            return None
        self._lent = True
        return self._buffer()

    def accumulate_grad(self, g: Any) -> None:
        home = self._buffer()
        if g is not home:  # else a kernel wrote it right here
            if self._has_grad or self._lent:
                self.backend.add(home, g, out=home)
            else:
                self.backend.copy(g, out=home)
        self._has_grad = True

    def _buffer(self) -> Any:
        if self._home is None:
            self._home = self.backend.zeros(self.shape, self.dtype)
        return self._home


class ParameterPack:
    """Parameters in one flat buffer, their gradients in another, laid out alike.

    An optimizer updates `data` from `grad` in one pass, whatever the number of layers; the parameters are views.
    Weights are written, never rebound, from the moment they are packed.

    Parameters that stand side by side in a pack already stay there, and the new pack is that part of the old one: so an
    optimizer of a whole model and one of its encoder share the buffers. Otherwise they move into new buffers.
    """

    data: Any
    grad: Any
    home: ParameterPack

    def __init__(self, parameters: Sequence[Parameter]):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("there are no parameters to pack: build the model (give it an input shape) first")
        if len({id(p) for p in self.parameters}) != len(self.parameters):
            raise ValueError("a parameter is listed twice: list a shared one once")
        self.backend, self.dtype = self.parameters[0].backend, self.parameters[0].dtype
        for p in self.parameters:
            if p.backend is not self.backend or p.dtype != self.dtype:
                raise TypeError(f"the parameters of one pack share a backend and a dtype: {p.name or 'one'} is "
                                f"{p.dtype} on {p.backend.name}, the first is {self.dtype} on {self.backend.name}")
        self.slices: list[slice] = []
        start = 0
        for p in self.parameters:
            self.slices.append(slice(start, start + p.size))
            start += -(-p.size // _ALIGNMENT) * _ALIGNMENT
        self.size = max(start, 1)
        first = self.parameters[0].pack
        begin = None if first is None else first._position_of(self.parameters)
        if first is None or begin is None:
            self._move_in()
        else:
            self.home = first
            self.data, self.grad = (buffer[begin:begin + self.size] for buffer in (first.data, first.grad))
        self._begin = begin or 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What a pickle holds, where views have become arrays of their own: make them views again."""
        vars(self).update(state)
        if self.home is not self:
            self.data, self.grad = (b[self._begin:self._begin + self.size] for b in (self.home.data, self.home.grad))
        else:
            self.bind(self.parameters)

    def bind(self, parameters: Sequence[Parameter]) -> None:
        """Make these parameters views of the buffers, as far as both have been read."""
        if "slices" not in vars(self):
            return
        for p, s in zip(self.parameters, self.slices, strict=True):
            if any(p is one for one in parameters) and getattr(p, "pack", None) is self:
                p._data, p._home = self.data[s].reshape(p.shape), self.grad[s].reshape(p.shape)

    def _move_in(self) -> None:
        """Copy the parameters into new buffers, and make them views of these."""
        self.home = self
        self.data = self.backend.zeros((self.size,), self.dtype)
        self.grad = self.backend.zeros((self.size,), self.dtype)
        for p, s in zip(self.parameters, self.slices, strict=True):
            data, grad = self.data[s].reshape(p.shape), self.grad[s].reshape(p.shape)
            self.backend.copy(p._data, out=data)
            if p.grad is not None:
                self.backend.copy(p.grad, out=grad)
            p._data, p._home, p.pack = data, grad, self
            p._version.count += 1

    def _position_of(self, parameters: list[Parameter]) -> int | None:
        """Where in the buffers these parameters begin, if they stand there side by side in this order."""
        ids = [id(p) for p in self.parameters]
        wanted = [id(p) for p in parameters]
        if wanted[0] not in ids:
            return None
        index = ids.index(wanted[0])
        held = all(p.pack is self for p in parameters)
        return self.slices[index].start if held and ids[index:index + len(wanted)] == wanted else None

    def holds_all(self) -> bool:
        """False once another pack has taken one of the parameters."""
        return all(p.pack is self.home for p in self.parameters)

    def clear_missing_grads(self) -> None:
        """Write zeros where backward has left no gradient, so that `grad` is right as a whole."""
        for p, s in zip(self.parameters, self.slices, strict=True):
            if p.grad is None:
                self.backend.fill(self.grad[s], 0.0)

    def written(self) -> None:
        """Tell the tape that the parameters have changed."""
        for p in self.parameters:
            p._version.count += 1


def zero_grad(parameters: Iterable[Parameter]) -> None:
    """Forget the gradients of all these parameters."""
    for p in parameters:
        p.zero_grad()
