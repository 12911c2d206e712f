"""The CUDA sources run on the CPU: compiled by g++ under a shim, and called the way CuPy calls them.

The threads of a block take turns at every `__syncthreads`, in ascending order up to the first and then, each time, the
other way round; so a result that depends on who comes first shows. `CupyOnCPU.schedule`, when not 0, is the seed of
other orders. A block in which only some threads arrive at a `__syncthreads` is an error, and so is an address that does
not fit its type: both end the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import inspect
import itertools
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np

try:
    import cupy as CUPY
except ImportError:
    CUPY = None
from cuda_queues import Event, Queue

# What CUDA C++ adds to C++.
SHIM = """
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <utility>
#define __global__
#define __device__
#define __shared__ static
#define __restrict__
#define __launch_bounds__(n)
#define __forceinline__ inline
struct Index { unsigned x, y, z; };
static Index blockIdx, threadIdx, blockDim, gridDim;
static unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
static unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }

struct Thread { ucontext_t context; char* stack; bool done; };
static Thread threads[1024];
static ucontext_t scheduler;
static int current;
extern "C" { unsigned schedule = 0; }
static void __syncthreads() { swapcontext(&threads[current].context, &scheduler); }
"""
# Like cuLaunchKernel: the arguments come as pointers to their values, unchecked; `size_of` is what lets Python check.
LAUNCHER = """
template <typename... A, size_t... I>
void call(void (*kernel)(A...), void** args, std::index_sequence<I...>) { kernel(*(A*)args[I]...); }

static void (*body)();
static void thread_main() { body(); threads[current].done = true; }

static void place(unsigned t) {
    threadIdx.x = t % blockDim.x, threadIdx.y = t / blockDim.x % blockDim.y, threadIdx.z = t / blockDim.x / blockDim.y;
}

// All threads of the block, in turns from one __syncthreads to the next.
static void run_together(unsigned n) {
    const size_t stack = 1 << 16;
    for (unsigned t = 0; t < n; ++t) {
        Thread& thread = threads[t];
        if (!thread.stack) thread.stack = (char*)malloc(stack);
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack, thread.context.uc_stack.ss_size = stack;
        thread.context.uc_link = &scheduler;
        thread.done = false;
        makecontext(&thread.context, thread_main, 0);
    }
    for (unsigned turn = 0, done = 0; done < n; ++turn) {
        for (unsigned k = 0; k < n; ++k) {
            current = (turn + schedule) % 2 ? n - 1 - k : k;
            current = (current + schedule / 2 * (turn + 1)) % n;
            place(current);
            swapcontext(&scheduler, &threads[current].context);
            done += threads[current].done;
        }
        if (done && done < n) { fprintf(stderr, "only some threads arrived at __syncthreads\\n"); abort(); }
    }
}

static void (*kernel_call)(void*);
static void* kernel_data;

