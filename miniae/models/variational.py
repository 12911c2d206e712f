"""Variational autoencoders: codes that are distributions, trained towards a known one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.backend.philox import host_generator
from miniae.data.scaling import Scaler
from miniae.functions.latent import BOUND
from miniae.models.autoencoder import Autoencoder
from miniae.models.estimator import Scaled
from miniae.models.generative import GenerativeAutoencoder
from miniae.models.importance import log_mean_exp, log_weights
from miniae.models.likelihoods import LIKELIHOODS, Likelihood, make_likelihood
from miniae.models.network import AutoencoderNetwork
from miniae.models.priors import Gaussian
from miniae.nn import Dense, Flatten, Layer, Sequential
from miniae.nn.layer import Shape
from miniae.training import Callback, Trainer, check_count, check_number

if TYPE_CHECKING:
    pass

__all__ = ["COLLAPSED", "PosteriorCollapse", "VariationalAutoencoder", "VariationalNetwork", "WarmUp"]

COLLAPSED = 0.01
"""A latent unit whose KL is below so many nats tells nothing of the input."""

# How many samples are looked at to find such units after training.
_LOOKED_AT = 10_000
# How many of them are named.
_NAMED = 5


class VariationalNetwork(AutoencoderNetwork):
    """x -> encoder -> features -> head -> (m, l);  z = m + exp(l/2) e, e ~ N(0, 1);  z -> decoder -> p(x | z).

    Minimised is -log p(x | z) + beta KL(N(m, exp(l)) || N(0, 1)), which is minus the evidence lower bound for beta 1.
    `encoder` gives features of any shape; the head, a Dense layer with small weights, turns them into the means and
    log-variances of `code` units. `beta` in effect is `kl_weight`, on the device, so that it can change as training
    goes on; `free_bits` are the nats that a unit may have without cost. With `binarise` the data are probabilities,
    and every batch draws its pixels from them. Outside training a code is its mean, and losses take the same noise at
    every call. Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014; Higgins et al., "beta-VAE", 2017.
    """

    prior = Gaussian()
    reconstruction: Likelihood

    def __init__(self, encoder: Layer, decoder: Layer, loss: str = "bce", *args: Any, code: int = 32,
                 beta: float = 1.0, free_bits: float = 0.0, binarise: bool = False, **kwargs: Any):
        super().__init__(encoder, decoder, loss, *args, **kwargs)
        self.code, self.beta, self.free_bits, self.binarise = int(code), float(beta), float(free_bits), binarise
        self.head = Dense(2 * self.code, None, "normal")

    def make_reconstruction(self, loss: str, activation: str | None) -> Likelihood:
        return make_likelihood(loss, activation)

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        self.reconstruction.build(input_shape, self.place.child("likelihood"))
        self.kl_weight = Tensor(self.beta, dtype=self.place.dtype, backend=self.place.backend)
        self._noise, self._pixels = self.generator("noise"), self.generator("pixels")

    def make_encoder(self, input_shape: Shape) -> Shape:
        features = super().make_encoder(input_shape)
        self.head.build((math.prod(features),), self.place.child("head"))
        return (self.code,)

    # `labels` are what a conditional network is told beside x or z; here there are none.

    def statistics(self, x: Tensor, *labels: Tensor) -> Tensor:
        """The means and log-variances of z, side by side: (N, 2 code)."""
        return self.head(F.flatten(self.encoder(self.with_labels(x, *labels))))

    def encode(self, x: Tensor, *labels: Tensor) -> Tensor:
        return self.statistics(x, *labels)[:, :self.code]

    def code_layers(self) -> list[Layer]:
        means = Dense(self.code)
        means.build(self.head.input_shape, self.place.child("means"))
        means.weight.assign(self.head.weight.numpy()[:, :self.code])
        means.bias.assign(self.head.bias.numpy()[:self.code])
        return [self.encoder, Flatten(), means]

    def outputs(self, z: Tensor, *labels: Tensor) -> Tensor:
        """The decoder's outputs, as the likelihood reads them."""
        return self.decoder(self.with_labels(z, *labels))

    def decode(self, z: Tensor, *labels: Tensor) -> Tensor:
        return self.reconstruction(self.outputs(z, *labels))

    def with_labels(self, a: Tensor, *labels: Tensor) -> Tensor:
        """What encoder and decoder get to see of `a` and labels."""
        return a

    def forward(self, x: Tensor, *labels: Tensor) -> Tensor:
        return self.decode(self.encode(x, *labels), *labels)

    def loss_terms(self, x: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        be = x.backend
        if self.binarise:
            x = Tensor._wrap(self.draws(self._pixels).bernoulli(x._data), be)
        statistics = self.statistics(self.corrupted(x), *labels)
        noise = Tensor._wrap(self.draws(self._noise).normal((len(x), self.code), x.dtype), be)
        z = F.gaussian_code(statistics, noise)
        weight = self.kl_weight if self.training else self.beta
        return {"reconstruction": self.reconstruction.loss(self.outputs(z, *labels), x),
                "kl": F.gaussian_code_kl(statistics, self.free_bits) * weight, **self.penalty_terms()}

    def children(self) -> dict[str, Layer]:
        return {**super().children(), "head": self.head, "likelihood": self.reconstruction}

    def config(self) -> dict[str, Any]:
        return {**super().config(), "code": self.code, "beta": self.beta, "free_bits": self.free_bits,
                "binarise": self.binarise}


class WarmUp(Callback):
    """Lets the weight of the KL term rise from 0, in a straight line over `epochs` epochs, to the network's beta.

    Bowman et al., "Generating sentences from a continuous space", 2016; Sonderby et al., "Ladder variational
    autoencoders", 2016.
    """

    only_device = True

    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_epoch_begin(self, trainer: Trainer) -> None:
        network = trainer.model
        network.kl_weight.assign(np.asarray(network.beta * min(1.0, trainer.epoch / self.epochs)))

    def on_train_end(self, trainer: Trainer) -> None:
        trainer.model.kl_weight.assign(np.asarray(trainer.model.beta))

    def fixed_settings(self) -> dict[str, Any]:
        return {"warmup": self.epochs}


class PosteriorCollapse(UserWarning):
    """Some latent units carry no information: the decoder does without them."""


class VariationalAutoencoder(GenerativeAutoencoder):
    """An autoencoder whose code is a distribution, held towards the standard normal: a model of p(x).

    z ~ N(0, 1), x ~ p(x | z) by the decoder; the encoder gives q(z | x) = N(m, exp(l)). Trained to maximise the
    evidence lower bound E_q[log p(x | z)] - beta KL(q(z | x) || N(0, 1)), in nats, of which the history has both terms:
    `reconstruction`, and `kl`, weighted.

    Parameters beside those of `Autoencoder`
    ----------------------------------------
    beta : the weight of the KL term.
    warmup : for so many epochs that weight rises from 0 to beta, also by `partial_fit`; not again in a loaded model.
    free_bits : nats that each latent unit may have without cost, in the mean over a batch.
    loss : "bce" (Bernoulli, for data in [0, 1]) or "gaussian" (with one learnt standard deviation for all features).
    binarise : the data are probabilities of binary pixels, and every batch draws these anew, as input and as target:
        "dynamic binarisation" (Burda et al. 2016, Salakhutdinov and Murray 2008).
    encoder, decoder : of your own: the encoder gives features, of any shape, which a further layer turns into means and
        log-variances of `code` units; the decoder takes (N, code).

    `transform` gives means and is deterministic. `fit` warns (`PosteriorCollapse`) of units that tell less than 0.01
    nats. For a scaled model likelihoods are of the scaled data.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((100, 8), dtype=np.float32).round()
    >>> model = VariationalAutoencoder(hidden=[16], code=2, epochs=100, lr=1e-2).fit(X)
    >>> model.sample(3, seed=1).shape, model.log_likelihood(X[:5], samples=100).shape
    ((3, 8), (5,))

    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014; Rezende, Mohamed and Wierstra, "Stochastic
    backpropagation", ICML 2014.
    """

    network_: VariationalNetwork

    losses = tuple(LIKELIHOODS)
    loss_of_real_data = "gaussian"
    network_class: ClassVar[type[VariationalNetwork]] = VariationalNetwork
    network_settings = (*Autoencoder.network_settings, "code", "beta", "free_bits", "binarise")

    def __init__(self, hidden: Sequence[int] = (128,), code: int = 32, *, beta: float = 1.0, warmup: int = 0,
                 free_bits: float = 0.0, loss: str = "bce", binarise: bool = False, **settings: Any):
        super().__init__(hidden, code, loss=loss, **settings)
        self.beta, self.warmup, self.free_bits, self.binarise = beta, warmup, free_bits, binarise

    # ---------------------------------------------------------------- training

    def _look_over(self, rows: Any) -> None:
        """Name the latent units that training has left without information."""
        if not self.history_:
            return
        told = rows if isinstance(rows, tuple) else (rows,)
        kl = self._kl(*(part[:_LOOKED_AT] for part in told)).mean(axis=0)
        idle = np.flatnonzero(kl < COLLAPSED)
        if len(idle):
            named = ", ".join(map(str, idle[:_NAMED])) + ", ..." * (len(idle) > _NAMED)
            warnings.warn(f"posterior collapse: {len(idle)} of {self.network_.code} latent units have a KL under "
                          f"{COLLAPSED} nats: {named}. A smaller beta, warmup or free_bits may wake them, if the data "
                          "have use for them", PosteriorCollapse, stacklevel=3)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("beta", self.beta)
        check_number("free_bits", self.free_bits)
        check_count("warmup", self.warmup, least=0)
        if not isinstance(self.binarise, bool):
            raise ValueError(f"binarise is True or False, got {self.binarise!r}")
        if self.binarise and self.loss != "bce":
            raise ValueError(f"binarise draws binary pixels, whose loss is 'bce'; got loss={self.loss!r}")
        if self.tied:
            raise ValueError("a variational decoder can't be tied: the encoder ends in means and variances. "
                             "Leave tied out")
        if self.code_activation != "linear":
            raise ValueError(f"a variational code is linear, got code_activation={self.code_activation!r}")

    def _dense_encoder(self, input_shape: Shape) -> Sequential:
        return super()._dense_encoder(input_shape)[:-1]  # the network's head takes the place of the code

    def _bounds(self) -> list[Callback]:
        return super()._bounds() + ([WarmUp(self.warmup)] if self.warmup and not self._warm else [])

    def _set_fitted(self, network: Any, scaler: Scaler) -> None:
        super()._set_fitted(network, scaler)
        self._warm = False

    def _set_loaded(self, header: dict[str, Any]) -> None:
        super()._set_loaded(header)
        self._warm = True

    # ---------------------------------------------------------------- generation

    def draw_codes(self, n: int, labels: Any = None, seed: int = 0) -> np.ndarray:
        return host_generator(seed, "codes").standard_normal((n, self.network_.code)).astype(self.network_.place.dtype)

    # ---------------------------------------------------------------- likelihoods

    def statistics(self, X: Any, y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """The means and log-variances of q(z | x): (N, ...) to (N, code) each."""
        return self._statistics(*self._rows(X, y))

    def _statistics(self, *rows: Scaled) -> tuple[np.ndarray, np.ndarray]:
        found = self._through(self._network().statistics, *rows)
        return found[:, :self.network_.code], np.clip(found[:, self.network_.code:], -BOUND, BOUND)

    def kl(self, X: Any, y: Any = None) -> np.ndarray:
        """KL(q(z | x) || N(0, 1)) of each sample and latent unit, in nats: (N, ...) to (N, code), float64."""
        return self._kl(*self._rows(X, y))

    def _kl(self, *rows: Scaled) -> np.ndarray:
        """`kl` of what the network is given."""
        mean, log_variance = (a.astype(np.float64) for a in self._statistics(*rows))
        return 0.5 * (np.square(mean) + np.exp(log_variance) - log_variance - 1.0)

    def unit_kl(self, X: Any, y: Any = None) -> np.ndarray:
        """What each latent unit tells of x: its KL in nats, the mean over samples; (code,)."""
        return self.kl(X, y).mean(axis=0)

    def elbo(self, X: Any, y: Any = None, *, samples: int = 1, seed: int = 0) -> np.ndarray:
        """The evidence lower bound of each sample, in nats: (N, ...) to (N,), float64.

        E_q[log p(x | z)] - KL(q(z | x) || N(0, 1)), the expectation by so many draws of z, the KL exact. X is taken as
        it is: for a likelihood, binary pixels must be binary.
        """
        rows, network = self._rows(X, y), self._network()
        densities = log_weights(network, rows, check_count("samples", samples), seed, ratio=False)
        return np.concatenate([part.mean(axis=1) for part in densities]) - self.kl(X, y).sum(axis=1)

    def log_likelihood(self, X: Any, y: Any = None, *, samples: int = 5000, seed: int = 0) -> np.ndarray:
        """log p(x) of each sample, in nats: the importance-weighted bound of k draws, (N, ...) to (N,), float64.

        log 1/k sum_k p(x | z_k) p(z_k) / q(z_k | x), z_k ~ q(z | x): below log p(x) in expectation, and nearer the
        larger k is. Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, equation 8.
        """
        rows, network = self._rows(X, y), self._network()
        weights = log_weights(network, rows, check_count("samples", samples), seed)
        return np.concatenate([log_mean_exp(part) for part in weights])

    def _rows(self, X: Any, y: Any, name: str = "y") -> tuple[Scaled, ...]:
        """What the network is given: the scaled samples."""
        self._without(y)
        return (self._scaled(X),)
