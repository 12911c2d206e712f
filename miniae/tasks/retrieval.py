"""Finding samples that are like a given one, by their codes."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from miniae.backend import Backend, get
from miniae.data.errors import a_kind
from miniae.data.storage import extra_of, reading, save_tensors, under
from miniae.models.estimator import NetworkEstimator
from miniae.models.files import contents, model_of
from miniae.tasks.distances import METRICS
from miniae.training import check_count, check_number, check_samples

__all__ = ["Neighbours", "SemanticIndex"]

_KIND, _FORMAT = "index", 1
_LAST = np.iinfo(np.int64).max

# Queries that are answered at once, and how many distances are held while they are.
_QUERIES, _DISTANCES = 256, 2**20


class Neighbours(NamedTuple):
    """The nearest of each query, the nearest first: `ids` (M, k) int64, and their `distances` (M, k)."""

    ids: np.ndarray
    distances: np.ndarray


class SemanticIndex:
    """Codes of many samples, by id, among which those nearest to a query are looked up.

        index = SemanticIndex(model, metric="cosine")
        index.add(images)
        ids, distances = index.search(queries, k=10)

    Every code is compared with every query: answers are exact, and the same whatever the order in which samples were
    added and however many are asked for at once; of samples equally near, the one with the smaller id comes first.
    Beside the codes a search takes some 30 MB, and 200 MB at worst (where very many codes are equally near), however
    many codes there are: a million codes of 30 numbers are 120 MB, of 32 bits 4 MB.

    Parameters
    ----------
    model : what turns samples into codes: any model with `transform` (or `encode`, as a `Stack` has), or None where
        codes themselves are added and searched for. Codes of several axes are taken as long vectors.
    metric : "cosine" (1 less the cosine; from a code of zeros all are 1 away), "euclidean", or "hamming" (how many bits
        differ, of codes packed eight to a byte). Numbers are kept as float32, for "cosine" scaled to length 1.
    threshold : for "hamming", what makes bits of numbers: the bit is 1 where the number is larger. None is the bits of
        a model that has `binary_codes` (`SemanticHashing`), or those of codes that are bool or integers 0 and 1;
        or else the median of each unit over the first samples that are added, which gives every bit as many zeros as
        ones there. A number, 0.5 say, is for units that are at 0 or 1 by themselves.

    Attributes
    ----------
    thresholds_ : those medians, or that number, of each unit (D,), once samples were added; None where codes are bits.
    extra : JSON that is kept with the index in its file.
    """

    def __init__(self, model: Any = None, metric: str = "cosine", threshold: float | None = None):
        if metric not in METRICS:
            raise ValueError(f"unknown metric {metric!r}: expected one of {', '.join(METRICS)}")
        if not any(hasattr(model, name) for name in ("transform", "encode")) and model is not None:
            raise TypeError(f"{a_kind(model)} has no transform, which would turn samples into codes: give a "
                            "model, or None to add codes themselves")
        if threshold is not None:
            if metric != "hamming":
                raise ValueError(f"a threshold makes bits of codes, for metric='hamming'; got it with {metric!r}: "
                                 "leave it out")
            check_number("threshold", threshold, least=-np.inf)
        self.model, self.metric, self.threshold = model, metric, threshold
        self.thresholds_: np.ndarray | None = None
        self.extra: dict[str, Any] = {}
        self._metric = METRICS[metric]
        self._size: int | None = None  # of a code, in units
        self._rows: Any = None  # what is kept of codes, an array by rising id
        self._ids = np.empty(0, np.int64)
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []  # what was added since
        self._known: set[int] | None = None  # all ids, once someone has chosen one
        self._next = 0

    def __len__(self) -> int:
        return len(self._ids) + sum(len(ids) for ids, _ in self._parts)

    def __repr__(self) -> str:
        model = "" if self.model is None else f"{type(self.model).__name__}, "
        return f"SemanticIndex({model}metric={self.metric!r}: {len(self):,} codes)"

    @property
    def ids(self) -> np.ndarray:
        """The ids of all samples, rising: (N,) int64."""
        self._settle()
        return self._ids.copy()

    @property
    def codes(self) -> np.ndarray:
        """What is kept of the codes, in the order of `ids`: (N, D) float32, or bits packed eight to a byte, uint8."""
        self._settle()
        self._require_codes()
        return self._rows

    @property
    def bytes_per_code(self) -> int:
        """What a code takes in memory and on disk, without its id (8 bytes)."""
        return self.codes.itemsize * self.codes.shape[1]

    # ---------------------------------------------------------------- samples in and out

    def add(self, X: Any, ids: Any = None, labels: Any = None) -> np.ndarray:
        """Add samples (N, ...), or where there is no model codes (N, D); return their ids (N,).

        `ids` are integers of at least 0 that are not taken yet; without them, those after the largest that ever was.
        `labels` are for models that need them to encode. Raises `ValueError` for what can't be added, and adds nothing.
        """
        codes = self._encode(X, labels)
        ids = self._new_ids(ids, len(codes))
        bits = self._bits(codes, learn=True) if self.metric == "hamming" else codes
        rows = self._metric.keep(bits)
        self._size = codes.shape[1]
        self._parts.append((ids, rows))
        self._next = max(self._next, int(ids.max()) + 1)
        if self._known is not None:
            self._known.update(ids.tolist())
        return ids

    def remove(self, ids: Any) -> None:
        """Take out the samples of these ids: one, or several. Raises `ValueError`, and removes none, where one isn't
        there."""
        self._settle()
        gone = np.unique(_integers(np.atleast_1d(ids)))
        there = np.isin(gone, self._ids)
        if not there.all():
            raise ValueError(f"there is no sample with the id {gone[~there][0]} to remove: the index has {len(self)}")
        kept = ~np.isin(self._ids, gone)
        self._ids, self._rows = self._ids[kept], self._rows[kept]
        self._known = None

    def _new_ids(self, ids: Any, n: int) -> np.ndarray:
        """Ids for n new samples, checked where they were given."""
        if ids is None:
            if self._next + n > _LAST:
                raise ValueError(f"there are no ids after {self._next - 1} for {n} samples: give ids")
            return np.arange(self._next, self._next + n, dtype=np.int64)
        ids = _integers(ids)
        if ids.shape != (n,):
            raise ValueError(f"there are ids of shape {ids.shape} for {n} samples: give one for each")
        if ids.min() < 0 or ids.max() >= _LAST:
            raise ValueError(f"ids are integers from 0 to 2^63 - 2, got {ids.min() if ids.min() < 0 else ids.max()}")
        if self._known is None:
            self._known = {*self._ids.tolist(), *(i for part, _ in self._parts for i in part.tolist())}
        values, counts = np.unique(ids, return_counts=True)
        taken = next((i for i in values.tolist() if i in self._known), None)
        if counts.max() > 1 or taken is not None:
            raise ValueError(f"the id {values[counts.argmax()] if taken is None else taken} is "
                             f"{'given twice' if taken is None else 'taken already'}: give each sample its own")
        return ids

    def _settle(self) -> None:
        """Bring what was added together with the rest, by rising id."""
        if not self._parts:
            return
        before = [] if self._rows is None else [(self._ids, self._rows)]
        all_ids, all_rows = zip(*before, *self._parts, strict=True)
        ids, rows = np.concatenate(all_ids), np.concatenate(all_rows)
        if (ids[1:] < ids[:-1]).any():
            order = np.argsort(ids)
            ids, rows = ids[order], rows[order]
        self._ids, self._rows, self._parts = ids, rows, []

    # ---------------------------------------------------------------- codes

    def _encode(self, X: Any, labels: Any) -> np.ndarray:
        """The codes of samples, (N, D): numbers, or bits as bool."""
        model = self.model
        if model is None:
            if labels is not None:
                raise ValueError("labels are for a model that needs them, and this index has no model: leave them out")
            codes = check_samples(X, name="codes")
        else:
            first = "binary_codes" if self.metric == "hamming" and self.threshold is None else "transform"
            name = next(name for name in (first, "transform", "encode") if hasattr(model, name))
            codes = np.asarray(getattr(model, name)(*((X,) if labels is None else (X, labels))))
        codes = codes.reshape(len(codes), -1)
        if self._size is not None and codes.shape[1] != self._size:
            raise ValueError(f"these codes have {codes.shape[1]} units, the index has codes of {self._size}: give "
                             "codes of the same kind")
        return codes

    def _bits(self, codes: np.ndarray, learn: bool = False) -> np.ndarray:
        """Codes as bits: as they are (bool, or 0 and 1), or above their thresholds, which the first codes decide."""
        if self.threshold is None and self.thresholds_ is None and codes.dtype.kind in "iu" and \
                codes.min() >= 0 and codes.max() <= 1:
            codes = codes.astype(bool)
        if learn and self._size is None and (codes.dtype != bool or self.threshold is not None):
            self.thresholds_ = np.median(codes, axis=0) if self.threshold is None else \
                np.full(codes.shape[1], float(self.threshold))
        if (codes.dtype == bool) != (self.thresholds_ is None):
            given, kept = ("bits", "numbers") if codes.dtype == bool else ("numbers", "bits")
            raise ValueError(f"these codes are {given}, those of the index were {kept}: give codes of the same kind")
        return codes if self.thresholds_ is None else codes > self.thresholds_

    # ---------------------------------------------------------------- search

    def search(self, X: Any, k: int = 10, labels: Any = None) -> Neighbours:
        """The k samples nearest to each of X (M, ...), or where there is no model of codes (M, D).

        Raises `ValueError` where there are fewer than k.
        """
        self._settle()
        self._require_codes()
        if check_count("k", k) > len(self):
            raise ValueError(f"k is {k}, and the index holds {len(self)} samples: ask for fewer neighbours")
        codes = self._encode(X, labels)
        queries = self._metric.keep(self._bits(codes) if self.metric == "hamming" else codes)
        places, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
        at_once = max(1, min(_QUERIES, _DISTANCES // k))
        for start in range(0, len(queries), at_once):
            part = slice(start, start + at_once)
            places[part], distances[part] = self._nearest(queries[part], k)
        return Neighbours(self._ids[places], self._metric.shown(distances))

    def _nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The places of the k nearest rows of a few queries, and their exact distances, both (Q, k).

        Of each block of rows, those are looked at exactly that by their quick distance may be among the nearest. As
        rows come by rising id, places decide between equals.
        """
        n = len(queries)
        places = np.full((n, k), len(self), np.int64)
        distances = np.full((n, k), np.inf)
        at_once = max(1, _DISTANCES // n)
        for start in range(0, len(self), at_once):
            rows = self._rows[start:start + at_once]
            near, slack = self._metric.near(queries, rows), self._metric.slack(queries, rows)
            worst = distances[:, -1:]
            if np.isfinite(worst).all():
                # A later row that is as far away as the worst so far loses to it, having the larger id.
                limit = worst - 1 if slack is None else worst + slack
            elif len(rows) > k:
                bound = np.partition(near, k - 1, axis=1)[:, k - 1:k]
                limit = bound if slack is None else bound + 2 * slack
            else:
                limit = near.max(axis=1, keepdims=True)
            candidates = np.flatnonzero(near <= _rounded_up(limit, near.dtype))  # `nonzero` of two axes is slow
            if len(candidates):
                del near
                query, row = np.divmod(candidates, len(rows))
                found = self._exact(queries, query, rows, row)
                places, distances = _merge(places, distances, query, row + start, found)
        return places, distances

    def _exact(self, queries: np.ndarray, query: np.ndarray, rows: np.ndarray, row: np.ndarray) -> np.ndarray:
        """The exact distances of these pairs, some at a time."""
        found = np.empty(len(query))
        at_once = max(1, _DISTANCES // queries.shape[1])
        for start in range(0, len(query), at_once):
            part = slice(start, start + at_once)
            found[part] = self._metric.exact(queries[query[part]], rows[row[part]])
        return found

    def _require_codes(self) -> None:
        if self._rows is None or not len(self):
            raise ValueError("the index is empty: add samples first")

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write codes, ids and the model to one safetensors file, with a checksum, whole or not at all.

        Raises `ValueError` for a model that files can't hold (a `PCA`, say): make the index of its codes then.
        """
        self._settle()
        if self._rows is None:
            raise ValueError("the index is empty: add samples before it is saved")
        tensors, model = {"codes": self._rows, "ids": self._ids}, None
        if self.model is not None:
            if not isinstance(self.model, NetworkEstimator):
                raise ValueError(f"files hold models of networks, and this one is {a_kind(self.model)}: make "
                                 "the index of codes, SemanticIndex(), and keep the model yourself")
            arrays, model = contents(self.model, getattr(self.model, "extra_", None))
            tensors |= {f"model.{name}": a for name, a in arrays.items()}
        if self.thresholds_ is not None:
            tensors["thresholds"] = self.thresholds_
        save_tensors(path, tensors, {"kind": _KIND, "format": _FORMAT, "metric": self.metric, "size": self._size,
                                     "threshold": self.threshold, "next": self._next, "model": model,
                                     "extra": self.extra})

    @classmethod
    def load(cls, path: str | os.PathLike[str], backend: str | Backend | None = None) -> SemanticIndex:
        """The index in a file that `save` wrote: it gives the same answers. Its model is on the given backend.

        Nothing in the file is run. Raises `StorageError` for other files, damaged ones and those of a later format.
        """
        backend = None if backend is None else get(backend)
        with reading(path, _KIND, _FORMAT, f"a file of the kind {_KIND!r}") as (tensors, header):
            model = None
            if header["model"] is not None:
                model = model_of(under("model.", tensors), header["model"], path, backend)
            index = cls(model, header["metric"], header["threshold"])
            index._rows, index._ids = tensors["codes"], tensors["ids"]
            index._size, index._next, index.extra = header["size"], header["next"], extra_of(header)
            index.thresholds_ = tensors.get("thresholds")
        return index


def _rounded_up(limit: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Bounds in the dtype of what they bound, and not below themselves: integers, or real numbers in float32."""
    return limit.astype(dtype) if dtype.kind == "i" else np.nextafter(limit.astype(dtype), dtype.type(np.inf))


def _merge(places: np.ndarray, distances: np.ndarray, query: np.ndarray, place: np.ndarray,
           distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each query, of the k so far (Q, k) and of further pairs (n,), by distance and then by place."""
    n, k = places.shape
    query = np.concatenate([np.repeat(np.arange(n), k), query])
    place = np.concatenate([places.ravel(), place])
    distance = np.concatenate([distances.ravel(), distance])
    order = np.lexsort((place, distance, query))
    first = np.searchsorted(query[order], np.arange(n))
    best = order[first[:, None] + np.arange(k)]
    return place[best], distance[best]


def _integers(ids: Any) -> np.ndarray:
    array = np.asarray(ids)
    if array.dtype.kind not in "iu":
        raise ValueError(f"ids are integers, got values of type {array.dtype}: number the samples")
    return array.astype(np.int64)
