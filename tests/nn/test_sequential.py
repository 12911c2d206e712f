"""Sequential: building, the door, sharing of layers, state, configuration."""

from __future__ import annotations

import json

import numpy as np
import pytest

from miniae import Tensor
from miniae.nn import (
    Activation,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Crop,
    Crop1D,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    Layer,
    LayerNorm,
    Masking,
    MaxPool1D,
    MaxPool2D,
    Reshape,
    SaltAndPepper,
    Sequential,
    TiedDense,
    UnitNorm,
    UpSample1D,
    UpSample2D,
)
from miniae.nn.layer import LAYERS, layer_config, layer_from_config

RNG = np.random.default_rng(0)


def autoencoder(**kwargs):
    return Sequential([Dense(5, "tanh"), Dropout(0.2), Dense(3), Sequential([Dense(5, "relu"), Dense(8, "sigmoid")])],
                      **kwargs)


def test_builds_at_once_or_at_the_first_call(backend):
    x = RNG.random((4, 8), dtype="float32")
    at_once, later = autoencoder(input_shape=(8,)), autoencoder()
    assert later.parameters() == []
    np.testing.assert_array_equal(at_once(x).numpy(), later(x).numpy())
    assert later.input_shape == (8,)
    assert at_once(x).shape == (4, 8)
    assert autoencoder(input_shape=8).input_shape == (8,)


def test_parameters_by_name_and_where_they_live(backend):
    model = autoencoder(input_shape=(8,), dtype="float64")
    assert [name for name, _ in model.named_parameters()] == [
        "0.weight", "0.bias", "2.weight", "2.bias", "3.0.weight", "3.0.bias", "3.1.weight", "3.1.bias"]
    for name, p in model.named_parameters():
        assert p.name == name and p.backend is backend and p.dtype == np.float64 and p.requires_grad


