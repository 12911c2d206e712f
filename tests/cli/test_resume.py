"""miniae train --resume."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from together import together

import miniae as library
import miniae.training.checkpoint as checkpoint
from miniae.backend.sharing import current_ranks
from miniae.cli import main
from miniae.data import load_tensors
from miniae.tasks import RunFolder
from miniae.training import Callback, Checkpoint, ProgressBar

QUICK = ["--layers", "4-2", "--epochs", "3", "--pretrain", "rbm", "--pretrain-epochs", "4", "--batch-size", "10",
         "--backend", "numpy"]


def kills():
    """The script that kills training runs."""
    path = Path(__file__).parents[2] / "benchmarks" / "kills.py"
    spec = importlib.util.spec_from_file_location("kills", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def history(folder):
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def check_the_same(folder, whole):
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert history(folder) == history(whole)
    measures, expected = (json.loads((f / "metrics.json").read_text()) for f in (folder, whole))
    assert {k: v for k, v in measures.items() if "second" not in k} == \
           {k: v for k, v in expected.items() if "second" not in k}


class Cut(Callback):
    """Raises an error after a number of batches of the stage with this title."""

    def __init__(self, error, batches):
        self.error, self.left = error, batches

    def on_batch_end(self, trainer, batch):
        self.left -= 1
        if self.left < 0:
            if self.error is SystemExit:  # the process is gone: nobody saves anything
                trainer.callbacks[:] = []
            raise self.error


@pytest.fixture
def cut(monkeypatch):
    """Have a stage end by an error after a number of batches, once."""
    def set_up(stage, error, batches):
        real, cuts = ProgressBar.on_train_begin, [Cut(error, batches)]

        def begin(self, trainer):
            if self.title.startswith(stage) and cuts:
                trainer.callbacks.append(cuts.pop())
            real(self, trainer)
        monkeypatch.setattr(ProgressBar, "on_train_begin", begin)
    return set_up


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They take longer than all else."""
    names = ("reconstructions", "loss_curves", "filters", "latent")
    monkeypatch.setattr("miniae.tasks.run.pictures", SimpleNamespace(**{name: lambda *a, **k: None for name in names}))


@pytest.fixture
def train(miniae, table):
    """Begin a run on the table."""
    def run(folder, *options):
        return miniae("train", "--data", table, "--label", "kind", *QUICK, "--out", folder, *options)
    return run


@pytest.mark.parametrize(("stage", "batches", "error"), [
    ("layer 1/2", 2, SystemExit), ("layer 2/2", 3, SystemExit), ("fine-tuning", 8, SystemExit),
    ("layer 1/2", 2, KeyboardInterrupt), ("fine-tuning", 8, KeyboardInterrupt), ("fine-tuning", 8, MemoryError)])
def test_a_run_goes_on_to_the_same_results(stage, batches, error, train, miniae, cut, tmp_path):
    assert train(tmp_path / "whole")[0] == 0
    folder = tmp_path / "cut"
    cut(stage, error, batches)
    if error is SystemExit:
        with pytest.raises(SystemExit):
            train(folder, "--checkpoint-every", "0")
    else:
        code, _, err = train(folder, "--checkpoint-every", "0")
        assert code and f"miniae train --resume {folder} goes on" in err
    code, _, err = miniae("train", "--resume", folder)
    assert code == 0, err
    config, expected = (json.loads((f / "config.json").read_text()) for f in (folder, tmp_path / "whole"))
    assert config == {**expected, "checkpoint_every": 0.0}
    check_the_same(folder, tmp_path / "whole")
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == [
        "fine-tuning.safetensors", "layer-1-of-2.safetensors", "layer-2-of-2.safetensors"]


def test_a_run_is_killed(table, tmp_path):
    """By SIGKILL, as it trains, once in a checkpoint's write if may be; the whole of it is benchmarks/kills.py."""
    runs = {"table": ["--data", table, "--label", "kind", *QUICK, "--epochs", "20"]}
    (found,) = kills().measure(2, 0, runs, within=0.1).values()
    assert found["same"] == found["runs"] and found["kills"] == 2


