"""AutoRec and the multinomial variational autoencoder."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import miniae
from miniae import AutoRec, MultinomialVAE, nn
from miniae.autodiff import Tensor
from miniae.data import Ratings, StorageError
from miniae.data.storage import load_tensors, save_tensors
from miniae.models import Biases
from miniae.models.likelihoods import Multinomial
from miniae.nn import Build


def tastes(users=60, items=40, share=0.4, seed=0):
    """Ratings by users of two tastes of items of two kinds, 1 to 5: those of one's own kind are rated higher."""
    rng = np.random.default_rng(seed)
    mean = 3 + 1.2 * np.where((np.arange(users) % 2)[:, None] == np.arange(items) % 2, 1, -1)
    ratings = np.clip(np.round(mean + 0.5 * rng.standard_normal((users, items))), 1, 5)
    u, i = np.nonzero(rng.random((users, items)) < share)
    return u * 10, i * 10 + 1, ratings[u, i]


def parts(data, share=0.2, seed=1):
    """Ratings to learn from, and ratings held out."""
    out = np.random.default_rng(seed).random(len(data[0])) < share
    return [tuple(a[mask] for a in data) for mask in (~out, out)]


def rmse(model, data):
    return float(np.sqrt(np.mean((model.predict(data[0], data[1]) - data[2]) ** 2)))


AUTOREC = {"code": 8, "epochs": 60, "lr": 1e-2, "batch_size": 8, "l2": 1e-2}
VAE = {"hidden": [16], "code": 4, "epochs": 30, "lr": 1e-2, "batch_size": 10, "warmup": 5}


# ---------------------------------------------------------------- AutoRec


def test_biases_solve_their_least_squares():
    """The minimum of a quadratic, found by turns, is the one of the normal equations."""
    matrix = Ratings.of(tastes(12, 9)).matrix
    users, items, n = matrix.row_numbers, matrix.columns, len(matrix)
    design = np.zeros((len(users), n + matrix.shape[1]))
    design[np.arange(len(users)), users] = design[np.arange(len(users)), n + items] = 1
    rest = matrix.values - matrix.values.mean()
    expected = np.linalg.solve(design.T @ design + 3.0 * np.eye(design.shape[1]), design.T @ rest)
    biases = Biases.of(matrix, ridge=3.0, sweeps=500)
    np.testing.assert_allclose(np.concatenate([biases.users, biases.items]), expected, atol=1e-6)
    assert biases(np.array([-1]), np.array([-1])) == pytest.approx(matrix.values.mean())


