"""The `Backend`: an array namespace, transfers, and the short list of kernels worth writing twice.

Every kernel here is a plain reference in terms of the array namespace `xp`: any shape, any dtype. It is the oracle
that the faster ones in `numpy.py` and `cupy.py` are tested against. A kernel writes into `out` when it is given one;
otherwise it takes a buffer from `Backend.empty`, which is the arena's while a step runs. Only the arithmetic of single
elements (`elementwise`, `add`, ...) may write over its own operands. No kernel waits for the device, and none reads a
number back from it.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from miniae.backend.arena import Arena
from miniae.backend.feeding import Feeder
from miniae.backend.image import ImageKernels
from miniae.backend.philox import philox_generator
from miniae.backend.precision import Precision

Array = Any  # an array of whichever backend is in use
Shape = tuple[int, ...]


class BackendUnavailable(RuntimeError):
    """The package or the device behind a backend is missing; the message says which and what to do."""


class CaptureError(RuntimeError):
    """The step does something that a recorded graph could not hold."""


class _Thread(threading.local):
    """What differs from thread to thread: the arena of the step that it is at, if any."""

    arena: Any = None  # an `Arena`, or what stands in for one


class Backend(ImageKernels, Precision):
    """Arrays of one device. `xp` is its array namespace: `numpy`, `cupy`, or the strict stand-in."""

    name = "reference"
    number: int | None = None  # of the device, if it has one

    def __init__(self, xp: Any = np):
        self.xp = xp
        self.allocate = xp.empty  # a new array of that shape and dtype
        self._thread = _Thread()
        self._ones: dict[Any, Array] = {}

    def __repr__(self) -> str:
        return f"<miniae backend {self.name}>"

    def __deepcopy__(self, memo: Any) -> Backend:
        return self  # a device can't be copied; what lives on it can

    def __reduce__(self) -> tuple[Any, ...]:
        from miniae.backend import get

        return get, (self.name,)  # without its number, which another machine may not have

    # ---------------------------------------------------------------- arrays

    def is_array(self, a: object) -> bool:
        """Whether `a` is an array of this backend."""
        return isinstance(a, self.xp.ndarray)

    def asarray(self, host: Any, dtype: Any = None) -> Array:
        """Host data (a NumPy array, a list, a number) as an array of this backend; a copy, C-contiguous."""
        return self.xp.array(host, dtype=dtype, order="C")

    def upload(self, host: np.ndarray, out: Array) -> None:
        """out = host, of the same shape and dtype. The host's array may be written to again afterwards."""
        self.xp.copyto(out, self.asarray(host))

    def room_for(self, nbytes: int, in_file: bool = False) -> bool:
        """Whether data of so many bytes shall lie in the device's memory as a whole, or be brought there batch by batch
        (see `feeder`). Where that is the host's own memory, it is what isn't in a mapped file."""
        return not in_file

    def feeder(self, gather: Callable[[np.ndarray, np.ndarray], None], shape: Shape, dtype: Any) -> Feeder:
        """What brings batches of this shape to the device, that `gather` makes on the host."""
        return Feeder(self, gather, shape, dtype)

    def release(self) -> None:
        """Give memory back to the system that was kept for later arrays, and that none is using."""

    def to_host(self, a: Array) -> np.ndarray:
        """A NumPy copy of `a`. Waits for the device."""
        return np.array(a)

    def synchronize(self) -> None:
        """Wait until the device has finished."""

    def device_info(self) -> dict[str, Any]:
        """`device` (its name) and, where known, `memory_total` and `memory_free` in bytes."""
        return {"device": "CPU"}

    def devices(self) -> dict[str, dict[str, Any]]:
        """What `device_info` says of every device that `get` could give, by the name to ask for."""
        return {self.name: self.device_info()}

    def empty(self, shape: Shape, dtype: Any) -> Array:
        """An array with undefined contents: the arena's next buffer while a step runs, else a new one."""
        arena = self._thread.arena
        if arena is not None:
            return arena.empty(shape, dtype)
        return self.allocate(shape, dtype)

    def empty_like(self, a: Array, shape: Shape | None = None, dtype: Any = None) -> Array:
        """An array as `empty` makes it, of the shape and dtype of `a` or the given ones.

        A backend whose kernels order the axes in memory in a way of their own makes it with the axes in the order of
        `a`, so that the two are gone through together.
        """
        return self.empty(a.shape if shape is None else shape, a.dtype if dtype is None else dtype)

    def zeros(self, shape: Shape, dtype: Any) -> Array:
        """A new array of zeros, outside any arena: for what lives longer than a step."""
        return self.xp.zeros(shape, dtype)

    def one(self, dtype: Any) -> Array:
        """The number 1 without axes: always the same array, which is not to be written to (nor, on the CPU, can be)."""
        if dtype not in self._ones:
            one = self.asarray(1.0, dtype)
            if hasattr(one.flags, "writeable"):  # CuPy's arrays have no such flag
                one.flags.writeable = False
            self._ones[dtype] = one
        return self._ones[dtype]

    def fill(self, a: Array, value: float) -> None:
        a.fill(value)

    def copy(self, a: Array, out: Array | None = None) -> Array:
        """out = a."""
        out = self.empty_like(a) if out is None else out
        self.xp.copyto(out, a)
        return out

    def silent(self) -> contextlib.AbstractContextManager[Any]:
        """A block in which overflow and invalid operations pass without a warning, as they do on a GPU."""
        return np.errstate(over="ignore", invalid="ignore", divide="ignore")

    # ---------------------------------------------------------------- steps

    @contextlib.contextmanager
    def arena(self, arena: Any = None) -> Iterator[Any]:
        """Within this block, `empty` hands out the buffers of an `Arena`, or of what stands in for one, from its first
        slot on."""
        arena = Arena(self.allocate) if arena is None else arena
        before, self._thread.arena = self._thread.arena, arena
        arena.rewind()
        try:
            yield arena
        finally:
            self._thread.arena = before

    def capture(self, step: Callable[[], None], warmup: int = 2) -> Callable[[], None]:
        """A callable that repeats `step`, which runs in an arena of its own: as a graph, if the device has such.

        `warmup` is how often the step runs first, so that buffers exist before it is recorded.
        """
        run = self._in_arena(step)
        for _ in range(warmup):
            run()
        return self.graph(run) or run

    def graph(self, run: Callable[[], None]) -> Callable[[], None] | None:
        """What `run` does, recorded by the device, without being done, as one graph to launch; None without such.

        `run` has been called before, and calls kernels on arrays that are there. Raises `CaptureError` for what a graph
        can't hold: a wait, a copy from or to the host.
        """
        return None

    def rewind(self, part: str = "") -> None:
        """Begin a part of the step anew, at its first buffer (see `Arena`). Does nothing outside of an arena."""
        if self._thread.arena is not None:
            self._thread.arena.rewind(part)

    def as_kernel(self, function: Callable[..., Any], *args: Any) -> Any:
        """function(*args), which a `Recording` holds as one call, whatever happens within."""
        return function(*args)

    def formula(self, f: Callable[..., Array], *args: Any) -> Array:
        """f(xp, *args), array arithmetic written out as in a book. Its intermediate results are new arrays, so it is
        for what is not worth a kernel; a `Recording` holds it as one call if `f` is the same function every time."""
        result = f(self.xp, *args)
        if self._thread.arena is None:
            return result if self.is_array(result) else self.xp.asarray(result)
        return self.copy(result, out=self.empty(result.shape, result.dtype))

    def may_copy(self, nbytes: int) -> bool:
        """Whether a recorded step is worth copying so much twice, which outlives it, to put it to the test: where a
        step works on more than this, Python's part of its time is small."""
        return nbytes <= 2**26

    def _in_arena(self, step: Callable[[], None]) -> Callable[[], None]:
        arena = Arena(self.allocate)

        def run() -> None:
            with self.arena(arena):
                step()

        return run

    # ---------------------------------------------------------------- arithmetic into buffers

    def elementwise(self, ufunc: Callable[..., Array], *operands: Any, out: Array | None = None) -> Array:
        """out = ufunc(*operands), broadcast, in the dtype of the first array operand."""
        if out is None:
            if self._thread.arena is None:
                result = ufunc(*operands)
                return result if self.is_array(result) else self.xp.asarray(result)  # NumPy makes numbers of 0-d arrays
            arrays = [a for a in operands if hasattr(a, "shape")]
            first = arrays[0]
            shape = first.shape
            for a in arrays[1:]:
                if a.shape != shape:
                    shape = np.broadcast_shapes(shape, a.shape)
            out = self.empty_like(first) if shape == first.shape else self.empty(shape, first.dtype)
        return ufunc(*operands, out=out)

    def add(self, a: Array, b: Any, out: Array | None = None) -> Array:
        return self.elementwise(self.xp.add, a, b, out=out)

    def subtract(self, a: Any, b: Any, out: Array | None = None) -> Array:
        return self.elementwise(self.xp.subtract, a, b, out=out)

    def multiply(self, a: Array, b: Any, out: Array | None = None) -> Array:
        return self.elementwise(self.xp.multiply, a, b, out=out)

    def scaled(self, a: Array, factor: Array) -> Array:
        """factor a, for a factor without axes; `a` itself where that is the array `one`."""
        return a if factor is self._ones.get(factor.dtype) else self.multiply(a, factor)

    def add_scaled(self, total: Array, a: Array, factor: float) -> None:
        """total += factor a."""
        self.xp.add(total, self.multiply(a, factor), out=total)

    def divide(self, a: Any, b: Any, out: Array | None = None) -> Array:
        return self.elementwise(self.xp.divide, a, b, out=out)

    def less(self, a: Array, b: Any, out: Array) -> Array:
        """out = 1 where a < b, else 0, in the dtype of `out`."""
        return self.xp.less(a, b, out=out)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """out = a @ b, of the operands as `rounded`. A transposed view costs nothing: it is passed on as a flag."""
        if self._precision is not None:
            a, b = self.rounded(a), self.rounded(b)
        if out is None:
            if a.ndim == b.ndim == 2:
                out = self.empty((a.shape[0], b.shape[1]), a.dtype)
            else:
                return self.xp.matmul(a, b)
        return self.xp.matmul(a, b, out=out)

    def affine(self, x: Array, w: Array, b: Array, out: Array | None = None, f: str | None = None) -> Array:
        """out = f(x @ w + b); f is None or a name that `activate` knows."""
        return self.add_bias(self.matmul(x, w, out=out), b, f)

    def add_bias(self, z: Array, b: Array, f: str | None = None) -> Array:
        """f(z + b), written over z: (rows, features) or (N, channels, H, W), b having features or channels."""
        self.xp.add(z, b.reshape(-1, 1, 1) if z.ndim == 4 else b, out=z)
        return z if f is None else self.activate(f, z, out=z)

    def add_bias_grad(self, gy: Array, y: Array, f: str | None = None, out: Array | None = None
                      ) -> tuple[Array, Array]:
        """For y = f(z + b) both gradients: dL/dz = gy f', and dL/db, its sum over all but features or channels.

        `out` is where dL/db goes; dL/dz is gy itself where f is None, and y counts for nothing.
        """
        g = gy if f is None else self.activate_grad(f, gy, y)
        return g, self.sum(g, axis=(0, 2, 3) if g.ndim == 4 else 0, out=out)

    def contiguous(self, a: Array) -> Array:
        """The array itself, or a copy if its elements do not lie in C order."""
        return a if a.flags.c_contiguous else self.copy(a, out=self.empty(a.shape, a.dtype))

    def reshape(self, a: Array, shape: Shape) -> Array:
        """The elements of `a`, in C order, in another shape: a view where they lie so in memory, else a copy."""
        return self.contiguous(a).reshape(shape)

    def sum(self, a: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False,
            out: Array | None = None) -> Array:
        """Sum over `axis`; over everything it is a 0-d array."""
        if out is None:
            axes = range(a.ndim) if axis is None else [i % a.ndim for i in ((axis,) if isinstance(axis, int) else axis)]
            shape = tuple(1 if i in axes else n for i, n in enumerate(a.shape) if keepdims or i not in axes)
            out = self.empty(shape, a.dtype)
        return self.xp.sum(a, axis=axis, keepdims=keepdims, out=out)

    def sum_to(self, a: Array, shape: Shape) -> Array:
        """Sum `a` over the axes that broadcasting `shape` to `a.shape` repeated: the adjoint of broadcasting."""
        if a.shape == shape:
            return a
        lead = a.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 and a.shape[i + lead] != 1)
        return self.sum(a, axis=axes, keepdims=False).reshape(shape)

    # ---------------------------------------------------------------- activations

    def activate(self, f: str, x: Array, out: Array | None = None) -> Array:
        """f(x) for one of those that act by their value: sigmoid, tanh, relu."""
        if f == "relu":
            return self.leaky_relu(x, 0.0, out)
        return self.sigmoid(x, out) if f == "sigmoid" else self.tanh(x, out)

    def activate_grad(self, f: str, gy: Array, y: Array) -> Array:
        """dL/dx for y = f(x)."""
        if f == "relu":
            return self.leaky_relu_grad(gy, y, 0.0)
        return self.sigmoid_grad(gy, y) if f == "sigmoid" else self.tanh_grad(gy, y)

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        """y = 1 / (1 + exp(-x)), with x held where exp(-x) is finite."""
        out = self.elementwise(self.xp.maximum, x, -math.log(float(np.finfo(x.dtype).max)) + 1.0, out=out)
        self.xp.negative(out, out=out)
        self.xp.exp(out, out=out)
        self.xp.add(out, 1.0, out=out)
        return self.xp.divide(1.0, out, out=out)

    def sigmoid_grad(self, gy: Array, y: Array, out: Array | None = None) -> Array:
        """dL/dx = dL/dy * y (1 - y)."""
        out = self.elementwise(self.xp.subtract, 1.0, y, out=out)
        self.xp.multiply(out, y, out=out)
        return self.xp.multiply(out, gy, out=out)

    def tanh(self, x: Array, out: Array | None = None) -> Array:
        """y = tanh(x)."""
        return self.elementwise(self.xp.tanh, x, out=out)

    def tanh_grad(self, gy: Array, y: Array, out: Array | None = None) -> Array:
        """dL/dx = dL/dy * (1 - y^2)."""
        out = self.elementwise(self.xp.multiply, y, y, out=out)
        self.xp.subtract(1.0, out, out=out)
        return self.xp.multiply(out, gy, out=out)

    def leaky_relu(self, x: Array, slope: float, out: Array | None = None) -> Array:
        """y = max(x, 0) + slope * min(x, 0), for 0 <= slope < 1. A slope of 0 is the ReLU."""
        if slope == 0:
            return self.elementwise(self.xp.maximum, x, 0.0, out=out)
        out = self.elementwise(self.xp.multiply, x, slope, out=out)
        return self.xp.maximum(x, out, out=out)

    def leaky_relu_grad(self, gy: Array, x: Array, slope: float, out: Array | None = None) -> Array:
        """dL/dx = dL/dy * (1 where x > 0, slope elsewhere)."""
        out = self.elementwise(self.xp.greater, x, 0.0, out=self.empty_like(x) if out is None else out)
        if slope:
            self.xp.maximum(out, slope, out=out)
        return self.xp.multiply(out, gy, out=out)

    def softplus(self, x: Array, out: Array | None = None) -> Array:
        """y = log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
        out = self.elementwise(self.xp.abs, x, out=out)
        self.xp.negative(out, out=out)
        self.xp.exp(out, out=out)
        self.xp.log1p(out, out=out)
        return self.xp.add(out, self.elementwise(self.xp.maximum, x, 0.0), out=out)

    # ---------------------------------------------------------------- losses with their gradients

    def squared_error(self, y: Array, t: Array) -> tuple[Array, Array]:
        """L = 1/N sum (y - t)^2 and dL/dy = 2/N (y - t); N is the batch, the first axis."""
        n = max(len(y), 1)
        difference = self.subtract(y, t)
        loss = self.sum(self.multiply(difference, difference))
        self.xp.multiply(loss, 1.0 / n, out=loss)
        return loss, self.xp.multiply(difference, 2.0 / n, out=difference)

    def bce_logits(self, z: Array, t: Array) -> tuple[Array, Array]:
        """L = 1/N sum softplus(z) - t z and dL/dz = 1/N (sigmoid(z) - t)."""
        n = max(len(z), 1)
        terms = self.softplus(z)
        self.xp.subtract(terms, self.multiply(z, t), out=terms)
        loss = self.sum(terms)
        self.xp.multiply(loss, 1.0 / n, out=loss)
        grad = self.sigmoid(z, out=terms)
        self.xp.subtract(grad, t, out=grad)
        return loss, self.xp.multiply(grad, 1.0 / n, out=grad)

    # ---------------------------------------------------------------- random numbers (see philox.py)

    # `first` is the position of the first number, where `out` is a part of something larger.

    def philox_uniform(self, out: Array, seed: int, stream: int, step: Array, first: int = 0) -> None:
        """Fill `out` with uniform numbers in [0, 1) of the counter (position, step, stream)."""
        host = np.empty(out.shape, out.dtype)
        philox_generator(out.dtype, seed, stream, int(self.to_host(step)[0]), first).random(out=host, dtype=out.dtype)
        self.xp.copyto(out, self.asarray(host))

    def philox_bernoulli(self, out: Array, probability: Array, seed: int, stream: int, step: Array, first: int = 0
                         ) -> None:
        """out = 1 where the number of `philox_uniform` is below the probability, else 0. `out` is another array."""
        self.philox_uniform(out, seed, stream, step, first)
        self.less(out, probability, out=out)

    def philox_mask(self, out: Array, rate: float, kept: float, seed: int, stream: int, step: Array, first: int = 0
                    ) -> None:
        """out = `kept` where the number of `philox_uniform` is at least the rate, else 0."""
        self.philox_uniform(out, seed, stream, step, first)
        self.elementwise(self.xp.greater_equal, out, rate, out=out)
        if kept != 1.0:
            self.multiply(out, kept, out=out)

    def philox_normal(self, out: Array, seed: int, stream: int, step: Array, first: int = 0, total: int | None = None
                      ) -> None:
        """Fill `out` with standard normal numbers, made from twice half as many uniform ones by `box_muller`.

        `total` is how many numbers `out` is a part of, the pairs being as far apart as half of those.
        """
        whole = out if out.flags.c_contiguous else self.empty(out.shape, out.dtype)
        if total is not None:
            self._part_of_normal(whole.reshape(-1), (seed, stream, step), first, (total + 1) // 2)
            if whole is not out:
                self.copy(whole, out=out)
            return
        uniform = self.empty((2, (out.size + 1) // 2), out.dtype)
        self.philox_uniform(uniform, seed, stream, step)
        self.box_muller(uniform, whole.reshape(-1))
        if whole is not out:
            self.copy(whole, out=out)

    def _part_of_normal(self, out: Array, key: tuple[int, int, Array], first: int, half: int) -> None:
        """The normal numbers from position `first` on: cosines of pairs before `half`, sines from there."""
        last = first + len(out)
        for begin, end, of in ((first, min(last, half), 0), (max(first, half), last, 1)):
            if begin < end:
                n, pair = end - begin, begin - of * half
                uniform, both = self.empty((2, n), out.dtype), self.empty((2 * n,), out.dtype)
                self.philox_uniform(uniform[0], *key, pair)
                self.philox_uniform(uniform[1], *key, half + pair)
                self.box_muller(uniform, both)
                self.copy(both[of * n:(of + 1) * n], out=out[begin - first:end - first])

    def box_muller(self, uniform: Array, out: Array) -> None:
        """out = sqrt(-2 log(1 - u1)) cos(2 pi u2), then sqrt(-2 log(1 - u1)) sin(2 pi u2).

        `uniform` is (2, half) and is overwritten, `out` has 2 half elements or one fewer. Box and Muller, "A note on
        the generation of random normal deviates", Annals of Mathematical Statistics 29, 1958.
        """
        radius, angle = uniform[0], uniform[1]
        self.xp.negative(radius, out=radius)
        self.xp.log1p(radius, out=radius)
        self.xp.multiply(radius, -2.0, out=radius)
        self.xp.sqrt(radius, out=radius)
        self.xp.multiply(angle, 2.0 * math.pi, out=angle)
        half = len(radius)
        rest = len(out) - half
        first, second = out[:half], out[half:]
        self.xp.cos(angle, out=first)
        self.xp.multiply(first, radius, out=first)
        self.xp.sin(angle[:rest], out=second)
        self.xp.multiply(second, radius[:rest], out=second)

    def increment(self, counter: Array) -> None:
        """counter += 1."""
        self.xp.add(counter, 1, out=counter)

    # ---------------------------------------------------------------- minibatches and updates

    def gather(self, rows: Array, index: Array, out: Array | None = None) -> Array:
        """out[i] = rows[index[i]]. The indices must be in range: a GPU would wrap them silently."""
        out = self.empty((len(index), *rows.shape[1:]), rows.dtype) if out is None else out
        return self.xp.take(rows, index, axis=0, out=out)

    def gather_scaled(self, rows: Array, index: Array, offset: Array, scale: Array, out: Array) -> Array:
        """out[i] = (rows[index[i]] - offset) / scale, worked out in float64, for offset and scale of a row's shape."""
        x = self.copy(self.gather(rows, index), out=self.empty(out.shape, "float64"))
        self.subtract(x, offset, out=x)
        self.divide(x, scale, out=x)
        return self.copy(x, out=out)

    def adam_rates(self, betas: Array, last: Array, step: Array, lr: Array, epsilon: float, scratch: Array, rates: Array
                   ) -> None:
        """rates = [lr sqrt(W2) / W1, epsilon sqrt(W2)], W = (1 - b^step) / last for both betas: in float64 until the
        last. `last` is 1 - betas; see `optim.Adam`."""
        xp, w = self.xp, scratch
        xp.power(betas, step, out=w)
        xp.subtract(1.0, w, out=w)
        xp.divide(w, last, out=w)
        w1, root = w[0:1], w[1:2]
        xp.sqrt(root, out=root)
        xp.divide(root, w1, out=w1)
        xp.multiply(root, epsilon, out=root)
        self.copy(w, out=rates)
        xp.multiply(rates[0:1], lr, out=rates[0:1])

    def momentum(self, p: Array, g: Array, v: Array, rate: Array, scratch: Array, momentum: float) -> None:
        """v = momentum v + g;  p -= rate[0] v."""
        xp = self.xp
        xp.multiply(v, momentum, out=v)
        xp.add(v, g, out=v)
        xp.multiply(v, rate, out=scratch)
        xp.subtract(p, scratch, out=p)

    def adam(self, p: Array, g: Array, m: Array, v: Array, rates: Array, scratch: Array, beta1: float, beta2: float
             ) -> None:
        """m = b1 m + g;  v = b2 v + g^2;  p -= rates[0] m / (sqrt(v) + rates[1]): see `optim.Adam`."""
        xp = self.xp
        xp.multiply(m, beta1, out=m)
        xp.add(m, g, out=m)
        xp.multiply(g, g, out=scratch)
        xp.multiply(v, beta2, out=v)
        xp.add(v, scratch, out=v)
        xp.sqrt(v, out=scratch)
        xp.add(scratch, rates[1:2], out=scratch)
        xp.divide(m, scratch, out=scratch)
        xp.multiply(scratch, rates[0:1], out=scratch)
        xp.subtract(p, scratch, out=p)
