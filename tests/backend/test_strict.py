"""The pretend device refuses what a GPU would refuse, get wrong, or do slowly."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from miniae.backend import CaptureError, get
from miniae.backend.strict import StrictBackend, StrictNamespace

be = get("strict")
xp = be.xp


@pytest.fixture
def a():
    return be.asarray(np.arange(6.0).reshape(2, 3), "float32")


HOST = np.ones((2, 3), "float32")


@pytest.mark.parametrize("convert", [
    np.asarray, np.array, float, int, bool, complex, list, iter, tuple, sum,
    lambda a: a.item(), lambda a: a.tolist(), lambda a: range(a[0, 0]), lambda a: 1.0 in a, lambda a: [*a],
    lambda a: "yes" if a[0, 0] > 1 else "no", lambda a: f"{a[0, 0]:.2f}", lambda a: HOST[a], lambda a: [1, 2][a[0, 0]],
], ids=range(19))
def test_no_conversion_behind_ones_back(a, convert):
    with pytest.raises(TypeError):
        convert(a)


@pytest.mark.parametrize("mix", [
    lambda a: a + HOST, lambda a: HOST + a, lambda a: a - HOST, lambda a: HOST @ a.T, lambda a: a == HOST,
    lambda a: HOST < a, lambda a: a + np.array(2.0, "float32"), lambda a: a + [1.0, 2.0, 3.0], lambda a: a == [1.0],
    lambda a: a.__iadd__(HOST), lambda a: a.__iadd__([1.0, 2.0, 3.0]), lambda a: a.__setitem__(0, HOST[0]),
    lambda a: a[np.array([0])], lambda a: a.__setitem__(np.array([0]), 1.0), lambda a: a.fill(HOST[:1, :1]),
    lambda a: np.add(a, 1), lambda a: np.add(HOST, HOST, out=a), lambda a: np.sum(a), lambda a: np.concatenate([a, a]),
    lambda a: np.transpose(a), lambda a: np.copyto(HOST, a), lambda a: HOST.__setitem__(0, a[0]),
    lambda a: xp.add(a, HOST), lambda a: xp.add(a, [1.0, 2.0, 3.0]), lambda a: xp.exp(a, out=HOST),
    lambda a: xp.concatenate([a, HOST]), lambda a: xp.sum(HOST), lambda a: xp.sum([1.0, 2.0]),
    lambda a: xp.where(HOST > 0, a, a), lambda a: xp.zeros_like(HOST), lambda a: xp.full((2,), HOST),
    lambda a: xp.copyto(a, HOST), lambda a: xp.copyto(HOST, a), lambda a: xp.add.at(a, np.array([0]), 1.0),
    lambda a: xp.take(a, np.array([0]), axis=0), lambda a: be.to_host(HOST), lambda a: be.philox_uniform(HOST, 0, 0, a),
], ids=range(37))
def test_no_mixing_with_numpy(a, mix):
    with pytest.raises(TypeError):
        mix(a)
    assert (HOST == 1).all()


@pytest.mark.parametrize("mix", [
    lambda a, b: a + b, lambda a, b: xp.add(a, b), lambda a, b: xp.exp(a, out=b), lambda a, b: xp.copyto(a, b),
    lambda a, b: a.__setitem__(0, b[0]), lambda a, b: xp.concatenate([a, b]), lambda a, b: be.to_host(b),
    lambda a, b: be.asarray(b), lambda a, b: a @ b.T, lambda a, b: a[b > 0],
], ids=range(10))
def test_no_mixing_of_devices(a, mix):
    b = StrictBackend(1).asarray(HOST)
    assert not be.is_array(b)
    with pytest.raises(TypeError, match="device"):
        mix(a, b)


def double():
    return be.asarray(HOST, "float64")


@pytest.mark.parametrize("promote", [
    lambda a: a + double(), lambda a: xp.multiply(double(), a), lambda a: xp.add(double(), double(), out=a),
    lambda a: xp.add(a, a, out=double()), lambda a: a.__iadd__(double()), lambda a: a * np.float64(2.0),
    lambda a: a * be.asarray([1, 2, 3], "int64"), lambda a: xp.where(a > 0, a, double()),
    lambda a: xp.concatenate([a, double()]), lambda a: xp.matmul(a, double().T), lambda a: a / np.int64(3),
    lambda a: xp.add.at(a, be.asarray([0]), double()[:1]), lambda a: xp.sum(double(), axis=0, out=a[0]),
], ids=range(13))
def test_no_silent_promotion(a, promote):
    with pytest.raises(TypeError):
        promote(a)
    assert a.dtype == np.float32


def test_explicit_conversion_and_python_numbers_are_fine(a):
    assert a.astype("float64").dtype == np.float64
    b = double()
    xp.copyto(b, a)
    b[0] = a[1]
    a[...] = b
    assert be.to_host(a).tolist() == [[3, 4, 5], [3, 4, 5]]
    for result in (a * 2, 2.0 * a, a + 1, a / 3, a**2, -a, abs(a), a * np.float32(2), a @ a.T, a.mean(),
                   xp.sum(a), xp.sqrt(a), xp.zeros_like(a), xp.where(a > 0, a, 0.0)):
        assert result.dtype == np.float32 and be.is_array(result)
    assert xp.sum(a, dtype="float64").dtype == np.float64


def test_zero_dimensional_results_stay_on_the_device(a):
    for result in (a[0, 1], a.sum(), xp.max(a), a[0, 1] + 1, xp.matmul(a[0], a[0]), a[(np.int64(1), 2)]):
        assert be.is_array(result) and result.shape == ()
    view = a[0, 1]
    view[...] = 9
    assert be.to_host(a)[0, 1] == 9
    with pytest.raises(TypeError):
        len(view)


@pytest.mark.parametrize("index", [2, -3, (0, 3), (slice(None), -4)])
def test_indices_out_of_range(a, index):
    with pytest.raises(IndexError):
        a[index]
    with pytest.raises(IndexError):
        a[index] = 0.0


@pytest.mark.parametrize("wrong", [2, -3])
def test_arrays_of_indices_out_of_range(a, wrong):
    i = be.asarray([0, wrong])
    for use in (lambda: a[i], lambda: a.__setitem__(i, 0.0), lambda: xp.take(a, i, axis=0),
                lambda: xp.take(a, i, axis=0, out=be.empty_like(a)), lambda: xp.add.at(a, i, 1.0)):
        with pytest.raises(IndexError):
            use()


def test_what_cupy_lacks(a):
    for use in (lambda: xp.interp, lambda: xp.random, lambda: xp.multiply.at(a, be.asarray([0]), 1.0),
                lambda: xp.multiply.reduce):
        with pytest.raises(AttributeError):
            use()
    for use in (lambda: xp.add(a, a, where=a > 0), lambda: xp.sum(a, where=a > 0), lambda: xp.max(a, initial=0.0),
                lambda: xp.take(a, be.asarray([0]), axis=0, mode="clip"), lambda: xp.add(a, a, be.empty_like(a))):
        with pytest.raises(TypeError):
            use()
    with pytest.raises(AttributeError, match="interp is not among the functions the strict backend knows"):
        xp.interp(a, a, a)


def test_every_name_is_cupys_too():
    cupy = pytest.importorskip("cupy", reason="needs the package cupy (no GPU) to compare names with")
    assert [name for name in StrictNamespace.names if not hasattr(cupy, name)] == []
    assert hasattr(cupy.add, "at")


def test_empty_is_spoilt():
    assert np.isnan(be.to_host(be.empty((2, 3), "float32"))).all()
    assert (be.to_host(xp.empty((2,), "int64")) == np.iinfo("int64").max).all()
    assert be.to_host(xp.empty((2,), "bool")).all()
    assert np.isnan(be.to_host(xp.empty_like(be.zeros((2,), "float64")))).all()


def test_the_arenas_buffers_are_spoilt_at_every_step():
    with be.arena() as arena:
        be.fill(be.empty((2,), np.dtype("float32")), 1.0)
    with be.arena(arena):
        again = be.empty((2,), np.dtype("float32"))
    assert arena.allocations == 1 and np.isnan(be.to_host(again)).all()


@pytest.mark.parametrize("write", [
    lambda a: xp.add(a[0:2], 1.0, out=a[1:3]), lambda a: a[1:3].__iadd__(a[0:2]), lambda a: xp.exp(a, out=a.T),
    lambda a: a.__setitem__(slice(1, 3), a[0:2]), lambda a: xp.copyto(a, a.T), lambda a: xp.matmul(a, a, out=a),
    lambda a: xp.add(a, a[0], out=a), lambda a: xp.take(a, be.asarray([2, 1, 0]), axis=0, out=a),
    lambda a: xp.sum(a, axis=0, out=a[0]),
], ids=range(9))
def test_no_writing_over_an_operand_in_part(write):
    with pytest.raises(ValueError, match="writes where an operand is read"):
        write(be.zeros((3, 3), "float32"))


def test_writing_over_an_operand_as_a_whole_is_fine(a):
    xp.add(a, a, out=a)
    a *= 2.0
    a -= a
    xp.clip(a, 1.0, 2.0, out=a)
    a[...] = a
    assert be.to_host(a).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_matmul_needs_a_contiguous_target():
    with pytest.raises(TypeError, match="C-contiguous"):
        xp.matmul(be.zeros((2, 3), "float32"), be.zeros((3, 2), "float32"), out=be.zeros((2, 2), "float32").T)


def test_waits_are_counted(a):
    before = be.waits
    be.to_host(a)
    be.synchronize()
    assert be.waits == before + 2
    mask = a > 2
    a[mask]
    xp.where(mask)
    a[mask] = a[mask]
    assert be.waits == before + 6
    a[mask] = 0.0
    a[be.asarray([0, 1])] = 1.0
    xp.where(mask, a, 0.0), a.sum(), a[0], repr(a), a.shape
    assert be.waits == before + 6


def test_to_host_copies(a):
    host = be.to_host(a)
    host[...] = -1
    assert be.to_host(a)[1, 2] == 5


def test_views_share_and_copies_do_not(a):
    for view in (a[1:], a.T, a.reshape(-1), a.ravel(), a.transpose(1, 0), xp.squeeze(a), xp.expand_dims(a, 0),
                 xp.broadcast_to(a, (4, 2, 3)), xp.asarray(a), a[None]):
        assert np.shares_memory(view._a, a._a)
        assert view._source is not None
    for other in (a.copy(), xp.array(a), a + 0.0, a[be.asarray([0])], copy.deepcopy(a), a.astype("float32")):
        assert not np.shares_memory(other._a, a._a)
        assert be.is_array(other)


def test_add_at_adds_for_each_mention(a):
    xp.add.at(a, (be.asarray([0, 0, 1]), be.asarray([1, 1, 2])), 1.0)
    assert be.to_host(a).tolist() == [[0, 3, 2], [3, 4, 6]]


def test_results_are_numpys():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    a, b = be.asarray(x), be.asarray(y)
    for mine, theirs in (
        (xp.einsum("ij,kj->ik", a, b), np.einsum("ij,kj->ik", x, y)),
        (xp.tensordot(a, b, axes=((0,), (0,))), np.tensordot(x, y, ((0,), (0,)))),
        (xp.pad(a, ((1, 0), (0, 2))), np.pad(x, ((1, 0), (0, 2)))),
        (xp.stack([a, b]), np.stack([x, y])),
        (xp.argmax(a, axis=1), x.argmax(1)), (xp.arange(3), np.arange(3)), (xp.maximum(a, b), np.maximum(x, y)),
        (1.0 / a, 1.0 / x), (2.0 - a, 2.0 - x), (a % 1.0, x % 1.0), (a // 0.5, x // 0.5), (a <= b, x <= y),
        ((a > 0) & (b > 0), (x > 0) & (y > 0)), (~(a > 0), x <= 0),
        (a[::-1, 1], x[::-1, 1]), (a[a > 0], x[x > 0]), (a.min(axis=0), x.min(0)),
    ):
        np.testing.assert_array_equal(be.to_host(mine), theirs)


def test_host_data_enters_by_asarray_only():
    assert be.to_host(be.asarray([[1, 2]], "float32")).tolist() == [[1, 2]]
    assert be.asarray(3.0).shape == ()
    assert be.is_array(xp.asarray(HOST))
    assert issubclass(CaptureError, RuntimeError)
