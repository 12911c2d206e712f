"""The contraction penalty against Jacobians found in other ways, and what it does."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import gradcheck, pretrain
from miniae.autodiff import Tensor
from miniae.models import Autoencoder, ContractiveAutoencoder, contraction, load
from miniae.nn import Build, Dense

RNG = np.random.default_rng(0)


def layer(activation, units=4, features=5):
    dense = Dense(units, activation)
    dense.build((features,), Build("", 3, "float64"))
    return dense


def jacobian_norm(function, x, step=1e-5):
    """The squared Frobenius norm of df/dx at each row, by central differences; the mean over rows."""
    total = 0.0
    for i in range(x.shape[1]):
        shift = np.zeros(x.shape[1])
        shift[i] = step
        total += np.square((function(x + shift) - function(x - shift)) / (2 * step)).sum()
    return total / len(x)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "linear", None])
def test_it_is_the_norm_of_the_jacobian(activation, backend):
    dense, x = layer(activation), RNG.standard_normal((6, 5))
    expected = jacobian_norm(lambda v: dense(v).numpy(), x)
    assert contraction(dense, dense(x)).item() == pytest.approx(expected, rel=1e-8)


def test_it_is_the_norm_of_the_jacobian_of_pytorch():
    torch = pytest.importorskip("torch", reason="compared with PyTorch")
    dense, x = layer("sigmoid"), RNG.standard_normal((6, 5))
    w, b = (torch.tensor(p.numpy()) for p in dense.parameters())
    rows = [torch.autograd.functional.jacobian(lambda v: torch.sigmoid(v @ w + b), torch.tensor(row)) for row in x]
    expected = torch.stack(rows).square().sum() / len(x)
    assert contraction(dense, dense(x)).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "linear"])
def test_its_gradient(activation, backend):
    """On both ways to the weights, directly and through h; popular implementations lose one, or both."""
    dense, x = layer(activation), Tensor(RNG.standard_normal((6, 5)))
    assert gradcheck(lambda w, b: contraction(dense, dense(x)), dense.parameters()).error < 1e-9


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows):
    dense = layer("tanh")
    value = contraction(dense, dense(np.zeros((rows, 5)))).item()
    assert value == 0 if rows == 0 else value > 0


def test_what_can_not_be_is_refused():
    with pytest.raises(ValueError, match="sigmoid, tanh and linear units, got 'relu'"):
        contraction(layer("relu"), Tensor(np.zeros((2, 4))))
    images = RNG.random((10, 4, 4))  # flattened on the way in
    assert ContractiveAutoencoder(3, tied=False, epochs=1).fit(images).transform(images).shape == (10, 3)
    for strength in (-1, float("nan"), "much", True):
        with pytest.raises(ValueError, match="strength must be a finite number"):
            ContractiveAutoencoder(3, strength=strength).fit(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="jacobian is one of auto, exact, estimate, got 'mean'"):
        ContractiveAutoencoder(3, jacobian="mean").fit(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="probes must be an integer of at least 1"):
        ContractiveAutoencoder(3, probes=0).fit(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="with batch normalisation a code depends on the whole batch"):
        ContractiveAutoencoder(3, hidden=[4], batch_norm=True, jacobian="exact").fit(np.zeros((4, 5)))


def test_the_code_moves_less(blobs, backend):
    """The stronger the penalty the flatter the code; without it this is the plain autoencoder, number for number."""
    slopes = []
    for strength in (0.0, 0.1, 10.0):
        model = ContractiveAutoencoder(6, strength=strength, epochs=20, lr=1e-2).fit(blobs)
        assert model.history_[-1].keys() >= {"reconstruction", "contraction"}
        slopes.append(jacobian_norm(lambda v, m=model: m.transform(v), blobs.astype(np.float64), step=1e-2))
        if strength == 0:
            plain = Autoencoder((), 6, code_activation="sigmoid", tied=True, epochs=20, lr=1e-2).fit(blobs)
            np.testing.assert_allclose(model.transform(blobs), plain.transform(blobs), atol=1e-6)
    assert slopes[0] > slopes[1] > 5 * slopes[2]


def test_files_and_stacks(blobs, tmp_path, backend):
    model = ContractiveAutoencoder(4, strength=0.2, loss="bce", epochs=2).fit(blobs)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert isinstance(again, ContractiveAutoencoder) and again.strength == 0.2
    np.testing.assert_array_equal(again.transform(blobs), model.transform(blobs))
    assert again.fit(blobs).history_[0]["loss"] == model.history_[0]["loss"]
    stack = pretrain(blobs, [12, 8, 3], method="contractive", epochs=3, strength=0.3)
    assert "contraction" in stack.histories[0][0]
    deep = stack.unroll(epochs=1, lr=1e-12).fit(blobs)
    np.testing.assert_allclose(deep.reconstruct(blobs), stack.reconstruct(blobs), atol=1e-5)
    assert stack.pairs[0].up.activation == "sigmoid" and stack.pairs[1].up.activation == "linear"
