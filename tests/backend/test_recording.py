"""A recording does what the step does, or says that it can't."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.backend import get
from miniae.backend.arena import Arena
from miniae.backend.philox import Generator
from miniae.backend.recording import Recording
from miniae.backend.repeats import may_repeat
from miniae.nn.parameter import Parameter
from miniae.optim import Adam


class Step:
    """Noisy regression: y = relu(x w + noise), minimised by Adam. What it holds changes from step to step."""

    def __init__(self, be):
        self.be = be
        rng = np.random.default_rng(0)
        self.x, self.t = (be.asarray(rng.standard_normal(s), "float32") for s in ((6, 4), (6, 3)))
        self.w = Parameter(rng.standard_normal((4, 3)), "w", "float32", be)
        self.b = Parameter(np.zeros(3), "b", "float32", be)
        self.optimizer, self.noise = Adam([self.w, self.b], lr=0.1), Generator(3, "noise", be)
        self.python, self.list = 0.0, []

    def __call__(self):
        self.optimizer.zero_grad()
        noise = Tensor._wrap(self.noise.normal((6, 3), "float32"), self.be)
        y = F.relu(F.dense(Tensor._wrap(self.x, self.be), self.w, self.b) + noise)
        loss = self.loss(y)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss._data, "y": y._data}

    def loss(self, y):
        return F.squared_error(y, Tensor._wrap(self.t, self.be))

    def state(self):
        return [self.w.numpy(), self.noise.step, *self.optimizer.state_dict().values()]


class NumpyWrites(Step):
    """Writes into an array that lasts, without a kernel."""

    def loss(self, y):
        self.t *= 0.9
        return super().loss(y)


class NewArray(Step):
    """Works with an array that no kernel has made."""

    def loss(self, y):
        return super().loss(y * Tensor._wrap(y._data * 2.0, self.be))


class PythonNumber(Step):
    """Uses a number of Python's that changes."""

    def loss(self, y):
        self.python += 0.5
        return super().loss(y * self.python)


class MakesAnArray(Step):
    def loss(self, y):
        return super().loss(Tensor._wrap(self.be.xp.sqrt(self.be.multiply(y._data, y._data)), self.be) + y)


class Waits(Step):
    def loss(self, y):
        self.list.append(float(self.be.to_host(y._data).sum()))
        return super().loss(y)


class AnotherShape(Step):
    """The second step has other buffers than the first."""

    def loss(self, y):
        self.list.append(None)
        return super().loss(y) + F.sum(F.relu(y[:len(self.list)]))


def both(kind, be):
    """The recording of a second step after a first, and a twin that has made the two by computing."""
    eager, step = kind(be), kind(be)
    arena = Arena(be.allocate)
    with be.arena(arena):
        step()
        recording = Recording(be, step)
    for _ in range(2):
        eager()
    return eager, step, recording, arena


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_replays_are_steps(backend):
    eager, step, recording, arena = both(Step, backend)
    assert not recording.trouble
    same(step.state(), eager.state())
    with backend.arena(arena):
        assert recording.stands_test(step)
        eager()
        same(step.state(), eager.state())
        for _ in range(4):
            recording.replay()
    for _ in range(4):
        expected = eager()
    same(step.state(), eager.state())
    for name, a in recording.result.items():
        np.testing.assert_array_equal(backend.to_host(a), backend.to_host(expected[name]))
    assert step.noise.step == 7


def test_the_calls_of_two_steps_are_compared(backend):
    """Without a replay: what a step does beside calling kernels is not found out."""
    for kind, alike in ((Step, True), (NumpyWrites, True), (PythonNumber, False), (NewArray, False), (Waits, False)):
        eager, step, recording, arena = both(kind, backend)
        with backend.arena(arena):
            assert recording.repeats(step) is alike and bool(recording.trouble) is not alike
        eager()
        same(step.state(), eager.state())


def test_a_replay_takes_what_changes_on_the_device(backend):
    eager, step, recording, arena = both(Step, backend)
    for s in (eager, step):
        s.optimizer.lr = 0.01
        backend.fill(s.x, 0.5)
    with backend.arena(arena):
        recording.replay()
    eager()
    same(step.state(), eager.state())


