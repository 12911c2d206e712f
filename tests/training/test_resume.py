"""Runs that go on in the middle of an epoch, and files that are not what they should be."""

from __future__ import annotations

import errno
import math
import os
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from training.killed import KilledAfter

import miniae.data.whole_files as whole_files
from miniae import RBM, Autoencoder, nn
from miniae.data import StorageError, load_tensors, save_tensors
from miniae.models import (
    AdversarialAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
    VectorQuantisedAutoencoder,
)
from miniae.training import (
    Callback,
    Checkpoint,
    DamagedCheckpoint,
    LearningRate,
    MaxNorm,
    ReduceOnPlateau,
    RollBack,
    Trainer,
    TrainingDiverged,
    restore,
)
from miniae.training.checkpoint import previous

X = np.random.default_rng(0).random((105, 6), dtype=np.float32)


def outcome(model):
    """All that training leaves behind: weights, running means, random streams, history but for its times."""
    network = model.machine_ if isinstance(model, RBM) else model.network_
    history = [{k: v for k, v in row.items() if "second" not in k} for row in model.history_]
    return network.state_dict(), {name: g.step for name, g in network.generators().items()}, history


def check_the_same(resumed, whole):
    (weights, streams, history), (expected, *others) = outcome(resumed), outcome(whole)
    assert [streams, history] == others
    for name, a in weights.items():
        np.testing.assert_array_equal(a, expected[name], err_msg=name)


PLAIN = {"epochs": 4, "batch_size": 10, "seed": 3}  # 11 batches an epoch, the last of 5
LARGE = {"epochs": 2, "batch_size": 25, "seed": 3}
KINDS = {
    "plain": lambda: Autoencoder([5], 2, l2=1e-3, **PLAIN),
    "denoising": lambda: DenoisingAutoencoder([5], 2, **PLAIN),
    "batch_norm, dropout, max_norm": lambda: Autoencoder([5], 2, batch_norm=True, dropout=0.2, max_norm=1.0, **PLAIN),
    "variational": lambda: VariationalAutoencoder([5], 2, warmup=3, **PLAIN),
    "sparse": lambda: SparseAutoencoder((), 5, **PLAIN),
    "adversarial": lambda: AdversarialAutoencoder([5], 2, **PLAIN),
    "lbfgs": lambda: Autoencoder([5], 2, optimizer="lbfgs", lr=0.1, **LARGE),
    "cg": lambda: Autoencoder([5], 2, optimizer="cg", lr=0.1, **LARGE),
    **{name: lambda name=name: Autoencoder([5], 2, optimizer=name, lr=1e-2, **PLAIN)
       for name in ("sgd", "momentum", "nadam", "rmsprop")},
    "rbm": lambda: RBM(4, momentum_switch=2, **PLAIN),
    "persistent rbm": lambda: RBM(4, persistent=True, fast_lr=0.1, max_norm=1.0, **PLAIN),
    "patience": lambda: Autoencoder([5], 2, patience=2, lr=0.05, clip=1.0, **{**PLAIN, "epochs": 12}),
}


def others():
    return [LearningRate(lambda epoch: 0.9**epoch), ReduceOnPlateau(0.5, 1, monitor="loss")]


