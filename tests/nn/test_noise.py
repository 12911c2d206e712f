"""Layers that disturb their input while training."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.nn import Build, Dropout, GaussianNoise, Masking, SaltAndPepper, Sequential

RNG = np.random.default_rng(0)
LAYERS = [lambda: Dropout(0.3), lambda: GaussianNoise(0.3), lambda: Masking(0.3), lambda: SaltAndPepper(0.3)]


@pytest.mark.parametrize("make", LAYERS)
def test_gradcheck_with_the_noise_held(make, backend):
    layer = make()
    x = Tensor(RNG.standard_normal((4, 5)))
    layer(x)
    layer.train()

    def held(x):
        for generator in layer.generators().values():
            generator.step = 0
        return layer(x)

    assert gradcheck(held, [x])


@pytest.mark.parametrize("make", LAYERS)
def test_only_in_training(make, backend):
    layer = make()
    x = RNG.standard_normal((4, 5))
    np.testing.assert_array_equal(layer(x).numpy(), x)
    assert (layer.train()(x).numpy() != x).any()
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x)


@pytest.mark.parametrize("make", LAYERS)
def test_new_noise_every_call_repeats_by_seed_and_differs_by_layer(make, backend):
    x = np.ones((4, 50), "float32")

    def calls(seed):
        model = Sequential([make(), make()], input_shape=(50,), seed=seed).train()
        return [model(x).numpy() for _ in range(3)]

    first, again, other = calls(1), calls(1), calls(2)
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).any() and (first[0] != other[0]).any()
    model = Sequential([make(), make()], input_shape=(50,)).train()
    assert (model[0](x).numpy() != model[1](x).numpy()).any()


@pytest.mark.parametrize("make", LAYERS)
def test_generators_resume(make, backend):
    x = np.ones((4, 50), "float32")
    model = Sequential([make()], input_shape=(50,)).train()
    outputs = [model(x).numpy() for _ in range(4)]
    resumed = Sequential([make()], input_shape=(50,)).train()
    (generator,) = resumed.generators().values()
    generator.step = 2
    np.testing.assert_array_equal([resumed(x).numpy() for _ in range(2)], outputs[2:])


def test_dropout_keeps_the_mean(backend):
    layer = Dropout(0.3)
    layer.build((10_000,), Build(seed=1))
    y = layer.train()(np.ones((10, 10_000), "float32")).numpy()
    assert y.dtype == np.float32
    np.testing.assert_allclose(np.unique(y), [0.0, 1 / 0.7], rtol=1e-6)
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.006)  # four standard deviations


def test_gaussian_noise_has_its_spread(backend):
    layer = GaussianNoise(0.5)
    y = layer.train()(np.zeros((10, 10_000), "float32")).numpy()
    assert y.dtype == np.float32
    assert abs(y.mean()) < 4 * 0.5 / np.sqrt(y.size)
    assert y.std() == pytest.approx(0.5, rel=0.01)


def test_masking_leaves_the_rest_as_it_is(backend):
    x = RNG.uniform(1.0, 2.0, (10, 10_000)).astype("float32")
    y = Masking(0.25).train()(x).numpy()
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y[y != 0], x[y != 0])
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.006)  # four standard deviations
    np.testing.assert_array_equal(Masking(1.0).train()(x).numpy(), np.zeros_like(x))


def test_salt_and_pepper_come_half_and_half(backend):
    x = RNG.uniform(0.1, 0.9, (10, 10_000)).astype("float32")
    y = SaltAndPepper(0.3, low=-1.0, high=2.0).train()(x).numpy()
    assert y.dtype == np.float32
    for value in (-1.0, 2.0):
        assert (y == value).mean() == pytest.approx(0.15, abs=0.005)
    kept = (y != -1.0) & (y != 2.0)
    np.testing.assert_array_equal(y[kept], x[kept])


def test_no_noise_at_zero(backend):
    x = np.ones((2, 3))
    for layer in (Dropout(0.0), GaussianNoise(0.0), Masking(0.0), SaltAndPepper(0.0)):
        np.testing.assert_array_equal(layer.train()(x).numpy(), x)


def test_refuses_what_makes_no_sense():
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="dropout rate"):
            Dropout(rate)
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="masking rate"):
            Masking(rate)
        with pytest.raises(ValueError, match="salt and pepper"):
            SaltAndPepper(rate)
    for std in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="standard deviation"):
            GaussianNoise(std)


def test_outside_training_draws_are_the_same_at_every_call_and_leave_the_stream_alone(backend):
    layer = GaussianNoise(0.1)
    layer.build((3,))

    def drawn():
        return backend.to_host(layer.draws(layer._random).normal((2, 3), "float32"))

    np.testing.assert_array_equal(drawn(), drawn())
    assert layer._random.step == 0
    layer.train()
    first = drawn()
    assert (first != drawn()).any() and layer._random.step == 2
    layer.eval()
    np.testing.assert_array_equal(drawn(), first)
