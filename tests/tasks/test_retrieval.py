"""Indexes of codes: exact answers, samples in and out, files."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import miniae
from miniae.data import StorageError
from miniae.models import PCA, VARIANTS, Autoencoder, ConditionalVariationalAutoencoder, SemanticHashing, pretrain
from miniae.tasks import SemanticIndex, retrieval

RNG = np.random.default_rng(0)
METRICS = pytest.mark.parametrize("metric", ["cosine", "euclidean", "hamming"])
X = RNG.random((80, 12), dtype=np.float32)


def codes_of(metric, n, size=11, repeats=True):
    """Codes many of which are equal or equally far away."""
    codes = RNG.integers(0, 3 if repeats else 1000, (n, size)) - 1.0
    return codes > 0 if metric == "hamming" else codes


def brute_force(metric, queries, codes, ids, k):
    """All distances in float64, sorted by distance and then by id."""
    q, x = queries[:, None].astype(np.float64), codes[None].astype(np.float64)
    if metric == "hamming":
        distances = (q != x).sum(axis=2)
    elif metric == "euclidean":
        distances = np.sqrt(np.square(q - x).sum(axis=2))
    else:
        lengths = np.sqrt(np.square(q).sum(axis=2) * np.square(x).sum(axis=2))
        distances = 1 - np.divide((q * x).sum(axis=2), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    # What the same numbers give in another order differs by rounding only.
    order = np.lexsort((np.broadcast_to(ids, distances.shape), distances.round(6)))[:, :k]
    return ids[order], np.take_along_axis(distances, order, axis=1)


@METRICS
@pytest.mark.parametrize("k", [1, 7, 300])
def test_answers_are_those_of_brute_force(metric, k, monkeypatch):
    """With blocks of a few rows, ids in any order, many codes equally near, and codes of zeros."""
    monkeypatch.setattr(retrieval, "_DISTANCES", 200)
    monkeypatch.setattr(retrieval, "_QUERIES", 5)
    codes, queries = codes_of(metric, 300), codes_of(metric, 23)
    queries[0] = codes[4] = codes[5] = 0
    ids = RNG.permutation(1000)[:300]
    index = SemanticIndex(metric=metric)
    for part in np.split(np.arange(300), [100, 101, 250]):
        index.add(codes[part], ids[part])
    found, distances = index.search(queries, k)
    if metric == "hamming":
        expected = brute_force(metric, queries, codes, ids, k)
        np.testing.assert_array_equal(found, expected[0])
        np.testing.assert_array_equal(distances, expected[1])
        assert distances.dtype == np.int64
        return
    _, expected = brute_force(metric, queries, codes, ids, k)
    np.testing.assert_allclose(distances, expected, atol=1e-6)
    place = {i: n for n, i in enumerate(ids.tolist())}
    for q, (row, away) in enumerate(zip(found, distances, strict=True)):
        assert len({*row.tolist()}) == k
        single = codes[[place[i] for i in row.tolist()]]
        np.testing.assert_allclose(away, brute_force(metric, queries[q:q + 1], single, row, k)[1][0], atol=1e-6)
        equal = away[1:] == away[:-1]
        assert (row[1:][equal] > row[:-1][equal]).all()


@METRICS
def test_ties_go_to_the_smaller_id_also_at_the_last_place(metric):
    codes = np.repeat(codes_of(metric, 4, repeats=metric == "hamming"), 50, axis=0)
    index = SemanticIndex(metric=metric)
    order = RNG.permutation(200)
    index.add(codes[order], order)
    for q in (0, 60, 199):
        found, distances = index.search(codes[q:q + 1], 5)
        np.testing.assert_array_equal(found[0], np.flatnonzero((codes == codes[q]).all(axis=1))[:5])
        assert (distances == 0).all()


@METRICS
def test_answers_do_not_depend_on_how_many_are_asked_for_at_once(metric):
    codes = RNG.standard_normal((3000, 30)).astype(np.float32)
    codes = codes > 0 if metric == "hamming" else codes
    index = SemanticIndex(metric=metric)
    index.add(codes)
    found, distances = index.search(codes[:300], 6)
    for part in (slice(0, 1), slice(7, 40), slice(250, 300)):
        one = index.search(codes[part], 6)
        np.testing.assert_array_equal(one.ids, found[part])
        np.testing.assert_array_equal(one.distances, distances[part])
    np.testing.assert_array_equal(index.search(codes[:300], 3).ids, found[:, :3])
    assert (found[:, 0] == np.arange(300)).all() and (distances[:, 0] == 0).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_codes_far_from_zero_or_of_any_size_are_told_apart(metric):
    """Where the quick distances are all the same to rounding, the exact ones still decide."""
    codes = 1000 + RNG.random((500, 3))
    index = SemanticIndex(metric=metric)
    index.add(codes)
    kept = index.codes.astype(np.float64)
    found, _ = index.search(codes[:20], 4)
    expected = np.argsort(np.square(kept[:20, None] - kept).sum(axis=2), axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(found, expected)
    for scale in (1e-20, 1e12):
        scaled = SemanticIndex(metric=metric)
        scaled.add(scale * codes_of("", 50, repeats=False))
        assert (scaled.search(scale * np.ones((1, 11)), 50).distances >= 0).all()


@pytest.mark.parametrize("bits", [1, 7, 8, 16, 24, 32, 64, 100, 128])
def test_bits_of_every_number(bits):
    codes = RNG.random((50, bits)) < 0.5
    index = SemanticIndex(metric="hamming")
    index.add(codes)
    assert index.bytes_per_code == -(-bits // 8)
    expected = brute_force("hamming", codes, codes, np.arange(50), 50)
    for given in (codes, codes.astype(np.uint8)):
        found = index.search(given, 50)
        np.testing.assert_array_equal(found.ids, expected[0])
        np.testing.assert_array_equal(found.distances, expected[1])


def test_numbers_become_bits_by_the_median_or_a_threshold():
    codes = RNG.standard_normal((101, 6))
    index = SemanticIndex(metric="hamming")
    index.add(codes)
    np.testing.assert_array_equal(index.thresholds_, np.median(codes, axis=0))
    np.testing.assert_array_equal(np.unpackbits(index.codes, axis=1)[:, :6].sum(axis=0), 50)
    index.add(codes + 5)  # the thresholds are as they were
    np.testing.assert_array_equal(index.thresholds_, np.median(codes, axis=0))
    at_half = SemanticIndex(metric="hamming", threshold=0.5)
    at_half.add(codes)
    np.testing.assert_array_equal(np.unpackbits(at_half.codes, axis=1)[:, :6], codes > 0.5)


def test_a_million_codes_in_bounded_memory():
    """Beside the codes: 30 MB as a rule, 200 MB where all codes are equally near."""
    numbers, bits = SemanticIndex(metric="euclidean"), SemanticIndex(metric="hamming")
    codes = np.random.default_rng(1).random((10**6, 16), dtype=np.float32)
    numbers.add(codes)
    bits.add(np.zeros((10**6, 32), bool))
    for index, queries, most in ((numbers, codes[:40], 30e6), (bits, np.zeros((40, 32), bool), 200e6)):
        index.search(queries[:1], 1)
        tracemalloc.start()
        found, distances = index.search(queries, 10)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most
        expected = np.tile(np.arange(10), (40, 1)) if index is bits else np.arange(40)[:, None]
        np.testing.assert_array_equal(found[:, :expected.shape[1]], expected)
        assert not distances[:, 0].any()
    assert numbers.bytes_per_code == 64 and bits.bytes_per_code == 4


# -------------------------------------------------------------------- samples in and out

def test_add_and_remove():
    index = SemanticIndex(metric="euclidean")
    np.testing.assert_array_equal(index.add(X[:30]), np.arange(30))
    np.testing.assert_array_equal(index.add(X[30:32], [100, 50]), [100, 50])
    np.testing.assert_array_equal(index.add(X[32:34]), [101, 102])
    assert len(index) == 34 and index.ids[-4:].tolist() == [50, 100, 101, 102]
    assert index.search(X[30:31], 1).ids == 100
    index.remove([100, 3, 3])
    index.remove(102)
    assert len(index) == 31 and not {100, 3, 102} & {*index.ids.tolist()}
    assert 3 not in index.search(X[3:4], 31).ids
    np.testing.assert_array_equal(index.add(X[:1]), [103])  # the id of what is gone is not given again by itself
    np.testing.assert_array_equal(index.add(X[3:4], [3]), [3])
    fresh = SemanticIndex(metric="euclidean")
    fresh.add(np.concatenate([X[:30], X[31:33], X[:1]]), [*range(30), 50, 101, 103])
    for a, b in zip(index.search(X, 20), fresh.search(X, 20), strict=True):
        np.testing.assert_array_equal(a, b)
    index.remove(index.ids)
    assert len(index) == 0
    with pytest.raises(ValueError, match="empty"):
        index.search(X)


@pytest.mark.parametrize("use, says", [
    (lambda i: i.add(X[:2], [0, 200]), "the id 0 is taken already"),
    (lambda i: i.add(X[:2], [200, 200]), "the id 200 is given twice"),
    (lambda i: i.add(X[:2], [200]), "ids of shape"),
    (lambda i: i.add(X[:1], [-1]), "from 0 to"),
    (lambda i: i.add(X[:1], ["a"]), "ids are integers"),
    (lambda i: i.add(X[:, :5]), "have 5 units, the index has codes of 12"),
    (lambda i: i.add(X[:0]), "there is nothing in it"),
    (lambda i: i.add(np.full((1, 12), np.nan)), "codes holds nan"),
    (lambda i: i.add(np.full((1, 12), 1e16)), "above 1e15"),
    (lambda i: i.add(X, labels=[1]), "no model"),
    (lambda i: i.remove(999), "no sample with the id 999"),
    (lambda i: i.remove([0, 999]), "no sample with the id 999"),
    (lambda i: i.search(X, 81), "the index holds 80 samples"),
    (lambda i: i.search(X, 0), "k must be an integer of at least 1"),
    (lambda i: i.search(X[:, :3]), "have 3 units"),
])
def test_what_can_not_be_is_refused_and_changes_nothing(use, says):
    index = SemanticIndex(metric="euclidean")
    index.add(X)
    before = index.search(X, 80)
    with pytest.raises(ValueError, match=says) as why:
        use(index)
    assert "\n" not in str(why.value)
    for a, b in zip(index.search(X, 80), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_indexes_that_can_not_be():
    for says, arguments in (("unknown metric 'l1'", {"metric": "l1"}), ("for metric='hamming'", {"threshold": 0.5}),
                            ("threshold must be a finite", {"metric": "hamming", "threshold": np.nan})):
        with pytest.raises(ValueError, match=says):
            SemanticIndex(**arguments)
    with pytest.raises(TypeError, match="a dict has no transform"):
        SemanticIndex({})
    with pytest.raises(ValueError, match="empty"):
        SemanticIndex().search(X)
    bits = SemanticIndex(metric="hamming")
    bits.add(X > 0.5)
    with pytest.raises(ValueError, match="are numbers, those of the index were bits"):
        bits.search(X)


# -------------------------------------------------------------------- models

@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
@pytest.mark.parametrize("kind", VARIANTS)
def test_every_kind_of_model_and_its_file(kind, tmp_path):
    cls = VARIANTS[kind]
    size = {"filters": (2, 2)} if "filters" in cls._parameter_names() else {"hidden": (5,), "code": 3}
    images = X.reshape(-1, 1, 4, 3)
    labels = (np.arange(80) % 2,) if cls.needs_labels else ()
    model = cls(**size, epochs=1).fit(images, *labels)
    codes = model.transform(images, *labels).reshape(80, -1)
    for metric in ("cosine", "hamming"):
        index, plain = SemanticIndex(model, metric), SemanticIndex(metric=metric)
        index.add(images, labels=labels[0] if labels else None)
        plain.add(model.binary_codes(images) if kind == "semantic-hashing" and metric == "hamming" else codes)
        found = index.search(images, 5, *labels)
        np.testing.assert_array_equal(found.ids, plain.search(
            model.binary_codes(images) if kind == "semantic-hashing" and metric == "hamming" else codes, 5).ids)
        index.save(tmp_path / "i.safetensors")
        again = SemanticIndex.load(tmp_path / "i.safetensors").search(images, 5, *labels)
        np.testing.assert_array_equal(again.ids, found.ids)
        np.testing.assert_array_equal(again.distances, found.distances)


def test_stacks_and_components_are_models_too(tmp_path):
    for model in (pretrain(X, [12, 6, 3], epochs=1), PCA(3).fit(X)):
        index = SemanticIndex(model)
        index.add(X)
        np.testing.assert_array_equal(index.search(X, 1).ids[:, 0], np.arange(80))
        with pytest.raises(ValueError, match="make the index of codes"):
            index.save(tmp_path / "i.safetensors")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="model was made for"):
        i = SemanticIndex(Autoencoder([4], 2, epochs=1).fit(X))
        i.add(X[:, :5])


# -------------------------------------------------------------------- files

def saved(path, metric="hamming"):
    index = SemanticIndex(SemanticHashing([8], 9, epochs=1).fit(X), metric)
    index.add(X, np.arange(80)[::-1])
    index.remove([5, 79])
    index.extra = {"data": "X"}
    index.save(path)
    return index


@METRICS
def test_a_loaded_index_gives_the_same_answers_and_goes_on(metric, backend, tmp_path):
    path = tmp_path / "index.safetensors"
    index = saved(path, metric)
    loaded = SemanticIndex.load(path)
    assert loaded.extra == {"data": "X"} and len(loaded) == 78 and loaded.metric == metric
    for one in (index, loaded):
        np.testing.assert_array_equal(one.add(X[:2]), [80, 81])
    for a, b in zip(index.search(X, 80), loaded.search(X, 80), strict=True):
        np.testing.assert_array_equal(a, b)
    loaded.save(tmp_path / "again.safetensors")
    index.save(path)
    assert path.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_thresholds_and_codes_alone_are_kept_in_the_file(tmp_path):
    for index in (SemanticIndex(metric="hamming"), SemanticIndex(metric="hamming", threshold=0.25), SemanticIndex()):
        index.add(X)
        index.save(tmp_path / "i.safetensors")
        loaded = SemanticIndex.load(tmp_path / "i.safetensors")
        assert loaded.model is None and loaded.threshold == index.threshold
        for a, b in zip(index.search(X + 0.1), loaded.search(X + 0.1), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="empty"):
        SemanticIndex().save(tmp_path / "e.safetensors")
    assert not (tmp_path / "e.safetensors").exists()


def test_damaged_files_are_refused(tmp_path):
    """A bit flipped anywhere, a piece cut off, and files of another kind."""
    path = tmp_path / "index.safetensors"
    saved(path)
    content = path.read_bytes()
    for place in [*range(0, len(content), 97), len(content) - 1]:
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(StorageError) as why:
            SemanticIndex.load(path)
        assert "\n" not in str(why.value)
    for length in (0, 7, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(StorageError, match="damaged"):
            SemanticIndex.load(path)
    Autoencoder([4], 2, epochs=1).fit(X).save(path)
    with pytest.raises(StorageError, match="holds a model, expected a file of the kind 'index'"):
        SemanticIndex.load(path)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="expected a model"):
        miniae.load(path)
    with pytest.raises(StorageError, match="does not exist"):
        SemanticIndex.load(tmp_path / "none.safetensors")


def test_a_later_format_is_refused(tmp_path):
    from miniae.data.storage import load_tensors, save_tensors

    path = tmp_path / "index.safetensors"
    saved(path)
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, {**header, "format": 2})
    with pytest.raises(StorageError, match="install a newer miniae"):
        SemanticIndex.load(path)


@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")
def test_models_that_need_labels_say_so():
    index = SemanticIndex(ConditionalVariationalAutoencoder((4,), 2, epochs=1).fit(X, np.arange(80) % 2))
    with pytest.raises((ValueError, TypeError), match="labels"):
        index.add(X)
    assert len(index) == 0


@METRICS
def test_distances_are_those_of_scikit_learn(metric):
    metrics = pytest.importorskip("sklearn.metrics", reason="compares distances with scikit-learn's")
    codes = RNG.standard_normal((200, 9)).astype(np.float32)
    codes = codes > 0 if metric == "hamming" else codes
    index = SemanticIndex(metric=metric)
    index.add(codes)
    found = index.search(codes[:50], 200)
    theirs = metrics.pairwise_distances(codes[:50].astype(np.float64), codes.astype(np.float64), metric=metric)
    theirs = theirs * 9 if metric == "hamming" else theirs
    np.testing.assert_allclose(found.distances, np.take_along_axis(theirs, found.ids, axis=1), atol=2e-7)


def test_after_the_last_id_there_is_no_next():
    index = SemanticIndex()
    index.add(np.eye(3), ids=[0, 1, 2**63 - 2])
    with pytest.raises(ValueError, match="there are no ids after 9223372036854775806"):
        index.add(np.eye(3))
    assert len(index) == 3 and index.add(np.eye(3), ids=[2, 3, 4]).tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="from 0 to"):
        index.add(np.eye(1, 3), ids=[2**63 - 1])
