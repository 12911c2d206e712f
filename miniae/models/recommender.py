"""What recommenders share: sparse ratings in, the best items for a user out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.autodiff import Tensor, no_grad
from miniae.data.errors import a_kind
from miniae.data.ratings import Ratings, numbers_of
from miniae.data.scaling import Identity
from miniae.data.sparse import Sparse
from miniae.data.storage import labels_of
from miniae.models.autoencoder import Autoencoder
from miniae.models.classifier import Classifier
from miniae.nn import Build
from miniae.training import Callback, check_count

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Recommender"]

# How many numbers the rows that go through the network at once may have together.
_BLOCK = 2**23


class Recommender(Autoencoder):
    """An autoencoder whose samples are rows of a sparse matrix of ratings: of users, or of items.

    Wherever samples are taken, these are ratings (`data.Ratings.of` says in what form), and rows are made whole batch
    by batch: memory is that of the ratings, the weights, and a batch. `ratings_` are those it was fitted to, and its
    file holds them, as they are what it predicts from.
    """

    # ---------------------------------------------------------------- what a subclass writes

    def _rows_of(self, ratings: Ratings) -> Sparse:
        """The samples that the network learns from, of ratings whose items (and, by items, users) are `ratings_`'s."""
        raise NotImplementedError(f"{type(self).__name__} has no rows")

    def _begin_with(self, ratings: Ratings) -> None:
        """Find what is needed beside the network."""

    def _scores(self, users: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Parts of the users' numbers, and the scores of all items for these: (n,), (n, items)."""
        raise NotImplementedError(f"{type(self).__name__} has no scores")

    def _scores_of_new(self, ratings: Ratings) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same for users, numbered as they come, with ratings of their own."""
        raise NotImplementedError(f"{type(self).__name__} has no scores")

    def _shown(self, scores: np.ndarray) -> np.ndarray:
        """What is said of the scores that items were ranked by."""
        return scores

    # ---------------------------------------------------------------- training

    def fit(self, ratings: Any, y: Any = None, *, validation: Any = None,
            callbacks: Sequence[Callback] = ()) -> Self:
        """Train on ratings: a triple (users, items, ratings) of arrays, a sparse matrix, or a `data.Ratings`.

        `validation` are further ratings, evaluated every epoch. The same call again gives the same model again. Raises
        `ValueError` or `TypeError` for data that can't be used, `TrainingDiverged` when the loss stops being finite.
        """
        super().fit(ratings, y, validation=validation, callbacks=callbacks)
        return self

    def _prepare(self, ratings: Any, *outputs: int) -> Sparse:
        self._check_parameters()
        if self.scaling is not None:
            raise ValueError(f"{a_kind(self)} takes ratings as they are, got scaling={self.scaling!r}: leave "
                             "it out")
        self.ratings_ = Ratings.of(ratings)
        self._begin_with(self.ratings_)
        rows = self._rows_of(self.ratings_)
        network = self._make_network(rows.shape[1:])
        network.build(rows.shape[1:], Build("", self.seed, self.dtype, self.backend))
        self._set_fitted(network, Identity())
        return rows

    def _scaled(self, ratings: Any, name: str = "ratings") -> Sparse:
        return self._rows_of(self._known(ratings, name))

    def classifier(self, **training: Any) -> Classifier:
        raise ValueError(f"{a_kind(self)} takes ratings, a classifier samples: put one on an autoencoder of "
                         "another kind")

    def _known(self, ratings: Any, name: str = "ratings") -> Ratings:
        """Ratings by any users, of the items that the model knows."""
        self._network()
        return Ratings.of(ratings, items=self.ratings_.items, name=name)

    # ---------------------------------------------------------------- use

    def recommend(self, users: Any = None, k: int = 10, *, ratings: Any = None, exclude_seen: bool = True) -> Any:
        """The k items with the highest scores for a user, best first: (items, scores), ids and numbers.

        For several users, an array of ids, it is a list of such pairs, and for None one of all users in `ratings_.
        users`. `ratings` are those of new users instead, who were not there in training: a pair for each, in the order
        of their ids. Items that a user has rated are left out unless `exclude_seen` is False, so that there may be
        fewer than k. Raises `ValueError` for an id that the model does not know.
        """
        check_count("k", k)
        self._network()
        if ratings is not None:
            if users is not None:
                raise ValueError("give users that the model knows, or the ratings of new ones, not both")
            known = self._known(ratings)
            numbers, parts = np.arange(len(known.users)), self._scores_of_new(known)
        else:
            known = self.ratings_
            numbers = np.arange(len(known.users)) if users is None else self._numbers(np.atleast_1d(users))
            parts = self._scores(numbers)
        best = []
        for part, scores in parts:
            if exclude_seen:
                row, entry = known.matrix.entries(part)
                scores[row, known.matrix.columns[entry]] = -np.inf
            best += [_best(row, k) for row in scores]
        pairs = [(self.ratings_.items[items], self._shown(scores)) for items, scores in best]
        return pairs[0] if users is not None and np.ndim(users) == 0 else pairs

    def _numbers(self, users: Any) -> np.ndarray:
        numbers = numbers_of(users, self.ratings_.users, "users")
        if (numbers < 0).any():
            raise ValueError(f"there is no user {np.asarray(users)[numbers < 0][0].item()!r} in the ratings that this "
                             "model was fitted to: give one of those, or the ratings of a new user")
        return numbers

    def _pairs(self, users: Any, items: Any) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
        """The numbers of users and items, each (n,), -1 for unknown ones; and the shape both were given in."""
        self._network()
        users, items = np.broadcast_arrays(users, items)
        return (numbers_of(users.ravel(), self.ratings_.users, "users"),
                numbers_of(items.ravel(), self.ratings_.items, "items"), users.shape)

    def _blocks(self, rows: Sparse, index: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The rows of these numbers through the network, some at a time: their numbers, and the outputs."""
        network, size = self._network(), max(1, _BLOCK // rows.shape[1])
        network.eval()
        backend = network.place.backend
        with no_grad(), backend.silent():
            for start in range(0, len(index), size):
                part = index[start:start + size]
                yield part, self._outputs(Tensor(rows.rows(part), dtype=network.place.dtype, backend=backend)).numpy()

    def _outputs(self, x: Tensor) -> Tensor:
        """What scores are made of."""
        return self._network()(x)

    # ---------------------------------------------------------------- files

    def _arrays(self) -> dict[str, np.ndarray]:
        matrix = self.ratings_.matrix
        return {"starts": matrix.starts, "columns": matrix.columns, "values": matrix.values}

    def _set_arrays(self, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        users, items = (labels_of(header[name], "ids") for name in ("users", "items"))
        matrix = Sparse(arrays["starts"], arrays["columns"], arrays["values"], len(items))
        self.ratings_ = Ratings(users, items, matrix.check(len(users), "what it was fitted to"))

    def _header(self) -> dict[str, Any]:
        return {name: {"dtype": ids.dtype.str, "ids": ids.tolist()}
                for name, ids in (("users", self.ratings_.users), ("items", self.ratings_.items))}


def _best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the k highest scores, highest first, equal ones in their order; none that is minus infinity."""
    some = np.flatnonzero(scores >= np.partition(scores, -k)[-k]) if k < len(scores) else np.arange(len(scores))
    order = some[np.argsort(-scores[some], kind="stable")][:k]
    order = order[scores[order] > -np.inf]
    return order, scores[order]