@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_in_the_middle_of_an_epoch(kind, backend, tmp_path):
    """It is killed three times, and saved after every batch; some steps are replays."""
    make, path = KINDS[kind], tmp_path / "run.safetensors"
    whole = make().fit(X, validation=X[:7], callbacks=others())
    batches = -(-len(X) // whole.batch_size)
    for lives in (1, batches - 2, 4):
        with pytest.raises(SystemExit):
            make().fit(X, validation=X[:7], callbacks=[
                Checkpoint(path, None, True, 0.0), *others(), KilledAfter(lives)])
        assert load_tensors(path)[1]["position"]
    resumed = make().fit(X, validation=X[:7], callbacks=[Checkpoint(path, resume=True), *others()])
    check_the_same(resumed, whole)


def test_an_image_model_with_a_codebook_goes_on_too(backend, tmp_path):
    images = X[:60].repeat(6, axis=1).reshape(60, 6, 6)

    def fit(*callbacks):
        return VectorQuantisedAutoencoder([4], image_shape=(6, 6), codebook=8, epochs=2, batch_size=10).fit(
            images.reshape(60, 36), callbacks=[*callbacks])

    path = tmp_path / "run.safetensors"
    with pytest.raises(SystemExit):
        fit(Checkpoint(path, None, True, 0.0), KilledAfter(8))
    check_the_same(fit(Checkpoint(path, resume=True)), fit())


def test_what_other_callbacks_do_after_a_batch_is_saved_too(tmp_path):
    """Named before a bound on the weights, the checkpoint still holds bounded ones."""
    path = tmp_path / "run.safetensors"

    def fit(*callbacks):
        return Autoencoder([5], 2, lr=0.1, **PLAIN).fit(X, callbacks=[*callbacks, MaxNorm(0.5)])

    with pytest.raises(SystemExit):
        fit(Checkpoint(path, None, True, 0.0), KilledAfter(5))
    weights, header = load_tensors(path)
    assert header["position"]["done"] == 50
    assert np.linalg.norm(weights["model.encoder.0.weight"], axis=0).max() <= 0.5 * (1 + 1e-6)
    check_the_same(fit(Checkpoint(path, resume=True)), fit())


def test_the_seconds_of_an_epoch_go_on(tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(SystemExit):
        KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, None, True, 0.0), KilledAfter(5)])
    tensors, header = load_tensors(path)
    header["position"]["seconds"] += 1000.0
    save_tensors(path, tensors, header)
    first, second, *_ = KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, resume=True)]).history_
    assert 1000 < first["seconds"] < 1100 and second["seconds"] < 100


@pytest.mark.parametrize(("changed", "said"), [
    ({"batch_size": 11}, "batch_size 10, got 11"), ({"seed": 4}, "seed 3, got 4")])
def test_the_rest_of_an_epoch_must_be_the_same(changed, said, tmp_path):
    """Also of a trainer that is put into a saved state, which may have other settings from the next epoch on."""
    path, model = tmp_path / "run.safetensors", KINDS["plain"]()
    with pytest.raises(SystemExit):
        model.fit(X, callbacks=[Checkpoint(path, None, True, 0.0), KilledAfter(5)])
    optimizer = type(model._trainer.optimizer)(model.network_.parameters())
    trainer = Trainer(model.network_, optimizer, **{"batch_size": 10, "seed": 3, **changed})
    with pytest.raises(ValueError, match=f"from the middle of an epoch with {said}"):
        restore(trainer, path)


@pytest.mark.parametrize(("data", "settings", "said"), [
    (X[1:], {}, "of training on 105 samples, these are 104"), (1 - X, {}, "of training on other data"),
    (X[::-1], {}, "of training on other data"), (X, {"lr": 0.1}, "of training with optimizer.lr 0.001, given is 0.1")])
def test_a_checkpoint_of_another_problem_is_refused(data, settings, said, tmp_path):
    """Else its weights would be taken for the result."""
    path = tmp_path / "run.safetensors"
    KINDS["plain"]().fit(X, callbacks=[Checkpoint(path)])
    before = path.read_bytes()
    with pytest.raises(StorageError, match=f"run.safetensors is a checkpoint {said}.*another path, or delete it"):
        KINDS["plain"]().set_params(**settings).fit(data, callbacks=[Checkpoint(path, resume=True)])
    assert path.read_bytes() == before
    tensors, header = load_tensors(path)
    del header["task"]  # as older versions wrote it
    save_tensors(path, tensors, header)
    assert KINDS["plain"]().fit(data, callbacks=[Checkpoint(path, resume=True)]).history_ == header["history"]


def test_a_restored_trainer_needs_data_of_the_same_size(tmp_path):
    path, model = tmp_path / "run.safetensors", KINDS["plain"]()
    with pytest.raises(SystemExit):
        model.fit(X, callbacks=[Checkpoint(path, None, True, 0.0), KilledAfter(5)])
    trainer = Trainer(model.network_, type(model._trainer.optimizer)(model.network_.parameters()), batch_size=10,
                      seed=3)
    restore(trainer, path)
    with pytest.raises(ValueError, match="in the middle of an epoch of 105 samples, got 104"):
        trainer.fit(X[1:], 2)
    assert len(trainer.fit(X, 2)) == 2


