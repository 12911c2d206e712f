"""The options that every autoencoder has: dropout, batch normalisation, bounds on weights, early stopping."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.models import Autoencoder, ContractiveAutoencoder, load
from miniae.nn import Activation, BatchNorm, Conv2D, ConvTranspose2D, Dense, Dropout, Sequential
from miniae.training import MaxNorm

X = np.random.default_rng(0).random((60, 8), dtype=np.float32)


def kinds(layers):
    return [type(layer) for layer in layers]


def test_hidden_layers_have_batch_norm_before_their_activation_and_dropout_after():
    model = Autoencoder([6, 5], 2, dropout=0.2, batch_norm=True, epochs=1).fit(X)
    hidden = [Dense, BatchNorm, Activation, Dropout]
    assert kinds(model.encoder_) == [*hidden, *hidden, Dense]
    assert kinds(model.decoder_) == [*hidden, *hidden, Dense]
    assert [layer.rate for layer in model.encoder_ if isinstance(layer, Dropout)] == [0.2, 0.2]


def test_a_tied_decoder_has_them_too(tmp_path):
    model = Autoencoder([6], 2, dropout=0.2, batch_norm=True, tied=True, epochs=2).fit(X)
    assert sum(isinstance(layer, BatchNorm) for layer in model.decoder_) == 1
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").reconstruct(X), model.reconstruct(X))


def test_without_options_the_model_is_the_plain_one():
    assert kinds(Autoencoder([6], 2, epochs=0).fit(X).encoder_) == [Dense, Dense]


def test_reconstructions_do_not_depend_on_chance_or_on_the_other_rows(backend):
    model = Autoencoder([6], 2, dropout=0.5, batch_norm=True, epochs=2, backend=backend).fit(X)
    np.testing.assert_allclose(model.reconstruct(X)[:1], model.reconstruct(X[:1]), rtol=1e-5, atol=1e-6)


def test_weights_stay_within_their_bound(backend):
    model = Autoencoder([16], 4, max_norm=0.3, lr=0.1, epochs=2, backend=backend).fit(X)
    lengths = [np.linalg.norm(p.numpy(), axis=0) for p in model.network_.parameters() if p.ndim > 1]
    assert max(n.max() for n in lengths) <= 0.3 * (1 + 1e-6)
    assert min(n.min() for n in lengths) > 0.01
    free = Autoencoder([16], 4, lr=0.1, epochs=2, backend=backend).fit(X)
    assert np.linalg.norm(free.encoder_[0].weight.numpy(), axis=0).max() > 0.3
    model.partial_fit(X)
    assert np.linalg.norm(model.encoder_[0].weight.numpy(), axis=0).max() <= 0.3 * (1 + 1e-6)


def test_the_bound_is_of_each_filter(backend):
    images = X.reshape(-1, 2, 2, 2)
    model = Autoencoder(encoder=Sequential([Conv2D(3, 2)]), decoder=Sequential([ConvTranspose2D(2, 2)]), max_norm=0.4,
                        lr=0.1, epochs=3, backend=backend).fit(images)
    down, up = (layers[0].weight.numpy() for layers in (model.encoder_, model.decoder_))
    np.testing.assert_array_less(np.sqrt(np.square(down).sum((1, 2, 3))), 0.4 * (1 + 1e-6))
    np.testing.assert_array_less(np.sqrt(np.square(up).sum((0, 2, 3))), 0.4 * (1 + 1e-6))


def test_short_weights_are_left_exactly_as_they_are():
    free, bound = (Autoencoder([6], 2, max_norm=limit, epochs=2).fit(X) for limit in (None, 1e6))
    for name, a in free.network_.state_dict().items():
        np.testing.assert_array_equal(a, bound.network_.state_dict()[name])


def test_patience_ends_training_with_the_best_weights():
    noise = np.random.default_rng(1).random((30, 8), dtype=np.float32)
    model = Autoencoder([64], 8, lr=0.03, epochs=400, patience=3).fit(X[:10], validation=noise)
    losses = [row["val_loss"] for row in model.history_]
    assert len(losses) < 400
    assert len(losses) == np.argmin(losses) + 1 + 3
    error = float(np.square(model.reconstruct(noise) - noise).sum(axis=1).mean())
    assert error == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.parametrize("settings, says", [
    ({"patience": 3}, "give fit validation"),
    ({"patience": 0}, "patience must be an integer of at least 1"),
    ({"max_norm": -1.0}, "max_norm must be a finite number"),
    ({"max_norm": 0.0}, "max_norm must be a finite number above 0"),
    ({"dropout": 1.0}, "dropout rate must lie in"),
    ({"batch_norm": "yes"}, "batch_norm is True or False"),
])
def test_what_can_not_be_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        Autoencoder([6], 2, **settings).fit(X)


def test_variants_have_the_options_of_all():
    model = ContractiveAutoencoder(4, l2=1e-3, max_norm=1.0, patience=2, epochs=3)
    assert {"l2": 1e-3, "max_norm": 1.0, "patience": 2, "strength": 0.1}.items() <= model.get_params().items()
    assert repr(model) == "ContractiveAutoencoder(code=4, l2=0.001, max_norm=1.0, patience=2, epochs=3)"
    assert "l2" in model.fit(X, validation=X).history_[0]


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="strenght"):
        ContractiveAutoencoder(4, strenght=1.0)


@pytest.mark.parametrize("limit", [0.0, float("inf"), float("nan")])
def test_a_bound_is_a_positive_number(limit):
    with pytest.raises(ValueError, match="max_norm"):
        MaxNorm(limit)


def test_a_step_with_batch_norm_can_be_recorded(eager_and_replayed):
    """On the strict backend, which refuses to record what allocates; weights and running means are those on NumPy."""
    def make(be):
        return Autoencoder([6], 2, batch_norm=True, dropout=0.2, epochs=0, backend=be).fit(X).network_.train()

    eager, recorded = eager_and_replayed(make, X[:20])
    for name, a in eager.state_dict().items():
        np.testing.assert_array_equal(recorded.state_dict()[name], a)