@pytest.mark.parametrize("by", ["item", "user"])
def test_autorec_learns_tastes_that_biases_do_not_know(by, backend):
    train, held_out = parts(tastes())
    model = AutoRec(by=by, **AUTOREC).fit(train, validation=held_out)
    biases = AutoRec(by=by, **{**AUTOREC, "epochs": 0}).fit(train)
    # without the biases' residuals the output is that of untrained weights, near 0
    assert rmse(model, held_out) < 0.75 < 1.1 < rmse(biases, held_out)
    assert model.history_[-1]["val_reconstruction"] < model.history_[0]["val_reconstruction"]
    items, scores = model.recommend(10, k=5)  # user number 1, of the odd taste
    assert all(item // 10 % 2 == 1 for item in items) and (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(model.predict(10, items), scores, rtol=1e-5)


@pytest.mark.parametrize("kind", [AutoRec, MultinomialVAE])
def test_nothing_that_is_kept_hides_a_method(kind):
    train, held_out = parts(tastes())
    model = kind(code=4, epochs=1).fit(train, validation=held_out)
    model.recommend(10)
    assert not [name for name in vars(model) if callable(getattr(kind, name, None))]


@pytest.mark.parametrize("by", ["item", "user"])
def test_the_defaults_learn_tastes(by):
    train, held_out = parts(tastes(200, 160))
    model = AutoRec(by=by, epochs=60).fit(train)
    assert (model.code, model.code_activation, model.l2, model.input_dropout) == (200, "relu", 0.12, 0.5)
    assert rmse(model, held_out) < 0.8 < 1.1 < rmse(AutoRec(by=by, epochs=0).fit(train), held_out)


def test_a_share_of_the_ratings_is_hidden_in_training_only():
    data = tastes(9, 7)
    model = AutoRec(code=3, epochs=1, input_dropout=0.9).fit(data)
    encoder, x = model.encoder_, Tensor(np.ones((400, 9), np.float32))
    np.testing.assert_array_equal(model.predict(*data[:2]), model.predict(*data[:2]))
    encoder.train()
    hidden = encoder.layers[0](x).numpy() == 0
    assert hidden.mean() == pytest.approx(0.9, abs=0.03)
    with pytest.raises(ValueError, match="dropout rate"):
        AutoRec(code=3, input_dropout=1.0).fit(data)


@pytest.mark.parametrize("by", ["item", "user"])
def test_scores_of_lists_are_the_ratings_that_are_predicted(by):
    """Within those there were, though their order is by what the network says."""
    model = AutoRec(by=by, **{**AUTOREC, "epochs": 20, "l2": 0.0}).fit(tastes(share=0.2))
    everything = model.recommend(k=40)
    for user, (items, scores) in zip(model.ratings_.users, everything, strict=True):
        np.testing.assert_allclose(scores, model.predict(user, items), rtol=1e-5)
    assert max(scores.max() for _, scores in everything) == 5


def test_a_new_user_without_choices_gets_a_list():
    """Whose ratings are all below the threshold: the items that they saw are left out, and others are not."""
    model = MultinomialVAE(threshold=4, **{**VAE, "epochs": 3}).fit(tastes())
    (items, scores), = model.recommend(ratings=([7], [11], [1]), k=5)
    assert len(items) == 5 and 11 not in items and np.isfinite(scores).all()


@pytest.mark.parametrize("by", ["item", "user"])
def test_the_loss_counts_known_ratings_only(by):
    data = tastes(9, 7)
    model = AutoRec(by=by, code=3, epochs=2).fit(data)
    rows = model._scaled(data)[:]
    rows = rows.astype(np.float32)
    y = model.network_(Tensor(rows)).numpy()
    expected = sum((y[n, i] - rows[n, i]) ** 2 for n, i in zip(*np.nonzero(~np.isnan(rows)), strict=True)) / len(rows)
    assert float(model.network_.loss_terms(Tensor(rows))["reconstruction"].numpy()) == pytest.approx(expected, rel=1e-5)


def test_unknown_users_and_items_get_what_the_biases_say():
    data = tastes(9, 7)
    model = AutoRec(code=3, epochs=2).fit(data)
    b = model.biases_
    assert model.predict(999, 1) == pytest.approx(np.clip(b.mean + b.items[0], 1, 5))
    assert model.predict(0, 999) == pytest.approx(np.clip(b.mean + b.users[0], 1, 5))
    assert model.predict(999, 999) == pytest.approx(b.mean)
    assert model.predict([[0], [10]], [[1, 11]]).shape == (2, 2)


def test_by_users_new_ones_may_come(backend):
    train, _ = parts(tastes())
    model = AutoRec(by="user", **AUTOREC).fit(train)
    known = train[0] == 20
    again = model.recommend(ratings=(train[0][known] + 5, train[1][known], train[2][known]), k=4)
    items, scores = model.recommend(20, k=4)
    np.testing.assert_array_equal(again[0][0], items)  # by the same ratings, the same items
    np.testing.assert_allclose(again[0][1], scores, rtol=1e-3)
    with pytest.raises(ValueError, match="by items knows the users"):
        AutoRec(code=2, epochs=1).fit(train).recommend(ratings=([5], [1], [1]))


@pytest.mark.parametrize("kind, settings", [(AutoRec, AUTOREC), (AutoRec, {**AUTOREC, "by": "user"}),
                                            (MultinomialVAE, {**VAE, "threshold": 4.0})])
def test_what_was_seen_is_left_out(kind, settings):
    data = tastes(share=0.8)
    model = kind(**{**settings, "epochs": 2}).fit(data)
    for user, (items, _) in zip(model.ratings_.users, model.recommend(k=40), strict=True):
        seen = set(data[1][data[0] == user].tolist())
        assert not seen & set(items.tolist()) and len(items) == 40 - len(seen)
    items, _ = model.recommend(0, k=40, exclude_seen=False)
    assert len(set(items.tolist())) == 40


# ---------------------------------------------------------------- multinomial


def test_the_multinomial_likelihood(backend):
    """log p = sum_i x_i log softmax(y)_i, compared with a loop."""
    rng = np.random.default_rng(0)
    y, x = rng.standard_normal((3, 5)), rng.integers(0, 3, (3, 5)).astype(float)
    shares = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    expected = [sum(x[n, i] * np.log(shares[n, i]) for i in range(5)) for n in range(3)]
    likelihood = Multinomial()
    likelihood.build((5,), Build(dtype="float64", backend=backend))
    np.testing.assert_allclose(likelihood(Tensor(y)).numpy(), shares)
    np.testing.assert_allclose(float(likelihood.loss(Tensor(y), Tensor(x)).numpy()), -np.mean(expected))
    density = likelihood.log_density(backend.asarray(y[:, None], "float64"), backend.asarray(x[:, None], "float64"))
    np.testing.assert_allclose(backend.to_host(density)[:, 0], expected)


def test_the_multinomial_one_recommends_to_ones_taste(backend):
    data = tastes()
    model = MultinomialVAE(threshold=4, **VAE).fit(data)
    right = [item // 10 % 2 == user // 10 % 2
             for user, (items, _) in zip(model.ratings_.users, model.recommend(k=5), strict=True) for item in items]
    assert np.mean(right) > 0.95
    new = model.recommend(ratings=([7, 7], [11, 31], [5, 4]), k=5)  # a new user, of the odd taste
    assert len(new) == 1 and np.mean([item // 10 % 2 == 1 for item in new[0][0]]) >= 0.8
    probabilities = model.predict(0, model.ratings_.items)
    assert probabilities.sum() == pytest.approx(1, rel=1e-5)
    with pytest.raises(ValueError, match="knows nothing of it"):
        model.predict(7, 11)


def test_counts_and_choices():
    with pytest.raises(ValueError, match="counts can't be negative"):
        MultinomialVAE(**VAE).fit(([1, 2], [1, 2], [-1, 1]))
    with pytest.raises(ValueError, match="no rating reaches the threshold of 9"):
        MultinomialVAE(threshold=9, **VAE).fit(([1, 2], [1, 2], [1, 1]))
    model = MultinomialVAE(threshold=4, **{**VAE, "epochs": 1}).fit(([1, 1, 2], [1, 2, 2], [5, 3, 4]))
    np.testing.assert_array_equal(model._choices[:], [[1, 0], [0, 1]])
    assert model._choices is model._choices
    np.testing.assert_array_equal(model.set_params(threshold=3)._choices[:], [[1, 1], [0, 1]])
    model.set_params(threshold=4)
    assert model.unit_kl(([1, 1], [1, 2], [5, 3])).shape == (4,)


# ---------------------------------------------------------------- both

BOTH = [(AutoRec, {**AUTOREC, "epochs": 3}), (AutoRec, {**AUTOREC, "epochs": 3, "by": "user", "hidden": [6]}),
        (AutoRec, {**AUTOREC, "epochs": 2, "corruption": [nn.Dropout(0.5)], "tied": True}),
        (MultinomialVAE, {**VAE, "epochs": 3, "threshold": 4.0})]


@pytest.mark.parametrize("kind, settings", BOTH)
@pytest.mark.parametrize("strings", [False, True])
def test_a_file_gives_the_same_answers(kind, settings, strings, tmp_path, backend):
    users, items, values = tastes()
    data = (users.astype(str), items.astype(str), values) if strings else (users, items, values)
    model = kind(**settings).fit(data)
    model.save(tmp_path / "m.safetensors")
    again = miniae.load(tmp_path / "m.safetensors")
    assert type(again) is kind and repr(again) == repr(model)
    for (a, s), (b, t) in zip(model.recommend(k=6), again.recommend(k=6), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(s, t)
    np.testing.assert_array_equal(again.predict(data[0], data[1]), model.predict(data[0], data[1]))
    assert again.fit(data).history_[0]["loss"] == model.history_[0]["loss"]


@pytest.mark.parametrize("kind, settings", BOTH)
def test_the_same_seed_gives_the_same_model(kind, settings):
    data = tastes()
    first, second = (kind(**settings).fit(data) for _ in range(2))
    np.testing.assert_array_equal(first.predict(data[0], data[1]), second.predict(data[0], data[1]))


@pytest.mark.parametrize("kind, settings", BOTH)
def test_steps_are_replayed_to_the_same_weights(kind, settings, backend):
    data, settings = tastes(80), {**settings, "epochs": 6}

    def trained(replay):
        class Switch(miniae.training.Callback):
            def on_train_begin(self, trainer):
                trainer.replay = replay

        model = kind(**settings).fit(data, callbacks=[Switch()])
        return model._trainer.replays.replayed, model.network_.state_dict()

    (some, replayed), (none, computed) = trained(True), trained(False)
    assert some > 5 and none == 0
    for name, a in computed.items():
        np.testing.assert_array_equal(replayed[name], a)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    AutoRec(code=2, epochs=1).fit(tastes(9, 7)).save(path)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(8, len(good), 40):
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        with pytest.raises(StorageError):
            miniae.load(path)
    path.write_bytes(good[:-3])
    with pytest.raises(StorageError):
        miniae.load(path)
    path.write_bytes(good)
    tensors, header = load_tensors(path)
    for name, wrong in (("own.starts", tensors["own.starts"][:-1]), ("own.columns", tensors["own.columns"] + 100),
                        ("own.user_biases", tensors["own.user_biases"][1:])):
        save_tensors(path, {**tensors, name: wrong}, header)  # of the right checksum
        with pytest.raises(StorageError, match="damaged"):
            miniae.load(path)


@pytest.mark.parametrize("settings, message", [
    ({"by": "film"}, "by must be"), ({"ridge": -1}, "ridge"), ({"loss": "bce"}, "leave both out"),
    ({"output_activation": "sigmoid"}, "leave both out"), ({"scaling": "minmax"}, "takes ratings as they are"),
    ({"code": 0}, "code must be"),
])
def test_settings_that_can_not_be(settings, message):
    with pytest.raises(ValueError, match=message):
        AutoRec(**{"epochs": 1, **settings}).fit(tastes(9, 7))


def test_questions_that_can_not_be_answered():
    data = tastes(9, 7)
    with pytest.raises(ValueError, match="not trained yet"):
        AutoRec().recommend(0)
    with pytest.raises(ValueError, match="not trained yet"):
        MultinomialVAE().predict(0, 1)
    model = AutoRec(code=2, epochs=1).fit(data)
    for call, error, message in (
        (lambda: model.recommend(999), ValueError, "there is no user 999"),
        (lambda: model.recommend("x"), TypeError, "expected integers"),
        (lambda: model.recommend(0, k=0), ValueError, "k must be"),
        (lambda: model.recommend(0, ratings=data), ValueError, "not both"),
        (lambda: model.predict([0, 1], [1, 2, 3]), ValueError, "broadcast"),
        (lambda: AutoRec(epochs=1, code=2).fit(data, validation=([999], [1], [1])), ValueError, "no ratings"),
    ):
        with pytest.raises(error, match=message):
            call()


BIG = """
import resource, sys
import numpy as np
from miniae import AutoRec, MultinomialVAE
n, users, items, epochs = (int(a) for a in sys.argv[2:])
rng = np.random.default_rng(0)
data = (rng.integers(0, users, n), rng.integers(0, items, n), rng.integers(1, 6, n).astype(np.float32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if sys.argv[1] == "multinomial":
    model = MultinomialVAE(hidden=[4], code=2, batch_size=100, epochs=epochs).fit(data)
else:
    model = AutoRec(code=4, by=sys.argv[1], batch_size=100, epochs=epochs).fit(data)
assert len(model.ratings_) > 0.99 * n and len(model.history_) == epochs
model.predict(data[0][:50], data[1][:50])
if sys.argv[1] != "item":
    model.recommend(data[0][:20])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("kind, n, users, items, epochs, limit", [
    *[(kind, 1_000_000, 100_000, 20_000, 0, 200) for kind in ("user", "item", "multinomial")],  # dense: 8,000 MB
    ("user", 20_000, 10_000, 8_000, 1, 100),  # dense: 320 MB, and a batch 3 MB
])
def test_memory_is_that_of_the_ratings_and_a_batch(kind, n, users, items, epochs, limit):
    """In megabytes, what a process takes more than before to fit, predict and recommend."""
    done = subprocess.run([sys.executable, "-c", BIG, kind, *map(str, (n, users, items, epochs))],
                          capture_output=True, text=True, check=True)
    assert float(done.stdout) < limit