def test_seed_decides_everything(backend):
    def weights(**kwargs):
        return list(autoencoder(input_shape=(8,), **kwargs).state_dict().values())

    for a, b, c in zip(weights(seed=1), weights(seed=1), weights(seed=2), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not a.any() or (a != c).any()
    w64, w32 = weights(seed=1, dtype="float64"), weights(seed=1)
    np.testing.assert_array_equal(w64[0].astype("float32"), w32[0])


def test_takes_numpy_and_tensors_in_the_model_dtype(backend):
    model = autoencoder(input_shape=(8,))
    x = RNG.random((4, 8))
    y = model(x)
    assert y.dtype == np.float32 and y.backend is backend
    np.testing.assert_array_equal(y.numpy(), model(Tensor(x, dtype="float32")).numpy())
    assert model(np.zeros((0, 8))).shape == (0, 8)
    with pytest.raises(TypeError, match="float64"):
        model(Tensor(x))


@pytest.mark.parametrize("shape", [(4, 7), (4, 8, 1), (8,), ()])
def test_the_door_checks_the_shape(backend, shape):
    model = autoencoder(input_shape=(8,))
    with pytest.raises(ValueError) as caught:
        model(np.zeros(shape))
    message = str(caught.value)
    assert message.startswith(f"Sequential expected an input of shape (N, 8), got {shape}") and "\n" not in message
    assert ("x[None]" in message) == (shape == (8,))


def test_a_layer_alone_checks_too(backend):
    layer = Dense(3)
    layer(np.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"Dense expected an input of shape \(N, 5\), got \(2, 4\)"):
        layer(np.zeros((2, 4)))


def test_indexing_and_slicing_share_the_layers(backend):
    model = autoencoder(input_shape=(8,))
    encoder, decoder = model[:3], model[3:]
    assert len(model) == 4 and list(model) == model.layers and model[-1] is model.layers[3]
    assert isinstance(encoder, Sequential) and encoder[0] is model[0] and encoder.input_shape == (8,)
    x = RNG.random((4, 8), dtype="float32")
    np.testing.assert_array_equal(decoder(encoder(x)).numpy(), model(x).numpy())
    assert {id(p) for p in encoder.parameters() + decoder.parameters()} == {id(p) for p in model.parameters()}
    assert len(model[4:]) == 0


def test_add_builds_onto_the_end(backend):
    model = Sequential([Dense(5)], input_shape=(8,))
    first = model[0].weight
    model.add(Dense(2))
    assert model[0].weight is first
    assert model[1].weight.shape == (5, 2) and model[1].weight.name == "1.weight"
    assert model.output_shape((8,)) == (2,)
    model.train()
    model.add(Dropout(0.5))
    assert model[2].training


def test_add_refuses(backend):
    layer = Dense(5)
    model = Sequential([layer], input_shape=(8,))
    with pytest.raises(ValueError, match="in this model already"):
        model.add(layer)
    with pytest.raises(TypeError, match="made of layers.*Activation"):
        model.add(np.tanh)
    with pytest.raises(ValueError, match=r"built for inputs \(N, 8\) and would get \(N, 5\)"):
        model.add(Sequential([Dense(2)], input_shape=(8,)))


def test_trained_parts_keep_their_parameters(backend):
    encoder, decoder = Sequential([Dense(3)], input_shape=(8,)), Sequential([Dense(8)], input_shape=(3,))
    weight = encoder[0].weight
    model = Sequential([encoder, decoder], input_shape=(8,))
    assert model[0][0].weight is weight
    assert [name for name, _ in model.named_parameters()] == ["0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias"]


def test_no_layers_is_the_identity(backend):
    x = RNG.random((2, 3), dtype="float32")
    np.testing.assert_array_equal(Sequential()(x).numpy(), x)


@pytest.mark.parametrize("arguments, message", [({"seed": -1}, "seed"), ({"seed": 0.5}, "seed"),
                                                ({"dtype": "int32"}, "float32 or float64"),
                                                ({"backend": "abacus"}, "unknown backend")])
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sequential([Dense(1)], input_shape=(2,), **arguments)


def test_train_and_eval_reach_every_layer(backend):
    model = autoencoder(input_shape=(8,))
    assert not any(layer.training for _, layer in model.named_layers())
    assert model.train() is model
    assert all(layer.training for _, layer in model.named_layers())
    model.eval()
    assert not any(layer.training for _, layer in model.named_layers())


# -------------------------------------------------------------------------------------------------------------- state


def test_state_round_trip(backend):
    model, other = autoencoder(input_shape=(8,), seed=1), autoencoder(input_shape=(8,), seed=2)
    x = RNG.random((4, 8), dtype="float32")
    state = model.state_dict()
    assert all(isinstance(v, np.ndarray) for v in state.values())
    other.load_state_dict(state)
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())
    state["0.weight"][:] = 0
    assert model.state_dict()["0.weight"].any(), "a state is a copy"


def test_state_that_does_not_fit_changes_nothing(backend):
    model = autoencoder(input_shape=(8,))
    before = model.state_dict()
    good = {name: value + 1 for name, value in before.items()}
    for damage, message in (
        (lambda s: s.pop("2.bias"), "missing.*2.bias"),
        (lambda s: s.update(extra=np.zeros(1)), "unknown.*extra"),
        (lambda s: s.update({"3.1.bias": np.zeros(7)}), r"3.1.bias has shape \(7,\), the model's \(8,\)"),
    ):
        state = dict(good)
        damage(state)
        with pytest.raises(ValueError, match=message):
            model.load_state_dict(state)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# ------------------------------------------------------------------------------------------------------ configuration


