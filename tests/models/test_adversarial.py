"""Adversarial autoencoders: three losses in turn, labels, files, and what comes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from miniae import functions as F
from miniae import nn, no_grad
from miniae.autodiff import Tensor, gradcheck
from miniae.backend import get
from miniae.backend.philox import Generator, host_generator
from miniae.models import AdversarialAutoencoder, AdversarialNetwork, GaussianMixture, SwissRoll, load
from miniae.nn import Build, Conv2D, Dense, Flatten, Reshape, Sequential
from miniae.optim import Adam, Alternating
from miniae.report import mmd
from miniae.training import Callback, Checkpoint, LearningRate, Trainer, TrainingDiverged

X = np.random.default_rng(0).random((53, 6))
Y = np.arange(53) % 4 - 1  # -1 is an unknown one
PHASES = ["reconstruction", "discriminator", "encoder"]


def network(dtype="float64", classes=0, activation="tanh", **settings):
    prior = GaussianMixture(3) if classes else "gaussian"
    net = AdversarialNetwork(Sequential([Dense(5, activation), Dense(2)]), Sequential([Dense(5, activation), Dense(6)]),
                             discriminator=[7, 4], prior=prior, classes=classes, **settings)
    net.build((6,), Build("", 3, dtype))
    return net


def trainer_of(net, clip=None, callbacks=(), lr=0.01):
    phases = {"reconstruction": Adam(net.penalised(), lr=lr)}
    phases |= {"discriminator": Adam(net.discriminator.parameters(), lr=0.002, beta1=0.5),
               "encoder": Adam(net.encoder.parameters(), lr=0.002, beta1=0.5)}
    return Trainer(net, Alternating(phases, net.begin), batch_size=20, seed=7, clip=clip, callbacks=callbacks)


def labels_tensor(y):
    return Tensor._wrap(get().asarray(y, "int64"), get())


# ---------------------------------------------------------------- the losses

@pytest.mark.parametrize("classes", [0, 3])
def test_the_losses_are_cross_entropies(classes, backend):
    net = network(classes=classes)
    labels = labels_tensor(Y) if classes else None
    with no_grad():
        terms = {name: t.item() for name, t in net.loss_terms(Tensor(X), labels).items()}
        code = net.encode(Tensor(X))
        drawn = net.prior.draw(53, 2, Generator(3, "prior"), Y if classes else None, "float64")
        told = np.eye(4)[Y][:, : classes + 1 if classes else 0]  # the last place is that of -1
        answers = [F.sigmoid(net.discriminator(np.concatenate([z, told], 1))).numpy()
                   for z in (get().to_host(drawn), code.numpy())]
    assert list(terms) == PHASES
    assert terms["discriminator"] == pytest.approx(-np.log(answers[0]).mean() / 2 - np.log(1 - answers[1]).mean() / 2)
    assert terms["encoder"] == pytest.approx(-np.log(answers[1]).mean())
    assert terms["reconstruction"] == pytest.approx(np.square(net(Tensor(X)).numpy() - X).sum() / 53)


def test_a_discriminator_that_can_not_tell_costs_log_2(backend):
    net = network()
    for p in net.discriminator[-1].parameters():
        p.assign(np.zeros(p.shape))
    terms = net.loss_terms(Tensor(X))
    assert terms["discriminator"].item() == terms["encoder"].item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("classes", [0, 3])
def test_gradients_of_every_phase(phase, classes, backend):
    """With respect to the parameters of the phase, away from the discriminator's kinks: its units are made smooth."""
    net = network(classes=classes)
    for layer in list(net.discriminator)[:-1]:
        layer._activate = F.tanh
    net.begin(phase)
    labels = labels_tensor(Y[:9]) if classes else None
    learning = {"reconstruction": net.penalised(), "discriminator": net.discriminator.parameters(),
                "encoder": net.encoder.parameters()}[phase]
    result = gradcheck(lambda *p: sum(net.loss_terms(Tensor(X[:9]), labels).values()), learning)
    assert result.error < 1e-7


