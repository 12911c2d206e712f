"""Runs by several ranks that go on in the middle of an epoch, and streams that are read so."""

from __future__ import annotations

import numpy as np
import pytest
from together import together
from training.killed import KilledAfter

from miniae.backend.sharing import ALONE
from miniae.data import Stream, load_tensors
from miniae.data.rows import Order, rows_on
from miniae.models import Autoencoder, Classifier, SparseAutoencoder, VariationalAutoencoder
from miniae.rbm import RBM
from miniae.training import Checkpoint, SkipBatches

RNG = np.random.default_rng(0)
# Batches of 10, the last of 2 samples: one of three ranks is left without.
X, LABELS = RNG.random((42, 12)), RNG.integers(0, 2, 42)
COMMON = {"batch_size": 10, "epochs": 3, "dtype": "float64"}
TIMES = ("seconds", "samples_per_second")
KINDS = {
    "dropout, batch norm": lambda: Autoencoder([8], 3, dropout=0.2, batch_norm=True, **COMMON),
    "line searches": lambda: Autoencoder([8], 3, optimizer="cg", **COMMON),
    "sparse": lambda: SparseAutoencoder([], 8, **COMMON),
    "variational": lambda: VariationalAutoencoder([8], 3, warmup=2, **COMMON),
    "persistent rbm": lambda: RBM(6, persistent=True, fast_lr=0.05, **COMMON),
}
pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.variational.PosteriorCollapse")


def curves(model):
    return [[value for name, value in row.items() if name not in TIMES] for row in model.history_]


def weights(model):
    return (model.machine_ if isinstance(model, RBM) else model.network_).state_dict()


def all_well(results):
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def killed(results):
    assert all(isinstance(why, SystemExit) for why in results), results


def check_the_same(model, whole):
    assert curves(model) == curves(whole)
    for name, a in weights(whole).items():
        np.testing.assert_array_equal(weights(model)[name], a, err_msg=name)


def check_that_ranks_go_on(size, train, path):
    """`train(*callbacks)` by so many ranks, killed twice in the middle of an epoch, and saved after every batch: bit
    for bit what they are that never stopped."""
    whole = all_well(together(size, lambda ranks: train()))
    for lives in (3, 4):
        killed(together(size, lambda ranks, n=lives: train(Checkpoint(path, None, True, 0.0), KilledAfter(n))))
        assert load_tensors(path)[1]["position"]
    for model, other in zip(all_well(together(size, lambda ranks: train(Checkpoint(path, resume=True)))), whole,
                            strict=True):
        check_the_same(model, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_go_on_in_the_middle_of_an_epoch(kind, size, tmp_path):
    def train(*callbacks):
        return KINDS[kind]().fit(X, callbacks=callbacks)

    check_that_ranks_go_on(size, train, tmp_path / "run.safetensors")


def test_another_number_of_ranks_goes_on_in_the_middle_of_an_epoch(tmp_path):
    path = tmp_path / "run.safetensors"

    def train(*callbacks):
        return KINDS["dropout, batch norm"]().fit(X, callbacks=callbacks)

    killed(together(3, lambda ranks: train(Checkpoint(path, None, True, 0.0), KilledAfter(3))))
    killed(together(2, lambda ranks: train(Checkpoint(path, None, True, 0.0), KilledAfter(3))))
    np.testing.assert_allclose(curves(train(Checkpoint(path, resume=True))), curves(train()), rtol=1e-10)


def test_the_ranks_skip_the_batches_that_one_process_skips():
    """A sample that is too large lies on one rank only, the gradient is looked at when it is that of all."""
    spoilt = X.copy()
    spoilt[17] = 1e200

    def train(ranks=ALONE):
        model = Autoencoder([8], 3, batch_norm=True, **{**COMMON, "lr": 1e-2})
        return model.fit(spoilt, callbacks=[SkipBatches()])

    with pytest.warns(UserWarning, match="1 of 5 batches were left out"):
        alone = train()
        models = all_well(together(3, train))
    assert [row["skipped"] for row in alone.history_] == [1, 1, 1]
    for model in models:
        np.testing.assert_allclose(curves(model), curves(alone), rtol=1e-9)


# -------------------------------------------------------------------- streams

def stream(shuffle=1, log=None):
    """X in batches that are no divisors of anything; how often it is gone through is noted."""
    def batches():
        if log is not None:
            log.append(0)
        yield from np.array_split(X, [5, 5, 18, 31])

    return Stream(batches, shuffle)


@pytest.mark.parametrize("shuffle", [1, 16])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_read_a_stream_each_its_rows(shuffle, size):
    """Of the last batch the first of three ranks has no sample."""
    def train(ranks=ALONE):
        return Autoencoder([8], 3, scaling="standard", **COMMON).fit(stream(shuffle), validation=stream()[:7])

    alone = train()
    for model in all_well(together(size, train)):
        np.testing.assert_allclose(curves(model), curves(alone), rtol=1e-10)


def test_an_empty_piece_of_a_stream(backend):
    rows = rows_on(backend, "float64", stream())
    for order in (Order.of(np.arange(0, 0), backend), Order.of(np.arange(3, 6), backend)):
        rows.load(order)
        np.testing.assert_array_equal(backend.to_host(rows.batch(order)), X[order.host])


@pytest.mark.parametrize("shuffle", [1, 16])
@pytest.mark.parametrize("size", [1, 2])
def test_a_stream_goes_on_in_the_middle_of_an_epoch(shuffle, size, tmp_path):
    def train(*callbacks):
        return Autoencoder([8], 3, dropout=0.2, **COMMON).fit(stream(shuffle), callbacks=callbacks)

    check_that_ranks_go_on(size, train, tmp_path / "run.safetensors")


def test_labels_beside_a_stream_go_on_with_their_samples(tmp_path):
    path = tmp_path / "run.safetensors"

    def train(*callbacks):
        return Classifier([8], head_epochs=1, **COMMON).fit(stream(16), LABELS, callbacks=callbacks)

    whole = train()
    for lives in (3, 6):
        with pytest.raises(SystemExit):
            train(Checkpoint(path, None, True, 0.0), KilledAfter(lives))
    check_the_same(train(Checkpoint(path, resume=True)), whole)


def test_what_is_left_of_an_epoch_is_read_in_one_pass(tmp_path):
    path, log = tmp_path / "run.safetensors", []

    def train(*callbacks):
        return Autoencoder([8], 3, **{**COMMON, "epochs": 1}).fit(stream(16, log), callbacks=callbacks)

    with pytest.raises(SystemExit):
        train(Checkpoint(path, None, True, 0.0), KilledAfter(3))
    log.clear()
    train(Checkpoint(path, resume=True))
    assert len(log) == 2  # the first counts the samples
