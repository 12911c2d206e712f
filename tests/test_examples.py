"""The examples in their quick form, as a user runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, folder: Path) -> str:
    """What an example prints, run in that folder."""
    done = subprocess.run([sys.executable, EXAMPLES / name, "--quick"], cwd=folder, capture_output=True, text=True,
                          env={"PYTHONPATH": str(EXAMPLES.parent), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_intrusions_are_found(tmp_path):
    out = run("detect_intrusions.py", tmp_path)
    assert re.search(r"20 attacks; \d+ are reported, (19|20) of them attacks", out)
    assert float(re.search(r"detector: ROC-AUC ([\d.]+)", out)[1]) > 0.99
    assert (tmp_path / "runs/examples/detect_intrusions.png").stat().st_size > 5000


def test_images_are_compressed(tmp_path):
    out = run("compress_images.py", tmp_path)
    files = re.findall(r"quality \d+: [\d,]+ bytes, ([\d.]+) bits a pixel, ([\d.]+) dB", out)
    bits, decibels = np.array(files, float).T
    assert (np.diff(bits) > 0).all() and (np.diff(decibels) > 2).all()
    assert bits[0] < 0.6 and decibels[-1] > 27
    assert (tmp_path / "runs/examples/compress_images.png").stat().st_size > 5000
    assert (tmp_path / "runs/examples/page.mae").stat().st_size < 280 * 280 / 3
