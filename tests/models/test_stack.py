"""Greedy pretraining and unrolling."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import RBM, Autoencoder, pretrain
from miniae.models import Stack
from miniae.training import Callback, TrainingDiverged


def error(x, y):
    return float(np.square(x - y).sum(axis=1).mean())


@pytest.mark.parametrize("method", ["rbm", "autoencoder", "denoising"])
def test_unrolling_reconstructs_what_the_stack_does(method, blobs, backend):
    stack = pretrain(blobs, [12, 10, 6, 3], method=method, epochs=3, batch_size=50)
    assert [len(h) for h in stack.histories] == [3, 3, 3]
    deep = stack.unroll(epochs=1, lr=1e-12).fit(blobs)  # a step too small to move anything
    np.testing.assert_allclose(deep.transform(blobs), stack.encode(blobs), atol=1e-5)
    np.testing.assert_allclose(deep.reconstruct(blobs), stack.reconstruct(blobs), atol=1e-5)


def test_layer_by_layer_the_deep_autoencoder_is_the_up_and_down_pass(blobs, backend):
    stack = pretrain(blobs, [12, 8, 4], epochs=2)
    deep = stack.unroll(epochs=1, lr=1e-12).fit(blobs)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    values = lambda layer: (layer.weight.numpy(), layer.bias.numpy())  # noqa: E731
    (w1, b1), (w2, b2) = (values(pair.up) for pair in stack.pairs)
    (v1, a1), (v2, a2) = (values(pair.down) for pair in stack.pairs)
    np.testing.assert_array_equal(v1, w1.T)
    np.testing.assert_array_equal(v2, w2.T)
    up = sigmoid(blobs @ w1 + b1)
    code = up @ w2 + b2  # linear
    down = sigmoid(code @ v2 + a2)
    np.testing.assert_allclose(deep.encoder_[0](blobs).numpy(), up, atol=1e-5)
    np.testing.assert_allclose(deep.encoder_(blobs).numpy(), code, atol=1e-5)
    np.testing.assert_allclose(deep.decoder_[0](code).numpy(), down, atol=1e-5)
    np.testing.assert_allclose(deep.reconstruct(blobs), sigmoid(down @ v1 + a1), atol=1e-5)


def test_fine_tuning_improves_and_copies(blobs):
    stack = pretrain(blobs, [12, 10, 3], epochs=10, batch_size=25)
    before = stack.reconstruct(blobs)
    deep = stack.unroll(epochs=40, lr=1e-2, batch_size=25).fit(blobs)
    assert error(deep.reconstruct(blobs), blobs) < 0.5 * error(before, blobs)
    np.testing.assert_array_equal(stack.reconstruct(blobs), before)


def test_tied_unrolling_shares_the_weights(blobs, backend):
    stack = pretrain(blobs, [12, 8, 3], epochs=2)
    free, tied = stack.unroll(epochs=1, lr=1e-12).fit(blobs), stack.unroll(tied=True, epochs=1, lr=1e-12).fit(blobs)
    np.testing.assert_allclose(tied.reconstruct(blobs), free.reconstruct(blobs), atol=1e-5)
    count = lambda m: sum(p.size for p in m.network_.parameters())  # noqa: E731
    assert count(free) - count(tied) == 12 * 8 + 8 * 3


def test_pretraining_helps_a_deep_sigmoid_network(blobs):
    """From small random weights the gradient vanishes through five sigmoid layers; from pretrained ones it does not."""
    sizes, steps = [12, 16, 16, 16, 3], {"epochs": 30, "lr": 1e-3, "batch_size": 25}
    deep = pretrain(blobs, sizes, epochs=20, batch_size=25).unroll(**steps).fit(blobs)
    raw = Autoencoder(sizes[1:-1], 3, activation="sigmoid", loss="bce", **steps).fit(blobs)
    assert error(deep.reconstruct(blobs), blobs) < 0.7 * error(raw.reconstruct(blobs), blobs)


def test_real_data_with_gaussian_visible_units(backend):
    x = np.random.default_rng(0).standard_normal((100, 6)).astype(np.float32)
    deep = pretrain(x, [6, 8, 2], visible_unit="gaussian", epochs=3).unroll(epochs=2).fit(x)
    assert deep.loss == "mse"
    assert deep.reconstruct(x).shape == (100, 6)


def test_other_activations_by_autoencoders(blobs):
    stack = pretrain(blobs, [12, 10, 8, 3], method="autoencoder", activation="relu", epochs=5)
    assert [pair.up.activation for pair in stack.pairs] == ["relu", "relu", "linear"]
    assert [pair.down.activation for pair in stack.pairs] == ["sigmoid", "relu", "relu"]
    deep = stack.unroll(epochs=1, lr=1e-12).fit(blobs)
    np.testing.assert_allclose(deep.reconstruct(blobs), stack.reconstruct(blobs), atol=1e-5)


def test_epochs_and_rates_for_each_layer_and_progress(blobs):
    titles, rates = [], []

    class Watch(Callback):
        def on_train_begin(self, trainer):
            rates.append(trainer.optimizer.lr)

    def callbacks(title):
        titles.append(title)
        return [Watch()]

    stack = pretrain(blobs, [12, 8, 3], epochs=[1, 3], lr=[0.05, 0.002], callbacks=callbacks)
    assert [len(h) for h in stack.histories] == [1, 3]
    assert titles == ["layer 1/2 (12-8)", "layer 2/2 (8-3)"]
    assert rates == [0.05, 0.002]


@pytest.mark.parametrize("settings, message", [
    ({"sizes": [12]}, "at least two"), ({"sizes": [5, 3]}, "made for \\(5,\\)"), ({"method": "magic"}, "rbm"),
    ({"epochs": [1, 2, 3]}, "each of the 2 layers"), ({"activation": "relu"}, "sigmoid units"),
    ({"sizes": [12, 3.9]}, "every size in sizes must be an integer"), ({"unit": "poisson"}, "bernoulli"),
    ({"visible_unit": "x"}, "bernoulli"),
])
def test_bad_settings(settings, message, blobs):
    with pytest.raises(ValueError, match=message):
        pretrain(blobs, **{"sizes": [12, 8, 3], **settings})


@pytest.mark.parametrize("tied", [False, True])
def test_unrolling_into_another_dtype(tied, blobs, backend):
    stack = pretrain(blobs, [12, 8, 3], epochs=1)
    deep = stack.unroll(tied=tied, dtype="float64", seed=3, epochs=0).fit(blobs)
    assert {p.dtype for p in deep.network_.parameters()} == {np.dtype("float64")} and deep.seed == 3
    np.testing.assert_allclose(deep.reconstruct(blobs), stack.reconstruct(blobs), atol=1e-5)


@pytest.mark.parametrize("method", ["rbm", "autoencoder"])
def test_a_learning_rate_of_0_is_not_the_default_one(method, blobs):
    def weight(**settings):
        return pretrain(blobs, [12, 3], method=method, **settings).pairs[0].up.weight.numpy()

    start = weight(epochs=0)
    np.testing.assert_array_equal(weight(epochs=2, lr=0.0), start)
    assert (weight(epochs=2) != start).any()


def test_interrupting_keeps_what_was_trained_and_a_stack_can_grow(blobs):
    class Interrupt(Callback):
        def on_epoch_end(self, trainer, logs):
            if trainer.epoch == 2:
                raise KeyboardInterrupt

    def callbacks(title):
        return [Interrupt()] if title.startswith("layer 2") else []

    stack = Stack()
    with pytest.raises(KeyboardInterrupt):
        pretrain(blobs, [12, 8, 6, 3], epochs=3, stack=stack, callbacks=callbacks)
    assert stack.sizes == [12, 8, 6] and [len(h) for h in stack.histories] == [3, 2]
    assert stack.unroll(epochs=1).fit(blobs).transform(blobs).shape == (150, 6)
    whole = pretrain(blobs, [12, 8, 6, 3], epochs=3)
    grown = pretrain(blobs, [12, 8, 6, 3], epochs=3, stack=pretrain(blobs, [12, 8], epochs=3, code_unit="bernoulli"))
    np.testing.assert_array_equal(grown.reconstruct(blobs), whole.reconstruct(blobs))
    with pytest.raises(ValueError, match="linear units, and RBMs above it would need values in"):
        pretrain(blobs, [12, 8, 3], stack=pretrain(blobs, [12, 8], epochs=1))
    failed = Stack()
    with pytest.raises(TrainingDiverged):
        pretrain(blobs, [12, 8, 3], method="autoencoder", epochs=2, lr=[0.1, 1e30], stack=failed)
    assert failed.sizes == [12, 8]  # what failed is not kept: the same call may try again
    with pytest.raises(ValueError, match="the stack has layers of 12-8-6, which sizes do not begin with: 12-9-6"):
        pretrain(blobs, [12, 9, 6], stack=stack)
    with pytest.raises(ValueError, match=r"X has samples of shape \(12,\)"):
        pretrain(blobs, [13, 9, 6])


@pytest.mark.parametrize("units", [
    {"unit": "rectified"}, {"code_unit": "rectified"}, {"visible_unit": "gaussian_learned"},
    {"visible_unit": "gaussian_learned", "unit": "rectified"},
])
def test_unrolling_other_kinds_of_units(units, blobs, backend):
    stack = pretrain(blobs, [12, 10, 6, 3], epochs=3, batch_size=25, **units)
    names = [{"rectified": "relu", "bernoulli": "sigmoid"}.get(units.get(u, d), "linear")
             for u, d in (("visible_unit", "bernoulli"), ("unit", "bernoulli"), ("unit", "bernoulli"),
                          ("code_unit", "gaussian"))]
    assert [pair.up.activation for pair in stack.pairs] == names[1:]
    assert [pair.down.activation for pair in stack.pairs] == names[:-1]
    deep = stack.unroll(epochs=1, lr=1e-12).fit(blobs)
    np.testing.assert_allclose(deep.transform(blobs), stack.encode(blobs), atol=1e-5)
    np.testing.assert_allclose(deep.reconstruct(blobs), stack.reconstruct(blobs), atol=1e-5)


def test_the_way_up_divides_by_the_learned_variances(backend):
    x = np.random.default_rng(0).standard_normal((200, 5)).astype(np.float32) * [0.5, 1, 2, 1, 1]
    settings = {"epochs": 20, "lr": 0.02, "batch_size": 20}
    stack = pretrain(x, [5, 4], visible_unit="gaussian_learned", code_unit="bernoulli", **settings)
    rbm = RBM(4, visible_units="gaussian_learned", **settings).fit(x)
    variance = np.exp(rbm.machine_.log_variance.numpy())
    assert variance.max() > 2 * variance.min()
    np.testing.assert_allclose(stack.encode(x), rbm.transform(x), atol=1e-6)
    np.testing.assert_allclose(stack.reconstruct(x), rbm.reconstruct(x), atol=1e-5)
    up, down = (layer.weight.numpy() for layer in (stack.pairs[0].up, stack.pairs[0].down))
    np.testing.assert_allclose(up, down.T / variance[:, None], rtol=1e-5)


def test_softmax_groups_stack_but_do_not_unroll(backend):
    x = np.eye(3, dtype=np.float32)[np.random.default_rng(0).integers(0, 3, (60, 4))].reshape(60, 12)
    stack = pretrain(x, [12, 8, 3], visible_unit="softmax:3", epochs=2)
    first = RBM(8, visible_units="softmax:3", epochs=2).fit(x)
    h = first.transform(x)
    np.testing.assert_allclose(pretrain(x, [12, 8], visible_unit="softmax:3", code_unit="bernoulli",
                                        epochs=2).reconstruct(x), first.inverse_transform(h), atol=1e-6)
    np.testing.assert_allclose(stack.reconstruct(x).reshape(60, 4, 3).sum(axis=2), 1, atol=1e-5)
    with pytest.raises(ValueError, match="softmax groups, for which networks have no activation"):
        stack.unroll()
    with pytest.raises(ValueError, match="softmax:3 units are for method 'rbm'"):
        pretrain(x, [12, 3], visible_unit="softmax:3", method="autoencoder")
    with pytest.raises(ValueError, match="13 visible units can't be divided"):
        pretrain(np.zeros((4, 13)), [13, 3], visible_unit="softmax:3")


def test_further_settings_reach_every_layer(blobs):
    """As if each RBM had been made with them; what no layer knows is a `TypeError`."""
    stack = pretrain(blobs, [12, 5, 3], epochs=2, k=3, persistent=True, code_unit="bernoulli")
    first = RBM(5, epochs=2, k=3, persistent=True).fit(blobs)
    np.testing.assert_array_equal(stack.pairs[0].up.weight.numpy(), first.machine_.weight.numpy())
    with pytest.raises(TypeError, match="depth"):
        pretrain(blobs, [12, 5], depth=3)


@pytest.mark.parametrize("settings, message", [
    ({"code_unit": "gaussian_learned"}, "for the visible side"), ({"code_unit": "softmax:2"}, "come in groups of 2"),
    ({"method": "contractive", "strength": -1.0}, "strength must be"), ({"epochs": [1, -1]}, "epochs"),
    ({"unit": "gaussian", "visible_unit": "gaussian"}, "both sides"), ({"lr": [0.1, -1.0]}, "lr must be"),
    ({"method": "autoencoder", "lr": [0.1, "x"]}, "lr must be"), ({"sizes": 8}, "list of layer sizes"),
    ({"method": "denoising", "scaling": "minmax"}, "scale the data before pretraining"),
])
def test_bad_settings_of_any_layer_are_found_before_the_first_is_trained(settings, message, blobs):
    def callbacks(title):
        raise AssertionError(f"{title} was trained")

    with pytest.raises(ValueError, match=message):
        pretrain(blobs, **{"sizes": [12, 8, 3], "callbacks": callbacks, **settings})
