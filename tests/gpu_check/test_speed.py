"""The contestants of gpu_speed.py: that PyTorch's make the very steps of miniae's; who is left out; the targets."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import gpu_speed  # noqa: E402
import gpu_twins  # noqa: E402
from contest import BOLTZMANN, CONVOLUTIONAL  # noqa: E402

from miniae.backend import get  # noqa: E402
from miniae.gpucheck.models import images  # noqa: E402

SMALL, BATCH = "784-32-784", 6
X = images(gpu_speed.CHECKED * BATCH)


class PretendedCuda:
    """As much of `torch.cuda` as capturing takes: a graph that calls the twin's step when it is replayed."""

    def __init__(self, twin):
        self.twin, self.index = twin, None

    def Stream(self):
        return SimpleNamespace(wait_stream=lambda other: None)

    current_stream = Stream

    def stream(self, stream):
        return contextlib.nullcontext()

    def CUDAGraph(self):
        return SimpleNamespace(replay=lambda: self.result.copy_(self.step(self.index)))

    @contextlib.contextmanager
    def graph(self, graph):
        self.step = self.twin.step

        def noting(index):
            self.index, self.result = index, self.step(index).clone()
            return self.result

        self.twin.step = noting
        yield


def both(name, way=None, **settings):
    """The losses of the first steps of miniae and of its twin, in float64."""
    weights, losses, uniforms = gpu_speed.first_steps(get("numpy"), name, BATCH, X, "float64")
    twin = gpu_twins.twin(name, weights, torch.from_numpy(X.astype("float64")), **settings)
    step = twin.step
    if way == "captured":
        step = gpu_twins.captured(twin, weights, BATCH, PretendedCuda(twin))
    return losses, gpu_speed.twin_losses(name, twin, step, BATCH, uniforms)


@pytest.mark.parametrize("name", [SMALL, "784-128-64-32-64-128-784", CONVOLUTIONAL, BOLTZMANN])
@pytest.mark.parametrize("way", ["eager", "captured"])
def test_twins_make_the_steps_of_miniae(name, way):
    ours, theirs = both(name, way)
    np.testing.assert_allclose(theirs, ours, rtol=1e-9)
    assert abs(ours[0] - ours[-1]) > 1e-3 * ours[0]


def test_other_ways_make_the_same_steps():
    for settings in ({"fused": True}, {"layout": torch.channels_last}):
        ours, theirs = both(CONVOLUTIONAL, **settings)
        np.testing.assert_allclose(theirs, ours, rtol=1e-9)


def test_a_step_without_its_last_part_shows(monkeypatch):
    monkeypatch.setattr(gpu_twins.Machine, "MOMENTUM", 0.0)
    ours, theirs = both(BOLTZMANN)
    assert theirs[1] == pytest.approx(ours[1], rel=1e-9) and theirs[2] != pytest.approx(ours[2], rel=1e-5)


def test_a_case_is_measured(work, monkeypatch):
    monkeypatch.setattr(gpu_speed, "CASES", {"small": (SMALL, BATCH), "rbm": (BOLTZMANN, BATCH)})
    monkeypatch.setattr(gpu_speed, "WITH_TF32", ("small",))
    gpu_speed.speed(work)
    for case in ("small", "rbm"):
        found = work.results["cases"][case]
        assert found["ms"].keys() >= {"miniae", "eager", "miniae on NumPy"} and found["steps_a_turn"] == 4
        low, high = found["ms"]["miniae"]["quartiles"]
        assert 0 < low <= found["ms"]["miniae"]["median"] <= high and found["steady_ms"] > 0
        assert found["left_out"]["captured"] == "it needs a GPU"
        assert found["losses"]["miniae"] <= 1e-5 and found["losses"]["eager"] <= 1e-3
        assert found["ratios"]["eager"] == found["ms"]["eager"]["median"] / found["ms"]["miniae"]["median"]
    with_tf32 = work.results["cases"]["small, TF32"]
    assert with_tf32["left_out"].get("miniae") == (None if hasattr(work.be, "precision") else "it has no TF32")
    assert not torch.backends.cudnn.allow_tf32 and "without_pytorch" not in work.results


def test_who_does_something_else_is_left_out(work, monkeypatch):
    monkeypatch.setattr(gpu_twins.Network, "_loss", lambda self, x: ((self.module(x) - x) ** 2).mean())
    left_out, ends = {}, []
    found, losses, _ = gpu_speed.contestants(work, SMALL, BATCH, X, 1e18, left_out, False, ends)
    for end in ends:
        end()
    assert set(found) == {"miniae"} and losses["eager"] > 0.9
    assert left_out["eager"].startswith("its losses differ by") and "fused" in " ".join(left_out)


