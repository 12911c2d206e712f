"""The README's tables of what ran on a GPU: from made-up results, and without any."""

from __future__ import annotations

import json

import gpu_check
import gpu_speed
import gpu_tables
import pytest


def part(**results):
    return {"ended": "complete", "date": "2030-01-01", "seconds": 1.0, "wrong": [], **results}


TIMES = {"miniae": 0.1, "eager": 0.6, "reduce-overhead": 0.14, "captured": 0.12, "miniae on NumPy": 2.0}
SPEED = {"model": "784-32-784", "batch": 128, "ms": {
    who: {"median": ms, "quartiles": [0.9 * ms, 1.1 * ms]} for who, ms in TIMES.items()}}
RESULTS = {
    "kernels": part(kernels={"sigmoid": 0.02, "matmul": 0.5, "adam": 0.1}),
    "gradients": part(gradients={"dense": 3e-16, "rbm": 2e-14}, differences={"add": 1e-12}),
    "curves": part(curves={"dense": {"steps": 100, "largest_difference": 3e-6}}),
    "replay": part(replay={"dense": {"same_bits": True, "replayed": 50, "steps": 63, "graphed": 50},
                           "rbm": {"same_bits": False, "replayed": 40, "steps": 63, "graphed": 0}}),
    "suite": part(suite={"files": 70, "finished": 70, "passed": 3000, "failed": 0, "skipped": 5}),
    "hinton2006": part(hinton2006={"epochs": 50, "deep": 2.6, "whole_seconds": 100.0, "on_cpu": {
        "deep": 2.59, "pretraining_seconds": 600.0, "fine_tuning_seconds": 1200.0}, "target": {"seconds": 180}}),
    "speed": part(cases={"784-32-784, batch 128": {**SPEED, **gpu_speed.judged(SPEED["ms"])}}),
    "roofline": part(rates={"copy_bytes": 4e12, "matmul_flops": 5e13, "tf32_flops": 4e14, "tf32_by": "PyTorch"},
                     overhead_us={"ufunc": 6.5, "graph of 1": 5.25},
                     timings=[{"name": "adam", "shape": "222384", "us": 8.0, "graph_us": 2.0, "flops": 2e6,
                               "bytes": 6e6, "share": 0.75},
                              {"name": "gather", "shape": "128x784", "us": 4.0, "graph_us": None, "flops": 0,
                               "bytes": 8e5, "share": 0.05}]),
}
MACHINE = {"cores": 16, "cpu": "Some CPU", "gpu": "Some GPU", "versions": {"numpy": "2.4"}, "driver": 13000,
           "cuda": 12090}


@pytest.fixture
def made(tmp_path):
    """The tables of these results."""
    def make(results):
        path = tmp_path / "gpu_check.json"
        path.write_text(json.dumps({"command": "python benchmarks/gpu_check.py", "date": "2030-01-01",
                                    "machine": MACHINE, "kernel_sha256": {}, "results": results}))
        return gpu_tables.gpu_check(path)
    return make


def test_without_results_it_says_so(tmp_path):
    assert gpu_tables.gpu_check(tmp_path / "none.json").startswith("No run on a GPU has been made yet.")
    assert gpu_tables.RESULTS == gpu_check.RESULTS


def test_all_tables(made):
    text = made(RESULTS)
    for line in (
            "| 3 kernels: worst error | 5.0e-01 of the tolerance | at most 1 |",
            "| float64 gradients of whole models, from NumPy's | 2.0e-14 | at most 1e-10 |",
            "| float32 losses of 100 steps, from NumPy's: dense | 3.0e-06 | at most 1e-4 |",
            "| replayed steps leave the same bits: dense | yes, 50 of 63 steps as a graph | yes |",
            "| replayed steps leave the same bits: rbm | NO, 0 of 63 steps as a graph | yes |",
            "| the tests | 3000 passed, 0 failed, 5 skipped; 70 of 70 files | none failed |",
            "| hinton2006, 50 epochs a layer: squared error per test image | 2.60, 100 s | on a CPU 2.59, 30 min; less "
            "than 180 s |",
            "| a training step | miniae | steps a second | eager | reduce-overhead | captured | miniae on NumPy | "
            "bound by | targets |",
            "| 784-32-784, batch 128 | 0.1 ms (0.09 to 0.11) | 10000 | 6.00 | 1.40 | 1.20 | 20.00 | launches | eager "
            "4: met; reduce-overhead 1.5: short; captured 1: met |",
            "| adam | 222384 | 8.0 | 2.0 | 3000 | 1000 | 75 % |",
            "| gather | 128x784 | 4.0 |  | 200 |  | 5 % |"):
        assert line in text.splitlines(), line
    assert "A large copy moves 4000 GB/s, large matrix products make 50.0 TFLOP/s, 400.0 with TF32 (by PyTorch)" in text
    assert "2030-01-01, 16 cores of Some CPU, Some GPU; numpy 2.4; driver of CUDA 13.0, CUDA 12.9." in text


@pytest.mark.parametrize("name", RESULTS)
def test_parts_that_have_not_run_are_left_out(made, name):
    alone = made({name: RESULTS[name]})
    for line in alone.splitlines():
        assert line in made(RESULTS).splitlines()
    assert len(alone) < len(made(RESULTS)) and alone.count("\n") > 1
    without = made({other: results for other, results in RESULTS.items() if other != name})
    assert len(without) < len(made(RESULTS))


def test_what_failed_shows(made):
    text = made({"kernels": part(kernels={"sigmoid": 0.1, "conv": "inf"}), "speed": part(
        without_pytorch="PyTorch is not installed: miniae alone was measured"), "roofline": part(left_out={"a": "b"})})
    assert "| 2 kernels: worst error | inf of the tolerance | at most 1 |" in text
    assert "PyTorch is not installed" in text
