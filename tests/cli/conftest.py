"""The command line, run in this process."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from miniae.cli import main


@pytest.fixture
def miniae(capsys):
    """Run a command; return (exit code, stdout, stderr)."""
    def run(*arguments) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err
    return run


@pytest.fixture
def table(tmp_path):
    """A small CSV of 60 samples, 5 features in [0, 1] and a label."""
    rng = np.random.default_rng(0)
    x = rng.random((60, 5))
    lines = ["a,b,c,d,e,kind"] + [",".join(f"{v:.4f}" for v in row) + f",{'odd' if i % 2 else 'even'}"
                                  for i, row in enumerate(x)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


QUICK = ("--layers", "4-2", "--epochs", "2", "--pretrain-epochs", "1")


@pytest.fixture
def quick():
    """Options that make a training run short."""
    return QUICK


@pytest.fixture
def trained(miniae, table, tmp_path):
    """The folder of a finished run on the table."""
    folder = tmp_path / "run"
    code, _, err = miniae("train", "--data", table, "--label", "kind", *QUICK, "--pretrain", "rbm", "--out", folder,
                          "--backend", "numpy")
    assert code == 0, err
    return folder


@pytest.fixture(autouse=True)
def arrays_for_models_of_tables():
    """Tests look at what a command has made of named columns by plain arrays."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        yield
