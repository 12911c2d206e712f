"""Several losses in turn, and who learns from which."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.nn.parameter import Parameter
from miniae.optim import SGD, Adam, Alternating, ClipByNorm


class Game:
    """x lowers (x - y)^2, y then lowers (y - 2 x)^2."""

    def __init__(self, rates=(0.1, 0.02)):
        self.x, self.y = Parameter([1.0], "x", "float64"), Parameter([3.0], "y", "float64")
        phases = {"x": SGD([self.x], lr=rates[0]), "y": SGD([self.y], lr=rates[1])}
        self.heard, self.phase = [], None
        self.optimizer = Alternating(phases, self.begin)

    def begin(self, phase):
        self.phase = phase
        self.heard.append(phase)

    def evaluate(self):
        assert self.phase == self.optimizer.phase
        self.optimizer.zero_grad()
        d = self.x - self.y if self.phase == "x" else self.y - self.x * 2.0
        loss = (d * d).sum()
        loss.backward()
        return loss


def test_each_phase_changes_its_own_parameters_and_the_next_sees_it(backend):
    game = Game()
    total = game.optimizer.minimize(game.evaluate)
    x = 1.0 - 0.1 * 2 * (1.0 - 3.0)
    y = 3.0 - 0.02 * 2 * (3.0 - 2 * x)
    assert (game.x.item(), game.y.item()) == pytest.approx((x, y), rel=1e-15)
    assert total.item() == pytest.approx(4.0 + (3.0 - 2 * x) ** 2) and not total.requires_grad
    assert game.heard == ["x", "y", None] and game.optimizer.phase == ""


def test_other_parameters_are_constants_in_a_phase():
    game, wanted = Game(), []

    def evaluate():
        wanted.append((game.x.requires_grad, game.y.requires_grad))
        loss = game.evaluate()
        assert (game.x.grad is None, game.y.grad is None) == (game.phase == "y", game.phase == "x")
        return loss

    game.optimizer.minimize(evaluate)
    assert wanted == [(True, False), (False, True)] and game.x.requires_grad and game.y.requires_grad


def test_an_error_leaves_everything_ready():
    game = Game()

    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        game.optimizer.minimize(fail)
    assert game.x.requires_grad and game.y.requires_grad and game.phase is None and game.optimizer.phase == ""


def test_the_learning_rates_keep_their_proportion():
    optimizer = Game().optimizer
    assert optimizer.lr == 0.1
    optimizer.lr = 0.05
    assert [o.lr for o in optimizer.phases.values()] == pytest.approx([0.05, 0.01])
    optimizer.lr = 0.0
    optimizer.lr = 0.1
    assert [o.lr for o in optimizer.phases.values()] == [0.1, 0.02]


def test_clipping_is_of_the_phase(backend):
    game, clip = Game(rates=(1.0, 1.0)), ClipByNorm(0.5)

    def evaluate():
        loss = game.evaluate()
        clip(game.optimizer)
        return loss

    game.optimizer.minimize(evaluate)
    assert (game.x.item(), game.y.item()) == pytest.approx((1.5, 3.0), abs=1e-5)  # y - 2 x is 0 by then
    game.optimizer.minimize(evaluate)
    assert (game.x.item(), game.y.item()) == pytest.approx((2.0, 3.5), abs=1e-5)


def test_states():
    game, other = Game(), Game()
    game.optimizer.minimize(game.evaluate)
    game.optimizer.lr = 0.07
    state = game.optimizer.state_dict()
    assert state.keys() == {"x.lr", "x.count", "y.lr", "y.count"}
    other.optimizer.load_state_dict(state)
    assert other.optimizer.lr == 0.07 and other.optimizer.state_dict()["y.count"] == 1
    before = other.optimizer.state_dict()
    of_another = SGD([Parameter([1.0])], 0.1).state_dict()
    for wrong in ({**state, "z.lr": np.zeros(1)}, {k: v for k, v in state.items() if k != "y.lr"}, of_another,
                  {**state, "x.lr": np.array([5.0]), "y.count": np.zeros(2)}):
        with pytest.raises(ValueError, match="another optimizer|another model"):
            other.optimizer.load_state_dict(wrong)
        after = other.optimizer.state_dict()
        assert all(np.array_equal(after[name], a) for name, a in before.items())


def test_parameters_are_listed_once():
    p, q = Parameter([1.0]), Parameter([2.0])
    optimizer = Alternating({"both": Adam([p, q]), "one": Adam([p])}, lambda phase: None)
    assert optimizer.parameters == [p, q]
    assert optimizer.phases["both"].pack.home is optimizer.phases["one"].pack.home
    assert repr(optimizer) == ("Alternating(both: Adam(2 parameters, lr=0.001), one: Adam(1 parameters, lr=0.001))")


def test_bad_input():
    with pytest.raises(ValueError, match="no phases"):
        Alternating({}, print)
    with pytest.raises(ValueError, match="the first phase has lr=0"):
        Alternating({"a": SGD([Parameter([1.0])], lr=0.0)}, print)
    with pytest.raises(TypeError, match="call minimize"):
        Game().optimizer.step()


def test_frozen_parameters_stay_frozen():
    game = Game()
    game.x.requires_grad = False
    game.optimizer = Alternating({"y": SGD([game.x, game.y], lr=0.02)}, game.begin)
    game.optimizer.minimize(game.evaluate)
    assert not game.x.requires_grad and game.x.item() == 1.0 and game.y.item() != 3.0
