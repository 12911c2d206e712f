"""Vector quantisation: nearest vectors, straight-through gradients, moving means, restarts, rates, files."""

from __future__ import annotations

import math

import numpy as np
import pytest

from miniae import gradcheck, optim
from miniae.autodiff import Tensor, jvp
from miniae.backend import get
from miniae.models import VectorQuantisedAutoencoder, VectorQuantiser, convolutional, load
from miniae.models.vector_quantised import VectorQuantisedNetwork
from miniae.nn import Build, Dense, Sequential

RNG = np.random.default_rng(0)
SHAPES = pytest.mark.parametrize("shape, dim, index_shape", [
    ((4, 3, 2), 4, (3, 2)), ((4, 3, 2), 2, (2, 3, 2)), ((6,), 3, (2,)), ((6,), 6, (1,)),
])


def quantiser(shape, dim, size=7, dtype="float64", backend=None, **settings):
    layer = VectorQuantiser(size, dim, **settings)
    layer.build(shape, Build("q", 1, dtype, backend))
    return layer


def spread(x, dim):
    """The vectors of x, one row each, as a double loop would find them."""
    grouped = x.reshape(len(x), x.shape[1] // dim, dim, -1)
    return np.array([grouped[n, g, :, p] for n in range(len(x)) for g in range(grouped.shape[1])
                     for p in range(grouped.shape[3])])


def blobs(n):
    """Images of 8x8, each of four flat quarters in one of four greys."""
    greys = np.array([0.0, 0.3, 0.7, 1.0], np.float32)
    return np.kron(greys[np.random.default_rng(3).integers(0, 4, (n, 1, 2, 2))], np.ones((4, 4), np.float32))


@SHAPES
def test_every_vector_becomes_the_nearest_one(shape, dim, index_shape, backend):
    layer, x = quantiser(shape, dim), RNG.standard_normal((5, *shape))
    rows, e = spread(x, dim), layer.codebook.numpy()
    nearest = np.square(rows[:, None] - e[None]).sum(2).argmin(1)
    indices = layer.indices(Tensor(x)).numpy()
    np.testing.assert_array_equal(indices.ravel(), nearest)
    assert indices.shape == (5, *index_shape) == (5, *layer.index_shape)
    y = layer(Tensor(x)).numpy()
    np.testing.assert_array_equal(spread(y, dim), e[nearest])
    np.testing.assert_array_equal(layer.vectors(layer.indices(Tensor(x))).numpy(), y)
    np.testing.assert_array_equal(layer(Tensor(y)).numpy(), y)
    assert layer(Tensor(x[:1])).shape == (1, *shape) and layer(Tensor(x[:0])).shape == (0, *shape)


def test_the_gradient_and_the_tangent_pass_straight_through(backend):
    layer, x = quantiser((4, 3, 2), 4).train(), Tensor(RNG.standard_normal((2, 4, 3, 2)), requires_grad=True)
    seed = RNG.standard_normal(x.shape)
    layer(x).backward(seed)
    np.testing.assert_array_equal(backend.to_host(x.grad), seed)
    layer.eval()
    _, tangent = jvp(layer, [x], [Tensor(seed)])
    np.testing.assert_array_equal(tangent.numpy(), seed)


def network(backend=None, dtype="float64", code=None, dim=3):
    encoder, decoder = convolutional((1, 5, 6), (2, 3), code, activation="tanh")
    made = VectorQuantisedNetwork(encoder, decoder, codebook=5, dim=dim, decay=0.9, restart=0.0)
    made.build((1, 5, 6), Build("", 2, dtype, backend))
    return made.train()


def test_losses_gradients_and_moving_means_are_those_of_pytorch(backend):
    """Two steps: the published recipe, written with PyTorch's detach, one-hot codes and a Laplace-smoothed mean."""
    torch = pytest.importorskip("torch", reason="compared with PyTorch")
    tf, ours = torch.nn.functional, network()
    weights = [torch.tensor(p.numpy(), requires_grad=True) for p in ours.parameters()]
    e, n, m = (torch.tensor(t.numpy()) for t in (ours.quantiser.codebook, ours.quantiser.counts, ours.quantiser.sums))
    w = list(zip(weights[::2], weights[1::2], strict=True))
    for _ in range(2):
        x = RNG.random((4, 1, 5, 6))
        t = torch.tensor(x)
        h = torch.tanh(tf.conv2d(tf.pad(t, (0, 1, 1, 1)), *w[0], stride=2))  # 6 wide: one column to the right
        h = tf.conv2d(tf.pad(h, (1, 1, 1, 1)), *w[1], stride=2)
        rows = h.permute(0, 2, 3, 1).reshape(-1, 3)
        chosen = tf.one_hot(torch.cdist(rows, e).argmin(1), 5).double()
        q = (chosen @ e).reshape(4, 2, 2, 3).permute(0, 3, 1, 2)
        commitment = 0.25 * (h - q.detach()).square().sum() / 4
        n = 0.9 * n + 0.1 * chosen.sum(0)
        m = 0.9 * m + 0.1 * (chosen.T @ rows).detach()
        e = m / ((n + 1e-5) / (n.sum() + 5e-5) * n.sum())[:, None]
        y = h + (q - h).detach()
        y = torch.tanh(tf.conv_transpose2d(y, *w[2], stride=2))[:, :, :3, :3]
        y = torch.tanh(tf.conv_transpose2d(y, *w[3], stride=2))[:, :, :5, :6]
        error = (tf.conv2d(y, *w[4], padding=1) - t).square().sum() / 4
        terms = ours.loss_terms(Tensor(x))
        assert terms["reconstruction"].item() == pytest.approx(error.item(), rel=1e-10)
        assert terms["commitment"].item() == pytest.approx(commitment.item(), rel=1e-10)
        for theirs, mine in ((e, "codebook"), (n, "counts"), (m, "sums")):
            np.testing.assert_allclose(getattr(ours.quantiser, mine).numpy(), theirs.numpy(), rtol=1e-9, atol=1e-12)
        for p in (*ours.parameters(), *weights):
            p.grad = None
        (terms["reconstruction"] + terms["commitment"]).backward()
        (error + commitment).backward()
        for mine, theirs in zip(ours.parameters(), weights, strict=True):
            np.testing.assert_allclose(backend.to_host(mine.grad), theirs.grad.numpy(), rtol=1e-8, atol=1e-11)


def test_the_gradient_where_there_is_one():
    """Of the decoder and of the commitment; at features that are in no doubt which vector is the nearest."""
    ours, x = network().eval(), Tensor(RNG.random((2, 1, 5, 6)))
    decoder = [p for name, p in ours.named_parameters() if name.startswith("decoder")]
    assert gradcheck(lambda *p: ours.loss_terms(x)["reconstruction"], decoder).error < 1e-7
    encoder = [p for name, p in ours.named_parameters() if name.startswith("encoder")]
    assert gradcheck(lambda *p: ours.loss_terms(x)["commitment"], encoder).error < 1e-7


def test_the_first_batch_makes_the_codebook_and_unused_vectors_start_again(backend):
    layer, x = quantiser((2,), 2, size=4, dtype="float32", decay=0.5).train(), RNG.standard_normal((50, 2)) + 8
    layer(Tensor(x, dtype="float32"))
    assert np.abs(layer.codebook.numpy() - 8).max() < 4  # and not near 0, where it began
    lost = layer.codebook.numpy()
    lost[2] = -100
    layer.codebook.assign(lost)
    layer.sums.assign(lost * layer.counts.numpy()[:, None])
    for _ in range(8):
        layer(Tensor(x, dtype="float32"))
    assert layer.codebook.numpy().min() > 0
    assert len(np.unique(layer.indices(Tensor(x, dtype="float32")).numpy())) == 4
    again = quantiser((2,), 2, size=4, dtype="float32", decay=0.5, restart=0.0).train()
    again.load_state_dict({"codebook": lost, "counts": np.full(4, 10.0), "sums": 10.0 * lost})
    again(Tensor(x, dtype="float32"))
    np.testing.assert_allclose(again.codebook.numpy()[2], -100, rtol=1e-4)


def test_without_restarts_what_is_not_chosen_stays(backend):
    layer = quantiser((2,), 2, size=6, restart=0.0).train()
    before, x = layer.codebook.numpy(), RNG.standard_normal((50, 2)) * 0.1 + 1
    chosen = np.unique(layer.indices(Tensor(x)).numpy())
    others = np.setdiff1d(np.arange(6), chosen)
    assert len(others) >= 3
    layer(Tensor(x))
    np.testing.assert_allclose(layer.codebook.numpy()[others], before[others], rtol=1e-4)
    assert (layer.codebook.numpy()[chosen] != before[chosen]).all()


def test_without_training_the_codebook_stays():
    layer = quantiser((2,), 2)
    before = layer.state_dict()
    layer(Tensor(RNG.standard_normal((9, 2))))
    for name, a in layer.state_dict().items():
        np.testing.assert_array_equal(a, before[name])
    layer.train()(Tensor(np.zeros((0, 2))))
    np.testing.assert_array_equal(layer.codebook.numpy(), before["codebook"])


@pytest.mark.parametrize("code, dim, index_shape", [(None, 3, (2, 2)), (12, 2, (6,))])
def test_it_learns_and_its_file_gives_the_same(code, dim, index_shape, tmp_path, backend):
    X = blobs(128)
    model = VectorQuantisedAutoencoder((8, 8), code, codebook=16, dim=dim, epochs=15, lr=1e-2, batch_size=16,
                                       decay=0.9, backend=backend).fit(X)
    assert {"reconstruction", "commitment"} <= model.history_[0].keys()
    assert model.history_[-1]["reconstruction"] < 0.35 * np.square(X - X.mean(axis=0)).sum() / len(X)
    indices = model.encode_indices(X)
    assert indices.shape == (128, *index_shape) and indices.dtype.kind == "i"
    np.testing.assert_array_equal(model.decode_indices(indices), model.reconstruct(X))
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), model.reconstruct(X), rtol=1e-6)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors", backend=backend)
    assert isinstance(again, VectorQuantisedAutoencoder) and again.codebook == 16 and again.decay == 0.9
    np.testing.assert_array_equal(again.reconstruct(X), model.reconstruct(X))
    np.testing.assert_array_equal(again.encode_indices(X), indices)
    assert again.set_params(epochs=1).fit(X).history_[0]["loss"] == model.history_[0]["loss"]


