"""What has to be the same when a run goes on from a checkpoint, and what may change."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from miniae import RBM, Autoencoder, Trainer, nn
from miniae.data import StorageError, Stream, load_tensors, save_tensors
from miniae.models import VARIANTS, Classifier
from miniae.nn import Masking
from miniae.optim import Adam, Momentum, get_optimizer
from miniae.training import (
    Callback,
    Checkpoint,
    EarlyStopping,
    LearningRate,
    MaxNorm,
    ReduceOnPlateau,
    RollBack,
    restore,
)
from miniae.training.identity import settings_of

RNG = np.random.default_rng(0)
X, Y = RNG.random((40, 36), dtype=np.float32), np.arange(40) % 2
SMALL = {"hidden": [5], "code": 2, "batch_size": 10, "epochs": 2}


def fit(path, data=X, resume=True, callbacks=(), validation=None, **settings):
    """Train an autoencoder, by a checkpoint."""
    return Autoencoder(**{**SMALL, **settings}).fit(
        data, validation=validation, callbacks=[Checkpoint(path, resume=resume), *callbacks])


def losses(model):
    return [row["loss"] for row in model.history_]


@pytest.mark.parametrize(("changed", "said"), [
    ({"lr": 0.01}, "optimizer.lr 0.001, given is 0.01"), ({"optimizer": "adamw"}, "optimizer 'Adam', given is 'AdamW'"),
    ({"batch_size": 20}, "batch_size 10, given is 20"), ({"seed": 1}, "seed 0, given is 1"),
    ({"loss": "mae"}, "network.loss 'mse', given is 'mae'"), ({"l2": 0.1}, "network.l2 0.0, given is 0.1"),
    ({"corruption": [Masking(0.5)]}, r"network.corruption \[\], given is \[\{'type': 'Masking', "),
    ({"activation": "tanh"}, "network.encoder.layers.0.activation 'relu', given is 'tanh'"),
    ({"clip": 1.0}, r"clip None, given is \{'type': 'ClipByNorm', 'limit': 1.0\}"),
    ({"max_norm": 2.0}, r"callbacks \[\], given is \[\{'type': 'MaxNorm', 'max_norm': 2.0\}\]"),
    ({"dtype": "float64"}, "dtype 'float32', given is 'float64'")])
def test_other_settings_are_refused_by_name(changed, said, tmp_path):
    """The file stays as it is, and goes on with those it was made by."""
    path = tmp_path / "run.safetensors"
    fit(path)
    before = path.read_bytes()
    with pytest.raises(StorageError, match=f"run.safetensors is a checkpoint of training with {said}.*: choose another "
                                           "path, or delete it to begin anew$"):
        fit(path, **changed)
    assert path.read_bytes() == before
    assert losses(fit(path, epochs=3)) == losses(Autoencoder(**{**SMALL, "epochs": 3}).fit(X))


def test_what_may_change(tmp_path):
    path = tmp_path / "run.safetensors"
    fit(path, callbacks=[ReduceOnPlateau(monitor="loss")])
    model = fit(path, epochs=4, patience=3, validation=X[:9], callbacks=[RollBack(), EarlyStopping(2, "loss")])
    assert losses(model) == losses(Autoencoder(**{**SMALL, "epochs": 4}).fit(X))
    assert ["val_loss" in row for row in model.history_] == [False, False, True, True]


def test_other_data_held_out_are_refused(tmp_path):
    """By which a run may be stopped, or its learning rate lowered."""
    path = tmp_path / "run.safetensors"
    fit(path, validation=X[:9])
    with pytest.raises(StorageError, match="of training with other data held out"):
        fit(path, validation=X[1:10])
    assert losses(fit(path, validation=X[:9], epochs=3)) == losses(fit(tmp_path / "other", epochs=3))


def test_another_learning_rate_for_what_is_left(tmp_path):
    """By a schedule, and by a trainer that is put into the saved state."""
    path = tmp_path / "run.safetensors"
    fit(path)
    tenth = [LearningRate(lambda epoch: 0.1 if epoch >= 2 else 1.0)]
    model = fit(path, epochs=4, callbacks=tenth)
    assert [row["lr"] for row in model.history_] == [1e-3, 1e-3, 1e-4, 1e-4]
    assert losses(model) == losses(Autoencoder(**{**SMALL, "epochs": 4}).fit(X, callbacks=tenth))
    path.unlink()
    fit(path)
    network = Autoencoder(**{**SMALL, "epochs": 0}).fit(X).network_
    trainer = Trainer(network, Adam(network.parameters()), batch_size=10)
    restore(trainer, path)
    trainer.optimizer.lr = 1e-4
    assert [row["loss"] for row in trainer.fit(X, 4)] == losses(model)


def test_checkpoints_of_before_there_were_settings(tmp_path):
    """They are read as ever, the number of samples being compared, and what a version did not know is not."""
    path = tmp_path / "run.safetensors"
    fit(path)
    tensors, header = load_tensors(path)
    del header["task"]["settings"]["network"]["l2"], header["task"]["settings"]["clip"]
    header["task"]["settings"]["optimizer"]["more"] = 1
    save_tensors(path, tensors, header)
    fit(path, l2=0.1, clip=1.0)
    header["task"] = {"samples": 40, "rows": [[[0.5, 0.5]] * 16], "network": 123}
    save_tensors(path, tensors, header)
    fit(path, lr=0.1)
    save_tensors(path, tensors, header)
    with pytest.raises(StorageError, match="training on 40 samples, these are 39"):
        fit(path, X[:39])


def test_what_callbacks_have_changed_is_not_what_a_run_was_made_with(tmp_path):
    """A second `fit` of the same trainer notes the settings of the first."""
    path = tmp_path / "run.safetensors"

    def make():
        network = nn.Sequential([nn.Dense(3), nn.Dense(36)])
        network.loss_terms = lambda x: {"squares": ((network(x) - x) * (network(x) - x)).sum() * (1 / len(x))}
        network.build((36,))
        return Trainer(network, Momentum(network.parameters(), lr=1e-3), batch_size=10,
                       callbacks=[Checkpoint(path, resume=True), ReduceOnPlateau(patience=1, monitor="loss"), Worse()])

    class Worse(Callback):
        def on_epoch_end(self, trainer, logs):
            logs["loss"] = trainer.epoch

    trainer = make()
    trainer.callbacks.reverse()
    trainer.fit(X, 3)
    trainer.fit(X, 6)
    assert trainer.base_lr < 1e-3
    assert load_tensors(path)[1]["task"]["settings"]["optimizer"]["lr"] == 1e-3
    assert len(make().fit(X, 7)) == 7


def halved(epoch):
    return 0.5 ** epoch


@pytest.mark.parametrize("how", ["restored", "pickled", "checkpoint of a later fit"])
def test_settings_are_those_that_training_began_with(how, tmp_path):
    """Whatever a schedule has made of them since, and whoever writes the file."""
    path = tmp_path / "run.safetensors"
    callbacks = [Checkpoint(path, resume=True), LearningRate(halved)]

    def make(epochs, callbacks=callbacks):
        model = Autoencoder([5], 2, epochs=epochs, batch_size=10)
        return model.fit(X, callbacks=callbacks)

    if how == "checkpoint of a later fit":
        make(2, callbacks[1:]).partial_fit(X, callbacks=[Checkpoint(path)])
    else:
        trainer = make(2)._trainer
        if how == "restored":
            other = make(0, callbacks[1:])._trainer
            restore(other, path)
            other.callbacks = callbacks[:1]
            other.fit(X, 3)
        else:
            again = pickle.loads(pickle.dumps(trainer))
            again.callbacks = [Checkpoint(path)]
            again.fit(X, 3)
    assert load_tensors(path)[1]["epoch"] == 3
    assert len(make(4).history_) == 4


class OneMore(Callback):
    def fixed_settings(self):
        return {"one more": 1}


def test_callbacks_in_another_order_are_the_same(tmp_path):
    path, two = tmp_path / "run.safetensors", [MaxNorm(2.0), OneMore()]
    Autoencoder([5], 2, epochs=1).fit(X, callbacks=[Checkpoint(path, resume=True), *two])
    resumed = Autoencoder([5], 2, epochs=2).fit(X, callbacks=[*two[::-1], Checkpoint(path, resume=True)])
    assert len(resumed.history_) == 2


@pytest.mark.parametrize("other", [lambda: X[:9], lambda: X[:10] * 0.9, lambda: Stream(lambda: [X[:9] / 2])])
def test_other_held_out_data(other, tmp_path):
    path = tmp_path / "run.safetensors"
    constant = np.full_like(X[:10], 0.5)
    for held_out in (X[:10], constant, Stream(lambda: [X[:10]])):
        Autoencoder([5], 2, epochs=1).fit(X, validation=held_out, callbacks=[Checkpoint(path)])
        with pytest.raises(StorageError, match="training with other data held out"):
            Autoencoder([5], 2, epochs=2).fit(X, validation=other(), callbacks=[Checkpoint(path, resume=True)])
    Autoencoder([5], 2, epochs=1).fit(X, validation=constant, callbacks=[Checkpoint(path)])
    with pytest.raises(StorageError, match="training with other data held out"):
        Autoencoder([5], 2, epochs=2).fit(X, validation=constant[:5], callbacks=[Checkpoint(path, resume=True)])


def test_a_stream_is_known_by_what_its_first_pass_finds(tmp_path):
    """In whatever order it gives its samples, the one that nothing but its order is known of."""
    path, doubled = tmp_path / "run.safetensors", X.copy()
    doubled[7] *= 2

    def stream(data, shuffle=1):
        return Stream(lambda: [data[:13], data[13:]], shuffle)

    fit(path, stream(X), scaling="standard", validation=stream(X))
    for other, settings in ((doubled, {"scaling": "standard"}), (X, {}), (X, {"scaling": "minmax"})):
        with pytest.raises(StorageError, match="of training on other data"):
            fit(path, stream(other), **settings)
    with pytest.raises(StorageError, match="of training on other data"):
        fit(path, X, scaling="standard")
    with pytest.raises(StorageError, match="of training with shuffle.0 1, given is 5"):
        fit(path, stream(X, 5), scaling="standard")
    with pytest.raises(StorageError, match="of training with other data held out"):
        fit(path, stream(X), scaling="standard", validation=stream(doubled))
    fit(path, stream(X[::-1]), scaling="standard", validation=stream(X))


# -------------------------------------------------------------------- every parameter of every estimator

OTHERS = {
    "hidden": [[6], 6], "code": [16], "decoder_hidden": [[7]], "activation": ["tanh"], "code_activation": ["tanh"],
    "loss": ["huber", "gaussian"], "output_activation": ["tanh"], "tied": [True, False],
    "corruption": [[Masking(0.5)]], "l1": [0.1], "l2": [0.1], "dropout": [0.5], "batch_norm": [True],
    "max_norm": [1.0], "init": ["he_normal"], "optimizer": ["sgd"], "lr": [0.123], "batch_size": [7], "clip": [0.5],
    "seed": [5], "dtype": ["float64"], "noise": ["masking", 0.5], "level": [0.25], "emphasis": [(1.0, 0.5)],
    "target": [0.2], "strength": [0.7], "k": [2], "jacobian": ["estimate"], "probes": [2],
    "filters": [(3, 3)], "downsampling": ["pooling"], "codebook": [7], "dim": [3], "commitment": [0.5],
    "decay": [0.5], "restart": [0.0], "beta": [2.0], "warmup": [3], "free_bits": [0.5], "binarise": [True],
    "prior": ["swiss_roll"], "discriminator": [(5,)], "adversarial_lr": [0.01], "head_epochs": [1],
    "visible_units": ["gaussian"], "hidden_units": ["rectified"], "persistent": [True], "sample_visible": [True],
    "momentum": [(0.5, 0.8)], "momentum_switch": [2], "weight_cost": [0.1], "sparsity_target": [0.2],
    "sparsity_cost": [0.1], "init_std": [0.2], "fast_lr": [0.1],
}
"""Other values of the parameters that decide the steps of training: those that an estimator takes are tried."""

FREE = {"epochs", "patience", "backend",  # how long, and where
        "scaling", "image_shape",  # the data are others then
        "visible_bias",  # where training begins, as weights that are given do
        "encoder", "decoder",  # their layers are the network's
        "threshold", "unit_interval"}  # of use
BASE = {"probes": {"jacobian": "estimate"}, "fast_lr": {"persistent": True}, "emphasis": {"noise": "masking"},
        "dim": {"codebook": 8}}


def settings_by(kind, **changed):
    """Those of the trainer that an estimator of the class makes; None if it does not take them."""
    class Note(Callback):
        def on_train_begin(self, trainer):
            noted.append(settings_of(trainer))
            raise StopIteration

    noted = []
    small = {"hidden": 8, "k": 1} if kind is RBM else {"filters": (4, 4)} if "filters" in kind._signature() else \
        {"hidden": (8,)}
    labels = (Y,) if kind is Classifier or getattr(kind, "needs_labels", False) else ()
    model = kind(**{**small, **changed})
    data = X.reshape(-1, 1, 6, 6) if "filters" in kind._signature() else X
    try:
        model.fit(data, *labels, callbacks=[Note()])
    except (ValueError, TypeError):
        return None
    except StopIteration:
        return noted[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_parameter_that_decides_the_steps_is_noted():
    """Whatever another value an estimator takes of it."""
    tried = set()
    for kind in (*VARIANTS.values(), Classifier, RBM):
        assert kind._signature().keys() <= OTHERS.keys() | FREE
        for name in kind._signature().keys() - FREE:
            before = settings_by(kind, **BASE.get(name, {}))
            for value in OTHERS[name]:
                found = settings_by(kind, **{**BASE.get(name, {}), name: value})
                if found is not None and value != kind._signature()[name].default:
                    assert found != before, (kind, name)
                    tried.add(name)
    assert tried == OTHERS.keys()


@pytest.mark.parametrize("rule", ["sgd", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam", "cg",
                                  "lbfgs"])
def test_the_constants_of_every_rule(rule):
    rule = get_optimizer(rule)
    parameters = nn.Sequential([nn.Dense(2)])
    parameters.build((2,))
    config = rule(parameters.parameters(), lr=0.5).config()
    assert config["lr"] == 0.5
    assert config == rule(parameters.parameters(), **config).config()
