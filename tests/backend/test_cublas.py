"""Matrix products through cuBLAS, a fake library on the CPU in its place: it checks handle, stream, workspace and
leading dimensions, which the real one takes on trust."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import pytest

from miniae.backend.cublas import _FUNCTIONS, Cublas, plain
from miniae.backend.cupy import CupyBackend

RNG = np.random.default_rng(0)
# How a matrix may lie in memory: a function that puts it there, and whether cuBLAS can read it so.
LAYOUTS = {
    "rows": (lambda xp, a: xp.array(a), True),
    "columns": (lambda xp, a: xp.array(a.swapaxes(-1, -2).copy()).swapaxes(-1, -2), True),
    "part of rows": (lambda xp, a: _within(xp, a, (0, 3))[..., :a.shape[-1]], True),
    "part of columns": (lambda xp, a: _within(xp, a.swapaxes(-1, -2), (0, 3))[..., :a.shape[-2]].swapaxes(-1, -2),
                        True),
    "every other": (lambda xp, a: xp.array(np.repeat(np.repeat(a, 2, -1), 2, -2))[..., ::2, ::2], False),
    "backwards": (lambda xp, a: xp.array(a[..., ::-1].copy())[..., ::-1], False),
}


def _within(xp, a, more):
    return xp.array(np.pad(a, [(0, 0)] * (a.ndim - 1) + [more], constant_values=np.nan))


def close(actual, expected, dtype):
    tolerance = 40 * np.finfo(dtype).eps
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("stack", [(), (1,), (3,)], ids=["matrices", "one", "three"])
@pytest.mark.parametrize(("first", "second"), list(itertools.product(LAYOUTS, LAYOUTS)))
def test_however_the_operands_lie(cuda_on_cpu, dtype, first, second, stack):
    be = cuda_on_cpu
    a, b = RNG.standard_normal((*stack, 4, 5)).astype(dtype), RNG.standard_normal((*stack, 5, 7)).astype(dtype)
    x, y = LAYOUTS[first][0](be.xp, a), LAYOUTS[second][0](be.xp, b)
    assert (plain(x), plain(y)) == (LAYOUTS[first][1], LAYOUTS[second][1])
    np.testing.assert_array_equal(x, a)
    close(be.matmul(x, y), a.astype("f8") @ b, dtype)


SIZES = [*itertools.product((1, 2), (1, 3), (1, 4)), (0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)]


@pytest.mark.parametrize("sizes", SIZES)
def test_sizes_of_one_and_nothing(cuda_on_cpu, dtype, sizes):
    """An axis of one element may have any stride."""
    be, (n, k, m) = cuda_on_cpu, sizes
    a, b = RNG.standard_normal((n, k)).astype(dtype), RNG.standard_normal((k, m)).astype(dtype)
    for first, second in itertools.product(LAYOUTS, LAYOUTS):
        out = be.asarray(np.full((n, m), np.nan, dtype))  # what was there counts for nothing
        assert be.matmul(LAYOUTS[first][0](be.xp, a), LAYOUTS[second][0](be.xp, b), out=out) is out
        close(out, a.astype("f8") @ b, dtype)


def test_an_out_with_gaps(cuda_on_cpu, dtype):
    be = cuda_on_cpu
    a, b = RNG.standard_normal((4, 5)).astype(dtype), RNG.standard_normal((5, 3)).astype(dtype)
    memory = be.asarray(np.full((4, 6), 7.0, dtype))
    be.matmul(be.asarray(a), be.asarray(b), out=memory[:, ::2])
    close(memory[:, ::2], a.astype("f8") @ b, dtype)
    assert (np.asarray(memory[:, 1::2]) == 7.0).all()


def test_what_does_not_fit_is_refused(cuda_on_cpu):
    be = cuda_on_cpu
    a, b = be.zeros((4, 5), "float32"), be.zeros((5, 3), "float32")
    with pytest.raises(ValueError):
        be.matmul(a, a)
    for out in (be.zeros((3, 4), "float32"), be.zeros((4, 3), "float64")):
        with pytest.raises(ValueError, match=r"is float32 of shape \(4, 3\)"):
            be.matmul(a, b, out=out)


def test_other_operands_go_to_cupy(cuda_on_cpu, monkeypatch):
    be = cuda_on_cpu
    monkeypatch.setattr(be.cublas, "product", None)
    for dtype, *shapes in (("int64", (2, 3), (3, 2)), ("float32", (2, 3), (3,)), ("float32", (5, 2, 3), (3, 4)),
                           ("float64", (2, 2, 2, 3), (2, 2, 3, 4))):
        a, b = (RNG.integers(9, size=shape).astype(dtype) for shape in shapes)
        np.testing.assert_array_equal(be.matmul(be.asarray(a), be.asarray(b)), a @ b)


def test_a_captured_product_is_done_by_the_graph(cuda_on_cpu):
    """On a stream of its own, with a workspace of its own, and back on the first one afterwards."""
    be, xp = cuda_on_cpu, cuda_on_cpu.xp
    a, out, stacks = (be.zeros(shape, "float32") for shape in ((4, 5), (4, 3), (2, 4, 3)))
    b = be.asarray(RNG.standard_normal((5, 3)), "float32")
    stream = xp.cuda.Stream(non_blocking=True)
    with stream:
        be.matmul(a, b, out=out)
        be.fill(out, 7.0)
        stream.begin_capture()
        be.matmul(a, b, out=out)
        be.matmul(a.reshape(2, 2, 5), xp.broadcast_to(b, (2, 5, 3)), out=stacks[:, :2])
        graph = stream.end_capture()
    assert (np.asarray(out) == 7.0).all()
    for _ in range(2):
        fresh = RNG.standard_normal((4, 5)).astype("float32")
        a[...] = fresh
        graph.launch()
        close(out, fresh @ np.asarray(b), np.float32)
        close(stacks[:, :2], fresh.reshape(2, 2, 5) @ np.asarray(b), np.float32)
    be.matmul(a, b, out=out)
    close(out, fresh @ np.asarray(b), np.float32)


def test_the_stream_is_set_when_it_has_changed_and_with_it_the_workspace(cuda_on_cpu):
    calls, xp = [], cuda_on_cpu.xp

    class Watched:
        def __getattr__(self, name):
            function = getattr(cuda_on_cpu.cublas._library, name)
            return lambda *args: (calls.append((name, *args)), function(*args))[1]

    cublas = Cublas(xp, cuda_on_cpu.cublas._library)
    cublas._library = Watched()
    a, out = xp.ones((2, 2), "float32"), xp.empty((2, 2), "float32")
    other = xp.cuda.Stream(non_blocking=True)
    for stream in (xp.streams[0], xp.streams[0], other, other, xp.streams[0]):
        with stream:
            cublas.product(a, a, out)
    assert [name for name, *_ in calls] == [
        "cublasCreate_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasGemmEx", "cublasGemmEx",
        "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasGemmEx", "cublasGemmEx",
        "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasGemmEx"]
    workspaces = [args[1] for name, *args in calls if name == "cublasSetWorkspace_v2"]
    assert workspaces[0] == workspaces[2] != workspaces[1]
    del cublas
    gc.collect()
    assert calls[-1][0] == "cublasDestroy_v2"


def test_a_failure_says_what_cublas_says(cuda_on_cpu):
    xp = cuda_on_cpu.xp
    a, out = xp.ones((2, 2), "float32"), xp.empty((2, 2), "float64")
    with pytest.raises(RuntimeError, match=r"cublasGemmEx failed: the functionality is not supported \(15\)"):
        cuda_on_cpu.cublas.product(a, a, out)


def test_the_fake_notices_a_wrong_stream_and_a_missing_workspace(cuda_on_cpu, capfd):
    """So the tests above mean something."""
    xp, cublas = cuda_on_cpu.xp, Cublas(cuda_on_cpu.xp, cuda_on_cpu.cublas._library)
    a, out = xp.ones((2, 2), "float32"), xp.empty((2, 2), "float32")
    cublas.product(a, a, out)
    cublas._library.cublasSetStream_v2(cublas._handle, xp.streams[0].ptr)
    with pytest.raises(RuntimeError, match=r"\(7\)"):
        cublas.product(a, a, out)
    assert "no workspace" in capfd.readouterr().err
    cublas._library.cublasSetStream_v2(cublas._handle, 12345)
    with pytest.raises(RuntimeError, match=r"\(7\)"):
        cublas.product(a, a, out)
    assert "not on the current stream" in capfd.readouterr().err


def test_without_cublas_products_are_the_same(cuda_on_cpu, dtype):
    be = CupyBackend(cuda_on_cpu.xp)
    a, b = RNG.standard_normal((4, 5)).astype(dtype), RNG.standard_normal((5, 3)).astype(dtype)
    for put, _ in LAYOUTS.values():
        close(be.matmul(put(be.xp, a), be.asarray(b)), a.astype("f8") @ b, dtype)


def test_the_real_library_has_these_functions():
    from miniae.backend.cublas import library

    real = library(13)
    if real is None:
        pytest.skip("needs cuBLAS")
    for name in (*_FUNCTIONS, "cublasGetStatusString"):
        assert getattr(real, name)
