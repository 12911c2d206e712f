"""Choosing a backend, and what importing miniae costs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import miniae
from miniae.backend import Backend, BackendUnavailable, get, names, of


@pytest.fixture(autouse=True)
def default_again():
    with miniae.use_backend(get(None)):
        yield


def test_get_by_name():
    assert get("numpy") is get("numpy")
    assert get("strict").name == "strict"
    assert get(get("strict")) is get("strict")
    assert set(names()) == {"numpy", "cupy", "strict"}
    assert "strict" in repr(get("strict"))


def test_numpy_is_the_default():
    done = subprocess.run([sys.executable, "-c", "import miniae; print(miniae.Tensor([1.0]).backend.name)"],
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "numpy"


def test_use_backend_as_a_function():
    chosen = miniae.use_backend("strict")
    assert chosen.name == "strict" and miniae.Tensor([1.0]).backend is get("strict")
    miniae.use_backend("numpy")
    assert miniae.Tensor([1.0]).backend is get("numpy")


def test_use_backend_as_a_block():
    miniae.use_backend("numpy")
    with miniae.use_backend("strict") as be:
        assert isinstance(be, Backend) and miniae.Tensor([1.0]).backend is be
        with miniae.use_backend("numpy"):
            assert miniae.Tensor([1.0]).backend.name == "numpy"
        assert miniae.Tensor([1.0]).backend is be
    assert miniae.Tensor([1.0]).backend.name == "numpy"


def test_use_backend_puts_the_default_back_after_an_error():
    miniae.use_backend("numpy")
    with pytest.raises(ZeroDivisionError):
        with miniae.use_backend("strict"):
            raise ZeroDivisionError
    assert get(None).name == "numpy"


def test_unknown_name():
    with pytest.raises(ValueError, match=r"unknown backend 'tpu': expected one of auto, numpy, cupy"):
        miniae.use_backend("tpu")
    assert get(None).name == "numpy"


def has_gpu():
    try:
        return get("cupy").name == "cupy"
    except BackendUnavailable:
        return False


def test_auto_takes_cupy_where_it_works():
    assert get("auto").name == ("cupy" if has_gpu() else "numpy")


def test_cupy_without_a_gpu_is_one_line():
    if has_gpu():
        pytest.skip("there is a GPU here")
    with pytest.raises(BackendUnavailable) as error:
        miniae.use_backend("cupy")
    assert "\n" not in str(error.value) and "use the backend numpy" in str(error.value)
    assert isinstance(error.value, RuntimeError)
    assert get(None).name == "numpy"


MISSING = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "cupy" else find(name, *rest)
import miniae
assert miniae.use_backend("auto").name == "numpy"
miniae.use_backend("cupy")
"""


def test_cupy_without_the_package_names_the_extra():
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True)
    assert 'pip install "miniae[gpu-cuda13]"' in done.stderr.splitlines()[-1]
    assert "not installed" in done.stderr.splitlines()[-1]


def fake_cupy(folder, body):
    (folder / "cupy.py").write_text(body)
    script = f"import sys; sys.path.insert(0, {str(folder)!r}); import miniae; miniae.use_backend('cupy')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def test_a_broken_package_is_one_line(tmp_path):
    line = fake_cupy(tmp_path, "raise ImportError('libcuda.so.1 not found')")
    assert "BackendUnavailable" in line and "libcuda.so.1 not found" in line


def test_no_device_is_one_line(tmp_path):
    line = fake_cupy(tmp_path, """
is_available = lambda: False
class cuda:
    class runtime:
        getDeviceCount = lambda: 0
""")
    assert "no device" in line and "nvidia-smi" in line


def test_missing_libraries_name_the_extra(tmp_path):
    line = fake_cupy(tmp_path, """
is_available = lambda: True
class empty:
    def __init__(self, shape, dtype): pass
    def fill(self, value): pass
def matmul(a, b):
    raise RuntimeError('Failure finding libcublas.so.13')
""")
    assert "libcublas" in line and "gpu-cuda13" in line


def test_the_backend_of_an_array():
    strict = get("strict")
    assert of(np.zeros(3)) is get("numpy")
    assert of(strict.zeros((3,), "float32")) is strict
    with pytest.raises(TypeError, match="expected an array of a loaded backend"):
        of([1, 2, 3])


HEAVY = "cupy matplotlib tqdm PIL safetensors torch scipy sklearn miniae.models miniae.report miniae.cli"


def test_importing_miniae_loads_nothing_optional():
    script = f"import sys, miniae; print([n for n in {HEAVY.split()} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
