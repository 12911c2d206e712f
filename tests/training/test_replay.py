"""Steps that are replayed leave the very bits behind that computed ones do."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest

from miniae import RBM
from miniae import functions as F
from miniae.autodiff import Tensor, observe
from miniae.data import Standard
from miniae.data.rows import Kept
from miniae.models import VARIANTS, Autoencoder, AutoencoderNetwork
from miniae.nn import Build, Dense, Masking, Sequential
from miniae.optim import OPTIMIZERS, SGD, Adam, ClipByNorm, Optimizer
from miniae.training import Callback, Trainer

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
RNG = np.random.default_rng(0)
X = RNG.random((70, 1, 6, 6)).astype(np.float32)  # 8 batches of 8 and one of 6
Y = np.arange(70) % 3
EPOCHS = 3
REPLAYS = (8 - 3) + 2 * (8 - 1)  # of the first epoch all but three steps, of others all but one; never the last batch


class Last(Callback):
    """Keeps the trainer."""

    def on_train_begin(self, trainer):
        self.trainer = trainer


def trained(fit, monkeypatch, worth):
    """What `fit(callbacks=)` has trained, its history without the clock, and how many steps were replayed."""
    monkeypatch.setattr("miniae.training.trainer.WORTH_RECORDING", worth)
    last = Last()
    fit(callbacks=[last])
    trainer = last.trainer
    history = [{k: v for k, v in row.items() if "second" not in k} for row in trainer.history]
    return {**trainer.model.state_dict(), **trainer.optimizer.state_dict()}, history, trainer.replayed


def check(fit, monkeypatch, replays):
    """fit() makes a model anew and trains it; that so many of its steps are replayed makes no difference."""
    state, history, replayed = trained(fit, monkeypatch, 10**9)
    assert replayed == 0
    again, history_again, replayed = trained(fit, monkeypatch, 8)
    assert replayed == replays and history_again == history
    for name, a in state.items():
        np.testing.assert_array_equal(again[name], a)


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_kind_of_autoencoder_can_be_replayed(kind, backend, monkeypatch):
    cls = VARIANTS[kind]
    size = {"filters": (4, 4)} if "filters" in cls._parameter_names() else {"hidden": (12,), "code": 3}
    settings = {**size, "epochs": EPOCHS, "batch_size": 8, "lr": 0.01, "backend": backend}
    labels = (Y,) if cls.needs_labels else ()
    check(lambda callbacks: cls(**settings).fit(X, *labels, callbacks=callbacks), monkeypatch, REPLAYS)


@pytest.mark.parametrize("settings", [
    {"tied": True, "dropout": 0.2, "l1": 1e-3}, {"batch_norm": True, "loss": "bce"}, {"clip": 0.1, "max_norm": 1.0},
    {"corruption": [Masking(0.3)], "activation": "tanh"},
], ids=lambda s: next(iter(s)))
def test_settings_can_be_replayed(settings, backend, monkeypatch):
    known = Autoencoder._parameter_names()
    settings = {k: v for k, v in settings.items() if k in known}
    assert settings
    make = partial(Autoencoder, (12,), 3, epochs=EPOCHS, batch_size=8, backend=backend, **settings)
    check(lambda callbacks: make().fit(X, callbacks=callbacks), monkeypatch, REPLAYS)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_can_be_replayed_that_do_not_search(optimizer, backend, monkeypatch):
    searches = optimizer in ("cg", "lbfgs")
    check(lambda callbacks: Autoencoder((12,), 3, optimizer=optimizer, epochs=EPOCHS, batch_size=8,
                                        backend=backend).fit(X, callbacks=callbacks),
          monkeypatch, 0 if searches else REPLAYS)


@pytest.mark.parametrize("settings", [{}, {"persistent": True, "fast_lr": 0.1}, {"sparsity_target": 0.1}], ids=str)
def test_rbms_can_be_replayed(settings, backend, monkeypatch):
    rows = X.reshape(70, 36)[:64] if "persistent" in settings else X.reshape(70, 36)
    check(lambda callbacks: RBM(9, epochs=EPOCHS, batch_size=8, backend=backend, **settings).fit(
        rows, callbacks=callbacks), monkeypatch, REPLAYS)


def network(layer=Dense, backend="numpy"):
    net = AutoencoderNetwork(Sequential([layer(4, "tanh")]), Sequential([Dense(36)]))
    net.build((36,), Build("", 0, "float32", backend))
    return net


def fitting(data=None, layer=Dense, optimizer=SGD, backend="numpy", callback=None, **settings):
    """A function that trains a network afresh."""
    def fit(callbacks):
        net = network(layer, backend)
        callbacks = [*callbacks, *([callback()] if callback else [])]
        trainer = Trainer(net, optimizer(net.parameters(), lr=0.05), batch_size=8, callbacks=callbacks, **settings)
        trainer.fit(X.reshape(70, 36) if data is None else data, EPOCHS)

    return fit


class Slower(Callback):
    """Changes the learning rate after every batch."""

    def on_batch_end(self, trainer, batch):
        trainer.optimizer.lr = 0.05 / (1 + batch)


class Noisier(Callback):
    """Changes a number of Python's between epochs."""

    def on_epoch_begin(self, trainer):
        trainer.model.corruption[0].rate = 0.1 + 0.2 * trainer.epoch


