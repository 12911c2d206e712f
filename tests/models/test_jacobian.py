"""The norm of the Jacobian of any encoder: three ways to it, against finite differences and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import gradcheck, optim, use_backend
from miniae.autodiff import Linearization, Tensor
from miniae.backend import get
from miniae.backend.base import Backend
from miniae.backend.philox import Generator
from miniae.models import Autoencoder, ContractiveAutoencoder, jacobian_norm, load
from miniae.models.contractive import ContractiveNetwork
from miniae.models.jacobian import norm_by_columns, norm_by_probes, norm_by_rows
from miniae.nn import (
    AvgPool2D,
    BatchNorm,
    Build,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    MaxPool2D,
    Reshape,
    Sequential,
)

RNG = np.random.default_rng(0)

ENCODERS = {
    "dense": ((6,), lambda: [Dense(5, "tanh"), Dense(4, "softplus"), Dense(3, "sigmoid")]),
    "wide": ((3,), lambda: [Dense(7, "elu"), Dense(5, "tanh")]),
    "layer norm": ((6,), lambda: [Dense(5), LayerNorm(), Dense(3, "gelu")]),
    "convolutional": ((1, 4, 4), lambda: [
        Conv2D(2, 3, activation="softplus", padding="same"), AvgPool2D(2),
        Conv2D(2, 2, activation="elu", padding="valid"), Flatten(), Dense(3, "tanh")]),
    "flat": ((1, 3, 2), lambda: [Flatten(), Dense(4, "tanh"), Dense(3)]),
}
each = pytest.mark.parametrize("kind", ENCODERS)


def built(kind, rng=RNG):
    shape, layers = ENCODERS[kind]
    encoder = Sequential(layers())
    encoder.build(shape, Build("encoder", 3, "float64"))
    for p in encoder.parameters():
        p.assign(p.numpy() + 0.1 * rng.standard_normal(p.shape))  # biases too
    return encoder, rng.standard_normal((4, *shape))


def by_differences(function, x, step=1e-5):
    """The squared norm of df/dx of each row by central differences; the mean over rows."""
    total = 0.0
    for i in np.ndindex(x.shape[1:]):
        shift = np.zeros(x.shape[1:])
        shift[i] = step
        total += np.square((function(x + shift) - function(x - shift)) / (2 * step)).sum()
    return total / len(x)


def columns(encoder, x):
    return norm_by_columns(Linearization(encoder, x))


def rows(encoder, x):
    return norm_by_rows(Linearization(encoder, x))


def probes(encoder, x, seed=0, count=2):
    return norm_by_probes(Linearization(encoder, x), Generator(seed, "directions"), count)


@each
@pytest.mark.parametrize("norm", [columns, rows])
def test_it_is_the_norm_of_the_jacobian(kind, norm, backend):
    encoder, x = built(kind)
    expected = by_differences(lambda v: encoder(v).numpy(), x)
    assert norm(encoder, Tensor(x)).item() == pytest.approx(expected, rel=1e-7)
    assert jacobian_norm(encoder, x) == pytest.approx(expected, rel=1e-7)


@each
@pytest.mark.parametrize("norm", [columns, rows, probes])
def test_its_gradient(kind, norm):
    """With respect to all weights. Of rows, whose backward can't be differentiated, by the detour over `push`."""
    encoder, x = built(kind)
    x = Tensor(x[:2])
    assert gradcheck(lambda: norm(encoder, x), [], encoder.parameters(), entries=6).error < 1e-7


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
@pytest.mark.parametrize("norm", [rows, probes])
def test_its_gradient_on_every_backend(kind, norm, backend):
    gradients = []
    for place in ("numpy", backend):
        with use_backend(place):
            encoder, x = built(kind, rng=np.random.default_rng(1))
            norm(encoder, Tensor(x)).backward()
            gradients.append([None if p.grad is None else p.backend.to_host(p.grad) for p in encoder.parameters()])
    for mine, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@each
def test_the_mean_of_estimates_is_the_norm(kind):
    """Within 4 standard errors, and these as the formula says: variance 2 |J'J|^2 a sample."""
    encoder, x = built(kind)
    x = x[:1]
    jacobian = np.stack([(encoder(x + e.reshape(x.shape)).numpy() - encoder(x - e.reshape(x.shape)).numpy())[0] / 2e-5
                         for e in 1e-5 * np.eye(x.size)])
    many = Tensor(np.repeat(x, 20000, axis=0))
    values = np.square(Linearization(encoder, many).push(
        Tensor(Generator(1, "directions").normal(many.shape, "float64"))).numpy()).reshape(len(many), -1).sum(axis=1)
    estimate = probes(encoder, many, seed=1, count=1).item()
    assert estimate == pytest.approx(values.mean(), rel=1e-12)
    variance = 2 * np.square(jacobian.T @ jacobian).sum()
    assert abs(estimate - np.square(jacobian).sum()) < 4 * np.sqrt(variance / len(many))
    assert values.var() == pytest.approx(variance, rel=0.15)
    random = Generator(1, "directions")
    singly = [norm_by_probes(Linearization(encoder, Tensor(x)), random).item() for _ in range(4)]
    assert probes(encoder, Tensor(x), seed=1, count=4).item() == pytest.approx(np.mean(singly), rel=1e-12)