def test_a_run_that_is_not_finite_is_not_saved(tmp_path):
    class Spoil(Callback):
        def on_batch_end(self, trainer, batch):
            if batch == 3:
                trainer.model.parameters()[0].assign(np.full(trainer.model.parameters()[0].shape, np.nan))

    class Look(Callback):
        def on_pause(self, trainer):
            done.append(load_tensors(path)[1]["position"]["done"])

    path, done = tmp_path / "run.safetensors", []
    with pytest.raises(ArithmeticError):
        KINDS["plain"]().fit(X, callbacks=[Spoil(), Checkpoint(path, None, True, 0.0), Look()])
    assert done[:3] == [10, 20, 30] and set(done) == {10, 20, 30}
    tensors, header = load_tensors(path)
    assert header["epoch"] == 0 and not header["position"] and all(np.isfinite(a).all() for a in tensors.values())


class Explodes(Callback):
    """The learning rate of the third epoch is a thousand times too large."""

    only_device = True

    def on_epoch_begin(self, trainer):
        trainer.optimizer.lr = trainer.base_lr * (1000 if trainer.epoch == 2 else 1)


DIVERGING = {"optimizer": "sgd", "loss": "mse", "activation": "relu", "scaling": "standard", "lr": 0.02, **PLAIN}


def largest(path):
    return max(float(abs(a).max()) for name, a in load_tensors(path)[0].items() if name.startswith("model."))


def test_a_run_that_diverges_leaves_its_last_good_epoch(tmp_path):
    """And not the finite but huge weights of the moments before, from which nothing can go on."""
    path = tmp_path / "run.safetensors"
    with pytest.raises(TrainingDiverged):
        Autoencoder([5], 2, **DIVERGING).fit(X, callbacks=[Checkpoint(path, None, True, 0.0), Explodes()])
    for file, epoch in {path: 2, previous(path): 2}.items():
        header = load_tensors(file)[1]
        assert header["epoch"] == epoch and not header["position"] and largest(file) < 10
    resumed = Autoencoder([5], 2, **DIVERGING).fit(X, callbacks=[Checkpoint(path, None, True, 0.0)])
    check_the_same(resumed, Autoencoder([5], 2, **DIVERGING).fit(X))


class HugeAndKilled(Callback):
    """Weights are huge after a batch of an epoch; then the process is gone."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, trainer, batch):
        if (trainer.epoch, batch) == (self.epoch, 3):
            trainer.model.parameters()[-1].assign(np.full(trainer.model.parameters()[-1].shape, 1e25))
        if (trainer.epoch, batch) == (self.epoch, 4):
            trainer.callbacks[:] = []
            raise SystemExit


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_poisoned_state_of_an_epochs_middle_is_left(epoch, tmp_path):
    """A run that diverges again after going on from it leaves the epoch's beginning, and rolling back begins there."""
    path = tmp_path / "run.safetensors"

    def fit(*callbacks):
        return Autoencoder([5], 2, **DIVERGING).fit(X, callbacks=[*callbacks])

    def poison():
        for file in tmp_path.iterdir():
            file.unlink()
        with pytest.raises(SystemExit):
            fit(Checkpoint(path, None, True, 0.0), HugeAndKilled(epoch))
        assert load_tensors(path)[1]["epoch"] == epoch and largest(path) > 1e20
        assert not epoch or largest(previous(path)) < 10

    whole = fit()
    poison()
    with pytest.raises(TrainingDiverged):
        fit(Checkpoint(path, None, True, 0.0))
    assert not path.exists() if not epoch else not load_tensors(path)[1]["position"] and largest(path) < 10
    check_the_same(fit(Checkpoint(path, resume=True)), whole)
    poison()
    rolled = fit(Checkpoint(path, resume=True), RollBack())
    assert [row["rollbacks"] for row in rolled.history_[epoch:]] == [0] * (4 - epoch)
    for row, expected in zip(rolled.history_, whole.history_, strict=True):
        assert row["loss"] == expected["loss"]
    assert not epoch or largest(previous(path)) < 10


def test_the_one_before_is_always_of_an_epochs_end(tmp_path):
    path, seen = tmp_path / "run.safetensors", []

    class Look(Callback):
        def on_pause(self, trainer):
            if trainer.epoch:
                header = load_tensors(previous(path))[1]
                seen.append((header["epoch"], header["position"]) == (trainer.epoch, {}))

    KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, None, True, 0.0), Look()])
    assert len(seen) == 30 and all(seen)


