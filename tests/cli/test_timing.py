"""The commands that take times: that all is there, never how long it took."""

from __future__ import annotations

import json

import pytest

from miniae.backend import BackendUnavailable, get
from miniae.tasks import Sizes


@pytest.mark.parametrize("name", [".", "config.json"])
def test_profile_of_a_run(name, trained, miniae, tmp_path):
    picture = tmp_path / "p.png"
    code, out, err = miniae("profile", trained / name, "--steps", 3, "--plot", picture)
    assert (code, err) == (0, "")
    for piece in ("autoencoder 5-4-2", "DenseFunction", "16x5", "optimizer", "data feeding", "the rest", "100.0 %"):
        assert piece in out, piece
    assert picture.stat().st_size > 1000


def test_profile_says_that_a_device_is_waited_for(trained, miniae, tmp_path):
    for backend, said in (("strict", True), ("numpy", False)):
        code, out, _ = miniae("profile", trained, "--steps", 1, "--backend", backend, "--plot", tmp_path / "p.png")
        assert code == 0 and (f"{backend} was waited for" in out) == said


def test_profile_of_what_is_no_run(miniae, tmp_path):
    code, _, err = miniae("profile", tmp_path)
    assert code == 2 and "config.json does not exist" in err
    (tmp_path / "config.json").write_text('{"epochs": "many"}')
    code, _, err = miniae("profile", tmp_path)
    assert code == 2 and "epochs" in err


@pytest.fixture
def tiny(monkeypatch):
    """The benchmark of arrays so small that it takes no time."""
    sizes = Sizes(products=((4, 6, 5),), elements=((3, 7),), images=((2, 3, 6),), parameters=(11,), batch=2,
                  squares=(8,), copied=4096, batches=(2,), seconds=0.0)
    monkeypatch.setattr(Sizes, "quick", classmethod(lambda cls: sizes))


def test_bench_of_backends_that_there_are(tiny, miniae, tmp_path):
    out, plot = tmp_path / "b.json", tmp_path / "b.png"
    code, printed, err = miniae("bench", "--backend", "numpy,strict", "--quick", "--out", out, "--plot", plot)
    assert (code, err) == (0, "")
    for piece in ("GFLOP/s", "GB/s", "roofline", "matmul", "conv_weight_grad", "max_pool", "step of image compressor"):
        assert piece in printed, piece
    content = json.loads(out.read_text())
    assert content["command"] == "miniae bench --quick" and content["machine"]["cores"] >= 1
    assert content["results"].keys() == {"numpy", "strict"}
    assert plot.stat().st_size > 1000


def test_bench_of_a_backend_that_there_is_not(tiny, miniae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = miniae("bench", "--quick", "--backend", "abacus")
    assert code == 2 and "unknown backend 'abacus'" in err and err.count("\n") == 1
    try:
        get("cupy")
    except BackendUnavailable:
        code, out, err = miniae("bench", "--quick", "--backend", "numpy,cupy")
        assert code == 2 and "backend cupy" in err and err.count("\n") == 1 and not out
        assert not list(tmp_path.iterdir())
        code, out, err = miniae("bench", "--quick")
        assert code == 0 and "without cupy" in err and err.count("\n") == 1 and "numpy" in out
        assert {path.name for path in tmp_path.iterdir()} == {"bench.json", "bench.png"}
