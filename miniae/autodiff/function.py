"""`Function`: one operation, its value and its derivative, written side by side."""

from __future__ import annotations

import itertools
from typing import Any

from miniae.autodiff.mode import mode
from miniae.autodiff.tensor import Tensor

_order = itertools.count()


class Function:
    """One application of a differentiable operation.

    A subclass writes three methods next to each other:

    - `forward(*arrays)` computes the result from raw arrays, and calls `save` on what backward needs;
    - `backward(gy)` turns dL/dy into dL/dx for each input, from the `saved` arrays (`None` where there is none);
    - `jvp(y, *tangents)` turns tangents of the inputs into the tangent of the output `y`, expressed in differentiable
      functions of tensors (`self.inputs`, `y`), so that it can be differentiated in turn. A tangent of `None` is zero.

    Parameters that are not differentiated (a stride, a slope) go to `__init__`. Calling the object applies it, once:

    >>> class Square(Function):
    ...     def forward(self, x):
    ...         self.save(x)
    ...         return x * x
    ...     def backward(self, gy):
    ...         (x,) = self.saved
    ...         return 2 * x * gy
    >>> x = Tensor([3.0], requires_grad=True)
    >>> Square()(x).sum().backward()
    >>> x.grad
    array([6.], dtype=float32)

    Inputs that are not tensors become constants: Python numbers stay numbers (and never promote), anything else takes
    the dtype of the first tensor.
    """

    be: Any = None
    """The backend of the inputs."""
    inputs: tuple[Any, ...] = ()
    """The inputs as given: tensors, or Python numbers."""
    needs: tuple[bool, ...] = ()
    """For each input, whether its gradient is wanted: `backward` may leave out the others."""
    order = -1
    """The position on the tape; -1 before the function is applied."""

    _saved: tuple[Any, ...] | None = ()
    _versions: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return type(self).__name__

    # ---------------------------------------------------------------- what a subclass writes

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no forward")

    def backward(self, gy: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no backward: it can't be differentiated")

    def jvp(self, y: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no jvp: it can't be differentiated in forward mode")

    # ---------------------------------------------------------------- what a subclass uses

    def save(self, *arrays: Any) -> None:
        """Keep these arrays for `backward`."""
        self._saved = arrays

    @property
    def saved(self) -> tuple[Any, ...]:
        """What `save` kept. Raises `RuntimeError` after backward has freed it."""
        if self._saved is None:
            raise RuntimeError(
                f"backward through {self.name} a second time: its saved arrays were freed by the first. "
                "Compute the loss again, or call backward(retain_tape=True) the first time"
            )
        return self._saved

    def buffer_for(self, index: int) -> Any:
        """Where the gradient of that input may be written directly, or None: pass it on as a kernel's `out`."""
        t = self.inputs[index]
        return t.grad_buffer() if isinstance(t, Tensor) else None

    # ---------------------------------------------------------------- application

    def __call__(self, *inputs: Any) -> Tensor:
        if self.order >= 0:
            raise RuntimeError(f"this {self.name} has been applied already: make a new one for each application")
        self.inputs, self.be = _as_inputs(self.name, inputs)
        arrays = [t._data if isinstance(t, Tensor) else t for t in self.inputs]
        self.needs = tuple(isinstance(t, Tensor) and t.requires_grad for t in self.inputs)
        record = mode.tape and any(self.needs)
        self.order = next(_order)
        observer = mode.observer
        result = self.forward(*arrays) if observer is None else observer(self, self.forward, *arrays)
        y = Tensor._wrap(result, self.be)
        if record:
            y.requires_grad, y.creator = True, self
            self._watch(y)
        elif mode.applied is None:
            self._saved = ()
        if mode.applied is not None:
            mode.applied.append((self, y))
        if mode.forward and any(isinstance(t, Tensor) and t.tangent is not None for t in self.inputs):
            from miniae.autodiff.forward import push_tangent

            push_tangent(self, y)
        return y

    def _watch(self, y: Tensor) -> None:
        """Note the versions of the saved arrays that tensors hold, so that a change in place can be told."""
        saved = {id(a) for a in self.saved}
        self._versions = tuple([(t._version, t._version.note(t), t._data) for t in (*self.inputs, y)
                                if isinstance(t, Tensor) and id(t._data) in saved])

    def check_unchanged(self) -> None:
        """Raise `RuntimeError` if a saved array was changed in place since forward."""
        for version, noted, array in self._versions:
            if version.differs(noted, array, self.be):
                raise RuntimeError(
                    f"an array that {self.name} saved for backward (shape {array.shape}) was changed in place since. "
                    "Change it after backward, or compute with a copy"
                )

    def free(self) -> None:
        """Drop what backward needed. A second backward through this function is an error from now on."""
        self._saved, self._versions = None, ()


def _as_inputs(name: str, inputs: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """The inputs with arrays made into tensors, and their common backend."""
    be, dtype = (inputs[0].backend, inputs[0].dtype) if inputs and isinstance(inputs[0], Tensor) else (None, None)
    if be is not None and all([isinstance(t, Tensor) and t.backend is be and t.dtype is dtype for t in inputs]):
        return inputs, be  # nothing to do, nearly always
    first = next((t for t in inputs if isinstance(t, Tensor)), None)
    if first is None:
        first = next((Tensor(t) for t in inputs if not isinstance(t, (int, float))), None)
        if first is None:
            raise TypeError(f"{name} needs at least one tensor or array, got only numbers")
    converted = []
    for t in inputs:
        if isinstance(t, Tensor):
            if t.backend is not first.backend:
                raise TypeError(
                    f"{name} got tensors of two backends, {first.backend.name} and {t.backend.name}: "
                    "make both on the same one, or move one with .to(backend)"
                )
            if t.dtype != first.dtype and t.dtype.kind == first.dtype.kind == "f":
                raise TypeError(
                    f"{name} got tensors of two dtypes, {first.dtype} and {t.dtype}: convert one with .astype(dtype)"
                )
        elif not isinstance(t, (int, float)):
            t = Tensor(t, dtype=first.dtype, backend=first.backend)
        converted.append(t)
    return tuple(converted), first.backend