class Late(Callback):
    """Seconds enough for a checkpoint pass once, in the fourth batch of an epoch; in the fifth the process is gone."""

    def __init__(self, checkpoint, epoch=4):
        self.checkpoint, self.epoch = checkpoint, epoch

    def on_batch_end(self, trainer, batch):
        self.checkpoint._last = -math.inf if (trainer.epoch, batch) == (self.epoch, 3) else math.inf
        if (trainer.epoch, batch) == (self.epoch, 4):
            trainer.callbacks[:] = []
            raise SystemExit


@pytest.mark.parametrize("then", ["rolls back", "diverges"])
def test_the_first_checkpoint_is_of_the_middle_of_a_late_epoch(then, tmp_path):
    """The epoch's beginning is saved before it: there begins what can't go on in the middle."""
    path = tmp_path / "run.safetensors"
    kept = Checkpoint(path, None, True, 60.0)
    options = {**DIVERGING, "epochs": 6}
    with pytest.raises(SystemExit):
        Autoencoder([5], 2, **options).fit(X, callbacks=[Late(kept), kept])
    assert load_tensors(path)[1]["position"]["done"] == 40 and load_tensors(previous(path))[1]["epoch"] == 4
    begun = []

    class Look(Callback):
        def on_epoch_begin(self, trainer):
            begun.append((trainer.epoch, trainer.done))

        def on_batch_end(self, trainer, batch):
            if then == "diverges" and len(begun) == 1:
                raise TrainingDiverged("as it has to")

    again = [RollBack()] if then == "rolls back" else []
    if then == "diverges":
        with pytest.raises(TrainingDiverged):
            Autoencoder([5], 2, **options).fit(X, callbacks=[Checkpoint(path, None, True, 60.0), Look()])
        assert load_tensors(path)[1]["epoch"] == 4 and not load_tensors(path)[1]["position"]
    resumed = Autoencoder([5], 2, **options).fit(X, callbacks=[Checkpoint(path, None, True, 60.0), *again, Look()])
    assert begun[-2:] == [(4, 0), (5, 0)]
    for model in (whole := Autoencoder([5], 2, **options).fit(X)), resumed:
        for row in model.history_:
            row.pop("rollbacks", None)
    check_the_same(resumed, whole)


def test_nothing_is_kept_of_the_beginning_of_a_late_epoch(tmp_path):
    """Somebody has deleted it. Work is not thrown away."""
    path = tmp_path / "run.safetensors"

    def killed():
        kept = Checkpoint(path, None, False, 60.0)
        with pytest.raises(SystemExit):
            KINDS["plain"]().fit(X, callbacks=[Late(kept, 2), kept])
        previous(path).unlink()

    class Diverges(Callback):
        def on_batch_end(self, trainer, batch):
            raise TrainingDiverged("as it has to")

    killed()
    with pytest.raises(TrainingDiverged):
        KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, None, True, 60.0), Diverges()])
    assert load_tensors(path)[1]["epoch"] == 2
    killed()
    kept = path.read_bytes()
    with pytest.raises(StorageError, match="of the middle of epoch 3, and nothing is kept of its beginning, .* wi"):
        KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, None, True, 60.0), RollBack()])
    assert path.read_bytes() == kept and not previous(path).exists()
    check_the_same(KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, None, True, 60.0)]), KINDS["plain"]().fit(X))


def test_a_first_epoch_that_diverges_begins_again(tmp_path):
    """And not in an older middle of it."""
    path, begun = tmp_path / "run.safetensors", []

    class Look(Callback):
        def __init__(self, error):
            self.error = error

        def on_epoch_begin(self, trainer):
            begun.append(trainer.done)

        def on_batch_end(self, trainer, batch):
            if batch == 4:
                trainer.callbacks[:] = trainer.callbacks if self.error is TrainingDiverged else []
                raise self.error("as it has to")

    for error in (SystemExit, TrainingDiverged, SystemExit):
        with pytest.raises(error):
            KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, None, True, 0.0), Look(error)])
    assert begun[0] == 0 and begun[1] > 20 and begun[2] == 0


# ---------------------------------------------------------------- files

