"""The decoder of a page, run by Node.js, beside the model's own."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

from miniae import functions as F
from miniae.models import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ConvolutionalAutoencoder,
    SemanticHashing,
    VariationalAutoencoder,
    VectorQuantisedAutoencoder,
)
from miniae.nn import (
    Activation,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Crop,
    Dense,
    Flatten,
    LayerNorm,
    MaxPool2D,
    Reshape,
    Sequential,
    UnitNorm,
    UpSample2D,
)
from miniae.report import decoder as module
from miniae.report.decoder import NotInPage, decoder_steps

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")

SCRIPT = """
const Decoder = require(process.argv[1]), fs = require("fs");
const given = JSON.parse(fs.readFileSync(0, "utf8"));
const weights = Float32Array.from(given.weights);
console.log(JSON.stringify(given.codes.map((code) => Array.from(Decoder.decode(given, weights, code)))));
"""


def decoded_by_node(model, codes):
    """What decoder.js makes of codes."""
    if shutil.which("node") is None:
        pytest.skip("needs node to run the page's decoder")
    page = decoder_steps(model)
    given = json.dumps({"steps": page.steps, "result": page.result, "weights": page.weights.tolist(),
                        "codes": codes.tolist()})
    source = str(files("miniae.report").joinpath("page/decoder.js"))
    done = subprocess.run(["node", "-e", SCRIPT, source], input=given, capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout))


def check(model, scale=1.0):
    codes = np.random.default_rng(3).normal(0, 2, (5, *model.network_.code_shape)).astype(np.float32)
    expected = model.inverse_transform(codes).reshape(5, -1)
    np.testing.assert_allclose(decoded_by_node(model, codes), expected, atol=1e-4 * scale, rtol=1e-4)


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).random((40, 64), dtype=np.float32)


@pytest.mark.parametrize("activation", sorted(F.ACTIVATIONS))
def test_dense_decoders_of_every_activation(activation, samples):
    check(Autoencoder([9, 7], 3, activation=activation, epochs=1, lr=1e-2).fit(samples))


@pytest.mark.parametrize("settings", [
    {"tied": True}, {"batch_norm": True, "dropout": 0.2}, {"loss": "bce"}, {"scaling": "standard"},
    {"scaling": "minmax", "loss": "bce"}, {"loss": "multinomial"}, {"dtype": "float64"}], ids=str)
def test_dense_decoders_of_every_kind(settings, samples):
    check(Autoencoder([9, 7], 3, epochs=1, lr=1e-2, **settings).fit(samples))


def test_features_far_from_0(samples):
    far = samples * 1e5 + 1.6e9
    check(Autoencoder([9], 2, epochs=1, scaling="standard").fit(far), scale=1e5)


def test_variants(samples):
    check(VariationalAutoencoder([9], 2, epochs=1).fit(samples))
    check(VariationalAutoencoder([9], 2, epochs=1, loss="gaussian").fit(samples))
    check(SemanticHashing([9], 4, epochs=1).fit(samples))
    check(ConvolutionalAutoencoder([3, 4], 5, image_shape=(8, 8), epochs=1).fit(samples))
    check(ConvolutionalAutoencoder([3, 4], 5, image_shape=(8, 8), epochs=1, batch_norm=True).fit(samples))


def test_layers_on_images(samples):
    decoder = [Dense(4 * 3 * 2, "tanh"), Reshape((4, 3, 2)), LayerNorm(), UpSample2D((2, 3)), BatchNorm(),
               Conv2D(5, (3, 2), 1, dilation=(1, 2), activation="relu"), MaxPool2D(2, padding="same"), AvgPool2D(1),
               ConvTranspose2D(3, 3, (3, 4), padding=1), Activation("leaky_relu"), Crop(5, 7),
               Conv2D(2, 3, 2, padding=1), UpSample2D(2), Flatten(), UnitNorm(), Dense(64)]
    model = Autoencoder(encoder=Sequential([Dense(3)]), decoder=Sequential(decoder), epochs=2, lr=1e-2)
    check(model.fit(samples))


def test_what_the_page_cannot_run(samples, monkeypatch):
    labels = np.arange(40) % 3
    with pytest.raises(NotInPage) as refused:
        decoder_steps(ConditionalVariationalAutoencoder([9], 2, epochs=1).fit(samples, labels))
    assert (refused.value.reason, refused.value.detail) == ("shape", "labels")
    with pytest.raises(NotInPage) as refused:
        decoder_steps(VectorQuantisedAutoencoder([3, 4], image_shape=(8, 8), codebook=8, epochs=1).fit(samples))
    assert refused.value.reason == "shape"
    own = F.activation(lambda xp, x: x, lambda xp, x: xp.ones_like(x))
    model = Autoencoder(encoder=Sequential([Dense(3)]), decoder=Sequential([Dense(64, own)]), epochs=1).fit(samples)
    with pytest.raises(NotInPage) as refused:
        decoder_steps(model)
    assert (refused.value.reason, refused.value.detail) == ("function", "Formula")
    monkeypatch.setattr(module, "LARGEST", 100)
    with pytest.raises(NotInPage) as refused:
        decoder_steps(Autoencoder([9], 2, epochs=1).fit(samples))
    assert (refused.value.reason, refused.value.detail) == ("size", "100")


def test_weights_of_every_backend(backend, samples):
    check(ConvolutionalAutoencoder([3], 4, image_shape=(8, 8), epochs=1, batch_norm=True, backend=backend).fit(samples))
    check(Autoencoder([6], 2, tied=True, epochs=1, scaling="standard", backend=backend).fit(samples))
