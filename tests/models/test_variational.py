"""The variational autoencoder against PyTorch's distributions and closed forms, and what its options do."""

from __future__ import annotations

import re

import numpy as np
import pytest

from miniae import functions as F
from miniae import gradcheck, nn, optim
from miniae.autodiff import Tensor
from miniae.backend import get
from miniae.backend.base import Backend
from miniae.models import PosteriorCollapse, VariationalAutoencoder, VariationalNetwork, load
from miniae.nn import Build, Conv2D, ConvTranspose2D, Dense, Flatten, Reshape, Sequential
from miniae.report import metrics
from miniae.training import Callback, Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")  # few epochs leave units asleep
RNG = np.random.default_rng(0)
BINARY = (RNG.random((7, 6)) < 0.4).astype(float)


def network(loss="bce", dtype="float64", backend=None, **settings):
    """A small network in training; its weights are drawn, so that nothing is 0."""
    made = VariationalNetwork(Sequential([Dense(5, "tanh")]), Sequential([Dense(4, "tanh"), Dense(6)]), loss, code=3,
                              **settings)
    made.build((6,), Build("", 1, dtype, backend))
    for i, p in enumerate(made.parameters()):
        p.assign(np.random.default_rng(i).normal(0, 0.5, p.shape))
    return made.train()


def same_noise(made):
    for generator in made.generators().values():
        generator.step = 0
    return made


# ---------------------------------------------------------------- the loss

@pytest.mark.parametrize("loss", ["bce", "gaussian"])
def test_the_elbo_and_its_gradient_are_those_of_pytorch(loss, backend):
    torch = pytest.importorskip("torch", reason="compared with PyTorch's distributions")
    made = network(loss, beta=0.7)
    x = BINARY if loss == "bce" else RNG.standard_normal((7, 6))
    noise = torch.tensor(backend.to_host(same_noise(made).generators()["noise"].normal((7, 3), "float64")))
    terms = same_noise(made).loss_terms(Tensor(x))
    (terms["reconstruction"] + terms["kl"]).backward()

    theirs = {name: torch.tensor(p.numpy(), requires_grad=True) for name, p in made.named_parameters()}
    hidden = torch.tanh(torch.tensor(x) @ theirs["encoder.0.weight"] + theirs["encoder.0.bias"])
    statistics = hidden @ theirs["head.weight"] + theirs["head.bias"]
    posterior = torch.distributions.Normal(statistics[:, :3], (statistics[:, 3:] / 2).exp())
    z = posterior.mean + posterior.stddev * noise
    hidden = torch.tanh(z @ theirs["decoder.0.weight"] + theirs["decoder.0.bias"])
    y = hidden @ theirs["decoder.1.weight"] + theirs["decoder.1.bias"]
    likelihood = (torch.distributions.Bernoulli(logits=y) if loss == "bce"
                  else torch.distributions.Normal(y, theirs["likelihood.log_sigma"].exp()))
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(torch.zeros(3), torch.ones(3)))
    expected = {"reconstruction": -likelihood.log_prob(torch.tensor(x)).sum() / 7, "kl": 0.7 * kl.sum() / 7}
    sum(expected.values()).backward()
    for name in expected:
        assert terms[name].item() == pytest.approx(expected[name].item(), rel=1e-12)
    for name, p in made.named_parameters():
        np.testing.assert_allclose(backend.to_host(p.grad), theirs[name].grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", ["bce", "gaussian"])
@pytest.mark.parametrize("free", [0.0, 0.3])
def test_gradcheck_of_the_loss(loss, free):
    made = network(loss, free_bits=free)

    def total(*parameters):
        terms = same_noise(made).loss_terms(Tensor(BINARY))
        return terms["reconstruction"] + terms["kl"]

    assert gradcheck(total, made.parameters())


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows, backend):
    statistics = np.full((rows, 4), 0.5)
    expected = rows * 2 * 0.5 * (0.25 + np.exp(0.5) - 1.5)
    assert F.gaussian_code_kl(statistics).item() == pytest.approx(expected)
    assert F.gaussian_code(Tensor(statistics), Tensor(np.zeros((rows, 2)))).shape == (rows, 2)
    y = Tensor(np.ones((rows, 3)))
    assert F.gaussian_negative_log_likelihood(y, y, Tensor(0.0, dtype="float64")).item() == pytest.approx(
        rows * 1.5 * np.log(2 * np.pi))


