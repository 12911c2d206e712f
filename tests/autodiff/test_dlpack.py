"""Memory shared with other libraries."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from miniae import Tensor
from miniae.autodiff import dlpack, from_dlpack


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="memory is shared with PyTorch's tensors")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_torch_shares_memory_both_ways(torch, dtype):
    theirs = torch.arange(6, dtype=getattr(torch, dtype)).reshape(2, 3)
    t = from_dlpack(theirs)
    assert t.backend.name == "numpy" and t.dtype == dtype and t.shape == (2, 3)
    assert t.data.ctypes.data == theirs.data_ptr()
    theirs[0, 0] = 7
    assert t.numpy()[0, 0] == 7
    t[1, 2] = 9
    assert theirs[1, 2] == 9
    mine = Tensor(np.ones((2, 2), dtype))
    again = torch.from_dlpack(mine)
    assert again.data_ptr() == mine.data.ctypes.data
    again[0, 1] = 5
    assert mine.numpy()[0, 1] == 5
    mine[1, 0] = 3
    assert again[1, 0] == 3


def test_a_changed_array_is_noticed_by_the_tape(torch):
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    torch.from_dlpack(x.detach())[0] = 5.0
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


def test_a_change_by_the_owner_of_borrowed_memory_is_noticed_by_the_tape():
    owned = np.array([1.0, 2.0])
    x, w = from_dlpack(owned), Tensor([3.0, 4.0], dtype="float64", requires_grad=True)
    y = (x * w).sum()
    owned[0] = 5.0
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


def test_numpy_shares_memory():
    a = np.zeros(3)
    t = from_dlpack(a)
    a[0] = 1
    assert t.numpy()[0] == 1 and np.shares_memory(np.from_dlpack(t), a)
    assert t.__dlpack_device__() == (1, 0)


def test_tensors_of_tensors_of_torch_are_copies(torch, backend):
    theirs = torch.arange(4).reshape(2, 2)
    t = Tensor(theirs)
    assert t.backend is backend and t.dtype == "float32"
    theirs[0, 0] = 9
    np.testing.assert_array_equal(t.numpy(), [[0, 1], [2, 3]])


def test_a_cuda_array_goes_to_cupy(monkeypatch):
    """By a stand-in: an array that says it is on CUDA device 0, and a CuPy that takes it."""
    memory = np.ones(3, np.float32)
    theirs = SimpleNamespace(__dlpack_device__=lambda: (2, 0))
    cupy = SimpleNamespace(from_dlpack=lambda array: memory if array is theirs else None)
    backend = SimpleNamespace(name="cupy", xp=cupy, is_array=lambda a: a is memory)
    monkeypatch.setattr(dlpack, "get", {"cupy": backend}.__getitem__)
    t = from_dlpack(theirs)
    assert t._data is memory and t.backend is backend


def test_what_is_not_exchanged(torch):
    with pytest.raises(TypeError, match="expected an array with __dlpack__, got list: Tensor"):
        from_dlpack([1.0])
    with pytest.raises(TypeError, match="real numbers, got dtype int64"):
        from_dlpack(np.arange(3))
    with pytest.raises(ValueError, match="DLPack's kind 8, expected the CPU or CUDA"):
        from_dlpack(SimpleNamespace(__dlpack_device__=lambda: (8, 0)))
    with pytest.raises(BufferError, match=r"detach\(\) it first"):
        torch.from_dlpack(Tensor([1.0], requires_grad=True))
    strict = Tensor([1.0], backend="strict")
    for call in (strict.__dlpack__, strict.__dlpack_device__):
        with pytest.raises(BufferError, match=r"move it by to\('numpy'\)"):
            call()
