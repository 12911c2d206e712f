"""The examples in their quick form, as a user runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from miniae.data import read_wav

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, folder: Path, *options: str) -> str:
    """What an example prints, run in that folder."""
    done = subprocess.run([sys.executable, EXAMPLES / name, *(options or ["--quick"])], cwd=folder, text=True,
                          capture_output=True, env={"PYTHONPATH": str(EXAMPLES.parent), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_intrusions_are_found(tmp_path):
    out = run("detect_intrusions.py", tmp_path)
    assert re.search(r"20 attacks; \d+ are reported, (19|20) of them attacks", out)
    assert float(re.search(r"detector: ROC-AUC ([\d.]+)", out)[1]) > 0.99
    assert (tmp_path / "runs/examples/detect_intrusions.png").stat().st_size > 5000


def test_defects_of_a_texture_are_found(tmp_path):
    out = run("inspect_texture.py", tmp_path)
    shares = [int(share) for share in re.findall(r"(\d+)% of its pixels found", out)]
    assert len(shares) == 3 and min(shares) > 70
    assert float(re.search(r"ROC-AUC ([\d.]+)", out)[1]) > 0.97
    assert float(re.search(r"false alarms: ([\d.]+)%", out)[1]) < 8
    assert (tmp_path / "runs/examples/inspect_texture.png").stat().st_size > 5000


def test_a_scan_is_denoised_by_itself(tmp_path):
    out = run("denoise_scan.py", tmp_path)
    assert float(re.search(r"estimated as ([\d.]+)", out)[1]) == 0.101
    noisy, denoised = (float(re.search(rf"{what}: PSNR ([\d.]+)", out)[1]) for what in ("noisy", "denoised"))
    assert noisy < 20.5 and denoised > 29
    assert (tmp_path / "runs/examples/denoise_scan.png").stat().st_size > 5000


def test_odd_heartbeats_are_found(tmp_path):
    out = run("heartbeats.py", tmp_path)
    assert "3 of 3 odd beats found" in out
    assert float(re.search(r"ROC-AUC ([\d.]+)", out)[1]) > 0.95
    assert out.count("odd from") <= 5
    assert (tmp_path / "runs/examples/heartbeats.png").stat().st_size > 5000


def test_speech_without_its_noise(tmp_path):
    out = run("denoise_speech.py", tmp_path)
    ratio = {name: float(value) for name, value in re.findall(r"^(.+): ([-\d.]+) dB$", out, re.M)}
    assert ratio["autoencoder"] > ratio["noisy"] + 1.5
    sounds = [read_wav(tmp_path / f"runs/examples/speech_{name}.wav") for name in ("clean", "noisy", "autoencoder")]
    assert len({(len(x), rate) for x, rate in sounds}) == 1
    assert (tmp_path / "runs/examples/denoise_speech.png").stat().st_size > 5000


def test_images_are_compressed(tmp_path):
    out = run("compress_images.py", tmp_path)
    files = re.findall(r"quality \d+: [\d,]+ bytes, ([\d.]+) bits a pixel, ([\d.]+) dB", out)
    bits, decibels = np.array(files, float).T
    assert (np.diff(bits) > 0).all() and (np.diff(decibels) > 2).all()
    assert bits[0] < 0.6 and decibels[-1] > 27
    assert (tmp_path / "runs/examples/compress_images.png").stat().st_size > 5000
    assert (tmp_path / "runs/examples/page.mae").stat().st_size < 280 * 280 / 3


@pytest.mark.parametrize(("name", "least", "most"), [("stacked_autoencoder", 8, 13), ("training_loop", 12, 18)])
def test_a_small_autoencoder_in_a_few_lines(name, least, most, tmp_path):
    out = run(f"{name}.py", tmp_path, "digits")
    assert least < float(re.search(r"test loss: squared error ([\d.]+) per image", out)[1]) < most
    assert (tmp_path / f"runs/examples/{name}.png").stat().st_size > 5000


def test_digits_in_the_plane(tmp_path):
    out = run("codes_in_2d.py", tmp_path)
    errors = [float(re.search(rf"{name}: squared error ([\d.]+) per image", out)[1]) for name in ("autoencoder", "PCA")]
    assert errors[0] < errors[1] - 1
    assert all((tmp_path / f"runs/examples/{name}.png").stat().st_size > 5000
               for name in ("codes_in_2d", "codes_in_2d_pca"))


def test_activations_are_compared(tmp_path):
    out = run("activations.py", tmp_path)
    errors = {name: float(error) for name, error in re.findall(r"^(\w+) +test loss: .* error +([\d.]+)", out, re.M)}
    assert max(errors[name] for name in ("relu", "selu", "elu", "gelu", "softplus")) < 35 < errors["sigmoid"] < 60
    assert re.search(r"from best to worst: (.*)", out)[1].split(", ") == sorted(errors, key=errors.get)
    assert (tmp_path / "runs/examples/activations.png").stat().st_size > 5000


def test_a_search_by_scikit_learn(tmp_path):
    pytest.importorskip("sklearn", reason="the example searches by scikit-learn")
    out = run("search_sklearn.py", tmp_path)
    right = {(int(code), float(noise)): float(share)
             for code, noise, share in re.findall(r"code +(\d+), noise ([\d.]+): ([\d.]+) % right", out)}
    assert len(right) == 9 and min(right[32, noise] - right[2, noise] for noise in (0.0, 0.3, 0.6)) > 30
    found = re.search(r"best: code (\d+), noise ([\d.]+); on the test digits ([\d.]+) %", out)
    assert right[int(found[1]), float(found[2])] == max(right.values()) and float(found[3]) > 74
    assert (tmp_path / "runs/examples/search_sklearn.png").stat().st_size > 5000


def test_a_search_by_optuna(tmp_path):
    pytest.importorskip("optuna", reason="the example searches by Optuna")
    out = run("search_optuna.py", tmp_path)
    trials, pruned, epochs, all_epochs = map(int, re.search(
        r"(\d+) trials, (\d+) pruned: (\d+) epochs of (\d+)", out).groups())
    assert trials == 20 and pruned >= 4 and epochs < 0.85 * all_epochs
    first, best = map(float, re.search(r"first ([\d.]+), best ([\d.]+),", out).groups())
    assert best < first - 2
    assert (tmp_path / "runs/examples/search_optuna.png").stat().st_size > 5000
