"""Training by several ranks: the same numbers as one process, and an end for all of them where one fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from together import together

import miniae
from miniae.autodiff import Tensor
from miniae.backend import BackendUnavailable, get, mpi
from miniae.backend.mpi import MPI, NCCL, launched, ranks_here
from miniae.backend.philox import Generator
from miniae.backend.sharing import ALONE, Interrupted, Ranks, Share, sharing, unshared, use_ranks
from miniae.data import Stream
from miniae.functions.all_rows import all_rows
from miniae.models import (
    AdversarialAutoencoder,
    Autoencoder,
    AutoRec,
    Classifier,
    CompressiveAutoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    KSparseAutoencoder,
    L1SparseAutoencoder,
    MultinomialVAE,
    SemanticHashing,
    SparseAutoencoder,
    VariationalAutoencoder,
    VectorQuantisedAutoencoder,
    WassersteinAutoencoder,
    pretrain,
)
from miniae.rbm import RBM
from miniae.training import Callback, Checkpoint, EarlyStopping, ProgressBar, TrainingDiverged
from miniae.training.ranks import RanksDiffer
from miniae.training.sample import differ, sampled

RNG = np.random.default_rng(0)
# Of batches of 10 the last has 2 samples: one of three ranks is left without.
X, LABELS, IMAGES = RNG.random((22, 12)), RNG.integers(0, 2, 22), RNG.random((22, 1, 8, 8))
USERS, ITEMS = np.divmod(RNG.permutation(22 * 12)[:120], 12)
RATINGS = USERS, ITEMS, RNG.integers(1, 6, 120).astype("float64")
COMMON = {"batch_size": 10, "epochs": 2, "dtype": "float64"}

KINDS = {
    "dropout, penalty and clip": lambda **s: Autoencoder([8], 3, dropout=0.2, l2=1e-3, clip=0.5, max_norm=1.0, **s),
    "batch norm": lambda **s: Autoencoder([8], 3, batch_norm=True, **s),
    "line searches": lambda **s: Autoencoder([8], 3, optimizer="cg", **s),
    "normal noise": lambda **s: DenoisingAutoencoder([8], 3, **s),
    "grains": lambda **s: DenoisingAutoencoder([8], 3, noise="salt_and_pepper", emphasis=(1, 0.5), **s),
    "sparse": lambda **s: SparseAutoencoder([], 8, **s),
    "l1-sparse": lambda **s: L1SparseAutoencoder([], 8, **s),
    "k-sparse": lambda **s: KSparseAutoencoder([], 8, k=2, **s),
    "contractive": lambda **s: ContractiveAutoencoder(4, **s),
    "contractive by probes": lambda **s: ContractiveAutoencoder(4, hidden=[8], jacobian="estimate", **s),
    "contractive by rows": lambda **s: ContractiveAutoencoder(3, hidden=[8], jacobian="exact", **s),
    "variational": lambda **s: VariationalAutoencoder([8], 3, free_bits=0.02, binarise=True, **s),
    "gaussian variational": lambda **s: VariationalAutoencoder([8], 3, loss="gaussian", warmup=2, **s),
    "adversarial": lambda **s: AdversarialAutoencoder([8], 2, prior="mixture", discriminator=[8], **s),
    "wasserstein": lambda **s: WassersteinAutoencoder([8], 2, **s),
    "semantic hashing": lambda **s: SemanticHashing([8], 4, **s),
    "rbm": lambda **s: RBM(6, sparsity_cost=0.1, **s),
    "persistent rbm": lambda **s: RBM(6, persistent=True, fast_lr=0.05, **s),
    "rbm of variances": lambda **s: RBM(6, visible_units="gaussian_learned", lr=1e-3, **s),
    "rectified rbm": lambda **s: RBM(6, hidden_units="rectified", k=2, sample_visible=True, lr=1e-3, **s),
}
WITH_LABELS = {
    "conditional": lambda **s: ConditionalVariationalAutoencoder([8], 3, **s),
    "classifier": lambda **s: Classifier([8], head_epochs=1, dropout=0.2, **s),
}
OF_IMAGES = {
    "convolutional": lambda **s: ConvolutionalAutoencoder((3,), 4, batch_norm=True, **s),
    "vector-quantised": lambda **s: VectorQuantisedAutoencoder((3, 4), codebook=6, dim=4, **s),
    "compressive": lambda **s: CompressiveAutoencoder((3, 4), **s),
}
OF_RATINGS = {
    "autorec": lambda **s: AutoRec(code=4, by="user", **s),
    "multinomial": lambda **s: MultinomialVAE([8], 3, **s),
}
CASES = {**{name: (make, (X,)) for name, make in KINDS.items()},
         **{name: (make, (X, LABELS)) for name, make in WITH_LABELS.items()},
         **{name: (make, (IMAGES,)) for name, make in OF_IMAGES.items()},
         **{name: (make, (RATINGS,)) for name, make in OF_RATINGS.items()}}
# Those that tell each other more than gradients.
OF_ALL_SAMPLES = ("batch norm", "sparse", "variational", "wasserstein", "vector-quantised", "persistent rbm")
pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.variational.PosteriorCollapse")
TIMES = ("seconds", "samples_per_second")


def curves(history) -> list[list[float]]:
    return [[value for name, value in row.items() if name not in TIMES] for row in history]


def all_well(results: list) -> list:
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_ranks_have_the_losses_of_one_process(name, size):
    make, data = CASES[name]
    alone = make(**COMMON).fit(*data)
    for model in all_well(together(size, lambda ranks: make(**COMMON).fit(*data))):
        np.testing.assert_allclose(curves(model.history_), curves(alone.history_), rtol=1e-10)


@pytest.mark.parametrize("name", OF_ALL_SAMPLES)
def test_they_have_them_on_other_devices(backend, name):
    make, data = CASES[name]
    settings = {**COMMON, "epochs": 1}
    alone = make(**settings).fit(*data)
    for model in all_well(together(3, lambda ranks: make(**settings).fit(*data))):
        np.testing.assert_allclose(curves(model.history_), curves(alone.history_), rtol=1e-10)


@pytest.mark.parametrize("name", ["dropout, penalty and clip", "vector-quantised", "adversarial", "persistent rbm"])
def test_ranks_have_the_weights_of_one_process(name):
    make, data = CASES[name]
    alone, *models = (getattr(m, "network_", None) or m.machine_ for m in [
        make(**COMMON).fit(*data), *all_well(together(3, lambda ranks: make(**COMMON).fit(*data)))])
    for model in models:
        for key, value in model.state_dict().items():
            np.testing.assert_allclose(value, alone.state_dict()[key], rtol=1e-8, atol=1e-12, err_msg=key)
            np.testing.assert_array_equal(value, models[0].state_dict()[key], err_msg=key)


def test_held_out_losses_early_stopping_and_a_pretrained_stack_are_those_of_one_process():
    def train(ranks=ALONE):
        stack = pretrain(X, [12, 6, 3], epochs=2, batch_size=10, dtype="float64")
        model = stack.unroll(epochs=8, batch_size=10, lr=0.05)
        model.fit(X, validation=X[:7], callbacks=[EarlyStopping(patience=1)])
        return [*stack.histories, model.history_]

    expected = train()
    assert "val_loss" in expected[-1][0]
    for histories in all_well(together(2, train)):
        for found, alone in zip(histories, expected, strict=True):
            np.testing.assert_allclose(curves(found), curves(alone), rtol=1e-10)


def test_mapped_data_are_read_by_the_rank_that_works_with_them(tmp_path):
    np.save(tmp_path / "x.npy", X)
    alone = Autoencoder([8], 3, **COMMON).fit(X)
    mapped = [np.load(tmp_path / "x.npy", mmap_mode="r") for _ in range(3)]
    for model in all_well(together(3, lambda ranks: Autoencoder([8], 3, **COMMON).fit(mapped[ranks.rank]))):
        np.testing.assert_allclose(curves(model.history_), curves(alone.history_), rtol=1e-10)


@pytest.mark.parametrize("total", [0, 1, 2, 3, 7, 128])
@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_shares_cover_a_minibatch(total, size):
    ranks = [Ranks() for _ in range(size)]
    for number, r in enumerate(ranks):
        r.rank, r.size = number, size
    parts = [np.arange(total)[Share(r, total).part] for r in ranks]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("size", [2, 3])
def test_a_sample_has_the_same_noise_on_whatever_rank(backend, kind, size):
    def draw(ranks=ALONE):
        generator = Generator(3, "noise", backend)
        with sharing(Share(ranks, 5)):
            rows = backend.to_host(getattr(generator, kind)((Share(ranks, 5).rows, 3, 2), "float64"))
            with unshared():
                return rows, backend.to_host(getattr(generator, kind)((4,), "float64"))

    whole, common = draw()
    parts = all_well(together(size, draw))
    np.testing.assert_allclose(np.concatenate([rows for rows, _ in parts]), whole, rtol=1e-14)
    for _, own in parts:
        np.testing.assert_array_equal(own, common)


def test_noise_that_belongs_to_no_sample_has_to_say_so():
    def draw(ranks):
        with sharing(Share(ranks, 5)):
            Generator(0).uniform((7,), "float32")

    for why in together(2, draw):
        assert isinstance(why, ValueError) and "what belongs to no sample within backend.sharing.unshared()" in str(why)


def test_the_gradient_of_all_rows_goes_to_the_ranks_they_came_from(backend):
    rows = np.arange(10.0).reshape(5, 2)

    def gradient(ranks=ALONE):
        share = Share(ranks, 5)
        with sharing(share):
            x = Tensor(rows[share.part], requires_grad=True, backend=backend)
            y = all_rows(x)
            (y.T @ y).sum().backward(backend.asarray(np.array(share.weight)))
            return backend.to_host(y._data), backend.to_host(x.grad)

    _, expected = gradient()
    for n in (2, 3):
        values, gradients = zip(*all_well(together(n, gradient)), strict=True)
        np.testing.assert_array_equal(values, [rows] * n)
        np.testing.assert_allclose(np.concatenate(gradients), expected, rtol=1e-14)


# -------------------------------------------------------------------- what can't be shared, or has to be the same

def test_tangents_through_batch_norm_are_refused():
    def train(ranks):
        ContractiveAutoencoder(3, hidden=[8], batch_norm=True, **COMMON).fit(X)

    for why in together(2, train):
        assert isinstance(why, ValueError) and "train a contractive model without batch_norm" in str(why)


def test_other_data_are_refused_on_all_ranks():
    for why in together(2, lambda ranks: Autoencoder([8], 3, **COMMON).fit(X[:20 + ranks.rank])):
        assert isinstance(why, RanksDiffer) and "differ in samples before training (20 and 21)" in str(why)
    for why in together(3, lambda ranks: Autoencoder([8], 3, seed=ranks.rank // 2, **COMMON).fit(X)):
        assert isinstance(why, RanksDiffer) and "ranks 0 and 2 differ in weights before training" in str(why)


def other_rows(rank):
    """The data with the last row changed, the rows turned round, or other labels, on the second rank."""
    changed, labels = X.copy(), LABELS.copy()
    changed[-1], labels[0] = 1 - X[-1], 1 - LABELS[0]
    return {"last row": (X if not rank else changed, LABELS), "order": (X if not rank else X[::-1], LABELS),
            "label": (X, LABELS if not rank else labels)}


@pytest.mark.parametrize("which", ["last row", "order", "label"])
def test_other_numbers_are_refused_on_all_ranks(which):
    def train(ranks):
        ConditionalVariationalAutoencoder([8], 3, **COMMON).fit(*other_rows(ranks.rank)[which])

    for why in together(2, train):
        assert isinstance(why, RanksDiffer) and "ranks 0 and 1 have different data, of the same size" in str(why)


@pytest.mark.parametrize("held_out", [lambda rank: X[:9 + rank], lambda rank: X[:9] if rank else None])
def test_other_held_out_data_are_refused_on_all_ranks(held_out):
    for why in together(2, lambda ranks: Autoencoder([8], 3, **COMMON).fit(X, validation=held_out(ranks.rank))):
        assert isinstance(why, RanksDiffer) and "differ in held-out samples before training" in str(why)
    for why in together(2, lambda ranks: Autoencoder([8], 3, **COMMON).fit(X, validation=X[ranks.rank:9 + ranks.rank])):
        assert isinstance(why, RanksDiffer) and "have different data" in str(why)


@pytest.mark.filterwarnings("ignore::miniae.training.DamagedCheckpoint")
@pytest.mark.parametrize("damaged", [0, 1])
def test_a_checkpoint_that_one_rank_alone_finds_damaged(damaged, tmp_path):
    """It goes on from the one before, and the others notice."""
    Autoencoder([8], 3, **COMMON).fit(X, callbacks=[Checkpoint(tmp_path / "0.safetensors")])
    for file in list(tmp_path.iterdir()):
        (tmp_path / file.name.replace("0", "1")).write_bytes(file.read_bytes())
    with (tmp_path / f"{damaged}.safetensors").open("r+b") as file:
        file.truncate(100)

    def train(ranks):
        Autoencoder([8], 3, **{**COMMON, "epochs": 9}).fit(
            X, callbacks=[Checkpoint(tmp_path / f"{ranks.rank}.safetensors", resume=True)])

    for why in together(2, train):
        assert isinstance(why, RanksDiffer) and "ranks 0 and 1 differ in epoch before training" in str(why)


def test_other_streams_are_refused_on_all_ranks():
    for why in together(2, lambda ranks: Autoencoder([8], 3, **COMMON).fit(Stream(lambda: [X + 0.1 * ranks.rank]))):
        assert isinstance(why, RanksDiffer) and "have different data" in str(why)


def test_one_feature_of_large_numbers_does_not_hide_the_others():
    backend = get("numpy")
    for large in (2024.0, 1.7e9):
        years = np.hstack([np.full((22, 1), large), X])
        assert differ(sampled(years, backend), sampled(years[::-1], backend))
        assert not differ(sampled(years, backend), sampled(years * (1 + 1e-6), backend))
    huge = np.full((3, 4), 1e200)
    assert differ(sampled(huge, backend), sampled(2 * huge, backend))
    missing = np.where(X > 0.5, X, np.nan)
    assert not differ(sampled(missing, backend), sampled(missing.copy(), backend))
    assert differ(sampled(missing, backend), sampled(missing / 2, backend))


def test_the_same_data_on_other_devices_and_rounded_otherwise(backend):
    host = sampled((X, LABELS), backend)
    assert not differ(host, sampled((backend.asarray(X), backend.asarray(LABELS)), backend))
    assert not differ(host, sampled((X * (1 + 1e-6), LABELS), backend))
    assert differ(host, sampled((X, LABELS + np.eye(22, dtype=int)[0]), backend))
    assert differ(host, sampled((X * 1.1, LABELS), backend))


def test_a_stream_is_known_by_its_length(backend):
    assert not sampled(Stream(lambda: [X[:11], X[11:]]), backend).any()


class Evaluates(Callback):
    def on_epoch_end(self, trainer, logs):
        if trainer.ranks.rank == 0:
            trainer.evaluate(np.full((4, 12), 1e200))


def test_what_diverges_on_one_rank_alone_is_its_own():
    """So that it ends the others, and is not rolled back on this rank only."""
    (why,) = together(1, lambda ranks: Autoencoder([8], 3, **COMMON).fit(X, callbacks=[Evaluates()]))
    assert isinstance(why, TrainingDiverged) and not why.on_all_ranks
    diverging = {"optimizer": "sgd", **COMMON, "lr": 1e200}
    for why in together(2, lambda ranks: Autoencoder([8], 3, **diverging).fit(X)):
        assert isinstance(why, TrainingDiverged) and why.on_all_ranks
    assert not TrainingDiverged("of a callback").on_all_ranks


class Spoils(Callback):
    def on_epoch_end(self, trainer, logs):
        if trainer.ranks.rank == 1:
            p = trainer.parameters[0]
            p.assign(p.numpy() * (1 + 1e-12))


def test_weights_that_come_apart_are_noticed_on_all_ranks():
    for why in together(3, lambda ranks: Autoencoder([8], 3, **COMMON).fit(X, callbacks=[Spoils()])):
        assert isinstance(why, RanksDiffer) and "ranks 0 and 1 differ in weights after epoch 1" in str(why)


def test_training_that_diverges_ends_on_all_ranks():
    def train(ranks):
        Autoencoder([8], 3, optimizer="sgd", **{**COMMON, "lr": 1e200}).fit(X, callbacks=[ProgressBar(file=Terminal())])

    for why in together(2, train):
        assert isinstance(why, TrainingDiverged)


class Terminal(list):
    """A file that takes itself for a terminal, so that the bar asks for losses all the time."""

    encoding = "utf-8"
    write = list.append

    def isatty(self):
        return True

    def flush(self): ...


class Interrupts(Callback):
    def on_batch_end(self, trainer, batch):
        self.batch = trainer.epoch, batch
        if (trainer.epoch, batch) == (1, 0) and trainer.ranks.rank == 1:
            trainer.ranks.interrupted = True


def test_an_interrupt_of_one_rank_stops_all_after_the_same_step():
    watches = [Interrupts(), Interrupts()]
    results = together(2, lambda ranks: Autoencoder([8], 3, **COMMON).fit(X, callbacks=[watches[ranks.rank]]))
    assert all(isinstance(why, Interrupted) for why in results)
    assert [watch.batch for watch in watches] == [(1, 0)] * 2


class Stops(Callback):
    def on_epoch_end(self, trainer, logs):
        trainer.stop = trainer.ranks.rank == 1


class Looks(Callback):
    """Evaluates on one rank only."""

    def on_batch_end(self, trainer, batch):
        if trainer.ranks.rank == 1:
            self.loss = trainer.evaluate(X)["loss"]


def test_what_one_rank_does_by_itself_lets_the_others_go_on():
    look = Looks()
    models = all_well(together(2, lambda ranks: Autoencoder([8], 3, **{**COMMON, "epochs": 5}).fit(
        X, callbacks=[Stops(), look])))
    assert [len(model.history_) for model in models] == [1, 1]
    assert look.loss == pytest.approx(models[0]._trainer.evaluate(X)["loss"])


def test_only_the_first_rank_speaks_and_saves(tmp_path):
    lines = [[], []]

    def train(ranks):
        callbacks = [Checkpoint(tmp_path / f"{ranks.rank}.safetensors"),
                     ProgressBar(file=SimpleNamespace(isatty=lambda: False, write=lines[ranks.rank].append,
                                                      flush=lambda: None))]
        Autoencoder([8], 3, **COMMON).fit(X, callbacks=callbacks)

    all_well(together(2, train))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.previous.safetensors", "0.safetensors"]
    assert lines[0] and not lines[1]


def test_a_run_goes_on_from_a_checkpoint_on_other_ranks(tmp_path):
    path = tmp_path / "run.safetensors"

    def train(epochs, *callbacks):
        model = Autoencoder([8], 3, dropout=0.3, **{**COMMON, "epochs": epochs})
        return model.fit(X, callbacks=callbacks or [Checkpoint(path, resume=True)]).history_

    expected = train(4, Callback())
    assert [len(history) for history in all_well(together(2, lambda ranks: train(2)))] == [2, 2]
    for history in all_well(together(3, lambda ranks: train(4))):
        np.testing.assert_allclose(curves(history), curves(expected), rtol=1e-10)


def test_steps_are_not_replayed_by_ranks_and_a_trainer_can_be_copied_in_between():
    import pickle

    def train(ranks):
        model = Autoencoder([8], 3, batch_size=4, epochs=8).fit(X[:20])
        return model._trainer.replays.replayed, model._trainer.replays.not_replayed, pickle.loads(pickle.dumps(model))

    for replayed, why, model in all_well(together(2, train)):
        assert replayed == 0 and "ranks share the steps" in why
        assert model._trainer.ranks is ALONE


def test_one_rank_trains_as_ever():
    with use_ranks(ALONE):
        model = Autoencoder([8], 3, **COMMON).fit(X)
    assert curves(model.history_) == curves(Autoencoder([8], 3, **COMMON).fit(X).history_)
    assert ALONE.device("cupy") == "cupy"
    with pytest.raises(SystemExit):
        ALONE.abort(3)


# -------------------------------------------------------------------- MPI and NCCL

def test_what_mpiexec_says_is_understood():
    assert launched({}) == (0, 1)
    assert launched({"PMI_RANK": "2", "PMI_SIZE": "4"}) == (2, 4)
    assert launched({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}) == (1, 2)
    assert launched({"PMIX_RANK": "1", "SLURM_STEP_NUM_TASKS": "8"}) == (1, 8)
    assert launched({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}) == (0, 1)  # a batch script, of which there is one


def test_ranks_that_cannot_talk_do_not_go_to_work_each_by_itself(monkeypatch, capsys):
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(BackendUnavailable, match=r"4 processes .* pip install 'miniae\[mpi\]'"):
        ranks_here()
    from miniae.cli import main

    assert main(["train", "--epochs", "1"]) == 2
    assert "mpi4py" in capsys.readouterr().err
    monkeypatch.setenv("PMI_RANK", "1")
    assert main(["train", "--epochs", "1"]) == main(["train", "--nonsense"]) == 2
    assert capsys.readouterr().err == ""


class FakeMPI:
    """mpi4py's module with a communicator of one process that takes itself for the first of two."""

    IN_PLACE, SUM, COMM_TYPE_SHARED = object(), object(), 0

    def __init__(self, size=2, told=lambda own: [own, own]):
        self.COMM_WORLD, self._size, self.allgather, self.aborted = self, size, told, None

    def Dup(self): return self
    def Split_type(self, kind): return self
    def Free(self): ...
    def Get_rank(self): return 0
    def Get_size(self): return self._size
    def Get_library_version(self): return "A  library 1.0, of somewhere\n"
    def bcast(self, name): return name
    def Abort(self, code): self.aborted = code

    def Allreduce(self, place, a, op):
        assert place is self.IN_PLACE and op is self.SUM and a.ndim == 1
        a += a


