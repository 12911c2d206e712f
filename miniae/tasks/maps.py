"""Codes as a map of two or three dimensions: as they are, by principal components, or by t-SNE or UMAP."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.models.pca import PCA
from miniae.training import check_count, check_samples
from miniae.training.estimator import Estimator, NotFittedError

__all__ = ["WAYS", "CodeMap"]

WAYS = {"codes": "code", "pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
"""How codes become a map, and what the numbers of its places are called."""


class CodeMap(Estimator):
    """Places of samples in two or three dimensions, from their codes.

        places = CodeMap(2, by="tsne").fit_transform(model.transform(X))

    An autoencoder whose code has two numbers draws a map by itself, and can go back from any place of it. Codes of more
    numbers reconstruct better, and can be laid out afterwards:

        "codes"   as they are, where they have `dimensions` numbers
        "pca"     their first principal components (`PCA`), which are linear
        "tsne"    t-SNE (van der Maaten and Hinton, JMLR 9, 2008) by scikit-learn: pip install 'miniae[tsne]'
        "umap"    UMAP (McInnes, Healy and Melville 2018) by umap-learn: pip install 'miniae[umap]'

    The last two keep neighbours together and say little by distances between groups, and by the size of these. Those
    of the same codes and seed are the same.

    Parameters
    ----------
    dimensions : 2 or 3.
    by : one of these ways; None is "codes" for codes of `dimensions` numbers and "pca" for others.
    neighbours : how many samples around each are kept near: the perplexity of t-SNE (30 where it is None, or a third of
        the samples if they are fewer) or the n_neighbors of UMAP (15, or all others if they are fewer).
    seed : decides what t-SNE and UMAP draw.

    Attributes
    ----------
    by_ : the way that was taken.
    places_ : the map, (N, dimensions), in the dtype of the codes.
    """

    def __init__(self, dimensions: int = 2, by: str | None = None, neighbours: int | None = None, seed: int = 0):
        self.dimensions, self.by, self.neighbours, self.seed = dimensions, by, neighbours, seed

    def fit(self, codes: Any, y: Any = None) -> CodeMap:
        """Lay out codes (N, ...), N at least 4; y is not used.

        Raises `ValueError` for codes that can't be laid out that way and `ImportError` where what does it is not
        installed.
        """
        if self.dimensions not in (2, 3):
            raise ValueError(f"dimensions is {self.dimensions!r}, expected 2 or 3")
        if self.by is not None and self.by not in WAYS:
            raise ValueError(f"unknown way {self.by!r} to a map: expected one of {', '.join(WAYS)}")
        check_count("seed", self.seed, least=0)
        codes = check_samples(codes, name="codes")
        codes = codes.reshape(len(codes), -1)
        numbers = codes.shape[1]
        if len(codes) < 4:
            raise ValueError(f"there are {len(codes)} codes, expected at least 4 for a map")
        by = self.by or ("codes" if numbers == self.dimensions else "pca")
        if by == "codes" and numbers != self.dimensions:
            raise ValueError(f"codes have {numbers} number{'s' * (numbers > 1)}, a map of them as they are in "
                             f"{self.dimensions} dimensions needs {self.dimensions}: take pca, tsne or umap, or train "
                             f"a model with a code of {self.dimensions}")
        if numbers < self.dimensions:
            raise ValueError(f"codes have {numbers} number{'s' * (numbers > 1)}, a map by {by} in {self.dimensions} "
                             f"dimensions needs at least {self.dimensions}")
        self._layout = _LAYOUTS[by](self, codes)
        places = codes if self._layout is None else self._layout.fit_transform(codes)
        self.by_, self._numbers = by, numbers
        self.places_ = np.asarray(places, codes.dtype if codes.dtype.kind == "f" else np.float32)
        return self

    def fit_transform(self, codes: Any, y: Any = None) -> np.ndarray:
        """The places of codes (N, ...): (N, dimensions)."""
        return self.fit(codes).places_

    def transform(self, codes: Any) -> np.ndarray:
        """The places of further codes on this map: (M, ...) to (M, dimensions).

        Raises `ValueError` for t-SNE, which has no place for what it wasn't fitted to.
        """
        if not hasattr(self, "places_"):
            raise NotFittedError("this CodeMap is not fitted yet: call fit(codes) first")
        codes = check_samples(codes, name="codes")
        codes = codes.reshape(len(codes), -1)
        if codes.shape[1] != self._numbers:
            raise ValueError(f"codes have {codes.shape[1]} numbers, this map is of codes of {self._numbers}")
        if self.by_ == "tsne":
            raise ValueError("t-SNE has no place for further codes: fit a map to all together, or take pca or umap")
        return codes if self._layout is None else np.asarray(self._layout.transform(codes), self.places_.dtype)

    def _near(self, usual: int, most: int) -> int:
        """How many neighbours: those asked for, or the usual number if there are so many."""
        if self.neighbours is None:
            return max(1, min(usual, most))
        if check_count("neighbours", self.neighbours) > most:
            raise ValueError(f"neighbours is {self.neighbours}, expected at most {most} for so few codes")
        return self.neighbours


def _as_they_are(settings: CodeMap, codes: np.ndarray) -> None:
    return None


def _components(settings: CodeMap, codes: np.ndarray) -> Any:
    return PCA(settings.dimensions)


def _tsne(settings: CodeMap, codes: np.ndarray) -> Any:
    perplexity = settings._near(30, (len(codes) - 1) // 3)
    try:
        from sklearn.manifold import TSNE
    except ImportError as why:
        raise ImportError(f"t-SNE needs scikit-learn ({why}): pip install 'miniae[tsne]'") from None
    return TSNE(settings.dimensions, perplexity=perplexity, init="pca", random_state=settings.seed)


def _umap(settings: CodeMap, codes: np.ndarray) -> Any:
    neighbours = settings._near(15, len(codes) - 1)
    try:
        from umap import UMAP
    except ImportError as why:
        raise ImportError(f"UMAP needs umap-learn ({why}): pip install 'miniae[umap]'") from None
    # Spectral initialisation needs more samples than it has dimensions and one.
    init = "spectral" if len(codes) > 2 * settings.dimensions + 2 else "random"
    return UMAP(n_neighbors=max(2, neighbours), n_components=settings.dimensions, init=init,
                random_state=settings.seed, n_jobs=1)


_LAYOUTS = {"codes": _as_they_are, "pca": _components, "tsne": _tsne, "umap": _umap}
