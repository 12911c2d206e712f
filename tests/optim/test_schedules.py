"""Schedules against their closed forms and PyTorch's schedulers."""

from __future__ import annotations

import math

import pytest

from miniae.optim.schedules import Plateau, constant, cosine, step_decay, warm_up


def test_closed_forms():
    assert [constant()(e) for e in range(3)] == [1.0, 1.0, 1.0]
    assert [step_decay(2, 0.5)(e) for e in range(6)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    half = cosine(10, floor=0.2)
    assert half(0) == 1.0
    assert half(5) == pytest.approx(0.6)
    assert half(10) == half(50) == pytest.approx(0.2)
    assert half(2) == pytest.approx(0.2 + 0.8 * math.cos(math.pi / 10) ** 2)
    assert [warm_up(3)(e) for e in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_warm_up_goes_before_another_schedule():
    both = warm_up(4, then=cosine(6))
    assert [both(e) for e in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert [both(4 + e) for e in range(8)] == [cosine(6)(e) for e in range(8)]
    assert warm_up(0, then=step_decay(1))(0) == 1.0


def torch_factors(make, epochs):
    torch = pytest.importorskip("torch", reason="compares with PyTorch's schedulers")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    factors = []
    for _ in range(epochs):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


@pytest.mark.parametrize("ours, theirs", [
    (step_decay(3, 0.3), lambda s, o: s.StepLR(o, 3, 0.3)),
    (cosine(12, 0.1), lambda s, o: s.CosineAnnealingLR(o, 12, 0.1)),
    (warm_up(4), lambda s, o: s.LinearLR(o, start_factor=0.2, total_iters=4)),
    (warm_up(4, cosine(8)), lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, start_factor=0.2, total_iters=4), s.CosineAnnealingLR(o, 8)], milestones=[4])),
], ids=["step", "cosine", "warm-up", "warm-up and cosine"])
def test_like_pytorch(ours, theirs):
    assert [ours(e) for e in range(12)] == pytest.approx(torch_factors(theirs, 12))


def test_plateau_like_pytorch():
    torch = pytest.importorskip("torch", reason="compares with PyTorch's ReduceLROnPlateau")
    metrics = [5.0, 4.0, 4.0, 3.9999, 4.1, 4.2, 3.0, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6, 3.7, 2.0, 2.5, 2.5, 2.5]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=1e-4, min_lr=.2)
    plateau = Plateau(factor=0.5, patience=2, threshold=1e-4, floor=0.2)
    for epoch, metric in enumerate(metrics):
        scheduler.step(metric)
        assert plateau.observe(metric) == plateau(epoch) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert plateau.value == 0.2


def test_plateau_takes_metrics_below_zero_and_nan():
    plateau = Plateau(factor=0.1, patience=0)
    assert [plateau.observe(m) for m in (-1.0, -2.0, -3.0)] == [1.0, 1.0, 1.0]
    assert plateau.observe(math.nan) == pytest.approx(0.1)


@pytest.mark.parametrize("make", [lambda: step_decay(0), lambda: cosine(0), lambda: warm_up(-1),
                                  lambda: Plateau(factor=1.0), lambda: Plateau(patience=-1)])
def test_refuses_what_makes_no_sense(make):
    with pytest.raises(ValueError):
        make()
