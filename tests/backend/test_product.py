"""The matrix product and the convolutions of the CUDA sources, on the CPU: against NumPy, and sums written out.

Every array lies between guards: one that is read spoils the result with a NaN, one that is written is found.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from windows import WINDOWS

from miniae.backend.arena import Arena
from miniae.backend.base import Backend
from miniae.backend.cupy_product import Plan
from miniae.backend.image import Windows
from miniae.backend.kernels import source
from miniae.models import ConvolutionalAutoencoder

REFERENCE = Backend(np)
# Steps, padding and dilation of all kinds are in WINDOWS; these are larger than the tiles of a product.
LARGE = {
    "7x9": Windows((9, 18), (7, 9), (1, 2), ((2, 1), (3, 0))),
    "far apart": Windows((23, 25), (5, 4), (2, 3), ((4, 3), (0, 5)), (4, 6)),
    "a row": Windows((1, 150), (1, 20), (1, 1), ((0, 0), (9, 10))),
}
# samples, channels, filters: below, at and above the sizes of tiles (16 or 64 high, 64 or 128 wide, 16 deep)
SIZES = [(0, 2, 3), (1, 1, 1), (3, 3, 16), (2, 16, 17), (1, 5, 33), (2, 33, 5), (40, 1, 4)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def close(mine, theirs, dtype, terms=1):
    """Equal up to the rounding of sums of so many terms."""
    assert mine.dtype == theirs.dtype == dtype and mine.shape == theirs.shape
    scale = np.abs(theirs).max(initial=1.0)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=scale * 4 * math.sqrt(terms + 1) * np.finfo(dtype).eps)


# ---------------------------------------------------------------- matrices

@pytest.mark.parametrize("depth", [0, 1, 15, 16, 17, 300, 2000])
@pytest.mark.parametrize("rows, columns", [(1, 1), (3, 130), (16, 128), (33, 7), (64, 64), (65, 129), (0, 4), (4, 0)])
def test_products_of_matrices(guarded, on_device, dtype, rng, rows, columns, depth):
    a, b = rng.standard_normal((rows, depth)).astype(dtype), rng.standard_normal((depth, columns)).astype(dtype)
    close(guarded.product(on_device(a), on_device(b)), (a.astype("f8") @ b).astype(dtype), dtype, depth)
    out = guarded.empty((rows, columns), dtype)
    assert guarded.product(on_device(a), on_device(b), out=out) is out
    close(out, (a.astype("f8") @ b).astype(dtype), dtype, depth)


VIEWS = {
    "as it is": lambda a: (a, lambda m: m),
    "transposed": lambda a: (a.T, lambda m: m.T),
    "every other": lambda a: (np.repeat(np.repeat(a, 2, 0), 3, 1), lambda m: m[::2, ::3]),
    "reversed": lambda a: (a[::-1, ::-1], lambda m: m[::-1, ::-1]),
    "rows reversed, transposed": lambda a: (a[::-1].T, lambda m: m.T[::-1]),
}


@pytest.mark.parametrize("second", VIEWS)
@pytest.mark.parametrize("first", VIEWS)
def test_products_of_views(guarded, on_device, dtype, rng, first, second):
    a, b = rng.standard_normal((19, 37)).astype(dtype), rng.standard_normal((37, 70)).astype(dtype)
    operands = []
    for values, view in ((a, VIEWS[first]), (b, VIEWS[second])):
        laid_out, seen = view(values)
        operands.append(seen(on_device(np.ascontiguousarray(laid_out))))
        np.testing.assert_array_equal(operands[-1], values)
    close(guarded.product(*operands), a @ b, dtype, 37)
    wide = guarded.empty((19, 140), dtype)
    out = wide[:, ::2]
    guarded.product(*operands, out=out)
    close(out, a @ b, dtype, 37)
    assert np.isnan(wide[:, 1::2]).all()


def test_a_broadcast_row_is_a_matrix_too(guarded, on_device, rng):
    row, b = rng.standard_normal((1, 30)), rng.standard_normal((30, 5))
    a = np.broadcast_to(on_device(row), (20, 30)).view(guarded.xp.ndarray)
    assert a.strides[0] == 0
    close(guarded.product(a, on_device(b)), np.repeat(row @ b, 20, 0), np.dtype("float64"), 30)


def test_products_that_do_not_fit_are_refused(cuda_on_cpu):
    a, b = np.ones((2, 3)), np.ones((4, 5))
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(4, 5\)"):
        cuda_on_cpu.product(a, b)
    with pytest.raises(ValueError, match=r"got \(3,\) and \(3, 2\)"):
        cuda_on_cpu.product(np.ones(3), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"needs an out of \(2, 5\), got \(5, 2\)"):
        cuda_on_cpu.product(a, np.ones((3, 5)), out=np.empty((5, 2)))


def test_other_types_go_to_matmul(cuda_on_cpu, monkeypatch):
    monkeypatch.setattr(cuda_on_cpu.kernels, "launch", None)
    for dtype in ("float16", "int32"):
        a = np.arange(6, dtype=dtype).reshape(2, 3)
        np.testing.assert_array_equal(cuda_on_cpu.product(a, a.T), a @ a.T)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (16, 9, 100_000), (16, 100_000, 9), (33, 64, 2048), (64, 64, 129),
                                   (512, 512, 512), (5000, 3000, 7), (1, 1, 2**33), (8, 2**33, 27)])
def test_plans(sizes):
    """Tiles cover the result and parts the depth, each once; there are many blocks where there is much to do."""
    rows, columns, depth = sizes
    plan = Plan.of(*sizes)
    assert plan.tiles == math.ceil(rows / plan.tile[0]) * math.ceil(columns / plan.tile[1])
    assert (plan.parts - 1) * plan.k_part < depth <= plan.parts * plan.k_part
    assert plan.k_part % 16 == 0 and plan.k_part <= 2**30 and plan.parts <= 65535
    if plan.tiles < 128 and depth >= 2**15:
        assert 128 <= plan.tiles * plan.parts <= 512


def test_parts_are_added_in_their_order(guarded, on_device):
    """1e8 + 1 - 1e8 is 0 in float32: the parts of ones are lost where the part of 1e8 comes first."""
    depth = 4096
    plan = Plan.of(1, 1, depth)
    assert plan.parts > 2
    a = np.zeros((1, depth), "float32")
    a[0, 0], a[0, plan.k_part], a[0, 2 * plan.k_part] = 1e8, 1.0, -1e8
    ones = on_device(np.ones((depth, 1), "float32"))
    assert guarded.product(on_device(a), ones) == 0.0
    a[0, plan.k_part], a[0, 2 * plan.k_part] = -1e8, 1.0
    assert guarded.product(on_device(a), ones) == 1.0


@pytest.mark.parametrize("schedule", [1, 7, 130])
def test_the_order_of_the_threads_does_not_show(guarded, on_device, dtype, rng, monkeypatch, schedule):
    a, b = (on_device(rng.standard_normal(s).astype(dtype)) for s in ((30, 300), (300, 70)))
    x, w, gy = (on_device(rng.standard_normal(s).astype(dtype)) for s in ((3, 4, 7, 6), (40, 4, 3, 3), (3, 40, 7, 6)))
    windows = WINDOWS["3x3"]

    def run():
        return [guarded.product(a, b), guarded.conv(x, w, windows), guarded.conv_input_grad(gy, w, windows),
                guarded.conv_weight_grad(x, gy, windows)]

    before = run()
    monkeypatch.setattr(guarded.xp, "schedule", schedule)
    for mine, theirs in zip(run(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


PLACES = """
template <typename T> __global__ void places(long long index, Radix radix, long long* out, Channels<T> view) {
    Digits at = digits(index, radix), next = plus(at, digits(radix.low + 1, radix), radix);
    out[0] = at.high, out[1] = at.middle, out[2] = at.low;
    out[3] = next.high, out[4] = next.middle, out[5] = next.low;
    out[6] = view.place(1, at) - view.a;
}
"""


@pytest.mark.parametrize("index", [0, 11, 2**31 - 1, 2**31, 2**34 + 5])
def test_places_beyond_32_bits(cuda_on_cpu, index):
    """Too large to multiply here; the places of single elements are not."""
    middle, low, channels = 5, 7, 9
    radix = np.array([(middle, low)], [("middle", "i4"), ("low", "i4")])
    view = np.array([(0, channels, low)], [("a", "u8"), ("channels", "i4"), ("plane", "i4")])
    out = np.empty(7, "int64")
    module = cuda_on_cpu.xp.RawModule(source("product") + PLACES, options=("--std=c++17",),
                                      name_expressions=["places<float>"])
    module.get_function("places<float>")((1,), (1,), (np.int64(index), radix, out, view))
    rest, at_low = divmod(index, low)
    np.testing.assert_array_equal(out[:3], [*divmod(rest, middle), at_low])
    rest, next_low = divmod(index + low + 1, low)
    np.testing.assert_array_equal(out[3:6], [*divmod(rest, middle), next_low])
    assert out[6] == (out[0] * channels + 1) * low + at_low


# ---------------------------------------------------------------- convolutions

def operands(rng, windows, sizes, dtype):
    n, channels, filters = sizes
    return [rng.standard_normal(shape).astype(dtype) for shape in (
        (n, channels, *windows.image), (filters, channels, *windows.kernel), (n, filters, *windows.output))]


def calls(x, w, gy):
    return {"conv": (x, w), "conv_input_grad": (gy, w), "conv_weight_grad": (x, gy)}


@pytest.mark.parametrize("windows, sizes", [*itertools.product(WINDOWS.values(), SIZES),
                                            *itertools.product(LARGE.values(), SIZES[1:4]),
                                            (WINDOWS["3x3"], (1, 70, 65)), (WINDOWS["1x1"], (3, 65, 70))], ids=str)
def test_implicit_convolutions_equal_the_reference(guarded, on_device, dtype, rng, windows, sizes):
    host = operands(rng, windows, sizes, dtype)
    device = [on_device(a) for a in host]
    terms = max(math.prod(sizes[:1]) * math.prod(windows.output), max(sizes[1:]) * windows.size)
    for name, arrays in calls(*device).items():
        expected = getattr(REFERENCE, name)(*(a.astype("f8") for a in calls(*host)[name]), windows).astype(dtype)
        out = guarded.empty(expected.shape, dtype)
        assert getattr(guarded, name)(*arrays, windows, out) is out
        close(out, expected, dtype, terms)


@pytest.mark.parametrize("name", ["uneven", "by two", "dilated", "across by two"])
def test_convolutions_equal_their_sums_written_out(guarded, on_device, rng, name):
    windows = WINDOWS[name]
    x, w, gy = operands(rng, windows, (2, 3, 2), "float64")
    y, gx, gw = (np.zeros_like(a) for a in (gy, x, w))
    (above, _), (left, _) = windows.padding
    for oy, ox, i, j in np.ndindex(*windows.output, *windows.kernel):
        row = oy * windows.stride[0] + i * windows.dilation[0] - above
        column = ox * windows.stride[1] + j * windows.dilation[1] - left
        if 0 <= row < windows.image[0] and 0 <= column < windows.image[1]:
            for n, o, c in np.ndindex(2, 2, 3):
                y[n, o, oy, ox] += w[o, c, i, j] * x[n, c, row, column]
                gx[n, c, row, column] += w[o, c, i, j] * gy[n, o, oy, ox]
                gw[o, c, i, j] += gy[n, o, oy, ox] * x[n, c, row, column]
    for way in ("implicit", "columns"):
        guarded.convolution = way
        for (call, arrays), expected in zip(calls(*map(on_device, (x, w, gy))).items(), (y, gx, gw), strict=True):
            close(getattr(guarded, call)(*arrays, windows), expected, np.dtype("float64"), 100)


@pytest.mark.parametrize("windows", [*WINDOWS.values(), *LARGE.values()], ids=[*WINDOWS, *LARGE])
def test_the_implicit_computations_are_adjoint(guarded, on_device, rng, windows):
    """<conv(x, w), gy> = <x, conv_input_grad(gy, w)> = <w, conv_weight_grad(x, gy)>, with padding too."""
    x, w, gy = map(on_device, operands(rng, windows, (3, 4, 5), "float64"))
    forward = np.vdot(guarded.conv(x, w, windows), gy)
    assert np.vdot(x, guarded.conv_input_grad(gy, w, windows)) == pytest.approx(forward, rel=1e-10, abs=1e-9)
    assert np.vdot(w, guarded.conv_weight_grad(x, gy, windows)) == pytest.approx(forward, rel=1e-10, abs=1e-9)


def test_an_out_that_is_not_aligned(guarded, on_device, dtype, rng):
    """Four numbers are written at once only where they lie on a boundary of sixteen bytes."""
    windows = Windows((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)))
    x, w, _ = map(on_device, operands(rng, windows, (2, 3, 5), dtype))
    expected = guarded.conv(x, w, windows)
    memory = guarded.empty((expected.size + 4,), dtype)
    for offset in range(5):
        memory.fill(7.0)
        out = memory[offset:offset + expected.size].reshape(expected.shape)
        guarded.conv(x, w, windows, out)
        np.testing.assert_array_equal(out, expected)
        assert (memory[:offset] == 7.0).all() and (memory[offset + expected.size:] == 7.0).all()


def launched(be, monkeypatch):
    """The names of the kernels that are launched from now on."""
    names, launch = [], be.kernels.launch
    monkeypatch.setattr(be.kernels, "launch", lambda instance, *args: (names.append(instance.split("<")[0]),
                                                                       launch(instance, *args)))
    return names


def test_the_way_of_a_convolution_is_chosen_by_its_shape_or_forced(cuda_on_cpu, rng, monkeypatch):
    names = launched(cuda_on_cpu, monkeypatch)
    few, many = (operands(rng, WINDOWS["by two"], (1, 2, filters), "float32") for filters in (16, 65))

    def kernels(way, arrays):
        monkeypatch.setattr(cuda_on_cpu, "convolution", way)
        names.clear()
        for name, of in calls(*(a.view(cuda_on_cpu.xp.ndarray) for a in arrays)).items():
            getattr(cuda_on_cpu, name)(*of, WINDOWS["by two"])
        return [name for name in names if name != "add_parts"]

    implicit, columns = ["conv", "conv_input_grad", "conv_weight_grad"], ["im2col", "col2im", "im2col"]
    assert kernels("auto", few) == kernels("implicit", few) == kernels("implicit", many) == implicit
    assert kernels("auto", many) == kernels("columns", many) == kernels("columns", few) == columns
    # a stride of 2 by 2 makes four products of one in the input gradient
    assert kernels("auto", operands(rng, WINDOWS["by two"], (1, 2, 17), "float32")) == [implicit[0], "col2im",
                                                                                        implicit[2]]
    monkeypatch.setattr("miniae.backend.cupy_image._MOST_BYTES", 100)
    assert kernels("auto", many) == implicit
    with pytest.raises(ValueError, match="convolution must be one of auto, implicit, columns; got 'fast'"):
        kernels("fast", few)


@pytest.mark.parametrize("way", ["implicit", "columns"])
def test_what_the_kernels_do_not_take_goes_to_the_reference(cuda_on_cpu, rng, monkeypatch, way):
    """Half precision. Arrays that lie otherwise in memory are copied for the kernels."""
    monkeypatch.setattr(cuda_on_cpu, "convolution", way)
    windows = WINDOWS["3x3"]
    x, w, gy = operands(rng, windows, (2, 3, 4), "float64")
    turned = [np.ascontiguousarray(a.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2) for a in (x, gy)]
    names = launched(cuda_on_cpu, monkeypatch)
    for arrays, kernels in (([a.astype("float16") for a in (x, w, gy)], 0), ((turned[0], w, turned[1]), 3)):
        names.clear()
        for name, of in calls(*arrays).items():
            on_device = [a.view(cuda_on_cpu.xp.ndarray) for a in of]
            np.testing.assert_allclose(getattr(cuda_on_cpu, name)(*on_device, windows),
                                       getattr(REFERENCE, name)(*of, windows), rtol=1e-12)
        assert len([name for name in names if name != "add_parts"]) == kernels


@pytest.mark.parametrize("way", ["implicit", "columns"])
def test_convolutions_are_captured(guarded, on_device, rng, monkeypatch, way):
    """What a graph repeats uses the buffers of the arena, and sees what the arrays hold then."""
    be, windows = guarded, WINDOWS["3x3"]
    monkeypatch.setattr(be, "convolution", way)
    arrays = [on_device(a) for a in operands(rng, windows, (3, 4, 5), "float64")]
    a, b = (on_device(rng.standard_normal(s)) for s in ((4, 900), (900, 6)))
    results = {}

    def step():
        for name, of in calls(*arrays).items():
            results[name] = getattr(be, name)(*of, windows)
        results["product"] = be.product(a, b)

    arena = Arena(be.allocate)
    for _ in range(2):
        results.clear()
        with be.arena(arena):
            step()
    allocations = arena.allocations
    stream = be.xp.cuda.Stream(non_blocking=True)
    results.clear()
    with be.arena(arena), stream:
        stream.begin_capture()
        step()
        graph = stream.end_capture()
    assert arena.allocations == allocations
    for array in (*arrays, a, b):
        array[...] = rng.standard_normal(array.shape)
    graph.launch()
    close(results["product"], a @ b, np.dtype("float64"), 900)
    for name, of in calls(*arrays).items():
        close(results[name], getattr(REFERENCE, name)(*of, windows), np.dtype("float64"), 200)


# ---------------------------------------------------------------- a model

@pytest.mark.parametrize("way", ["implicit", "columns"])
@pytest.mark.parametrize("downsampling", ["stride", "pooling"])
def test_training_steps_of_an_autoencoder(cuda_on_cpu, rng, monkeypatch, downsampling, way):
    """Three steps give the numbers that NumPy gives, up to rounding."""
    monkeypatch.setattr(cuda_on_cpu, "convolution", way)
    X = rng.random((12, 2, 7, 5))
    fitted = [ConvolutionalAutoencoder((3, 4), 5, downsampling=downsampling, epochs=1, batch_size=4, dtype="float64",
                                       backend=backend).fit(X) for backend in ("numpy", cuda_on_cpu)]
    names = launched(cuda_on_cpu, monkeypatch)
    mine, theirs = (model.reconstruct(X) for model in reversed(fitted))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)
    assert ("conv" if way == "implicit" else "im2col") in names
    assert ("max_pool" in names) == (downsampling == "pooling")
