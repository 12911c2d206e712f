"""Steps that are replayed leave the very bits behind that computed ones do."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from functools import partial

import numpy as np
import pytest

from miniae import RBM
from miniae import functions as F
from miniae.autodiff import Tensor, observe
from miniae.backend import get
from miniae.backend.recording import Recording, StepChanged
from miniae.data import Standard
from miniae.data.rows import Kept
from miniae.models import VARIANTS, Autoencoder, AutoencoderNetwork, ConvolutionalAutoencoder
from miniae.nn import Build, Dense, Masking, Sequential
from miniae.optim import OPTIMIZERS, SGD, Adam, ClipByNorm, Optimizer
from miniae.training import Callback, LearningRate, Trainer
from miniae.training.replay import GraphFallback

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
RNG = np.random.default_rng(0)
X = RNG.random((70, 1, 6, 6)).astype(np.float32)  # 8 batches of 8 and one of 6
Y = np.arange(70) % 3
EPOCHS = 3
REPLAYS = 8 - 3 + (EPOCHS - 1) * (8 - 1)  # all but the first three steps, and later the first of an epoch


class Last(Callback):
    """Keeps the trainer."""

    def on_train_begin(self, trainer):
        self.trainer = trainer


def trained(fit, monkeypatch, worth):
    """What `fit(callbacks=)` has trained, its history without the clock, and how many steps were replayed."""
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", worth)
    last = Last()
    fit(callbacks=[last])
    trainer = last.trainer
    history = [{k: v for k, v in row.items() if "second" not in k} for row in trainer.history]
    replays = trainer.replays
    assert replays.graphed == (0 if trainer.backend.name == "numpy" else replays.replayed)
    return {**trainer.model.state_dict(), **trainer.optimizer.state_dict()}, history, replays.replayed


def check(fit, monkeypatch, replays):
    """fit() makes a model anew and trains it; that so many of its steps are replayed makes no difference."""
    state, history, replayed = trained(fit, monkeypatch, 10**9)
    assert replayed == 0
    again, history_again, replayed = trained(fit, monkeypatch, 8)
    assert replayed == replays and history_again == history
    for name, a in state.items():
        np.testing.assert_array_equal(again[name], a)


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_kind_of_autoencoder_can_be_replayed(kind, any_backend, monkeypatch):
    cls = VARIANTS[kind]
    size = {"filters": (4, 4)} if "filters" in cls._parameter_names() else {"hidden": (12,), "code": 3}
    settings = {**size, "epochs": EPOCHS, "batch_size": 8, "lr": 0.01, "backend": any_backend}
    labels = (Y,) if cls.needs_labels else ()
    check(lambda callbacks: cls(**settings).fit(X, *labels, callbacks=callbacks), monkeypatch, REPLAYS)


@pytest.mark.parametrize("settings", [
    {"tied": True, "dropout": 0.2, "l1": 1e-3}, {"batch_norm": True, "loss": "bce"}, {"clip": 0.1, "max_norm": 1.0},
    {"corruption": [Masking(0.3)], "activation": "tanh"},
], ids=lambda s: next(iter(s)))
def test_settings_can_be_replayed(settings, backend, monkeypatch):
    make = partial(Autoencoder, (12,), 3, epochs=EPOCHS, batch_size=8, backend=backend, **settings)
    check(lambda callbacks: make().fit(X, callbacks=callbacks), monkeypatch, REPLAYS)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_can_be_replayed_that_do_not_search(optimizer, backend, monkeypatch):
    searches = optimizer in ("cg", "lbfgs")
    check(lambda callbacks: Autoencoder((12,), 3, optimizer=optimizer, epochs=EPOCHS, batch_size=8,
                                        backend=backend).fit(X, callbacks=callbacks),
          monkeypatch, 0 if searches else REPLAYS)


@pytest.mark.parametrize("settings", [{}, {"persistent": True, "fast_lr": 0.1}, {"sparsity_target": 0.1}], ids=str)
def test_rbms_can_be_replayed(settings, any_backend, monkeypatch):
    rows = X.reshape(70, 36)[:64] if "persistent" in settings else X.reshape(70, 36)
    check(lambda callbacks: RBM(9, epochs=EPOCHS, batch_size=8, backend=any_backend, **settings).fit(
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

    check(fit, monkeypatch, EPOCHS * (8 - 3))  # it is recorded anew


@pytest.mark.parametrize(("callback", "replays"), [
    (None, 5 + 4 * 7 + 2), (Slower, 5 + 4 * 7 + 2), (Noisier, 5 * 5)], ids=["nothing", "the rate", "Python"])
def test_the_smaller_last_batch_is_replayed_too(callback, replays, any_backend, monkeypatch):
    """From the fourth epoch on, unless something changes between epochs."""
    def fit(callbacks):
        model = Autoencoder((12,), 3, corruption=[Masking(0.1)], epochs=5, batch_size=8, backend=any_backend)
        model.fit(X, callbacks=[*callbacks, *([callback()] if callback else [])])

    check(fit, monkeypatch, replays)


def test_with_callbacks_of_the_library_recordings_are_compared_more_and_more_rarely(backend, monkeypatch):
    """In the first epoch after that of the recording, in the second, the fourth, ... ."""
    def trained(replay):
        net = network(backend=backend)
        trainer = Trainer(net, SGD(net.parameters(), lr=0.05), batch_size=8,
                          callbacks=[LearningRate(lambda e: 1 / (1 + e))])
        trainer.replay = replay
        trainer.fit(X.reshape(70, 36)[:64], 7)
        return trainer

    computed, replayed = trained(False), trained(True)
    assert replayed.replays.replayed == 5 + 7 + 7 + 8 + 7 + 8 + 8 and not computed.replays.replayed
    for name, a in computed.model.state_dict().items():
        np.testing.assert_array_equal(replayed.model.state_dict()[name], a)

    class Subclass(LearningRate):
        """Of a user's, and trusted less, whatever it inherits."""

    net = network(backend=backend)
    trainer = Trainer(net, SGD(net.parameters(), lr=0.05), batch_size=8, callbacks=[Subclass(lambda e: 1.0)])
    trainer.fit(X.reshape(70, 36)[:64], 5)
    assert trainer.replays.replayed == 5 + 7 + 7 + 7 + 7


