"""Models for other programs, from the command line."""

from __future__ import annotations

import numpy as np
import pytest

import miniae as library
from miniae.data import read
from miniae.exchange import read_tensors


def test_onnx(trained, table, miniae, tmp_path):
    pytest.importorskip("onnx", reason="ONNX files are written by the package onnx")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX graphs are checked by onnxruntime")
    path, x = trained / "model.safetensors", read(table, label="kind").X.astype(np.float32)
    model = library.load(path)
    for part, expected in (("encode", model.transform(x)), ("reconstruct", model.reconstruct(x))):
        code, out, _ = miniae("export", path, tmp_path / "m.onnx", "--part", part)
        assert code == 0 and f"what Autoencoder computes, {part}" in out
        session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-5)
    detector = library.AnomalyDetector(updates=5, hidden=4).fit(x)
    detector.save(tmp_path / "detector.safetensors")
    assert miniae("export", tmp_path / "detector.safetensors", tmp_path / "d.onnx")[0] == 0
    score = runtime.InferenceSession(tmp_path / "d.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    np.testing.assert_allclose(score, detector.anomaly_score(x), rtol=1e-5)
    code, _, err = miniae("export", path, tmp_path / "n.onnx", "--part", "score")
    assert code == 2 and "has no part 'score'" in err and not (tmp_path / "n.onnx").exists()


def test_without_the_package(trained, miniae, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    code, _, err = miniae("export", trained / "model.safetensors", tmp_path / "m.onnx")
    assert code == 2 and "pip install 'miniae[onnx]'" in err and err.count("\n") == 1


def test_weights_for_pytorch(trained, miniae, tmp_path):
    path = trained / "model.safetensors"
    code, out, _ = miniae("export", path, tmp_path / "w.safetensors")
    state = read_tensors(tmp_path / "w.safetensors")
    assert code == 0 and "class Model(nn.Module):" in out and "nn.Linear(5, 4)" in out
    np.testing.assert_array_equal(state["encoder.0.weight"], library.load(path).encoder_[0].weight.numpy().T)


def test_a_module_of_pytorch(trained, miniae, tmp_path):
    torch = pytest.importorskip("torch", reason="the module is PyTorch's")
    path, x = trained / "model.safetensors", np.random.default_rng(0).random((9, 5), np.float32)
    assert miniae("export", path, tmp_path / "twin.safetensors")[0] == 0
    code, out, _ = miniae("export", path, tmp_path / "twin.py")
    assert code == 0 and "the class Model" in out
    names: dict = {}
    exec((tmp_path / "twin.py").read_text(), names)
    twin = names["Model"]()
    twin.load_state_dict({name: torch.from_numpy(a) for name, a in read_tensors(tmp_path / "twin.safetensors").items()})
    with torch.no_grad():
        np.testing.assert_allclose(twin.eval()(torch.from_numpy(x)).numpy(), library.load(path).reconstruct(x),
                                   rtol=1e-6, atol=1e-6)


def test_bad_input(trained, miniae, tmp_path):
    path = trained / "model.safetensors"
    library.AnomalyDetector(updates=5, hidden=4).fit(np.random.default_rng(0).random((30, 3))).save(tmp_path / "d")
    for arguments, message in [
        ((path, tmp_path / "m.pt"), "expected a name that ends in .onnx, or for PyTorch in .safetensors"),
        ((path, path), "would be lost"),
        ((tmp_path / "none", tmp_path / "m.onnx"), "does not exist"),
        ((path, tmp_path / "m.safetensors", "--part", "encode"), "--part is of .onnx files"),
        ((tmp_path / "d", tmp_path / "m.safetensors"), "export it to .onnx"),
        ((tmp_path / "d", tmp_path / "m.py"), "export it to .onnx"),
        ((path, tmp_path / "m.py", "--part", "encode"), "--part is of .onnx files"),
    ]:
        code, _, err = miniae("export", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1
    assert not (tmp_path / "m.safetensors").exists() and library.load(path)
