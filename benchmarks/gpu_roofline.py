"""Every kernel beside the rates of this very run: of the memory, by a large copy, and of large matrix products.

A kernel is launched many times, once by Python each and once as nodes of a CUDA graph, between two events of the
device, which measure the time between them; a short kernel is faster in a graph, as Python can't launch it so fast.
`share` is the least time that its bytes and operations can take (see `miniae.tasks.bench.Roofline`) over the shorter of
the two; it exceeds 1 where the caches hold the data. Without a GPU the clock measures, and there is no graph.
"""

import dataclasses
import statistics
import time

import numpy as np
from gpu_work import set_tf32

from miniae.tasks import Sizes
from miniae.tasks.bench import Roofline, durations, measure_roofline
from miniae.tasks.kernels import kernels

try:
    import torch
except ImportError:  # only the rate with TF32 may need it
    torch = None

SIZES = (
    Sizes(products=((128, 784, 128), (128, 128, 64), (128, 784, 1000), (1024, 784, 1000), (4096, 1000, 500)),
          elements=((128, 784), (1024, 784), (8192, 8192)), parameters=(222_384, 2_837_314, 100_000_000), batch=128,
          squares=(4096, 8192), copied=2**30, seconds=0.2),
    Sizes(products=(), elements=(), parameters=(), images=((1, 16, 28), (16, 8, 14), (64, 64, 28), (16, 1, 28)),
          batch=1024),
)
# Launches in a graph, graphs and rounds.
NODES, GRAPHS, ROUNDS = 20, 5, 5


def roofline(work):
    sizes = (Sizes.quick(),) if work.quick else SIZES
    rates = measure_rates(work, sizes[0])
    work.note(rates, "rates")
    machine = Roofline(rates["matmul_flops"], rates["copy_bytes"])
    work.note(overheads(work), "overhead_us")
    measured = []
    for some in sizes:
        for kernel in kernels(work.be, some):
            if work.left() < 0:
                work.leave_out(f"{kernel.name} {kernel.shape}", "no time was left")
                continue
            measured.append(timing(work, kernel, machine))
            work.note(measured, "timings")


def timing(work, kernel, machine):
    """A kernel's microseconds, launched by Python and in a graph, with its least work and its share of the roofline."""
    eager = by_launches(work.be, kernel.run)
    row = {"name": kernel.name, "shape": kernel.shape, "us": 1e6 * eager, "graph_us": None, "flops": kernel.flops,
           "bytes": kernel.least_bytes()}
    seconds = eager
    if work.is_gpu:
        try:
            seconds = in_a_graph(work.be, kernel.run)
            row["graph_us"] = 1e6 * seconds
        except Exception as why:  # it can't be captured
            row["no_graph"] = f"{type(why).__name__}: {str(why).splitlines()[0] if str(why) else ''}"
    row["share"] = machine.share(row["flops"], row["bytes"], min(eager, seconds))
    return row


def measure_rates(work, sizes):
    """Bytes a second of a copy, and operations a second of float32 products: the fastest of both ways to compute them.

    And with TF32, by miniae where it can and else by PyTorch.
    """
    be = work.be
    here = measure_roofline(be, sizes)
    n = sizes.squares[-1]
    a = be.asarray(np.ones((n, n), "float32"))
    out = be.zeros((n, n), "float32")
    library = 2 * n**3 / min(durations(be, lambda: be.xp.matmul(a, a, out=out), sizes.seconds))
    rates = {"copy_bytes": here.bytes, "matmul_flops": max(here.flops, library), "backend_flops": here.flops,
             "library_flops": library, "tf32_flops": None, "tf32_by": None}
    if set_tf32(be, True):
        try:
            rates |= {"tf32_flops": measure_roofline(be, dataclasses.replace(sizes, copied=1 << 20)).flops,
                      "tf32_by": "miniae"}
        finally:
            set_tf32(be, False)
    elif work.is_gpu and torch is not None and torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            b = torch.ones((n, n), device="cuda")
            torch.mm(b, b)
            times = [_waited(lambda: torch.mm(b, b), torch.cuda.synchronize) for _ in range(5)]
        finally:
            torch.backends.cuda.matmul.allow_tf32 = False
        rates |= {"tf32_flops": 2 * n**3 / min(times), "tf32_by": "PyTorch"}
    return rates


def _waited(run, synchronize):
    synchronize()
    began = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - began


# -------------------------------------------------------------------- time on the device

def between_events(be, run):
    """Seconds between the device's events before and after what `run()` launches; by the clock without events."""
    if not hasattr(be.xp, "cuda"):
        return _waited(run, be.synchronize)
    began, ended = be.xp.cuda.Event(), be.xp.cuda.Event()
    began.record()
    run()
    ended.record()
    ended.synchronize()
    return 1e-3 * be.xp.cuda.get_elapsed_time(began, ended)


def by_launches(be, run):
    """Seconds of a call among many, on buffers of an arena: the median."""
    with be.arena() as arena, be.silent():
        def launches():
            for _ in range(NODES):
                arena.rewind()
                run()

        launches()  # compiles, and makes the buffers
        return statistics.median(between_events(be, launches) for _ in range(ROUNDS)) / NODES


def in_a_graph(be, run):
    """Seconds of a call among many in a CUDA graph: the median. Raises what capturing it raises."""
    with be.arena() as arena, be.silent():
        def calls():
            for _ in range(NODES):
                arena.rewind()
                run()

        calls()
        launch = be.graph(calls)

        def launches():
            for _ in range(GRAPHS):
                launch()

        launches()
        return statistics.median(between_events(be, launches) for _ in range(ROUNDS)) / (GRAPHS * NODES)


# -------------------------------------------------------------------- time of Python

def overheads(work):
    """Microseconds of Python, not of the device, that launching something small takes: medians."""
    be, xp = work.be, work.be.xp
    small = be.zeros((16, 16), "float32")
    out = be.zeros((16, 16), "float32")
    calls = {"ufunc": lambda: xp.add(small, small, out=out), "kernel": lambda: be.sigmoid(small, out=out),
             "matmul of the array library": lambda: xp.matmul(small, small, out=out),
             "matmul of the backend": lambda: be.matmul(small, small, out=out)}
    found = {name: python_time(be, call) for name, call in calls.items()}
    if work.is_gpu:
        for nodes in (1, 50):
            launch = be.graph(lambda nodes=nodes: [be.sigmoid(small, out=out) for _ in range(nodes)])
            found[f"graph of {nodes}"] = python_time(be, launch)
    return found


def python_time(be, call, calls=100, rounds=9):
    """Microseconds until a call returns, without waiting for the device."""
    times = []
    for _ in range(rounds + 1):
        be.synchronize()
        began = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - began) / calls)
    be.synchronize()
    return 1e6 * statistics.median(times[1:])
