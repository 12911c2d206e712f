"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from cuda_on_cpu import CublasOnCPU, CupyOnCPU
from kernel_report import kernel_report

import miniae
from miniae.backend import BackendUnavailable, get
from miniae.backend.cublas import Cublas
from miniae.backend.cupy import CupyBackend


@pytest.fixture(params=["numpy", "strict", "cupy"])
def backend(request):
    """Each backend in turn, as the default one. CuPy is skipped, with the reason, where there is no GPU."""
    try:
        be = get(request.param)
    except BackendUnavailable as why:
        pytest.skip(str(why))
    with miniae.use_backend(be):
        yield be


@pytest.fixture(scope="session")
def cuda_on_cpu(tmp_path_factory):
    """The CuPy backend with its kernels run on the CPU, and a cuBLAS of its own there."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to run the CUDA sources on the CPU")
    cupy = CupyOnCPU(tmp_path_factory.mktemp("cuda"))
    return CupyBackend(cupy, None, Cublas(cupy, CublasOnCPU(cupy, tmp_path_factory.mktemp("cublas"))))


@pytest.fixture(params=["numpy", "strict", "cupy", "cuda_on_cpu"])
def any_backend(request):
    """Every backend, and the CUDA sources on the CPU."""
    if request.param == "cuda_on_cpu":
        return request.getfixturevalue("cuda_on_cpu")
    try:
        return get(request.param)
    except BackendUnavailable as why:
        pytest.skip(str(why))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets that MINIAE_DATA names; tests that need it skip where it is absent."""
    folder = os.environ.get("MINIAE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real data: set MINIAE_DATA to a folder with mnist/, fashion-mnist/, ...")
    return Path(folder)


def pytest_terminal_summary(terminalreporter):
    """A skipped test must not be mistaken for one that passed, nor a kernel's old text for its present one."""
    skipped = [str(r.longrepr) for r in terminalreporter.stats.get("skipped", [])]
    gpu = sum("backend cupy" in why for why in skipped)
    if gpu:
        terminalreporter.write_line(f"{gpu} tests need an NVIDIA GPU and did not run here")
    for line in kernel_report():
        terminalreporter.write_line(line)