class FakeNCCL:
    """CuPy's module, and its communicator; the arrays are NumPy's in a wrapper."""

    NCCL_FLOAT32, NCCL_FLOAT64, NCCL_SUM, available = "float32", "float64", "sum", True

    def __init__(self): self.made, self.calls = [], []
    def get_unique_id(self): return ("a", "name")

    def NcclCommunicator(self, size, name, rank):
        self.made.append((size, name, rank))
        return self

    def allReduce(self, *call): self.calls.append(call)


def on_gpu(pci="0000:01:00.0"):
    xp = SimpleNamespace(cuda=SimpleNamespace(Device=lambda: SimpleNamespace(pci_bus_id=pci),
                                              get_current_stream=lambda: SimpleNamespace(ptr=77)))
    array = SimpleNamespace(data=SimpleNamespace(ptr=123), size=6, dtype=np.dtype("float32"),
                            flags=SimpleNamespace(c_contiguous=True))
    host = np.ones(6, "float32")
    be = SimpleNamespace(name="cupy", xp=xp, to_host=lambda a: host.copy(), asarray=lambda a: a,
                         copy=lambda a, out: host.__setitem__(..., a))
    return be, array, host


def test_gpus_of_their_own_talk_by_nccl_on_the_stream_that_computes(monkeypatch):
    other = FakeMPI(told=lambda own: [own, (True, ("elsewhere", "0000:01:00.0"))])
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", other)
    nccl = FakeNCCL()
    monkeypatch.setattr(mpi, "_nccl", lambda: nccl)
    be, array, host = on_gpu()
    ranks = MPI()
    ranks.sum(be, array)
    ranks.sum(be, array)
    assert nccl.made == [(2, ("a", "name"), 0)]
    assert nccl.calls == [(123, 123, 6, "float32", "sum", 77)] * 2
    assert ranks.library == "A library 1.0"


