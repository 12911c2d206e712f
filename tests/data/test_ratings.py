"""Sparse matrices, ratings, and how they come to be batches."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from miniae.backend import get
from miniae.data import DataError, Order, Ratings, Sparse, read_ratings, rows_on

RNG = np.random.default_rng(0)


def some(shape=(7, 5), share=0.4, missing=0.0):
    """A dense matrix with holes, and the same as a `Sparse`."""
    dense = RNG.random(shape).astype(np.float32) + 1
    there = RNG.random(shape) < share
    rows, columns = np.nonzero(there)
    order = RNG.permutation(len(rows))  # entries come in any order
    rows, columns = rows[order], columns[order]
    return np.where(there, dense, missing).astype(np.float32), \
        Sparse.of_entries(rows, columns, dense[rows, columns], shape).with_values(
            dense[there], missing)


@pytest.mark.parametrize("missing", [0.0, np.nan])
@pytest.mark.parametrize("shape, share", [((7, 5), 0.4), ((1, 1), 1.0), ((4, 3), 0.0), ((0, 3), 0.5), ((3, 40), 0.1)])
def test_rows_are_those_of_the_dense_matrix(shape, share, missing):
    dense, sparse = some(shape, share, missing)
    np.testing.assert_array_equal(sparse[:], dense)
    np.testing.assert_array_equal(sparse[1:-1], dense[1:-1])
    np.testing.assert_array_equal(sparse.transposed()[:], dense.T)
    np.testing.assert_array_equal(sparse.transposed().transposed()[:], dense)
    if len(dense):
        index = RNG.integers(0, len(dense), 11)  # some twice
        np.testing.assert_array_equal(sparse.rows(index), dense[index])
    assert sparse.shape == shape and len(sparse) == shape[0]


def test_of_two_entries_for_a_place_the_last_one_counts():
    sparse = Sparse.of_entries(np.array([1, 0, 1]), np.array([2, 0, 2]), np.array([5.0, 1.0, 3.0]), (2, 3))
    np.testing.assert_array_equal(sparse[:], [[1, 0, 0], [0, 0, 3]])
    assert sparse.counts.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_are_made_whole_on_the_device(backend, dtype):
    dense, sparse = some(missing=np.nan)
    rows = rows_on(backend, dtype, sparse)
    assert len(rows) == 7
    first = None
    for numbers in ([3, 0, 6], [1, 1, 2]):
        order = Order.of(np.array(numbers), backend)
        rows.load(order)
        batch = rows.batch(order)
        np.testing.assert_array_equal(backend.to_host(batch), dense[numbers])
        assert batch.dtype == dtype and (first is None or first is batch)
        first = batch


def test_ratings_of_triples_know_their_ids():
    ratings = Ratings.of((["u2", "u1", "u2"], [30, 10, 10], [4, 5, 3]))
    assert ratings.users.tolist() == ["u1", "u2"] and ratings.items.tolist() == [10, 30] and len(ratings) == 3
    np.testing.assert_array_equal(ratings.matrix[:], [[5, 0], [3, 4]])
    users, items, values = ratings.triples()
    assert list(zip(users.tolist(), items.tolist(), values.tolist(), strict=True)) == \
        [("u1", 10, 5.0), ("u2", 10, 3.0), ("u2", 30, 4.0)]
    assert repr(ratings) == "<3 ratings of 2 items by 2 users>"


def test_ratings_of_scipys_matrices():
    scipy = pytest.importorskip("scipy.sparse", reason="takes SciPy's sparse matrices")
    dense, _ = some()
    for kind in (scipy.csr_matrix, scipy.csc_array, scipy.coo_matrix):
        ratings = Ratings.of(kind(dense))
        np.testing.assert_array_equal(ratings.matrix[:], dense)
        assert ratings.users.tolist() == list(range(7))


def test_what_looks_like_a_sparse_matrix_is_one():
    class Plain:
        indptr, indices, data = [0, 1, 3], [2, 0, 1], [5.0, 3.0, 4.0]

    np.testing.assert_array_equal(Ratings.of(Plain()).matrix[:], [[0, 0, 5], [3, 4, 0]])
    Plain.indptr = [0, 1, 2]
    with pytest.raises(ValueError, match="indptr does not fit"):
        Ratings.of(Plain())


@pytest.mark.parametrize("data, error, message", [
    (np.zeros((3, 3)), TypeError, "ndarray, expected a triple"),
    (([1], [2]), TypeError, "expected a triple"),
    (([1], [2], [3, 4]), ValueError, "1 users, 1 items and 2 ratings"),
    (([], [], []), (ValueError, TypeError), "expected integers or strings|no ratings"),
    (([1.5], [2], [3]), TypeError, "users of ratings are of type float64"),
    (([1], [2], ["x"]), TypeError, "ratings of type"),
    (([1, 1], [2, 3], [3, np.nan]), ValueError, "nan at index 1"),
])
def test_what_are_no_ratings_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        Ratings.of(data)


def test_ids_that_are_not_known_are_refused():
    with pytest.raises(ValueError, match="items of ratings hold 9, which the model does not know"):
        Ratings.of(([1], [9], [1]), items=np.array([1, 2]))
    with pytest.raises(TypeError, match="expected integers like"):
        Ratings.of(([1], ["9"], [1]), items=np.array([1, 2]))


@pytest.mark.parametrize("text", [
    "user,item,rating\n07,a b,4\n8,c,2.5\n", "07\ta b\t4\t881250949\n8\tc\t2.5\t881250949\n", "07::a b::4\n8::c::2.5",
    "07;a b;4\n\n8;c;2.5\n",
])
def test_tables_of_ratings(text, tmp_path):
    (tmp_path / "r.txt").write_text(text)
    ratings = read_ratings(tmp_path / "r.txt")
    assert ratings.users.tolist() == ["07", "8"] and ratings.items.tolist() == ["a b", "c"]
    np.testing.assert_array_equal(ratings.matrix[:], [[4, 0], [0, 2.5]])


@pytest.mark.parametrize("content, message", [
    (b"", "no ratings in it"), (b"user,item,rating\n", "no ratings in it"), (b"1,2\n", "line 1 has 2 cells"),
    (b"1,2,3\n1,3,good\n", "line 2 has the rating 'good'"), (b"1,2,3\n1,3,nan\n", "the rating 'nan'"),
    (b"\xff\xfe\x00\x01", "not a text table"), (None, "does not exist"),
])
def test_tables_that_hold_none(content, message, tmp_path):
    if content is not None:
        (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_ratings(tmp_path / "r.csv")


def test_strict_rows_stay_where_they_are():
    """What a recorded step refers to: the array of a batch is the same for every batch of a size."""
    be = get("strict")
    rows = rows_on(be, "float32", some()[1])
    arrays = []
    for numbers in (np.arange(3), np.arange(2, 5)):
        order = Order.of(numbers, be)
        rows.load(order)
        arrays.append(rows.batch(order))
    assert arrays[0] is arrays[1]


@pytest.mark.parametrize("line, message", [
    (",film,3", "line 2 has no user"), ("ann, ,3", "line 2 has no item"), ("ann,film,1e300", "rating '1e300'"),
    ("ann,film,-inf", "rating '-inf'"),
])
def test_lines_without_a_user_an_item_or_a_rating(line, message, tmp_path):
    (tmp_path / "r.csv").write_text(f"user,item,rating\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_ratings(tmp_path / "r.csv")


def test_reading_takes_no_more_memory_than_ratings_do(tmp_path):
    """Some 60 bytes a rating, where Python's strings would be several hundred."""
    n, path = 50_000, tmp_path / "r.csv"
    path.write_text("".join(f"{i % 500:06d},{i // 500:06d},{i % 5}\n" for i in range(n)))
    tracemalloc.start()
    ratings = read_ratings(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(ratings) == n and most < 120 * n
