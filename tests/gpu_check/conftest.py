"""Lets these tests import the modules of the folder benchmarks."""

import sys
from pathlib import Path

import pytest

from miniae.backend import get

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def work(tmp_path):
    """A part at work, on the strict backend and in small."""
    from gpu_work import Work

    return Work(get("strict"), get("numpy"), True, 60.0, tmp_path / "part.json")