@pytest.mark.parametrize("why", ["one GPU for both", "no NCCL on one"])
def test_gpus_that_cannot_use_nccl_talk_by_way_of_the_host(monkeypatch, why):
    second = (lambda own: own) if why == "one GPU for both" else lambda own: (False, ("elsewhere", "x"))
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", FakeMPI(told=lambda own: [own, second(own)]))
    monkeypatch.setattr(mpi, "_nccl", FakeNCCL)
    be, array, host = on_gpu()
    MPI().sum(be, array)
    assert (host == 2).all()


def test_cupys_nccl_module_is_asked_for_what_it_has():
    with_library = pytest.importorskip("cupy.cuda.nccl", reason="needs CuPy")
    assert mpi._nccl() is (with_library if with_library.available else None)
    assert NCCL(FakeNCCL(), None, 2, "name", 1)


def test_each_rank_of_a_machine_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", FakeMPI())
    ranks, wanted = MPI(), []
    ranks.rank_on_machine = 3
    monkeypatch.setattr(mpi, "get", wanted.append)
    names = {"cupy": "cupy:3", "auto": "cupy:3", "cupy:1": "cupy:1", "numpy": "numpy"}
    assert {name: ranks.device(name) for name in names} == names
    assert wanted == ["cupy:3"] * 2

    def none(name):
        raise BackendUnavailable("no such GPU")

    monkeypatch.setattr(mpi, "get", none)
    assert ranks.device("auto") == "numpy"
    with pytest.raises(BackendUnavailable, match="no such GPU"):
        ranks.device("cupy")
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", FakeMPI(told=lambda own: [own, "cupy:0"]))
    with pytest.raises(BackendUnavailable, match="some ranks have a GPU"):
        MPI().device("auto")


