"""Every optimizer: against PyTorch step by step, against its formula by hand, resumed, recorded and replayed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from miniae import optim
from miniae.nn.parameter import Parameter

STEPS = 60
# Those that make one step from one gradient; the others, which search along lines, are in test_conjugate.py.
NAMES = [name for name, rule in optim.OPTIMIZERS.items() if not issubclass(rule, optim.LineSearchOptimizer)]

# The PyTorch class, and its arguments beside the learning rate, that name the same rule; then ours.
PEERS = {
    "sgd": ("SGD", {}, {}),
    "momentum": ("SGD", {"momentum": 0.8}, {"momentum": 0.8}),
    "nesterov": ("SGD", {"momentum": 0.8, "nesterov": True}, {"momentum": 0.8}),
    "adagrad": ("Adagrad", {"eps": 1e-6}, {"epsilon": 1e-6}),
    "adadelta": ("Adadelta", {"rho": 0.8, "eps": 1e-5}, {"decay": 0.8, "epsilon": 1e-5}),
    "rmsprop": ("RMSprop", {"alpha": 0.95, "eps": 1e-6}, {"decay": 0.95, "epsilon": 1e-6}),
    "adam": ("Adam", {"betas": (0.8, 0.99), "eps": 1e-6}, {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6}),
    "adamw": ("AdamW", {"betas": (0.8, 0.99), "weight_decay": 0.1}, {"beta1": 0.8, "beta2": 0.99, "weight_decay": 0.1}),
    "nadam": ("NAdam", {"betas": (0.8, 0.99), "momentum_decay": 0.01},
              {"beta1": 0.8, "beta2": 0.99, "momentum_decay": 0.01}),
}


@pytest.fixture
def torch64():
    """PyTorch with float64 as its default: NAdam keeps a product of coefficients in the default dtype."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch's optimizers")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("defaults", [True, False], ids=["defaults", "arguments"])
def test_follows_pytorch_step_by_step(name, defaults, backend, problem, torch64):
    torch = torch64
    peer, theirs, ours = PEERS[name]
    if defaults:
        theirs, ours = {k: v for k, v in theirs.items() if k in ("nesterov", "momentum")}, {}
        theirs = {k: 0.9 if k == "momentum" else v for k, v in theirs.items()}
    lr = 0.5 if name == "adadelta" else 0.03
    tensors = [torch.tensor(v, requires_grad=True) for v in problem.start]
    reference = getattr(torch.optim, peer)(tensors, lr=lr, **theirs)
    path = problem.descend(optim.get_optimizer(name)(problem.parameters(backend), lr=lr, **ours), STEPS)
    for step in range(STEPS):
        for t, g in zip(tensors, problem.gradients([t.detach().numpy() for t in tensors]), strict=True):
            t.grad = torch.tensor(g)
        reference.step()
        expected = np.concatenate([t.detach().numpy().reshape(-1) for t in tensors])
        np.testing.assert_allclose(path[step], expected, rtol=1e-10, atol=1e-13)


def first_steps(lr, g):
    """The change of a parameter in the first step from the gradient g, written out for each rule's defaults."""
    size = abs(g)
    u1, u2 = (0.9 * (1 - 0.5 * 0.96 ** (t * 0.004)) for t in (1, 2))
    return {
        "sgd": -lr * g,
        "momentum": -lr * g,
        "nesterov": -lr * (g + 0.9 * g),
        "adagrad": -lr * g / (size + 1e-10),
        "adadelta": -lr * g * math.sqrt(1e-6) / math.sqrt(0.1 * g * g + 1e-6),
        "rmsprop": -lr * g / (0.1 * size + 1e-8),
        "adam": -lr * g / (size + 1e-8),
        "adamw": -lr * 0.01 * 2.0 - lr * g / (size + 1e-8),
        "nadam": -lr * (g + u2 / (1 - u1 * u2) * 0.1 * g) / (size + 1e-8),
    }


