"""gpu_roofline.py, with the kernels on the CPU and a clock that each launch puts forward by a known time."""

from __future__ import annotations

import json

import gpu_roofline
import pytest
from gpu_work import Work

from miniae.tasks import Sizes
from miniae.tasks.bench import Roofline
from miniae.tasks.kernels import Kernel


class Clock:
    """The device's time in milliseconds."""

    now = 0.0


class Event:
    def __init__(self, clock):
        self.clock, self.at = clock, None

    def record(self):
        self.at = self.clock.now

    def synchronize(self):
        assert self.at is not None


@pytest.fixture
def gpu(cuda_on_cpu, monkeypatch):
    """The pretended GPU, on which a kernel takes 4 microseconds when Python launches it and 1 in a graph."""
    clock, cuda, cupy = Clock(), cuda_on_cpu.xp.cuda, cuda_on_cpu.xp
    monkeypatch.setattr(cuda, "Event", lambda: Event(clock), raising=False)
    monkeypatch.setattr(cuda, "get_elapsed_time", lambda began, ended: ended.at - began.at, raising=False)
    enqueue, replaying = cupy.enqueue, []

    def timed(call):
        def run():
            clock.now += 1e-3 if replaying else 4e-3
            call()
        enqueue(run)

    monkeypatch.setattr(cupy, "enqueue", timed)
    product = cuda_on_cpu.cublas.product

    def timed_product(*args, **kwargs):
        clock.now += 4e-3 if cupy.captured is None else 0.0  # in a graph it is enqueued
        product(*args, **kwargs)

    monkeypatch.setattr(cuda_on_cpu.cublas, "product", timed_product)
    end_capture = type(cupy.streams[0]).end_capture

    def ended(stream):
        graph = end_capture(stream)
        launch = graph.launch

        def replay(stream=None):
            replaying.append(True)
            launch(stream)
            replaying.pop()

        graph.launch = replay
        return graph

    monkeypatch.setattr(type(cupy.streams[0]), "end_capture", ended)
    return cuda_on_cpu


def kernel_of(be, run=None):
    x = be.zeros((100, 10), "float32")
    return Kernel("sigmoid", "100x10", run or (lambda: be.sigmoid(x)), (x,), 3 * x.size)


def test_launches_are_measured_by_events(gpu, tmp_path):
    assert gpu_roofline.by_launches(gpu, kernel_of(gpu).run) == pytest.approx(4e-6)
    assert gpu_roofline.in_a_graph(gpu, kernel_of(gpu).run) == pytest.approx(1e-6)
    work = Work(gpu, gpu, True, 60, tmp_path / "part.json")
    row = gpu_roofline.timing(work, kernel_of(gpu), Roofline(1e12, 1e10))
    assert row["us"] == pytest.approx(4) and row["graph_us"] == pytest.approx(1)
    assert row["bytes"] == 8000 and row["flops"] == 3000
    assert row["share"] == pytest.approx(0.8)  # 8000 bytes at 10 GB/s take 0.8 microseconds


def test_what_can_not_be_captured_is_measured_without_a_graph(gpu, tmp_path):
    x = gpu.zeros((2, 2), "float32")

    def waits():
        gpu.sigmoid(x)
        if gpu.xp.captured is not None:
            raise NotImplementedError("calling cuBLAS API during stream capture is unsupported\nyet")
        return x

    work = Work(gpu, gpu, True, 60, tmp_path / "part.json")
    row = gpu_roofline.timing(work, kernel_of(gpu, waits), Roofline(1e12, 1e10))
    assert row["graph_us"] is None and row["us"] == pytest.approx(4)
    assert row["no_graph"] == "CaptureError: calling cuBLAS API during stream capture is unsupported"
    assert gpu.xp.captured is None and len(gpu.xp.streams) == 1
    assert gpu_roofline.in_a_graph(gpu, kernel_of(gpu).run) == pytest.approx(1e-6)


@pytest.mark.parametrize("device", ["strict", "gpu"])
def test_the_part(device, request, work, monkeypatch):
    if device == "gpu":
        work.be = request.getfixturevalue("gpu")
    sizes = Sizes(products=((4, 5, 6),), elements=((3, 4),), images=((2, 3, 6),), parameters=(70,), batch=2,
                  squares=(16,), copied=2**12, seconds=0.001)
    monkeypatch.setattr(Sizes, "quick", classmethod(lambda cls: sizes))
    gpu_roofline.roofline(work)
    rows = work.results["timings"]
    assert {row["name"] for row in rows} >= {"matmul", "matmul, first transposed", "sigmoid", "gather", "philox_normal",
                                             "adam", "bce_logits and gradient", "conv_weight_grad", "max_pool"}
    assert all(row["us"] > 0 and row["share"] > 0 for row in rows)
    assert all((row["graph_us"] is not None) == (device == "gpu") for row in rows)
    assert work.results["rates"]["matmul_flops"] > 0 and work.results["rates"]["copy_bytes"] > 0
    assert ("graph of 50" in work.results["overhead_us"]) == (device == "gpu")
    assert json.loads(work.to.read_text())["results"]["timings"] == rows


def test_kernels_that_no_time_is_left_for_are_noted(work):
    work._end = 0.0
    gpu_roofline.roofline(work)
    assert "timings" not in work.results and "adam 219000" in work.results["left_out"]