def test_log_variances_are_held_within_bounds(backend):
    statistics = Tensor(np.array([[0.3, 0.3, 0.3, -50.0, 50.0, 2.0]]), requires_grad=True)
    noise = Tensor(np.ones((1, 3)))
    z = F.gaussian_code(statistics, noise)
    np.testing.assert_allclose(z.numpy()[0], 0.3 + np.exp(np.array([-10, 10, 2]) / 2), rtol=1e-12)
    (z.sum() + F.gaussian_code_kl(statistics)).backward()
    gradient = backend.to_host(statistics.grad)[0]
    assert (gradient[3:5] == 0).all() and gradient[5] == pytest.approx(np.exp(1) / 2 + (np.exp(2) - 1) / 2)


def test_free_bits_cost_nothing(backend):
    """Units below have no gradient and count as `free`; those above are as ever."""
    statistics = RNG.standard_normal((5, 6)) * [0.1, 2, 1, 0.1, 1, 1]
    kl = 0.5 * (statistics[:, :3]**2 + np.exp(statistics[:, 3:]) - statistics[:, 3:] - 1).mean(axis=0)
    assert kl[0] < 0.3 < kl[1:].min()
    gradients = []
    for free in (0.0, 0.3):
        t = Tensor(statistics, requires_grad=True)
        value = F.gaussian_code_kl(t, free)
        assert value.item() == pytest.approx(np.maximum(kl, free).sum(), rel=1e-12)
        value.backward()
        gradients.append(backend.to_host(t.grad))
    assert (gradients[1][:, [0, 3]] == 0).all()
    np.testing.assert_array_equal(gradients[1][:, [1, 2, 4, 5]], gradients[0][:, [1, 2, 4, 5]])
    for bad in (-1, np.inf, np.nan):
        with pytest.raises(ValueError, match="free nats"):
            F.gaussian_code_kl(statistics, bad)


class Weights(Callback):
    def __init__(self):
        self.seen = []

    def on_epoch_begin(self, trainer):
        self.seen.append(trainer.model.kl_weight.item())


def test_warm_up(blobs, backend, tmp_path):
    settings = {"hidden": [8], "code": 2, "beta": 2.0, "warmup": 4, "epochs": 6}
    watch = Weights()
    model = VariationalAutoencoder(**settings).fit(blobs, callbacks=[watch], validation=blobs)
    assert watch.seen == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert model.history_[0]["kl"] == 0 and model.history_[1]["kl"] > 0
    assert model.history_[0]["val_kl"] > 0  # always of the whole weight, so that epochs compare
    VariationalAutoencoder(**{**settings, "epochs": 2}).fit(blobs, callbacks=[Checkpoint(tmp_path / "c")])
    watch = Weights()
    resumed = VariationalAutoencoder(**settings).fit(blobs, callbacks=[Checkpoint(tmp_path / "c", resume=True), watch])
    assert watch.seen == [1.0, 1.5, 2.0, 2.0]
    np.testing.assert_array_equal(resumed.transform(blobs), model.transform(blobs))


