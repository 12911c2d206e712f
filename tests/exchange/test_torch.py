"""Weights that PyTorch takes, and weights of PyTorch: the same outputs on both sides."""

from __future__ import annotations

import numpy as np
import pytest

import miniae
from miniae import models, nn
from miniae.autodiff import Tensor, no_grad
from miniae.data import StorageError
from miniae.exchange import (
    from_torch_state_dict,
    read_tensors,
    to_torch_state_dict,
    torch_source,
    write_tensors,
)
from miniae.nn.catalogue import layer_examples
from miniae.nn.layer import Build

torch = pytest.importorskip("torch", reason="the twins of models are PyTorch's")

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tensors(state: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(a) for name, a in state.items()}


def twin_of(model) -> torch.nn.Module:
    """The module of the source text, with the model's weights: all of them, and no others."""
    if isinstance(model, nn.Layer):
        twin = eval(torch_source(model), {"nn": torch.nn})
    else:
        names: dict = {}
        exec(torch_source(model), names)
        twin = names["Model"]()
    twin.load_state_dict(tensors(to_torch_state_dict(model)), strict=True)
    return twin.eval()


def outputs(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


def ours(layer, x: np.ndarray) -> np.ndarray:
    with no_grad():
        return layer.eval()(Tensor(x)).numpy()


def test_every_model(any_model, small_model):
    """Encoder and decoder, or hidden layers and head, of every kind of model."""
    model, (X, *_) = small_model(any_model)
    network = model.network_
    twin = None
    try:
        twin = twin_of(model)
    except ValueError as why:  # the one layer that PyTorch has not
        assert any_model == "MultinomialVAE" and "UnitNorm" in str(why)
    names = {"Classifier": ("encoder", "head")}.get(any_model, ("encoder", "decoder"))
    for name in names if twin else ():
        part = getattr(network, name)
        x = np.random.default_rng(0).normal(size=(6, *part.input_shape)).astype(np.float32)
        np.testing.assert_allclose(outputs(getattr(twin, name), x), ours(part, x), **CLOSE)
    state = to_torch_state_dict(model)
    count = sum(p.size for p in network.parameters())
    tied = sum(part.source.weight.size for _, part in network.named_layers() if isinstance(part, nn.TiedDense))
    buffers = sum(t.size for _, t in network._walk("_buffers"))
    counts = sum(name.endswith("num_batches_tracked") for name in state)
    scaling = sum(np.size(a) for a in model.scaler_.state().values())
    assert sum(a.size for a in state.values()) - counts == count + tied + buffers + scaling  # every number is there


def test_every_model_as_a_whole(any_model, small_model):
    """Data as they are to what the model says of them: scaling, codes and output activation are part of the twin."""
    model, (X, *labels) = small_model(any_model)
    if any_model == "MultinomialVAE":
        return
    twin, told = twin_of(model), [torch.from_numpy(a) for a in labels]
    if any_model == "Classifier":
        np.testing.assert_allclose(outputs(twin, X), model.predict_proba(X), **CLOSE)
        return
    through = model._through
    rows = X if isinstance(model, models.Recommender) else model._scaled(X)
    codes = through(model.network_.encode, rows, *labels)
    whole = model.scaler_.inverse_transform(through(model.network_.forward, rows, *labels))
    with torch.no_grad():
        np.testing.assert_allclose(twin.encode(torch.from_numpy(X), *told).numpy(), codes, **CLOSE)
        np.testing.assert_allclose(twin(torch.from_numpy(X), *told).numpy(), whole, **CLOSE)
    if not labels and not isinstance(model, models.Recommender):
        np.testing.assert_allclose(outputs(twin, X), model.reconstruct(X), **CLOSE)


@pytest.mark.parametrize("make, data", [
    (lambda: models.Autoencoder([8], 3, loss="bce", epochs=1), (30, 12)),
    (lambda: models.Autoencoder([8], 3, loss="bce", scaling="minmax", epochs=1), (30, 12)),
    (lambda: models.Classifier([8], dropout=0.5, scaling="standard", epochs=1), (30, 12)),
    (lambda: models.ConditionalVariationalAutoencoder(
        encoder=nn.Sequential([nn.Conv2D(3, 3, 2), nn.Flatten()]),
        decoder=nn.Sequential([nn.Dense(72), nn.Reshape((2, 6, 6))]), code=2, epochs=0), (30, 2, 6, 6)),
])
def test_more_models_as_a_whole(make, data):
    X, y = np.random.default_rng(0).random(data, np.float32), np.arange(data[0]) % 2
    model = make()
    if isinstance(model, models.Classifier):
        np.testing.assert_allclose(outputs(twin_of(model.fit(X, y)), X), model.predict_proba(X), **CLOSE)
    elif model.needs_labels:
        with torch.no_grad():
            theirs = twin_of(model.fit(X, y))(torch.from_numpy(X), torch.eye(2)[y]).numpy()
        np.testing.assert_allclose(theirs, model.reconstruct(X, y), **CLOSE)
    else:
        np.testing.assert_allclose(outputs(twin_of(model.fit(X)), X), model.reconstruct(X), **CLOSE)


def test_scaling_keeps_the_digits_of_large_numbers():
    X = 1e6 + np.random.default_rng(0).random((50, 4)) * 100
    model = models.Autoencoder([8], 2, epochs=2, scaling="standard", dtype="float64").fit(X)
    twin = twin_of(model).double()
    np.testing.assert_allclose(outputs(twin, X), model.reconstruct(X), rtol=1e-9)
    X = X.astype(np.float32)
    np.testing.assert_allclose(outputs(twin.float(), X), model.reconstruct(X), rtol=1e-6)


def test_scaling_comes_back():
    X = np.random.default_rng(0).random((20, 4), np.float32)
    first, second = (models.Autoencoder([], 2, scaling="standard", epochs=1).fit(a) for a in (X, 3 * X + 1))
    state = to_torch_state_dict(first)
    assert state["scaling.offset"].dtype == np.float64
    from_torch_state_dict(second, tensors(state))
    np.testing.assert_array_equal(second.reconstruct(X), first.reconstruct(X))
    kept = second.scaler_
    from_torch_state_dict(second, {name: a for name, a in state.items() if "scaling" not in name})
    assert second.scaler_ is kept
    with pytest.raises(ValueError, match="missing scaling.scale, unknown nothing"):
        from_torch_state_dict(second, {name: a for name, a in state.items() if name != "scaling.scale"})
    before = to_torch_state_dict(second)["encoder.0.weight"]
    with pytest.raises(ValueError, match=r"scaling.scale has shape \(2,\), expected \(4,\)"):
        from_torch_state_dict(second, {**state, "encoder.0.weight": 0 * before, "scaling.scale": np.ones(2)})
    np.testing.assert_array_equal(to_torch_state_dict(second)["encoder.0.weight"], before)
    with pytest.raises(ValueError, match="unknown scaling.offset, scaling.scale"):
        from_torch_state_dict(models.Autoencoder([], 2, epochs=1).fit(X), state)


def test_what_has_no_module():
    class Halved(models.network.AutoencoderNetwork):
        def encode(self, x):
            return super().encode(x) * 0.5

    halved = Halved(nn.Sequential([nn.Dense(2)]), nn.Sequential([nn.Dense(4)]))
    halved.build((4,), Build(""))
    with pytest.raises(ValueError, match="a Halved has a way to encode of its own"):
        torch_source(halved)
    for use in (torch_source, to_torch_state_dict):
        with pytest.raises(ValueError, match="a PCA has no PyTorch module: .* to_onnx takes other models"):
            use(miniae.PCA(2))


LAYERS = {
    "strided": (lambda: nn.Conv2D(3, (3, 2), (2, 3), activation="relu"), (2, 7, 8)),
    "dilated": (lambda: nn.Conv2D(3, 3, dilation=2, padding=(2, 1)), (2, 7, 8)),
    "transposed: window below stride": (lambda: nn.ConvTranspose2D(3, 2, 3), (2, 4, 5)),
    "transposed: padded": (lambda: nn.ConvTranspose2D(3, 3, 2, padding=1), (2, 4, 5)),
    "transposed: dilated": (lambda: nn.ConvTranspose2D(3, 3, 2, dilation=2), (2, 4, 5)),
    "pooled: same": (lambda: nn.MaxPool2D(3, 2, padding="same"), (2, 7, 8)),
    "pooled series: same": (lambda: nn.MaxPool1D(2, padding="same"), (2, 7)),
    "series": (lambda: nn.Conv1D(3, 4, 2, dilation=2), (2, 9)),
    "series transposed": (lambda: nn.ConvTranspose1D(3, 5, 2), (2, 6)),
    "batch norm of vectors": (lambda: nn.BatchNorm(), (6,)),
    "unflattened": (lambda: nn.Reshape((2, 3, 4)), (24,)),
    **{f"activation {name}": (lambda name=name: nn.Activation(name), (9,)) for name in miniae.functions.ACTIVATIONS},
}


@pytest.mark.parametrize("name", [*(name for name in layer_examples() if name != "UnitNorm"), *LAYERS])
def test_every_layer_there_and_back(name):
    make, shape = LAYERS[name] if name in LAYERS else layer_examples()[name]
    layer = nn.Sequential([make() if name in LAYERS else make(Build(name))], input_shape=shape)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, *shape)).astype(np.float32)
    twin = twin_of(layer)
    np.testing.assert_allclose(outputs(twin, x), ours(layer, x), **CLOSE)
    state = {key: torch.from_numpy(np.asarray(rng.uniform(0.2, 1, value.shape), np.float32))
             for key, value in twin.state_dict().items() if "num_batches" not in key}
    if name == "TiedDense":
        state["1.weight"] = state["0.weight"].T
    twin.load_state_dict(state, strict="BatchNorm" not in torch_source(layer))
    from_torch_state_dict(layer, twin.state_dict())
    np.testing.assert_allclose(ours(layer, x), outputs(twin, x), **CLOSE)
    for key, value in to_torch_state_dict(layer).items():
        np.testing.assert_array_equal(value, twin.state_dict()[key].numpy())


