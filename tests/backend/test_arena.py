"""The arena: the same buffers step after step, and never one that somebody still holds."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.backend.arena import Arena


@pytest.fixture
def arena(backend):
    return Arena(backend.xp.empty)


def step(be, arena, shapes=((3, 4), (2,), (3, 4))):
    """The ids of the buffers that one step gets, all let go at its end."""
    with be.arena(arena):
        return [id(a) for a in [be.empty(s, np.dtype("float32")) for s in shapes]]


def test_a_step_gets_the_buffers_of_the_step_before(backend, arena):
    first = step(backend, arena)
    assert len(set(first)) == 3  # within a step all are different
    assert step(backend, arena) == first == step(backend, arena)
    assert arena.allocations == 3


def test_a_buffer_let_go_within_the_step_is_not_handed_out_again_in_it(backend, arena):
    with backend.arena(arena):
        ids = set()
        for _ in range(5):
            ids.add(id(backend.empty((2,), np.dtype("float32"))))
    assert len(ids) == 5


def views(be, a):
    return [a[1:], a.T, a.reshape(-1), a[0], a[:, None], a[1:][1:], be.xp.expand_dims(a, 0), a[0][0:1].reshape(1, 1)]


@pytest.mark.parametrize("kind", [None, *range(8)])
def test_a_held_buffer_is_never_overwritten(backend, arena, kind):
    """Neither one held itself (`None`) nor through a view."""
    with backend.arena(arena):
        held = backend.empty((3, 4), np.dtype("float32"))
        backend.fill(held, 5.0)
        if kind is not None:
            held = views(backend, held)[kind]
    for _ in range(3):
        with backend.arena(arena):
            backend.fill(backend.empty((3, 4), np.dtype("float32")), -1.0)
    assert (backend.to_host(held) == 5.0).all()
    assert arena.allocations == 2  # the slot got one fresh buffer, used from then on


def test_another_shape_or_dtype_gets_another_buffer(backend, arena):
    """A smaller last batch works, whichever batch comes before."""
    for rows, dtype in ((4, "float32"), (3, "float32"), (4, "float64"), (4, "float32")):
        with backend.arena(arena):
            a = backend.empty((rows, 2), np.dtype(dtype))
            assert a.shape == (rows, 2) and a.dtype == dtype
            del a


def test_steps_of_different_lengths(backend, arena):
    long = step(backend, arena)
    assert step(backend, arena, ((3, 4),)) == long[:1]
    assert step(backend, arena) == long


def test_arenas_nest(backend, arena):
    """An arena within an arena leaves the outer one where it was."""
    outer = step(backend, arena, ((2,), (2,)))
    with backend.arena(arena):
        a = backend.empty((2,), np.dtype("float32"))
        with backend.arena():
            b = backend.empty((2,), np.dtype("float32"))
        c = backend.empty((2,), np.dtype("float32"))
    assert [id(a), id(c)] == outer and id(b) not in outer


def test_outside_an_arena_every_array_is_new(backend):
    arrays = [backend.empty((2,), np.dtype("float32")) for _ in range(3)]
    assert len({id(a) for a in arrays}) == 3


def test_an_error_ends_the_arena(backend, arena):
    with pytest.raises(ZeroDivisionError):
        with backend.arena(arena):
            raise ZeroDivisionError
    a = backend.empty((3, 4), np.dtype("float32"))
    assert arena.allocations == 0 and a.shape == (3, 4)


def test_kernels_allocate_through_the_arena_only(backend, arena):
    """A second step of the hot path allocates nothing."""
    be = backend
    x, w, b = be.zeros((5, 4), "float32"), be.zeros((4, 3), "float32"), be.zeros((3,), "float32")
    rows, index = be.zeros((9, 4), "float32"), be.asarray([1, 2, 3, 4, 5])

    def run():
        with be.arena(arena):
            y = be.affine(be.add(be.gather(rows, index), x), w, b)
            for f in (be.sigmoid, be.tanh, be.softplus, lambda y: be.leaky_relu(y, 0.1)):
                y = f(y)
            loss, grad = be.bce_logits(y, y)
            be.sum(be.leaky_relu_grad(be.tanh_grad(be.sigmoid_grad(grad, y), y), y, 0.1), axis=0)

    run()
    before = arena.allocations
    run()
    assert arena.allocations == before > 0


def test_parts_of_a_step_have_buffers_of_their_own(backend):
    """Parts that need other shapes don't take each other's slots."""
    with backend.arena() as arena:
        for _ in range(3):
            for part, shape in (("one", (2, 3)), ("two", (4,)), ("", (5,))):
                arena.rewind(part)
                backend.empty(shape, "float32")
    assert arena.allocations == 3
