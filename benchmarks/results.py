"""Result files: named numbers, with the command, the date and the machine that made them."""

import datetime
import json
import os
import sys
from pathlib import Path

from miniae.tasks import machine

FOLDER = Path(__file__).parent / "results"


PEERS = ("numpy", "torch", "scikit-learn", "keras", "tensorflow", "dezero")


def write(name: str, results: dict, packages: tuple[str, ...] = PEERS) -> Path:
    """Write benchmarks/results/<name>.json, with the versions of those `packages` that are installed."""
    path = FOLDER / f"{name}.json"
    content = {
        "command": "python " + " ".join([os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "machine": machine(packages),
        "results": results,
    }
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    print(f"written to {path}")
    return path
