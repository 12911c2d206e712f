"""What `Insight` sees, and that training does not notice it."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.models import (
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    ConvolutionalAutoencoder,
    VariationalAutoencoder,
)
from miniae.training import Insight

SAMPLES = np.random.default_rng(0).random((300, 16), dtype=np.float32)


@pytest.mark.parametrize("make", [
    lambda **s: Autoencoder([6], 2, dropout=0.3, batch_norm=True, l2=1e-3, **s),
    lambda **s: Autoencoder([6], 2, tied=True, activation="gelu", **s),
    lambda **s: VariationalAutoencoder([6], 2, beta=0.1, free_bits=0.1, **s),
    lambda **s: AdversarialAutoencoder([6], 2, **s),
    lambda **s: ContractiveAutoencoder(4, **s),
    lambda **s: ConvolutionalAutoencoder([3], 2, image_shape=(4, 4), **s),
], ids=["plain", "tied", "variational", "adversarial", "contractive", "convolutional"])
@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
def test_training_goes_the_same_way(make, backend):
    settings = {"epochs": 3, "batch_size": 10, "seed": 4, "backend": backend}
    alone = make(**settings).fit(SAMPLES)
    insight = Insight([SAMPLES[:50]], shown=3)
    watched = make(**settings).fit(SAMPLES, callbacks=[insight])
    assert insight.epochs == [0, 1, 2, 3]
    assert watched._trainer.replays.replayed == alone._trainer.replays.replayed > 0
    for name, a in alone.network_.state_dict().items():
        np.testing.assert_array_equal(watched.network_.state_dict()[name], a, err_msg=name)
    for name, generator in alone.network_.generators().items():
        assert watched.network_.generators()[name].step == generator.step
    assert [r["loss"] for r in watched.history_] == [r["loss"] for r in alone.history_]
    np.testing.assert_allclose(insight.reconstructions[-1], alone.reconstruct(SAMPLES[:3]), atol=1e-6)


def test_values_and_gradients_are_the_mathematics(backend):
    """One sigmoid layer and one linear: y = sigmoid(x W1 + b1), z = y W2 + b2, l = |z - x|^2 for each sample."""
    insight = Insight([SAMPLES[:20]])
    model = Autoencoder([], 5, code_activation="sigmoid", epochs=1, backend=backend, dtype="float64")
    model.fit(SAMPLES, callbacks=[insight])
    w = {name: p.numpy() for name, p in model.network_.named_parameters()}
    x = SAMPLES[:20].astype(np.float64)
    y = 1 / (1 + np.exp(-(x @ w["encoder.0.weight"] + w["encoder.0.bias"])))
    z = y @ w["decoder.0.weight"] + w["decoder.0.bias"]
    gz = 2 * (z - x)
    gy = gz @ w["decoder.0.weight"].T
    first, last = insight.layers["encoder.0"], insight.layers["decoder.0"]
    assert list(insight.layers) == ["encoder.0", "decoder.0"] and first.shape == (5,) and first.kind == "Dense"
    for look, values, gradients in ((first, y, gy), (last, z, gz)):
        np.testing.assert_allclose(np.sort(look.values[-1]), np.sort(values.reshape(-1)), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(np.sort(look.gradients[-1]), np.sort(gradients.reshape(-1)), rtol=1e-5, atol=1e-7)
        assert look.value_rms[-1] == pytest.approx(np.sqrt((values ** 2).mean()))
        assert look.gradient_rms[-1] == pytest.approx(np.sqrt((gradients ** 2).mean()))
    assert insight.losses[-1] == pytest.approx(((z - x) ** 2).sum(1).mean())
    assert insight.losses[-1] < insight.losses[0]
