"""Complaints name the command's options, not the arguments that they are in Python."""

from __future__ import annotations

import pytest

from miniae.cli import _parser
from miniae.cli.wording import in_options


@pytest.mark.parametrize("command, message, said", [
    ("train", "unknown on_nan 'x': expected one of stop, skip", "unknown --on-nan 'x': expected one of stop, skip"),
    ("train", "batch_size must be an integer", "--batch-size must be an integer"),
    ("train", "use_labels needs labels: leave it out", "--use-labels needs labels: leave it out"),
    ("train", "can't be tied: Leave tied out", "can't be tied: Leave --tied out"),
    ("train", "scale the data (scaling='minmax')", "scale the data (--scaling minmax)"),
    ("train", "got code_activation='relu'", "got --set code_activation=relu"),
    ("train --set beta=1", "got beta=1", "got --set beta=1"),
    ("train", "epochs of data in epochs.csv: column 'batch_size'", "epochs of data in epochs.csv: column 'batch_size'"),
    ("train", "runs/on_nan-1/batch_size does not exist", "runs/on_nan-1/batch_size does not exist"),
    ("train --config a.json", "unknown loss 'l3', lr must be above 0", "unknown loss 'l3', lr must be above 0"),
    ("train --config a.json --loss l3", "unknown loss 'l3'", "unknown --loss 'l3'"),
    ("series d.safetensors s.npy", "too few: give window=64, held_out=0", "too few: give --window 64, --held-out 0"),
    ("series d.safetensors s.npy", "fewer than a window of 64", "fewer than a window of 64"),
    ("search i.safetensors x", "k must be an integer", "-k must be an integer"),
    ("encode m.safetensors x", "unknown backend 'x': use the backend numpy",
     "unknown --backend 'x': use the backend numpy"),
])
def test_names_of_arguments(command, message, said):
    assert in_options(message, _parser().parse_args(command.split())) == said


def test_what_commands_print(miniae, table, tmp_path):
    def complaint(*arguments):
        code, _, err = miniae(*arguments)
        assert code == 2
        return err.splitlines()[-1]

    train = ("train", "--data", table, "--label", "kind", "--out", tmp_path / "run")
    assert "the model autoencoder has no use for labels: leave --use-labels out" in complaint(*train, "--use-labels")
    assert "got --set code_activation=relu" in complaint(
        *train, "--model", "variational", "--set", "code_activation=relu")
    assert "--held-out is a share of the moments" in complaint(
        "series", tmp_path / "d.safetensors", table, "--label", "kind", "--fit", "--held-out", 3)
    assert "--window must be" in complaint(
        "series", tmp_path / "d.safetensors", table, "--label", "kind", "--fit", "--window", 1)
