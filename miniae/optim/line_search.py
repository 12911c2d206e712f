"""A step along a line that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Point(NamedTuple):
    """A place on the line: the step to it, and the function's value and slope there."""

    step: float
    value: float
    slope: float


# A trial stays this fraction of the bracket away from its ends, so that the bracket shrinks whatever the function does.
_MARGIN = 0.1
# How far beyond the last point a trial may go while nothing bounds the step: this many times the way so far.
_REACH = 9.0


def line_search(phi: Callable[[float], tuple[float, float]], value: float, slope: float, step: float,
                evaluations: int = 20, c1: float = 0.1, c2: float = 0.5) -> Point:
    """A step a > 0 with   phi(a) <= phi(0) + c1 a phi'(0)   and   |phi'(a)| <= c2 |phi'(0)|.

    `phi(a)` returns (phi(a), phi'(a)); `value` and `slope` are those at 0, where the slope must be negative; `step` is
    the first trial. The trials go outwards until two points bracket an acceptable step, then inwards, each at the
    minimum of the cubic through the values and slopes of the last two points, or of a parabola where the cubic has
    none. What is not finite counts as too far. When the evaluations are used up, the point of the lowest value so far
    is returned: that at step 0 if there is no lower one.

    Nocedal and Wright, "Numerical optimization", 2nd edition, 2006, algorithms 3.5 and 3.6 and equations 3.57 to 3.59.
    Raises `ValueError` for a slope that does not descend, a step that is not positive, or constants other than
    0 < c1 < c2 < 1.
    """
    if not slope < 0:
        raise ValueError(f"the line must descend at its start: expected a negative slope, got {slope}")
    if not 0 < step < math.inf:
        raise ValueError(f"the first trial must be a finite step above 0, got {step}")
    check_wolfe(c1, c2)
    # Acceptable steps lie between `low`, the lowest point that satisfies the first condition, and `high`.
    start = low = lowest = Point(0.0, value, slope)
    high = None
    for _ in range(evaluations):
        now = Point(step, *phi(step))
        finite = math.isfinite(now.value) and math.isfinite(now.slope)
        if finite and now.value < lowest.value:
            lowest = now
        if not finite or now.value > value + c1 * step * slope or now.value >= low.value:
            high = now
        elif abs(now.slope) <= -c2 * slope:
            return now
        else:
            outwards = 1.0 if high is None else high.step - low.step
            before, low = low, now
            if now.slope * outwards >= 0:  # the function rises from here on: the minimum is behind
                high = before
        step = _outwards(before, low) if high is None else _inwards(low, high)
        if high is not None and step in (low.step, high.step):  # no number lies between them
            break
    return lowest if lowest.value < start.value else start


def check_wolfe(c1: float, c2: float) -> None:
    """Raise `ValueError` unless 0 < c1 < c2 < 1: otherwise there may be no step to find."""
    if not 0 < c1 < c2 < 1:
        raise ValueError(f"the Wolfe conditions need 0 < c1 < c2 < 1, got c1={c1} and c2={c2}")


def _outwards(before: Point, now: Point) -> float:
    """A step beyond `now`, at the cubic's minimum if it lies there."""
    width = now.step - before.step
    nearest, farthest = now.step + _MARGIN * width, now.step + _REACH * now.step
    minimum = _cubic_minimum(before, now)
    return min(max(minimum, nearest), farthest) if minimum > now.step else farthest


def _inwards(low: Point, high: Point) -> float:
    """A step between the two, at the cubic's or else the parabola's minimum if it lies well inside."""
    width = high.step - low.step
    middle = low.step + 0.5 * width
    if not (math.isfinite(high.value) and math.isfinite(high.slope)):
        return middle
    minimum = _cubic_minimum(low, high)
    if math.isnan(minimum):
        minimum = _parabola_minimum(low, high)
    if math.isnan(minimum):
        return middle
    part = (minimum - low.step) / width
    return low.step + min(max(part, _MARGIN), 1.0 - _MARGIN) * width


def _cubic_minimum(a: Point, b: Point) -> float:
    """Where the cubic with the values and slopes of both points has its minimum; NaN if it has none."""
    width = b.step - a.step
    d1 = a.slope + b.slope + 3.0 * (a.value - b.value) / width
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), width)
    denominator = b.slope - a.slope + 2.0 * d2
    return b.step - width * (b.slope + d2 - d1) / denominator if denominator else math.nan


def _parabola_minimum(a: Point, b: Point) -> float:
    """Where the parabola with the value and slope of `a` and the value of `b` has its minimum; NaN if it has none."""
    width = b.step - a.step
    rise = b.value - a.value - a.slope * width
    return a.step - 0.5 * a.slope * width * width / rise if rise > 0 else math.nan