def test_warm_up_goes_on_from_part_to_part(blobs, backend, tmp_path):
    settings, watch = {"hidden": [8], "code": 2, "beta": 2.0, "warmup": 4}, Weights()
    model = VariationalAutoencoder(**settings, epochs=2)
    for _ in range(5):
        model.partial_fit(blobs, callbacks=[watch])
    assert watch.seen == [0.0, 0.5, 1.0, 1.5, 2.0]
    whole = VariationalAutoencoder(**settings, epochs=5).fit(blobs)
    np.testing.assert_array_equal(model.transform(blobs), whole.transform(blobs))
    watch = Weights()
    short = VariationalAutoencoder(**settings, epochs=2).fit(blobs)
    assert short.network_.kl_weight.item() == 2.0  # what losses are reported with
    short.partial_fit(blobs, callbacks=[watch])
    assert watch.seen == [1.0]
    short.save(tmp_path / "m.safetensors")
    again, watch = load(tmp_path / "m.safetensors"), Weights()
    again.partial_fit(blobs, callbacks=[watch])
    again.fit(blobs, callbacks=[watch])
    assert watch.seen == [2.0, 0.0, 0.5]


def test_the_history_has_both_terms_and_validation_does_not_disturb(blobs, backend):
    model = VariationalAutoencoder([8], 2, epochs=3, binarise=True).fit(blobs, validation=blobs)
    row = model.history_[-1]
    assert row["loss"] == pytest.approx(row["reconstruction"] + row["kl"])
    assert row["val_loss"] == pytest.approx(row["val_reconstruction"] + row["val_kl"])
    plain = VariationalAutoencoder([8], 2, epochs=3, binarise=True).fit(blobs)
    np.testing.assert_array_equal(plain.transform(blobs), model.transform(blobs))


def test_binarisation_is_fresh_and_its_mean_is_the_data():
    x = np.array([[0.0, 1.0, 0.2, 0.7, 0.5, 0.5]])
    made, seen = network(binarise=True), []
    made.statistics = lambda x: seen.append(x.numpy()) or VariationalNetwork.statistics(made, x)
    for _ in range(2):
        made.loss_terms(Tensor(np.repeat(x, 4000, axis=0)))
    assert set(np.unique(seen)) == {0.0, 1.0} and (seen[0] != seen[1]).any()
    np.testing.assert_allclose(np.mean(seen, axis=(0, 1)), x[0], atol=0.02)


# ---------------------------------------------------------------- likelihoods

def linear_gaussian(sigma=0.5, features=6, units=2):
    """A model of which all is known: x = z W + b + sigma e. The rows of W are orthogonal, so q(z | x) can be exact."""
    q, _ = np.linalg.qr(RNG.standard_normal((features, units)))
    w, b = (q * [1.5, 0.7]).T, RNG.standard_normal(features)
    x = RNG.standard_normal((9, features))
    model = VariationalAutoencoder(code=units, loss="gaussian", encoder=Sequential([Flatten()]), epochs=0,
                                   decoder=Sequential([Dense(features)]), dtype="float64").fit(x)
    network = model.network_
    network.decoder[0].weight.assign(w)
    network.decoder[0].bias.assign(b)
    network.reconstruction.log_sigma.assign(np.asarray(np.log(sigma)))
    variance = 1 / (1 + np.square(w).sum(axis=1) / sigma**2)
    slope = w.T * variance / sigma**2
    network.head.weight.assign(np.hstack([slope, np.zeros_like(slope)]))
    network.head.bias.assign(np.concatenate([-b @ slope, np.log(variance)]))
    covariance = w.T @ w + sigma**2 * np.eye(features)
    difference = x - b
    distance = (difference @ np.linalg.inv(covariance) * difference).sum(axis=1)
    exact = -0.5 * (distance + np.linalg.slogdet(covariance)[1] + features * np.log(2 * np.pi))
    return model, x, exact


def test_the_likelihood_of_a_linear_gaussian_model_is_exact(backend):
    """With the exact posterior every weight is p(x) itself, whatever z."""
    model, x, exact = linear_gaussian()
    for samples in (1, 3, 5000):
        np.testing.assert_allclose(model.log_likelihood(x, samples=samples), exact, rtol=1e-12)
    np.testing.assert_allclose(model.elbo(x, samples=20_000, seed=1), exact, atol=0.1)


