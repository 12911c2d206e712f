"""PCA, RBMs and deep belief networks from data that come in parts, and from streams of batches."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from models.copies import by_joblib, by_pickle

from miniae import PCA, RBM, DeepBeliefNetwork
from miniae.data import Stream
from miniae.models.stack import activations, pair_of
from miniae.rbm import monitors
from miniae.training import Callback, NotFittedError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 7)) @ RNG.standard_normal((7, 7)) + 3
BITS = (RNG.random((120, 7)) < [0.1, 0.3, 0.5, 0.5, 0.7, 0.9, 0.2]).astype("float32")


def batches(x, size=17):
    """A function that gives x in batches, again and again."""
    return lambda: (x[i:i + size] for i in range(0, len(x), size))


def same_pca(a, b, tolerance=1e-11):
    scale = b.explained_variance_.max()
    np.testing.assert_allclose(a.mean_, b.mean_, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(a.explained_variance_, b.explained_variance_, atol=tolerance * scale)
    np.testing.assert_allclose(a.explained_variance_ratio_, b.explained_variance_ratio_, atol=tolerance)
    np.testing.assert_allclose(a.components_, b.components_, atol=1e3 * tolerance)
    assert a.n_samples_seen_ == b.n_samples_seen_ and a.n_features_in_ == b.n_features_in_


def same_weights(a, b):
    """Of two machines, bit for bit, with their persistent chains and fast weights."""
    mine, theirs = a.machine_.state_dict(), b.machine_.state_dict()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def losses(history):
    return [row["loss"] for row in history]


# -------------------------------------------------------------------- PCA

@pytest.mark.parametrize("sizes", [[120], [60, 60], [4, 1, 1, 50, 64], [5] * 24])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int8"])
def test_pca_of_parts_is_that_of_all_rows(sizes, dtype):
    x = (10 * X).astype(dtype)
    parts, whole = PCA(4), PCA(4).fit(x)
    for part in np.split(x, np.cumsum(sizes)[:-1]):
        parts.partial_fit(part)
    same_pca(parts, whole)
    np.testing.assert_allclose(parts.transform(x), whole.transform(x), rtol=1e-5, atol=1e-4)


def test_pca_of_parts_as_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition", reason="the reference is scikit-learn")
    ours, theirs, whole = PCA(3), decomposition.IncrementalPCA(7), decomposition.PCA(3, svd_solver="full").fit(X)
    for part in np.split(X, 6):  # all of theirs, as what it cuts off is lost to it
        ours.partial_fit(part)
        theirs.partial_fit(part)
    np.testing.assert_allclose(ours.explained_variance_, whole.explained_variance_, rtol=1e-12)
    np.testing.assert_allclose(ours.explained_variance_ratio_, whole.explained_variance_ratio_, rtol=1e-12)
    np.testing.assert_allclose(np.abs(ours.transform(X)), np.abs(whole.transform(X)), atol=1e-11)
    np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.explained_variance_, theirs.explained_variance_[:3], rtol=1e-12)
    np.testing.assert_allclose(np.abs(ours.components_), np.abs(theirs.components_[:3]), atol=1e-11)


def test_pca_of_more_features_than_rows():
    """No more is kept than there are rows, until there are as many as features."""
    x = np.random.default_rng(1).normal(size=(60, 40))
    parts = PCA(3)
    for rows in (5, 6, 20, 39, 40, 41, 60):
        parts.partial_fit(x[getattr(parts, "n_samples_seen_", 0):rows])
        assert parts._root.shape == (min(rows, 40), 40)
        same_pca(parts, PCA(3).fit(x[:rows]))


def test_pca_of_parts_far_from_zero():
    x = X / 100 + 1e5
    parts, exact = PCA(2), PCA(2).fit(X / 100)
    for part in np.split(x, 12):
        parts.partial_fit(part)
    np.testing.assert_allclose(parts.explained_variance_, exact.explained_variance_, rtol=1e-7)
    np.testing.assert_allclose(parts.components_, exact.components_, atol=1e-7)


def test_pca_goes_on_after_fit_and_begins_afresh_by_it():
    pca = PCA(3).fit(X[:50])
    for other in (copy.deepcopy(pca), pickle.loads(pickle.dumps(pca))):
        same_pca(other.partial_fit(X[50:]), PCA(3).fit(X))
    pca.partial_fit(X[50:]).fit(X[:50])
    np.testing.assert_array_equal(pca.components_, PCA(3).fit(X[:50]).components_)


def test_pca_of_one_row_of_one_feature_and_of_images():
    pca = PCA(1).partial_fit([[2.0]])
    assert pca.mean_ == 2 and pca.explained_variance_ == 0 and pca.transform([[5.0]]) == 3
    pca.partial_fit([[4.0]]).partial_fit([[9.0]])
    assert pca.mean_ == pytest.approx(5) and pca.explained_variance_ == pytest.approx(13)
    images = X.reshape(30, 1, 4, 7)
    parts = PCA(2).partial_fit(images[:9]).partial_fit(images[9:10]).partial_fit(batches(images[10:], 4))
    same_pca(parts, PCA(2).fit(images))
    assert parts.reconstruct(images).shape == images.shape
    constant = PCA(1).partial_fit(np.ones((3, 2))).partial_fit(np.ones((2, 2)))
    np.testing.assert_array_equal(constant.explained_variance_ratio_, 0)


@pytest.mark.parametrize("x", [X, X.reshape(8, 105)], ids=["tall", "wide"])
def test_pca_of_a_stream(x, monkeypatch):
    monkeypatch.setattr("miniae.models.pca._CHUNK", 50)
    whole, stream = PCA(3).fit(x), PCA(3).fit(Stream(batches(x, 7)))
    same_pca(stream, whole)
    for use in ("transform", "reconstruct", "score_samples"):
        np.testing.assert_allclose(getattr(stream, use)(batches(x, 5)), getattr(whole, use)(x), atol=1e-8)
    parts = PCA(3).partial_fit(batches(x[:5], 2)).partial_fit(batches(x[5:], 30))
    same_pca(parts, whole)


def test_pca_of_a_stream_takes_no_more_memory_for_more_rows(monkeypatch):
    monkeypatch.setattr("miniae.models.pca._CHUNK", 100)

    def peak(count):
        def made():
            rng = np.random.default_rng(0)
            return (rng.random((100, 60)) for _ in range(count))

        tracemalloc.start()
        PCA(3).fit(made).transform(made)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    few, many = peak(10), peak(200)
    assert many - few < 190 * 100 * 3 * 8 * 1.5 < 0.1 * 190 * 100 * 60 * 8  # the codes


def test_the_first_part_of_pca_needs_a_row_for_each_component():
    pca = PCA(3)
    with pytest.raises(ValueError, match="components is 3, expected a whole number from 1 to 2, the smaller"):
        pca.partial_fit(X[:2])
    with pytest.raises(NotFittedError):
        pca.transform(X)
    pca.partial_fit(X[:3]).set_params(components=9)
    with pytest.raises(ValueError, match="from 1 to 7, the smaller one of 120 samples and 7 features"):
        pca.partial_fit(X[3:])
    assert pca.n_samples_seen_ == 3 and pca.set_params(components=5).partial_fit(X[3:]).transform(X).shape == (120, 5)


# -------------------------------------------------------------------- RBM

SETTINGS = {"plain": {}, "persistent": {"persistent": True, "fast_lr": 0.05}, "bounded": {"max_norm": 0.5},
            "means of the data": {"visible_bias": "data", "momentum_switch": 1},
            "gaussian": {"visible_units": "gaussian"}}


@pytest.mark.parametrize("name", SETTINGS)
def test_parts_of_all_rows_are_the_epochs_of_fit(name, backend):
    """Bit for bit: velocities, chains, random numbers and the switch of the momentum go on."""
    settings = {"hidden": 5, "batch_size": 25, "momentum_switch": 2, **SETTINGS[name]}
    whole, parts, half = RBM(epochs=4, **settings).fit(BITS), RBM(**settings), RBM(epochs=2, **settings).fit(BITS)
    for _ in range(4):
        parts.partial_fit(BITS)
    same_weights(parts, whole)
    same_weights(half.partial_fit(BITS).partial_fit(BITS), whole)
    assert losses(parts.history_) == losses(half.history_) == losses(whole.history_)
    assert [row["epoch"] for row in parts.history_] == [1, 2, 3, 4]
    same_weights(parts.set_params(epochs=4).fit(BITS), whole)  # afresh


@pytest.mark.parametrize("name", ["plain", "persistent"])
def test_parts_of_a_batch_each_are_the_batches_of_an_epoch(name, backend):
    """In order, as a stream is read: what happens to a batch is the same in one epoch as in four of one batch."""
    settings = {"hidden": 5, "batch_size": 30, **SETTINGS[name], "momentum": (0.8, 0.8)}
    whole, parts = RBM(epochs=1, **settings).fit(batches(BITS)), RBM(**settings)
    for part in np.split(BITS, 4):
        parts.partial_fit(batches(part))
    same_weights(parts, whole)


@pytest.mark.parametrize("copied", [by_pickle, by_joblib, copy.deepcopy])
def test_copies_go_on_alike(copied):
    kept = Callback()
    kept.unpicklable = lambda: None  # what a training is watched by is no part of the model
    rbm = RBM(5, persistent=True, fast_lr=0.05, batch_size=25).partial_fit(BITS, callbacks=[kept])
    network = DeepBeliefNetwork([5, 4], batch_size=25).partial_fit(BITS, callbacks=lambda title: [kept])
    other, twin = copied(rbm), copied(network)
    for part in np.split(BITS, 3):
        for model in (rbm, other, network, twin):
            model.partial_fit(part)
    same_weights(other, rbm)
    np.testing.assert_array_equal(twin.reconstruct(BITS), network.reconstruct(BITS))
    alone = RBM(5, batch_size=25).fit(BITS)
    same_weights(copied(alone).partial_fit(BITS), alone.partial_fit(BITS))


def test_biases_by_the_means_of_a_stream():
    settings = {"visible_bias": "data", "epochs": 0}
    stream, whole = RBM(3, **settings).fit(batches(BITS)), RBM(3, **settings).fit(BITS)
    np.testing.assert_array_equal(stream.machine_.visible_bias.numpy(), whole.machine_.visible_bias.numpy())
    gap = monitors.FreeEnergyGap(BITS[:20], BITS[20:40])
    assert "free_energy_gap" in RBM(3).partial_fit(BITS, callbacks=[gap]).history_[0]


# -------------------------------------------------------------------- deep belief networks

def test_parts_train_layer_after_layer(backend):
    settings = {"batch_size": 25, "seed": 3}
    first = DeepBeliefNetwork([6, 5, 4], epochs=1, lr=[0.1, 0.05, 0.02], **settings).fit(BITS)
    network = DeepBeliefNetwork([6, 5, 4], epochs=7, lr=[0.1, 0.05, 0.02], **settings).partial_fit(BITS)
    np.testing.assert_array_equal(network.transform(BITS), first.transform(BITS))
    np.testing.assert_array_equal(network.sample(5, steps=3), first.sample(5, steps=3))
    rbms = [RBM(n, lr=lr, batch_size=25, seed=3 + i)
            for i, (n, lr) in enumerate(((6, 0.1), (5, 0.05), (4, 0.02)))]
    for part in (BITS, BITS[:50], BITS[50:51]):
        h = part
        for rbm in rbms:
            rbm.partial_fit(h)
            h = activations(pair_of(rbm).up, h)
    network.partial_fit(BITS[:50]).partial_fit(BITS[50:51])
    for pair, rbm, history in zip(network.stack_.pairs, rbms, network.stack_.histories, strict=True):
        same_weights(pair.rbm, rbm)
        np.testing.assert_array_equal(pair.up.weight.numpy(), rbm.machine_.weight.numpy())
        np.testing.assert_array_equal(pair.down.bias.numpy(), rbm.machine_.visible_bias.numpy())
        assert losses(history) == losses(rbm.history_) and len(history) == 3
    np.testing.assert_array_equal(network.set_params(epochs=1).fit(BITS).transform(BITS), first.transform(BITS))


def test_a_deep_belief_network_of_a_stream(backend):
    """Each layer as an RBM on the stream of what the layers below make of the data."""
    titles = []
    network = DeepBeliefNetwork([6, 4], epochs=[2, 3], batch_size=25).fit(
        Stream(batches(BITS), shuffle=40), callbacks=lambda title: titles.append(title) or [])
    assert titles == ["layer 1/2 (7-6)", "layer 2/2 (6-4)"]
    below = RBM(6, epochs=2, batch_size=25).fit(Stream(batches(BITS), shuffle=40))
    up = pair_of(below).up
    means = Stream(lambda: (activations(up, part) for part in batches(BITS)()), shuffle=40)
    above = RBM(4, epochs=3, batch_size=25, seed=1).fit(means)
    for pair, rbm in zip(network.stack_.pairs, (below, above), strict=True):
        same_weights(pair.rbm, rbm)
    codes = network.transform(BITS)
    np.testing.assert_allclose(network.transform(batches(BITS)), codes, rtol=1e-6)
    np.testing.assert_allclose(network.reconstruct(batches(BITS)), network.reconstruct(BITS), rtol=1e-6)
    np.testing.assert_array_equal(network.sample(1, steps=2, start=batches(BITS)),
                                  network.sample(1, steps=2, start=BITS))
    network.partial_fit(batches(BITS[:30])).partial_fit(BITS[:30])
    assert [len(history) for history in network.stack_.histories] == [4, 5]
    bytes_ = DeepBeliefNetwork([6, 4], epochs=2).fit(batches(BITS.astype("uint8")))
    np.testing.assert_array_equal(bytes_.transform(BITS),
                                  DeepBeliefNetwork([6, 4], epochs=2).fit(batches(BITS)).transform(BITS))


def test_an_interrupt_in_a_part(backend):
    class Interrupt(Callback):
        def on_batch_end(self, trainer, batch):
            raise KeyboardInterrupt

    def second(title):
        return [Interrupt()] if title.startswith("layer 2") else []

    network = DeepBeliefNetwork([6, 4], batch_size=25)
    with pytest.raises(KeyboardInterrupt):
        network.partial_fit(BITS, callbacks=second)
    with pytest.raises(NotFittedError):
        network.transform(BITS)
    assert network.partial_fit(BITS).stack_.sizes == [7, 6, 4]
    before = network.stack_.pairs[1].up.weight.numpy()
    with pytest.raises(KeyboardInterrupt):
        network.partial_fit(BITS, callbacks=second)
    pair = network.stack_.pairs[1]
    np.testing.assert_array_equal(pair.up.weight.numpy(), pair.rbm.machine_.weight.numpy())
    assert (pair.up.weight.numpy() != before).any()  # by the one batch


# -------------------------------------------------------------------- all of them: what is refused, and names

MODELS = {"pca": lambda: PCA(1), "rbm": lambda: RBM(3, batch_size=25), "dbn": lambda: DeepBeliefNetwork([3, 2])}


@pytest.mark.parametrize("name", MODELS)
def test_parts_that_can_not_be_change_nothing(name):
    model = MODELS[name]()
    with pytest.raises(ValueError, match="while a minimum of 1 is required"):
        model.partial_fit(BITS[:0])
    with pytest.raises(NotFittedError):
        model.transform(BITS)
    model.partial_fit(BITS)
    before, twin = model.transform(BITS), copy.deepcopy(model)
    holes = BITS.copy()
    holes[3, 1] = np.nan
    bad = [(BITS[:, 1:], "X has 6 features, but .* is expecting 7 features as input"),
           (holes, r"nan at index \(3, 1\)"), (BITS[:0], "while a minimum of 1 is required"),
           (BITS[0], "expected .samples, features."), (batches(BITS[:, 1:]), "expecting 7 features")]
    if name != "pca":
        bad.append((3 * BITS, r"need values in \[0, 1\]"))
    for part, message in bad:
        with pytest.raises(ValueError, match=message) as caught:
            model.partial_fit(part)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="gives its batches once"):
        model.partial_fit(part for part in [BITS])
    np.testing.assert_array_equal(model.transform(BITS), before)
    for one in (model, twin):
        one.partial_fit(BITS[:7])
    np.testing.assert_array_equal(model.transform(BITS), twin.transform(BITS))


@pytest.mark.parametrize("name", MODELS)
def test_one_row_and_one_feature(name, backend):
    model = MODELS[name]()
    for part in (BITS[:1, :1], BITS[1:2, :1], BITS[2:, :1]):
        model.partial_fit(part)
    assert model.n_features_in_ == 1 and np.isfinite(model.transform(BITS[:, :1])).all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("name", MODELS)
def test_names_of_features_over_parts_and_of_streams(name, library):
    lib = pytest.importorskip(library, reason="frames of it are read")
    frame = lib.DataFrame({name: BITS[:, i] for i, name in enumerate("abcdefg")})
    other = frame[list("gfedcba")]
    parts = MODELS[name]().partial_fit(frame[:50])
    stream = MODELS[name]().fit(lambda: [frame[:50], frame[50:]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts.partial_fit(frame[50:]).partial_fit(lambda: [frame[:9]])
        stream.partial_fit(frame).transform(lambda: [frame])
    for model in (parts, stream):
        assert model.feature_names_in_.tolist() == list("abcdefg")
        for use in (model.partial_fit, model.transform):
            with pytest.raises(ValueError, match="names should match.*\n(.*\n)*.* be in the same order"):
                use(other)
            with pytest.raises(ValueError, match="names should match"):
                use(lambda: [other])
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            model.partial_fit(BITS)
        assert model.feature_names_in_.tolist() == list("abcdefg")
        assert not hasattr(model.fit(BITS), "feature_names_in_")


def test_a_deep_belief_network_that_was_interrupted_is_fitted_again_first():
    class Interrupt(Callback):
        def on_batch_end(self, trainer, batch):
            raise KeyboardInterrupt

    model = DeepBeliefNetwork(hidden=[6, 4], epochs=1)
    x = np.random.default_rng(0).random((20, 7))
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, callbacks=lambda title: [Interrupt()] if title.startswith("layer 2") else [])
    with pytest.raises(ValueError, match="interrupted when 1 of 2 layers were trained: call it again before"):
        model.partial_fit(x)
    model.fit(x).partial_fit(x)
