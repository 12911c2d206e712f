"""The check of a GPU: that it says so where there is none, and that its checks pass where they must and can fail."""

from __future__ import annotations

import json

import numpy as np
import pytest

from miniae import gpucheck
from miniae.backend import BackendUnavailable, get


def test_without_a_gpu_it_says_so(capsys, tmp_path):
    try:
        get("cupy")
    except BackendUnavailable:
        assert gpucheck.main(["--out", str(tmp_path / "g.json")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("miniae: backend cupy") and error.count("\n") == 1
        assert not (tmp_path / "g.json").exists()
    else:
        assert gpucheck.main(["--out", str(tmp_path / "g.json")]) == 0
        assert json.loads((tmp_path / "g.json").read_text())["results"]["good"]


def test_the_checks_themselves_on_the_strict_backend(monkeypatch):
    strict, numpy = get("strict"), get("numpy")
    assert max(gpucheck.check_kernels(strict, numpy).values()) <= 1.0
    losses = gpucheck.check_training(strict, numpy)
    assert losses["autoencoder_strict"] == pytest.approx(losses["autoencoder_numpy"], rel=1e-5)
    assert losses["rbm_strict"] == pytest.approx(losses["rbm_numpy"], rel=1e-5)
    original = type(strict).softplus
    monkeypatch.setattr(type(strict), "softplus", lambda self, x, out=None: original(self, x, out) * 1.001)
    assert gpucheck.check_kernels(strict, numpy)["softplus"] > 1.0
    assert np.isfinite(list(losses.values())).all()
