"""The example that recommends films, on films that are made up and, where they are there, on real ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "recommend_films.py"


def run(folder, data):
    paths = os.pathsep.join(filter(None, [str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, SCRIPT], cwd=folder, capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": paths, "MINIAE_DATA": str(data)})
    assert (folder / "runs/examples/recommend_films.png").read_bytes().startswith(b"\x89PNG")
    return [float(n) for n in re.search(r"RMSE of .*: ([\d.]+), by biases alone ([\d.]+)", done.stdout).groups()], \
        re.findall(r"^ *[\d.]+  (.*)$", done.stdout, re.M)


def test_films_that_are_made_up(tmp_path):
    (ours, biases), films = run(tmp_path, tmp_path)
    assert ours < 0.9 * biases
    assert sum(film.startswith("comedy") for film in films) >= 8  # which is the taste of user 0


def test_real_films(tmp_path, data_dir):
    if not (data_dir / "ml-100k").is_dir():
        pytest.skip("needs MovieLens 100K: ml-100k in the folder that MINIAE_DATA names")
    (ours, biases), films = run(tmp_path, data_dir)
    assert ours < 0.935 and biases == pytest.approx(0.9547, abs=0.002) and len(films) == 10
