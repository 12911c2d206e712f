"""Which of the CUDA kernels are no longer, or were never, those that ran on a GPU."""

from __future__ import annotations

import json
from pathlib import Path

from miniae.backend.kernels import hashes

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "gpu_check.json"


def kernel_report(path: Path = RESULTS) -> list[str]:
    """A line for the kernels whose text has changed since it ran, and one for those that never ran; none if all did."""
    current = hashes()
    if not path.exists():
        return [f"no kernel has run on a GPU yet: {len(current)} kernels"]
    recorded = json.loads(path.read_text())["kernel_sha256"]
    changed = [name for name in sorted(current) if name in recorded and recorded[name] != current[name]]
    never = sorted(current.keys() - recorded.keys())
    return [f"{what}: {', '.join(names)}" for what, names in (
        ("kernels changed since they last ran on a GPU", changed), ("kernels that never ran on a GPU", never)) if names]
