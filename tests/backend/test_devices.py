"""Which of several GPUs."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from cuda_on_cpu import CupyOnCPU

import miniae
from miniae import Autoencoder, backend
from miniae.backend import BackendUnavailable, cupy, get
from miniae.cli import main
from miniae.models import load, save


@pytest.fixture
def three(monkeypatch, tmp_path, cuda_on_cpu):
    """A machine with three GPUs, of which none is in use; CuPy as it is on it."""
    pretended = CupyOnCPU(tmp_path)
    pretended.is_available = lambda: True
    monkeypatch.setattr(cupy, "Kernels", lambda cupy: cuda_on_cpu.kernels)  # those that are compiled
    monkeypatch.setattr(cupy, "library", lambda cuda: None)
    monkeypatch.setitem(sys.modules, "cupy", pretended)
    monkeypatch.setattr(cupy.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(backend, "_instances", {"numpy": get("numpy")})
    monkeypatch.setattr(backend, "_default", [])
    return pretended


@pytest.mark.parametrize(("wrong", "line"), [
    ("cupy:x", "backend 'cupy:x': expected the number of a device after the colon, cupy:0 say"),
    ("cupy:", "backend 'cupy:': expected the number of a device"),
    ("cupy:-1", "backend 'cupy:-1': expected the number"),
    ("cupy:1.0", "backend 'cupy:1.0': expected the number"),
    ("cupy:0:1", "backend 'cupy:0:1': expected the number"),
    ("numpy:1", "backend 'numpy:1': the devices of numpy have no numbers, only those of cupy have"),
    ("auto:0", "backend 'auto:0': the devices of auto have no numbers"),
    ("gpu:0", "unknown backend 'gpu:0': expected one of auto, numpy, cupy, strict"),
    (3, "unknown backend 3: expected one of auto, numpy, cupy, strict"),
])
@pytest.mark.parametrize("use", [get, miniae.use_backend, lambda name: Autoencoder((2,), 1, backend=name).fit(
    np.zeros((3, 2), "float32"))], ids=["get", "use_backend", "a model"])
def test_names_that_no_machine_has(use, wrong, line, three):
    with pytest.raises(ValueError) as error:
        use(wrong)
    assert str(error.value).startswith(line) and "\n" not in str(error.value)


def test_the_device_of_that_number(three):
    be = get("cupy:1")
    assert (be.name, be.number, repr(be)) == ("cupy", 1, "<miniae backend cupy:1>")
    assert set(three.used) == {(threading.get_ident(), 1)}
    assert get("cupy") is get("cupy:1") is get("auto") is be
    with miniae.use_backend("cupy:1"):
        assert miniae.Tensor([1.0]).backend is be


def test_without_a_number_it_is_the_current_device(three):
    assert get("cupy").number == 0 and get("cupy:0") is get("cupy")


def test_one_device_for_a_process(three):
    get("cupy:0")
    with pytest.raises(BackendUnavailable) as error:
        get("cupy:2")
    assert str(error.value) == ("backend cupy:2: this process computes on cupy:0 already, and takes one device only; "
                                "start another process for it, with CUDA_VISIBLE_DEVICES=2 in its environment say")


def test_a_number_that_there_is_not(three):
    with pytest.raises(BackendUnavailable, match=r"^backend cupy:3: the devices that there are here go from cupy:0 to "
                                                 r"cupy:2 \(CUDA_VISIBLE_DEVICES may hide others\)$"):
        get("cupy:3")
    assert get("cupy:2").number == 2  # nothing was settled by that


@pytest.mark.parametrize("ask", [
    lambda be: be.asarray([1.0]), lambda be: be.zeros((2,), "float32"), lambda be: be.empty((2,), "float32"),
    lambda be: be.allocate((2,), "float32"), lambda be: be.room_for(3), lambda be: be.device_info(),
    lambda be: be.synchronize(), lambda be: be.arena().__enter__(),
], ids=["asarray", "zeros", "empty", "allocate", "room_for", "device_info", "synchronize", "arena"])
def test_every_thread_works_on_it(ask, three):
    """CuPy's current device is each thread's own, and the first one where a thread has said nothing."""
    be, seen = get("cupy:2"), []

    def work():
        three.used.clear()
        ask(be)
        seen.extend(three.used)
        ask(be)
        seen.append(len(three.used))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(thread.ident, 2), 1]


def test_what_is_stored_has_no_number(three, tmp_path):
    model = Autoencoder((3,), 2, epochs=1, backend="cupy:1").fit(np.random.default_rng(0).random((9, 4), "float32"))
    assert model.network_.parameters()[0].backend is get("cupy:1")
    save(tmp_path / "m.safetensors", model)
    assert b"cupy" not in (tmp_path / "m.safetensors").read_bytes()
    assert load(tmp_path / "m.safetensors", backend="numpy").network_.parameters()[0].backend is get("numpy")
    be = get("cupy:1")
    assert b"cupy" in (stored := pickle.dumps(be)) and b"cupy:1" not in stored
    assert copy.deepcopy(be) is pickle.loads(stored) is be
    backend._instances.pop("cupy")
    assert pickle.loads(stored).number == 0  # on a machine that has no other


def test_the_command_line(three, capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((30, 4)))
    out = tmp_path / "run"
    train = ["train", "--data", str(tmp_path / "x.npy"), "--layers", "3-2", "--epochs", "1", "--pretrain", "none"]
    for name, line in (("cupy:x", "expected the number"), ("numpy:1", "have no numbers"), ("cupy:7", "from cupy:0 to")):
        assert main([*train, "--backend", name, "--out", str(out)]) == 2
        err = capsys.readouterr().err
        assert line in err and err.count("\n") == 1
    assert main([*train, "--backend", "cupy:1", "--out", str(out)]) == 0
    assert get("cupy").number == 1
    assert '"backend": "cupy"' in (out / "config.json").read_text() and not any(
        b"cupy:" in path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != "run.json")
    assert '"backend": "cupy:1"' in (out / "run.json").read_text()  # where this run goes on
    capsys.readouterr()
    assert main(["backends"]) == 0
    printed = capsys.readouterr().out
    assert "cupy:0   available: pretended GPU, 1.0 GiB of memory\n" in printed
    assert "cupy:1   available: pretended GPU, 1.0 of 1.0 GiB free\n" in printed
    assert "cupy:2   available: pretended GPU, 1.0 GiB of memory\nstrict" in printed and "auto     is cupy" in printed


def test_a_number_without_cupy_is_the_usual_line():
    script = ("import importlib.util as u; f = u.find_spec\n"
              "u.find_spec = lambda name, *rest: None if name == 'cupy' else f(name, *rest)\n"
              "import miniae; miniae.use_backend('cupy:1')")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "backend cupy needs CuPy, which is not installed" in done.stderr.splitlines()[-1]


def test_models_that_are_pickled_are_as_they_were():
    x = np.random.default_rng(0).random((12, 4)).astype("float32")
    model = Autoencoder((3,), 2, epochs=1, backend="numpy").fit(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(x), model.transform(x))