def two_checkpoints(folder):
    """A file, what it holds, and what the one before it holds."""
    path = folder / "run.safetensors"
    Autoencoder([2], 1, epochs=2, batch_size=50).fit(X, callbacks=[Checkpoint(path)])
    assert sorted(p.name for p in folder.iterdir()) == ["run.previous.safetensors", "run.safetensors"]
    return path, path.read_bytes(), previous(path).read_bytes()


def restored(path):
    trainer = Autoencoder([2], 1, epochs=0).fit(X)._trainer
    restore(trainer, path)
    return trainer.epoch, {name: a.copy() for name, a in trainer.model.state_dict().items()}


def test_a_checkpoint_that_is_cut_off_anywhere(tmp_path):
    """With the one before it, that is taken; without, at every byte, it is an error. It never is a wrong model."""
    path, whole, _ = two_checkpoints(tmp_path)
    trainer = Autoencoder([2], 1, epochs=0).fit(X)._trainer
    before, (epoch, expected) = trainer.model.state_dict(), restored(previous(path))
    assert epoch == 1
    for n in reversed(range(0, len(whole), 9)):
        os.truncate(path, n)
        with pytest.warns(DamagedCheckpoint, match="goes on from run.previous.safetensors"):
            assert restore(trainer, path) == previous(path)
        assert trainer.epoch == 1
        np.testing.assert_array_equal(trainer.model.state_dict()["encoder.0.weight"], expected["encoder.0.weight"])
    trainer = Autoencoder([2], 1, epochs=0).fit(X)._trainer
    previous(path).unlink()
    path.write_bytes(whole)
    for n in reversed(range(len(whole))):
        os.truncate(path, n)
        with pytest.raises(StorageError, match="run.safetensors"):
            restore(trainer, path)
        assert trainer.epoch == 0
    for name, a in trainer.model.state_dict().items():
        np.testing.assert_array_equal(a, before[name])


def test_a_checkpoint_with_any_byte_changed(tmp_path):
    path, whole, _ = two_checkpoints(tmp_path)
    trainer, (_, expected) = Autoencoder([2], 1, epochs=0).fit(X)._trainer, restored(previous(path))
    for n in range(0, len(whole), 9):
        path.write_bytes(whole[:n] + bytes([whole[n] ^ 0xFF]) + whole[n + 1:])
        with pytest.warns(DamagedCheckpoint):
            restore(trainer, path)
        np.testing.assert_array_equal(trainer.model.state_dict()["encoder.0.weight"], expected["encoder.0.weight"])


def test_damage_is_gone_when_a_run_goes_on(tmp_path):
    """The good one takes the damaged one's place at once: the next one written must not push it out."""
    path, whole, before = two_checkpoints(tmp_path)
    path.write_bytes(whole[:100])

    class Look(Callback):
        def on_epoch_begin(self, trainer):
            assert trainer.epoch == 1 and path.read_bytes() == before and not previous(path).exists()

    with pytest.warns(DamagedCheckpoint):
        resumed = Autoencoder([2], 1, epochs=2, batch_size=50).fit(X, callbacks=[Checkpoint(path, resume=True), Look()])
    check_the_same(resumed, Autoencoder([2], 1, epochs=2, batch_size=50).fit(X))


def test_a_kill_between_two_renamings_and_its_leftovers(tmp_path):
    path, _, before = two_checkpoints(tmp_path)
    path.unlink()
    leftover, stranger = tmp_path / ".run.safetensors.abcdefgh.safetensors", tmp_path / ".running"
    young = tmp_path / ".run.safetensors.ijklmnop.safetensors"  # another process may be writing it
    for file in (leftover, young):
        file.write_bytes(before[:50])
    os.utime(leftover, (0, 0))
    stranger.touch()
    resumed = Autoencoder([2], 1, epochs=2, batch_size=50).fit(X, callbacks=[Checkpoint(path, resume=True)])
    assert path.exists() and not leftover.exists() and stranger.exists() and young.exists()
    check_the_same(resumed, Autoencoder([2], 1, epochs=2, batch_size=50).fit(X))


