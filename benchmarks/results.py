"""Result files: named numbers, with the command, the date and the machine that made them."""

import datetime
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


def write(name: str, results: dict) -> Path:
    """Write benchmarks/results/<name>.json."""
    path = FOLDER / f"{name}.json"
    content = {
        "command": "python " + " ".join([os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "results": results,
    }
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    print(f"written to {path}")
    return path


def machine() -> dict:
    """Cores, processor, GPU, and the versions of what computes."""
    from miniae.backend import BackendUnavailable, get

    try:
        gpu = get("cupy").device_info()["device"]
    except BackendUnavailable:
        gpu = None
    versions = {"python": platform.python_version()}
    for package in ("numpy", "torch", "scikit-learn"):
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
