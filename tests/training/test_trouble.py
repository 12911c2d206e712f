"""Numbers that are not finite, and data that are hardly any: each has a defined result, or a clear error."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from miniae import RBM, Autoencoder, Classifier, nn
from miniae.autodiff import Tensor
from miniae.backend.philox import host_generator
from miniae.models import (
    VARIANTS,
    AdversarialAutoencoder,
    AutoencoderNetwork,
    VariationalAutoencoder,
    pretrain,
)
from miniae.nn import Build, Dense, Sequential
from miniae.optim import SGD, Adam
from miniae.training import (
    Callback,
    Checkpoint,
    LearningRate,
    NumericalTrouble,
    RollBack,
    SkipBatches,
    Trainer,
    TrainingDiverged,
    on_nan,
)

rng = np.random.default_rng(0)
X = rng.random((100, 6), dtype=np.float32)
BAD = X.copy()
BAD[17, 2], BAD[61, 0] = np.nan, np.inf
PLAIN = {"epochs": 3, "batch_size": 10}


def trainer_of(callbacks=(), optimizer=Adam, lr=0.01, layers=(), **settings):
    net = AutoencoderNetwork(Sequential([Dense(4, "tanh"), *layers]), Sequential([Dense(6)]))
    net.build((6,), Build("", 0, "float64"))
    return Trainer(net, optimizer(net.parameters(), lr=lr), batch_size=10, callbacks=callbacks, **settings)


def state(trainer):
    return {**trainer.model.state_dict(), **trainer.optimizer.state_dict()}


# ---------------------------------------------------------------- skip

@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_batches_that_are_not_finite_count_for_nothing(optimizer, backend):
    """What is left is an epoch of the other batches: weights, moments, running means and loss, as if the rows of the
    bad batches had not been there."""
    skipping = trainer_of([SkipBatches()], optimizer, layers=[nn.BatchNorm()])
    order = host_generator(0, "shuffle", 0).permutation(len(X))
    bad = [rows for rows in order.reshape(10, 10) if not np.isfinite(BAD[rows]).all()]
    assert 1 <= len(bad) <= 2
    with pytest.warns(NumericalTrouble, match=f"epoch 1: {len(bad)} of 10 batches were left out"):
        row = skipping.fit(BAD, 1)[0]
    plain = trainer_of((), optimizer, layers=[nn.BatchNorm()])
    plain.model.train()
    losses = []
    for rows in order.reshape(10, 10):
        if np.isfinite(BAD[rows]).all():
            plain.optimizer.zero_grad()
            (loss,) = plain.model.loss_terms(Tensor(BAD[rows], dtype="float64", backend=plain.backend)).values()
            loss.backward()
            plain.optimizer.step()
            losses.append(float(loss.numpy()))
    for name, a in state(skipping).items():
        np.testing.assert_allclose(a, state(plain)[name], rtol=1e-10, atol=1e-13, err_msg=name)
    assert row["loss"] == pytest.approx(np.mean(losses), rel=1e-10) and row["skipped"] == len(bad)


def test_nothing_else_changes_where_nothing_is_skipped(backend):
    """The same bits as without, though every step is computed."""
    expected = trainer_of()
    expected.fit(X, 4)
    trainer = trainer_of([SkipBatches()])
    assert [row["skipped"] for row in trainer.fit(X, 4)] == [0] * 4
    assert trainer.replays.not_replayed == "a guard looks at every step"
    for name, a in state(trainer).items():
        np.testing.assert_array_equal(a, state(expected)[name])
    assert trainer.guard is None


def test_many_batches_in_a_row_are_too_many(backend):
    before = trainer_of()
    trainer = trainer_of([SkipBatches(limit=4)])
    with pytest.raises(TrainingDiverged, match="4 batches in a row were left out, the last in epoch 1"):
        trainer.fit(np.full((100, 6), np.nan), 1)
    for name, a in state(trainer).items():
        np.testing.assert_array_equal(a, state(before)[name])
    with pytest.raises(TrainingDiverged, match="every batch of epoch 1 was left out"):
        trainer_of([SkipBatches(limit=11)]).fit(np.full((100, 6), np.inf), 1)
    with pytest.raises(TrainingDiverged, match="9 batches in a row"):  # an update has spoiled the weights
        trainer_of([SkipBatches(9)], SGD, lr=1e200).fit(X * 1e10, 9)
    with pytest.raises(ValueError, match="at least 1"):
        SkipBatches(0)


@pytest.mark.filterwarnings("ignore::miniae.training.NumericalTrouble")
@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
@pytest.mark.parametrize("make", [
    lambda: RBM(4, persistent=True, fast_lr=0.1, **PLAIN), lambda: AdversarialAutoencoder([5], 2, **PLAIN),
    lambda: VariationalAutoencoder([5], 2, **PLAIN), lambda: Autoencoder([5], 2, optimizer="cg", lr=0.1, **PLAIN),
    lambda: Autoencoder([5], 2, clip=0.1, **PLAIN),
])
def test_skipping_in_other_models(make, backend):
    """A step goes wrong in the middle of training, where no look at the data can find out before."""
    class Spoil(Callback):
        def on_batch_end(self, trainer, batch):
            first = trainer.model.parameters()[0]
            if (trainer.epoch, batch) == (1, 3):
                self.kept = first.numpy()
                first.assign(np.full(first.shape, np.inf))
            elif (trainer.epoch, batch) == (1, 5):
                first.assign(self.kept)

    model = make().fit(X, callbacks=[SkipBatches(), Spoil()])
    assert [row["skipped"] for row in model.history_] == [0, 2, 0]
    assert all(np.isfinite(list(row.values())).all() for row in model.history_)
    network = model.machine_ if isinstance(model, RBM) else model.network_
    assert all(np.isfinite(a).all() for a in network.state_dict().values())


# ---------------------------------------------------------------- roll back

class Explode(Callback):
    """What diverges above a learning rate of 0.02, from the third epoch on."""

    def on_batch_end(self, trainer, batch):
        if trainer.epoch == 2 and batch == 5 and trainer.optimizer.lr > 0.02:
            trainer.model.parameters()[0].assign(np.full(trainer.model.parameters()[0].shape, np.nan))


def test_a_run_that_diverges_goes_back_and_learns_slower(backend):
    """It is then what a run is whose learning rate is set to that after the second epoch."""
    trainer = trainer_of([Explode(), RollBack()], SGD, lr=0.05)
    with pytest.warns(NumericalTrouble) as noticed:
        history = trainer.fit(X, 5)
    assert [str(w.message) for w in noticed] == [
        f"the reconstruction loss became nan in epoch 3: back to epoch 2, with the learning rate {lr}"
        for lr in (0.025, 0.0125)]
    assert [row["rollbacks"] for row in history] == [0, 0, 2, 2, 2]
    assert [row["lr"] for row in history] == pytest.approx([0.05, 0.05, 0.0125, 0.0125, 0.0125])
    expected = trainer_of([], SGD, lr=0.05)
    expected.fit(X, 2)
    expected.optimizer.lr = 0.0125
    expected.fit(X, 5)
    for name, a in state(trainer).items():
        np.testing.assert_array_equal(a, state(expected)[name])


def test_a_schedule_goes_on_from_the_lower_rate():
    trainer = trainer_of([Explode(), LearningRate(lambda epoch: 0.9**epoch), RollBack(0.25)], SGD, lr=0.05)
    with pytest.warns(NumericalTrouble):
        history = trainer.fit(X, 4)
    assert [row["lr"] for row in history] == pytest.approx([0.05, 0.045, 0.0125 * 0.81, 0.0125 * 0.729])


def test_it_is_rolled_back_so_often_and_no_more():
    trainer = trainer_of([RollBack(limit=3)])
    with warnings.catch_warnings(record=True) as noticed, pytest.raises(TrainingDiverged, match="became nan"):
        warnings.simplefilter("always")
        trainer.fit(BAD * np.float32(1), 2)
    assert sum(issubclass(w.category, NumericalTrouble) for w in noticed) == 3
    assert trainer.optimizer.lr == pytest.approx(0.01 / 8)
    for settings in ({"factor": 1.0}, {"factor": 0.0}, {"limit": 0}):
        with pytest.raises(ValueError, match="got"):
            RollBack(**settings)


@pytest.mark.filterwarnings("ignore::miniae.training.NumericalTrouble")
def test_a_run_that_was_rolled_back_goes_on_after_a_kill(tmp_path):
    """Its checkpoints are of whole epochs, so that it goes back to where the unbroken run does."""
    path = tmp_path / "run.safetensors"

    def make(*others):
        return trainer_of([Checkpoint(path, None, True, 0.0), Explode(), RollBack(), *others], SGD, lr=0.05)

    class Kill(Callback):
        def __init__(self, *at):
            self.at = at

        def on_batch_end(self, trainer, batch):
            if (trainer.epoch, batch) == self.at:
                trainer.callbacks[:] = []
                raise SystemExit

    for at in ((2, 3), (3, 3)):
        with pytest.raises(SystemExit):
            make(Kill(*at)).fit(X, 5)
    resumed, whole = make(), trainer_of([Explode(), RollBack()], SGD, lr=0.05)
    history, expected = resumed.fit(X, 5), whole.fit(X, 5)
    assert [(row["loss"], row["rollbacks"]) for row in history] == [(r["loss"], r["rollbacks"]) for r in expected]
    for name, a in state(resumed).items():
        np.testing.assert_array_equal(a, state(whole)[name])


def test_every_way_has_its_callbacks():
    assert on_nan("stop") == []
    assert [type(c) for c in on_nan("skip") + on_nan("rollback")] == [SkipBatches, RollBack]


# ---------------------------------------------------------------- hardly any data

SMALL = {"epochs": 3, "batch_size": 8}


MODELS = {
    **{name: kind(code=2, **SMALL) for name, kind in VARIANTS.items()
       if "filters" not in kind._parameter_names() and not kind.needs_labels},
    "rbm": RBM(3, visible_units="gaussian", lr=1e-3, **SMALL),
}
DATA = {
    "constant": np.full((20, 6), 0.5, np.float32),
    "zeros": np.zeros((20, 6), np.float32),
    "columns of zeros": X[:20] * np.array([1, 0, 1, 0, 1, 0], np.float32),
    "one sample": X[:1],
    "one feature": X[:20, :1],
    "fewer samples than a batch": X[:5],
}


@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", MODELS)
def test_data_that_are_hardly_any_give_finite_models(name, data):
    x, model = DATA[data], MODELS[name]
    model.fit(x)
    codes, reconstruction = model.transform(x), model.reconstruct(x)
    assert len(codes) == len(x) and reconstruction.shape == x.shape
    assert np.isfinite(codes).all() and np.isfinite(reconstruction).all()
    assert all(np.isfinite(list(row.values())).all() for row in model.history_) and len(model.history_) == 3


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
@pytest.mark.parametrize("data", ["constant", "zeros", "columns of zeros", "one sample"])
def test_columns_without_variation_are_scaled_to_finite_numbers_and_back(data, scaling, backend):
    x = DATA[data]
    model = Autoencoder([4], 2, scaling=scaling, batch_norm=len(x) > 1, **SMALL).fit(x)
    idle = x.std(axis=0) == 0
    assert np.isfinite(model.reconstruct(x)).all() and idle.any()


def test_one_sample_has_no_statistics():
    with pytest.raises(ValueError, match="batch_norm in training needs at least 2 values a channel"):
        Autoencoder([4], 2, batch_norm=True, **SMALL).fit(X[:1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", MODELS)
def test_data_that_are_not_finite_are_refused_by_place(name, value):
    x = X.copy()
    x[3, 1] = value
    with pytest.raises(ValueError, match=r"X holds -?(nan|inf) at index \(3, 1\): fill in or drop"):
        MODELS[name].fit(x)
    with pytest.raises(ValueError, match=r"holds -?(nan|inf) at index \(3, 1\): fill in or drop"):
        MODELS[name].fit(X, validation=x)


@pytest.mark.parametrize(("y", "said"), [
    (np.r_[np.nan, np.zeros(99)], "nan|whole|label"), (np.zeros(99), "99"), (None, "label|y")])
def test_labels_that_are_missing(y, said):
    with pytest.raises((ValueError, TypeError), match=said):
        Classifier([4], epochs=1).fit(X, y)


def test_a_gradient_that_explodes(backend):
    """It stops, and what was good is put back; bounded, the same training does not explode."""
    exploding = {"optimizer": "sgd", "lr": 30.0, **PLAIN, "epochs": 30}
    model = Autoencoder([5], 2, **exploding)
    with pytest.raises(TrainingDiverged, match="lower the learning rate"):
        model.fit(X * 10)
    assert np.isfinite(model.reconstruct(X)).all()
    with pytest.warns(NumericalTrouble, match="with the learning rate"):
        model.fit(X * 10, callbacks=[RollBack(0.1)])
    assert len(model.history_) == 30 and model.history_[-1]["rollbacks"] > 0
    assert len(Autoencoder([5], 2, clip=1e-3, **exploding).fit(X * 10).history_) == 30


def test_pretraining_takes_the_same_callbacks():
    stack = pretrain(X, [6, 4, 2], epochs=2, callbacks=lambda title: on_nan("rollback"))
    assert [[row["rollbacks"] for row in history] for history in stack.histories] == [[0, 0], [0, 0]]
