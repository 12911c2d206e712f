"""The benchmark: what it counts as work, and that it measures everything; never how long it took."""

from __future__ import annotations

import json

import numpy as np
import pytest

from miniae.models import Autoencoder
from miniae.tasks import Sizes, bench, machine
from miniae.tasks.bench import HEADER, Roofline, Timing, durations, least_step, step_seconds
from miniae.tasks.kernels import kernels

TINY = Sizes(products=((4, 6, 5),), elements=((3, 7),), images=((2, 3, 6),), parameters=(11,), batch=2, squares=(8, 16),
             copied=4096, batches=(2,), seconds=0.0)


def by_name(be):
    return {kernel.name: kernel for kernel in kernels(be, TINY)}


def test_the_least_work_of_kernels(backend):
    """Counted by hand, in operations and in numbers of four bytes."""
    found = by_name(backend)
    work = {name: (kernel.flops, kernel.least_bytes() / 4) for name, kernel in found.items()}
    assert work["matmul"] == (2 * 4 * 6 * 5, 4 * 6 + 6 * 5 + 4 * 5)
    assert work["affine"] == (2 * 4 * 6 * 5 + 4 * 5, 4 * 6 + 6 * 5 + 5 + 4 * 5)
    assert work["matmul, second transposed"] == work["matmul, first transposed"] == work["matmul"]
    assert work["relu"] == (21, 42) and work["tanh_grad"] == (63, 63)
    assert work["squared_error and gradient"] == (4 * 21, 3 * 21 + 1)
    assert work["gather"] == (0, 2 * 21 + 2 * 3)  # indices of eight bytes
    assert work["philox_uniform"] == (0, 21)
    assert work["adam"] == (10 * 11, 7 * 11)
    # of 9 x 36 meetings of window and pixel, those with the padding are left out: 6 or 5 of 6 each way
    met = (6 + 5 + 5) ** 2
    weights, x, y = 2 * 3 * 9, 2 * 2 * 36, 2 * 3 * 36
    for kernel, numbers in (("conv", x + weights + y), ("conv_input_grad", y + weights + x),
                            ("conv_weight_grad", x + y + weights)):
        assert work[kernel] == (2 * 2 * 2 * 3 * met, numbers), kernel
    assert work["max_pool"] == (3 * 2 * 2 * 9, 2 * 2 * 36 + 2 * 2 * 9 * 1.25)  # and which it was, a byte each
    assert work["spread_windows (upsampling)"] == (0, 2 * 2 * (9 + 36))


def test_the_kernels_compute_what_they_say(backend):
    found = by_name(backend)
    x, w = (backend.to_host(a) for a in found["matmul"].read)
    np.testing.assert_allclose(backend.to_host(found["matmul"].run()), x @ w, rtol=1e-4, atol=1e-6)
    rows, index = (backend.to_host(a) for a in found["gather"].read)
    np.testing.assert_array_equal(backend.to_host(found["gather"].run()), rows[index])
    uniform = backend.to_host(found["philox_uniform"].run())
    assert uniform.min() >= 0 and uniform.max() < 1 and len(np.unique(uniform)) > 10
    before = backend.to_host(found["adam"].read[0])
    assert not np.array_equal(before, backend.to_host(found["adam"].run()[0]))


def test_the_roofline():
    roofline = Roofline(flops=100e9, bytes=10e9)
    assert roofline.share(1e9, 1e6, 0.02) == pytest.approx(0.5)  # 10 ms of arithmetic
    assert roofline.share(1e6, 1e9, 0.2) == pytest.approx(0.5)  # 100 ms of memory
    row = str(Timing("relu", "3x7", 0.5, 2e6, 4e6, 0.25))
    assert row.split() == ["relu", "3x7", "0.500", "4.0", "8.0", "25", "%"] and len(row) == len(HEADER)


def test_the_least_work_of_a_step():
    """784-8-4-8-784 by hand: each weight in three products, but for the first layer's input."""
    model = Autoencoder([8], 4, epochs=1, batch_size=16).fit(np.zeros((4, 784)))
    weights = 2 * (784 * 8 + 8 * 4)
    flops, least_bytes = least_step(model.network_, 16)
    assert flops == 2 * 16 * (3 * weights - 784 * 8)
    assert least_bytes == 4 * (16 * 784 + 6 * (weights + 8 + 4 + 8 + 784))


def test_buffers_are_those_of_the_call_before(backend):
    """After the first two calls nothing is allocated."""
    made = []

    def run():
        made.append(backend._thread.arena.allocations)
        return backend.tanh(x)

    x = backend.asarray(np.ones((2, 2)), "float32")
    times = durations(backend, run, seconds=0.0, least=3)
    assert len(times) == 3 and min(times) > 0
    assert made[0] == 0 and set(made[1:]) == {1}


def test_a_step_is_timed_over_the_last_of_an_epoch():
    model = Autoencoder([4], 2, batch_size=3)
    assert step_seconds(model, 0.0, steps=2, warmup=1, least=4) > 0
    assert len(model.history_) == 4


def test_all_is_measured_and_json_can_hold_it(backend):
    lines = []
    result = bench(backend, TINY, lines.append)
    assert json.loads(json.dumps(result)) == result
    assert [row["name"] for row in result["kernels"]] == list(by_name(backend))
    assert [row["shape"] for row in result["steps"]] == ["batch 2"] * 4
    rows = result["kernels"] + result["steps"]
    assert len(lines) == 2 + len(rows) and backend.name in lines[0] and lines[1] == HEADER
    roofline = Roofline(**result["roofline"])
    for row in rows:
        assert row["milliseconds"] > 0 and row["bytes"] > 0
        assert row["share"] == pytest.approx(roofline.share(row["flops"], row["bytes"], row["milliseconds"] / 1e3))


def test_the_machine():
    described = machine(("numpy", "no-such-package"))
    assert described["cores"] >= 1 and described["cpu"]
    assert described["versions"].keys() == {"python", "numpy"} and described["versions"]["numpy"] == np.__version__


def test_quick_is_less_of_the_same():
    quick, full = Sizes.quick(), Sizes()
    for name in ("products", "elements", "images", "parameters", "squares", "batches"):
        assert set(getattr(quick, name)) <= set(getattr(full, name)) and getattr(quick, name)
    assert quick.seconds < full.seconds
    assert set(full.batches) == {32, 128, 1024}