def every_layer():
    tied = Dense(6, "tanh", init="he_normal")
    return Sequential([
        Reshape((1, 4, 4)), Conv2D(2, (3, 2), (2, 1), "same", "relu"), BatchNorm(0.2), MaxPool2D(2, 1), UpSample2D(2),
        Crop(2, 6), AvgPool2D((1, 3), (1, 3)), ConvTranspose2D(4, 2, 2, "valid", "elu", "orthogonal"), LayerNorm(1e-4),
        Reshape((4, 16)), Conv1D(3, 4, 2, 1, "tanh", "he_normal"), MaxPool1D(2, 1, "same"), AvgPool1D(2, 1),
        UpSample1D(3),
        ConvTranspose1D(2, 2, 2, dilation=1), Crop1D(5),
        Flatten(), UnitNorm(), Dense(16), Activation("leaky_relu"), GaussianNoise(0.2), tied, Dropout(0.3),
        TiedDense(tied, "sigmoid"), Sequential([Dense(3, None), Dropout(0.1), Dense(16)]),
        Masking(0.1), SaltAndPepper(0.1, -1.0, 2.0),
        Sequential([GaussianNoise(0.1), Dense(4)], input_shape=(16,), seed=3, dtype="float64"),
    ], input_shape=(16,), seed=7, dtype="float64")


def test_configuration_round_trip(backend):
    model = every_layer()
    assert {type(layer).__name__ for _, layer in model.named_layers()} == {
        name for name, kind in LAYERS.items() if kind.__module__.startswith("miniae.nn.")}
    config = json.loads(json.dumps(layer_config(model)))
    again = layer_from_config(config)
    assert layer_config(again) == config
    assert again.place.dtype == "float64" and again.place.seed == 7
    x = RNG.random((3, 16))
    model.train(), again.train()
    np.testing.assert_array_equal(model(x).numpy(), again(x).numpy())  # the same seed: the same weights and noise
    again.load_state_dict(model.state_dict())
    assert again[-5].source is again[-7], "the tie is restored"


def test_parts_restored_one_by_one_find_each_other(backend):
    class Pair(Layer):
        def children(self):
            return {"encoder": encoder, "decoder": decoder}

    encoder = Sequential([Dense(3)], input_shape=(8,))
    decoder = Sequential([TiedDense(encoder[0])], input_shape=(3,))
    paths = {id(layer): path for path, layer in Pair().named_layers()}
    configs = {"encoder": layer_config(encoder, paths), "decoder": layer_config(decoder, paths)}
    assert configs["decoder"]["layers"][0]["source"] == {"layer": "encoder.0"}
    layers = {}
    restored = {name: layer_from_config(config, layers, name) for name, config in configs.items()}
    assert restored["decoder"][0].source is restored["encoder"][0]
    with pytest.raises(ValueError, match="not part of this model"):
        layer_config(decoder)
    with pytest.raises(ValueError, match="'encoder.0', which is not there"):
        layer_from_config(configs["decoder"])


def test_functions_are_saved_by_name(backend):
    from miniae import functions as F
    from miniae.nn.init import zeros

    assert layer_config(Dense(3, F.tanh, zeros)) == {"type": "Dense", "units": 3, "activation": "tanh", "init": "zeros"}
    with pytest.raises(ValueError, match="can't save the function 'mine'"):
        def mine(x):
            return x
        layer_config(Dense(3, mine))


@pytest.mark.parametrize("config, message", [
    ({"type": "Nonsense"}, "unknown layer 'Nonsense': expected one of .*Dense"),
    ({"units": 3}, "unknown layer None"),
    ([], "unknown layer"),
    ({"type": "Dense"}, "can't make a Dense from"),
    ({"type": "Dense", "units": 3, "color": "red"}, "can't make a Dense from"),
    ({"type": "Dense", "units": "many"}, "can't make a Dense from"),
    ({"type": "TiedDense", "source": {"layer": "5"}}, "'5', which is not there"),
])
def test_a_bad_configuration_is_one_line(config, message):
    with pytest.raises(ValueError, match=message) as caught:
        layer_from_config(config)
    assert "\n" not in str(caught.value)