def test_a_phase_computes_only_its_loss():
    net = network()
    for phase in PHASES:
        net.begin(phase)
        assert list(net.loss_terms(Tensor(X))) == [phase]
    net = network(l2=0.1).train()
    net.begin("reconstruction")
    terms = net.loss_terms(Tensor(X))
    weights = [p for layer in (net.encoder, net.decoder) for p in layer.parameters() if p.ndim == 2]
    assert list(terms) == ["reconstruction", "l2"]
    assert terms["l2"].item() == pytest.approx(0.1 * sum(np.square(w.numpy()).sum() for w in weights))


# ---------------------------------------------------------------- the steps

def test_each_phase_changes_only_what_learns_in_it(backend):
    net = network("float32")
    states = []
    trainer = trainer_of(net)
    begin = trainer.optimizer.begin

    def note(phase):
        states.append((phase, net.state_dict()))
        begin(phase)

    trainer.optimizer.begin = note
    trainer.fit(X[:20], 1)
    assert [phase for phase, _ in states] == [*PHASES, None]
    for (phase, before), (_, after) in zip(states, states[1:], strict=False):
        changed = {name.split(".")[0] for name in before if (before[name] != after[name]).any()}
        assert changed == {"reconstruction": {"encoder", "decoder"}, "discriminator": {"discriminator"},
                           "encoder": {"encoder"}}[phase]


@pytest.mark.parametrize("classes", [0, 3])
def test_training_is_three_optimizers_in_turn(classes, backend):
    """Two epochs by hand, with three separate optimizers and losses written out; bit for bit."""
    net, twin = network(classes=classes), network(classes=classes)
    trainer = trainer_of(net)
    history = trainer.fit((X, Y) if classes else X, 2)
    whole, critic = Adam(twin.penalised(), lr=0.01), Adam(twin.discriminator.parameters(), lr=0.002, beta1=0.5)
    against, random = Adam(twin.encoder.parameters(), lr=0.002, beta1=0.5), Generator(3, "prior")
    for epoch in range(2):
        order, totals = host_generator(7, "shuffle", epoch).permutation(53), np.zeros(3)
        for start in range(0, 53, 20):
            rows = order[start:start + 20]
            x, y = Tensor(X[rows]), Y[rows] if classes else None
            told = [Tensor(np.eye(4)[y])] if classes else []
            losses = []
            for step, optimizer in enumerate((whole, critic, against)):
                for p in twin.parameters():
                    p.zero_grad()
                code = twin.encoder(x)
                if step == 0:
                    loss = F.squared_error(twin.decoder(code), x)
                elif step == 1:
                    z = Tensor._wrap(random.backend.xp.asarray(twin.prior.draw(len(x), 2, random, y, "float64")),
                                     random.backend)
                    real, found = (twin.discriminator(F.concatenate([c, *told], 1)) for c in (z, code.detach()))
                    loss = (F.softplus(-real) + F.softplus(found)).mean() * 0.5
                else:
                    loss = F.softplus(-twin.discriminator(F.concatenate([code, *told], 1))).mean()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            totals += np.array(losses) * len(x)
        assert [history[epoch][phase] for phase in PHASES] == pytest.approx(totals / 53, rel=1e-12)
    for name, a in twin.state_dict().items():
        np.testing.assert_allclose(net.state_dict()[name], a, rtol=1e-11, atol=1e-14)


class PlayedStep:
    """One minibatch of all phases, with labels, on the same rows each time."""

    def __init__(self, be):
        encoder, decoder = Sequential([Dense(5, "relu"), Dense(2)]), Sequential([Dense(6)])
        self.net = AdversarialNetwork(encoder, decoder, prior=SwissRoll(3), discriminator=[7], classes=3)
        self.net.build((6,), Build("", 0, "float32", be))
        self.net.train()
        self.x = Tensor(X[:20], dtype="float32", backend=be)
        self.y = Tensor._wrap(be.asarray(Y[:20], "int64"), be)
        phases = {phase: Adam(part, lr=0.01) for phase, part in zip(PHASES, (
            self.net.penalised(), self.net.discriminator.parameters(), self.net.encoder.parameters()), strict=True)}
        self.optimizer = Alternating(phases, self.net.begin)

    def evaluate(self):
        self.optimizer.zero_grad()
        (loss,) = self.net.loss_terms(self.x, self.y).values()
        loss.backward()
        return loss

    def __call__(self):
        self.optimizer.minimize(self.evaluate)


