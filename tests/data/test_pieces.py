"""Data gone through in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.data import make_scaler, pieces
from miniae.data.pieces import is_mapped, let_go


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "_PIECE", 60)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (20, 3), (41, 3), (5, 0), (7, 100), (9, 2, 5)])
def test_pieces_have_every_row_once(shape, small_pieces):
    parts = list(pieces.pieces(np.empty(shape)))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(shape[0]))
    row = int(np.prod(shape[1:]))
    assert all(part.stop - part.start == 1 or (part.stop - part.start) * row <= 60 for part in parts)


@pytest.mark.parametrize("name", ["minmax", "standard"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(50, 3), (401, 7), (33, 2, 3), (5, 200)])
def test_scalings_do_not_depend_on_the_pieces(name, dtype, shape, monkeypatch):
    """Bit for bit: offset, scale, and what is scaled by them are those of NumPy's sums over all rows at once."""
    x = (np.random.default_rng(0).random(shape) * 250).astype(dtype)
    x[:, 0] = 7
    whole = make_scaler(name).fit(x)
    at_once = whole.transform(x)
    if name == "standard":
        varying = x.std(axis=0, dtype=np.float64) > 0
        np.testing.assert_array_equal(whole.offset[varying], x.mean(axis=0, dtype=np.float64)[varying])
        np.testing.assert_array_equal(whole.scale[varying], x.std(axis=0, dtype=np.float64)[varying])
    monkeypatch.setattr(pieces, "_PIECE", 60)
    in_pieces = make_scaler(name).fit(x)
    np.testing.assert_array_equal(in_pieces.offset, whole.offset)
    np.testing.assert_array_equal(in_pieces.scale, whole.scale)
    result = in_pieces.transform(x)
    np.testing.assert_array_equal(result, at_once)
    assert result.dtype == at_once.dtype == (np.float32 if dtype == "uint8" else dtype)
    floats = make_scaler(name).fit(x.astype(np.float32))
    if dtype == "uint8":
        np.testing.assert_array_equal(floats.transform(x.astype(np.float32)), result)


def test_what_lies_in_a_mapped_file(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(12.0).reshape(4, 3))
    mapped = np.load(path, mmap_mode="r")
    assert all(map(is_mapped, (mapped, np.asarray(mapped), mapped[1:3, ::2], mapped.T, mapped.view(np.uint8))))
    assert not any(map(is_mapped, (np.arange(3), mapped[[0, 2]], mapped.astype("float32"), np.load(path))))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_pages_that_were_let_go_come_back_as_they_were(mode, tmp_path):
    """Also what was written to them, be it in the file (r+) or only in memory (c)."""
    path = tmp_path / "x.npy"
    np.save(path, np.arange(30_000.0).reshape(-1, 3))
    mapped = np.load(path, mmap_mode=mode)
    if mode != "r":
        mapped[77] = -1
    expected = np.array(mapped)
    let_go(mapped)
    np.testing.assert_array_equal(mapped, expected)
    let_go(np.asarray(mapped)[50:])
    np.testing.assert_array_equal(mapped, expected)
