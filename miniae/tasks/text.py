"""Documents as rows of numbers: read from files, and counted by scikit-learn's vectoriser."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data import DataError
from miniae.training import NotFittedError, check_count

__all__ = ["BagOfWords", "Documents", "read_documents"]


@dataclass(frozen=True)
class Documents:
    """Texts, and what is known of them: a label for each, and names; None where there is none."""

    texts: list[str]
    labels: np.ndarray | None = None
    names: list[str] | None = None


def read_documents(path: str | os.PathLike[str], text: str = "text", label: str | None = None) -> Documents:
    """Read a folder of .txt files, or a table (.csv, .tsv, gzipped or not) whose column `text` has a text a row.

    `label` names a table's column of labels; in a folder, the folders below it are the labels. Files are UTF-8. Raises
    `DataError`, in one line, for what can't be read and where there is no text.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist: give a folder of .txt files, or a .csv or .tsv file")
    try:
        return _read_folder(path, label) if path.is_dir() else _read_table(path, text, label)
    except UnicodeDecodeError:
        raise DataError(f"{path} holds text that is not UTF-8: convert it first") from None
    except (OSError, EOFError, csv.Error) as why:
        raise DataError(f"{path} can't be read ({why}): write it again, or use a copy") from None


def _read_folder(folder: Path, label: str | None) -> Documents:
    if label is not None:
        raise DataError(f"{folder} has no column {label!r}: the folders below it are its labels, leave label out")
    paths = sorted(p for p in folder.rglob("*.txt") if p.is_file())
    if not paths:
        raise DataError(f"{folder} holds no .txt files: there is nothing to read")
    groups = [p.parent.relative_to(folder).as_posix() for p in paths]
    return Documents([p.read_text(encoding="utf-8") for p in paths],
                     np.array(groups) if len(set(groups)) > 1 else None,
                     [p.relative_to(folder).as_posix() for p in paths])


def _read_table(path: Path, text: str, label: str | None) -> Documents:
    ending = path.name.lower().removesuffix(".gz")
    if not ending.endswith((".csv", ".tsv")):
        raise DataError(f"{path} has an unknown ending: expected .csv or .tsv, gzipped or not, or a folder")
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file, delimiter="\t" if ending.endswith(".tsv") else ",")
        for column in (text, label):
            if column is not None and column not in (table.fieldnames or ()):
                raise DataError(f"{path} has no column {column!r}, it has {', '.join(table.fieldnames or ())}: name "
                                "one of these")
        rows = [(row[text], row[label] if label else None) for row in table]
    if not rows:
        raise DataError(f"{path} has no rows: there is nothing to read")
    short = next((i for i, row in enumerate(rows) if row[0] is None), None)
    if short is not None:
        raise DataError(f"{path} row {short + 2} is cut short: it has no {text!r}")
    texts, labels = zip(*rows, strict=True)
    return Documents(list(texts), np.array(labels) if label else None)


class BagOfWords:
    """Documents as the words they have, whatever their order: rows of numbers in [0, 1].

    Of the `words` most frequent words (those of one letter and `stop_words` left out) each document has a count n_i,
    and with

        "counts"    x_i = n_i / sum_j n_j,  which sums to 1, for the loss "multinomial"
        "tfidf"     x_i = n_i w_i / |(n_j w_j)_j|,  w_i = 1 + log((1 + N) / (1 + N_i)),

    where N_i of the N documents given to `fit` have the word. A document without any of the words is a row of zeros.
    scikit-learn's CountVectorizer does the counting: pip install 'miniae[text]'.

    Attributes
    ----------
    words_ : the words, as the columns of a row have them.
    weights_ : w, of each word; ones for "counts".
    """

    def __init__(self, words: int = 2000, weighting: str = "tfidf", stop_words: str | Sequence[str] | None = "english"):
        if weighting not in ("counts", "tfidf"):
            raise ValueError(f"unknown weighting {weighting!r}: expected counts or tfidf")
        self.words, self.weighting, self.stop_words = check_count("words", words), weighting, stop_words

    def fit(self, texts: Sequence[str]) -> BagOfWords:
        """Choose the words, and weigh them. Raises `ImportError` without scikit-learn, `ValueError` for no words."""
        stop_words = self.stop_words if self.stop_words is None or isinstance(self.stop_words, str) else \
            list(self.stop_words)
        vectoriser = _vectoriser(max_features=self.words, stop_words=stop_words)
        counts = vectoriser.fit_transform(_texts(texts))
        self._vectoriser = vectoriser
        self.words_ = vectoriser.get_feature_names_out().tolist()
        having = np.asarray((counts > 0).sum(axis=0)).ravel()
        self.weights_ = np.ones(len(having)) if self.weighting == "counts" else \
            1 + np.log((1 + counts.shape[0]) / (1 + having))
        return self

    def state(self) -> dict[str, Any]:
        """What `transform` goes by, as JSON: words, their weights, and the weighting."""
        return {"words": self.words_, "weights": self.weights_.tolist(), "weighting": self.weighting}

    @classmethod
    def of(cls, state: Any) -> BagOfWords:
        """What gave that `state`: its `transform` gives the same rows. Raises `ValueError` for what is no such state,
        and `ImportError` without scikit-learn."""
        words, weights, weighting = (state.get(name) if isinstance(state, dict) else None
                                     for name in ("words", "weights", "weighting"))
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words) or \
                len(set(words)) < len(words):
            raise ValueError("a bag of words has a list of words, each of them once")
        weights = np.asarray(weights)
        if weights.dtype.kind not in "fi" or weights.shape != (len(words),) or not (weights > 0).all() or \
                not np.isfinite(weights).all():
            raise ValueError(f"a bag of {len(words)} words has as many weights, which are positive")
        bag = cls(len(words), str(weighting))
        bag.words_, bag.weights_, bag._vectoriser = words, weights.astype(np.float64), _vectoriser(vocabulary=words)
        return bag

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """(N, words) float32."""
        if not hasattr(self, "words_"):
            raise NotFittedError("this BagOfWords is not fitted yet: call fit(texts) first")
        x = self._vectoriser.transform(_texts(texts)).toarray() * self.weights_
        length = x.sum(axis=1) if self.weighting == "counts" else np.linalg.norm(x, axis=1)
        return (x / np.where(length > 0, length, 1.0)[:, None]).astype(np.float32)


def _vectoriser(**settings: Any) -> Any:
    try:
        from sklearn.feature_extraction.text import CountVectorizer
    except ImportError as why:
        raise ImportError(f"counting words needs scikit-learn ({why}): pip install 'miniae[text]'") from None
    return CountVectorizer(**settings)


def _texts(texts: Any) -> list[str]:
    """Raises `ValueError` for anything but a list of texts."""
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError("texts are a list of str, one a document: wrap a single one in a list")
    if not len(texts):
        raise ValueError("there are no texts: give one at least")
    return list(texts)