def test_a_linear_encoder_has_the_norm_of_its_matrix(backend):
    encoder = Sequential([Dense(4), Dense(3)])
    encoder.build((5,), Build("", 0, "float64"))
    matrix = encoder.layers[0].weight.numpy() @ encoder.layers[1].weight.numpy()
    x = RNG.standard_normal((7, 5))
    for norm in (columns, rows):
        assert norm(encoder, Tensor(x)).item() == pytest.approx(np.square(matrix).sum(), rel=1e-12)
    assert jacobian_norm(encoder, x) == pytest.approx(np.square(matrix).sum(), rel=1e-12)


def test_the_encoder_shrinks_when_nothing_else_is_minimised(backend):
    """A penalty without a gradient would leave it as it is; one of the mean code would leave two opposite units."""
    encoder = Sequential([Dense(2)])
    encoder.build((1,), Build("", 0, "float64"))
    encoder.layers[0].weight.assign(np.array([[1.0, -1.0]]))
    x = Tensor(np.zeros((3, 1)))
    for norm in (columns, rows, lambda e, t: probes(e, t, count=50)):
        weight = encoder.layers[0].weight
        weight.zero_grad()
        value = norm(encoder, x)
        value.backward()
        scale = value.item() / 2  # 1 where exact
        np.testing.assert_allclose(backend.to_host(weight.grad), scale * np.array([[2.0, -2.0]]), rtol=1e-10)
        assert scale == pytest.approx(1, abs=0 if norm in (columns, rows) else 0.5)


def test_it_is_a_mean_of_squares_and_no_square_of_means(backend):
    """Units that are opposite, samples on which the slopes differ: all of them count, none cancels."""
    encoder = Sequential([Dense(2, "tanh"), Dense(2)])
    encoder.build((1,), Build("", 0, "float64"))
    for layer, w in zip(encoder.layers, ([[1.0, 2.0]], [[1.0, -1.0], [1.0, -1.0]]), strict=True):
        layer.weight.assign(np.array(w))
    x = np.array([[0.0], [1.0], [-3.0]])
    slope = (1 - np.tanh(x) ** 2) + 2 * (1 - np.tanh(2 * x) ** 2)
    for norm in (columns, rows):
        assert norm(encoder, Tensor(x)).item() == pytest.approx(2 * np.square(slope).mean(), rel=1e-12)


# ---------------------------------------------------------------- PyTorch

