"""Maps of codes: as they are, by components, by t-SNE and UMAP."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from miniae import PCA, CodeMap
from miniae.report import leave_one_out_accuracy
from miniae.training import NotFittedError

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], 30)
CODES = (RNG.standard_normal((90, 6)) + 8 * np.eye(6)[LABELS]).astype(np.float32)


def test_codes_of_as_many_numbers_are_the_map():
    for dimensions in (2, 3):
        made = CodeMap(dimensions).fit(CODES[:, :dimensions])
        np.testing.assert_array_equal(made.places_, CODES[:, :dimensions])
        assert made.by_ == "codes" and made.places_.dtype == np.float32
        np.testing.assert_array_equal(made.transform(CODES[:3, :dimensions]), CODES[:3, :dimensions])


@pytest.mark.parametrize("by", [None, "pca"])
def test_others_by_components(by):
    made = CodeMap(3, by).fit(CODES.reshape(90, 2, 3))
    np.testing.assert_allclose(made.places_, PCA(3).fit(CODES).transform(CODES), atol=1e-5)
    np.testing.assert_allclose(made.transform(CODES[:5]), made.places_[:5], atol=1e-5)
    assert made.by_ == "pca"


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.filterwarnings("ignore")  # of their own libraries
@pytest.mark.parametrize("by, peer", [("tsne", "sklearn"), ("umap", "umap")])
def test_tsne_and_umap_keep_groups_apart_and_follow_the_seed(by, peer, dimensions):
    pytest.importorskip(peer, reason=f"{by} maps are made by {peer}")
    settings = {"by": by, "neighbours": 8}
    places = CodeMap(dimensions, seed=1, **settings).fit_transform(CODES)
    assert places.shape == (90, dimensions) and places.dtype == np.float32
    assert leave_one_out_accuracy(places, LABELS) > 0.9
    np.testing.assert_array_equal(CodeMap(dimensions, seed=1, **settings).fit_transform(CODES), places)
    if by == "umap":
        made = CodeMap(dimensions, seed=2, **settings).fit(CODES)
        assert (made.places_ != places).any()
        assert made.transform(CODES[:4]).shape == (4, dimensions)


def test_few_samples():
    pytest.importorskip("sklearn", reason="t-SNE maps are made by scikit-learn")
    assert CodeMap(2, "tsne").fit_transform(CODES[:4]).shape == (4, 2)
    assert CodeMap(3).fit_transform(CODES[:4]).shape == (4, 3)


def test_tsne_has_no_place_for_others():
    pytest.importorskip("sklearn", reason="t-SNE maps are made by scikit-learn")
    with pytest.raises(ValueError, match="t-SNE has no place for further codes"):
        CodeMap(2, "tsne").fit(CODES[:10]).transform(CODES[:2])


@pytest.mark.parametrize("by, module, extra", [("tsne", "sklearn.manifold", "'miniae[tsne]'"),
                                               ("umap", "umap", "'miniae[umap]'")])
def test_what_is_not_installed_is_named(by, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as why:
        CodeMap(2, by).fit(CODES)
    assert str(why.value).endswith(f"pip install {extra}") and "\n" not in str(why.value)


@pytest.mark.parametrize("settings, codes, message", [
    ({"dimensions": 4}, CODES, "dimensions is 4, expected 2 or 3"),
    ({"by": "isomap"}, CODES, "unknown way 'isomap' to a map: expected one of codes, pca, tsne, umap"),
    ({"by": "codes"}, CODES, "codes have 6 numbers, a map of them as they are in 2 dimensions needs 2"),
    ({}, CODES[:, :1], "codes have 1 number, a map by pca in 2 dimensions needs at least 2"),
    ({"dimensions": 3, "by": "tsne"}, CODES[:, :2], "codes have 2 numbers, a map by tsne in 3 dimensions"),
    ({}, CODES[:3], "3 codes, expected at least 4"),
    ({"by": "tsne", "neighbours": 90}, CODES, "neighbours is 90, expected at most 29"),
    ({"seed": -1}, CODES, "seed must be an integer"),
    ({}, np.full((5, 2), np.nan), "codes holds nan"),
])
def test_what_is_refused(settings, codes, message):
    with pytest.raises(ValueError, match=message):
        CodeMap(**settings).fit(codes)


def test_transform_is_for_codes_of_the_same_kind_after_fit():
    with pytest.raises(NotFittedError):
        CodeMap().transform(CODES)
    with pytest.raises(ValueError, match="codes have 5 numbers, this map is of codes of 6"):
        CodeMap().fit(CODES).transform(CODES[:, :5])