template <typename... A>
void launch(void (*kernel)(A...), const unsigned* grid, const unsigned* block, void** args, bool together) {
    gridDim = {grid[0], grid[1], grid[2]}, blockDim = {block[0], block[1], block[2]};
    struct Data { void (*kernel)(A...); void** args; } data = {kernel, args};
    kernel_data = &data;
    kernel_call = [](void* d) {
        call(((Data*)d)->kernel, ((Data*)d)->args, std::index_sequence_for<A...>());
    };
    body = [] { kernel_call(kernel_data); };
    unsigned n = block[0] * block[1] * block[2];
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
                if (together) run_together(n);
                else for (unsigned t = 0; t < n; ++t) { place(t); body(); }
}
template <typename... A>
int size_of(void (*kernel)(A...), unsigned k) {
    int sizes[] = {sizeof(A)..., 0};
    return k < sizeof...(A) ? sizes[k] : 0;
}
"""


# A GPU refuses to read or write at addresses that are no multiple of what the type says; so does this, by a trap.
ALIGNED = ["-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"]


class RawModule:
    """Stands in for `cupy.RawModule`. What it compiles is kept for the session, by its text."""

    def __init__(self, cupy, folder, code, options, name_expressions):
        assert options == ("--std=c++17",)
        self.cupy, self.folder, self.code, self.names = cupy, folder, code, list(name_expressions)
        self._library = None

    @property
    def library(self):
        if self._library is None:
            entries = "".join(f"""
                extern "C" void kernel_{i}(const unsigned* grid, const unsigned* block, void** args) {{
                    launch({name}, grid, block, args, {str("__syncthreads" in self.code).lower()});
                }}
                extern "C" int size_{i}(unsigned k) {{ return size_of({name}, k); }}
            """ for i, name in enumerate(self.names))
            number = len(list(self.folder.iterdir()))
            text, library = self.folder / f"kernels{number}.cpp", self.folder / f"kernels{number}.so"
            text.write_text(SHIM + self.code + LAUNCHER + entries)
            subprocess.run(["g++", "-std=c++17", "-O1", "-ffp-contract=off", *ALIGNED, "-shared", "-fPIC", text, "-o",
                            library], check=True)
            self._library = ctypes.CDLL(str(library))
        return self._library

    def get_function(self, name):
        index = self.names.index(name)
        entry, size = getattr(self.library, f"kernel_{index}"), getattr(self.library, f"size_{index}")

        def function(grid, block, args):
            values = []
            for k, a in enumerate(args):
                # an array of one structure lies on the host, and is passed by value
                on_device = isinstance(a, np.ndarray) and a.dtype.names is None
                value = np.uint64(a.ctypes.data) if on_device else a
                value = value.tobytes()  # a Python number has no fixed size, and fails here
                assert len(value) == size(k), f"argument {k} of {name} has {len(value)} bytes, not {size(k)}"
                values.append(ctypes.create_string_buffer(value, len(value)))
            assert size(len(args)) == 0, f"{name} takes more than {len(args)} arguments"
            pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
            # like CuPy, which takes fewer than three numbers as well
            sizes = [(ctypes.c_uint * 3)(*(*map(int, s), 1, 1)[:3]) for s in (grid, block)]
            schedule = ctypes.c_uint.in_dll(self.library, "schedule")

            def run():
                schedule.value = self.cupy.schedule
                entry(*sizes, pointers)
                return args, values

            self.cupy.enqueue(run)

        return function


class Array(np.ndarray):
    """An array of the pretended device, whose writing methods wait for the graph's turn while a graph is captured."""

    cupy = None
    repeats = True  # as whatever CuPy has made
    data = property(lambda self: SimpleNamespace(ptr=self.ctypes.data))

    def fill(self, value):
        self.cupy.enqueue(lambda: super(Array, self).fill(value))

    def partition(self, kth, axis=-1):
        self.cupy.enqueue(lambda: super(Array, self).partition(kth, axis))

    def __setitem__(self, index, value):
        self.cupy.enqueue(lambda: super(Array, self).__setitem__(index, value))

    def set(self, host, stream):
        """The copy reads the host's array whenever its stream comes to it."""
        assert type(host) is np.ndarray and (host.shape, host.dtype) == (self.shape, self.dtype)
        assert self.cupy.captured is None or stream is not self.cupy.streams[-1], "a copy of the host's, captured"
        stream.enqueue(lambda: np.copyto(self, host))


class Stream(Queue):
    """Stands in for `cupy.cuda.Stream`: what is enqueued runs when it has to (see `Queue`), or goes into the graph that
    is captured."""

    def __init__(self, cupy, non_blocking=False):
        super().__init__(cupy)
        self.non_blocking, self.ptr = non_blocking, next(cupy.stream_numbers)

    def __enter__(self):
        self.cupy.streams.append(self)
        return self

    def __exit__(self, *exc):
        assert self.cupy.streams.pop() is self

    def synchronize(self):
        assert self.cupy.captured is None, "a stream that is captured can't be waited for"
        self.run()

    def begin_capture(self):
        assert self.non_blocking and self.cupy.streams[-1] is self and self.cupy.captured is None
        self.cupy.captured = []

    def end_capture(self):
        calls, self.cupy.captured = self.cupy.captured, None
        return SimpleNamespace(calls=calls, launch=lambda stream=None: [call() for call in calls])


class OutOfMemoryError(MemoryError):
    """Stands in for `cupy.cuda.memory.OutOfMemoryError`."""


class Pool:
    """Stands in for CuPy's pools of memory: `released` counts how often unused memory was given back, `most` is what an
    array may take."""

    def __init__(self):
        self.released = self.limit = self.unused = self.taken = 0
        self.most = None

    def malloc(self, nbytes):
        if self.most is not None and nbytes > self.most:
            raise OutOfMemoryError(f"Out of memory allocating {nbytes:,} bytes (allocated so far: 7 bytes).")

    def free_all_blocks(self):
        self.released, self.unused = self.released + 1, 0

    def get_limit(self):
        return self.limit

    def free_bytes(self):
        return self.unused

    def total_bytes(self):
        return self.taken + self.unused


@functools.cache
def _signature(name):
    """How CuPy's own function of that name is called; None where CuPy is not installed, or does not tell."""
    try:
        return inspect.signature(getattr(CUPY, name)) if CUPY else None
    except (ValueError, TypeError):
        return None


