"""Where the time of a step goes: every part is there, and the parts add up."""

from __future__ import annotations

import time

import pytest

from miniae.autodiff.mode import mode
from miniae.tasks import Profile, RunConfig, profile
from miniae.tasks.profile import Part


def small(**settings):
    return RunConfig(layers=(8, 4), pretrain="none", batch_size=16, **{"backend": "numpy", **settings})


def test_every_function_and_stage_is_there_and_adds_up(backend):
    began = time.perf_counter()
    profiled = profile(small(backend=backend.name, activation="leaky_relu"), steps=4, warmup=2)
    elapsed = 1e3 * (time.perf_counter() - began)
    parts = {(part.name, part.inputs): part for part in profiled.parts}
    dense = parts["DenseFunction", "16x784, 784x8, 8"]
    assert dense.calls == 1 and set(dense.milliseconds) == {"forward", "backward"}
    assert parts["LeakyReLU", "16x8"].calls == 2
    assert ("BinaryCrossEntropyWithLogits", "16x784, 16x784") in parts
    for stage in ("optimizer", "data feeding", "the rest"):
        assert set(parts[stage, ""].milliseconds) == {""} and parts[stage, ""].calls == 0
    assert all(t > 0 for part in profiled.parts for t in part.milliseconds.values())
    assert profiled.milliseconds == pytest.approx(sum(part.total for part in profiled.parts))
    assert 4 * profiled.milliseconds / 2 < elapsed  # the middle half of the steps took no longer than all did
    totals = [part.total for part in profiled.parts]
    assert totals == sorted(totals, reverse=True)
    assert mode.observer is None and profiled.backend == backend.name


@pytest.mark.parametrize("settings", [
    {"model": "contractive"}, {"model": "variational"}, {"model": "conditional"}, {"model": "convolutional"},
    {"model": "adversarial"}, {"optimizer": "lbfgs"}, {"pretrain": "rbm", "activation": "sigmoid"},
    {"settings": {"patience": 1}}], ids=str)
def test_all_kinds_of_training(settings):
    profiled = profile(small(**settings) if "pretrain" not in settings else
                       RunConfig(layers=(8, 4), backend="numpy", **settings), steps=2, warmup=1)
    names = {part.name for part in profiled.parts}
    assert {"DenseFunction", "optimizer", "data feeding", "the rest"} <= names


def test_the_same_steps_are_replayed_where_that_can_be(monkeypatch):
    assert profile(small(), steps=4, warmup=2).replayed is None  # too few
    assert profile(small(optimizer="lbfgs"), steps=14, warmup=2).replayed is None
    profiled = profile(small(), steps=14, warmup=2)
    assert 0 < profiled.replayed < 10 * profiled.milliseconds
    assert len([part for part in profiled.parts if part.name == "DenseFunction"]) == 4  # each of them observed


def test_more_steps_than_there_are_samples(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "0.1,0.2\n0.4,0.3\n0.5,0.9\n" * 4)
    profiled = profile(RunConfig(data=str(tmp_path / "t.csv"), layers=(2, 1), pretrain="none", batch_size=64,
                                 backend="numpy"), steps=3, warmup=1)
    assert ("DenseFunction", "64x2, 2x2, 2") in {(part.name, part.inputs) for part in profiled.parts}


def test_the_middle_half_of_the_steps_counts():
    from collections import Counter

    from miniae.tasks.profile import Profiler

    profiler = Profiler()
    key = ("Tanh", ((2, 3),), "forward")
    profiler.steps = [Counter({key: s}) for s in (1e-3, 9.0, 2e-3, 1e-6)]
    profiler._calls[key] = 8
    assert profiler.parts() == [Part("Tanh", ((2, 3),), 2.0, {"forward": pytest.approx(1.5)})]


def test_the_table():
    table = Profile("", "numpy", [Part("Tanh", ((2, 3), ()), 2.0, {"forward": 1.0, "backward": 2.0}),
                                  Part("optimizer", (), 0.0, {"": 1.0})]).table().splitlines()
    assert table[1].split() == ["Tanh", "2x3,", "1", "2", "1.000", "2.000", "3.000", "75.0", "%"]
    assert table[2].split() == ["optimizer", "1.000", "25.0", "%"]
    assert table[3].split() == ["a", "step", "4.000", "100.0", "%"]
