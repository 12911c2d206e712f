"""Batches cut from samples wherever these lie."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from miniae.autodiff import observe
from miniae.backend import get
from miniae.data import make_scaler
from miniae.data.rows import DeviceRows, HostRows, Kept, Order, rows_on, scaled
from miniae.models import Autoencoder

RNG = np.random.default_rng(0)


def mapped(x, tmp_path, order="C"):
    """x in a mapped file."""
    path = tmp_path / "x.npy"
    np.save(path, np.asarray(x, order=order))
    return np.load(path, mmap_mode="r")


def batch(rows, index, backend):
    order = Order.of(np.array(index, "int64"), backend)
    rows.load(order)
    return rows.batch(order)


@pytest.mark.parametrize("name", [None, "minmax", "standard"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "int16", "int64", "float32", "float64", ">f4", ">i2"])
@pytest.mark.parametrize("to", ["float32", "float64"])
@pytest.mark.parametrize("where", ["memory", "file", "columns of a file", "file in another order"])
def test_batches_are_those_of_the_scaled_array(name, dtype, to, where, backend, tmp_path):
    """Bit for bit what scaling all samples first, then converting them to the model's type, gives."""
    x = (RNG.random((23, 2, 5)) * 100).astype(dtype)
    scaler = make_scaler(name).fit(x)
    source = x if where == "memory" else mapped(x, tmp_path, "F" if where == "file in another order" else "C")
    if where == "columns of a file":
        x, source, scaler = x[:, :, 1:4], source[:, :, 1:4], make_scaler(name).fit(x[:, :, 1:4])
    expected = scaler.transform(x).astype(to)
    cut = rows_on(backend, to, scaled(source, scaler))
    assert len(cut) == 23
    for index in ([3, 1, 22, 1], [0], range(23)):
        got = batch(cut, index, backend)
        assert backend.is_array(got) and got.dtype == to
        np.testing.assert_array_equal(backend.to_host(got), expected[list(index)])


def test_what_is_kept_and_what_is_not(tmp_path):
    none, x = make_scaler(None), RNG.random((6, 4)).astype("float32")
    assert scaled(x, none) is x
    for source in (x.astype("uint8"), x > 0.5, x.astype("int16"), mapped(x, tmp_path)):
        kept = scaled(source, none)
        assert isinstance(kept, Kept) and np.shares_memory(kept.array, source)
        assert kept.shape == (6, 4) and len(kept) == 6 and kept.dtype == np.float32
        np.testing.assert_array_equal(kept[2:4], source[2:4].astype("float32"))
        np.testing.assert_array_equal(np.asarray(kept), source.astype("float32"))
    assert scaled(x.astype("int64"), none).dtype == np.float32


def test_arrays_that_are_there_already_are_not_copied():
    numpy = get("numpy")
    for x in (RNG.random((6, 4)).astype("float32"), np.arange(6)):
        cut = rows_on(numpy, "float32", x)
        assert isinstance(cut, DeviceRows) and cut.array is x
    turned = RNG.random((4, 6)).astype("float32").T  # of which NumPy would gather from a copy of all
    assert rows_on(numpy, "float32", turned).array.flags.c_contiguous
    bytes_ = RNG.integers(0, 255, (6, 4)).astype("uint8")
    assert rows_on(numpy, "float32", scaled(bytes_, make_scaler("minmax"))).rows.array is bytes_


def test_bytes_go_to_the_device_as_bytes(backend):
    x = RNG.integers(0, 255, (6, 4)).astype("uint8")
    array = rows_on(backend, "float32", scaled(x, make_scaler(None))).rows.array
    assert backend.is_array(array) and array.dtype == np.uint8


def test_integers_stay_integers(backend):
    """Given to the trainer by themselves they are labels."""
    assert batch(rows_on(backend, "float32", np.arange(5)), [4, 2], backend).dtype == np.int64