class OneEpochNoisier(Callback):
    """Changes a number of Python's before the fifth epoch."""

    def on_epoch_begin(self, trainer):
        trainer.model.corruption[0].rate = 0.1 if trainer.epoch < 4 else 0.5


def test_the_last_batch_is_not_replayed_when_the_others_have_changed(backend, monkeypatch):
    """Its recording is of the fourth epoch, and in the fifth the first step on a whole batch has made other calls."""
    def fit(callbacks):
        model = Autoencoder((12,), 3, corruption=[Masking(0.1)], epochs=6, batch_size=8, backend=backend)
        model.fit(X, callbacks=[*callbacks, OneEpochNoisier()])

    check(fit, monkeypatch, 5 + 3 * 7 + 5 + 7 + 1)


def look(be, a):
    """Waits for the device, within a kernel."""
    be.to_host(a)


def test_steps_that_can_not_be_a_graph_are_replayed_call_by_call(cuda_on_cpu, monkeypatch):
    """With a warning, on the strict backend and on a GPU; the numbers are the same."""
    class Looks(Masking):
        repeats = True

        def forward(self, x):
            x.backend.as_kernel(look, x.backend, x._data)
            return super().forward(x)

    for be in (get("strict"), cuda_on_cpu):
        monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 10**9)
        losses = []
        for worth in (10**9, 8):
            monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", worth)
            last = Last()
            model = Autoencoder((12,), 3, corruption=[Looks(0.1)], epochs=2, batch_size=8, backend=be)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                losses.append(model.fit(X, callbacks=[last]).history_[-1]["loss"])
        replays = last.trainer.replays
        assert losses[0] == losses[1] and replays.replayed == 5 + 7 and replays.graphed == 0
        assert len(warned) == 1 and warned[0].category is GraphFallback
        assert "single kernels instead of a graph" in str(warned[0].message)


def test_an_interrupt_while_a_graph_is_captured(cuda_on_cpu, monkeypatch):
    """It is passed on, and leaves neither an open capture nor a workspace behind."""
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 8)
    replay = Recording.replay

    def interrupted(self):
        replay(self)
        if cuda_on_cpu.xp.captured is not None:
            raise KeyboardInterrupt

    monkeypatch.setattr(Recording, "replay", interrupted)
    before = set(cuda_on_cpu.cublas._workspaces)
    with pytest.raises(KeyboardInterrupt):
        fitting(backend=cuda_on_cpu)([])
    assert cuda_on_cpu.xp.captured is None and len(cuda_on_cpu.xp.streams) == 1
    assert set(cuda_on_cpu.cublas._workspaces) <= before | {cuda_on_cpu.xp.streams[-1].ptr}