def test_a_recorded_step_replays():
    eager, recorded = PlayedStep(get("numpy")), PlayedStep(get("strict"))
    for _ in range(5):
        eager()
    replay = get("strict").capture(recorded, warmup=2)
    for _ in range(3):
        replay()
    for mine, theirs in zip(recorded.net.parameters(), eager.net.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_a_steady_epoch_allocates_nothing(backend):
    net, counts = network("float32", classes=3), []

    class Watch(Callback):
        def on_epoch_end(self, trainer, logs):
            counts.append(sum(a.allocations for a in trainer._arenas.values()))

    trainer_of(net, callbacks=[Watch()]).fit((X, Y), 5, validation=(X, Y))
    assert counts[1] == counts[-1] > 0


# ---------------------------------------------------------------- going on later

@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_is_the_unbroken_one(stop, tmp_path, backend):
    """Weights, all three optimizers' moments, draws and schedules, bit for bit."""
    class Cut(Callback):
        def on_epoch_end(self, trainer, logs):
            if trainer.epoch == stop:
                raise KeyboardInterrupt

    def made():
        return AdversarialAutoencoder([5], 2, prior=GaussianMixture(3), epochs=5, batch_size=20, clip=0.5,
                                      corruption=[nn.GaussianNoise(0.1)], discriminator=[6])

    def others():
        return [LearningRate(lambda epoch: 0.7**epoch), Checkpoint(tmp_path / "run.safetensors", resume=True)]

    whole = made().fit(X, Y, callbacks=others()[:1])
    with pytest.raises(KeyboardInterrupt):
        made().fit(X, Y, callbacks=[*others(), Cut()])
    resumed = made().fit(X, Y, callbacks=others())
    for name, a in whole.network_.state_dict().items():
        np.testing.assert_array_equal(resumed.network_.state_dict()[name], a)
    for a, b in zip(whole.history_, resumed.history_, strict=True):
        assert all(a[name] == b[name] for name in ("loss", "lr", *PHASES))
    ours, theirs = whole._trainer.optimizer.state_dict(), resumed._trainer.optimizer.state_dict()
    assert all(np.array_equal(theirs[name], a) for name, a in ours.items()) and ours["encoder.count"] > 0


def test_divergence_puts_everything_back(backend):
    net = network()

    class Explode(Callback):
        def on_epoch_begin(self, trainer):
            trainer.optimizer.lr = 1e300 if trainer.epoch == 2 else 0.01
            self.before = trainer.model.state_dict(), trainer.optimizer.state_dict()

    explode = Explode()
    trainer = trainer_of(net, callbacks=[explode])
    with pytest.raises(TrainingDiverged):
        trainer.fit(X, 5)
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, explode.before[0][name])
    assert net.phase is None and trainer.optimizer.lr == 0.01
    trainer.callbacks = []
    assert np.isfinite(trainer.fit(X, 3)[-1]["loss"])


# ---------------------------------------------------------------- the estimator

@pytest.fixture(scope="module")
def two_clusters():
    rng = np.random.default_rng(1)
    y = np.arange(400) % 2
    return (rng.standard_normal((400, 8)) * 0.3 + y[:, None]).astype(np.float32), y


