"""Sparse autoencoders: the mean activity that was asked for, codes with zeros, k active units."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae import nn
from miniae.autodiff import Tensor, gradcheck
from miniae.models import Autoencoder, KSparseAutoencoder, L1SparseAutoencoder, SparseAutoencoder, load
from miniae.nn import Sequential
from miniae.report import active_fraction, mean_activity

MODELS = [lambda **s: SparseAutoencoder(code=16, target=0.1, **s),
          lambda **s: L1SparseAutoencoder(code=16, strength=0.2, **s),
          lambda **s: KSparseAutoencoder(code=16, k=3, **s)]


@pytest.mark.parametrize("target", [0.1, 0.3])
def test_the_mean_activity_is_the_target(target, blobs, backend):
    model = SparseAutoencoder(code=16, target=target, strength=10.0, lr=1e-2, batch_size=150, epochs=300,
                              backend=backend).fit(blobs)
    assert mean_activity(model.transform(blobs)).mean() == pytest.approx(target, rel=0.1)
    free = Autoencoder((), 16, code_activation="sigmoid", lr=1e-2, batch_size=150, epochs=300).fit(blobs)
    assert abs(mean_activity(free.transform(blobs)).mean() - target) > 0.1


def test_the_terms_of_the_losses(blobs, backend):
    """Against the formulas in NumPy, on the codes of one batch of everything."""
    settings = {"epochs": 1, "batch_size": len(blobs), "lr": 0.0, "dtype": "float64", "backend": backend}
    model = SparseAutoencoder(code=5, target=0.2, strength=3.0, **settings).fit(blobs)
    r = model.transform(blobs).mean(axis=0)
    kl = 0.2 * np.log(0.2 / r) + 0.8 * np.log(0.8 / (1 - r))
    assert model.history_[0]["sparsity"] == pytest.approx(3 * kl.sum(), rel=1e-9)
    model = L1SparseAutoencoder(code=5, strength=0.7, code_activation="tanh", **settings).fit(blobs)
    expected = 0.7 * np.abs(model.transform(blobs)).sum() / len(blobs)
    assert model.history_[0]["activity"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("make", MODELS)
def test_the_gradient_of_the_whole_loss(make, blobs, backend):
    model = make(epochs=1, lr=1e-2, dtype="float64", backend=backend).fit(blobs)
    network, x = model.network_.train(), Tensor(blobs[:7].astype(np.float64), backend=backend)

    def loss(*parameters):
        first, *others = network.loss_terms(x).values()
        return sum(others, first)

    assert gradcheck(loss, network.parameters()).error < 1e-6


def test_a_price_makes_zeros(blobs, backend):
    active = [active_fraction(L1SparseAutoencoder(code=16, strength=strength, lr=1e-2, batch_size=50, epochs=20,
                                                  backend=backend).fit(blobs).transform(blobs))
              for strength in (0.0, 0.1, 0.5)]
    assert active[0] > active[1] > active[2] > 0


def test_k_units_are_active_and_they_are_the_largest(blobs, backend):
    model = KSparseAutoencoder(code=16, k=3, lr=1e-2, epochs=10, backend=backend).fit(blobs)
    codes = model.transform(blobs)
    assert ((codes != 0).sum(axis=1) == 3).all()
    dense = model._through(model.encoder_, blobs)
    third = np.sort(dense, axis=1)[:, -3:-2]
    np.testing.assert_array_equal(codes, np.where(dense >= third, dense, 0))
    np.testing.assert_allclose(model.inverse_transform(codes), model.reconstruct(blobs), atol=1e-6)
    everything, plain = KSparseAutoencoder(code=16, k=16, epochs=3), Autoencoder((), 16, tied=True, epochs=3)
    np.testing.assert_array_equal(everything.fit(blobs).reconstruct(blobs), plain.fit(blobs).reconstruct(blobs))


def test_top_k_by_hand_and_ties(backend):
    x = Tensor(np.array([[1.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -2.0, -3.0, -4.0]]), requires_grad=True)
    y = F.top_k(x, 2)
    np.testing.assert_array_equal(y.numpy(), [[0, 3, 3, 0], [0, 0, 0, 0], [-1, -2, 0, 0]])
    y.backward(np.ones((3, 4)))
    np.testing.assert_array_equal(backend.to_host(x.grad), [[0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]])


def test_top_k_against_sorting(backend):
    x = np.random.default_rng(0).integers(0, 5, (40, 2, 3, 4)).astype(np.float32)  # many ties
    for k in (1, 7, 24):
        expected = np.zeros((40, 24), np.float32)
        for row, values in zip(expected, x.reshape(40, 24), strict=True):
            kept = np.argsort(-values, kind="stable")[:k]
            row[kept] = values[kept]
        np.testing.assert_array_equal(F.top_k(Tensor(x), k).numpy(), expected.reshape(x.shape))


def test_top_k_of_few_and_of_too_many(backend):
    assert F.top_k(Tensor(np.zeros((0, 4))), 2).shape == (0, 4)
    assert F.top_k(Tensor(np.array([[2.0]])), 1).item() == 2.0
    for k in (0, 5, -1):
        with pytest.raises(ValueError, match=f"between 1 and the 4 elements of a sample, got {k}"):
            F.top_k(Tensor(np.zeros((2, 4))), k)


@pytest.mark.parametrize("make", MODELS)
def test_files(make, blobs, tmp_path, backend):
    model = make(epochs=3, dropout=0.1, l1=1e-4, max_norm=2.0, hidden=[10], tied=False).fit(blobs)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert type(again) is type(model)
    assert {n: v for n, v in again.get_params().items() if n in type(model).network_settings} == \
        {n: v for n, v in model.get_params().items() if n in type(model).network_settings}
    np.testing.assert_array_equal(again.transform(blobs), model.transform(blobs))
    np.testing.assert_array_equal(again.reconstruct(blobs), model.reconstruct(blobs))
    assert again.fit(blobs).history_[0]["loss"] == model.history_[0]["loss"]


@pytest.mark.parametrize("make", MODELS)
def test_convolutional(make, blobs, tmp_path, backend):
    images = blobs.reshape(-1, 1, 3, 4)
    layers = {"encoder": Sequential([nn.Conv2D(2, 3, padding="same", activation="sigmoid")]),
              "decoder": Sequential([nn.Conv2D(1, 3, padding="same")])}
    model = make(epochs=2, **layers).fit(images)
    model.save(tmp_path / "m.safetensors")
    codes = load(tmp_path / "m.safetensors").transform(images)
    np.testing.assert_array_equal(codes, model.transform(images))
    assert codes.shape == (150, 2, 3, 4)
    if isinstance(model, KSparseAutoencoder):
        assert ((codes != 0).reshape(150, -1).sum(axis=1) == 3).all()


@pytest.mark.parametrize("make, says", [
    (lambda: SparseAutoencoder(code=4, target=1.0), "target is the mean activity of units, between 0 and 1; got 1.0"),
    (lambda: SparseAutoencoder(code=4, target=0), "between 0 and 1; got 0"),
    (lambda: SparseAutoencoder(code=4, strength=-1), "strength must be a finite number"),
    (lambda: SparseAutoencoder(code=4, code_activation="relu"), "end the encoder with activation='sigmoid'"),
    (lambda: SparseAutoencoder(encoder=Sequential([nn.Dense(4, "tanh")]), decoder=nn.Dense(12)), "from 0 to 1"),
    (lambda: SparseAutoencoder(encoder=Sequential([nn.Flatten()]), decoder=nn.Dense(12)), "is no layer with units"),
    (lambda: SparseAutoencoder(encoder=Sequential([]), decoder=nn.Dense(12)), "is no layer with units"),
    (lambda: SparseAutoencoder(encoder=Sequential([nn.Dense(4, "sigmoid"), Sequential([nn.Dense(4)])]),
                               decoder=nn.Dense(12)), "its last layer is Dense"),
    (lambda: L1SparseAutoencoder(code=4, strength="much"), "strength must be a finite number"),
    (lambda: KSparseAutoencoder(code=4, k=0), "k must be an integer of at least 1"),
    (lambda: KSparseAutoencoder(code=4, k=5), "k is 5, more than the 4 units of the code"),
])
def test_bad_settings(make, says, blobs):
    with pytest.raises(ValueError, match=says):
        make().fit(blobs)


def test_the_last_layer_with_units_decides():
    x = np.random.default_rng(0).random((10, 1, 4, 4), dtype=np.float32)
    encoder = Sequential([nn.Conv2D(2, 3, padding="same", activation="sigmoid"), nn.Flatten()])
    model = SparseAutoencoder(encoder=encoder, decoder=Sequential([nn.Dense(16), nn.Reshape((1, 4, 4))]), epochs=1)
    assert model.fit(x).transform(x).shape == (10, 32)


@pytest.mark.parametrize("make", [
    lambda: Sequential([nn.Dense(4, "sigmoid"), nn.Dropout(0.1)]),
    lambda: Sequential([Sequential([nn.Dense(6, "relu"), nn.Dense(4, "sigmoid")]), Sequential([nn.Flatten()])]),
    lambda: Sequential([nn.Dense(4), nn.Activation("sigmoid")]),
    lambda: nn.Dense(4, "sigmoid"),
])
def test_what_only_reshapes_or_drops_is_looked_through(make, blobs, backend):
    model = SparseAutoencoder(encoder=make(), decoder=Sequential([nn.Dense(12)]), epochs=1, backend=backend).fit(blobs)
    assert 0 < model.transform(blobs).min() and model.transform(blobs).max() < 1


@pytest.mark.parametrize("make", MODELS)
def test_a_recorded_step_replays(make, blobs, eager_and_replayed):
    """On the strict backend, which refuses to record what allocates, it is the step on NumPy."""
    eager, recorded = eager_and_replayed(lambda be: make(epochs=0, backend=be).fit(blobs).network_.train(), blobs[:20])
    for mine, theirs in zip(recorded.parameters(), eager.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
