"""The example of maps: an autoencoder's codes are better maps of digits than principal components."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "map_of_digits.py"


def test_map_of_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(EXAMPLE), "--quick"])
    runpy.run_path(str(EXAMPLE))
    found = re.findall(r"(\w+), (\d) numbers: trustworthiness ([\d.]+), continuity ([\d.]+), .* ([\d.]+) %",
                       capsys.readouterr().out)
    figures = {(name, int(n)): [float(figure) for figure in rest] for name, n, *rest in found}
    for n in (2, 3):
        trust, _, right = figures["autoencoder", n]
        trust_of_pca, _, right_of_pca = figures["PCA", n]
        assert trust > trust_of_pca + 0.03 and right > right_of_pca + 5
        assert (tmp_path / f"runs/examples/map_of_digits_{n}d.png").stat().st_size > 20_000
