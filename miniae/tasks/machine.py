"""What a measurement was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from miniae.backend import BackendUnavailable, get

__all__ = ["machine"]


def machine(packages: Sequence[str] = ("numpy",)) -> dict[str, Any]:
    """Cores, processor, GPU, and the versions of Python and of those packages that are installed."""
    try:
        gpu = get("cupy").device_info()["device"]
    except BackendUnavailable:
        gpu = None
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"cores": os.cpu_count(), "cpu": _processor(), "gpu": gpu, "versions": versions}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