@pytest.mark.parametrize("name", NAMES)
def test_first_step_by_hand(name, backend):
    for g in (0.5, -3.0):
        p = Parameter(np.array([2.0]), backend=backend)
        optimizer = optim.get_optimizer(name)([p], lr=0.1)
        p.grad = backend.asarray([g], "float64")
        optimizer.step()
        assert p.numpy()[0] - 2.0 == pytest.approx(first_steps(0.1, g)[name], rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_and_close_to_float64(name, backend, problem):
    make = optim.get_optimizer(name)
    optimizer = make(problem.parameters(backend, "float32"), lr=0.01)
    path = problem.descend(optimizer, 20)
    assert {p.dtype for p in optimizer.parameters} == {np.dtype("float32")}
    assert all(optimizer.buffers[name].dtype == np.float32 for name in optimizer.state)
    np.testing.assert_allclose(path[-1], problem.descend(make(problem.parameters(backend), lr=0.01), 20)[-1], atol=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_resumes_exactly(name, backend, problem):
    make = optim.get_optimizer(name)
    unbroken = problem.descend(make(problem.parameters(backend), lr=0.02), 12)
    before = make(problem.parameters(backend), lr=0.02)
    problem.descend(before, 7)
    state = before.state_dict()
    assert all(isinstance(a, np.ndarray) for a in state.values())
    parameters = [Parameter(p.numpy(), backend=backend) for p in before.parameters]
    problem.descend(before, 1)  # the state is a copy: going on does not change it
    after = make(parameters, lr=0.5)
    after.load_state_dict(state)
    assert after.lr == 0.02
    np.testing.assert_array_equal(problem.descend(after, 5), unbroken[7:])


@pytest.mark.parametrize("name", NAMES)
def test_recorded_step_replays(name, backend, problem):
    """Five replays of one recorded step are five steps; the learning rate is read at each."""
    make = optim.get_optimizer(name)
    eager, recorded = (make(problem.parameters(backend, "float32"), lr=0.05) for _ in range(2))
    for optimizer in (eager, recorded):
        problem.put_gradients(optimizer.parameters)

    def step():
        recorded.step()

    replay = backend.capture(step, warmup=2)
    done = int(backend.to_host(recorded.count)[0])  # a backend may run the step while it records it
    for i in range(5):
        if i == 3:
            recorded.lr = 0.01
        replay()
    for i in range(done + 5):
        if i == done + 3:
            eager.lr = 0.01
        eager.step()
    for p, q in zip(eager.parameters, recorded.parameters, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@pytest.mark.parametrize("name", NAMES)
def test_step_leaves_the_gradient_alone(name, backend, problem):
    optimizer = optim.get_optimizer(name)(problem.parameters(backend), lr=0.1)
    problem.put_gradients(optimizer.parameters)
    before = [backend.to_host(p.grad) for p in optimizer.parameters]
    optimizer.step()
    for p, g in zip(optimizer.parameters, before, strict=True):
        np.testing.assert_array_equal(backend.to_host(p.grad), g)


def test_step_allocates_nothing(problem):
    """On the CPU, where every array's memory is traced."""
    import tracemalloc

    for name in NAMES:
        p = Parameter(np.ones(100_000), dtype="float32", backend="numpy")
        optimizer = optim.get_optimizer(name)([p], lr=0.01)
        p.grad = np.ones(100_000, "float32")
        optimizer.step()
        tracemalloc.start()
        optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20_000, name


def test_a_parameter_without_a_gradient_stands_still(backend):
    moved, still = (Parameter(np.ones(3), backend=backend) for _ in range(2))
    optimizer = optim.SGD([moved, still], lr=1.0)
    for p in (moved, still):
        p.grad = backend.asarray(np.ones(3), "float64")
    optimizer.step()
    optimizer.zero_grad()
    moved.grad = backend.asarray(np.ones(3), "float64")
    optimizer.step()
    np.testing.assert_array_equal(moved.numpy(), -np.ones(3))
    np.testing.assert_array_equal(still.numpy(), np.zeros(3))


def test_two_optimizers_may_share_parameters(backend, problem):
    """Whether the second takes a part of the first's parameters in order, or in another order: both keep working."""
    for order in ([0], [1], [0, 1], [1, 0]):
        parameters = problem.parameters(backend)
        both = optim.Momentum(parameters, lr=0.1)
        some = optim.Momentum([parameters[i] for i in order], lr=0.1)
        expected = [v.copy() for v in problem.start]
        velocities = [[np.zeros_like(v) for v in expected] for _ in range(2)]
        for _ in range(3):
            for which, optimizer in enumerate((both, some)):
                optimizer.zero_grad()
                problem.put_gradients(parameters)
                gradients = problem.gradients(expected)
                optimizer.step()
                for i in [0, 1] if optimizer is both else order:
                    velocities[which][i] = 0.9 * velocities[which][i] + gradients[i]
                    expected[i] = expected[i] - 0.1 * velocities[which][i]
        for p, value in zip(parameters, expected, strict=True):
            np.testing.assert_allclose(p.numpy(), value, rtol=1e-12)


def test_step_is_seen_by_the_tape(backend):
    p = Parameter(np.array([2.0]), backend=backend)
    optimizer = optim.SGD([p], lr=0.1)
    y = p * p
    p.grad = backend.asarray([1.0], "float64")
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_names():
    assert optim.get_optimizer("Adam") is optim.Adam is optim.get_optimizer(optim.Adam)
    assert set(NAMES) == {"sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam"}
    assert optim.get_optimizer("cg") is optim.ConjugateGradient and optim.get_optimizer("lbfgs") is optim.LBFGS
    with pytest.raises(ValueError, match=r"unknown optimizer 'lion': expected one of sgd, momentum"):
        optim.get_optimizer("lion")


def test_refuses_what_makes_no_sense(backend, problem):
    for lr in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="learning rate"):
            optim.SGD(problem.parameters(backend), lr=lr)
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\), got 1.0"):
        optim.Momentum(problem.parameters(backend), momentum=1.0)
    with pytest.raises(ValueError, match="beta2"):
        optim.Adam(problem.parameters(backend), beta2=1.5)
    with pytest.raises(ValueError, match="weight_decay"):
        optim.AdamW(problem.parameters(backend), weight_decay=-1.0)
    with pytest.raises(ValueError, match="no parameters"):
        optim.SGD([])


def test_refuses_a_foreign_state(backend, problem):
    adam = optim.Adam(problem.parameters(backend))
    with pytest.raises(ValueError, match="saved by another optimizer"):
        adam.load_state_dict(optim.SGD(problem.parameters(backend)).state_dict())
    other = optim.Adam([Parameter(np.zeros(1000), backend=backend)])
    with pytest.raises(ValueError, match="another model"):
        adam.load_state_dict(other.state_dict())


def test_a_state_of_adam_with_means_becomes_one_with_sums(backend):
    """As versions saved it that kept m = b1 m + (1 - b1) g: the steps after it are the same."""
    def descend(optimizer, steps):
        for _ in range(steps):
            for p in optimizer.parameters:
                p.grad = backend.multiply(p._data, 2.0)
            optimizer.step()

    start = np.arange(1.0, 4.0)
    going_on, loaded = (optim.Adam([Parameter(start, "p", "float64", backend)], lr=0.1) for _ in range(2))
    descend(going_on, 3)
    state = going_on.state_dict()
    old = {"lr": state["lr"], "count": state["count"],
           "mean": 0.1 * state["sum"], "square": 0.001 * state["square_sum"]}
    loaded.parameters[0].assign(going_on.parameters[0].numpy())
    loaded.load_state_dict(old)
    for optimizer in (going_on, loaded):
        descend(optimizer, 3)
    np.testing.assert_allclose(loaded.parameters[0].numpy(), going_on.parameters[0].numpy(), rtol=1e-12)
    assert (going_on.parameters[0].numpy() != start).all()
