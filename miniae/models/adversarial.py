"""Adversarial autoencoders: a second network that tries to tell codes from draws of the prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.models.classifier import check_labels
from miniae.models.estimator import check_sizes
from miniae.models.labelled import Labelled
from miniae.models.matched import MatchedAutoencoder, MatchedNetwork
from miniae.models.priors import Prior, check_parts, get_prior
from miniae.nn import Dense, Layer, Sequential
from miniae.nn.layer import Shape
from miniae.nn.parameter import Parameter
from miniae.optim import Adam, Alternating
from miniae.training import Trainer, check_number

__all__ = ["AdversarialAutoencoder", "AdversarialNetwork"]

# Adam's usual 0.9 lets two networks that chase each other overshoot. Radford, Metz and Chintala, ICLR 2016, section 4.
_BETA1 = 0.5

UNLABELLED = -1
"""The label of a sample whose class is not known, as scikit-learn has it."""


class AdversarialNetwork(MatchedNetwork):
    """An autoencoder and a discriminator D, whose output is the logit of "this is a draw from the prior, not a code":

        reconstruction   L(x, decoder(encoder(x)))                          lowered by encoder and decoder
        discriminator    1/2 mean softplus(-D(z)) + 1/2 mean softplus(D(c))   by D, for draws z and codes c = encoder(x)
        encoder          mean softplus(-D(c))                               by the encoder

    The last two are the cross-entropies of D's answers with the right ones and, for the encoder, with the wrong ones it
    wants to hear. Both are log 2 = 0.69 when D can't tell. `phase` is the one of these losses that is wanted; None
    means all. With `classes` D is also told the label of a code, and whether it has one: a row with a 1 in one of
    classes + 1 places; and the draws it is compared with come from the prior's part of that label.

    Makhzani et al., "Adversarial autoencoders", 2015, sections 2 and 2.3.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, discriminator: Sequence[int] = (256, 256),
                 classes: int = 0, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.classes, self._sizes = classes, list(discriminator)
        self.discriminator = Sequential([*[Dense(int(units), "relu") for units in discriminator], Dense(1)])
        self.phase: str | None = None

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        if self.classes:
            check_parts(self.prior, self.classes)
        told = self.classes + 1 if self.classes else 0
        self.discriminator.build((self.code_shape[0] + told,), self.place.child("discriminator"))
        self._one_hot = self.place.backend.asarray([[*range(self.classes), UNLABELLED]], "int64")

    def begin(self, phase: str | None) -> None:
        """From now on only the loss of this phase is wanted."""
        self.phase = phase

    def loss_terms(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """The losses of the phase, or of all. `labels` (N,) are integers from 0, or -1 where a label is not known."""
        terms = super().loss_terms(x) if self.phase in (None, "reconstruction") else {}
        if self.phase == "reconstruction":
            return terms
        code, labels = self.encoder(x), self._labels(labels, len(x))
        told = self._told(labels, code)
        if self.phase in (None, "discriminator"):
            drawn = self.discriminate(self.draw(len(x), labels), told)
            found = self.discriminate(code.detach(), told)
            terms["discriminator"] = _mean(F.softplus(-drawn) + F.softplus(found)) * 0.5
        if self.phase in (None, "encoder"):
            terms["encoder"] = _mean(F.softplus(-self.discriminate(code, told)))
        return terms

    def discriminate(self, z: Tensor, told: Tensor | None = None) -> Tensor:
        """The logit of z (N, code) being drawn from the prior, rather than a code, given what is known of its label."""
        return self.discriminator(z if told is None else F.concatenate([z, told], 1))

    def _labels(self, labels: Tensor | None, n: int) -> Any:
        """The labels as an array of the device; None where this network knows no classes."""
        if not self.classes or labels is not None:
            return labels if labels is None else labels._data
        unknown = self.place.backend.empty((n,), "int64")
        self.place.backend.fill(unknown, UNLABELLED)
        return unknown

    def _told(self, labels: Any, code: Tensor) -> Tensor | None:
        """The labels as rows with a single 1, the last place meaning that there is no label: (N, classes + 1)."""
        if labels is None:
            return None
        rows = code.backend.empty((len(labels), self.classes + 1), code.dtype)
        code.backend.xp.equal(labels.reshape(-1, 1), self._one_hot, out=rows)
        return Tensor._wrap(rows, code.backend)

    def penalised(self) -> list[Parameter]:
        return [p for name, p in self.named_parameters() if not name.startswith("discriminator.")]

    def children(self) -> dict[str, Layer]:
        return {**super().children(), "discriminator": self.discriminator}

    def config(self) -> dict[str, Any]:
        return {**super().config(), "discriminator": self._sizes, "classes": self.classes}


def _mean(of: Tensor) -> Tensor:
    """The mean over samples, of one number each; 0 where there are none, on a rank that is left without."""
    return of.sum() * (1.0 / max(len(of), 1))


class AdversarialAutoencoder(Labelled, MatchedAutoencoder):
    """An autoencoder whose codes a discriminator can't tell from draws of a prior.

    Every minibatch has three steps: encoder and decoder lower the reconstruction's loss; the discriminator learns to
    tell draws of the prior from codes; the encoder learns to be mistaken for the prior. See `AdversarialNetwork` for
    the losses, which the history shows apart: `discriminator` and `encoder` are near log 2 = 0.69 where the codes are
    as they should be.

    With labels, the codes of each class go to one part of the prior, and `sample` makes new samples of a class. A label
    of -1 means that it is not known; the code of such a sample may go anywhere within the prior.

    Parameters
    ----------
    prior : "gaussian", "mixture" (of ten Gaussians on a ring), "swiss_roll", or a `models.Prior`. With labels, it must
        have as many parts as there are labels; they are not used where it has none, as "gaussian".
    discriminator : sizes of the discriminator's hidden layers.
    adversarial_lr : learning rate of the steps of the discriminator and of the encoder against it, by Adam with beta1 =
        0.5. Much below `lr` the encoder spreads its codes faster than it can be held back, much above it the codes are
        kept in place at the expense of the reconstruction. A schedule changes it in proportion to `lr`.

    All else is as in `Autoencoder`; `patience` watches the reconstruction of held-out data, as nobody lowers the sum of
    losses of which one's gain is the other's loss. `optimizer` and `lr` are those of the reconstruction; `l1`, `l2` and
    `max_norm` leave the discriminator out.

    Makhzani, Shlens, Jaitly, Goodfellow and Frey, "Adversarial autoencoders", 2015.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((100, 8), dtype=np.float32)
    >>> AdversarialAutoencoder([6], 2, epochs=3).fit(X).sample(5).shape
    (5, 8)
    """

    monitor = "val_reconstruction"
    network_: AdversarialNetwork
    network_class = AdversarialNetwork
    network_settings = (*MatchedAutoencoder.network_settings, "discriminator", "classes")

    def __init__(self, hidden: Sequence[int] = (128,), code: int = 8, *, prior: str | Prior = "gaussian",
                 discriminator: Sequence[int] = (256, 256), lr: float = 5e-4, adversarial_lr: float = 5e-4,
                 **settings: Any):
        super().__init__(hidden, code, lr=lr, **settings)
        self.prior, self.discriminator, self.adversarial_lr = prior, discriminator, adversarial_lr

    # ---------------------------------------------------------------- training

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_sizes("discriminator", self.discriminator)
        check_number("adversarial_lr", self.adversarial_lr)

    def _classes_in(self, y: Any, n: int) -> np.ndarray:
        return np.empty(0, int) if y is None or not self._has_parts() else known_labels(check_labels(y, n))

    def _has_parts(self) -> bool:
        """Whether labels can have a part of the prior each. With another prior they are not used, so that this model
        can stand before a classifier in a pipeline."""
        return get_prior(self.prior).parts > 0

    def _held_out(self, validation: Any) -> Any:
        pair = isinstance(validation, (tuple, list)) and len(validation) == 2 and np.ndim(validation[0]) > 1
        return super()._held_out(validation[0] if pair and not self._has_parts() else validation)

    def _beside(self, scaled: Any, y: Any, name: str = "y") -> Any:
        return super()._beside(scaled, y if self._has_parts() else None, name)

    def _told(self, y: Any, n: int, name: str = "y") -> np.ndarray | None:
        """The numbers of the prior's parts that labels stand for, -1 for unknown ones; y None: all are unknown."""
        if not self.classes:
            self._without(y)
            return None
        if y is None:
            return np.full(n, UNLABELLED)
        labels = check_labels(y, n, name)
        known = is_known(labels)
        self._check_known(labels[known], name, ", or -1 for an unknown one")
        return np.where(known, np.searchsorted(self.classes_, labels), UNLABELLED)

    def _make_trainer(self, parameters: list[Parameter]) -> Trainer:
        network = self.network_
        trainer = super()._make_trainer(network.penalised())
        learning = {"discriminator": network.discriminator, "encoder": network.encoder}
        adversaries = {phase: Adam(part.parameters(), lr=self.adversarial_lr, beta1=_BETA1)
                       for phase, part in learning.items()}
        trainer.optimizer = Alternating({"reconstruction": trainer.optimizer, **adversaries}, network.begin)
        return trainer

    # ---------------------------------------------------------------- use

    def _parts(self, n: int, labels: Any) -> np.ndarray | None:
        return None if labels is None else self._told(labels, n, "labels")

    def _without(self, labels: Any) -> None:
        if not self.classes:  # with classes there is nothing to refuse, but encoder and decoder need no label
            super()._without(labels)


def is_known(labels: np.ndarray) -> np.ndarray:
    """Where labels are not -1. Strings always are."""
    return np.ones(len(labels), bool) if labels.dtype.kind == "U" else labels != UNLABELLED


def known_labels(labels: np.ndarray) -> np.ndarray:
    """The labels there are, sorted, without -1. Raises `ValueError` when there is none."""
    known = np.unique(labels[is_known(labels)])
    if not len(known):
        raise ValueError("y holds only -1, which means that a label is not known: give some labels, or leave y out")
    return known
