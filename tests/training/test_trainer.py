"""The loop, its callbacks, its checkpoints."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

from miniae import Autoencoder, nn
from miniae.backend.philox import host_generator
from miniae.data import StorageError
from miniae.models import AutoencoderNetwork
from miniae.nn import Build, Dense, Sequential
from miniae.optim import SGD, Adam, ClipByNorm
from miniae.training import (
    Callback,
    Checkpoint,
    EarlyStopping,
    LearningRate,
    ProgressBar,
    ReduceOnPlateau,
    Trainer,
    TrainingDiverged,
    restore,
)

X = np.random.default_rng(0).random((53, 6))


def network(dtype="float64", corruption=(), **settings):
    net = AutoencoderNetwork(Sequential([Dense(4, "tanh")]), Sequential([Dense(6)]), corruption=corruption, **settings)
    net.build((6,), Build("", 0, dtype))
    return net


def test_an_epoch_is_plain_gradient_descent_over_shuffled_batches(backend):
    """Every number of two epochs by hand, the last batch being smaller."""
    net = network()
    trainer = Trainer(net, SGD(net.parameters(), lr=0.05), batch_size=20, seed=7)
    w1, b1, w2, b2 = (p.numpy() for p in net.parameters())
    history = trainer.fit(X, 2, validation=X[:5])
    for epoch in range(2):
        order, total = host_generator(7, "shuffle", epoch).permutation(len(X)), 0.0
        for start in range(0, len(X), 20):
            x = X[order[start:start + 20]]
            h = np.tanh(x @ w1 + b1)
            difference = h @ w2 + b2 - x
            total += np.square(difference).sum()
            g = 2 * difference / len(x)
            gh = g @ w2.T * (1 - h * h)
            w2, b2 = w2 - 0.05 * h.T @ g, b2 - 0.05 * g.sum(0)
            w1, b1 = w1 - 0.05 * x.T @ gh, b1 - 0.05 * gh.sum(0)
        assert history[epoch]["loss"] == pytest.approx(total / len(X), rel=1e-10)
        expected = np.square(np.tanh(X[:5] @ w1 + b1) @ w2 + b2 - X[:5]).sum() / 5
        if epoch == 1:
            assert history[epoch]["val_loss"] == pytest.approx(expected, rel=1e-10)
    for p, expected in zip(net.parameters(), (w1, b1, w2, b2), strict=True):
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-10, atol=1e-13)


def test_history_has_what_it_says():
    net = network(l2=0.01)
    row = Trainer(net, Adam(net.parameters(), lr=1e-3)).fit(X, 1, validation=X)[0]
    assert row.keys() == {"epoch", "loss", "reconstruction", "l2", "val_loss", "val_reconstruction", "lr", "seconds",
                          "samples_per_second"}
    assert row["epoch"] == 1 and row["loss"] == pytest.approx(row["reconstruction"] + row["l2"])


def test_the_model_ends_in_its_deterministic_behaviour(backend):
    net = network(corruption=[nn.GaussianNoise(0.5)])
    Trainer(net, Adam(net.parameters())).fit(X, 1)
    assert not net.training and not net.corruption[0].training
    np.testing.assert_array_equal(net(X).numpy(), net(X).numpy())


def test_the_gradient_is_clipped():
    net = network()
    before = net.state_dict()
    Trainer(net, SGD(net.parameters(), lr=1.0), batch_size=100, clip=ClipByNorm(1e-3)).fit(X, 1)
    moved = math.sqrt(sum(np.square(a - before[name]).sum() for name, a in net.state_dict().items()))
    assert moved == pytest.approx(1e-3, rel=1e-3)


def test_a_steady_epoch_allocates_nothing(backend):
    net = network(dtype="float32", corruption=[nn.GaussianNoise(0.1)])
    counts = []

    class Watch(Callback):
        def on_epoch_end(self, trainer, logs):
            counts.append(sum(a.allocations for a in trainer._arenas.values()))

    Trainer(net, Adam(net.parameters()), batch_size=20, callbacks=[Watch()]).fit(X, 5, validation=X)
    assert counts[1] == counts[-1] > 0


def test_divergence_puts_the_last_good_weights_back(backend):
    net = network()

    class Explode(Callback):
        def on_epoch_begin(self, trainer):
            trainer.optimizer.lr = 1e30 if trainer.epoch == 2 else 0.01
            self.before = trainer.model.state_dict()

    explode = Explode()
    with pytest.raises(TrainingDiverged, match="in epoch 3: lower the learning rate \\(it is 1e\\+30\\)"):
        Trainer(net, SGD(net.parameters(), lr=0.01), batch_size=10, callbacks=[explode]).fit(X, 5)
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, explode.before[name])


def test_early_stopping_keeps_the_best():
    values = iter([5.0, 3.0, 4.0, 3.5, 1.0])
    net, states = network(), []

    class Pretend(Callback):
        def on_epoch_end(self, trainer, logs):
            logs["val_loss"] = next(values)
            states.append(trainer.model.state_dict())

    trainer = Trainer(net, SGD(net.parameters(), lr=0.01), callbacks=[Pretend(), EarlyStopping(patience=2)])
    trainer.fit(X, 10)
    assert trainer.epoch == 4  # two epochs without improvement after the second
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, states[1][name])
    with pytest.raises(ValueError, match="nothing called 'val_loss' to watch: this training reports epoch, loss"):
        Trainer(net, SGD(net.parameters()), callbacks=[EarlyStopping()]).fit(X, 1)
    with pytest.raises(ValueError, match="patience"):
        EarlyStopping(patience=0)


def test_learning_rates():
    net, seen = network(), []

    class Watch(Callback):
        def on_epoch_end(self, trainer, logs):
            seen.append(logs["lr"])

    Trainer(net, SGD(net.parameters(), lr=0.1), callbacks=[LearningRate(lambda e: 0.5**e), Watch()]).fit(X, 3)
    assert seen == pytest.approx([0.1, 0.05, 0.025])

    values, seen[:] = iter([3.0, 2.0, 2.0, 2.0, 2.0, 2.0]), []

    class Pretend(Callback):
        def on_epoch_end(self, trainer, logs):
            logs["val_loss"] = next(values)

    plateau = ReduceOnPlateau(factor=0.1, patience=2)
    Trainer(net, SGD(net.parameters(), lr=1e-3), callbacks=[Pretend(), plateau, Watch()]).fit(X, 6)
    assert seen == pytest.approx([1e-3] * 4 + [1e-4] * 2)


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_restored_run_continues_bit_by_bit(stop, tmp_path, backend):
    """Weights, moments, noise, shuffles and history of 4 + (the rest) epochs are those of an unbroken run."""
    def make(callbacks=()):
        net = network(corruption=[nn.GaussianNoise(0.1), nn.Masking(0.2)])
        return net, Trainer(net, Adam(net.parameters(), lr=0.01), batch_size=20, seed=3, callbacks=callbacks)

    whole, trainer = make()
    expected = trainer.fit(X, 6)
    path = tmp_path / "run.safetensors"
    make([Checkpoint(path)])[1].fit(X, stop)
    resumed, trainer = make()
    restore(trainer, path)
    assert trainer.epoch == stop
    history = trainer.fit(X, 6)
    for name, a in resumed.state_dict().items():
        np.testing.assert_array_equal(a, whole.state_dict()[name])
    assert [row["loss"] for row in history] == [row["loss"] for row in expected]


def test_checkpoints_that_do_not_fit(tmp_path):
    net = network()
    path = tmp_path / "c.safetensors"
    Trainer(net, Adam(net.parameters()), callbacks=[Checkpoint(path, every=2)]).fit(X, 3)
    assert path.exists()
    other = network()
    with pytest.raises(ValueError, match="another optimizer"):
        restore(Trainer(other, SGD(other.parameters()), callbacks=[]), path)
    Autoencoder([3], 2, epochs=1).fit(X).save(tmp_path / "model.safetensors")
    with pytest.raises(StorageError, match="not a checkpoint"):
        restore(Trainer(other, Adam(other.parameters())), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="at least 1"):
        Checkpoint(path, every=0)


def test_plain_lines_where_there_is_no_terminal():
    net, out = network(), io.StringIO()
    Trainer(net, SGD(net.parameters()), callbacks=[ProgressBar("fitting", out)]).fit(X, 2, validation=X)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("fitting: epoch 1/2, loss ") and "val_loss" in lines[0] and lines[0].endswith(" s")


def test_a_bar_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    net, out = network(), Terminal()
    Trainer(net, SGD(net.parameters()), batch_size=5, callbacks=[ProgressBar("fitting", out, refresh=0.0)]).fit(X, 3)
    text = out.getvalue()
    assert "fitting" in text and "epoch 3/3" in text and "loss" in text and "33/33" in text and "00:00<" in text


def test_evaluate_and_data_that_do_not_fit(backend):
    net = network()
    trainer = Trainer(net, SGD(net.parameters()), batch_size=10)
    expected = np.square(net(X).numpy() - X).sum() / len(X)
    assert trainer.evaluate(X)["loss"] == pytest.approx(expected, rel=1e-10)
    with pytest.raises(ValueError, match="length 0"):
        trainer.fit(X[:0], 1)
    with pytest.raises(ValueError, match="different numbers of samples"):
        trainer.fit((X, X[:5]), 1)
    with pytest.raises(ValueError, match="batch_size"):
        Trainer(net, SGD(net.parameters()), batch_size=0)