@pytest.mark.parametrize("kind", [NewArray, PythonNumber, MakesAnArray, Waits, AnotherShape, NumpyWrites])
def test_what_a_recording_can_not_hold_is_found_out(kind, backend):
    """And the step has then been made once, with the right result."""
    eager, step, recording, arena = both(kind, backend)
    with backend.arena(arena):
        assert not recording.stands_test(step)
    expected = eager()
    same(step.state(), eager.state())
    assert step.python == eager.python and len(step.list) == len(eager.list)
    for name, a in recording.result.items():
        np.testing.assert_array_equal(backend.to_host(a), backend.to_host(expected[name]))
    trouble = {MakesAnArray: "sqrt makes an array", Waits: "to_host waits for the device",
               NumpyWrites: "beside calling kernels"}
    assert trouble.get(kind, "other calls than the next, or works with arrays of its own") in recording.trouble


class StaleMask(Step):
    """Works with an array of NumPy's own that happens to be the same in two steps."""

    def loss(self, y):
        self.list.append(self.be.asarray(np.ones((6, 3), np.float32)))
        return super().loss(y * Tensor._wrap(self.list[-1], self.be))


class FromNumpy(Step):
    def loss(self, y):
        ones = np.ones((6, 3), np.float32)
        return super().loss(y * Tensor._wrap(ones, self.be))


def test_constants_that_are_made_anew_are_not_taken_for_lasting():
    """Their values are the same in the steps that are compared, and need not be in the next."""
    for kind, trouble in ((StaleMask, "asarray makes an array"), (FromNumpy, "other calls than the next")):
        _, step, recording, arena = both(kind, get("numpy"))
        with get("numpy").arena(arena):
            assert not recording.stands_test(step)
        assert trouble in recording.trouble


def test_a_replay_that_asks_for_another_array_is_an_error():
    be, sizes = get("numpy"), [4]

    def step():
        return {"y": be.as_kernel(lambda: be.add(be.one("float32"), np.zeros(sizes[-1], "float32")))}

    with be.arena():
        recording = Recording(be, step)
        sizes.append(5)
        with pytest.raises(RuntimeError, match="depends on something that changes"):
            recording.replay()


def test_after_recording_the_backend_is_as_before(backend):
    before, xp = set(vars(backend)), backend.xp

    class Breaks(Step):
        def loss(self, y):
            raise KeyboardInterrupt

    with backend.arena(Arena(backend.allocate)):
        with pytest.raises(KeyboardInterrupt):
            Recording(backend, Breaks(backend))
        Recording(backend, Step(backend))
    assert set(vars(backend)) == before and backend.xp is xp
    assert backend.add.__func__ is type(backend).add


def test_a_test_that_is_broken_off_leaves_the_computed_step(backend, monkeypatch):
    eager, step, recording, arena = both(Step, backend)

    def broken():
        backend.fill(step.w._data, 7.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "replay", broken)
    with backend.arena(arena), pytest.raises(KeyboardInterrupt):
        recording.stands_test(step)
    eager()
    same(step.state(), eager.state())


def test_what_is_large_is_not_copied_for_a_test(monkeypatch):
    monkeypatch.setattr(type(get("numpy")), "may_copy", lambda self, nbytes: nbytes <= 100)
    eager, step, recording, arena = both(Step, get("numpy"))
    with get("numpy").arena(arena):
        assert not recording.stands_test(step)
    eager()
    same(step.state(), eager.state())


def test_other_threads_are_not_recorded():
    be, elsewhere = get("numpy"), Step(get("numpy"))

    class Beside(Step):
        def loss(self, y):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            return super().loss(y)

    with be.arena():
        recording = Recording(be, Beside(be))
    with be.arena():
        alone = Recording(be, Step(be))
    assert len(recording.calls) == len(alone.calls) and not recording.trouble


def elsewhere(x):
    return x


class FromElsewhere:
    repeats = True


def test_who_may_repeat():
    class Rule(Adam):
        pass

    class Declared(Rule):
        repeats = True

    p = [Parameter(np.zeros(2), backend=get("numpy"))]
    for part in (Adam(p), Declared(p), F.tanh, 0.5, "tanh", np.zeros(3), None, [F.relu, {"a": Adam(p)}],
                 FromElsewhere(), Adam(p).step):
        assert may_repeat(part), part
    for part in (Rule(p), elsewhere, lambda x: x, [F.relu, elsewhere], {"a": (elsewhere,)}):
        assert not may_repeat(part), part


def test_one_recording_at_a_time():
    """A step that is recorded while another is, in whichever thread, is computed."""
    be, inner = get("numpy"), []

    class Nested(Step):
        def loss(self, y):
            inner.append(Recording(be, Step(be)))
            return super().loss(y)

    with be.arena():
        Recording(be, Nested(be))
    assert inner[0].trouble == "another step was being recorded" and not inner[0].calls
    assert inner[0].result.keys() == {"loss", "y"}
