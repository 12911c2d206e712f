"""Rows that come from the host: in the right order, whoever is late."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from cuda_on_cpu import Stream
from cuda_queues import Event

from miniae.backend.cupy_feeding import OverlappedFeeder
from miniae.data import make_scaler
from miniae.data.rows import DeviceRows, HostRows, rows_on, scaled
from miniae.models import Autoencoder
from miniae.nn import GaussianNoise
from miniae.training import Callback

ROWS = np.arange(60.0, dtype="float32").reshape(20, 3)
# What is asked for, and what is fetched in advance: mostly what is asked for next, but not always.
ASKED = [np.array(i) for i in ([3, 1], [4, 4], [0, 19], [5, 6], [7, 8], [7, 8], [9, 10])]
FETCHED = [ASKED[1], ASKED[2], ASKED[6], ASKED[4], None, ASKED[6], None]


def gather(index, out):
    np.take(ROWS, index, axis=0, out=out)


def fed(be):
    """What steps that copy what they are fed find, and what they should find."""
    feeder = be.feeder(gather, (2, 3), "float32")
    array, found = feeder.array, [be.zeros((2, 3), "float32") for _ in ASKED]
    for asked, following, out in zip(ASKED, FETCHED, found, strict=True):
        feeder.take(asked)
        if following is not None:
            feeder.fetch(following)
        be.copy(feeder.array, out=out)
    assert feeder.array is array
    return np.stack([be.to_host(f) for f in found]), ROWS[np.stack(ASKED)]


def test_steps_find_what_they_asked_for(any_backend):
    found, expected = fed(any_backend)
    np.testing.assert_array_equal(found, expected)


@contextlib.contextmanager
def lateness(be, who):
    be.xp.late = who
    try:
        yield
    finally:
        for queue in be.xp.queues:
            queue.run()
        be.xp.late = "copies"


@pytest.mark.parametrize("who", ["copies", "steps"])
def test_whoever_is_late(who, cuda_on_cpu):
    with lateness(cuda_on_cpu, who):
        found, expected = fed(cuda_on_cpu)
    assert isinstance(cuda_on_cpu.feeder(gather, (2, 3), "float32"), OverlappedFeeder)
    np.testing.assert_array_equal(found, expected)


def no_wait_of(the_step):
    def forget(monkeypatch, cupy):
        wait = Stream.wait_event
        monkeypatch.setattr(Stream, "wait_event", lambda self, event: None if (
            self is cupy.streams[-1]) == the_step else wait(self, event))

    return forget


@pytest.mark.parametrize("forget", [
    pytest.param(no_wait_of(True), id="a step that does not wait for the copy"),
    pytest.param(no_wait_of(False), id="a copy that does not wait for the step"),
    pytest.param(lambda monkeypatch, cupy: monkeypatch.setattr(Event, "synchronize", lambda self: None),
                 id="a buffer that is written to before it was copied"),
])
def test_a_wait_that_is_forgotten_shows(forget, cuda_on_cpu, monkeypatch):
    """The tests above can fail: each of the waits is needed if steps or copies are late."""
    forget(monkeypatch, cuda_on_cpu.xp)
    wrong = []
    for who in ("copies", "steps"):
        with lateness(cuda_on_cpu, who):
            found, expected = fed(cuda_on_cpu)
        wrong.append(not np.array_equal(found, expected))
    assert any(wrong)


def test_a_system_without_page_locked_memory(cuda_on_cpu, monkeypatch):
    def refuse(nbytes):
        raise RuntimeError("cudaErrorMemoryAllocation: out of memory")

    monkeypatch.setattr(cuda_on_cpu.xp.cuda, "alloc_pinned_memory", refuse)
    np.testing.assert_array_equal(*fed(cuda_on_cpu))


@pytest.mark.parametrize("kind", ["float32", "uint8", "file"])
def test_data_that_do_not_fit_train_the_same_model(kind, cuda_on_cpu, monkeypatch, tmp_path):
    """Whole on the device or batch by batch from the host: the same bits, with a last batch that is smaller."""
    be, x = cuda_on_cpu, np.random.default_rng(0).integers(0, 255, (250, 6)).astype("uint8")
    if kind != "uint8":
        x = x.astype("float32") / 255
    if kind == "file":
        np.save(tmp_path / "x.npy", x)
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
    weights, sources = [], []
    for free in (2**20, 100):
        monkeypatch.setattr(be.xp, "memory", (free, 0))
        rows = rows_on(be, "float32", scaled(x, make_scaler("minmax").fit(x)) if kind == "uint8" else x)
        sources.append(type(getattr(rows, "rows", rows)))
        model = Autoencoder((4,), 2, epochs=2, batch_size=12, backend=be, corruption=[GaussianNoise(0.1)], scaling=(
            "minmax" if kind == "uint8" else None)).fit(x, validation=x[:15])
        weights.append([p.numpy() for p in model.network_.parameters()])
    assert sources == [DeviceRows, HostRows]
    for on_device, from_host in zip(*weights, strict=True):
        np.testing.assert_array_equal(on_device, from_host)


def test_what_there_is_room_for(cuda_on_cpu, monkeypatch):
    """A quarter of the memory is left to the model; what the pool has in reserve counts as free."""
    be = cuda_on_cpu
    monkeypatch.setattr(be.xp, "memory", (600, 1000))
    assert be.room_for(350) and be.room_for(350, in_file=True) and not be.room_for(351)
    monkeypatch.setattr(be.xp.pool, "unused", 100)
    assert be.room_for(450) and not be.room_for(451)
    monkeypatch.setattr(be.xp.pool, "limit", 400)
    monkeypatch.setattr(be.xp.pool, "taken", 150)
    assert be.memory() == (250, 400) and be.room_for(150) and not be.room_for(151)


def test_nothing_is_on_its_way_after_an_interrupted_training(cuda_on_cpu, monkeypatch):
    """What a copy writes to goes back to the memory that others are given."""
    class Interrupted(Callback):
        def on_batch_end(self, trainer, batch):
            if batch == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(cuda_on_cpu, "room_for", lambda nbytes, in_file=False: False)
    with lateness(cuda_on_cpu, "copies"):
        with pytest.raises(KeyboardInterrupt):
            Autoencoder((2,), 1, epochs=1, batch_size=2, backend=cuda_on_cpu).fit(ROWS, callbacks=[Interrupted()])
        assert not any(queue.waiting for queue in cuda_on_cpu.xp.queues)
