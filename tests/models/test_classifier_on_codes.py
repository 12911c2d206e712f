"""Classifiers on the codes of trained autoencoders."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.data.scaling import MinMax, Scaler, scaling_name
from miniae.models import (
    VARIANTS,
    Autoencoder,
    AutoRec,
    ConditionalVariationalAutoencoder,
    ConvolutionalAutoencoder,
    VariationalAutoencoder,
    load,
)

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")  # they are hardly trained

RNG = np.random.default_rng(0)
Y = np.arange(64) % 2
X = (0.3 * RNG.random((64, 1, 6, 6)) + 0.6 * (Y[:, None, None, None] == (np.arange(6) > 2))).astype(np.float32)
KINDS = pytest.mark.parametrize("kind", [kind for kind, cls in VARIANTS.items() if not cls.needs_labels])


def trained(kind, **settings):
    """A small model of that kind, trained for a moment."""
    cls = VARIANTS[kind]
    size = {"filters": (4, 4)} if "filters" in cls._parameter_names() else {"hidden": (12,), "code": 4}
    return cls(**{**size, "epochs": 2, "batch_size": 16, "lr": 0.01, **settings}).fit(X)


@KINDS
def test_its_features_are_the_codes(kind, backend):
    model = trained(kind, backend=backend)
    classifier = model.classifier(head_epochs=1, epochs=0).fit(X, Y)
    features = classifier._through(classifier.encoder_, classifier._scaled(X))
    np.testing.assert_allclose(features, model.transform(X).reshape(64, -1), rtol=1e-5, atol=1e-6)
    assert classifier.network_.place.backend is model.network_.place.backend


@KINDS
def test_frozen_layers_stay_as_they_are_and_fine_tuned_ones_do_not(kind, tmp_path):
    model = trained(kind)
    codes, weights = model.transform(X), model.network_.state_dict()
    frozen = model.classifier(head_epochs=40, epochs=0, lr=0.05, batch_size=16)
    before = frozen.encoder.state_dict()
    frozen.fit(X, Y)
    after = frozen.encoder_.state_dict()
    assert after.keys() == before.keys() and all((after[name] == before[name]).all() for name in before)
    tuned = model.classifier(head_epochs=1, epochs=20, lr=0.01, batch_size=16).fit(X, Y)
    assert any((value != before[name]).any() for name, value in tuned.encoder_.state_dict().items())
    assert tuned.score(X, Y) == 1.0 and frozen.score(X, Y) > 0.8  # by chance 0.5
    np.testing.assert_array_equal(model.transform(X), codes)  # the model itself has not been touched
    assert all((value == weights[name]).all() for name, value in model.network_.state_dict().items())
    for classifier in (frozen, tuned):
        classifier.save(tmp_path / "c.safetensors")
        loaded = load(tmp_path / "c.safetensors")
        np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


@pytest.mark.parametrize("scaling", ["minmax", "standard"])
def test_the_scaling_is_the_models_own(scaling, tmp_path):
    wide = 100 + 50 * X.reshape(64, -1)
    model = Autoencoder([12], 4, scaling=scaling, epochs=3).fit(wide)
    few = wide[:6]  # whose ranges, means and deviations are others
    classifier = model.classifier(head_epochs=20, epochs=0).fit(few, Y[:6])
    np.testing.assert_array_equal(classifier.scaler_.offset, model.scaler_.offset)
    np.testing.assert_array_equal(classifier._through(classifier.encoder_, classifier._scaled(wide)),
                                  model.transform(wide))
    classifier.save(tmp_path / "c.safetensors")
    loaded = load(tmp_path / "c.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(wide), classifier.predict_proba(wide))
    assert isinstance(loaded.scaling, Scaler) and scaling_name(loaded.scaling) == scaling
    again = loaded.fit(few, Y[:6])  # from the same layers, whose scaling is not fitted anew
    np.testing.assert_array_equal(again.scaler_.offset, model.scaler_.offset)
    assert model.classifier(scaling=None, head_epochs=0, epochs=1).fit(few, Y[:6]).scaler_.state() == {}


def test_scalers_that_are_given():
    scaler = MinMax().fit(np.array([[0.0, 0.0], [4.0, 2.0]]))
    data = RNG.random((10, 2))
    model = Autoencoder([3], 1, scaling=scaler, epochs=1).fit(data)
    assert model.scaler_ is scaler and "MinMax(fitted to (2,))" in repr(model)
    with pytest.raises(ValueError, match="not fitted yet"):
        Autoencoder([3], 1, scaling=MinMax(), epochs=1).fit(data)
    with pytest.raises(ValueError, match=r"fitted to \(2,\)"):
        Autoencoder([3], 1, scaling=scaler, epochs=1).fit(RNG.random((10, 3)))

    class Own(MinMax):
        pass

    with pytest.raises(ValueError, match="Own has no name for a file"):
        scaling_name(Own())


def test_a_variational_encoder_gives_its_means():
    model = VariationalAutoencoder([12], 3, epochs=2).fit(X)
    encoder = model.classifier().encoder
    assert [type(layer).__name__ for layer in encoder] == ["Flatten", "Dense", "Flatten", "Dense"]
    np.testing.assert_array_equal(encoder[-1].weight.numpy(), model.network_.head.weight.numpy()[:, :3])


@pytest.mark.parametrize("code", [None, 5])
@pytest.mark.parametrize("flat", [False, True])
def test_convolutional_encoders(code, flat, tmp_path):
    data = X.reshape(64, -1) if flat else X
    shape = {"image_shape": (6, 6)} if flat else {}
    model = ConvolutionalAutoencoder((4, 4), code, epochs=2, batch_norm=True, **shape).fit(data)
    classifier = model.classifier(head_epochs=2, epochs=30, lr=0.01, batch_size=16).fit(data, Y)
    assert classifier.score(data, Y) == 1.0
    classifier.save(tmp_path / "c.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "c.safetensors").predict_proba(data), classifier.predict_proba(data))


def test_settings_and_what_cannot_be(tmp_path):
    model = Autoencoder([12], 4, epochs=1, dtype="float64", seed=3).fit(X)
    classifier = model.classifier(lr=0.5, seed=9)
    assert (classifier.dtype, classifier.seed, classifier.lr) == ("float64", 9, 0.5)
    model.save(tmp_path / "m.safetensors")
    fits = [m.classifier(epochs=2).fit(X, Y).predict_proba(X) for m in (model, model, load(tmp_path / "m.safetensors"))]
    np.testing.assert_array_equal(fits[0], fits[1])
    np.testing.assert_array_equal(fits[0], fits[2])
    with pytest.raises(ValueError, match="choose the model's dtype"):
        model.classifier(dtype="float32").fit(X, Y)
    with pytest.raises(AttributeError, match="not trained yet"):
        Autoencoder().classifier()
    with pytest.raises(ValueError, match="told the label of each sample"):
        ConditionalVariationalAutoencoder([4], 2, epochs=1).fit(X, Y).classifier()
    ratings = ([1, 1, 2, 2], [1, 2, 1, 2], [5.0, 1.0, 4.0, 2.0])
    with pytest.raises(ValueError, match="takes ratings"):
        AutoRec([], 2, epochs=1).fit(ratings).classifier()


def test_what_the_model_refuses_is_refused(tmp_path):
    X = np.random.default_rng(0).random((40, 6), dtype=np.float32)
    y, new = np.arange(40) % 2, (200 * X).astype(np.uint8)
    model = Autoencoder([8], 3, loss="bce", epochs=1).fit(X)
    classifier = model.classifier(head_epochs=1, epochs=0)
    with pytest.raises(ValueError, match=r"X ranges from 0 to 19\d.*values in \[0, 1\]"):
        classifier.fit(new, y)
    classifier.fit(X, y).save(tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        classifier.fit(X, y, validation=(new, y))
    for known in (classifier, load(tmp_path / "c.safetensors")):
        with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
            known.predict(new)
    for free in (Autoencoder([8], 3, epochs=1), Autoencoder([8], 3, loss="bce", scaling="minmax", epochs=1)):
        free.fit(X).classifier(head_epochs=1, epochs=0).fit(2 * X, y)
