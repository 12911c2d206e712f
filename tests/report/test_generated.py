"""Pictures of generated images: they show what they say, and say what can't be shown."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from miniae.models import (
    AdversarialAutoencoder,
    Autoencoder,
    ConditionalVariationalAutoencoder,
    VariationalAutoencoder,
    WassersteinAutoencoder,
)
from miniae.report import generated, interpolations, manifold, sample_grid, traversal

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
X = np.random.default_rng(0).random((30, 16), dtype=np.float32)


@pytest.fixture
def drawn(monkeypatch):
    """What was given to the drawing of a mosaic, and the picture drawn all the same."""
    calls, draw = [], generated._mosaic
    monkeypatch.setattr(generated, "_mosaic", lambda path, *rest: calls.append(rest) or draw(path, *rest))
    return calls


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 1000


def test_samples(tmp_path):
    colour = np.random.default_rng(0).random((7, 3, 5, 4))
    for images, shape in ((X, (4, 4)), (X[:1], (4, 4)), (colour, None), (colour * 9 - 3, None)):
        assert is_picture(sample_grid(tmp_path / "s.png", images, shape, title="samples"))
    first = sample_grid(tmp_path / "a.png", X, (4, 4), columns=10).read_bytes()
    assert sample_grid(tmp_path / "b.png", X, (4, 4), columns=10).read_bytes() == first
    assert sample_grid(tmp_path / "c.png", 1 - X, (4, 4), columns=10).read_bytes() != first


def test_the_plane_of_codes(tmp_path, drawn):
    """Quantiles of the prior, the second number rising upwards."""
    model = VariationalAutoencoder([6], 2, epochs=1).fit(X)
    assert is_picture(manifold(tmp_path / "m.png", model, (4, 4), steps=4, title="plane"))
    images, _, columns, _, _, _, across, down = drawn[0]
    values = [NormalDist().inv_cdf(p) for p in (0.125, 0.375, 0.625, 0.875)]
    np.testing.assert_allclose(across, values)
    np.testing.assert_allclose(down, values[::-1])
    assert columns == 4
    np.testing.assert_allclose(images[1], model.inverse_transform([[values[1], values[3]]])[0], atol=1e-6)
    np.testing.assert_allclose(images[4], model.inverse_transform([[values[0], values[2]]])[0], atol=1e-6)


def test_traversals_and_interpolations(tmp_path, drawn):
    model = VariationalAutoencoder([6], 3, epochs=1).fit(X)
    assert is_picture(traversal(tmp_path / "t.png", model, X[0], [2, 0], (4, 4), steps=5))
    np.testing.assert_array_equal(drawn[0][0], model.traverse(X[:1], [2, 0], steps=5)[0].reshape(10, 16))
    assert drawn[0][-1] == [2, 0]
    assert is_picture(traversal(tmp_path / "t.png", model, X[0], image_shape=(4, 4)))
    assert is_picture(interpolations(tmp_path / "i.png", model, X[:2], X[2:4], (4, 4), steps=3))
    np.testing.assert_array_equal(drawn[-1][0][[0, 4, 5, 9]], X[[0, 2, 1, 3]])


def test_pictures_of_a_model_that_needs_labels(tmp_path, drawn):
    y = np.array(["a", "b"] * 15)
    model = ConditionalVariationalAutoencoder([6], 2, epochs=1).fit(X, y)
    assert is_picture(traversal(tmp_path / "t.png", model, X[0], image_shape=(4, 4), steps=5, label="a"))
    np.testing.assert_array_equal(drawn[-1][0], model.traverse(X[:1], steps=5, labels=["a"])[0].reshape(10, 16))
    assert is_picture(interpolations(tmp_path / "i.png", model, X[:2], X[2:4], (4, 4), steps=3, labels=["a", "b"]))
    np.testing.assert_allclose(drawn[-1][0][6:9], model.interpolate(X[1:2], X[3:4], 3, labels="b")[0], atol=1e-6)
    assert is_picture(manifold(tmp_path / "m.png", model, (4, 4), steps=3, label="b"))
    codes = np.array([NormalDist().inv_cdf(p) for p in (1 / 6, 5 / 6)])
    np.testing.assert_allclose(drawn[-1][0][0], model.inverse_transform(codes[None], ["b"])[0], atol=1e-6)
    for draw in (lambda: traversal(tmp_path / "n.png", model, X[0], image_shape=(4, 4)),
                 lambda: interpolations(tmp_path / "n.png", model, X[:2], X[2:4], (4, 4)),
                 lambda: manifold(tmp_path / "n.png", model, (4, 4))):
        with pytest.raises(ValueError, match="needs labels"):
            draw()


@pytest.mark.parametrize("kind", [Autoencoder, AdversarialAutoencoder, WassersteinAutoencoder])
def test_pictures_of_other_models(kind, tmp_path, drawn):
    model = kind([6], 2, epochs=1).fit(X)
    assert is_picture(traversal(tmp_path / "t.png", model, X[0], [1], (4, 4), span=(-1, 1), steps=3))
    code = model.transform(X[:1])
    code[0, 1] = -1
    np.testing.assert_allclose(drawn[-1][0][0], model.inverse_transform(code)[0], atol=1e-6)
    if kind is not Autoencoder:
        assert is_picture(manifold(tmp_path / "m.png", model, (4, 4), steps=3))
        model = kind([6], 2, prior="mixture", epochs=1).fit(X)
    with pytest.raises(ValueError, match="of a standard normal prior, this model has (no prior|the prior Gaussian)"):
        manifold(tmp_path / "n.png", model, (4, 4))


def test_what_cannot_be_drawn(tmp_path):
    model = VariationalAutoencoder([6], 3, epochs=1).fit(X)
    with pytest.raises(ValueError, match="a code of 2 numbers"):
        manifold(tmp_path / "m.png", model, (4, 4))
    with pytest.raises(ValueError, match="give image_shape"):
        sample_grid(tmp_path / "m.png", X)
    with pytest.raises(ValueError, match="has 15 values, the samples have 16"):
        traversal(tmp_path / "m.png", model, X[0], image_shape=(3, 5))
    with pytest.raises(ValueError, match="columns must be an integer"):
        sample_grid(tmp_path / "m.png", X, (4, 4), columns=0)
    assert not (tmp_path / "m.png").exists()
