"""Not enough memory, and memory that is given back."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from cuda_on_cpu import OutOfMemoryError

from miniae import Autoencoder
from miniae.backend.shortage import shortage
from miniae.data import rows
from miniae.training import Callback


@pytest.fixture
def small(cuda_on_cpu, monkeypatch):
    """A GPU on which no array may have more than 1000 bytes."""
    monkeypatch.setattr(cuda_on_cpu.xp.pool, "most", 1000)
    monkeypatch.setattr(cuda_on_cpu.xp, "memory", (3 * 2**20, 2**33))
    return cuda_on_cpu


@pytest.mark.parametrize("ask", [
    lambda be, x: be.allocate((20, 20), "float32"),
    lambda be, x: be.empty((20, 20), "float32"),
    lambda be, x: be.zeros((20, 20), "float32"),
    lambda be, x: be.asarray(np.zeros((20, 20)), "float32"),
    lambda be, x: be.sigmoid(x),
    lambda be, x: be.add(x, x),
    lambda be, x: be.xp.exp(x),
], ids=["allocate", "empty", "zeros", "asarray", "a kernel", "arithmetic", "a function of CuPy's"])
def test_whatever_asks_for_too_much_says_what_to_do(ask, small, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(small.xp.pool, "most", None)
        x = small.zeros((20, 20), "float32")
    small.zeros((10, 10), "float32")
    with pytest.raises(MemoryError) as error:
        ask(small, x)
    assert type(error.value) is OutOfMemoryError
    assert str(error.value) == shortage("cupy:0, pretended GPU", "0.00 MiB are wanted", 3 * 2**20, 2**33)


def test_the_line():
    line = shortage("cupy:0, a GPU", "12.00 GiB are wanted", 3 * 2**20, 2**33)
    assert line.startswith("out of memory on cupy:0, a GPU: 12.00 GiB are wanted; 3.00 MiB of 8.00 GiB are free. Lower "
                           "batch_size") and "mapped" in line and "another device" in line and "\n" not in line
    assert "free" not in shortage("the CPU", "something")


def test_the_error_of_cupy_can_be_given_another_text():
    """As `explained` does it; CuPy's own handlers find the type that they expect."""
    memory = pytest.importorskip("cupy.cuda.memory")
    error = memory.OutOfMemoryError(5, 7)
    error.args = ("another text",)
    assert isinstance(error, MemoryError) and str(error) == "another text"


def test_what_training_has_used_is_given_back(cuda_on_cpu, monkeypatch):
    """When it ends, however that is; by then the data are no longer held."""
    be, held, alive = cuda_on_cpu, [], []
    move = rows.rows_on

    def note(*args):
        held.append(weakref.ref(result := move(*args)))
        return result

    monkeypatch.setattr("miniae.training.batches.rows_on", note)
    release = be.release
    monkeypatch.setattr(be, "release", lambda: (alive.append([r() is not None for r in held]), release()))
    before = be.xp.pool.released, be.xp.pinned_pool.released
    x = np.random.default_rng(0).random((40, 3)).astype("float32")
    Autoencoder((4,), 2, epochs=1, backend=be).fit(x, validation=x[:5])
    assert alive == [[False, False]]
    assert (be.xp.pool.released, be.xp.pinned_pool.released) == (before[0] + 1, before[1] + 1)

    class Full(Callback):
        def on_batch_end(self, trainer, batch):
            raise MemoryError

    with pytest.raises(MemoryError):
        Autoencoder((4,), 2, epochs=1, backend=be).fit(x, callbacks=[Full()])
    assert len(alive) == 2


def test_release_of_other_backends(backend):
    a = backend.zeros((3,), "float32")
    backend.release()
    assert backend.to_host(a).tolist() == [0, 0, 0]
