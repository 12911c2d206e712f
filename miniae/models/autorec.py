"""AutoRec: an autoencoder that fills in the ratings which are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.data.ratings import Ratings
from miniae.data.sparse import Sparse
from miniae.models.network import AutoencoderNetwork
from miniae.models.recommender import Recommender
from miniae.nn import Dropout, Sequential
from miniae.nn.layer import Shape
from miniae.training import check_number

__all__ = ["AutoRec", "AutoRecNetwork", "Biases"]


class AutoRecNetwork(AutoencoderNetwork):
    """x, NaN where nothing is known -> x, 0 there -> encoder -> decoder -> y;  loss: (y - x)^2 over what is known.

    With a target beside x, the loss is over what is known of that.
    """

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(_known_or_zero(x))

    def loss_terms(self, x: Tensor, target: Tensor | None = None) -> dict[str, Tensor]:
        code, code_terms = self.code_and_terms(self.corrupted(_known_or_zero(x)))
        y = self.decoder(code)
        return {"reconstruction": F.masked_squared_error(y, x if target is None else target), **code_terms,
                **self.penalty_terms()}


def _known_or_zero(x: Tensor) -> Tensor:
    """x with 0 where it is NaN."""
    return Tensor._wrap(x.backend.formula(_zero_where_nan, x._data), x.backend)


def _zero_where_nan(xp: Any, x: Any) -> Any:
    return xp.where(xp.isnan(x), 0.0, x).astype(x.dtype)


class Biases:
    """r_ui = m + b_u + b_i: the mean rating, how much more a user gives, and how much more an item gets.

    Minimised is the sum of (r_ui - m - b_u - b_i)^2 over what is rated, plus ridge (b_u^2 + b_i^2) for each user and
    item, by turns: b_i = sum_u (r_ui - m - b_u) / (ridge + number of i's ratings), and likewise b_u. Koren, "Factor in
    the neighbors", ACM TKDD 4, 2010, section 2.1.
    """

    def __init__(self, mean: float, users: np.ndarray, items: np.ndarray, ridge: float):
        self.mean, self.users, self.items, self.ridge = mean, users, items, ridge

    @classmethod
    def of(cls, matrix: Sparse, ridge: float = 5.0, sweeps: int = 20) -> Biases:
        """The biases of ratings, users x items."""
        values = matrix.values.astype(np.float64)
        biases = cls(float(values.mean()), np.zeros(len(matrix)), np.zeros(matrix.shape[1]), ridge)
        users, items = matrix.row_numbers, matrix.columns
        for _ in range(sweeps):
            biases.items = biases._ridged(items, values - biases.mean - biases.users[users], len(biases.items))
            biases.users = biases.of_users(matrix)
        return biases

    def of_users(self, matrix: Sparse) -> np.ndarray:
        """b_u of users by their ratings of the known items: (users,)."""
        rest = matrix.values.astype(np.float64) - self.mean - self.items[matrix.columns]
        return self._ridged(matrix.row_numbers, rest, len(matrix))

    def __call__(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """m + b_u + b_i for the users and items of these numbers, -1 being one of which nothing is known."""
        return self.mean + np.append(self.users, 0.0)[users] + np.append(self.items, 0.0)[items]

    def _ridged(self, index: np.ndarray, rest: np.ndarray, n: int) -> np.ndarray:
        total, count = np.bincount(index, rest, n), np.bincount(index, minlength=n)
        return total / np.maximum(count + self.ridge, 1e-9)


class AutoRec(Recommender):
    """Predicts ratings: an autoencoder of a user's ratings of all items, or of an item's ratings by all users.

    Trained to minimise the squared error over the ratings that are known, a sample of the network being an item (its
    ratings by all users) or a user. What it is given, and adds to, are the biases' residuals r_ui - m - b_u - b_i.

    Parameters beside those of `Autoencoder`
    ----------------------------------------
    by : "item", which is the more exact one where items have more ratings each than users have; or "user", which can
        also recommend to users who were not there in training.
    ridge : how strongly the biases are held towards 0, in ratings (`Biases`).
    input_dropout : the share of the known ratings that the network is not shown in training, though it has to predict
        them; not with an encoder of your own.

    The defaults (a code of 200 with ReLU, half of the ratings hidden, an `l2` of 0.12) predicted best a held-out tenth
    of the training ratings of MovieLens 100K. Of far fewer ratings a smaller `l2` and more `epochs` learn more.

    Attributes
    ----------
    biases_ : the `Biases`.
    ratings_ : the `data.Ratings` it was fitted to.

    >>> users, items, ratings = [1, 1, 2, 2, 3], [10, 20, 10, 30, 20], [5, 3, 4, 1, 2]
    >>> model = AutoRec(hidden=[], code=4, epochs=5).fit((users, items, ratings))
    >>> model.predict(3, 10).shape, model.recommend(3, k=1)[0].shape
    ((), (1,))

    Sedhain, Menon, Sanner and Xie, "AutoRec: autoencoders meet collaborative filtering", WWW 2015.
    """

    losses = ("mse",)
    network_: AutoRecNetwork
    network_class = AutoRecNetwork

    def __init__(self, hidden: Sequence[int] = (), code: int = 200, *, by: str = "item", ridge: float = 5.0,
                 input_dropout: float = 0.5, code_activation: str = "relu", l2: float = 0.12, **settings: Any):
        super().__init__(hidden, code, code_activation=code_activation, l2=l2, **settings)
        self.by, self.ridge, self.input_dropout = by, ridge, input_dropout

    # ---------------------------------------------------------------- training

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("ridge", self.ridge)
        check_number("input_dropout", self.input_dropout)
        if self.by not in ("item", "user"):
            raise ValueError(f"by must be 'item' or 'user', got {self.by!r}")
        if self.loss not in self.losses or self.output_activation not in (None, "linear"):
            raise ValueError("AutoRec minimises the squared error of a linear output, got "
                             f"loss={self.loss!r}, output_activation={self.output_activation!r}: leave both out")

    def _dense_encoder(self, input_shape: Shape) -> Sequential:
        return Sequential([Dropout(self.input_dropout), *super()._dense_encoder(input_shape).layers])

    def _begin_with(self, ratings: Ratings) -> None:
        self.biases_ = Biases.of(ratings.matrix, self.ridge)

    def _rows_of(self, ratings: Ratings) -> Sparse:
        matrix, biases = ratings.matrix, self.biases_
        if ratings is not self.ratings_ and self.by == "item":
            matrix = Ratings.of(ratings, users=self.ratings_.users, items=self.ratings_.items).matrix
        elif ratings is not self.ratings_:
            biases = Biases(biases.mean, biases.of_users(matrix), biases.items, biases.ridge)
        return self._oriented(_residuals(matrix, biases))

    def _held_out(self, validation: Any) -> tuple[Sparse, Sparse]:
        """What was fitted to as the input, and held-out ratings, of users and items that are in it, as the target."""
        users, items, values = Ratings.of(validation, name="validation").triples()
        numbers = self._pairs(users, items)
        known = (numbers[0] >= 0) & (numbers[1] >= 0)
        held_out = Ratings.of((users[known], items[known], values[known]), self.ratings_.users, self.ratings_.items,
                              "validation of known users and items")
        return self._inputs, self._oriented(_residuals(held_out.matrix, self.biases_))

    def _oriented(self, matrix: Sparse) -> Sparse:
        return matrix.transposed() if self.by == "item" else matrix

    @property
    def _inputs(self) -> Sparse:
        """The samples it was fitted to."""
        if "_fitted_to" not in vars(self):
            self._fitted_to = self._rows_of(self.ratings_)
        return self._fitted_to

    def _set_fitted(self, network: Any, scaler: Any) -> None:
        super()._set_fitted(network, scaler)
        vars(self).pop("_fitted_to", None)

    # ---------------------------------------------------------------- use

    def predict(self, users: Any, items: Any) -> np.ndarray:
        """The ratings that users would give items, by their ids: arrays of a shape, or of shapes that fit each other.

        For a user or an item of which nothing is known, it is what the biases say. Ratings lie between the lowest and
        the highest that there were in training.
        """
        users, items, shape = self._pairs(users, items)
        ratings = self.biases_(users, items)
        rows, columns = (items, users) if self.by == "item" else (users, items)
        known = np.flatnonzero((rows >= 0) & (columns >= 0))
        known = known[np.argsort(rows[known], kind="stable")]
        for part, outputs in self._blocks(self._inputs, np.unique(rows[known])):
            there = known[slice(*np.searchsorted(rows[known], [part[0], part[-1] + 1]))]
            ratings[there] += outputs[np.searchsorted(part, rows[there]), columns[there]]
        return self._clipped(ratings).reshape(shape)

    def baseline(self, users: Any, items: Any) -> np.ndarray:
        """What the biases alone say: m + b_u + b_i, of users and items by their ids, as in `predict`."""
        users, items, shape = self._pairs(users, items)
        return self._clipped(self.biases_(users, items)).reshape(shape)

    def _clipped(self, ratings: np.ndarray) -> np.ndarray:
        values = self.ratings_.matrix.values
        return np.clip(ratings, values.min(), values.max())

    def _scores(self, users: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        biases, items = self.biases_, np.arange(len(self.ratings_.items))
        if self.by == "user":
            for part, outputs in self._blocks(self._inputs, users):
                yield part, outputs + biases(part[:, None], items)
            return
        size = max(1, 2**23 // len(items))
        for start in range(0, len(users), size):
            part = users[start:start + size]
            scores = biases(part[:, None], items)
            for some, outputs in self._blocks(self._inputs, items):
                scores[:, some] += outputs[:, part].T
            yield part, scores

    def _scores_of_new(self, ratings: Ratings) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if self.by == "item":
            raise ValueError("an AutoRec by items knows the users it was fitted to, and no others: fit with the new "
                             "ones, or choose by='user'")
        biases = Biases(self.biases_.mean, self.biases_.of_users(ratings.matrix), self.biases_.items, self.ridge)
        items = np.arange(len(ratings.items))
        for part, outputs in self._blocks(_residuals(ratings.matrix, biases), np.arange(len(ratings.users))):
            yield part, outputs + biases(part[:, None], items)

    def _shown(self, scores: np.ndarray) -> np.ndarray:
        return self._clipped(scores)

    # ---------------------------------------------------------------- files

    def _arrays(self) -> dict[str, np.ndarray]:
        biases = self.biases_
        return {**super()._arrays(), "bias": np.array(biases.mean), "user_biases": biases.users,
                "item_biases": biases.items}

    def _set_arrays(self, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        super()._set_arrays(arrays, header)
        self.biases_ = Biases(float(arrays["bias"]), arrays["user_biases"], arrays["item_biases"], self.ridge)
        if (len(self.biases_.users), len(self.biases_.items)) != self.ratings_.matrix.shape:
            raise ValueError("there are not as many biases as users and items")


def _residuals(matrix: Sparse, biases: Biases) -> Sparse:
    """What the biases do not explain; where nothing is rated, NaN."""
    rest = matrix.values - biases(matrix.row_numbers, matrix.columns)
    return matrix.with_values(rest.astype(matrix.dtype), missing=np.nan)