def test_codes_become_standard_normal(two_clusters):
    """Codes of the same network that nobody opposes are two lumps far from N(0, 1)."""
    x, _ = two_clusters
    z = np.random.default_rng(0).standard_normal((400, 2))
    settings = {"epochs": 40, "batch_size": 50, "discriminator": [64, 64], "lr": 1e-3}
    alone, matched = (AdversarialAutoencoder([32], 2, adversarial_lr=rate, **settings).fit(x) for rate in (0.0, 1e-3))
    far, near = (mmd(model.transform(x), z, permutations=1).value for model in (alone, matched))
    assert near < far / 4
    np.testing.assert_allclose(matched.transform(x).mean(0), 0, atol=0.35)
    last = matched.history_[-1]
    assert last["discriminator"] > 0.55 and last["encoder"] < 1.0
    assert last["reconstruction"] < 0.7 * matched.history_[0]["reconstruction"]


def test_labels_choose_the_part_and_samples_are_of_the_class(two_clusters):
    """Nine of ten labels are unknown, and are found all the same."""
    x, y = two_clusters
    names = np.where(np.arange(400) % 10 < 8, -1, y + 5)  # 5 and 6
    model = AdversarialAutoencoder([32], 2, prior=GaussianMixture(2), epochs=80, lr=1e-3, adversarial_lr=1e-3,
                                   batch_size=100)
    model.fit(x, names)
    assert model.classes_.tolist() == [5, 6]
    codes = model.transform(x)
    assert ((codes[:, 0] < 0) == y).mean() > 0.95  # component 1 is opposite component 0
    for label in (5, 6):
        samples = model.sample(50, labels=np.full(50, label))
        assert samples.shape == (50, 8) and (np.rint(samples.mean(1)) == label - 5).mean() > 0.9
    mixed = model.sample(50).mean(1)
    assert 0.1 < (mixed > 0.5).mean() < 0.9
    np.testing.assert_array_equal(model.sample(50, labels=np.full(50, -1)), model.sample(50))


def test_samples_are_repeatable_and_in_the_units_of_the_data(backend):
    model = AdversarialAutoencoder([5], 2, epochs=1, scaling="standard").fit(X * 100 + 500)
    np.testing.assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1))
    assert (model.sample(5, seed=1) != model.sample(5, seed=2)).all()
    assert 450 < model.sample(50).mean() < 650


def test_the_same_seed_is_the_same_model_with_or_without_validation(backend):
    settings = {"epochs": 2, "batch_size": 20, "backend": backend}
    first, again = (AdversarialAutoencoder([5], 2, **settings).fit(X) for _ in range(2))
    watched = AdversarialAutoencoder([5], 2, **settings).fit(X, validation=X[:30])
    for model in (again, watched):
        np.testing.assert_array_equal(model.transform(X), first.transform(X))
    assert {"val_reconstruction", "val_discriminator", "val_encoder"} <= watched.history_[-1].keys()


def test_patience_watches_the_reconstruction(two_clusters):
    """Not the sum of all losses, which the steps against each other let rise and fall."""
    x, _ = two_clusters
    model = AdversarialAutoencoder([16], 2, lr=0.02, adversarial_lr=0.02, epochs=60, patience=4, batch_size=50)
    history = model.fit(x[:40], validation=x[40:]).history_
    errors = [row["val_reconstruction"] for row in history]
    assert len(history) == np.argmin(errors) + 1 + 4 < 60
    assert np.argmin(errors) != np.argmin([row["val_loss"] for row in history])
    assert np.square(model.reconstruct(x[40:]) - x[40:]).sum(1).mean() == pytest.approx(min(errors), rel=1e-4)


@pytest.mark.parametrize("labels", [None, Y, np.array(["a", "b", "c"])[Y]])
def test_files(labels, tmp_path, backend):
    prior = "swiss_roll" if labels is None else GaussianMixture(3, distance=4.0)
    model = AdversarialAutoencoder([5], 2, prior=prior, discriminator=[6, 5], epochs=2).fit(X, labels)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.prior == model.network_.prior and again.classes_.tolist() == model.classes_.tolist()
    few = None if labels is None else labels[:7]
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    np.testing.assert_array_equal(again.sample(7, labels=few), model.sample(7, labels=few))
    assert again.fit(X, labels).history_[0]["loss"] == model.history_[0]["loss"]
    again.partial_fit(X, labels)


