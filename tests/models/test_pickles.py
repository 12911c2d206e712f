"""Models from pickles go on training as those that were pickled."""

import copy
import pickle

import numpy as np
import pytest
from models.copies import by_joblib, by_pickle

from miniae.models import (
    AdversarialAutoencoder,
    Autoencoder,
    Classifier,
    VariationalAutoencoder,
    VectorQuantisedAutoencoder,
)
from miniae.nn import Conv2D, Flatten, Reshape, Sequential
from miniae.optim import Adam

SETTINGS = {"hidden": [6], "epochs": 2, "batch_size": 16}
MODELS = {
    "plain": Autoencoder(code=3, **SETTINGS),
    "tied": Autoencoder(code=3, tied=True, batch_norm=True, **SETTINGS),
    "variational": VariationalAutoencoder(code=3, **SETTINGS),
    "adversarial": AdversarialAutoencoder(code=3, **SETTINGS),
    "quantised": VectorQuantisedAutoencoder(dim=4, encoder=Sequential([Reshape((1, 2, 4)), Conv2D(4, 1)]),
                                            decoder=Sequential([Conv2D(1, 1), Flatten()]), epochs=2, batch_size=16),
    "classifier": Classifier(**SETTINGS),
}
X = np.random.default_rng(0).random((40, 8), dtype=np.float32)
y = np.arange(40) % 2


def weights(model):
    return {name: a.copy() for name, a in model.network_.state_dict().items()}


@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")  # of two epochs
@pytest.mark.parametrize("copied", [by_pickle, by_joblib])
@pytest.mark.parametrize("name", MODELS)
def test_partial_fit_goes_on_alike(name, copied):
    model = copy.deepcopy(MODELS[name]).fit(X, y)
    other = copied(copied(model))
    before = weights(other)
    for trained in (model, other):
        for _ in range(2):
            trained.partial_fit(X, y)
    after, expected = weights(other), weights(model)
    for key, value in expected.items():
        np.testing.assert_array_equal(after[key], value, err_msg=key)
    assert any((before[key] != after[key]).any() for key in after)


def test_parts_of_one_pack_share_its_buffers():
    """An optimizer of a whole network, and one of its encoder."""
    model = copy.deepcopy(MODELS["plain"]).fit(X)
    whole = Adam(model.network_.parameters())
    for both in ((whole, Adam(model.encoder_.parameters())), (Adam(model.encoder_.parameters()), whole)):
        for optimizer in pickle.loads(pickle.dumps(both)):
            pack = optimizer.pack
            assert pack.holds_all()
            for p, s in zip(pack.parameters, pack.slices, strict=True):
                assert np.shares_memory(p._data, pack.data[s]) and np.shares_memory(p._home, pack.grad[s])
                assert np.shares_memory(pack.data, pack.home.data)


def test_a_copy_keeps_its_own_parameters():
    model = copy.deepcopy(MODELS["plain"]).fit(X)
    other, before = copy.deepcopy(model), weights(model)
    other.partial_fit(X)
    assert all((weights(model)[key] == before[key]).all() for key in before)
    assert any((weights(other)[key] != before[key]).any() for key in before)