class CupyOnCPU:
    """What `CupyBackend` needs of the cupy package: NumPy, with `RawModule`, streams and graphs."""

    _WRITING = {"copyto"}  # write into their first argument

    def __init__(self, folder):
        self.captured = None
        self.late, self.queues = "copies", []  # see `cuda_queues`
        self.memory = 2**30, 2**30  # what is free of it, and all
        self.used = []  # which devices became the current one of which thread
        self.pool, self.pinned_pool = Pool(), Pool()
        self.allocator = self.pool.malloc
        self.schedule = 0
        self.ndarray = type("Array", (Array,), {"cupy": self})
        self.RawModule = functools.partial(RawModule, self, folder)
        self.stream_numbers = itertools.count(1)
        self.streams = [Stream(self)]
        self.cuda = SimpleNamespace(
            Stream=lambda non_blocking=False: Stream(self, non_blocking),
            get_current_stream=lambda: self.streams[-1],
            Event=Event,
            alloc_pinned_memory=bytearray,
            runtime=SimpleNamespace(memGetInfo=lambda: self.memory, getDeviceProperties=lambda number: {
                "name": b"pretended GPU", "totalGlobalMem": self.memory[1]}, getDeviceCount=lambda: 3,
                runtimeGetVersion=lambda: 13000),
            Device=lambda number=0: SimpleNamespace(id=number, use=lambda: self.used.append(
                (threading.get_ident(), number))),
            get_allocator=lambda: self.allocator,
            set_allocator=lambda allocator: setattr(self, "allocator", allocator),
            MemoryPool=Pool,
            using_allocator=self.using_allocator,
        )

    def get_default_memory_pool(self):
        return self.pool

    def get_default_pinned_memory_pool(self):
        return self.pinned_pool

    @contextlib.contextmanager
    def using_allocator(self, allocator):
        before, self.allocator = self.allocator, allocator
        try:
            yield
        finally:
            self.allocator = before

    def enqueue(self, call):
        """Do it now, or, while a graph is captured, whenever that is launched."""
        if self.captured is None:
            self.streams[-1].enqueue(call)
        else:
            self.captured.append(call)

    def asnumpy(self, a):
        assert self.captured is None, "a copy to the host can't be captured"
        self.streams[-1].run()
        return np.array(a)  # of NumPy's own class

    def __getattr__(self, name):
        value = getattr(np, name)
        if not callable(value) or isinstance(value, type):
            return value

        signature = _signature(name)

        def function(*args, **kwargs):
            if signature is not None:
                signature.bind(*args, **kwargs)  # what NumPy's function takes and CuPy's does not, is an error
            if name in ("array", "asarray") and self.captured is not None:
                raise RuntimeError(f"{name} copies from the host while a stream is capturing")
            if name in self._WRITING or kwargs.get("out") is not None:
                self.enqueue(lambda: value(*args, **kwargs))
                return kwargs.get("out")
            result = value(*args, **kwargs)
            if not isinstance(result, (np.ndarray, np.generic)):
                return result
            return self._wrapped(result, args)

        if isinstance(value, np.ufunc):
            function.at = lambda *args: self.enqueue(lambda: value.at(*args))
        setattr(self, name, function)
        return function

    def _wrapped(self, result, sources):
        """A result of NumPy's as an array of the device; a view has the array it is one of as its base, as in CuPy."""
        if not any(isinstance(a, np.ndarray) and np.may_share_memory(a, result) for a in sources):
            self.allocator(result.nbytes)
        if type(result) is self.ndarray:
            return result
        result = np.asarray(result)
        for a in sources:
            if isinstance(a, self.ndarray) and a.flags.c_contiguous and np.may_share_memory(a, result):
                offset = result.ctypes.data - a.ctypes.data
                return self.ndarray(result.shape, result.dtype, a, offset, result.strides)
        return result.view(self.ndarray)

class CublasOnCPU:
    """What `Cublas` needs of the library: fake_cublas.cpp, whose products wait for the graph's turn while one is
    captured."""

    def __init__(self, cupy, folder):
        library = folder / "fake_cublas.so"
        subprocess.run(["g++", "-std=c++17", "-O1", "-shared", "-fPIC", Path(__file__).with_name("fake_cublas.cpp"),
                        "-o", library], check=True)
        self.cupy, self.library = cupy, ctypes.CDLL(str(library))
        self.library.fake_stream.argtypes = [ctypes.c_void_p]
        self.cublasGemmEx = Product(self, "cublasGemmEx")
        self.cublasGemmStridedBatchedEx = Product(self, "cublasGemmStridedBatchedEx")

    def __getattr__(self, name):
        return getattr(self.library, name)


class Product:
    """A product of the fake library, which is told what goes on around the call."""

    def __init__(self, fake, name):
        self.fake, self.function = fake, getattr(fake.library, name)

    argtypes = property(fset=lambda self, types: setattr(self.function, "argtypes", types))

    def __call__(self, *args):
        cupy, library = self.fake.cupy, self.fake.library
        library.fake_stream(cupy.cuda.get_current_stream().ptr)
        number = library.fake_capture(cupy.captured is not None)
        status = self.function(*args)
        if status == 0 and cupy.captured is not None:
            cupy.enqueue(lambda: library.fake_launch(number))
        return status