@pytest.mark.parametrize(("make", "nodes"), [
    (lambda **s: Autoencoder([128, 64], 32, **s), 36),
    (lambda **s: Autoencoder([1000, 500, 250], 30, **s), 46),
    (lambda **s: RBM(500, **s), 32),
    (lambda **s: ConvolutionalAutoencoder(filters=(16, 8, 8), **s), 50),
], ids=["dense", "deep", "RBM", "convolutional"])
def test_how_many_kernels_a_graph_has(make, nodes, cuda_on_cpu, monkeypatch):
    """Each takes a GPU a microsecond or more, whatever it does: there shall not be more without notice."""
    graphs = []
    ended = type(cuda_on_cpu.xp.streams[0]).end_capture
    monkeypatch.setattr(type(cuda_on_cpu.xp.streams[0]), "end_capture",
                        lambda stream: (graphs.append(ended(stream)), graphs[-1])[1])
    images = RNG.random((32, 1, 28, 28)).astype(np.float32)
    model = make(epochs=4, batch_size=8, backend=cuda_on_cpu)
    model.fit(images if isinstance(model, ConvolutionalAutoencoder) else images.reshape(32, -1))
    assert [len(graph.calls) for graph in graphs] == [nodes]


def test_a_replay_that_asks_for_other_arrays_is_no_matter_of_the_graph(cuda_on_cpu, monkeypatch):
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 8)

    def changed(self):
        raise StepChanged("other arrays")

    graph = cuda_on_cpu.graph
    monkeypatch.setattr(cuda_on_cpu, "graph", lambda run: graph(lambda: changed(run)), raising=False)
    with pytest.raises(StepChanged):
        fitting(backend=cuda_on_cpu)([])


def test_a_gradient_is_clipped_in_a_replay(backend, monkeypatch):
    check(fitting(backend=backend, clip=ClipByNorm(0.01)), monkeypatch, REPLAYS)


def test_data_that_are_scaled_batch_by_batch(any_backend, monkeypatch):
    raw = (X.reshape(70, 36) * 255).astype(np.uint8)
    check(fitting(Kept(raw, Standard().fit(raw)), backend=any_backend), monkeypatch, REPLAYS)


def test_mapped_data(tmp_path, any_backend, monkeypatch):
    np.save(tmp_path / "x.npy", X.reshape(70, 36))
    check(fitting(np.load(tmp_path / "x.npy", mmap_mode="r"), backend=any_backend), monkeypatch, REPLAYS)


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
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 8)
    seen, last = [], Last()
    with observe(lambda what, compute, *arguments: (seen.append(what), compute(*arguments))[1]):
        fitting()([last])
    assert last.trainer.replays.replayed == 0 and seen.count("optimizer") == 9 * EPOCHS


class At(Callback):
    """Does something after one of the batches of the second epoch, of which 7 are replayed if nothing happens."""

    def __init__(self, batch, what):
        self.batch, self.what = batch, what

    def on_batch_end(self, trainer, batch):
        if (trainer.epoch, batch) == (1, self.batch):
            self.what(trainer)


def switch_off(trainer):
    trainer.replay = False


def freeze(trainer):
    trainer.model.parameters()[0].requires_grad = False


def pack_anew(trainer):
    SGD([trainer.model.parameters()[0], trainer.model.parameters()[2]], lr=0.1)


def another_clip(trainer):
    trainer.clip = ClipByNorm(0.01)


def other_batches(trainer):
    trainer.batch_size = 1


def evaluate(trainer):
    trainer.evaluate(X.reshape(70, 36)[:5])


def other_behaviour(trainer):
    trainer.model.eval()


def forget_gradients(trainer):
    trainer.optimizer.zero_grad()


@pytest.mark.parametrize(("what", "replays"), [
    (switch_off, 5 + 4), (freeze, 5 + 4 + 5), (pack_anew, 5 + 4 + 5), (another_clip, 5 + 4 + 5),
    (other_batches, 5 + 7 + 67), (other_behaviour, 5 + 4 + 5), (evaluate, REPLAYS), (forget_gradients, REPLAYS)])
def test_what_happens_in_the_middle_of_an_epoch(what, replays, backend, monkeypatch):
    """After the fifth batch of the second epoch, when four have been replayed. Another size of batches counts from the
    next epoch on: 70 of them."""
    check(fitting(backend=backend, callback=lambda: At(4, what)), monkeypatch, replays)


class Halving(Callback):
    """Bounds the gradient from the second epoch on, with NumPy, and says falsely that this can be repeated."""

    repeats = True

    def on_epoch_begin(self, trainer):
        trainer.clip = self if trainer.epoch else None

    def __call__(self, optimizer):
        g = optimizer.gradient()
        g *= 0.5


def test_another_clip_from_the_second_epoch_on(monkeypatch):
    """What is new is put to the test again."""
    check(fitting(callback=Halving), monkeypatch, 5)