def test_ctrl_c_is_noted_and_a_second_one_is_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", FakeMPI())
    before = signal.getsignal(signal.SIGINT)
    with MPI() as ranks:
        ranks.check()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # the terminal's and mpiexec's
        with pytest.raises(Interrupted):
            ranks.check()
        later = time.monotonic() + 5
        monkeypatch.setattr(mpi.time, "monotonic", lambda: later)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(SystemExit):
        ranks.abort(2)
    assert ranks._all.aborted == 2


def test_what_fails_on_one_rank_ends_all(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", FakeMPI())
    ranks = MPI()
    with pytest.raises(RanksDiffer), ranks:
        raise RanksDiffer("all of them know")
    assert ranks._all.aborted is None
    with pytest.raises(SystemExit), ranks:
        raise OSError("the disk is gone")
    assert ranks._all.aborted == 1
    assert "rank 0 of 2 has failed" in (told := capsys.readouterr().err) and "OSError: the disk is gone" in told


@pytest.fixture(scope="module")
def mpiexec():
    """Start a program on so many ranks; return what `subprocess.run` gives, its outputs as text."""
    pytest.importorskip("mpi4py", reason="needs mpi4py")
    beside = Path(sys.executable).parent / "mpiexec"  # of an MPI that has come as a package
    command = str(beside) if beside.exists() else shutil.which("mpiexec")
    if command is None:
        pytest.skip("needs mpiexec")
    environment = {**os.environ, "PYTHONPATH": str(Path(miniae.__file__).parents[1]), "OMP_NUM_THREADS": "1",
                   "OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                   "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}

    def run(size, *arguments):
        return subprocess.run([command, "-n", str(size), sys.executable, *map(str, arguments)], env=environment,
                              capture_output=True, text=True, timeout=120)

    return run


QUICK = ("-m", "miniae", "train", "--epochs", 2, "--pretrain-epochs", 1, "--layers", "8-2", "--dtype", "float64",
         "--backend", "numpy")


@pytest.mark.parametrize("size", [2, 3])
def test_mpiexec_trains_one_model(mpiexec, tmp_path, size):
    data = tmp_path / "x.npy"
    np.save(data, np.random.default_rng(0).random((203, 10)))
    from miniae.cli import main

    options = ["--pretrain", "rbm", "--data", str(data), "--out"]
    assert main([*map(str, QUICK[2:]), *options, str(tmp_path / "alone")]) == 0
    done = mpiexec(size, *QUICK, *options, tmp_path / "together")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("written to") == 1 and f"{size} processes train together" in done.stdout

    def losses(folder):
        rows = [line.split(",") for line in (tmp_path / folder / "history.csv").read_text().splitlines()[1:]]
        return np.array([[float(v or 0) for i, v in enumerate(row) if i not in (0, 5, 6)] for row in rows])

    np.testing.assert_allclose(losses("together"), losses("alone"), rtol=1e-9)
    assert (tmp_path / "together" / "model.safetensors").exists()


def test_an_error_of_all_ranks_is_told_once(mpiexec, tmp_path):
    done = mpiexec(2, *QUICK, "--out", tmp_path, "--data", tmp_path / "nothing.npy")
    assert done.returncode not in (0, 1)
    assert done.stderr.count("miniae: ") == 1 and "nothing.npy" in done.stderr
    assert "Traceback" not in done.stderr


FAILING = """
import os, signal, sys
from miniae.cli import main
from miniae.backend.sharing import current_ranks
from miniae.training import trainer

step = trainer.training_step
def failing(self, rows, order):
    if sys.argv[1] == "memory" and current_ranks().rank == 1 and self.epochs == 4000:
        raise MemoryError
    if sys.argv[1] != "memory" and current_ranks().rank == 1 and self.epoch == 1:
        if sys.argv[1] == "error":
            raise OSError("the disk of this node is gone")
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, rows, order)
trainer.training_step = failing
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("how", ["error", "kill"])
def test_a_rank_that_fails_ends_all(mpiexec, tmp_path, how):
    program = tmp_path / "failing.py"
    program.write_text(FAILING)
    done = mpiexec(2, program, how, *QUICK[2:], "--pretrain", "none", "--epochs", 4000, "--out", tmp_path / "run")
    assert done.returncode != 0
    if how == "error":
        assert done.stderr.count("miniae: rank 1: the disk of this node is gone") == 1
        assert "Traceback" not in done.stderr


def test_a_rank_without_memory_after_pretraining_ends_all(mpiexec, tmp_path):
    program = tmp_path / "failing.py"
    program.write_text(FAILING)
    done = mpiexec(2, program, "memory", *QUICK[2:], "--epochs", 4000, "--out", tmp_path / "run")
    assert done.returncode != 0 and done.stderr.count("miniae: rank 1: out of memory") == 1, done.stderr
