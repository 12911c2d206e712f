"""ONNX graphs compute what the models do, by onnxruntime."""

from __future__ import annotations

import json

import numpy as np
import pytest

import miniae
from miniae import models, nn
from miniae.autodiff import Tensor, no_grad
from miniae.exchange import PARTS, RULES, Graph, onnx_model, to_onnx
from miniae.exchange.onnx_layers import layer as nodes_of
from miniae.models import MODELS
from miniae.models.network import AutoencoderNetwork
from miniae.nn import LAYERS
from miniae.nn.catalogue import layer_examples
from miniae.nn.layer import Build

pytest.importorskip("onnx", reason="ONNX files are written by the package onnx")
runtime = pytest.importorskip("onnxruntime", reason="ONNX graphs are checked by onnxruntime")

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def run(model, **arrays: np.ndarray) -> np.ndarray:
    """The one output of an ONNX model."""
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {name: np.asarray(a, np.float32) for name, a in arrays.items()})
    return output


def test_every_model(any_model, small_model):
    model, (X, *labels) = small_model(any_model)
    told = {"labels": labels[0]} if labels else {}
    if isinstance(model, models.Classifier):
        np.testing.assert_allclose(run(onnx_model(model), x=X), model.predict_proba(X), **CLOSE)
        return
    through = model._through
    rows = X if isinstance(model, models.Recommender) else model._scaled(X)
    codes = through(model.network_.encode, rows, *labels)
    whole = model.scaler_.inverse_transform(through(model.network_.forward, rows, *labels))
    np.testing.assert_allclose(run(onnx_model(model, "encode"), x=X, **told), codes, **CLOSE)
    np.testing.assert_allclose(run(onnx_model(model, "decode"), code=codes, **told), whole, **CLOSE)
    np.testing.assert_allclose(run(onnx_model(model), x=X, **told), whole, **CLOSE)
    np.testing.assert_allclose(run(onnx_model(model), x=X[:1], **{k: a[:1] for k, a in told.items()}), whole[:1],
                               **CLOSE)  # a batch of any size


def test_public_answers_are_the_graphs(small_model):
    """Of a few models by what users call, not by their networks."""
    for name in ("Autoencoder", "ConvolutionalAutoencoder", "VariationalAutoencoder", "SeriesAutoencoder"):
        model, (X,) = small_model(name)
        np.testing.assert_allclose(run(onnx_model(model), x=X), model.reconstruct(X), **CLOSE)
        np.testing.assert_allclose(run(onnx_model(model, "encode"), x=X), model.transform(X), **CLOSE)


FURTHER_LAYERS = {
    "strided": (lambda: nn.Conv2D(3, (3, 2), (2, 3), activation="relu"), (2, 7, 8)),
    "dilated": (lambda: nn.Conv2D(3, 3, dilation=2, padding=(2, 1)), (2, 7, 8)),
    "valid": (lambda: nn.Conv2D(3, 3, padding="valid", activation="silu"), (2, 7, 8)),
    "transposed: window below stride": (lambda: nn.ConvTranspose2D(3, 2, 3), (2, 4, 5)),
    "transposed: padded": (lambda: nn.ConvTranspose2D(3, 3, 2, padding=1), (2, 4, 5)),
    "transposed: dilated": (lambda: nn.ConvTranspose2D(3, 3, 2, dilation=2), (2, 4, 5)),
    "pooled: same": (lambda: nn.MaxPool2D(3, 2, padding="same"), (2, 7, 8)),
    "pooled: overlapping": (lambda: nn.AvgPool2D(3, 2), (2, 7, 8)),
    "repeated": (lambda: nn.UpSample2D((2, 3)), (2, 3, 4)),
    "series transposed": (lambda: nn.ConvTranspose1D(3, 5, 2), (2, 6)),
    "batch norm of vectors": (lambda: nn.BatchNorm(), (6,)),
    "layer norm of images": (lambda: nn.LayerNorm(), (2, 3, 4)),
    **{f"activation {name}": (lambda name=name: nn.Activation(name), (9,)) for name in miniae.functions.ACTIVATIONS},
}


@pytest.mark.parametrize("name", [*layer_examples(), *FURTHER_LAYERS])
def test_every_layer(name):
    if name in FURTHER_LAYERS:
        make, shape = FURTHER_LAYERS[name]
        layer = make()
    else:
        make, shape = layer_examples()[name]
        layer = make(Build(name))
    layer.build(shape, Build(name))
    rng = np.random.default_rng(1)
    for part in (layer, *layer.children().values()):  # statistics and biases other than those that layers begin with
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            tensor.assign(rng.uniform(0.2, 1.0, tensor.shape).astype(np.float32))
    x = rng.normal(size=(5, *shape)).astype(np.float32)
    graph = Graph()
    graph.output(nodes_of(graph, layer, graph.input("x", shape)), "y", layer.output_shape(shape))
    with no_grad():
        expected = layer(Tensor(x)).numpy()
    np.testing.assert_allclose(run(graph.model({}), x=x), expected, **CLOSE)


def test_every_layer_that_models_are_made_of_has_a_rule():
    """Networks, likelihoods and machines have other ways; whoever adds a layer has to give it nodes."""
    networks = (AutoencoderNetwork, models.ClassifierNetwork, miniae.rbm.Machine,
                models.likelihoods.Likelihood)
    layers = {kind for kind in LAYERS.values() if kind.__module__.startswith("miniae.")
              and not issubclass(kind, networks)}
    assert layers - set(RULES) == set()