def test_a_yardstick_that_fails_is_left_out(work, monkeypatch):
    def broken(self, index):
        raise RuntimeError("no kernel image\nfor this device")

    monkeypatch.setattr(gpu_twins.Network, "step", broken)
    left_out, ends = {}, []
    found, _, _ = gpu_speed.contestants(work, SMALL, BATCH, X, 1e18, left_out, False, ends)
    for end in ends:
        end()
    assert set(found) == {"miniae"} and left_out["eager"] == "RuntimeError: no kernel image"


def test_a_training_takes_turns():
    from contest import trainer_of

    trainer, turns = trainer_of(SMALL, X, BATCH), 4
    paced = gpu_speed.Paced(trainer, np.tile(X, (6, 1)))
    for turn in range(turns):
        assert trainer.epoch == turn
        paced.epoch()
    assert trainer.epoch == turns and trainer.replays.replayed > 2 * 18  # its recording lasts
    paced.end()
    assert not paced._thread.is_alive() and paced.error is None
    trainer = trainer_of(SMALL, X, BATCH)
    trainer.model.loss_terms = None
    paced = gpu_speed.Paced(trainer, X)
    with pytest.raises(TypeError):
        paced.epoch()
    paced.end()


def test_without_pytorch_miniae_is_measured_alone(work, monkeypatch):
    monkeypatch.setattr(gpu_speed, "torch", None)
    monkeypatch.setattr(gpu_speed, "CASES", {"small": (SMALL, BATCH)})
    gpu_speed.speed(work)
    assert "not installed" in work.results["without_pytorch"]
    found = work.results["cases"]["small"]
    assert set(found["ms"]) == {"miniae", "miniae on NumPy"} and found["targets"] == {}


def test_targets():
    def case(eager, overhead, captured, mine=1.0):
        times = {"miniae": mine, "eager": eager, "reduce-overhead": overhead, "captured": captured}
        return gpu_speed.judged({who: {"median": t} for who, t in times.items()})

    launches = case(5.0, 1.2, 1.1)
    assert launches["bound_by"] == "launches"
    assert {who: t["met"] for who, t in launches["targets"].items()} == {
        "eager": True, "reduce-overhead": False, "captured": True}
    assert launches["targets"]["reduce-overhead"] == {"wanted": 1.5, "measured": 1.2, "met": False}
    arithmetic = case(1.0, 0.95, 0.9, mine=1.2)
    assert arithmetic["bound_by"] == "arithmetic"
    assert arithmetic["targets"] == {"fastest PyTorch": {"wanted": 0.8, "measured": pytest.approx(0.75), "met": False}}
    assert case(1.0, 0.95, 0.9, mine=1.1)["targets"]["fastest PyTorch"]["met"]
    assert gpu_speed.judged({"miniae": {"median": 1.0}}) == {"ratios": {"miniae": 1.0}, "bound_by": None, "targets": {}}
    assert gpu_speed.judged({"eager": {"median": 1.0}})["targets"] == {}


def test_memory_is_given_back(work, cuda_on_cpu, monkeypatch):
    freed = []
    monkeypatch.setattr(cuda_on_cpu.xp, "get_default_memory_pool",
                        lambda: SimpleNamespace(free_all_blocks=lambda: freed.append(1)), raising=False)
    gpu_speed.let_go(work)
    assert not freed
    work.be = cuda_on_cpu
    gpu_speed.let_go(work)
    assert freed


def test_a_compiled_twin_is_compiled_anew(monkeypatch):
    """PyTorch has a limit of compiled variants of one function."""
    calls = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: calls.append("reset"))
    monkeypatch.setattr(torch, "compile", lambda function, mode: calls.append(mode) or function)
    weights, _, _ = gpu_speed.first_steps(get("numpy"), SMALL, BATCH, X)
    for way in ("eager", "reduce-overhead"):
        twin, step = gpu_twins.step_of(SMALL, way, weights, torch.from_numpy(X), BATCH)
        assert np.isfinite(float(step(torch.arange(BATCH))))
    assert calls == ["reset", "reduce-overhead"]


def test_the_models_of_the_comparison():
    assert set(gpu_speed.WITH_TF32) <= set(gpu_speed.CASES) and len(gpu_speed.CASES) == 8
    assert all(gpu_speed.steps_of(batch) > 16 for _, batch in gpu_speed.CASES.values())
    assert gpu_twins.settings_of(BOLTZMANN, "eager, fused Adam") is None
    assert gpu_twins.settings_of(SMALL, "captured, channels last") is None
    assert gpu_twins.settings_of(CONVOLUTIONAL, "captured, channels last")[1]
