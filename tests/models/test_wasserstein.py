"""Wasserstein autoencoders: their term of the loss, files, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae.autodiff import Tensor, gradcheck
from miniae.backend import get
from miniae.backend.philox import Generator
from miniae.models import Autoencoder, Gaussian, GaussianMixture, SwissRoll, WassersteinAutoencoder, kernel_scales, load
from miniae.models import WassersteinNetwork as Network
from miniae.nn import Build, Dense, Sequential
from miniae.training import Callback, Checkpoint

X = np.random.default_rng(0).random((53, 6))


def network(dtype="float64", backend=None, **settings):
    net = Network(Sequential([Dense(5, "tanh"), Dense(2)]), Sequential([Dense(5, "tanh"), Dense(6)]), **settings)
    net.build((6,), Build("", 3, dtype, backend))
    return net


def test_the_scales_are_those_of_the_paper():
    assert kernel_scales(Gaussian(), 8) == pytest.approx([16 * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)])
    assert kernel_scales(GaussianMixture(), 2)[3] == pytest.approx(2 * (4 + 0.25 + 0.15**2))
    assert kernel_scales(GaussianMixture(1, 100.0), 2)[3] == pytest.approx(2 * (0.25 + 0.15**2))  # wherever it lies


def test_the_term_is_the_discrepancy_of_codes_and_draws(backend):
    net = network(strength=7.0, prior="swiss_roll")
    net.train()
    terms = net.loss_terms(Tensor(X))
    drawn = get().to_host(SwissRoll().draw(53, 2, Generator(3, "prior"), None, "float64"))
    expected = 7.0 * F.mmd(net.encode(Tensor(X)), drawn, kernel_scales(SwissRoll(), 2)).item()
    assert terms["mmd"].item() == pytest.approx(expected, rel=1e-12) and list(terms) == ["reconstruction", "mmd"]
    assert net.loss_terms(Tensor(X))["mmd"].item() != terms["mmd"].item()  # other draws
    net.eval()
    assert net.loss_terms(Tensor(X))["mmd"].item() == net.loss_terms(Tensor(X))["mmd"].item()


def test_its_gradient(backend):
    net = network(strength=7.0)
    assert gradcheck(lambda *p: net.loss_terms(Tensor(X[:9]))["mmd"], net.encoder.parameters()).error < 1e-7


def test_a_recorded_step_replays(eager_and_replayed):
    eager, recorded = eager_and_replayed(lambda be: network("float32", be).train(), X[:20])
    for mine, theirs in zip(recorded.parameters(), eager.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize("prior, most", [("gaussian", 0.05), ("mixture", 0.06), ("swiss_roll", 0.06)])
def test_codes_follow_the_prior(prior, most, blobs):
    """Much closer than those of the same network without the term."""
    model = WassersteinAutoencoder([32], 2, prior=prior, strength=30, epochs=60, batch_size=50, lr=3e-3).fit(blobs)
    plain = WassersteinAutoencoder([32], 2, prior=prior, strength=0, epochs=60, batch_size=50, lr=3e-3).fit(blobs)
    z = model.network_.prior.draw(1000, 2, 5)
    near, far = (F.mmd(m.transform(blobs), z, model.network_.scales).item() for m in (model, plain))
    assert near < most and near < far / 5
    assert model.history_[-1]["reconstruction"] < 0.7 * model.history_[0]["reconstruction"]
    assert model.sample(5).shape == (5, 12)


def test_without_strength_it_is_the_plain_autoencoder(backend):
    plain = Autoencoder([5], 2, epochs=3).fit(X)
    model = WassersteinAutoencoder([5], 2, strength=0.0, epochs=3).fit(X)
    assert "mmd" not in model.history_[0]
    np.testing.assert_allclose(model.transform(X), plain.transform(X), rtol=1e-5, atol=1e-6)


def test_a_last_batch_of_one_has_no_term(backend):
    net = network().train()
    terms = net.loss_terms(Tensor(X[:1]))
    assert terms["mmd"].item() == 0 and not terms["mmd"].requires_grad
    model = WassersteinAutoencoder([5], 2, batch_size=26, epochs=2).fit(X)  # 53 = 26 + 26 + 1
    assert np.isfinite(model.history_[-1]["loss"])


def test_large_codes_are_no_trouble(backend):
    model = WassersteinAutoencoder([5], 2, epochs=2).fit(X * 1e5)
    assert np.isfinite(model.history_[-1]["mmd"])


def test_files_and_samples(tmp_path, backend):
    model = WassersteinAutoencoder([5], 2, prior=SwissRoll(turns=1), strength=3.0, epochs=2, batch_size=26).fit(X)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.prior == SwissRoll(turns=1) and again.strength == 3.0
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    np.testing.assert_array_equal(again.sample(4, seed=2), model.sample(4, seed=2))
    assert (model.sample(4, seed=2) != model.sample(4, seed=3)).all()
    assert again.fit(X).history_[0]["loss"] == model.history_[0]["loss"]


def test_a_resumed_run_is_the_unbroken_one(tmp_path, backend):
    class Cut(Callback):
        def on_epoch_end(self, trainer, logs):
            if trainer.epoch == 2:
                raise KeyboardInterrupt

    def made():
        return WassersteinAutoencoder([5], 2, epochs=4, batch_size=20)

    whole, resume = made().fit(X), Checkpoint(tmp_path / "run.safetensors", resume=True)
    with pytest.raises(KeyboardInterrupt):
        made().fit(X, callbacks=[resume, Cut()])
    resumed = made().fit(X, callbacks=[resume])
    np.testing.assert_array_equal(resumed.transform(X), whole.transform(X))
    assert [row["loss"] for row in resumed.history_] == [row["loss"] for row in whole.history_]


def test_bad_input():
    for strength in (-1, float("nan"), "much"):
        with pytest.raises(ValueError, match="strength must be a finite number"):
            WassersteinAutoencoder([5], 2, strength=strength).fit(X)
    with pytest.raises(ValueError, match="unknown prior"):
        WassersteinAutoencoder([5], 2, prior="flat").fit(X)
    with pytest.raises(ValueError, match="trained without"):
        WassersteinAutoencoder([5], 2, epochs=1).fit(X).sample(2, labels=[0, 1])