def test_numpy_and_the_strict_backend_agree():
    models = [VectorQuantisedAutoencoder((4,), codebook=8, dim=2, epochs=2, backend=name).fit(blobs(64))
              for name in ("numpy", "strict")]
    for name, a in models[0].network_.state_dict().items():
        np.testing.assert_allclose(a, models[1].network_.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_its_step_can_be_recorded():
    x = RNG.random((4, 1, 5, 6)).astype(np.float32)

    def make(be):
        made = network(be, "float32")
        made.quantiser.restart = 0.8
        optimizer, batch = optim.Adam(made.parameters(), lr=1e-2), Tensor(x, backend=be)

        def step():
            optimizer.zero_grad()
            terms = made.loss_terms(batch)
            (terms["reconstruction"] + terms["commitment"]).backward()
            optimizer.step()
        return made, step

    eager, step = make(get("numpy"))
    for _ in range(7):
        step()
    recorded, step = make(get("strict"))
    replay = get("strict").capture(step, warmup=2)
    for _ in range(5):
        replay()
    for name, a in eager.state_dict().items():
        np.testing.assert_allclose(recorded.state_dict()[name], a, rtol=1e-4, atol=1e-6)


def test_usage_is_what_counting_gives():
    X = blobs(60)
    model = VectorQuantisedAutoencoder((4,), codebook=8, dim=2, image_shape=(8, 8), epochs=3).fit(X.reshape(60, 64))
    usage, indices = model.usage(X.reshape(60, 64)), model.encode_indices(X.reshape(60, 64))
    shares = [np.mean(indices == k) for k in range(8)]
    entropy = -sum(p * math.log2(p) for p in shares if p)
    assert usage["perplexity"] == pytest.approx(2**entropy)
    assert usage["used"] == np.mean(np.array(shares) > 0)
    assert usage["bits_per_pixel"] == 3 * 16 / 64
    assert usage["entropy_bits_per_pixel"] == pytest.approx(entropy * 16 / 64)
    colour = VectorQuantisedAutoencoder((4,), codebook=8, dim=2, epochs=0).fit(np.zeros((4, 3, 8, 8)))
    assert colour.usage(np.zeros((4, 3, 8, 8))) == {"perplexity": 1.0, "used": 1 / 8, "bits_per_pixel": 0.75,
                                                    "entropy_bits_per_pixel": 0.0}


def test_dense_layers_have_codes_of_groups():
    X = blobs(40).reshape(40, 64)
    model = VectorQuantisedAutoencoder(encoder=Sequential([Dense(16, "relu"), Dense(8)]), dim=2, codebook=16,
                                       decoder=Sequential([Dense(16, "relu"), Dense(64)]), epochs=2).fit(X)
    assert model.encode_indices(X).shape == (40, 4) and model.transform(X).shape == (40, 8)
    assert model.usage(X)["bits_per_pixel"] == 4 * 4 / 64
    np.testing.assert_array_equal(model.decode_indices(model.encode_indices(X)), model.reconstruct(X))


@pytest.mark.parametrize("settings, says", [
    ({"codebook": 0}, "codebook must be an integer"), ({"dim": 0}, "dim must be an integer"),
    ({"commitment": -1}, "commitment must be a finite number"), ({"decay": 1.0}, "decay is the share"),
    ({"restart": -0.1}, "restart must be a finite number"), ({"code": 5, "dim": 2}, "multiple of that"),
])
def test_what_can_not_be_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        VectorQuantisedAutoencoder((4,), **settings).fit(blobs(10))


def test_indices_that_can_not_be_are_refused():
    model = VectorQuantisedAutoencoder((4,), codebook=8, dim=2, epochs=0).fit(blobs(10))
    for indices, says in ((np.zeros((2, 3, 3), int), r"expected integers \(N, 4, 4\)"),
                          (np.zeros((2, 4, 4)), "indices are float64"), (np.full((1, 4, 4), 8), "from 0 to 7"),
                          (np.full((1, 4, 4), -1), "from 0 to 7")):
        with pytest.raises(ValueError, match=says):
            model.decode_indices(indices)
