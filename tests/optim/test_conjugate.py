"""The optimizers that search along lines: minima known in closed form, peers, and training through the Trainer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from miniae import optim
from miniae.autodiff import Tensor
from miniae.backend import CaptureError, get
from miniae.models import Autoencoder
from miniae.nn.parameter import Parameter
from miniae.training import Callback

RULES = [optim.ConjugateGradient, optim.LBFGS]


@pytest.fixture(params=RULES, ids=lambda rule: rule.__name__)
def rule(request):
    return request.param


class Objective:
    """f(p) on the host, given with its gradient, as the loss of a parameter."""

    def __init__(self, f, start, backend, dtype="float64"):
        self.f, self.backend = f, backend
        self.p = Parameter(np.asarray(start), "p", dtype, backend)
        self.values, self.points = [], []

    def __call__(self):
        point = self.p.numpy()
        value, gradient = self.f(point)
        self.values.append(value)
        self.points.append(point)
        self.p.zero_grad()
        self.p.grad = self.backend.asarray(gradient, self.p.dtype)
        return Tensor._wrap(self.backend.asarray(value, self.p.dtype), self.backend)

    def value(self):
        return self.f(self.p.numpy())[0]


def quadratic(n, seed=0, condition=30.0):
    """f(p) = (p - m)'A(p - m) / 2 with A's eigenvalues from 1 to `condition`; and m."""
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    a, m = (q * np.linspace(1, condition, n)) @ q.T, rng.normal(size=n)
    return (lambda p: (0.5 * (p - m) @ a @ (p - m), a @ (p - m))), m


def rosenbrock(p):
    x, y = p
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2, np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


def bowl(p):
    """A smooth function of n variables with one minimum: sum of log cosh of running sums, and |p|^2 / 2."""
    u = np.cumsum(p) - 1
    return float(np.sum(np.log(np.cosh(u)) + 0.5 * p ** 2)), np.cumsum(np.tanh(u)[::-1])[::-1] + p


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_quadratic_in_n_exact_searches(rule, n, backend):
    """Conjugate directions: after n exact line searches nothing is left, and before that something is."""
    f, minimum = quadratic(n)
    for searches in range(1, n + 1):
        objective = Objective(f, np.zeros(n), backend)
        rule([objective.p], searches=searches, c1=1e-8, c2=1e-7).minimize(objective)
        error = np.abs(objective.p.numpy() - minimum).max()
        assert error < 1e-6 if searches == n else error > 1e-5


def test_directions_by_hand(backend):
    """Two exact searches on f = (x^2 + 4 y^2) / 2 from (4, 1): the textbook's steps."""
    f = lambda p: (0.5 * (p[0] ** 2 + 4 * p[1] ** 2), np.array([p[0], 4 * p[1]]))  # noqa: E731
    objective = Objective(f, [4.0, 1.0], backend)
    rule = optim.ConjugateGradient([objective.p], searches=1, c1=1e-8, c2=1e-7)
    rule.minimize(objective)  # along (-4, -4) with a = g.g / g.Ag = 32 / 80
    np.testing.assert_allclose(objective.p.numpy(), [2.4, -0.6], rtol=1e-7)
    again = Objective(f, [4.0, 1.0], backend)
    rule = optim.ConjugateGradient([again.p], searches=2, c1=1e-8, c2=1e-7)
    rule.minimize(again)  # g = (2.4, -2.4): b = g.(g - g') / g'.g' = 11.52 / 32
    direction = backend.to_host(rule.direction)[:2]
    np.testing.assert_allclose(direction, [-2.4 - 0.36 * 4, 2.4 - 0.36 * 4], rtol=1e-6)
    np.testing.assert_allclose(again.p.numpy(), [0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("memory", [1, 3, 10])
def test_lbfgs_directions_are_those_of_the_matrix(memory, backend):
    """-H g with H built as a matrix from the last pairs, search by search."""
    n = 6
    directions, points, gradients = [], [], []

    class Noted(optim.LBFGS):
        def aim(self, g):
            super().aim(g)
            directions.append(backend.to_host(self.direction)[:n])
            points.append(backend.to_host(self.start)[:n])
            gradients.append(backend.to_host(self.gradient_before)[:n])

    objective = Objective(bowl, np.linspace(-2, 3, n), backend)
    Noted([objective.p], searches=8, memory=memory).minimize(objective)
    assert len(directions) == 7
    for k in range(1, 7):  # search k begins at points[k], search 0 goes along -g
        pairs = [(points[i + 1] - points[i], gradients[i + 1] - gradients[i]) for i in range(max(0, k - memory), k)]
        s, y = pairs[-1]
        h = np.eye(n) * (s @ y) / (y @ y)
        for s, y in pairs:
            r = 1 / (s @ y)
            h = (np.eye(n) - r * np.outer(s, y)) @ h @ (np.eye(n) - r * np.outer(y, s)) + r * np.outer(s, s)
        np.testing.assert_allclose(directions[k - 1], -h @ gradients[k], rtol=1e-8, atol=1e-12)


def test_a_direction_that_does_not_descend_is_replaced(backend):
    objective = Objective(bowl, np.ones(3), backend)

    class Uphill(optim.ConjugateGradient):
        def aim(self, g):
            self.backend.copy(g, out=self.direction)

    misled, steepest = Uphill([objective.p], searches=4), Objective(bowl, np.ones(3), backend)
    misled.minimize(objective)
    one = optim.ConjugateGradient([steepest.p], searches=1)
    for _ in range(4):
        one.minimize(steepest)
    np.testing.assert_array_equal(objective.p.numpy(), steepest.p.numpy())


def test_rosenbrock(rule, backend):
    objective = Objective(rosenbrock, [-1.2, 1.0], backend)
    rule([objective.p], searches=200).minimize(objective)
    np.testing.assert_allclose(objective.p.numpy(), [1.0, 1.0], atol=1e-8)
    assert len(objective.values) < 300


def test_same_minimum_as_scipy_and_torch(rule, backend):
    scipy = pytest.importorskip("scipy.optimize", reason="compares with scipy.optimize.minimize")
    torch = pytest.importorskip("torch", reason="compares with torch.optim.LBFGS")
    start = np.linspace(-2, 3, 10)
    objective = Objective(bowl, start, backend)
    rule([objective.p], searches=100).minimize(objective)
    peer = scipy.minimize(bowl, start, jac=True, method="CG", options={"gtol": 1e-10})
    np.testing.assert_allclose(objective.p.numpy(), peer.x, atol=1e-7)
    assert len(objective.values) < 3 * peer.nfev

    p = torch.tensor(start, requires_grad=True)
    lbfgs = torch.optim.LBFGS([p], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10,
                              tolerance_change=0.0)

    def closure():
        value, gradient = bowl(p.detach().numpy())
        p.grad = torch.tensor(np.ascontiguousarray(gradient))
        return torch.tensor(value, dtype=torch.float64)

    lbfgs.step(closure)
    np.testing.assert_allclose(objective.p.numpy(), p.detach().numpy(), atol=1e-7)


def test_wolfe_conditions_between_searches(backend):
    """Along the whole way of one search a minibatch, from where it began to where it ended."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(6, 4)), rng.normal(size=6)

        def f(p, a=a, b=b):
            u = a @ p - b
            return float(np.sum(np.log1p(u * u))), a.T @ (2 * u / (1 + u * u))

        objective = Objective(f, rng.normal(size=4), backend)
        rule = optim.ConjugateGradient([objective.p], searches=1)
        for _ in range(5):
            before = objective.p.numpy()
            rule.minimize(objective)
            moved, (value, g) = objective.p.numpy() - before, f(before)
            after, g_after = f(objective.p.numpy())
            assert after <= value + 0.1 * g @ moved
            assert abs(g_after @ moved) <= 0.5 * abs(g @ moved)


def test_a_region_of_nan_beyond_the_minimum(rule, backend):
    """The sum of (x - 2 log x), NaN or infinite where an x is not above 0: first trials land there."""
    def f(p):
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.sum(p - 2 * np.log(p))), 1 - 2 / p

    objective = Objective(f, np.array([0.1, 5.0, 30.0]), backend)
    rule([objective.p], lr=1e4, searches=60).minimize(objective)
    assert not np.isfinite(objective.values).all()
    np.testing.assert_allclose(objective.p.numpy(), 2.0, rtol=1e-6)


def test_never_worse_than_the_start(rule, backend):
    """Wrong gradients, noise, cliffs: the parameters end at the lowest point evaluated, or exactly where they began."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        g, slope = rng.normal(size=(2, 5))

        def f(p, g=g, slope=slope):  # a gradient that has nothing to do with the values
            return float(slope @ p + np.sin(50 * p).sum()), g * (1 + p @ p)

        objective = Objective(f, rng.normal(size=5), backend)
        start = objective.p.numpy()
        rule([objective.p], searches=3, evaluations=6).minimize(objective)
        assert objective.value() <= objective.values[0]
        assert objective.value() < objective.values[0] or (objective.p.numpy() == start).all()


@pytest.mark.parametrize("f", [
    lambda p: (float(-p.sum()), np.ones(3)),  # the gradient points the wrong way
    lambda p: (math.nan, np.ones(3)), lambda p: (1.0, np.full(3, math.nan)), lambda p: (1.0, np.full(3, 1e308)),
    lambda p: (1.0, np.zeros(3)),
], ids=["wrong", "loss NaN", "gradient NaN", "gradient too large", "gradient zero"])
def test_what_cannot_be_lowered_stays_exactly(f, rule, backend):
    start = np.array([0.1, -0.7, 1 / 3])
    objective = Objective(f, start, backend)
    with backend.silent():
        optimizer = rule([objective.p])
        optimizer.minimize(objective)
    np.testing.assert_array_equal(objective.p.numpy(), start)
    assert optimizer.state_dict()["step"] == 0.0


def test_an_interrupt_puts_the_parameters_back(rule, backend):
    objective = Objective(rosenbrock, [-1.2, 1.0], backend)

    def interrupted():
        if len(objective.values) == 2:
            raise KeyboardInterrupt
        return objective()

    with pytest.raises(KeyboardInterrupt):
        rule([objective.p], c2=0.2).minimize(interrupted)
    np.testing.assert_array_equal(objective.p.numpy(), [-1.2, 1.0])


def test_lr_is_the_distance_of_the_first_trial_only(rule, backend):
    f, _ = quadratic(4)
    objective = Objective(f, np.zeros(4), backend)
    optimizer = rule([objective.p], lr=0.01, searches=2)
    returned = optimizer.minimize(objective)
    assert np.linalg.norm(objective.points[1]) == pytest.approx(0.01)
    assert returned.item() == objective.values[0]
    step = optimizer.state_dict()["step"].item()
    first = len(objective.points)
    optimizer.lr = 7.0
    optimizer.minimize(objective)
    start, trial = objective.points[first:first + 2]
    np.testing.assert_allclose(trial, start - step * f(start)[1], rtol=1e-12)


def test_resumes_exactly(rule, backend):
    unbroken, broken = (Objective(bowl, np.linspace(-2, 3, 6), backend) for _ in range(2))
    whole, first = rule([unbroken.p], lr=0.3, searches=2), rule([broken.p], lr=0.3, searches=2)
    for _ in range(3):
        whole.minimize(unbroken)
    first.minimize(broken)
    after = Objective(bowl, broken.p.numpy(), backend)
    second = rule([after.p], lr=9.0, searches=2)
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.minimize(after)
    np.testing.assert_array_equal(after.p.numpy(), unbroken.p.numpy())
    assert second.state_dict()["count"] == 3


def test_recording_is_refused():
    """The loss is read back: nothing moves but in the warm-up."""
    strict = get("strict")
    p = Parameter(np.ones(3), backend=strict)
    optimizer = optim.ConjugateGradient([p])

    def evaluate():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with pytest.raises(CaptureError, match="to_host waits for the device"):
        strict.capture(lambda: optimizer.minimize(evaluate), warmup=1)


def test_refuses_what_makes_no_sense(rule, backend):
    def make(**options):
        return rule([Parameter(np.ones(2), backend=backend)], **options)

    for options, message in (({"lr": 0.0}, "lr is the length of the very first trial step"),
                             ({"searches": 0}, "searches must be an integer of at least 1, got 0"),
                             ({"evaluations": 2.0}, "evaluations must be an integer of at least 1, got 2.0"),
                             ({"c1": 0.95}, "0 < c1 < c2 < 1")):
        with pytest.raises(ValueError, match=message):
            make(**options)
    with pytest.raises(TypeError, match=r"call minimize\(evaluate\), not step\(\)"):
        make().step()


def test_rules_of_one_step_minimize_as_they_step(backend, problem):
    """For the others, `minimize` is one evaluation and one step: the same numbers."""
    for name, make in optim.OPTIMIZERS.items():
        if issubclass(make, optim.LineSearchOptimizer):
            continue
        stepped, minimized = (make(problem.parameters(backend), lr=0.02) for _ in range(2))
        path = problem.descend(stepped, 4)
        loss = Tensor(np.array(3.0), backend=backend)

        def evaluate(optimizer=minimized, loss=loss):
            optimizer.zero_grad()
            problem.put_gradients(optimizer.parameters)
            return loss

        for expected in path:
            assert minimized.minimize(evaluate) is loss
            mine = np.concatenate([p.numpy().reshape(-1) for p in minimized.parameters])
            np.testing.assert_array_equal(mine, expected, err_msg=name)


def counting(rule, **options):
    """The rule with these options, and a list that grows by one at each evaluation."""
    evaluations = []

    class Counting(rule):
        def __init__(self, parameters, lr):
            super().__init__(parameters, lr, **options)

        def minimize(self, evaluate):
            return super().minimize(lambda: (evaluations.append(1), evaluate())[1])

    return Counting, evaluations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_autoencoder_learns_more_than_by_gradient_descent(rule, dtype):
    """For equal evaluations of the loss, whatever the learning rate of the descent, by the median of eight beginnings:
    the rounding of one processor or another decides how well a single one goes."""
    rng = np.random.default_rng(0)
    X = np.tanh(rng.normal(size=(120, 3)) @ rng.normal(size=(3, 12)))
    losses = []
    for seed in range(1, 9):
        options = {"hidden": [10], "code": 3, "loss": "mse", "batch_size": 60, "seed": seed,
                   "dtype": dtype, "backend": "numpy"}
        make, evaluations = counting(rule, searches=8)
        searched = Autoencoder(optimizer=make, lr=0.1, epochs=5, **options).fit(X)
        assert {p.dtype for p in searched.network_.parameters()} == {np.dtype(dtype)}
        rest = {"epochs": math.ceil(len(evaluations) / 2), **options}
        descents = [Autoencoder(optimizer="sgd", lr=lr, **rest).fit(X) for lr in (0.03, 0.1)]
        losses.append([model._trainer.evaluate(X)["loss"] for model in (searched, *descents)])
    searched, *descents = np.median(losses, axis=0)
    assert searched < 0.8 * min(descents)


def test_full_batch_training_never_rises_and_reports_the_loss_before(backend):
    X = np.random.default_rng(0).random((40, 6))
    model = Autoencoder(hidden=[5], code=2, optimizer="cg", lr=1.0, batch_size=40, epochs=8, backend=backend,
                        dtype="float64")
    model.fit(X)
    losses = [row["loss"] for row in model.history_]
    assert (np.diff(losses) < 0).all()
    after = model._trainer.evaluate(X)["loss"]
    assert after < losses[-1]
    model.partial_fit(X)
    assert model.history_[-1]["loss"] == pytest.approx(after, rel=1e-12)  # that at the first evaluation


def test_evaluations_share_their_memory():
    """Every evaluation on batches of one size takes the same buffers, but for the few numbers that the first left."""
    arenas = []

    class Look(Callback):
        def on_batch_end(self, trainer, batch):
            (arena,) = trainer._arenas.values()
            arenas.append((arena.allocations, sum(buffer.nbytes for buffer, _, _ in arena._slots)))

    X = np.random.default_rng(0).random((40, 6))
    Autoencoder(hidden=[5], code=2, optimizer="cg", batch_size=10, epochs=5, backend="numpy").fit(X, callbacks=[Look()])
    made, held = zip(*arenas, strict=True)
    assert max(held) < 1.01 * held[0]
    assert max(np.diff(made)) <= 10


def test_a_schedule_may_start_at_0():
    from miniae import Autoencoder
    from miniae.training import LearningRate

    x = np.random.default_rng(0).random((30, 6))
    model = Autoencoder([4], 2, optimizer="cg", lr=0.1, epochs=3)
    model.fit(x, callbacks=[LearningRate(lambda epoch: float(epoch > 0))])
    first, second, third = (row["loss"] for row in model.history_)
    assert first == pytest.approx(second) and third < second
