"""What the operands of matrix products are rounded to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import miniae
from miniae.backend import get
from miniae.backend.base import Backend
from miniae.backend.cupy import CupyBackend
from miniae.backend.image import Windows
from miniae.backend.precision import PRECISIONS
from miniae.models import Autoencoder

BITS = {"tf32": 10, "float16": 10, "bfloat16": 7}


@pytest.fixture
def at(any_backend):
    """The backend, whose precision is put back afterwards."""
    yield any_backend
    any_backend.precision = "float32"


def numbers():
    """Every exponent and both signs; ties and their neighbours; the ends of every range; what is no number."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 200_000, np.uint32)
    for dropped in (13, 16):
        ties = (bits[:20_000] & np.uint32(2**32 - 2**dropped)) | np.uint32(2 ** (dropped - 1))
        bits = np.concatenate([bits, ties, ties - np.uint32(1), ties + np.uint32(1)])
    special = np.array([0.0, -0.0, 1.0, 65504, 65519.99, 65520, -65520, 2**-14, 2**-24, 2**-25, 1.5 * 2**-24, 3e38,
                        1e-45, np.inf, -np.inf, np.nan], np.float32)
    bits = np.concatenate([bits, special.view(np.uint32), np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], np.uint32)])
    return bits[:len(bits) // 2 * 2].view(np.float32)


def agree(y, x, precision):
    with np.errstate(invalid="ignore"):  # of NaNs that signal
        np.testing.assert_array_equal(y.astype("f8"), nearest(x, precision))
    np.testing.assert_array_equal(np.signbit(y[x == 0]), np.signbit(x[x == 0]))


def nearest(x, precision):
    """By definition: of the numbers of that many bits the nearest, in a tie the even one; in float64."""
    with np.errstate(all="ignore"):
        x64 = x.astype("f8")
        _, exponent = np.frexp(x64)
        exponent = np.maximum(exponent, -13 if precision == "float16" else -125)
        step = np.ldexp(1.0, exponent - 1 - BITS[precision])
        y = np.where(np.isfinite(x64), np.rint(x64 / step) * step, x64)
        largest = (2 - 2.0 ** -BITS[precision]) * 2.0 ** (15 if precision == "float16" else 127)
        return np.where(np.abs(y) > largest, np.copysign(np.inf, y), y)


@pytest.mark.parametrize("precision", BITS)
def test_rounding_is_to_the_nearest(at, precision):
    at.precision = precision
    x = numbers()
    agree(at.to_host(at.rounded(at.asarray(x))), x, precision)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_the_gpu_rounds_to_the_same(cuda_on_cpu, precision):
    """By kernels into the numbers of 16 bits that cuBLAS gets."""
    be, x = cuda_on_cpu, numbers()
    be.precision = precision
    try:
        short = np.asarray(be._short(be.asarray(x).reshape(2, -1))).reshape(-1)
    finally:
        be.precision = "float32"
    y = short.astype("f4") if precision == "float16" else (short.astype(np.uint32) << np.uint32(16)).view("f4")
    agree(y, x, precision)


@pytest.mark.parametrize("transposed", ["", "a", "b", "ab"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_products_are_of_rounded_operands(at, precision, transposed):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((40, 30)).astype("f4"), rng.standard_normal((30, 50)).astype("f4")
    x, y = (at.asarray(m.T.copy()).T if name in transposed else at.asarray(m) for name, m in (("a", a), ("b", b)))
    exact = a.astype("f8") @ b
    expected = exact if precision == "float32" else nearest(a, precision) @ nearest(b, precision)
    at.precision = precision
    product = at.to_host(at.matmul(x, y))
    assert product.dtype == np.float32
    np.testing.assert_allclose(product, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(at.to_host(x), a)
    if precision != "float32":
        assert np.abs(product - exact).max() > 1e-4
    np.testing.assert_allclose(at.to_host(at.matmul(at.asarray(a[:, ::2]), at.asarray(b[::2]))),
                               a[:, ::2].astype("f8") @ b[::2], atol=0.3)  # strided operands


@pytest.mark.parametrize("precision", PRECISIONS)
def test_float64_is_left_alone(at, precision):
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((4, 6)), rng.standard_normal((6, 5))
    at.precision = precision
    np.testing.assert_allclose(at.to_host(at.matmul(at.asarray(a), at.asarray(b))), a @ b, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("precision", BITS)
def test_without_cublas_the_operands_are_rounded_too(cuda_on_cpu, precision):
    be = CupyBackend(cuda_on_cpu.xp)
    be.precision = precision
    a = np.random.default_rng(3).standard_normal((6, 6)).astype("f4")
    np.testing.assert_allclose(be.matmul(be.asarray(a), be.asarray(a)), nearest(a, precision) @ nearest(a, precision),
                               rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", BITS)
def test_convolutions_are_of_rounded_operands(precision):
    """Within what a rounding may change, and not within float32's."""
    from miniae.backend.image import Windows

    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((3, 2, 6, 6)).astype("f4"), rng.standard_normal((4, 2, 3, 3)).astype("f4")
    be, windows = get("numpy"), Windows((6, 6), (3, 3))
    reference = Backend(np)
    expected = reference.conv(nearest(x, precision).astype("f4"), nearest(w, precision).astype("f4"), windows)
    with miniae.use_backend(be, precision):
        np.testing.assert_allclose(be.conv(x, w, windows), expected, rtol=1e-5, atol=1e-5)


def test_it_is_an_attribute_and_an_argument():
    be = get("strict")
    assert be.precision == "float32"
    with miniae.use_backend("strict", precision="tf32"):
        assert be.precision == "tf32"
        with miniae.use_backend("strict"):
            assert be.precision == "tf32"
        be.precision = "bfloat16"
    assert be.precision == "float32"
    for wrong in (lambda: setattr(be, "precision", "int8"), lambda: miniae.use_backend("strict", "int8")):
        with pytest.raises(ValueError, match="unknown precision 'int8': expected one of float32, tf32, float16"):
            wrong()
    assert be.precision == "float32"


@pytest.mark.parametrize("precision", BITS)
def test_a_recorded_step_rounds_as_well(precision, backend, monkeypatch):
    """Weights after replayed steps are those after computed ones; and not those of float32."""
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 4)
    x = np.random.default_rng(0).random((64, 12), np.float32)

    def weights(replay, precision):
        from miniae.training import Callback

        class Set(Callback):
            def on_train_begin(self, trainer):
                trainer.replay = replay

        with miniae.use_backend(backend, precision):
            model = Autoencoder([6], 3, epochs=2, batch_size=8, backend=backend)
            model.fit(x, callbacks=[Set()])
        return model.network_.state_dict()

    replayed, computed, full = weights(True, precision), weights(False, precision), weights(True, "float32")
    for name, a in computed.items():
        np.testing.assert_array_equal(replayed[name], a)
    assert any(np.abs(full[name] - a).max() > 1e-6 for name, a in computed.items())


def test_a_run_trains_with_it_and_puts_it_back():
    from miniae.tasks import Run, RunConfig

    config = RunConfig(data="digits", layers=(4,), pretrain="none", epochs=1, backend="numpy", precision="bfloat16")
    seen = []
    job = Run(config)
    job.progress = lambda title: seen.append(get("numpy").precision) or []
    job.train = job.train[:50]
    job.execute()
    assert seen == ["bfloat16"] and get("numpy").precision == "float32"
    with pytest.raises(ValueError, match="unknown precision 'half'"):
        dataclasses.replace(config, precision="half")


def test_precision_may_be_set_by_what_use_backend_returns():
    with miniae.use_backend("numpy"):
        chosen = miniae.use_backend("numpy")
        chosen.precision = "bfloat16"
        assert get("numpy").precision == chosen.precision == "bfloat16"
        with pytest.raises(ValueError, match="bf16"):
            chosen.precision = "bf16"
        with pytest.raises(AttributeError):
            chosen.precison = "float32"
    assert get("numpy").precision == "float32"


def test_convolutions_round_on_a_device_too(cuda_on_cpu, monkeypatch):
    """Those that are computed without a matrix of windows otherwise."""
    rng, windows = np.random.default_rng(0), Windows((6, 6), (3, 3))
    x, w = rng.standard_normal((2, 3, 6, 6)).astype("f4"), rng.standard_normal((4, 3, 3, 3)).astype("f4")
    results = {}
    for be in (get("numpy"), cuda_on_cpu):
        for precision in ("float32", "bfloat16"):
            monkeypatch.setattr(be, "precision", precision)
            results[be.name, precision] = be.to_host(be.conv(be.asarray(x), be.asarray(w), windows))
    np.testing.assert_allclose(results["cupy", "bfloat16"], results["numpy", "bfloat16"], rtol=1e-5, atol=1e-5)
    assert np.abs(results["cupy", "bfloat16"] - results["cupy", "float32"]).max() > 1e-3