def test_weights_trained_in_torch():
    """A module written by hand and trained there: the same codes and reconstructions here."""
    torch.manual_seed(0)
    X = np.random.default_rng(0).random((64, 1, 8, 8), np.float32)
    theirs = torch.nn.ModuleDict({
        "encoder": torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, stride=2, padding=1), torch.nn.BatchNorm2d(4),
                                       torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 5)),
        "decoder": torch.nn.Sequential(torch.nn.Linear(5, 64), torch.nn.ReLU(), torch.nn.Unflatten(1, (4, 4, 4)),
                                       torch.nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1)),
    })
    optimizer, x = torch.optim.Adam(theirs.parameters(), lr=1e-2), torch.from_numpy(X)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((torch.sigmoid(theirs["decoder"](theirs["encoder"](x))) - x) ** 2).sum() / len(x)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    theirs.eval()
    encoder = nn.Sequential([nn.Conv2D(4, 3, 2, padding=1), nn.BatchNorm(), nn.Activation("relu"), nn.Flatten(),
                             nn.Dense(5)])
    decoder = nn.Sequential([nn.Dense(64, "relu"), nn.Reshape((4, 4, 4)), nn.ConvTranspose2D(1, 4, 2, padding=1)])
    model = models.Autoencoder(encoder=encoder, decoder=decoder, output_activation="sigmoid", epochs=0).fit(X)
    from_torch_state_dict(model, theirs.state_dict())
    codes = outputs(theirs["encoder"], X)
    np.testing.assert_allclose(model.transform(X), codes, **CLOSE)
    np.testing.assert_allclose(model.reconstruct(X), torch.sigmoid(torch.from_numpy(
        outputs(theirs["decoder"], codes))).numpy(), **CLOSE)
    from_torch_state_dict(model.encoder_, dict(theirs["encoder"].named_parameters()) |
                          dict(theirs["encoder"].named_buffers()))  # parameters with gradients; one part alone


