"""The example of retrieval finds digits like the digit it is given."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from miniae.data import load
from miniae.tasks import SemanticIndex

EXAMPLE = Path(__file__).parent.parent / "examples" / "search_digits.py"


def test_search_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(EXAMPLE), "--quick"])
    runpy.run_path(str(EXAMPLE))
    shares = {name: float(share) for name, share in re.findall(r"(\w+): ([\d.]+) %", capsys.readouterr().out)}
    assert shares["cosine"] > 70 and shares["hamming"] > 50  # by chance: 10
    folder = tmp_path / "runs" / "examples"
    for metric in shares:
        assert (folder / f"search_digits_{metric}.png").stat().st_size > 1000
        index = SemanticIndex.load(folder / f"digits_{metric}.safetensors")
        assert index.search(load("digits").test[:2], 3).ids.shape == (2, 3)
