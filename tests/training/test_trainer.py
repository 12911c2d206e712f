"""The loop, its callbacks, its checkpoints."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

from miniae import RBM, Autoencoder, Classifier, nn
from miniae.backend.philox import host_generator
from miniae.data import StorageError, load_tensors, save_tensors
from miniae.models import AutoencoderNetwork
from miniae.nn import Build, Dense, Sequential
from miniae.optim import SGD, Adam, ClipByNorm, Momentum
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
    trainer = Trainer(net, Momentum(net.parameters(), lr=0.01), batch_size=10, callbacks=[explode])
    with pytest.raises(TrainingDiverged, match="in epoch 3: lower the learning rate \\(it is 1e\\+30\\)"):
        trainer.fit(X, 5)
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, explode.before[name])
    assert trainer.epoch == len(trainer.history) == 2 and trainer.optimizer.lr == 0.01
    assert all(np.isfinite(a).all() for a in trainer.optimizer.state_dict().values())
    trainer.callbacks = []
    assert trainer.fit(X, 3)[-1]["loss"] < trainer.history[1]["loss"]  # it can go on


def test_a_last_update_that_spoils_the_weights_is_noticed(backend):
    """The loss is found before the update: with one batch it never sees what came of it."""
    net = network()
    before = net.state_dict()
    with pytest.raises(TrainingDiverged, match="the weights are no longer finite after epoch 1"):
        Trainer(net, SGD(net.parameters(), lr=1e308), batch_size=100).fit(X * 100, 1)
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, before[name])


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
    assert seen == pytest.approx([1e-3] * 5 + [1e-4])
    with pytest.raises(ValueError, match="factor"):
        ReduceOnPlateau(factor=2.0)


def test_the_smallest_learning_rate():
    net = network()
    plateau = ReduceOnPlateau(factor=0.1, patience=0, monitor="loss", min_lr=0.02)
    trainer = Trainer(net, SGD(net.parameters(), lr=0.1), callbacks=[Worse(), plateau])
    trainer.fit(X, 4)
    assert [row["lr"] for row in trainer.history] == pytest.approx([0.1, 0.1, 0.02, 0.02])


class Worse(Callback):
    """Pretends that the loss rises."""

    def on_epoch_end(self, trainer, logs):
        logs["loss"] = float(trainer.epoch)


def test_a_schedule_and_a_plateau_work_together():
    net = network()
    callbacks = [Worse(), LearningRate(lambda e: 0.5**e), ReduceOnPlateau(0.1, 0, monitor="loss")]
    trainer = Trainer(net, SGD(net.parameters(), lr=0.1), callbacks=callbacks)
    trainer.fit(X, 4)
    assert [row["lr"] for row in trainer.history] == pytest.approx([0.1, 0.05, 0.0025, 0.000125])
    net = network()
    callbacks = [Worse(), LearningRate(lambda e: 1.0), ReduceOnPlateau(0.5, 0, monitor="loss", min_lr=0.04)]
    trainer = Trainer(net, SGD(net.parameters(), lr=0.1), callbacks=callbacks)
    trainer.fit(X, 5)
    assert [row["lr"] for row in trainer.history] == pytest.approx([0.1, 0.1, 0.05, 0.04, 0.04])


def test_a_rate_set_by_hand_stays():
    net = network()
    trainer = Trainer(net, SGD(net.parameters(), lr=0.1), callbacks=[ReduceOnPlateau(monitor="loss")])
    trainer.fit(X, 2)
    trainer.optimizer.lr = 1e-3
    trainer.fit(X, 4)
    assert [row["lr"] for row in trainer.history] == pytest.approx([0.1, 0.1, 1e-3, 1e-3])


def test_early_stopping_never_puts_back_another_models_weights():
    stopping = EarlyStopping(3, monitor="loss")
    Autoencoder([4], 2, epochs=5, seed=1).fit(X, callbacks=[stopping])
    model = Autoencoder([4], 2, epochs=1).fit(X)
    alone = Autoencoder([4], 2, epochs=1).fit(X).partial_fit(X)
    model.partial_fit(X, callbacks=[stopping])
    np.testing.assert_array_equal(model.transform(X), alone.transform(X))


def test_every_callback_hears_of_the_end():
    class Fail(Callback):
        def on_train_end(self, trainer):
            raise OSError("no space")

    class Watch(Callback):
        heard = 0

        def on_train_begin(self, trainer):
            assert trainer.snapshot.epoch == 0

        def on_train_end(self, trainer):
            self.heard += 1

    net, watch = network(), Watch()
    with pytest.raises(OSError, match="no space"):
        Trainer(net, SGD(net.parameters()), callbacks=[watch, Fail(), Watch()]).fit(X, 1)
    assert watch.heard == 1


def test_a_callback_starts_anew_with_every_training():
    schedule, stopping = LearningRate(lambda e: 0.5**e), EarlyStopping(patience=2, monitor="loss")
    for lr in (0.1, 0.02):
        net = network()
        trainer = Trainer(net, SGD(net.parameters(), lr=lr), callbacks=[Worse(), schedule, stopping])
        trainer.fit(X, 9)
        assert [row["lr"] for row in trainer.history] == pytest.approx([lr, lr / 2, lr / 4])
        assert stopping.best_epoch == 1 and stopping.best == 1.0


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


@pytest.mark.parametrize("others", [
    lambda: [LearningRate(lambda e: 0.5**e)], lambda: [ReduceOnPlateau(0.1, 1, monitor="loss")],
    lambda: [LearningRate(lambda e: 0.5**e), ReduceOnPlateau(0.1, 1, monitor="loss")],
])
def test_a_restored_run_goes_on_with_its_schedules(others, tmp_path):
    def make():
        net = network()
        callbacks = [Worse(), *others(), Checkpoint(path), EarlyStopping(patience=4, monitor="loss")]
        return net, Trainer(net, Momentum(net.parameters(), lr=0.1), callbacks=callbacks)

    path = tmp_path / "run.safetensors"
    whole, trainer = make()
    expected = trainer.fit(X, 10)
    assert trainer.epoch == 5  # the first was the best
    make()[1].fit(X, 3)
    resumed, trainer = make()
    restore(trainer, path)
    history = trainer.fit(X, 10)
    assert [row["lr"] for row in history] == [row["lr"] for row in expected]
    assert trainer.epoch == 5
    for name, a in resumed.state_dict().items():
        np.testing.assert_array_equal(a, whole.state_dict()[name])


@pytest.mark.parametrize("event", ["on_batch_end", "on_epoch_begin", "on_epoch_end"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, TrainingDiverged, MemoryError])
def test_a_checkpoint_is_always_of_a_whole_epoch(event, error, tmp_path):
    def make(callbacks=()):
        net = network()
        return net, Trainer(net, Adam(net.parameters(), lr=0.01), batch_size=20, callbacks=callbacks)

    class Fail(Callback):
        pass

    def fail(self, trainer, *args):
        if trainer.epoch == (3 if event == "on_epoch_end" else 2):
            raise error

    setattr(Fail, event, fail)
    path = tmp_path / "run.safetensors"
    with pytest.raises(error):
        make([Fail(), EarlyStopping(monitor="loss"), Checkpoint(path, every=3)])[1].fit(X, 9)
    whole, trainer = make()
    trainer.fit(X, 4)
    resumed, trainer = make()
    restore(trainer, path)
    assert trainer.epoch == 2
    trainer.fit(X, 4)
    for name, a in resumed.state_dict().items():
        np.testing.assert_array_equal(a, whole.state_dict()[name])


@pytest.mark.parametrize("made", [
    lambda: Autoencoder([5], 2, epochs=6, batch_size=20, corruption=[nn.Masking(0.2)]),
    lambda: RBM(4, epochs=6, batch_size=20, persistent=True),
    lambda: Labelled([5], head_epochs=2, epochs=4, batch_size=20),
    lambda: Labelled([5], head_epochs=3, epochs=3, batch_size=20, dropout=0.2),
    lambda: Labelled([5], head_epochs=0, epochs=6, batch_size=20),
])
def test_the_same_program_run_again_finishes_what_it_had_begun(made, tmp_path, backend):
    class Cut(Callback):
        def on_epoch_end(self, trainer, logs):
            if trainer.epoch == 3:
                raise KeyboardInterrupt

    whole, path = made().fit(X), tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        made().fit(X, callbacks=[Checkpoint(path, resume=True), Cut()])
    for _ in range(2):  # and a third time there is nothing left to do
        resumed = made().fit(X, callbacks=[Checkpoint(path, resume=True)])
        answer = "predict_proba" if isinstance(whole, Classifier) else "transform"
        np.testing.assert_array_equal(getattr(resumed, answer)(X), getattr(whole, answer)(X))
        assert [row["loss"] for row in resumed.history_] == [row["loss"] for row in whole.history_]


def test_a_run_that_had_stopped_early_stays_so(tmp_path):
    def run():
        callbacks = [Worse(), Checkpoint(tmp_path / "e", resume=True), EarlyStopping(2, monitor="loss")]
        return Autoencoder([4], 2, epochs=50).fit(X, callbacks=callbacks)

    first = run()
    assert len(first.history_) == 3
    for _ in range(2):
        again = run()
        assert len(again.history_) == 3
        np.testing.assert_array_equal(again.transform(X), first.transform(X))


class Labelled(Classifier):
    """A classifier that has the labels of X."""

    def fit(self, X, **arguments):
        return super().fit(X, X[:, 0] > X[:, 1], **arguments)


def test_a_classifier_whose_head_diverges_is_put_back():
    model = Labelled([5], head_epochs=2, epochs=2, optimizer="momentum", lr=1e-3, batch_size=60)

    class Explode(Callback):
        def on_epoch_begin(self, trainer):
            trainer.optimizer.lr = 3e38 if trainer.epoch == 1 else 1e-3

    with pytest.raises(TrainingDiverged):
        model.fit(X * 100, callbacks=[Explode()])
    assert len(model.history_) == 1 and np.isfinite(model.predict_proba(X)).all()


def test_what_is_larger_when_better_must_rise():
    values = iter([0.5, 0.9, 0.7, 0.6, 0.4])

    class Pretend(Callback):
        def on_epoch_end(self, trainer, logs):
            logs["val_accuracy"] = next(values)

    stopping = EarlyStopping(2, monitor="val_accuracy")
    net = network()
    trainer = Trainer(net, SGD(net.parameters()), callbacks=[Pretend(), stopping])
    trainer.fit(X, 5)
    assert stopping.best_epoch == 2 and trainer.epoch == 4

def test_checkpoints_that_do_not_fit(tmp_path):
    net = network()
    path = tmp_path / "c.safetensors"
    Trainer(net, Adam(net.parameters()), callbacks=[Checkpoint(path, every=2)]).fit(X, 3)
    assert path.exists()
    other = network()
    with pytest.raises(ValueError, match="another optimizer"):
        restore(Trainer(other, SGD(other.parameters()), callbacks=[]), path)
    for name, a in network().state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], a)
    noisy = network(corruption=[nn.GaussianNoise(0.1)])
    with pytest.raises(ValueError, match="random numbers for nothing, this model draws them for corruption"):
        restore(Trainer(noisy, Adam(noisy.parameters())), path)
    tensors, header = load_tensors(path)
    save_tensors(tmp_path / "cut.safetensors", tensors, {k: v for k, v in header.items() if k != "epoch"})
    with pytest.raises(StorageError, match="is damaged: its epoch is None"):
        restore(Trainer(other, Adam(other.parameters())), tmp_path / "cut.safetensors")
    Autoencoder([3], 2, epochs=1).fit(X).save(tmp_path / "model.safetensors")
    with pytest.raises(StorageError, match="not a checkpoint"):
        restore(Trainer(other, Adam(other.parameters())), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="at least 1"):
        Checkpoint(path, every=0)


@pytest.mark.parametrize("name, value", [("generators", []), ("epoch", "x"), ("base_lr", "a"), ("history", 5),
                                         ("callbacks", None)])
def test_damaged_checkpoints(name, value, tmp_path):
    net, path = network(), tmp_path / "c.safetensors"
    Trainer(net, Adam(net.parameters()), callbacks=[Checkpoint(path), EarlyStopping(monitor="loss")]).fit(X, 1)
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, {**header, name: value})
    trainer = Trainer(net, Adam(net.parameters()), callbacks=[EarlyStopping(monitor="loss")])
    with pytest.raises(StorageError, match=f"is damaged: its {name} is"):
        restore(trainer, path)
    save_tensors(path, {k: v for k, v in tensors.items() if not k.endswith("best_epoch")}, header)
    with pytest.raises(StorageError, match="is damaged: it has no 'best_epoch'"):
        restore(trainer, path)
    assert trainer.epoch == 0


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


@pytest.mark.parametrize(("callbacks", "said"), [
    (EarlyStopping(), "callbacks is one EarlyStopping, expected a list"),
    ([EarlyStopping], r"holds the class EarlyStopping, expected an object: write EarlyStopping\(\)"),
    ([print], "callbacks holds <built-in function print>, expected objects of subclasses of"),
    (5, "callbacks is 5, expected a list"),
])
def test_what_is_no_list_of_callbacks_is_refused_before_anything_is_trained(callbacks, said):
    net = network()
    models = [Autoencoder([4], 2), Classifier([4])]
    for fit in (lambda: Trainer(net, SGD(net.parameters(), lr=0.1), callbacks=callbacks),
                lambda: models[0].fit(X, callbacks=callbacks),
                lambda: models[1].fit(X, np.arange(53) % 2, callbacks=callbacks)):
        with pytest.raises(TypeError, match=said):
            fit()
    assert not hasattr(models[0], "network_")


def test_numbers_of_numpy_in_the_history_can_be_written(tmp_path):
    class Mine(Callback):
        def on_epoch_end(self, trainer, logs):
            logs["mine"], logs["count"], logs["array"] = np.float32(1.5), np.int64(3), np.array(0.5)

    path = tmp_path / "run.safetensors"
    history = Autoencoder([4], 2, epochs=1).fit(np.zeros((9, 5)), callbacks=[Mine(), Checkpoint(path)]).history_
    assert [(type(history[0][name]), history[0][name]) for name in ("mine", "count", "array")] == [
        (float, 1.5), (int, 3), (float, 0.5)]
    assert load_tensors(path)[1]["history"] == history
