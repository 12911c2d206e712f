"""RestoringAutoencoder."""

from __future__ import annotations

import numpy as np
import pytest

import miniae
from miniae.models import Autoencoder, RestoringAutoencoder

RNG = np.random.default_rng(0)
GOOD = np.repeat(RNG.normal(size=(400, 2)), 6, axis=1).astype(np.float32)
SPOILT = np.abs(GOOD) * 0.1 + GOOD + RNG.normal(size=GOOD.shape).astype(np.float32)


def test_learns_what_was_spoilt_and_loads_back(backend, tmp_path):
    model = RestoringAutoencoder([16], 4, epochs=30, lr=1e-2, patience=10, backend=backend, scaling="standard")
    model.fit(SPOILT[:300], GOOD[:300], validation=(SPOILT[300:], GOOD[300:]))
    restored = model.reconstruct(SPOILT[300:])
    assert np.square(restored - GOOD[300:]).mean() < 0.4 * np.square(SPOILT[300:] - GOOD[300:]).mean()
    assert model.history_[-1]["val_loss"] < model.history_[0]["val_loss"]
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(miniae.load(tmp_path / "m.safetensors", backend=backend).reconstruct(SPOILT[300:]),
                                  restored)


def test_good_samples_that_are_the_spoilt_ones_make_a_plain_autoencoder():
    settings = dict(hidden=[8], code=3, epochs=3)
    np.testing.assert_array_equal(RestoringAutoencoder(**settings).fit(SPOILT, SPOILT).reconstruct(SPOILT),
                                  Autoencoder(**settings).fit(SPOILT).reconstruct(SPOILT))


def test_refuses_what_is_no_pair():
    for arguments, message in (((SPOILT,), "learns from pairs"), ((SPOILT, GOOD[:9]), "9 samples for 400"),
                               ((SPOILT, GOOD[:, :5]), "5")):
        with pytest.raises(ValueError, match=message):
            RestoringAutoencoder([4], 2, epochs=1).fit(*arguments)
    with pytest.raises(ValueError, match=r"validation is a pair"):
        RestoringAutoencoder([4], 2, epochs=1).fit(SPOILT, GOOD, validation=SPOILT)