def test_with_a_wrong_posterior_the_bound_rises_to_the_likelihood():
    model, x, exact = linear_gaussian()
    head = model.network_.head
    head.bias.assign(head.bias.numpy() + [0.5, -0.5, 0.7, 0.7])
    many, known = np.repeat(x, 300, axis=0), np.repeat(exact, 300)
    gaps = [(known - model.log_likelihood(many, samples=k)).mean() for k in (1, 10, 100)]
    elbo = model.elbo(x, samples=2000)
    assert (exact - elbo).mean() == pytest.approx(gaps[0], abs=0.15)  # one draw is the evidence lower bound
    assert gaps[0] > 1.5 and 0.3 * gaps[0] > gaps[1] > 3 * gaps[2] > 0
    assert abs((exact - model.log_likelihood(x, samples=5000)).mean()) < 0.02


@pytest.mark.parametrize("loss", ["bce", "gaussian"])
def test_densities_are_the_loss_of_every_row(loss, backend):
    """The fast log p(x | z) for many z against the training loss of one row at a time, also for saturated outputs."""
    made = network(loss).eval()
    x, y = RNG.random((2, 1, 6)), RNG.normal(0, 30 if loss == "bce" else 1, (2, 4, 6))
    fast = backend.to_host(made.reconstruction.log_density(backend.asarray(y), backend.asarray(x)))
    for n in range(2):
        for k in range(4):
            assert fast[n, k] == pytest.approx(-made.reconstruction.loss(Tensor(y[n, k:k + 1]), Tensor(x[n])).item())


def test_seeds_repeat_and_samples_split_as_memory_demands(blobs, monkeypatch, backend):
    model = VariationalAutoencoder([8], 2, epochs=2, dtype="float64").fit(blobs)
    whole = model.log_likelihood(blobs[:5], samples=50, seed=3)
    np.testing.assert_array_equal(model.log_likelihood(blobs[:5], samples=50, seed=3), whole)
    assert (model.log_likelihood(blobs[:5], samples=50, seed=4) != whole).any()
    assert (model.elbo(blobs, samples=200) < model.log_likelihood(blobs, samples=200)).mean() > 0.9
    monkeypatch.setattr("miniae.models.importance._VALUES", {"numpy": 1000})
    np.testing.assert_allclose(model.log_likelihood(blobs[:5], samples=50, seed=3), whole, rtol=1e-12)


def test_grey_pixels_stay_above_their_entropy(blobs):
    """What a "loss of 105" hides: the floor is no model's merit."""
    model = VariationalAutoencoder([16], 3, epochs=60, lr=1e-2).fit(blobs)
    loss, floor = -model.elbo(blobs, samples=20).mean(), metrics.bce_floor(blobs)
    print(f"minus the ELBO of grey values: {loss:.2f} nats, of which {floor:.2f} are their entropy")
    assert floor < loss < floor + 5


def test_the_kl_is_that_of_the_history(blobs):
    model = VariationalAutoencoder([8], 3, epochs=20, lr=1e-2).fit(blobs, validation=blobs)
    assert model.unit_kl(blobs).sum() == pytest.approx(model.history_[-1]["val_kl"], rel=1e-4)
    mean, log_variance = model.statistics(blobs)
    np.testing.assert_array_equal(mean, model.transform(blobs))
    assert log_variance.shape == mean.shape == model.kl(blobs).shape == (150, 3)


# ---------------------------------------------------------------- training

def test_it_learns(blobs):
    """Three units carry the three dimensions; samples have the data's mean and spread."""
    model = VariationalAutoencoder([24], 3, loss="gaussian", epochs=150, lr=1e-2, batch_size=50).fit(blobs)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"] - 10
    assert (model.unit_kl(blobs) > 0.5).all()
    samples = model.sample(500, seed=1)
    np.testing.assert_allclose(samples.mean(axis=0), blobs.mean(axis=0), atol=0.12)
    np.testing.assert_allclose(samples.std(axis=0), blobs.std(axis=0), atol=0.12)
    np.testing.assert_array_equal(model.sample(500, seed=1), samples)
    assert np.exp(model.network_.reconstruction.log_sigma.item()) < 0.2