@pytest.mark.parametrize("kind", ["bytes", "file", "both"])
def test_a_steady_batch_allocates_nothing(kind, backend, tmp_path):
    x = RNG.integers(0, 255, (600, 400)).astype("float32" if kind == "file" else "uint8")
    source = x if kind == "bytes" else mapped(x, tmp_path)
    cut, counts = rows_on(backend, "float32", scaled(source, make_scaler("standard").fit(x))), []
    orders = [Order.of(RNG.permutation(600)[:100], backend) for _ in range(6)]
    with backend.arena() as arena:
        for order in orders:
            arena.rewind()
            cut.load(order)
            cut.batch(order)
            counts.append(arena.allocations)
        assert counts[0] == counts[-1] > 0
        if backend.name == "numpy":
            tracemalloc.start()
            arena.rewind()
            cut.load(orders[0])
            cut.batch(orders[0])
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 80_000  # a buffer that NumPy converts through; the batch has 160,000 bytes


@pytest.mark.parametrize("kind", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("name", [None, "standard"])
def test_a_batch_may_be_asked_for_again(kind, name, backend, tmp_path):
    """As a line search does: scaling leaves what was loaded as it is."""
    x = (RNG.random((20, 3)) * 100).astype(kind)
    scaler = make_scaler(name).fit(x)
    cut, order = rows_on(backend, "float64", scaled(mapped(x, tmp_path), scaler)), Order.of(np.arange(4, 9), backend)
    cut.load(order)
    for _ in range(3):
        np.testing.assert_array_equal(backend.to_host(cut.batch(order)), scaler.transform(x[4:9]).astype("float64"))


def test_rows_from_the_host_lie_in_one_array_for_each_size(backend, tmp_path):
    """Where a recorded step finds them: whatever its order says, `batch` gives what was loaded last."""
    x = RNG.random((20, 3)).astype("float32")
    cut = rows_on(backend, "float32", mapped(x, tmp_path))
    if backend.name == "cupy":
        pytest.skip("backend cupy has moved the file to the device")
    first, second, last = (Order.of(np.array(i), backend) for i in ([1, 2, 3], [7, 0, 7], [5]))
    cut.load(first, second)
    array = cut.batch(first)
    cut.load(second, last)
    assert cut.batch(first) is cut.batch(second) is array
    cut.load(last)
    assert cut.batch(last) is not array
    np.testing.assert_array_equal(backend.to_host(array), x[[7, 0, 7]])
    np.testing.assert_array_equal(backend.to_host(cut.batch(last)), x[[5]])


def test_batches_are_loaded_outside_of_the_step(backend, tmp_path, monkeypatch):
    """In training, evaluation and validation: each before its step, and along with it what comes next."""
    x, events = RNG.random((22, 6)).astype("float32"), []

    class Noted(HostRows):
        def load(self, order, following=None):
            events.append((len(order), following and len(following)))
            super().load(order, following)

        def batch(self, order):
            events.append("batch")
            return super().batch(order)

    monkeypatch.setattr("miniae.data.rows.HostRows", Noted)
    monkeypatch.setattr(type(backend), "room_for", lambda self, nbytes, in_file=False: False)
    model = Autoencoder((4,), 2, epochs=1, batch_size=8, backend=backend)
    model.fit(x, validation=x[:9])
    assert events == [(8, 8), "batch", (8, 6), "batch", (6, None), "batch", (8, 1), "batch", (1, None), "batch"]


def test_an_observer_is_told_of_what_comes_from_the_host(tmp_path):
    x, told = RNG.random((20, 3)).astype("float32"), []
    numpy, order = get("numpy"), Order.of(np.arange(4), get("numpy"))
    with observe(lambda what, compute, *arguments: (told.append(what), compute(*arguments))):
        for source, stages in ((x, []), (mapped(x, tmp_path), ["data feeding"])):
            cut = rows_on(numpy, "float32", source)
            cut.load(order)
            assert told == stages
            np.testing.assert_array_equal(cut.batch(order), x[:4])
