"""The CUDA sources: that they compile for real GPUs, and how CupyBackend launches them. None of this needs a GPU."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from miniae.backend import kernels
from miniae.backend.base import Backend
from miniae.backend.kernels import FILES, hashes, instances, source

BROKEN = source("elementwise") + """
template <typename T> __global__ void broken(T* y, long long n) { FOR_EACH(i, n) y[i] = x; }
"""


def nvrtc():
    """The compiler that CuPy uses, from the wheel nvidia-cuda-nvrtc."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(p) for p in spec.submodule_search_locations] if spec else []
    libraries = [lib for f in folders for lib in sorted(f.glob("*/lib/libnvrtc.so.*"))]
    if not libraries:
        pytest.skip("needs the package nvidia-cuda-nvrtc to compile the CUDA sources as CuPy does")
    for builtins in libraries[-1].parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(libraries[-1]))


def compile_with_nvrtc(source, names, architecture):
    """Whether it compiles, and the compiler's messages."""
    lib, program = nvrtc(), ctypes.c_void_p()
    assert lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None) == 0
    try:
        for name in names:
            assert lib.nvrtcAddNameExpression(program, name.encode()) == 0
        options = [b"--std=c++17", f"--gpu-architecture={architecture}".encode()]
        status = lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        size = ctypes.c_size_t()
        lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        lib.nvrtcGetProgramLog(program, log)
        return status == 0, log.value.decode()
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def compile_with_nvcc(source, names, architecture, folder):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("needs nvcc")
    file = folder / "kernels.cu"
    uses = "".join(f"auto use_{i} = {name};\n" for i, name in enumerate(names))  # a template is compiled when used
    file.write_text(source + uses)
    done = subprocess.run([nvcc, "-cubin", "-std=c++17", f"-arch={architecture}", file, "-o", folder / "kernels.cubin"],
                          capture_output=True, text=True)
    return done.returncode == 0, done.stderr


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("file", FILES)
def test_the_sources_compile_with_nvrtc(file, architecture):
    compiled, log = compile_with_nvrtc(source(file), instances(file), architecture)
    assert compiled, log


@pytest.mark.parametrize("file", FILES)
def test_the_sources_compile_with_nvcc(file, tmp_path):
    """For one kind of GPU: the compiler above is the same inside."""
    compiled, log = compile_with_nvcc(source(file), instances(file), "sm_90", tmp_path)
    assert compiled, log
    binary = (tmp_path / "kernels.cubin").read_bytes()
    for name in instances(file):
        assert name.split("<")[0].encode() in binary


def test_a_mistake_in_the_sources_is_found(tmp_path):
    """Templates are really instantiated by the two tests above."""
    compiled, log = compile_with_nvrtc(BROKEN, ["broken<float>"], "sm_90")
    assert not compiled and '"x" is undefined' in log
    compiled, log = compile_with_nvcc(BROKEN, ["broken<float>"], "sm_90", tmp_path)
    assert not compiled and '"x" is undefined' in log


def test_every_kernel_of_the_sources_is_listed():
    for file in FILES:
        written = {part.split("(")[0].strip() for part in source(file).split("__global__ void ")[1:]}
        assert {name.split("<")[0] for name in instances(file)} == written
    names = [name for file in FILES for name in instances(file)]
    assert len(set(names)) == len(names)  # a kernel is asked for by its name alone
    assert {p.stem for p in Path(kernels.__file__).with_name("cuda").glob("*.cu")} == set(FILES)


def test_the_hash_of_a_kernel_is_of_its_own_text_and_of_what_it_shares(monkeypatch):
    before, text = hashes(), source("random")

    def changed_by(old, new):
        monkeypatch.setattr(kernels, "source", lambda file: text.replace(old, new) if file == "random" else "")
        return {kernel for kernel, value in hashes().items() if value != before[kernel]}

    assert changed_by("radius * cos(angle)", "radius * sin(angle)") == {"box_muller"}
    assert changed_by("round < 10", "round < 7") == {"box_muller", "philox_bernoulli", "philox_mask",
                                                              "philox_uniform"}
    assert not changed_by("", "")


@pytest.mark.parametrize("n", [1, 255, 256, 257, 5000])
def test_any_grid_covers_any_size(cuda_on_cpu, monkeypatch, n):
    """Every element is written, and none beyond, when threads take several elements each."""
    monkeypatch.setattr(kernels, "_MOST_BLOCKS", 2)
    memory = np.full(n + 64, 7.0, "float32")
    cuda_on_cpu.sigmoid(np.zeros(n, "float32"), out=memory[:n])
    assert (memory[:n] == 0.5).all() and (memory[n:] == 7.0).all()


@pytest.mark.parametrize("n", [1, 3, 7, 8, 9, 4097])
def test_random_numbers_stay_within_their_array(cuda_on_cpu, dtype, n):
    memory = np.full(n + 64, 7.0, dtype)
    for draw in (cuda_on_cpu.philox_uniform, cuda_on_cpu.philox_normal):
        draw(memory[:n], 0, 0, np.zeros(1, "int64"))
        assert (memory[:n] != 7.0).all() and (memory[n:] == 7.0).all()
    for first in (1, 5, 8, 11):
        memory = np.full(n + 64, 7.0, dtype)
        cuda_on_cpu.philox_uniform(memory[32:32 + n], 0, 0, np.zeros(1, "int64"), first)
        assert (memory[:32] == 7.0).all() and (memory[32:32 + n] != 7.0).all() and (memory[32 + n:] == 7.0).all()


def test_what_the_kernels_do_not_take_goes_to_the_reference(cuda_on_cpu):
    """Half precision, strided arrays, broadcasting."""
    rng = np.random.default_rng(0)
    for dtype in ("float16", "float32"):
        x = rng.standard_normal((6, 8)).astype(dtype)[:, ::2]
        t = rng.uniform(size=(6, 4)).astype(dtype)
        reference = Backend(np)
        for name, args in (("sigmoid", (x,)), ("softplus", (x,)), ("sigmoid_grad", (x, t)), ("leaky_relu", (x, 0.1)),
                           ("leaky_relu_grad", (x, t, 0.1)), ("tanh_grad", (x, t))):
            np.testing.assert_array_equal(getattr(cuda_on_cpu, name)(*args), getattr(reference, name)(*args))
        for name in ("squared_error", "bce_logits"):
            for mine, theirs in zip(getattr(cuda_on_cpu, name)(x, t), getattr(reference, name)(x, t), strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_random_numbers_of_other_types_are_refused(cuda_on_cpu):
    with pytest.raises(TypeError, match="float32 or float64, not float16"):
        cuda_on_cpu.philox_uniform(np.empty(3, "float16"), 0, 0, np.zeros(1, "int64"))
