"""The README's tables agree with the result files, and its Python runs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_tables_are_those_of_the_results():
    assert subprocess.run([sys.executable, ROOT / "benchmarks" / "tables.py", "--check"]).returncode == 0


@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")  # after an epoch of 300 images
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    """All blocks, one after the other as a reader would, on less data and for an epoch each."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    needs = {"sklearn": "sklearn", "onnx": "onnx", "onnxruntime": "onnxruntime", "import torch": "torch"}
    missing = [words for words, package in needs.items() if importlib.util.find_spec(package) is None]
    blocks = [block for block in blocks if not any(name in block for name in missing)]
    assert len(blocks) >= 8
    code = "\n".join(blocks)
    for slow, quick in ((r"epochs=\d+", "epochs=1"), (r"steps=\d+", "steps=2"), (r"0, 1, 1000", "0, 1, 20"),
                        (r"(TextureInspector|PatchDenoiser)\(\)", r"\1(updates=20)"),
                        (r"images\[:9000\]", "images[:200]"),
                        (r"images\[9000:\]", "images[200:300]"), (r"1000, 500, 250, 30", "20, 10, 5, 3"),
                        (r'load\("digits"\)', 'load("digits"); digits = small(digits)')):
        code, count = re.subn(slow, quick, code)
        assert count, slow
    monkeypatch.chdir(tmp_path)

    def small(data):
        import dataclasses

        return dataclasses.replace(data, train=data.train[:300], train_labels=data.train_labels[:300],
                                   test=data.test[:100], test_labels=data.test_labels[:100])

    exec(compile(code, "README.md", "exec"), {"small": small})
    assert (tmp_path / "digits.safetensors").exists()


@pytest.mark.parametrize("name", ["examples", "benchmarks"])
def test_every_script_is_python_that_compiles(name):
    for path in (ROOT / name).glob("*.py"):
        compile(path.read_text(), str(path), "exec")
