"""A variational autoencoder of what people choose: counts, explained by a multinomial distribution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.data.ratings import Ratings
from miniae.data.sparse import Sparse
from miniae.models.likelihoods import Multinomial
from miniae.models.recommender import Recommender
from miniae.models.variational import VariationalAutoencoder, VariationalNetwork
from miniae.nn import Dropout, Sequential, UnitNorm
from miniae.nn.layer import Shape
from miniae.training import check_number

__all__ = ["MultinomialNetwork", "MultinomialVAE"]


class MultinomialNetwork(VariationalNetwork):
    """A variational network whose p(x | z) is multinomial: the decoder gives the logits of the items' shares."""

    def make_reconstruction(self, loss: str, activation: str | None) -> Multinomial:
        return Multinomial()


class MultinomialVAE(Recommender, VariationalAutoencoder):
    """Recommends what a user might choose next: a variational autoencoder of the items that users have chosen.

    z ~ N(0, 1), x ~ Multinomial(number of choices, softmax(decoder(z))): items compete for a user's choices. The input
    is scaled to length 1, and half of it dropped, x / |x| -> dropout -> encoder; the KL term's weight rises from 0 to
    `beta`, which is below 1, as the aim is to rank items rather than to generate users.

    Parameters beside those of `VariationalAutoencoder`
    ---------------------------------------------------
    threshold : ratings of at least this are choices, counted as 1, and others are no choices, though the items count as
        seen; None takes the ratings for numbers of times that a user chose an item.
    input_dropout : the share of the input that is dropped in training.

    `hidden` are Liang's 600 units, with tanh; the weight of the KL rises by the epoch, over `warmup` of them.

    >>> users, items = [1, 1, 2, 2, 3], [10, 20, 10, 30, 20]
    >>> model = MultinomialVAE(hidden=[8], code=2, epochs=5).fit((users, items, [1, 1, 1, 1, 1]))
    >>> model.recommend(3, k=2)[0].shape, model.recommend(ratings=([7], [30], [1]), k=1)[0][0].shape
    ((2,), (1,))

    Liang, Krishnan, Hoffman and Jebara, "Variational autoencoders for collaborative filtering", WWW 2018.
    """

    losses = ("multinomial",)
    network_: MultinomialNetwork
    network_class = MultinomialNetwork

    def __init__(self, hidden: Sequence[int] = (600,), code: int = 200, *, threshold: float | None = None,
                 input_dropout: float = 0.5, beta: float = 0.2, warmup: int = 50, loss: str = "multinomial",
                 activation: str = "tanh", epochs: int = 100, **settings: Any):
        super().__init__(hidden, code, beta=beta, warmup=warmup, loss=loss, activation=activation, epochs=epochs,
                         **settings)
        self.threshold, self.input_dropout = threshold, input_dropout

    # ---------------------------------------------------------------- training

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("input_dropout", self.input_dropout)
        if self.threshold is not None:
            check_number("threshold", self.threshold, least=-np.inf)
        if self.loss not in self.losses or self.output_activation is not None:
            raise ValueError(f"a MultinomialVAE's loss is 'multinomial', with its own output; got loss={self.loss!r}, "
                             f"output_activation={self.output_activation!r}: leave both out")

    def _dense_encoder(self, input_shape: Shape) -> Sequential:
        return Sequential([UnitNorm(), Dropout(self.input_dropout), *super()._dense_encoder(input_shape).layers])

    def _rows_of(self, ratings: Ratings) -> Sparse:
        matrix = ratings.matrix
        if self.threshold is not None:
            chosen = matrix.values >= self.threshold
            if ratings is self.ratings_ and not chosen.any():
                raise ValueError(f"no rating reaches the threshold of {self.threshold:g}, the highest is "
                                 f"{matrix.values.max():g}: lower it")
            return Sparse.of_entries(matrix.row_numbers[chosen], matrix.columns[chosen],
                                     np.ones(int(chosen.sum()), matrix.dtype), matrix.shape)
        if (matrix.values < 0).any():
            raise ValueError(f"counts can't be negative, there is a rating of {matrix.values.min():g}: set threshold, "
                             "from which on a rating is a choice")
        return matrix

    def _look_over(self, rows: Any) -> None:
        """With few choices a user, idle units are what is to be expected."""

    def _rows(self, X: Any, y: Any, name: str = "y") -> tuple[Sparse, ...]:
        self._without(y)
        return (self._scaled(X),)

    # ---------------------------------------------------------------- use

    def predict(self, users: Any, items: Any) -> np.ndarray:
        """The probability that a user's next choice is the item, by ids: arrays of shapes that fit each other.

        Raises `ValueError` for a user or an item that was not there in training.
        """
        users, items, shape = self._pairs(users, items)
        if (users < 0).any() or (items < 0).any():
            raise ValueError("a user or an item was not there in training: a MultinomialVAE knows nothing of it")
        order, probabilities = np.argsort(users, kind="stable"), np.empty(len(users))
        for part, outputs in self._blocks(self._choices, np.unique(users)):
            there = order[slice(*np.searchsorted(users[order], [part[0], part[-1] + 1]))]
            probabilities[there] = np.exp(outputs[np.searchsorted(part, users[there]), items[there]])
        return probabilities.reshape(shape)

    def _outputs(self, x: Tensor) -> Tensor:
        network = self._network()
        return F.log_softmax(network.outputs(network.encode(x)))

    @property
    def _choices(self) -> Sparse:
        """The rows of `ratings_`, made once for these and a threshold."""
        ratings, threshold, rows = vars(self).get("_chosen", (None, None, None))
        if ratings is not self.ratings_ or threshold != self.threshold:
            rows = self._rows_of(self.ratings_)
            self._chosen = self.ratings_, self.threshold, rows
        return rows

    def _scores(self, users: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self._blocks(self._choices, users)

    def _scores_of_new(self, ratings: Ratings) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self._blocks(self._rows_of(ratings), np.arange(len(ratings.users)))