def test_scaling_keeps_the_digits_of_large_numbers():
    X = 1e6 + np.random.default_rng(0).random((50, 4)).astype(np.float64) * 100
    model = models.Autoencoder([8], 2, epochs=2, scaling="standard", dtype="float64").fit(X)
    np.testing.assert_allclose(run(onnx_model(model), x=X), model.reconstruct(X), rtol=1e-6)
    X = X.astype(np.float32)
    np.testing.assert_allclose(run(onnx_model(model, "encode"), x=X), model.transform(X), **CLOSE)


def test_machines_stacks_and_components():
    X = np.random.default_rng(0).random((60, 10), np.float32)
    machine = miniae.RBM(6, epochs=2).fit(X)
    stack = miniae.pretrain(X, [10, 6, 3], epochs=1)
    deep = miniae.DeepBeliefNetwork([6, 4], epochs=1).fit(X)
    pca = miniae.PCA(3).fit(X.reshape(60, 2, 5))
    for model, x in ((machine, X), (deep, X), (pca, X.reshape(60, 2, 5))):
        code = model.transform(x)
        np.testing.assert_allclose(run(onnx_model(model, "encode"), x=x), code, **CLOSE)
        np.testing.assert_allclose(run(onnx_model(model), x=x), model.reconstruct(x), **CLOSE)
        if model is not deep:
            np.testing.assert_allclose(run(onnx_model(model, "decode"), code=code), model.inverse_transform(code),
                                       **CLOSE)
    np.testing.assert_allclose(run(onnx_model(stack), x=X), stack.reconstruct(X), **CLOSE)
    np.testing.assert_allclose(run(onnx_model(stack, "decode"), code=stack.encode(X)), stack.reconstruct(X), **CLOSE)


@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")  # of two epochs
@pytest.mark.parametrize("settings", [{}, {"far_out": False}, {"members": 2}, {
    "model": models.Autoencoder([6], 2, epochs=2, scaling="standard")}, {
    "model": models.VariationalAutoencoder([6], 2, epochs=2, loss="gaussian", scaling="standard"), "members": 3}])
def test_an_anomaly_score(settings):
    X = np.random.default_rng(0).normal(size=(200, 5))
    X[:3] *= 50  # beyond three scales, where they grow by their logarithm
    detector = miniae.AnomalyDetector(updates=40, **settings).fit(X)
    exported = onnx_model(detector)
    np.testing.assert_allclose(run(exported, x=X), detector.anomaly_score(X.astype(np.float32)), **CLOSE)
    assert float({p.key: p.value for p in exported.metadata_props}["threshold"]) == detector.threshold_


def test_a_graphs_constants_have_names_of_their_own():
    graph = Graph()
    graph.constant([1.0], name="a")
    with pytest.raises(ValueError, match="two constants of one graph are called 'a'"):
        graph.constant([2.0], name="a")


def test_the_file(tmp_path, small_model):
    import onnx

    model, (X,) = small_model("Classifier")
    path = tmp_path / "model.onnx"
    to_onnx(model, path)
    written = onnx.load(path)
    assert {p.key: p.value for p in written.metadata_props} == {"class": "Classifier", "part": "classify",
                                                                "classes": json.dumps([0, 1, 2])}
    assert written.opset_import[0].version == 17 and written.producer_name == "miniae"
    assert "encoder.0.weight" in {constant.name for constant in written.graph.initializer}
    first = path.read_bytes()
    to_onnx(model, path)
    assert path.read_bytes() == first


def test_tied_weights_are_there_once():
    X = np.random.default_rng(0).random((20, 30), np.float32)
    model = models.Autoencoder([16], 8, tied=True, epochs=1).fit(X)
    sizes = [np.prod(c.dims) for c in onnx_model(model).graph.initializer]
    assert sum(size >= 16 * 8 for size in sizes) == 2


class Cosine(nn.Layer):
    def forward(self, x):
        return x * 2.0


class OwnCode(AutoencoderNetwork):
    def encode(self, x):
        return self.encoder(x) * 2.0


def test_layers_of_ones_own():
    blobs = np.random.default_rng(0).random((20, 5), np.float32)
    layers = {"encoder": nn.Sequential([nn.Dense(3), Cosine()]), "decoder": nn.Sequential([nn.Dense(5)])}
    model = models.Autoencoder(epochs=1, **layers).fit(blobs)
    with pytest.raises(ValueError, match=r"Cosine.* no nodes in ONNX.*RULES\[Cosine\]"):
        onnx_model(model)
    RULES[Cosine] = lambda g, layer, x: g.op("Add", x, x)
    try:
        np.testing.assert_allclose(run(onnx_model(model), x=blobs), model.reconstruct(blobs), **CLOSE)
    finally:
        del RULES[Cosine]
    layers["encoder"] = nn.Dense(3, lambda x: x * x)
    with pytest.raises(ValueError, match="activation of Dense.* no nodes"):
        onnx_model(models.Autoencoder(epochs=1, **layers).fit(blobs))


def test_a_network_with_a_way_of_its_own_is_refused():
    class Own(models.Autoencoder):
        network_class = OwnCode

    try:
        model = Own([4], 2, epochs=1).fit(np.random.default_rng(0).random((20, 5), np.float32))
        with pytest.raises(ValueError, match="OwnCode has a way to encode of its own"):
            onnx_model(model)
    finally:
        del MODELS["Own"]


def test_bad_requests(small_model, tmp_path):
    model, _ = small_model("Autoencoder")
    with pytest.raises(ValueError, match="no part 'score'.*reconstruct, encode, decode"):
        to_onnx(model, tmp_path / "m.onnx", "score")
    with pytest.raises(ValueError, match="a dict has no ONNX graph: expected one of Autoencoder, Classifier"):
        onnx_model({})
    with pytest.raises(miniae.training.NotFittedError, match="not trained yet"):
        onnx_model(models.Autoencoder())
    assert not list(tmp_path.iterdir()) and set(PARTS[models.Autoencoder]) == {"reconstruct", "encode", "decode"}
