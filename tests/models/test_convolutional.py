"""Convolutional autoencoders: shapes, gradients, files, the classic compressor against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import gradcheck, nn, optim
from miniae.autodiff import Tensor
from miniae.backend import get
from miniae.models import (
    AdversarialAutoencoder,
    Autoencoder,
    AutoencoderNetwork,
    ContractiveAutoencoder,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    KSparseAutoencoder,
    WassersteinAutoencoder,
    compressor,
    convolutional,
    load,
)
from miniae.nn import Activation, BatchNorm, Build, Conv2D, Dense, Dropout

RNG = np.random.default_rng(0)
BOTH = pytest.mark.parametrize("downsampling", ["stride", "pooling"])


def pictures(n, *shape):
    """Images of one bright rectangle each, float32 in [0, 1]."""
    x = np.zeros((n, *shape), np.float32)
    for image in x:
        (top, left), (height, width) = RNG.integers(0, np.array(shape[-2:]), 2), RNG.integers(1, 6, 2)
        image[..., top:top + height, left:left + width] = RNG.uniform(0.4, 1.0)
    return x


@BOTH
@pytest.mark.parametrize("shape, code, features", [
    ((1, 28, 28), None, (5, 7, 7)), ((3, 27, 31), None, (5, 7, 8)), ((2, 5, 5), None, (5, 2, 2)),
    ((1, 1, 1), None, (5, 1, 1)), ((3, 27, 31), 6, (6,)), ((1, 1, 3), 2, (2,)),
])
def test_images_of_any_size_come_back_in_their_size(shape, code, features, downsampling):
    encoder, decoder = convolutional(shape, (4, 5), code, downsampling=downsampling)
    assert encoder.build(shape) == features
    assert decoder.build(features) == shape
    for n in (0, 1, 3):
        x = RNG.standard_normal((n, *shape)).astype(np.float32)
        assert encoder(x).shape == (n, *features) and decoder(encoder(x)).shape == x.shape


def test_the_compressor_of_digits():
    encoder, decoder = compressor((28, 28))
    assert encoder.build((1, 28, 28)) == (8, 4, 4) and decoder.build((8, 4, 4)) == (1, 28, 28)
    filters = [[layer.filters for layer in part if isinstance(layer, Conv2D)] for part in (encoder, decoder)]
    assert filters == [[16, 8, 8], [8, 8, 16, 1]]


def test_the_compressor_is_that_of_pytorch(backend):
    torch = pytest.importorskip("torch", reason="compared with PyTorch")
    encoder, decoder = compressor((1, 28, 28))
    network = AutoencoderNetwork(encoder, decoder)
    network.build((1, 28, 28), Build("", 3, "float64"))
    x = RNG.random((4, 1, 28, 28))
    loss = network.loss_terms(Tensor(x))["reconstruction"]
    loss.backward()
    weights = [torch.tensor(p.numpy(), requires_grad=True) for p in network.parameters()]
    tf, h = torch.nn.functional, torch.tensor(x)
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    for w, b in pairs[:3]:
        h = tf.max_pool2d(torch.relu(tf.conv2d(h, w, b, padding=1)), 2, ceil_mode=True)
    assert h.shape == (4, 8, 4, 4)
    np.testing.assert_allclose(network.encode(Tensor(x)).numpy(), h.detach().numpy(), atol=1e-12)
    for (w, b), size in zip(pairs[3:6], (7, 14, 28), strict=True):
        h = torch.relu(tf.conv2d(h, w, b, padding=1)).repeat_interleave(2, 2).repeat_interleave(2, 3)
        h = h[:, :, :size, :size]
    h = tf.conv2d(h, *pairs[6], padding=1)
    theirs = (h - torch.tensor(x)).square().sum() / 4
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-12)
    for mine, their in zip(network.parameters(), weights, strict=True):
        np.testing.assert_allclose(get(backend).to_host(mine.grad), their.grad.numpy(), rtol=1e-9, atol=1e-12)


@BOTH
@pytest.mark.parametrize("code", [None, 3])
def test_the_gradient_of_the_whole_network(downsampling, code):
    network = AutoencoderNetwork(*convolutional((2, 3, 5), (2, 2), code, downsampling=downsampling, activation="tanh"))
    network.build((2, 3, 5), Build("", 1, "float64"))
    x = Tensor(RNG.standard_normal((1, 2, 3, 5)))
    assert gradcheck(network, [x], network.parameters()).error < 1e-6


@BOTH
@pytest.mark.parametrize("code", [None, 4])
def test_it_learns_and_its_file_gives_the_same(downsampling, code, tmp_path, backend):
    X = pictures(96, 1, 11, 9)
    model = ConvolutionalAutoencoder((4, 8), code, downsampling=downsampling, epochs=8, lr=1e-2, batch_size=16,
                                     backend=backend).fit(X)
    losses = [row["loss"] for row in model.history_]
    assert losses[-1] < 0.7 * losses[0]
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors", backend=backend)
    assert isinstance(again, ConvolutionalAutoencoder) and again.get_params()["filters"] == [4, 8]
    np.testing.assert_array_equal(again.reconstruct(X), model.reconstruct(X))
    np.testing.assert_array_equal(again.transform(X[:1]), model.transform(X[:1]))
    assert again.set_params(epochs=1).fit(X).history_[0]["loss"] == losses[0]


def test_numpy_and_the_strict_backend_agree():
    X = pictures(40, 3, 7, 6)
    models = [ConvolutionalAutoencoder((3, 5), 4, downsampling="pooling", epochs=2, backend=name).fit(X)
              for name in ("numpy", "strict")]
    for name, a in models[0].network_.state_dict().items():
        np.testing.assert_allclose(a, models[1].network_.state_dict()[name], rtol=1e-4, atol=1e-6)


@BOTH
def test_its_step_can_be_recorded(downsampling):
    x = RNG.random((3, 1, 7, 5)).astype(np.float32)

    def make(be):
        network = AutoencoderNetwork(*convolutional((1, 7, 5), (3, 4), 2, downsampling=downsampling))
        network.build((1, 7, 5), Build("", 0, "float32", be))
        network.train()
        optimizer, batch = optim.Adam(network.parameters(), lr=1e-2), Tensor(x, backend=be)

        def step():
            optimizer.zero_grad()
            network.loss_terms(batch)["reconstruction"].backward()
            optimizer.step()
        return network, step

    eager, step = make(get("numpy"))
    for _ in range(5):
        step()
    recorded, step = make(get("strict"))
    replay = get("strict").capture(step, warmup=2)
    for _ in range(3):
        replay()
    for mine, theirs in zip(recorded.parameters(), eager.parameters(), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("sample, image", [((63,), (9, 7)), ((9, 7), None), ((63,), (1, 9, 7)), ((189,), (3, 9, 7)),
                                           ((21, 9), (3, 9, 7))])
def test_samples_keep_their_shape(sample, image, tmp_path):
    X = RNG.random((20, *sample), dtype=np.float32)
    model = ConvolutionalAutoencoder((3, 4), image_shape=image, epochs=1).fit(X)
    assert model.transform(X).shape == (20, 4, 3, 2)
    assert model.reconstruct(X).shape == X.shape == model.inverse_transform(model.transform(X)).shape
    as_images = X.reshape(20, *(image if image and len(image) == 3 else (1, 9, 7)))
    np.testing.assert_array_equal(model.encoder_[1:](as_images).numpy(), model.transform(X))
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").reconstruct(X), model.reconstruct(X))


def test_options_go_to_its_hidden_layers():
    X = pictures(20, 1, 8, 8)
    model = ConvolutionalAutoencoder((3, 4), 2, batch_norm=True, dropout=0.1, max_norm=2.0, l2=1e-4, epochs=1).fit(X)
    hidden = [BatchNorm, Activation, Dropout]
    assert [type(layer) for layer in model.encoder_] == [Conv2D, *hidden, Conv2D, *hidden, nn.Flatten, Dense]
    assert [type(layer) for layer in model.decoder_[:5]] == [Dense, *hidden, nn.Reshape]
    assert {"reconstruction", "l2"} <= model.history_[0].keys()


def test_other_variants_take_the_layers(tmp_path):
    X = pictures(30, 1, 9, 8)
    encoder, decoder = convolutional((1, 9, 8), (3, 4), code=2)
    model = Autoencoder(encoder=encoder, decoder=decoder, corruption=[nn.Masking(0.3)], loss="bce", epochs=1).fit(X)
    assert model.transform(X).shape == (30, 2)
    encoder, decoder = convolutional((9, 8), (3,), sample_shape=(72,))
    flat = Autoencoder(encoder=encoder, decoder=decoder, epochs=1).fit(X.reshape(30, 72))
    assert flat.reconstruct(X.reshape(30, 72)).shape == (30, 72)
    flat.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").transform(X.reshape(30, 72)),
                                  flat.transform(X.reshape(30, 72)))


def test_without_its_last_layer_a_dense_encoder_gives_the_features():
    encoder, decoder = convolutional((1, 9, 8), (3, 4), code=2)
    assert encoder[:-1].build((1, 9, 8)) == (4 * 3 * 2,)
    assert decoder.build((7,)) == (1, 9, 8)


@pytest.mark.parametrize("features, shape", [(16, (4, 4)), (20, (1, 20))])
def test_flat_samples_are_a_square_or_a_line(features, shape):
    x = RNG.random((9, features), dtype=np.float32)
    guessed, told = (ConvolutionalAutoencoder((2,), 3, image_shape=s, epochs=1).fit(x) for s in (None, shape))
    np.testing.assert_array_equal(guessed.reconstruct(x), told.reconstruct(x))


@pytest.mark.parametrize("settings, X, says", [
    ({}, np.zeros((4, 1, 1, 4, 5)), "say which these are with image_shape="),
    ({"image_shape": (5, 5)}, np.zeros((4, 20)), "has 25 values"),
    ({"image_shape": (20,)}, np.zeros((4, 20)), "the shape of an image is"),
    ({"image_shape": (4, 0)}, np.zeros((4, 20)), "every size of an image"),
    ({"filters": ()}, np.zeros((4, 5, 5)), "one or more levels of filters"),
    ({"filters": (3, 0)}, np.zeros((4, 5, 5)), "every size in filters"),
    ({"filters": 3}, np.zeros((4, 5, 5)), "filters is a list"),
    ({"downsampling": "none"}, np.zeros((4, 5, 5)), "stride or pooling"),
    ({"code": 0}, np.zeros((4, 5, 5)), "code must be an integer of at least 1"),
    ({"tied": True}, np.zeros((4, 5, 5)), "leave them out"),
    ({"hidden": (5,)}, np.zeros((4, 5, 5)), "leave them out"),
])
def test_what_can_not_be_is_refused(settings, X, says):
    with pytest.raises(ValueError, match=says):
        ConvolutionalAutoencoder(**settings).fit(X)


def test_crop():
    x = Tensor(RNG.standard_normal((2, 3, 5, 4)), dtype="float64")
    np.testing.assert_array_equal(nn.Crop(4, 2)(x).numpy(), x.numpy()[:, :, :4, :2])
    assert nn.Crop(5, 4)(x).numpy().shape == (2, 3, 5, 4)
    for size in ((6, 4), (5, 5)):
        with pytest.raises(ValueError, match="crop to at most their size"):
            nn.Crop(*size)(x)
    with pytest.raises(ValueError, match="at least 1 row"):
        nn.Crop(0, 3)


def test_pooling_at_the_edge_sees_what_there_is(backend):
    x = -np.arange(1.0, 16).reshape(1, 1, 3, 5)
    pooled = nn.MaxPool2D(2, padding="same")(Tensor(x)).numpy()
    np.testing.assert_array_equal(pooled[0, 0], [[-1, -3, -5], [-11, -13, -15]])
    with pytest.raises(ValueError, match="expected same or valid"):
        nn.MaxPool2D(2, padding="half")(Tensor(x))


@pytest.mark.parametrize("kind", [ContractiveAutoencoder, DenoisingAutoencoder, KSparseAutoencoder,
                                  WassersteinAutoencoder, AdversarialAutoencoder])
def test_other_variants_take_them(kind, backend):
    encoder, decoder = convolutional((6, 6), (3,), 4)
    settings = {"tied": False} if "tied" in kind._signature() else {}
    X = RNG.random((12, 1, 6, 6), dtype=np.float32)
    model = kind(encoder=encoder, decoder=decoder, epochs=2, batch_size=6, backend=backend, **settings).fit(X)
    assert model.transform(X).shape == (12, 4) and model.reconstruct(X).shape == X.shape
    first, last = (model.history_[i]["reconstruction"] for i in (0, -1))
    assert np.isfinite([first, last]).all()
