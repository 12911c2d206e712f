"""The Autoencoder estimator."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Autoencoder, gradcheck, nn
from miniae.autodiff import Tensor
from miniae.models import PCA, AutoencoderNetwork, Reconstruction
from miniae.nn import Build, Dense, Sequential
from miniae.training import Callback, NotFittedError, TrainingDiverged


def error(x, y):
    return float(np.square(x - y).sum(axis=1).mean())


def test_learns_and_gives_every_shape(blobs, backend):
    model = Autoencoder([10], 3, activation="tanh", epochs=60, lr=1e-2, batch_size=32).fit(blobs, validation=blobs)
    assert error(model.reconstruct(blobs), blobs) < 0.3 * error(blobs.mean(0), blobs)
    codes = model.transform(blobs)
    assert codes.shape == (150, 3) and codes.dtype == np.float32
    np.testing.assert_allclose(model.inverse_transform(codes), model.reconstruct(blobs), atol=1e-6)
    assert model.score_samples(blobs).shape == (150,)
    assert model.score(blobs) == pytest.approx(-error(model.reconstruct(blobs), blobs), rel=1e-4)
    assert len(model.history_) == 60
    assert model.history_[-1]["val_loss"] < model.history_[0]["val_loss"]


def test_a_linear_autoencoder_spans_the_principal_subspace():
    """Baldi and Hornik, "Neural networks and principal component analysis", 1989: the largest principal angle."""
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    x = rng.standard_normal((400, 10)) * np.linspace(3.0, 0.5, 10) @ rotation
    x -= x.mean(axis=0)
    model = Autoencoder([], 3, epochs=2000, lr=1e-2, batch_size=400, dtype="float64").fit(x)
    spanned = np.linalg.qr(model.decoder_[0].weight.numpy().T)[0]
    principal = PCA(3).fit(x).components_.T
    cosines = np.linalg.svd(spanned.T @ principal, compute_uv=False)
    assert np.arccos(np.clip(cosines.min(), -1, 1)) < 1e-2


def test_the_same_seed_gives_the_same_model(blobs, backend):
    def train(seed, backend):
        return Autoencoder([8], 2, epochs=3, seed=seed, loss="bce", backend=backend,
                           corruption=[nn.Masking(0.2)]).fit(blobs)

    a, b, c = train(1, backend), train(1, backend), train(2, backend)
    for x, y in zip(a.network_.parameters(), b.network_.parameters(), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    assert np.abs(a.transform(blobs) - c.transform(blobs)).max() > 1e-3
    elsewhere = train(1, "numpy")
    np.testing.assert_allclose(a.reconstruct(blobs), elsewhere.reconstruct(blobs), atol=1e-5)


@pytest.mark.parametrize("loss, output", [("mse", None), ("mse", "sigmoid"), ("mae", None), ("huber", None),
                                          ("bce", None), ("bce", "sigmoid"), ("mse", "tanh")])
def test_every_loss_has_the_right_gradient(loss, output, backend):
    x = Tensor(np.random.default_rng(0).uniform(0.1, 0.9, (5, 6)))
    network = Autoencoder([5], 2, activation="tanh", loss=loss, output_activation=output)._make_network((6,))
    network.build((6,), Build("", 0, "float64"))
    assert gradcheck(lambda: network.loss_terms(x)["reconstruction"], [], network.parameters())


def test_cross_entropy_from_logits_is_that_from_probabilities():
    z, t = Tensor(np.random.default_rng(0).standard_normal((4, 3))), Tensor(np.random.default_rng(1).random((4, 3)))
    stable = Reconstruction("bce")
    p = stable(z).numpy()
    by_hand = -(t.numpy() * np.log(p) + (1 - t.numpy()) * np.log(1 - p)).sum() / 4
    assert stable.loss(z, t).item() == pytest.approx(by_hand, rel=1e-10)


def test_tied_weights_are_shared(blobs, backend):
    free = Autoencoder([8], 3, epochs=1).fit(blobs)
    tied = Autoencoder([8], 3, epochs=40, lr=1e-2, tied=True).fit(blobs)
    count = lambda m: sum(p.size for p in m.network_.parameters())  # noqa: E731
    assert count(free) - count(tied) == 12 * 8 + 8 * 3
    assert tied.history_[-1]["loss"] < 0.5 * tied.history_[0]["loss"]


def test_penalties_are_reported_and_shrink_the_weights(blobs):
    plain = Autoencoder([8], 3, epochs=30).fit(blobs)
    decayed = Autoencoder([8], 3, epochs=30, l2=0.05).fit(blobs)
    norm = lambda m: sum(float((p.numpy() ** 2).sum()) for p in m.network_.parameters() if p.ndim > 1)  # noqa: E731
    assert norm(decayed) < norm(plain)
    row = decayed.history_[-1]
    assert row["loss"] == pytest.approx(row["reconstruction"] + row["l2"], rel=1e-6)


def test_scaling_is_undone(backend):
    x = np.random.default_rng(0).standard_normal((200, 5)) * [1, 10, 100, 1000, 0] + [0, 5, -50, 1e4, 7]
    model = Autoencoder([20], 4, epochs=150, lr=1e-2, scaling="standard").fit(x)
    assert np.abs(model.reconstruct(x) - x).mean(axis=0) @ (1 / np.array([1, 10, 100, 1000, 1])) / 5 < 0.15
    assert model.reconstruct(x)[:, 4] == pytest.approx(7, abs=0.2)


def test_images_go_through_a_dense_autoencoder(backend):
    x = np.random.default_rng(0).random((20, 1, 4, 5), np.float32)
    model = Autoencoder([8], 3, epochs=2).fit(x)
    assert model.transform(x).shape == (20, 3)
    assert model.reconstruct(x).shape == x.shape
    assert model.inverse_transform(model.transform(x)).shape == x.shape


def test_layers_of_ones_own(backend):
    x = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
    encoder = Sequential([nn.Conv2D(4, 3, activation="relu"), nn.MaxPool2D(2), nn.Flatten(), Dense(5)])
    decoder = Sequential([Dense(64, "relu"), nn.Reshape((4, 4, 4)), nn.UpSample2D(2), nn.Conv2D(1, 3)])
    model = Autoencoder(encoder=encoder, decoder=decoder, epochs=4, lr=1e-2).fit(x)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]
    assert model.transform(x).shape == (20, 5)
    with pytest.raises(ValueError, match="both an encoder and a decoder"):
        Autoencoder(encoder=encoder).fit(x)
    with pytest.raises(ValueError, match="decoder gives"):
        Autoencoder(encoder=Sequential([Dense(3)]), decoder=Sequential([Dense(4)])).fit(x.reshape(20, -1))


def test_partial_fit_goes_on(blobs):
    model = Autoencoder([8], 3, lr=1e-2)
    for _ in range(30):
        model.partial_fit(blobs[:75]).partial_fit(blobs[75:])
    assert len(model.history_) == 60
    assert model.history_[-1]["loss"] < 0.5 * model.history_[0]["loss"]


def test_one_sample_one_feature_and_a_batch_larger_than_the_data(backend):
    model = Autoencoder([3], 1, epochs=2, batch_size=1000).fit(np.array([[0.5]]))
    assert model.reconstruct([[0.1], [0.2]]).shape == (2, 1)


def test_diverging_is_an_error_and_leaves_the_last_good_weights(blobs):
    model = Autoencoder([8], 3, optimizer="sgd", lr=1e12, epochs=5)
    with pytest.raises(TrainingDiverged, match="lower the learning rate"):
        model.fit(blobs)
    assert np.isfinite(model.transform(blobs)).all()


def test_interrupting_leaves_a_usable_model(blobs):
    class Interrupt(Callback):
        def on_batch_end(self, trainer, batch):
            if trainer.epoch == 1:
                raise KeyboardInterrupt

    model = Autoencoder([8], 3, epochs=5)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs, callbacks=[Interrupt()])
    assert len(model.history_) == 1
    assert np.isfinite(model.reconstruct(blobs)).all()


@pytest.mark.parametrize("data, settings, message", [
    (np.full((3, 2), np.nan), {}, "nan at index \\(0, 0\\)"),
    (np.full((3, 2), np.inf), {}, "missing and infinite"),
    (np.zeros((0, 2)), {}, "nothing in it"),
    (np.zeros(4), {}, "x\\[None\\]"),
    (np.array([["a"]]), {}, "expected numbers"),
    (np.array([[1j]]), {}, "expected numbers"),
    (np.array([[3.0]]), {"loss": "bce"}, "scale the data"),
    (np.zeros((3, 2)), {"loss": "l3"}, "expected one of mse"),
    (np.zeros((3, 2)), {"activation": "rel"}, "unknown activation"),
    (np.zeros((3, 2)), {"optimizer": "adamm"}, "unknown optimizer"),
    (np.zeros((3, 2)), {"scaling": "robust"}, "unknown scaling"),
    (np.zeros((3, 2)), {"code": 0}, "code must be an integer of at least 1, got 0"),
    (np.zeros((3, 2)), {"code": 2.5}, "code must be"),
    (np.zeros((3, 2)), {"hidden": 4}, "hidden is a list of layer sizes"),
    (np.zeros((3, 2)), {"hidden": [4, 0]}, "every size in hidden"),
    (np.zeros((3, 2)), {"epochs": 1.5}, "epochs must be"),
    (np.zeros((3, 2)), {"batch_size": 2.5}, "batch_size must be"),
    (np.zeros((3, 2)), {"clip": -1.0}, "clip must be a finite number"),
    (np.zeros((3, 2)), {"init": "he"}, "unknown initializer"),
    (np.zeros((3, 2)), {"dtype": "float16"}, "dtype"),
    (np.zeros((3, 2)), {"seed": -1}, "seed"),
    (np.zeros((3, 2)), {"batch_size": 0}, "batch_size"),
    (np.zeros((3, 2)), {"lr": -1.0}, "lr must be a finite number"),
    (np.zeros((3, 2)), {"backend": "tpu"}, "unknown backend"),
    (np.zeros((3, 2)), {"tied": True, "decoder_hidden": [4]}, "tied decoder"),
])
def test_bad_input_is_one_clear_line(data, settings, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        Autoencoder(**{"hidden": [3], "code": 2, "epochs": 1, **settings}).fit(data)
    assert "\n" not in str(caught.value)


def test_use_before_fit_and_another_width(blobs):
    with pytest.raises(NotFittedError, match="call fit"):
        Autoencoder().transform(blobs)
    with pytest.raises(ValueError, match="made for \\(12,\\)"):
        Autoencoder([3], 2, epochs=1).fit(blobs).transform(blobs[:, :5])


def test_the_network_describes_itself(blobs):
    model = Autoencoder([8], 3, epochs=1, corruption=[nn.GaussianNoise(0.1)], tied=True).fit(blobs)
    again = nn.layer_from_config(nn.layer_config(model.network_))
    assert isinstance(again, AutoencoderNetwork)
    again.build((12,), Build("", 0))
    again.load_state_dict(model.network_.state_dict())
    np.testing.assert_array_equal(again(blobs).numpy(), model.network_(blobs).numpy())


@pytest.mark.parametrize("built", [False, True])
def test_layers_of_ones_own_are_copied(built, blobs, backend):
    """As everywhere in scikit-learn: `fit` twice gives the same model twice, and leaves what it was given alone."""
    encoder, decoder = nn.Sequential([nn.Dense(5, "tanh"), nn.Dropout(0.1)]), nn.Sequential([nn.Dense(12)])
    if built:
        encoder.build((12,))
        decoder.build((5,))
    before = encoder.state_dict()
    model = Autoencoder(encoder=encoder, decoder=decoder, epochs=2, dtype="float32")
    first = model.fit(blobs).transform(blobs)
    np.testing.assert_array_equal(model.fit(blobs).transform(blobs), first)
    assert encoder.state_dict().keys() == before.keys()
    for name, a in encoder.state_dict().items():
        np.testing.assert_array_equal(a, before[name])
    if built:
        start = model.set_params(epochs=0).fit(blobs).encoder_
        np.testing.assert_array_equal(start[0].weight.numpy(), before["0.weight"])


def test_a_copied_decoder_shares_the_weights_of_the_copied_encoder(blobs, backend):
    encoder = nn.Sequential([nn.Dense(4)])
    decoder = nn.Sequential([nn.TiedDense(encoder[0])])
    model = Autoencoder(encoder=encoder, decoder=decoder, epochs=1).fit(blobs)
    assert model.decoder_[0].source is model.encoder_[0] is not encoder[0]
    assert len(model.network_.parameters()) == 3


def test_a_single_built_layer_keeps_its_weights(blobs):
    encoder = nn.Dense(4)
    encoder.build((12,))
    model = Autoencoder(encoder=encoder, decoder=nn.Dense(12), epochs=0).fit(blobs)
    np.testing.assert_array_equal(model.encoder_.weight.numpy(), encoder.weight.numpy())


def test_built_layers_of_another_dtype_are_refused(blobs):
    encoder = nn.Sequential([nn.Dense(4)], input_shape=12, dtype="float64")
    with pytest.raises(ValueError, match="is float64 on numpy, the model is float32 on numpy"):
        Autoencoder(encoder=encoder, decoder=nn.Sequential([nn.Dense(12)])).fit(blobs)


def test_frozen_layers_stay_frozen(blobs):
    encoder = nn.Sequential([nn.Dense(4)], input_shape=12)
    for p in encoder.parameters():
        p.requires_grad = False
    model = Autoencoder(encoder=encoder, decoder=nn.Sequential([nn.Dense(12)]), epochs=2).fit(blobs)
    np.testing.assert_array_equal(model.encoder_[0].weight.numpy(), encoder[0].weight.numpy())


@pytest.mark.parametrize("change, arguments", [
    ({}, {"validation": np.zeros((3, 7))}), ({"lr": -1.0}, {}), ({"optimizer": "nope"}, {}), ({"hidden": [0]}, {}),
])
def test_a_refused_fit_leaves_the_model_as_it_was(change, arguments, blobs):
    model = Autoencoder([5], 2, epochs=1).fit(blobs)
    codes, history = model.transform(blobs), list(model.history_)
    with pytest.raises(ValueError):
        model.set_params(**change).fit(blobs, **arguments)
    np.testing.assert_array_equal(model.transform(blobs), codes)
    assert model.history_ == history


def test_data_outside_the_range_of_training(blobs):
    model = Autoencoder([5], 2, loss="bce", epochs=1).fit(blobs)
    with pytest.raises(ValueError, match="this model was trained on values in .0, 1.: bring it to the same scale"):
        model.transform(blobs * 255)


def test_interpolation_goes_from_one_reconstruction_to_the_other(backend):
    X = np.random.default_rng(0).random((6, 5), dtype=np.float32)
    model = Autoencoder([4], 2, epochs=1, backend=backend).fit(X)
    between = model.interpolate(X[:2], X[2:4], steps=3)
    assert between.shape == (2, 3, 5)
    np.testing.assert_allclose(between[:, 0], model.reconstruct(X[:2]), rtol=1e-5)
    np.testing.assert_allclose(between[:, 2], model.reconstruct(X[2:4]), rtol=1e-5)
    middle = (model.transform(X[:2]) + model.transform(X[2:4])) / 2
    np.testing.assert_allclose(between[:, 1], model.inverse_transform(middle), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rows, steps", [((2, 3), 5), ((2, 2), 1)])
def test_interpolation_needs_pairs_and_two_ends(rows, steps):
    X = np.random.default_rng(0).random((6, 5), dtype=np.float32)
    model = Autoencoder([4], 2, epochs=1).fit(X)
    with pytest.raises(ValueError, match="as many of each|at least 2"):
        model.interpolate(X[:rows[0]], X[:rows[1]], steps)