@pytest.mark.skipif(os.name != "posix", reason="stops a process by a signal")
def test_a_run_that_another_process_is_training(table, miniae, tmp_path):
    """It is refused, in one line, until that process has ended, however it does."""
    folder = tmp_path / "run"
    process = kills().train("--data", table, "--label", "kind", *QUICK, "--pretrain", "none", "--epochs", "200",
                            "--checkpoint-every", "0", "--out", folder)
    try:
        while not list(folder.glob("checkpoints/*")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        assert process.poll() is None
        before = sorted(folder.rglob("*"))
        for option in ("--resume", "--out"):
            code, out, err = miniae("train", option, folder)
            assert code == 2 and not out and err.endswith(
                f"another process is training in {folder}: wait until it has ended, or choose another folder\n")
            assert err.count("\n") == 1 and sorted(folder.rglob("*")) == before
    finally:
        process.kill()
        process.communicate()
    code, out, err = miniae("train", "--resume", folder, "--checkpoint-every", "5")
    assert code == 0 and "lock" not in out and not list(folder.glob("*lock*")), err


def test_more_epochs_are_the_same_as_if_they_had_been_asked_for_at_once(train, miniae, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    assert train(folder)[0] == 0
    code, out, _ = miniae("train", "--resume", folder)
    assert code == 0 and out == f"{folder} is complete: 3 epochs; --epochs with a larger number trains further\n"
    code, _, err = miniae("train", "--resume", folder, "--epochs", 5)
    assert code == 0, err
    assert train(whole, "--epochs", "5")[0] == 0
    check_the_same(folder, whole)
    assert json.loads((folder / "config.json").read_text())["epochs"] == 5
    code, _, err = miniae("train", "--resume", folder, "--epochs", 4)
    assert code == 2 and "is one of 5 epochs, --epochs 4 is less" in err


def test_data_that_have_changed_are_refused(train, miniae, table, cut, tmp_path):
    folder, text = tmp_path / "run", table.read_text()
    cut("fine-tuning", KeyboardInterrupt, 8)
    train(folder)
    table.write_text(text + "0.1,0.2,0.3,0.4,0.5,odd\n")
    code, _, err = miniae("train", "--resume", folder)
    assert code == 2 and "are not those that the run" in err and "48x5 and 12x5 numbers, and now are 49x5" in err
    for old, new in ((text.split(",")[6], "0.123"), (",odd", ",even")):
        table.write_text(text.replace(old, new, 1))
        code, _, err = miniae("train", "--resume", folder)
        assert code == 2 and "not the same numbers" in err
    table.unlink()
    code, _, err = miniae("train", "--resume", folder)
    assert code == 2 and "does not exist" in err
    table.write_text(text)
    assert miniae("train", "--resume", folder)[0] == 0


def test_folders_that_hold_nothing_to_go_on_from(trained, miniae, tmp_path):
    code, _, err = miniae("train", "--resume", tmp_path / "nowhere")
    assert code == 2 and "nowhere holds no run" in err
    state = (trained / "run.json").read_text()
    (trained / "run.json").write_text(state[:-20])
    code, _, err = miniae("train", "--resume", trained)
    assert code == 2 and "run.json is damaged" in err
    (trained / "run.json").write_text(state.replace('"format": 1', '"format": 9'))
    code, _, err = miniae("train", "--resume", trained)
    assert code == 2 and "install a newer miniae" in err
    (trained / "run.json").unlink()
    code, _, err = miniae("train", "--resume", trained)
    assert code == 2 and "by a version without checkpoints" in err and "--config" in err


def test_a_run_that_was_killed_before_it_had_done_anything(trained, miniae, tmp_path):
    """It has settings, and a file that was being written."""
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "config.json").write_bytes((trained / "config.json").read_bytes())
    (folder / ".run.json.abcdefgh.json").touch()
    os.utime(folder / ".run.json.abcdefgh.json", (0, 0))
    code, _, err = miniae("train", "--resume", folder)
    assert code == 0, err
    check_the_same(folder, trained)
    assert not list(folder.glob(".*"))


def test_a_run_that_was_killed_as_it_wrote_a_checkpoint(train, miniae, cut, tmp_path):
    """What is left of that is no checkpoint."""
    whole, folder = tmp_path / "whole", tmp_path / "run"
    train(whole)
    cut("fine-tuning", KeyboardInterrupt, 8)
    train(folder)
    leftover = folder / "checkpoints" / ".fine-tuning.safetensors.abcdefgh.safetensors"
    leftover.write_bytes(b"half a header")
    os.utime(leftover, (0, 0))
    code, _, err = miniae("train", "--resume", folder)
    assert code == 0 and not leftover.exists(), err
    check_the_same(folder, whole)


def test_a_run_that_was_killed_at_its_first_file(train, tmp_path):
    folder = tmp_path / "begun"
    folder.mkdir()
    leftover, mine = folder / ".config.json.abcdefgh.json", folder / ".mine.abcdefgh.txt"
    mine.touch()
    leftover.touch()
    assert train(folder)[0] == 2 and leftover.exists()  # it may be another's, at work just now
    os.utime(leftover, (0, 0))
    assert train(folder)[0] == 2 and mine.exists() and not leftover.exists()
    mine.unlink()
    leftover.touch()
    os.utime(leftover, (0, 0))
    assert train(folder)[0] == 0


def test_leftovers_of_checkpoints_and_pictures_hold_nobody_up(trained, miniae):
    """Also of files that only some kinds of models write."""
    left = [trained / "checkpoints" / ".training.safetensors.abcdefgh.safetensors",
            trained / ".denoised.png.abcdefgh.png"]
    for file in left:
        file.touch()
        os.utime(file, (0, 0))
    code, _, err = miniae("train", "--resume", trained, "--epochs", "5")
    assert code == 0, err
    assert not any(file.exists() for file in left)


@pytest.mark.parametrize("option", ["--resume", "--out"])
def test_a_folder_of_other_things_stays_as_it_is(option, miniae, tmp_path):
    (tmp_path / ".lock").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    code, _, err = miniae("train", option, tmp_path)
    assert code == 2 and err.count("\n") == 1
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {".lock": "mine", "notes.txt": "mine too"}


@pytest.mark.parametrize("option", ["--resume", "--out"])
def test_a_folder_without_a_name(option, miniae):
    code, out, err = miniae("train", option, "")
    assert code == 2 and f"{option}: expected the name of a folder, got an empty one" in err and not out


def test_a_file_in_the_place_of_checkpoints(trained, miniae):
    shutil.rmtree(trained / "checkpoints")
    (trained / "checkpoints").touch()
    code, _, err = miniae("train", "--resume", trained, "--epochs", "5")
    assert code == 2 and "can't make the folder" in err and "checkpoints" in err and err.count("\n") == 1


def test_the_one_before_alone_is_there_and_damaged(trained, miniae):
    """The run is not noted as unfinished then, and what to delete is what is there."""
    last = trained / "checkpoints" / "fine-tuning.safetensors"
    assert last.exists()
    last.rename(last.with_name("fine-tuning.previous.safetensors"))
    last.with_name("fine-tuning.previous.safetensors").write_bytes(b"nothing")
    noted = (trained / "run.json").read_bytes()
    code, _, err = miniae("train", "--resume", trained, "--epochs", "5")
    assert code == 2 and "Or delete fine-tuning.previous.safetensors, to begin this stage again" in err
    assert (trained / "run.json").read_bytes() == noted


@pytest.mark.parametrize(("file", "text", "said"), [
    ("config.json", '{"epochs": "many"}', "epochs"), ("config.json", '{"layers": 3}', "layers"),
    ("run.json", None, "run.json is damaged")])
def test_files_written_by_hand(file, text, said, trained, miniae):
    state = json.loads((trained / file).read_text())
    (trained / file).write_text(text or json.dumps({**state, "data": []}))
    code, _, err = miniae("train", "--resume", trained, "--epochs", "1000")
    assert code == 2 and said in err and err.count("\n") == 1 and "mistake" not in err


@pytest.mark.parametrize("text", ["{}", '{"epochs": null}'])
def test_settings_that_leave_all_to_the_defaults(text, trained, miniae):
    (trained / "config.json").write_text(text)
    code, out, _ = miniae("train", "--resume", trained)
    assert code == 0 and "is complete: " in out


def test_data_that_have_moved(train, miniae, table, cut, tmp_path):
    folder, elsewhere, other = tmp_path / "run", tmp_path / "elsewhere.csv", tmp_path / "other.csv"
    cut("fine-tuning", KeyboardInterrupt, 8)
    train(folder)
    text = table.read_text()
    table.rename(elsewhere)
    code, _, err = miniae("train", "--resume", folder)
    assert code == 2 and "does not exist" in err and f"miniae train --resume {folder} --data PATH" in err
    other.write_text(text + "0.1,0.2,0.3,0.4,0.5,odd\n")
    code, _, err = miniae("train", "--resume", folder, "--data", other)
    assert code == 2 and "are not those that the run" in err
    assert miniae("train", "--resume", folder, "--data", elsewhere)[0] == 0
    assert json.loads((folder / "config.json").read_text())["data"] == str(elsewhere)


@pytest.mark.parametrize(("option", "said"), [
    (["--lr", "0.1"], "--lr can't be changed"), (["--batch-size", "7"], "--batch-size can't"),
    (["--set", "dropout=0.1"], "--set can't"), (["--out", "elsewhere"], "--out can't"),
    (["--config", "c.json"], "--config can't")])
def test_settings_that_can_not_change(option, said, trained, miniae):
    code, _, err = miniae("train", "--resume", trained, *option)
    assert code == 2 and said in err


def test_both_checkpoints_damaged(train, miniae, cut, tmp_path):
    """The one before is taken, with a line that says so; then there is a clear error; without them, a new beginning."""
    whole, folder = tmp_path / "whole", tmp_path / "run"
    train(whole)
    cut("fine-tuning", KeyboardInterrupt, 8)
    train(folder, "--checkpoint-every", "0")
    path = folder / "checkpoints" / "fine-tuning.safetensors"
    before = folder / "checkpoints" / "fine-tuning.previous.safetensors"
    kept = path.read_bytes(), before.read_bytes()
    path.write_bytes(kept[0][:-1])
    code, out, _ = miniae("train", "--resume", folder)
    assert code == 0 and "is damaged" in out and "goes on from fine-tuning.previous.safetensors" in out
    check_the_same(folder, whole)
    path.write_bytes(kept[0][:100])
    before.write_bytes(kept[1][:100])
    noted = (folder / "run.json").read_bytes()
    code, _, err = miniae("train", "--resume", folder, "--epochs", "4")
    assert code == 2 and "fine-tuning.safetensors is damaged" in err and "begin this stage again" in err
    assert (folder / "run.json").read_bytes() == noted and json.loads(noted)["finished"]  # as it was before
    path.unlink()
    before.unlink()
    assert miniae("train", "--resume", folder, "--epochs", "4")[0] == 0
    assert library.load(folder / "model.safetensors").code == 2 and len(history(folder)) == 4 + 4 + 4


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(train, miniae, tmp_path, monkeypatch):
    whole, folder, real = tmp_path / "whole", tmp_path / "run", Path.write_bytes
    train(whole)

    def full(self, data):
        if "fine-tuning" in self.name and (folder / "checkpoints" / "fine-tuning.safetensors").exists():
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, err = train(folder, "--checkpoint-every", "0")
    assert code == 2 and err.endswith(
        f"fine-tuning.safetensors: No space left on device. Once that is mended, miniae train --resume {folder} goes "
        "on\n")
    monkeypatch.undo()
    assert miniae("train", "--resume", folder)[0] == 0
    check_the_same(folder, whole)


def test_what_to_do_about_numbers_that_are_not_finite(train, miniae, tmp_path):
    exploding = ["--pretrain", "none", "--optimizer", "sgd", "--lr", "1e3", "--loss", "mse", "--scaling", "standard"]
    stopped = tmp_path / "stopped"
    code, _, err = train(stopped, *exploding)
    assert code == 2 and "lower the learning rate" in err
    code, out, err = train(tmp_path / "rolled", *exploding, "--on-nan", "rollback", "--epochs", "9")
    assert code in (0, 2), err
    assert "with the learning rate 500" in out
    code, out, err = train(tmp_path / "skipped", "--on-nan", "skip")
    assert code == 0 and {row["skipped"] for row in history(tmp_path / "skipped")} == {"0"}
    code, _, err = train(tmp_path / "x", "--on-nan", "explode")
    assert code == 2 and "unknown --on-nan 'explode': expected one of stop, skip, rollback" in err


def test_a_run_that_diverged_goes_on_with_a_lower_rate(train, miniae, tmp_path, monkeypatch):
    class Explode(Callback):
        def on_batch_end(self, trainer, batch):
            if trainer.epoch == 1 and trainer.optimizer.lr > 1e-3:
                trainer.model.parameters()[0].assign(np.full(trainer.model.parameters()[0].shape, np.nan))

    monkeypatch.setattr("miniae.cli.train._progress", lambda title: [Explode()] if title == "training" else [])
    folder = tmp_path / "run"
    code, _, err = train(folder, "--pretrain", "none")
    assert code == 2 and f"miniae train --resume {folder} --on-nan rollback goes on" in err
    code, out, err = miniae("train", "--resume", folder, "--on-nan", "rollback")
    assert code == 0 and "back to epoch 1, with the learning rate 0.001" in out
    assert [float(row["lr"]) for row in history(folder)] == [0.002, 0.001, 0.001]


def test_where_lower_rates_do_not_help_no_more_of_them_are_advised(train, tmp_path, monkeypatch):
    class Explode(Callback):
        def on_batch_end(self, trainer, batch):
            if trainer.epoch == 1:
                trainer.model.parameters()[0].assign(np.full(trainer.model.parameters()[0].shape, np.nan))

    monkeypatch.setattr("miniae.cli.train._progress", lambda title: [Explode()] if title == "training" else [])
    code, _, err = train(tmp_path / "run", "--pretrain", "none", "--on-nan", "rollback")
    assert code == 2 and "lower learning rates did not help" in err and "begin another run" in err
    assert "--resume" not in err and "rollback" not in err


def test_how_often_a_checkpoint_is_written(train, tmp_path, monkeypatch):
    written, real = [], Checkpoint._save

    def save(self, snapshot):
        written.append(self.path.stem)
        real(self, snapshot)

    monkeypatch.setattr(Checkpoint, "_save", save)
    assert train(tmp_path / "seldom")[0] == 0
    assert written == ["layer-1-of-2", "layer-2-of-2", "fine-tuning"]
    code, _, err = train(tmp_path / "x", "--checkpoint-every", "-1")
    assert code == 2 and "--checkpoint-every must be a finite number of at least 0, got -1" in err


# ---------------------------------------------------------------- by several ranks

@pytest.fixture
def ranks(monkeypatch):
    """Train by so many ranks, whose own device is NumPy's, until `most` messages were sent; return of each the exit
    code and the number of messages, or what it ended with."""
    monkeypatch.setattr("miniae.cli.together.launched", lambda: (current_ranks().rank, current_ranks().size))
    monkeypatch.setattr("miniae.cli.together.ranks_here", current_ranks)
    monkeypatch.setattr("miniae.cli.together._PATIENCE", 0.0)

    def run(size, *arguments, most=10**9):
        def rank(ranks):
            send = ranks.sum_on_host

            def sum_on_host(a):
                if ranks.messages == most:
                    raise SystemExit
                send(a)

            ranks.device, ranks.sum_on_host = (lambda backend: "numpy"), sum_on_host
            return main([str(a) for a in ("train", *arguments)]), ranks.messages
        return together(size, rank)
    return run


@pytest.fixture
def calls(monkeypatch):
    """Note who calls these functions, in order: names and ranks."""
    noted = []

    def noting(name, real):
        def call(*arguments, **settings):
            noted.append((name, current_ranks().rank))
            return real(*arguments, **settings)
        return call

    def set_up(owner, *names):
        for name in names:
            monkeypatch.setattr(owner, name, noting(name, vars(owner)[name]))
        return noted
    return set_up


@pytest.mark.parametrize(("share", "stage"), [
    (0.2, "layer-1-of-2"), (0.4, "layer-2-of-2"), (0.6, "fine-tuning"), (0.95, "fine-tuning")])
def test_ranks_go_on_to_the_same_results(share, stage, ranks, table, calls, tmp_path):
    """All are gone at the same message, in pretraining or after. Those above the first write nothing."""
    settings = ["--data", table, "--label", "kind", *QUICK[:-2], "--backend", "auto", "--checkpoint-every", "0"]
    whole, folder = tmp_path / "whole", tmp_path / "cut"
    (code, messages), other = ranks(2, *settings, "--out", whole)
    assert (code, messages) == other == (0, messages)
    assert all(isinstance(why, SystemExit) for why in
               ranks(2, *settings, "--out", folder, most=int(share * messages)))
    assert not (folder / "model.safetensors").exists()
    position = load_tensors(folder / "checkpoints" / f"{stage}.safetensors")[1]["position"]
    assert bool(position) == (stage == "fine-tuning")  # there are several batches an epoch

    calls(checkpoint, "save_tensors")
    wrote = calls(RunFolder, "begin", "finish")
    assert [code for code, _ in ranks(2, "--resume", folder)] == [0, 0]
    assert set(wrote) == {("save_tensors", 0), ("begin", 0), ("finish", 0)}
    check_the_same(folder, whole)
    state = json.loads((folder / "run.json").read_text())
    assert (state["backend"], state["device"], state["finished"]) == ("auto", "numpy", True)


def test_the_first_rank_writes_after_all_have_read(ranks, table, calls, tmp_path):
    """Else another could find a run that seems to be complete, as more epochs are already noted."""
    folder = tmp_path / "run"
    assert ranks(2, "--data", table, "--label", "kind", *QUICK, "--out", folder)[1][0] == 0
    done = calls(RunFolder, "settings", "check", "begin")
    assert [code for code, _ in ranks(2, "--resume", folder, "--epochs", "4")] == [0, 0]
    assert done.index(("begin", 0)) == len(done) - 1 and {("settings", 1), ("check", 1)} < set(done)
    assert [code for code, _ in ranks(2, "--resume", folder)] == [0, 0]
    assert len(history(folder)) == 4 + 4 + 4


def test_ranks_that_read_different_data(ranks, table, tmp_path, monkeypatch):
    """In a row that none of the few is which training looks at."""
    import miniae.tasks.run as run

    real = run.find_data

    def find_data(*arguments):
        data = real(*arguments)
        data.test[1] += current_ranks().rank * 1e-3
        return data

    monkeypatch.setattr(run, "find_data", find_data)
    assert ranks(2, "--data", table, "--label", "kind", *QUICK, "--out", tmp_path / "run") == [(2, 1), (2, 1)]
    assert not (tmp_path / "run").exists()