def test_layers_of_ones_own_and_options():
    images = np.random.default_rng(0).random((40, 1, 4, 4))
    model = AdversarialAutoencoder(encoder=Sequential([Conv2D(3, 2, activation="relu"), Flatten(), Dense(2)]),
                                   decoder=Sequential([Dense(16), Reshape((1, 4, 4))]), loss="bce", epochs=1,
                                   max_norm=1.0, l1=1e-3).fit(images)
    assert model.sample(3).shape == (3, 1, 4, 4) and "l1" in model.history_[0]
    for options in ({"batch_norm": True, "dropout": 0.2}, {"tied": True}, {"optimizer": "cg"}, {"optimizer": "sgd"}):
        model = AdversarialAutoencoder([5], 2, epochs=2, **options).fit(X)
        assert np.isfinite(model.history_[-1]["loss"])
    with pytest.raises(ValueError, match="compare with draws from a prior"):
        AdversarialAutoencoder(encoder=Sequential([Conv2D(3, 2)]), decoder=Sequential([nn.ConvTranspose2D(1, 2)]))\
            .fit(images)


def test_bounds_and_penalties_leave_the_discriminator_out(backend):
    model = AdversarialAutoencoder([5], 2, max_norm=0.1, adversarial_lr=0.05, epochs=2).fit(X)

    def longest(network):
        return max(np.linalg.norm(p.numpy(), axis=0).max() for p in network.parameters() if p.ndim == 2)

    assert max(longest(model.encoder_), longest(model.decoder_)) <= 0.1 * (1 + 1e-6)
    assert longest(model.network_.discriminator) > 1


def test_partial_fit(backend):
    model = AdversarialAutoencoder([5], 2, prior=GaussianMixture(3), batch_size=20, epochs=2)
    for _ in range(2):
        model.partial_fit(X, Y)
    whole = AdversarialAutoencoder([5], 2, prior=GaussianMixture(3), batch_size=20, epochs=2).fit(X, Y)
    np.testing.assert_array_equal(model.transform(X), whole.transform(X))
    model.partial_fit(X)  # all labels unknown


def test_bad_input():
    model = AdversarialAutoencoder([5], 2, prior=GaussianMixture(3), epochs=1)
    with pytest.raises(ValueError, match='2 different labels, and the mixture prior has 3 parts .* "components": 2'):
        model.fit(X, np.arange(53) % 2)
    with pytest.raises(ValueError, match="y holds only -1"):
        model.fit(X, np.full(53, -1))
    with pytest.raises(ValueError, match="expected one for each of the 53 samples"):
        model.fit(X, Y[:5])
    with pytest.raises(ValueError, match="validation is a pair"):
        model.fit(X, Y, validation=X)
    assert not hasattr(model, "network_")
    model.fit(X, Y)
    with pytest.raises(ValueError, match="labels holds the label 7, which .* expected one of 0, 1, 2, or -1"):
        model.sample(2, labels=[0, 7])
    with pytest.raises(TypeError, match="labels of the same type"):
        model.sample(2, labels=["a", "b"])
    plain = AdversarialAutoencoder([5], 2, prior=GaussianMixture(3), epochs=1).fit(X)
    with pytest.raises(ValueError, match="trained without"):
        plain.sample(2, labels=[0, 1])
    with pytest.raises(ValueError, match="trained without"):
        plain.partial_fit(X, Y)
    for wrong, message in (({"discriminator": 5}, "discriminator is a list"), ({"prior": "flat"}, "unknown prior"),
                           ({"adversarial_lr": -1}, "adversarial_lr must be"), ({"lr": 0}, "the first phase has lr=0"),
                           ({"code": 1, "prior": "mixture"}, "codes of 2 numbers")):
        with pytest.raises(ValueError, match=message):
            AdversarialAutoencoder(**{"hidden": [5], "code": 2, "epochs": 1, **wrong}).fit(X)