@pytest.mark.parametrize("code, named", [(3, "0, 1, 2"), (5, "0, 1, 2, 3, 4"), (7, "0, 1, 2, 3, 4, ...")])
def test_collapsed_units_are_named(code, named):
    noise = (np.random.default_rng(1).random((400, 5)) < 0.5).astype(float)
    says = re.escape(f"{code} of {code} latent units have a KL under 0.01 nats: {named}. A smaller")
    with pytest.warns(PosteriorCollapse, match=says) as caught:
        VariationalAutoencoder([4], code, beta=20.0, epochs=30, lr=1e-2).fit(noise)
    assert len(caught) == 1 and "\n" not in str(caught[0].message)


@pytest.mark.filterwarnings("error")
def test_busy_units_are_not(blobs):
    VariationalAutoencoder([16], 2, beta=0.1, epochs=40, lr=1e-2).fit(blobs)
    VariationalAutoencoder([16], 2, epochs=0).fit(blobs)


def test_files(blobs, tmp_path, backend):
    for settings in ({"loss": "gaussian", "scaling": "standard"}, {"binarise": True, "free_bits": 0.1, "beta": 0.5}):
        model = VariationalAutoencoder([8], 2, epochs=2, batch_norm=True, **settings).fit(blobs)
        model.save(tmp_path / "m.safetensors")
        again = load(tmp_path / "m.safetensors")
        assert isinstance(again, VariationalAutoencoder) and again.beta == model.beta
        for use in ("transform", "reconstruct", "elbo", "unit_kl"):
            np.testing.assert_array_equal(getattr(again, use)(blobs), getattr(model, use)(blobs))
        np.testing.assert_array_equal(again.log_likelihood(blobs, samples=7), model.log_likelihood(blobs, samples=7))
        np.testing.assert_array_equal(again.sample(3), model.sample(3))
        assert again.fit(blobs).history_[0]["loss"] == model.history_[0]["loss"]
        again.partial_fit(blobs)


def convolutional():
    encoder = Sequential([Conv2D(4, 3, stride=2, padding="same", activation="relu")])
    decoder = Sequential([Dense(4 * 4 * 4, "relu"), Reshape((4, 4, 4)), ConvTranspose2D(1, 3, 2, padding="same")])
    return {"encoder": encoder, "decoder": decoder}


def test_convolutional_layers_of_ones_own(tmp_path, backend):
    images = np.random.default_rng(0).random((30, 1, 8, 8), dtype=np.float32)
    model = VariationalAutoencoder(code=3, epochs=2, **convolutional()).fit(images)
    assert model.transform(images).shape == (30, 3) and model.sample(2).shape == (2, 1, 8, 8)
    assert model.log_likelihood(images[:2], samples=10).shape == (2,)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").reconstruct(images), model.reconstruct(images))
    flat = VariationalAutoencoder([6], 3, epochs=1).fit(images[:, 0])
    assert flat.sample(2).shape == (2, 8, 8) and flat.elbo(images[:, 0]).shape == (30,)


class Step:
    """One update of a network, on the same batch each time."""

    def __init__(self, be, **settings):
        self.model = network(dtype="float32", backend=be, **settings)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.x = Tensor(BINARY, dtype="float32", backend=be)

    def __call__(self):
        self.optimizer.zero_grad()
        terms = self.model.loss_terms(self.x)
        (terms["reconstruction"] + terms["kl"]).backward()
        self.optimizer.step()


@pytest.mark.parametrize("settings", [{"binarise": True}, {"loss": "gaussian"}, {"free_bits": 0.3}],
                         ids=["binarise", "gaussian", "free bits"])