def makes_arrays(x):
    return F.tanh(x) * Tensor._wrap(x.backend.xp.abs(x.backend.xp.cos(x._data)), x.backend)


makes_arrays.repeats = True  # it is wrong about itself


class Pieces(Callback):
    """Puts another function into the model between two epochs."""

    def on_epoch_begin(self, trainer):
        if trainer.epoch == 1:
            trainer.model.encoder.layers[0]._activate = makes_arrays


def test_another_function_from_the_second_epoch_on(backend, monkeypatch):
    """One that makes arrays: no recording can hold it."""
    check(fitting(backend=backend, callback=Pieces), monkeypatch, 5)


def own_tanh(x):
    return F.tanh(x)


def repeated_tanh(x):
    return F.tanh(x)


repeated_tanh.repeats = True


@pytest.mark.parametrize(("activation", "replays"), [(own_tanh, 0), (lambda x: F.tanh(x), 0), (repeated_tanh, REPLAYS)])
def test_functions_from_elsewhere(activation, replays, monkeypatch):
    check(fitting(layer=lambda size, name: Dense(size, activation)), monkeypatch, replays)


def test_gradients_are_there_after_a_replay(monkeypatch):
    """Also where a callback forgets them every time."""
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 8)
    seen = []

    class Forgets(Callback):
        def on_batch_end(self, trainer, batch):
            seen.extend(p.grad is not None for p in trainer.model.parameters())
            trainer.optimizer.zero_grad()

    fitting(callback=Forgets)([])
    assert all(seen) and len(seen) == 4 * 9 * EPOCHS


def test_recordings_are_gone_after_training(monkeypatch):
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 8)
    made = []
    before = Recording.__init__

    def init(self, *args):
        before(self, *args)
        made.append(weakref.ref(self))

    monkeypatch.setattr(Recording, "__init__", init)
    gc.disable()
    try:
        fitting()([])
        assert len(made) == 2 + (EPOCHS - 1) + 2 and all(ref() is None for ref in made)
    finally:
        gc.enable()


def test_attempts_that_come_to_nothing_become_rarer(monkeypatch):
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 8)
    net = network(lambda size, name: Dense(size, makes_arrays))
    trainer = Trainer(net, SGD(net.parameters(), lr=0.01), batch_size=8)
    attempts = []
    before = Recording.__init__
    monkeypatch.setattr(Recording, "__init__", lambda self, *a: (attempts.append(trainer.epoch), before(self, *a))[1])
    trainer.fit(X.reshape(70, 36), 12)
    assert trainer.replays.replayed == 0 and trainer.replays.not_replayed
    assert sorted(set(attempts)) == [0, 2, 6]


def test_the_same_model_goes_on_with_validation_and_partial_fit(backend, monkeypatch):
    def fit(callbacks):
        model = Autoencoder((12,), 3, corruption=[Masking(0.3)], epochs=2, batch_size=8, backend=backend)
        model.fit(X, validation=X[:9], callbacks=callbacks)
        model.partial_fit(X, callbacks=callbacks)

    check(fit, monkeypatch, 5 + 7 + 5)


def test_validation_is_replayed_too(any_backend, monkeypatch):
    """Of 8 whole batches and a smaller one, as training is; nothing is written by it."""
    check(lambda callbacks: Autoencoder((12,), 3, epochs=EPOCHS, batch_size=8, backend=any_backend).fit(
        X, validation=X, callbacks=callbacks), monkeypatch, REPLAYS)
    last = Last()
    model = Autoencoder((12,), 3, epochs=EPOCHS, batch_size=8, backend=any_backend)
    model.fit(X, validation=X, callbacks=[last])
    replays = last.trainer._validations
    assert replays.replayed == REPLAYS and replays.graphed == (0 if any_backend.name == "numpy" else REPLAYS)
    assert model.history_[-1]["val_loss"] == pytest.approx(-model.score_samples(X).mean(), rel=1e-5)


def test_a_short_training_is_not_worth_a_recording(monkeypatch):
    last = Last()
    fitting(X.reshape(70, 36)[:5 * 8])([last])
    assert last.trainer.replays.replayed == 0 and "fewer than 16 whole batches" in last.trainer.replays.not_replayed
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 1)
    fitting(X.reshape(70, 36)[:3 * 8])([last])
    assert last.trainer.replays.replayed == 0 and "fewer than 4 whole batches" in last.trainer.replays.not_replayed


def test_a_backward_after_a_replay_notices_that_the_weights_have_changed(monkeypatch):
    """As after a computed step."""
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 8)
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
    monkeypatch.setattr("miniae.training.replay.WORTH_RECORDING", 8)
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
