"""Windows of signals and images, and what is put together from them again."""

import numpy as np
import pytest

from miniae.data import Windows

CASES = [(7, 3, 2), (8, 3, 2), (5, 5, 1), (1, 1, 1), (9, 5, 5), ((6, 7), (3, 2), (2, 1)), ((5, 5), 5, 1),
         ((4, 9), 4, 3)]


@pytest.mark.parametrize(("extent", "size", "step"), CASES)
@pytest.mark.parametrize("before", [(), (3,), (2, 0)])
def test_windows_are_slices_that_leave_nothing_out(extent, size, step, before):
    windows = Windows(extent, size, step)
    x = np.arange(np.prod(before + windows.extent), dtype=float).reshape(before + windows.extent)
    cut = windows.cut(x)
    assert cut.shape == (len(windows), *before, *windows.size) and len(windows) == np.prod(windows.grid)
    covered = np.zeros(windows.extent, int)
    for window, corner in zip(cut, windows.corners, strict=True):
        place = tuple(slice(c, c + s) for c, s in zip(corner, windows.size, strict=True))
        np.testing.assert_array_equal(window, x[(..., *place)])
        covered[place] += 1
    assert covered.min() >= 1


@pytest.mark.parametrize(("extent", "size", "step"), CASES)
def test_windows_are_as_regular_as_they_can_be(extent, size, step):
    windows = Windows(extent, size, step)
    for axis, (e, s, by) in enumerate(zip(windows.extent, windows.size, windows.step, strict=True)):
        places = sorted({corner[axis] for corner in windows.corners.tolist()})
        assert places[:-1] == [i * by for i in range(len(places) - 1)] and places[-1] == e - s


@pytest.mark.parametrize(("extent", "size", "step"), CASES)
@pytest.mark.parametrize("before", [(), (2,)])
def test_what_is_cut_is_put_together_again(extent, size, step, before):
    windows = Windows(extent, size, step)
    x = np.random.default_rng(0).normal(size=before + windows.extent)
    weight = np.random.default_rng(1).uniform(0.1, 1, windows.size)
    np.testing.assert_allclose(windows.overlay(windows.cut(x), weight), x, rtol=1e-12)
    np.testing.assert_allclose(windows.overlay(windows.blocks(x)), x, rtol=1e-12)


def test_where_windows_disagree_the_mean_by_weight_is_taken():
    windows = Windows(3, 2, 1)
    np.testing.assert_allclose(windows.overlay(np.array([[1.0, 2], [6, 7]]), [1, 3]), [1, (3 * 2 + 1 * 6) / 4, 7])


def test_blocks_are_all_windows_in_order(monkeypatch):
    monkeypatch.setattr("miniae.data.windows._BLOCK", 20)
    windows, x = Windows((6, 7), (3, 2), (2, 1)), np.random.default_rng(0).normal(size=(2, 6, 7))
    blocks = list(windows.blocks(x))
    assert len(blocks) > 2
    np.testing.assert_array_equal(np.concatenate(blocks), windows.cut(x))


@pytest.mark.parametrize(("arguments", "said"), [
    ((4, 5), "windows of 5 do not fit into 4"),
    (((4, 4), (2, 5)), "windows of 2 x 5 do not fit into 4 x 4"),
    ((4, 0), "size is a number of at least 1"),
    ((4, 2, 3), "every 3 leave elements out"),
    ((4, 2, 0), "step is a number of at least 1"),
    ((4, (2, 2)), "size is a number of at least 1"),
    ((4, 2.5), "size is a number of at least 1"),
])
def test_windows_that_can_not_be_laid(arguments, said):
    with pytest.raises(ValueError, match=said):
        Windows(*arguments)


def test_what_does_not_fit_is_refused():
    windows = Windows((4, 4), 2, 2)
    with pytest.raises(ValueError, match=r"laid for the last axes \(4, 4\), got an array of shape \(4, 5\)"):
        windows.cut(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="laid for the last axes"):
        windows.cut(np.zeros(4))
    with pytest.raises(ValueError, match="got 3 windows, expected 4"):
        windows.overlay(np.zeros((3, 2, 2)))
    with pytest.raises(ValueError, match="must be positive"):
        windows.overlay(np.zeros((4, 2, 2)), [[0, 1], [1, 1]])