def test_files_of_state_dicts(tmp_path, small_model):
    safetensors = pytest.importorskip("safetensors.torch")
    model, (X,) = small_model("ConvolutionalAutoencoder")
    before = model.reconstruct(X)
    twin = twin_of(model)
    safetensors.save_file(twin.state_dict(), tmp_path / "theirs.safetensors")
    from_torch_state_dict(model, read_tensors(tmp_path / "theirs.safetensors"))
    np.testing.assert_array_equal(model.reconstruct(X), before)
    write_tensors(tmp_path / "ours.safetensors", to_torch_state_dict(model))
    twin.load_state_dict(safetensors.load_file(tmp_path / "ours.safetensors"), strict=True)


def test_what_is_not_read(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(StorageError, match=r"state.pt is a pickle, which could run code.*safetensors"):
        read_tensors(tmp_path / "state.pt")
    (tmp_path / "state.safetensors").write_bytes((tmp_path / "state.pt").read_bytes())
    with pytest.raises(StorageError, match="damaged, not a safetensors file"):
        read_tensors(tmp_path / "state.safetensors")
    with pytest.raises(StorageError, match="does not exist"):
        read_tensors(tmp_path / "none.safetensors")


def test_what_does_not_fit():
    layer = nn.Sequential([nn.Dense(3, "relu"), nn.Dense(2)], input_shape=4)
    state = to_torch_state_dict(layer)
    assert sorted(state) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    before = layer.state_dict()
    for change, message in [
        ({"0.weight": state["0.weight"].T}, r"0.weight has shape \(4, 3\), expected \(3, 4\)"),
        ({"5.weight": state["0.bias"]}, "missing nothing, unknown 5.weight"),
        ({"2.bias": np.array(["a", "b"])}, "2.bias is of type <U1, expected real numbers"),
        ({"2.bias": torch.zeros(2, dtype=torch.bfloat16)}, "2.bias can't be read as an array"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            from_torch_state_dict(layer, {**state, **change})
    with pytest.raises(ValueError, match="missing 2.bias, unknown nothing"):
        from_torch_state_dict(layer, {name: a for name, a in state.items() if name != "2.bias"})
    for name, a in layer.state_dict().items():
        np.testing.assert_array_equal(a, before[name])
    tied = models.Autoencoder([], 3, tied=True, epochs=0).fit(np.ones((2, 4), np.float32))
    state = to_torch_state_dict(tied)
    from_torch_state_dict(tied, {name: a * np.nan for name, a in state.items()})  # which are each other's transposes
    with pytest.raises(ValueError, match="decoder.0.weight is not the transpose of encoder.0.weight"):
        from_torch_state_dict(tied, {**state, "decoder.0.weight": state["decoder.0.weight"] + 1})
    with pytest.raises(ValueError, match="torch.nn has no module for"):
        torch_source(nn.Sequential([nn.UnitNorm()], input_shape=4))


def test_every_model_comes_back_from_its_file(any_model, small_model, tmp_path):
    """And gives the same state dict: its layers had room among the numbers of the file."""
    model, _ = small_model(any_model)
    model.save(tmp_path / "m.safetensors")
    state = to_torch_state_dict(models.load(tmp_path / "m.safetensors"))
    for name, a in to_torch_state_dict(model).items():
        np.testing.assert_array_equal(state[name], a)
