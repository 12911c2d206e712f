"""Variational autoencoders that are told the class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.data.errors import a_kind
from miniae.models.classifier import check_labels
from miniae.models.estimator import Scaled
from miniae.models.labelled import Labelled, each
from miniae.models.variational import VariationalAutoencoder, VariationalNetwork
from miniae.nn import Layer
from miniae.nn.layer import Shape
from miniae.training import check_samples

__all__ = ["ConditionalNetwork", "ConditionalVariationalAutoencoder"]


class ConditionalNetwork(VariationalNetwork):
    """A variational network whose encoder and decoder also get labels, one-hot rows (N, classes).

    They stand behind a vector's features, and as constant planes behind an image's channels; samples of other shapes,
    and without `planes` images, too, become vectors.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, classes: int, planes: bool = True, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.classes, self.planes = classes, planes

    def make_encoder(self, input_shape: Shape) -> Shape:
        return super().make_encoder(self._with_classes(input_shape))

    def make_decoder(self, code_shape: Shape) -> Shape:
        return super().make_decoder(self._with_classes(code_shape))

    def _with_classes(self, shape: Shape) -> Shape:
        if len(shape) == 3 and self.planes:
            return (shape[0] + self.classes, *shape[1:])
        return (math.prod(shape) + self.classes,)

    def with_labels(self, a: Tensor, *labels: Tensor) -> Tensor:
        if not labels:
            raise ValueError("this network is conditional: give labels with the samples")
        (rows,) = labels
        if a.ndim == 4 and self.planes:
            rows = F.broadcast_to(rows.reshape(*rows.shape, 1, 1), (*rows.shape, *a.shape[2:]))
        else:
            a = F.flatten(a)
        return F.concatenate([a, rows], 1)

    def code_layers(self) -> list[Layer]:
        raise ValueError("a conditional model's encoder is told the label of each sample, which a classifier has to "
                         "find out: take the codes of a model that is not")

    def config(self) -> dict[str, Any]:
        return {**super().config(), "classes": self.classes, "planes": self.planes}


class ConditionalVariationalAutoencoder(Labelled, VariationalAutoencoder):
    """A model of p(x | label): encoder and decoder of a `VariationalAutoencoder` are told the label of each sample.

    So the code is left with what the label does not say (of a digit, the hand), and samples can be ordered by label.
    All that takes samples takes their labels too. Parameters are those of `VariationalAutoencoder`; `classes_` are the
    labels, sorted. Kingma et al., "Semi-supervised learning with deep generative models", NIPS 2014, model M2; Sohn,
    Lee and Yan, "Learning structured output representation using deep conditional generative models", NIPS 2015.

    >>> import numpy as np
    >>> y = np.arange(300) % 3
    >>> X = y[:, None] + np.random.default_rng(0).standard_normal((300, 1)) * np.ones(8)
    >>> model = ConditionalVariationalAutoencoder([16], 1, loss="gaussian", epochs=20, lr=1e-2).fit(X, y)
    >>> model.sample(4, labels=[0, 1, 2, 2]).shape
    (4, 8)
    """

    needs_labels = True
    network_: ConditionalNetwork
    network_class = ConditionalNetwork
    network_settings = (*VariationalAutoencoder.network_settings, "classes", "planes")

    @property
    def planes(self) -> bool:
        """Whether an image's labels are planes beside its channels: a dense layer has no use for so many inputs."""
        return self.encoder is not None

    # ---------------------------------------------------------------- training

    def _classes_in(self, y: Any, n: int) -> np.ndarray:
        return np.unique(check_labels(self._given(y), n))

    def _told(self, y: Any, n: int, name: str = "y") -> np.ndarray:
        """Rows with a single 1 (N, classes)."""
        y = check_labels(self._given(y), n, name)
        self._check_known(y, name)
        return (y[:, None] == self.classes_).astype(self.network_.place.dtype)

    def _rows(self, X: Any, y: Any, name: str = "y") -> tuple[Scaled, ...]:
        return self._beside(self._scaled(X), y, name)

    def _given(self, y: Any) -> Any:
        if y is None:
            raise ValueError(f"{a_kind(self)} needs labels with the samples: give one for each. It requires "
                             "y to be passed, but the target y is None")
        return y

    # ---------------------------------------------------------------- use

    def transform(self, X: Any, y: Any = None) -> np.ndarray:
        """The means of the codes of X, of labels y: (N, ...) to (N, code)."""
        return self._through(self._network().encode, *self._rows(X, y))

    def inverse_transform(self, codes: Any, labels: Any = None) -> np.ndarray:
        """The means of p(x | code, label): (N, code) and labels (N,) to (N, ...), in the units of the data."""
        network = self._network()
        codes = check_samples(codes, network.code_shape, name="codes")
        rows = self._told(labels, len(codes), "labels")
        return self.scaler_.inverse_transform(self._through(network.decode, codes, rows))

    def reconstruct(self, X: Any, y: Any = None) -> np.ndarray:
        """X through encoder and decoder, both told y: (N, ...) to (N, ...), in the units of the data."""
        return self.scaler_.inverse_transform(self._through(self._network().forward, *self._rows(X, y)))

    def score_samples(self, X: Any, y: Any = None) -> np.ndarray:
        """Minus the squared reconstruction error of each sample, on the scaled data: (N,)."""
        return self._minus_errors(*self._rows(X, y))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: larger is better."""
        return float(self.score_samples(X, y).mean())

    def _encode_for(self, X: Any, labels: Any) -> np.ndarray:
        return self._through(self._network().encode, *self._rows(X, each(labels, len(X)), "labels"))

    def _decode_for(self, codes: np.ndarray, labels: Any) -> np.ndarray:
        return self.inverse_transform(codes, each(labels, len(codes)))