def test_the_learning_rate_may_change_at_any_time(backend, monkeypatch):
    check(fitting(backend=backend, callback=Slower), monkeypatch, REPLAYS)


def test_python_may_change_between_epochs(backend, monkeypatch):
    def fit(callbacks):
        model = Autoencoder((12,), 3, corruption=[Masking(0.1)], epochs=EPOCHS, batch_size=8, backend=backend)
        model.fit(X, callbacks=[*callbacks, Noisier()])

    check(fit, monkeypatch, REPLAYS)


def test_a_gradient_is_clipped_in_a_replay(backend, monkeypatch):
    check(fitting(backend=backend, clip=ClipByNorm(0.01)), monkeypatch, REPLAYS)


def test_data_that_are_scaled_batch_by_batch(backend, monkeypatch):
    raw = (X.reshape(70, 36) * 255).astype(np.uint8)
    check(fitting(Kept(raw, Standard().fit(raw)), backend=backend), monkeypatch, REPLAYS)


def test_mapped_data(tmp_path, backend, monkeypatch):
    np.save(tmp_path / "x.npy", X.reshape(70, 36))
    check(fitting(np.load(tmp_path / "x.npy", mmap_mode="r"), backend=backend), monkeypatch, REPLAYS)


class OwnLayer(Dense):
    """A user's layer, whose Python might do anything."""


class Declared(Dense):
    repeats = True


class OwnRule(Optimizer):
    """A user's rule, written with NumPy's own operators."""

    repeats = True

    def update(self, p, g):
        p -= 0.05 * g


class Undeclared(OwnRule):
    pass


@pytest.mark.parametrize(("changed", "replays"), [
    ({"layer": OwnLayer}, 0), ({"layer": Declared}, REPLAYS), ({"optimizer": OwnRule}, 0),
    ({"optimizer": Undeclared}, 0),
], ids=["a layer", "a layer that says so", "a rule that is wrong about itself", "a rule"])
def test_code_from_elsewhere(changed, replays, monkeypatch):
    check(fitting(**changed), monkeypatch, replays)


def test_a_clip_that_writes_with_numpy_is_found_out(monkeypatch):
    def halve(optimizer):
        g = optimizer.gradient()
        g *= 0.5

    check(fitting(clip=halve), monkeypatch, 0)


def test_a_step_that_is_observed_is_computed(monkeypatch):
    monkeypatch.setattr("miniae.training.trainer.WORTH_RECORDING", 8)
    seen, last = [], Last()
    with observe(lambda what, compute, *arguments: (seen.append(what), compute(*arguments))[1]):
        fitting()([last])
    assert last.trainer.replayed == 0 and seen.count("optimizer") == 9 * EPOCHS


def test_replays_can_be_switched_off(monkeypatch):
    monkeypatch.setattr("miniae.training.trainer.WORTH_RECORDING", 8)

    class Off(Callback):
        def on_train_begin(self, trainer):
            trainer.replay = False

    last = Last()
    fitting(callback=Off)([last])
    assert last.trainer.replayed == 0


def test_a_short_epoch_is_not_worth_a_recording():
    last = Last()
    fitting()([last])
    assert last.trainer.replayed == 0


def test_a_backward_after_a_replay_notices_that_the_weights_have_changed(monkeypatch):
    """As after a computed step."""
    monkeypatch.setattr("miniae.training.trainer.WORTH_RECORDING", 8)
    losses, refused = [], []

    class Late(Callback):
        def on_batch_end(self, trainer, batch):
            if losses:
                with pytest.raises(RuntimeError, match="changed in place"):
                    losses.pop().backward()
                refused.append(batch)
            losses.append(F.mean(F.dense(Tensor(X.reshape(70, 36)[:2]), *trainer.model.parameters()[:2])))

    fitting(callback=Late)([])
    assert len(refused) == 9 * EPOCHS - 1


def test_two_threads_train_at_once(monkeypatch):
    """Each with the numbers it has when alone."""
    monkeypatch.setattr("miniae.training.trainer.WORTH_RECORDING", 8)
    alone, trainers = Last(), [Last(), Last()]
    fit = fitting(optimizer=Adam)
    fit([alone])
    threads = [threading.Thread(target=fit, args=([last],)) for last in trainers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for last in trainers:
        for name, a in alone.trainer.model.state_dict().items():
            np.testing.assert_array_equal(last.trainer.model.state_dict()[name], a)