def test_a_step_can_be_recorded(settings):
    """The noise goes on, and a weight of the KL term set from outside takes effect, as it lives on the device."""
    eager, recorded = Step(Backend(np), **settings), Step(get("strict"), **settings)  # the kernels of both are the same
    for _ in range(4):
        eager()
    replay = get("strict").capture(recorded, warmup=2)
    for _ in range(2):
        replay()
    for step in (eager, recorded):
        step.model.kl_weight.assign(np.asarray(0.1))
    eager()
    replay()
    for mine, theirs in zip(recorded.model.parameters(), eager.model.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


# ---------------------------------------------------------------- use

def test_traversals_and_interpolations(blobs):
    model = VariationalAutoencoder([8], 3, epochs=3).fit(blobs)
    shown = model.traverse(blobs[:2], [2, 0], span=(-2, 2), steps=5)
    assert shown.shape == (2, 2, 5, 12)
    codes = np.repeat(model.transform(blobs[:1]), 5, axis=0)
    codes[:, 0] = np.linspace(-2, 2, 5)
    np.testing.assert_allclose(shown[0, 1], model.inverse_transform(codes), atol=1e-6)
    assert model.traverse(blobs[:1], 1).shape == (1, 1, 9, 12) and model.traverse(blobs[:1]).shape == (1, 3, 9, 12)
    ends = model.interpolate(blobs[:4], blobs[4:8], steps=3)
    np.testing.assert_allclose(ends[:, 0], model.reconstruct(blobs[:4]), atol=1e-6)


def test_options_of_all_autoencoders(blobs):
    model = VariationalAutoencoder([8], 2, epochs=2, dropout=0.1, l2=1e-3, max_norm=2.0, batch_norm=True, patience=1,
                                   corruption=[nn.GaussianNoise(0.1)], clip=1.0)
    assert model.fit(blobs, validation=blobs).history_[-1].keys() >= {"kl", "l2", "val_kl"}
    assert "beta" in model.get_params() and "beta=2" in repr(VariationalAutoencoder(beta=2))


@pytest.mark.parametrize("settings,message", [
    ({"loss": "mse"}, "one of bce, gaussian; got 'mse'"),
    ({"output_activation": "linear"}, "leave output_activation out"),
    ({"beta": -1}, "beta must be a finite number"),
    ({"free_bits": float("nan")}, "free_bits must be a finite number"),
    ({"warmup": -1}, "warmup must be an integer"),
    ({"warmup": 1.5}, "warmup must be an integer"),
    ({"binarise": 1}, "binarise is True or False"),
    ({"binarise": True, "loss": "gaussian"}, "whose loss is 'bce'"),
    ({"tied": True}, "can't be tied"),
    ({"code_activation": "relu"}, "a variational code is linear"),
])
def test_bad_parameters(settings, message, blobs):
    with pytest.raises(ValueError, match=message):
        VariationalAutoencoder([4], 2, **settings).fit(blobs)


def test_bad_data(blobs):
    with pytest.raises(ValueError, match=r"need values in \[0, 1\]"):
        VariationalAutoencoder([4], 2).fit(blobs * 2)
    model = VariationalAutoencoder([4], 2, epochs=1).fit(blobs)
    for use in (model.elbo, model.log_likelihood):
        with pytest.raises(ValueError, match="samples must be an integer"):
            use(blobs, samples=0)
        with pytest.raises(ValueError, match="was trained without"):
            use(blobs, np.zeros(150))
    with pytest.raises(ValueError, match="no latent unit 2"):
        model.traverse(blobs, 2)
    with pytest.raises(ValueError, match="was trained without"):
        model.sample(2, labels=[0, 1])
    with pytest.raises(ValueError, match="the noise has shape"):
        F.gaussian_code(np.zeros((2, 4)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"\(N, 2 units\)"):
        F.gaussian_code_kl(np.zeros((2, 3)))
