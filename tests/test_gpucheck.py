"""The check of a GPU: that it says so where there is none, and that its checks pass where they must and can fail."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from miniae import gpucheck
from miniae.backend import BackendUnavailable, get, kernels
from miniae.backend.base import CaptureError
from miniae.gpucheck.check import ran, shortcomings, storable
from miniae.gpucheck.kernels import cases, error
from miniae.gpucheck.models import images
from miniae.training.replay import RepeatedStep


@pytest.fixture(params=["strict", "cuda_on_cpu"])
def device(request):
    """What stands in for a GPU."""
    return request.getfixturevalue("cuda_on_cpu") if request.param == "cuda_on_cpu" else get(request.param)


def test_without_a_gpu_it_says_so(capsys, tmp_path):
    try:
        get("cupy")
    except BackendUnavailable:
        assert gpucheck.main(["--out", str(tmp_path / "g.json")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("miniae: backend cupy") and error.count("\n") == 1
        assert not (tmp_path / "g.json").exists()
    else:
        assert gpucheck.main(["--out", str(tmp_path / "g.json")]) == 0
        assert json.loads((tmp_path / "g.json").read_text())["results"]["good"]


def test_kernels_agree_and_every_one_has_run(device):
    worst = gpucheck.check_kernels(device, get("numpy"), largest=120_000 if device.name == "strict" else 8000)
    assert not shortcomings({"kernels": worst})
    assert set(worst) == {case.name for case in cases()} and worst["uniform"] == worst["gather"] == 0.0
    if device.name == "cupy":
        assert set(ran(device)) == set(kernels.hashes()), "these kernels have no case in gpucheck/kernels.py"


@pytest.mark.parametrize("name", gpucheck.MODELS)
def test_models_agree(device, name):
    cpu = get("numpy")
    results = {"gradients": {name: gpucheck.check_gradients(name, device, cpu, 4)},
               "curves": {name: gpucheck.check_curve(name, device, cpu, 4, 8)}}
    assert not shortcomings(results)
    curve = results["curves"][name]
    assert curve["last"][1] != curve["first"][1] and np.isfinite(curve["last"]).all()


@pytest.mark.parametrize("name", ["dense", "variational", "rbm"])
def test_replayed_steps_leave_the_same_bits(device, name):
    found = gpucheck.check_replay(name, device, 2, 17, 4)
    assert found["same_bits"] and found["steps"] == 36 and bool(found["replayed"]) != bool(found["not_replayed"])
    assert found["replayed"] > 20 and found["graphed"] == found["replayed"]
    assert not shortcomings({"replay": {name: found}})


@pytest.mark.parametrize("kernel, right, wrong, noticed", [
    ("sigmoid_grad", "(T(1) - y[i])", "(T(1) - y[i] * y[i])", {"sigmoid_grad"}),
    ("softplus", "log1p(exp(-fabs(x[i])))", "log(exp(-fabs(x[i])))", {"softplus"}),
    ("philox_uniform", "< n; ++k", "< n - 1; ++k", {"bernoulli", "mask", "normal", "uniform"}),
    ("adam", "T vi = b2 * v[i]", "T vi = b1 * v[i]", {"adam"}),
])
def test_a_mistake_in_a_kernel_is_reported(tmp_path, monkeypatch, cuda_on_cpu, kernel, right, wrong, noticed):
    original = kernels.source
    assert sum(right in original(file) for file in kernels.FILES) == 1
    monkeypatch.setattr(kernels, "source", lambda file: original(file).replace(right, wrong))
    mistaken = type(cuda_on_cpu)(type(cuda_on_cpu.xp)(tmp_path))
    worst = gpucheck.check_kernels(mistaken, get("numpy"), largest=1000)
    assert {line.split(":")[0] for line in shortcomings({"kernels": worst})} == noticed


def test_a_mistake_in_a_model_is_reported(monkeypatch, cuda_on_cpu):
    cls, cpu = type(cuda_on_cpu), get("numpy")
    original = cls.squared_error
    monkeypatch.setattr(cls, "squared_error", lambda self, y, t: tuple(a * 1.001 for a in original(self, y, t)))
    results = {"gradients": {"denoising": gpucheck.check_gradients("denoising", cuda_on_cpu, cpu, 4)},
               "curves": {"denoising": gpucheck.check_curve("denoising", cuda_on_cpu, cpu, 3, 4)}}
    gradients, curves = shortcomings(results)
    assert "off NumPy's gradients" in gradients and "losses differ" in curves
    assert results["gradients"]["denoising"] == pytest.approx(1e-3, rel=1e-2)


def test_replayed_steps_with_other_bits_are_reported(monkeypatch):
    """A replay that does nothing leaves the weights as they were."""
    monkeypatch.setattr(RepeatedStep, "_replay", lambda self: None)
    found = gpucheck.check_replay("dense", get("numpy"), 1, 17, 4)
    assert not found["same_bits"]
    assert shortcomings({"replay": {"dense": found}}) == ["dense: replayed steps leave other bits"]


@pytest.mark.filterwarnings("ignore::miniae.training.replay.GraphFallback")
def test_replays_that_are_not_of_a_graph_are_reported(monkeypatch, cuda_on_cpu):
    def refused(self, run):
        raise CaptureError("refused")

    monkeypatch.setattr(type(cuda_on_cpu), "graph", refused)
    found = gpucheck.check_replay("dense", cuda_on_cpu, 1, 17, 4)
    assert found["same_bits"]
    assert shortcomings({"replay": {"dense": found}}) == [f"dense: 0 of {found['replayed']} replays were of a graph"]
    assert not shortcomings({"replay": {"dense": gpucheck.check_replay("dense", get("numpy"), 1, 17, 4)}})


def test_training_without_replays_shows_nothing_of_them():
    found = gpucheck.check_replay("dense", get("numpy"), 1, 2, 4)
    assert found["same_bits"] and not found["replayed"]
    (line,) = shortcomings({"replay": {"dense": found}})
    assert line.startswith("dense: no step was replayed: an epoch has fewer than")


def test_what_json_has_no_number_for_is_written_as_text():
    assert storable({"a": [np.inf, 1.0], "b": {"c": float("nan"), "d": None}, "e": (2, "x")}) == {
        "a": ["inf", 1.0], "b": {"c": "nan", "d": None}, "e": [2, "x"]}


def test_errors():
    assert error([1.0, 2.0], [1.0, 4.0]) == 0.5
    assert error([1.0, np.nan], [1.0, 2.0]) == error([1.0], [1.0, 2.0]) == np.inf
    assert error(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0
    assert shortcomings({"gradients": {"dense": np.nan}})


def test_images_are_samples_of_a_unit_interval():
    X = images(20)
    assert X.shape == (20, 784) and X.dtype == "float32" and X.min() >= 0.0 and 0.2 < X.max() <= 1.0
    np.testing.assert_array_equal(X, images(20))


def test_the_command_is_a_package_that_runs():
    assert (Path(gpucheck.__file__).parent / "__main__.py").exists()
