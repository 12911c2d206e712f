"""The line search: the Wolfe conditions themselves, minima known in closed form, and functions that misbehave."""

from __future__ import annotations

import math

import numpy as np
import pytest

from miniae.optim import line_search


class Counted:
    """A function of the step and its derivative, and where it was evaluated."""

    def __init__(self, value, slope):
        self.value, self.slope, self.steps = value, slope, []

    def __call__(self, step):
        self.steps.append(step)
        return self.value(step), self.slope(step)

    def search(self, step, **options):
        return line_search(self, self.value(0.0), self.slope(0.0), step, **options)


def waves(seed):
    """x^2 / 50 plus five sines: smooth, bounded below, with many local minima; descending at 0."""
    rng = np.random.default_rng(seed)
    a, w, b = rng.normal(size=5), rng.uniform(0.2, 4, 5), rng.uniform(0, 6, 5)
    sign = -1.0 if np.sum(a * w * np.cos(b)) > 0 else 1.0
    return Counted(lambda x: x * x / 50 + float(np.sum(a * np.sin(sign * w * x + b))),
                   lambda x: x / 25 + float(np.sum(a * sign * w * np.cos(sign * w * x + b))))


def check_conditions(phi, found, c1, c2):
    assert found.step > 0
    assert (found.value, found.slope) == (phi.value(found.step), phi.slope(found.step))
    assert found.value <= phi.value(0.0) + c1 * found.step * phi.slope(0.0)
    assert abs(found.slope) <= -c2 * phi.slope(0.0)


@pytest.mark.parametrize("c1,c2", [(0.1, 0.5), (1e-4, 0.9), (1e-4, 0.01)])
@pytest.mark.parametrize("first", [1e-3, 0.3, 50.0])
def test_wolfe_conditions_on_random_functions(first, c1, c2):
    for seed in range(60):
        phi = waves(seed)
        found = phi.search(first, evaluations=60, c1=c1, c2=c2)
        check_conditions(phi, found, c1, c2)
        assert found.step == phi.steps[-1]


def test_random_functions_take_few_evaluations():
    counts = []
    for seed in range(100):
        phi = waves(seed)
        phi.search(0.3)
        counts.append(len(phi.steps))
    assert np.mean(counts) < 4 and max(counts) <= 12


@pytest.mark.parametrize("first", [0.01, 2.0, 9.0])
def test_a_parabola_and_a_cubic_take_one_interpolation(first):
    """The cubic through two points is the function itself: the second trial is its minimum, when within reach."""
    for phi, minimum in ((Counted(lambda x: (x - 3) ** 2, lambda x: 2 * (x - 3)), 3.0),
                         (Counted(lambda x: x ** 3 - 3 * x, lambda x: 3 * x * x - 3), 1.0)):
        found = phi.search(first, c2=0.1 + 1e-9)
        if first == 0.01:  # the way to the minimum is longer than ten times the first trial
            assert phi.steps[1] == pytest.approx(0.1)
        else:
            assert len(phi.steps) == 2
        assert found.step == pytest.approx(minimum, rel=1e-9)


def test_an_acceptable_first_trial_is_taken():
    phi = Counted(lambda x: (x - 3) ** 2, lambda x: 2 * (x - 3))
    assert phi.search(2.5).step == 2.5 and phi.steps == [2.5]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["value", "slope"])
def test_what_is_not_finite_is_too_far(part, bad):
    """(x - 1)^2 - 1, not finite beyond 1.2."""
    value, slope = (lambda x: (x - 1) ** 2 - 1), (lambda x: 2 * (x - 1))
    wall = Counted(*((lambda x, f=f, name=name: bad if name == part and x > 1.2 else f(x))
                     for name, f in (("value", value), ("slope", slope))))
    for first in (0.01, 0.9, 5.0, 1e6):
        wall.steps.clear()
        check_conditions(wall, wall.search(first, evaluations=40), 0.1, 0.5)


def test_values_at_the_edge_of_the_range():
    phi = Counted(lambda x: -x if x < 1e-3 else 1e308 * x, lambda x: -1.0 if x < 1e-3 else 1e308)
    found = phi.search(1.0, evaluations=30)
    assert 0 < found.step < 1e-3 and found.value == -found.step


def test_the_lowest_point_when_evaluations_run_out():
    """-x never flattens: the last trial is the lowest. x with a wrong slope has no lower point: the start."""
    phi = Counted(lambda x: -x, lambda x: -1.0)
    assert phi.search(1.0, evaluations=5) == (1e4, -1e4, -1.0)
    assert phi.steps == [1.0, 10.0, 100.0, 1000.0, 10000.0]
    wrong = Counted(lambda x: x, lambda x: -1.0)
    assert wrong.search(1.0, evaluations=7) == (0.0, 0.0, -1.0)
    assert len(wrong.steps) == 7 and (np.diff(wrong.steps) < 0).all()


def test_stops_where_no_number_lies_between():
    """A cliff at 1: before it the slope stays steep, beyond it the value is too high."""
    phi = Counted(lambda x: -x if x <= 1 else 1.0, lambda x: -1.0)
    found = phi.search(1.0 - 1e-9, evaluations=500)
    assert len(phi.steps) < 200 and found.value == -found.step and found.step == pytest.approx(1.0)


@pytest.mark.parametrize("options,message", [
    ({"slope": 0.0}, "negative slope, got 0.0"), ({"slope": math.nan}, "negative slope, got nan"),
    ({"step": 0.0}, "finite step above 0, got 0.0"), ({"step": math.inf}, "finite step above 0, got inf"),
    ({"c1": 0.6}, "0 < c1 < c2 < 1, got c1=0.6 and c2=0.5"), ({"c2": 1.0}, "0 < c1 < c2 < 1"),
])
def test_refuses_what_makes_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        line_search(**{"phi": lambda a: (0.0, 0.0), "value": 0.0, "slope": -1.0, "step": 1.0, **options})