def test_contents_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """The order of system calls that a power cut leaves a whole file after."""
    calls, real = [], {name: getattr(whole_files.os, name) for name in ("fsync", "replace")}
    path, _, _ = two_checkpoints(tmp_path)

    def fsync(handle):
        calls.append(f"fsync {Path(f'/proc/self/fd/{handle}').resolve().name[:5]}")
        real["fsync"](handle)

    def replace(old, new):
        calls.append(f"{Path(old).name[:5]} to {Path(new).name}")
        real["replace"](old, new)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to know which file is meant")
    monkeypatch.setattr(whole_files.os, "fsync", fsync)
    monkeypatch.setattr(whole_files.os, "replace", replace)
    save_tensors(path, {}, {}, previous(path))
    assert calls == ["fsync .run.", "run.s to run.previous.safetensors", ".run. to run.safetensors",
                     f"fsync {tmp_path.name[:5]}"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_file_systems_that_cannot_bring_the_names_of_a_folder_to_the_disk(code, tmp_path, monkeypatch):
    path, real = tmp_path / "run.safetensors", os.fsync

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, "of a folder")
        real(handle)

    monkeypatch.setattr(whole_files.os, "fsync", fsync)
    if code == errno.EIO:
        with pytest.raises(StorageError, match="of a folder"):
            save_tensors(path, {}, {})
    else:
        save_tensors(path, {}, {"a": 1})
        assert load_tensors(path)[1] == {"a": 1}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_is_full_leaves_the_checkpoint_before(code, tmp_path, monkeypatch):
    path, real = tmp_path / "run.safetensors", Path.write_bytes

    def full(self, data):
        if restorable():  # the first one still fits
            real(self, data[:len(data) // 2])
            raise OSError(code, "No space left on device")
        return real(self, data)

    def restorable():
        return path.exists()

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="can't write .*run.safetensors: No space left on device"):
        KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, resume=True)])
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]
    monkeypatch.undo()
    resumed = KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, resume=True)])
    check_the_same(resumed, KINDS["plain"]().fit(X))


def test_a_small_disk_fills_up(tmp_path):
    """A real one, where this process may mount one."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("may not mount a small file system here")
    try:
        path, ballast = tmp_path / "run.safetensors", tmp_path / "ballast"

        class Fill(Callback):
            def on_epoch_begin(self, trainer):
                if trainer.epoch == 2:
                    ballast.write_bytes(bytes(64 * 1024 - 2 * 4096 * math.ceil(path.stat().st_size / 4096)))

        with pytest.raises(StorageError, match="No space left on device"):
            KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, resume=True), Fill()])
        ballast.unlink()
        resumed = KINDS["plain"]().fit(X, callbacks=[Checkpoint(path, resume=True)])
        check_the_same(resumed, KINDS["plain"]().fit(X))
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_folder_that_can_not_be_written(tmp_path, monkeypatch):
    path, _, _ = two_checkpoints(tmp_path)

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(whole_files.tempfile, "mkstemp", refuse)
    with pytest.raises(StorageError, match="can't write .*run.safetensors: Read-only file system"):
        Autoencoder([2], 1, epochs=3, batch_size=50).fit(X, callbacks=[Checkpoint(path, resume=True)])
    assert restored(path)[0] == 2


def test_a_checkpoint_of_the_older_format(tmp_path):
    path, _, _ = two_checkpoints(tmp_path)
    tensors, header = load_tensors(path)
    del header["position"]
    save_tensors(path, tensors, {**header, "format": 1})
    assert restored(path)[0] == 2
    save_tensors(path, tensors, {**header, "format": 3})
    previous(path).unlink()
    with pytest.raises(StorageError, match="has format 3, this version reads up to 2"):
        restored(path)


@pytest.mark.parametrize("settings", [{"every": 0}, {"seconds": -1.0}, {"seconds": math.nan}])
def test_settings_of_checkpoints_that_make_no_sense(settings):
    with pytest.raises(ValueError, match="a checkpoint is written every"):
        Checkpoint("run.safetensors", **settings)


def test_a_layer_of_noise_draws_on(tmp_path):
    """(Nothing but what follows from its generator's position.)"""
    path = tmp_path / "run.safetensors"

    def fit(*callbacks):
        return Autoencoder([5], 2, corruption=[nn.GaussianNoise(0.3)], **PLAIN).fit(X, callbacks=[*callbacks])

    with pytest.raises(SystemExit):
        fit(Checkpoint(path, None, True, 0.0), KilledAfter(17))
    assert load_tensors(path)[1]["generators"] == {"corruption.0.noise": 17}
    check_the_same(fit(Checkpoint(path, resume=True)), fit())