def torch_encoder(torch, kind, weights):
    """The same function of one sample, by PyTorch."""
    f = torch.nn.functional

    def dense(x):
        w1, b1, w2, b2, w3, b3 = weights
        return torch.sigmoid(f.softplus(torch.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3)

    def convolutional(x):
        w1, b1, w2, b2, w3, b3 = weights
        h = f.avg_pool2d(f.softplus(f.conv2d(x[None], w1, b1, padding=1)), 2)
        return torch.tanh(f.elu(f.conv2d(h, w2, b2)).reshape(-1) @ w3 + b3)

    return {"dense": dense, "convolutional": convolutional}[kind]


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_value_and_gradient_are_those_of_pytorch(kind):
    torch = pytest.importorskip("torch", reason="compared with PyTorch")
    encoder, x = built(kind)
    weights = [torch.tensor(p.numpy(), requires_grad=True) for p in encoder.parameters()]
    function = torch_encoder(torch, kind, weights)
    np.testing.assert_allclose(function(torch.tensor(x[0])).detach().numpy(), encoder(x[:1]).numpy()[0], rtol=1e-12)
    jacobians = [torch.autograd.functional.jacobian(function, torch.tensor(row), create_graph=True) for row in x]
    expected = sum(j.square().sum() for j in jacobians) / len(x)
    expected.backward()
    for norm in (columns, rows):
        for p in encoder.parameters():
            p.zero_grad()
        value = norm(encoder, Tensor(x))
        assert value.item() == pytest.approx(expected.item(), rel=1e-12)
        value.backward()
        for p, w in zip(encoder.parameters(), weights, strict=True):
            theirs = np.zeros(p.shape) if w.grad is None else w.grad.numpy()
            mine = np.zeros(p.shape) if p.grad is None else p.grad
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- in training

def conv_parts():
    encoder = Sequential([Conv2D(4, 3, activation="relu", padding="same"), MaxPool2D(2), Flatten(), Dense(3, "tanh")])
    decoder = Sequential([Dense(16, "relu"), Reshape((4, 2, 2)), ConvTranspose2D(1, 2, stride=2)])
    return {"encoder": encoder, "decoder": decoder}


IMAGES = RNG.random((40, 1, 4, 4), dtype=np.float32)


@pytest.mark.parametrize("settings", [
    {"code": 3, "hidden": [8]}, {"code": 3, "hidden": [8], "jacobian": "estimate", "probes": 2},
    {"code": 20, "hidden": [18]}, {"code": 3, "jacobian": "estimate"}, {"code": 3, "code_activation": "relu"},
    {"code": 3, "hidden": [8], "dropout": 0.3, "activation": "sigmoid"},
    {"code": 3, "hidden": [8], "batch_norm": True},
    {"conv": True}, {"conv": True, "jacobian": "estimate"},
], ids=str)
def test_every_variant_trains_and_comes_back_from_its_file(settings, tmp_path, backend):
    settings = dict(settings)
    own = conv_parts() if settings.pop("conv", False) else {}
    X = IMAGES if own else IMAGES.reshape(40, 16)
    model = ContractiveAutoencoder(**settings, **own, strength=0.2, epochs=2, batch_size=16, lr=1e-2)
    model.fit(X, validation=X[:10])
    assert np.isfinite([row["val_contraction"] for row in model.history_]).all()
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.get_params().items() >= {k: v for k, v in settings.items() if k != "hidden"}.items()
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert jacobian_norm(again, X) == jacobian_norm(model, X) > 0
    for m in (model, again):
        m.partial_fit(X)  # a loaded model draws the same directions, but has lost Adam's moments
    if not own:  # `fit` of a loaded model with layers of its own goes on from its weights
        first = {k: v for k, v in model.fit(X).history_[0].items() if k not in ("seconds", "samples_per_second")}
        assert first.items() <= again.fit(X).history_[0].items()


@pytest.mark.parametrize("settings", [{}, {"jacobian": "estimate"}, {"jacobian": "exact", "code": 20}], ids=str)
def test_the_stronger_the_flatter(settings, blobs):
    norms = [jacobian_norm(ContractiveAutoencoder(**{"code": 4, **settings}, hidden=[18], strength=strength, epochs=25,
                                                  lr=1e-2).fit(blobs), blobs) for strength in (0.0, 1.0, 20.0)]
    assert norms[0] > 1.2 * norms[1] > 3 * norms[2]


def test_auto_is_exact_where_that_is_cheap():
    def way(inputs, **settings):
        model = ContractiveAutoencoder(**settings, epochs=0).fit(np.zeros((4, inputs)))
        return model.network_.code_and_norm.__name__

    assert way(40, code=30) == "_in_closed_form"
    assert way(40, code=30, hidden=[20]) == "_by_probes"
    assert way(40, code=16, hidden=[20]) == "_by_rows"
    assert way(16, code=40, hidden=[20]) == "_by_columns"
    assert way(40, code=2, hidden=[20], batch_norm=True) == "_by_probes"
    assert way(40, code=30, hidden=[20], jacobian="exact") == "_by_rows"
    assert way(40, code=30, jacobian="estimate") == "_by_probes"


def deep_network(**settings):
    encoder = Sequential([Dense(30, "tanh"), Dropout(0.5), Dense(3)])
    network = ContractiveNetwork(encoder, Sequential([Dense(8)]), strength=1.0, **settings)
    network.build((8,), Build("", 5, "float64"))
    return network


@pytest.mark.parametrize("settings", [{"jacobian": "exact"}, {"jacobian": "estimate", "probes": 1000}], ids=str)
def test_the_jacobian_is_of_the_evaluation_that_is_decoded(settings):
    """In training of the encoder with the dropout mask that its code had, else of the encoder without dropout."""
    network, x = deep_network(**settings), RNG.standard_normal((1, 8))
    first, dropout, second = network.encoder.layers
    for training in (True, False):
        network.train(training)
        code, norm = network.code_and_norm(Tensor(x))
        h = first(x).numpy()
        if training:
            dropout._random.step -= 1
        mask = dropout(np.ones_like(h)).numpy()
        np.testing.assert_allclose(code.numpy(), h * mask @ second.weight.numpy() + second.bias.numpy(), rtol=1e-12)
        jacobian = first.weight.numpy() * ((1 - h * h) * mask) @ second.weight.numpy()
        assert norm.item() == pytest.approx(np.square(jacobian).sum(), rel=1e-9 if "probes" not in settings else 0.15)


def test_batch_normalisation_counts_all_that_a_code_depends_on():
    """The norm of the Jacobian of the whole batch, 5 x 3 codes of 5 x 4 inputs, a fifth of it."""
    encoder = Sequential([Dense(6), BatchNorm(), Dense(3, "tanh")])
    network = ContractiveNetwork(encoder, Sequential([Dense(4)]), probes=500)
    network.build((4,), Build("", 5, "float64"))
    x = RNG.standard_normal((5, 4))
    network.train()
    value = network.code_and_norm(Tensor(x))[1].item()
    total = by_differences(lambda v: encoder(v.reshape(5, 4)).numpy().reshape(1, -1), x.reshape(1, -1))
    assert value == pytest.approx(total / 5, rel=0.1)
    encoder.eval()
    assert jacobian_norm(encoder, x) == pytest.approx(by_differences(lambda v: encoder(v).numpy(), x), rel=1e-7)


def test_directions_are_new_at_every_step_and_the_same_in_evaluations(blobs):
    network = deep_network(jacobian="estimate")
    network.train()
    network.encoder.layers[1].train(False)
    x = Tensor(RNG.standard_normal((4, 8)))
    steps = [network.loss_terms(x)["contraction"].item() for _ in range(2)]
    assert steps[0] != steps[1]
    network.eval()
    assert network.loss_terms(x)["contraction"].item() == network.loss_terms(x)["contraction"].item()
    models = [ContractiveAutoencoder(20, hidden=[18], epochs=2) for _ in range(2)]
    models[0].fit(blobs)
    models[1].fit(blobs, validation=blobs[:20])  # looking on changes nothing
    np.testing.assert_array_equal(models[0].transform(blobs), models[1].transform(blobs))


class Step:
    """One training step of a contractive network on the same batch."""

    def __init__(self, be, jacobian, layers):
        self.network = ContractiveNetwork(Sequential(layers()), Sequential([Dense(6)]), jacobian=jacobian, strength=1.0)
        self.network.build((6,), Build("", 0, "float32", be))
        self.network.train()
        self.optimizer = optim.Adam(self.network.parameters(), lr=0.01)
        self.x = Tensor(np.random.default_rng(1).standard_normal((3, 6)), dtype="float32", backend=be)

    def __call__(self):
        self.optimizer.zero_grad()
        reconstruction, norm = self.network.loss_terms(self.x).values()
        (reconstruction + norm).backward()
        self.optimizer.step()


@pytest.mark.parametrize("jacobian, layers", [
    ("estimate", lambda: [Dense(5, "tanh"), Dropout(0.3), Dense(4, "sigmoid")]),
    ("exact", lambda: [Dense(5, "tanh"), Dropout(0.3), Dense(4, "sigmoid")]),
    ("exact", lambda: [Dense(5, "relu"), Dense(9, "softplus")]),
    ("exact", lambda: [Dense(4, "sigmoid")]),
    ("estimate", lambda: [Reshape((1, 2, 3)), Conv2D(2, 2, activation="relu"), MaxPool2D((1, 2)), Flatten(), Dense(2)]),
    ("exact", lambda: [Reshape((1, 2, 3)), Conv2D(2, 2, activation="tanh"), AvgPool2D((1, 2)), Flatten(), Dense(2)]),
], ids=["probes", "rows", "columns", "closed form", "convolutional, probes", "convolutional, rows"])
def test_a_step_can_be_recorded(jacobian, layers):
    """With directions and masks that are drawn anew in every replay."""
    strict = get("strict")
    eager, recorded = (Step(be, jacobian, layers) for be in (Backend(np), strict))
    for _ in range(5):
        eager()
    replay = strict.capture(recorded, warmup=2)
    for _ in range(3):
        replay()
    for mine, theirs in zip(recorded.network.parameters(), eager.network.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


# ---------------------------------------------------------------- the metric

def test_the_norm_of_models(blobs, backend):
    """In the scaled units that the network works in; without dropout, and whatever stands in closed form or not."""
    for model in (Autoencoder([8], 3, dropout=0.5, batch_norm=True, epochs=2, dtype="float64"),
                  Autoencoder([], 3, code_activation="sigmoid", scaling="standard", epochs=2, dtype="float64")):
        model.fit(blobs)
        scaled = model.scaler_.transform(blobs)
        expected = by_differences(lambda v, m=model: m.encoder_(v).numpy(), scaled.astype(np.float64))
        assert jacobian_norm(model, blobs) == pytest.approx(expected, rel=1e-5)
        assert jacobian_norm(model.encoder_, scaled) == pytest.approx(expected, rel=1e-5)


def test_the_norm_leaves_the_encoder_as_it_was():
    encoder, x = built("dense")
    encoder.train()
    jacobian_norm(encoder, x)
    assert encoder.training and all(p.grad is None or not p.grad.any() for p in encoder.parameters())


@pytest.mark.parametrize("model", [Dense(3), 7], ids=str)
def test_other_things_have_no_norm(model):
    with pytest.raises(TypeError, match="a trained autoencoder or an encoder that is built"):
        jacobian_norm(model, np.zeros((2, 3)))
