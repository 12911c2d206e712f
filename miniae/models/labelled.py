"""What models that know labels share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.data.storage import labels_of
from miniae.training import check_rows

if TYPE_CHECKING:
    from miniae.models.autoencoder import Autoencoder as _Model
    from miniae.models.estimator import Scaled
else:
    _Model = object

__all__ = ["Labelled", "each"]


class Labelled(_Model):
    """What is put before an `Autoencoder` that trains with labels: `fit` and `partial_fit` take them, files keep them.

    `classes_` are the labels, sorted. A model says which there are, in `_classes_in`, and what its network is told of
    them, in `_told`; the network is made with their number, `classes`.
    """

    takes_labels = True
    classes_: np.ndarray
    network_: Any

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return len(self.classes_)

    def _classes_in(self, y: Any, n: int) -> np.ndarray:
        """The different labels, sorted, of n samples. Raises `ValueError` for labels that can't be used."""
        raise NotImplementedError(f"{type(self).__name__} has no _classes_in")

    def _told(self, y: Any, n: int, name: str = "y") -> np.ndarray | None:
        """What the network gets beside n samples with these labels, a row for each; None for nothing."""
        raise NotImplementedError(f"{type(self).__name__} has no _told")

    def _begin(self, X: Any, y: Any) -> Scaled:
        self._learn_names(X)
        X = check_rows(X)
        self.classes_ = self._classes_in(y, len(X))
        return self._prepare(X)

    def _beside(self, scaled: Scaled, y: Any, name: str = "y") -> Any:
        told = self._told(y, len(scaled), name)
        return scaled if told is None else (scaled, told)

    def _held_out(self, validation: Any) -> Any:
        if not self.classes:
            return super()._held_out(validation)
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise ValueError(f"validation is a pair (X, y), got {type(validation).__name__}: give labels with the data")
        return self._beside(self._scaled(validation[0], name="validation"), validation[1], "validation")

    def _check_known(self, labels: np.ndarray, name: str, besides: str = "") -> None:
        """Raise `ValueError` or `TypeError` for labels that the model was not trained on."""
        if len(labels) and (labels.dtype.kind == "U") != (self.classes_.dtype.kind == "U"):
            raise TypeError(f"{name} holds labels like {labels[0].item()!r}, this model was trained on labels like "
                            f"{self.classes_[0].item()!r}: give labels of the same type")
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"{name} holds the label {unknown[0].item()!r}, which this model was not trained on: "
                             f"expected one of {', '.join(map(repr, self.classes_.tolist()))}{besides}")

    def _header(self) -> dict[str, Any]:
        return {**super()._header(), "classes": {"dtype": self.classes_.dtype.str, "labels": self.classes_.tolist()}}

    def _set_loaded(self, header: dict[str, Any]) -> None:
        super()._set_loaded(header)
        self.classes_ = labels_of(header["classes"], "labels")
        if self.classes != self.network_.classes:
            raise ValueError(f"{self.classes} labels for a network that knows {self.network_.classes}")


def each(labels: Any, n: int) -> Any:
    """Labels for n samples, where a single one is that of all."""
    return labels if labels is None or np.ndim(labels) else [labels] * n
