"""The picture of heat maps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from miniae.report import heat_maps

RNG = np.random.default_rng(0)


def drawn(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_image_heat_and_outline(tmp_path):
    """A black image: what is bright is the heat's hot half, and the outline's blue is in the third column alone."""
    heat = np.zeros((32, 32))
    heat[:, 16:] = 5.0
    picture = drawn(heat_maps(tmp_path / "h.png", [np.zeros((32, 32))], [heat], masks=[heat > 1], titles=["half"]))
    blue = (abs(picture - [0x00, 0xc2, 0xff]) < 30).all(axis=2)
    rows, columns = np.nonzero(blue)
    wide, left, top = 320, 16, 44
    assert len(rows) > 200 and columns.min() > 2 * wide and np.ptp(columns) < 8  # an upright line
    assert (picture[top + 20:top + 300, left + 5:left + wide - 5] == 0).all()
    assert picture[top + 100, left + wide + 24 + wide - 20].sum() > 500  # hot
    assert picture[top + 100, left + wide + 24 + 20].sum() < 20  # cold


def test_colours_sizes_and_masks_of_nothing(tmp_path):
    images = [RNG.random((3, 20, 50)), RNG.random((9, 1)), RNG.random((1, 30, 10))]
    heats = [RNG.random(image.shape[-2:]) for image in images]
    masks = [np.zeros(heats[0].shape, bool), np.ones(heats[1].shape, bool), heats[2] > 0.5]
    a = heat_maps(tmp_path / "a.png", images, heats, masks=masks, titles=["a", "b", "c"], outline="what was put in")
    assert drawn(a).shape[0] > 3 * 200
    again = heat_maps(tmp_path / "b.png", images, heats, masks=masks, titles=["a", "b", "c"], outline="what was put in")
    assert a.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("images, heats, masks, says", [
    ([], [], [], "at least one"), ([np.zeros((4, 4))], [], [], "as many of each"),
    ([np.zeros((4, 4))], [np.zeros((4, 5))], [np.zeros((4, 4))], "of one size"),
    ([np.zeros((2, 4, 4))], [np.zeros((4, 4))], [np.zeros((4, 4))], "expected \\(height, width\\)"),
    ([np.zeros((4, 4))], [np.full((4, 4), np.nan)], [np.zeros((4, 4))], "holds nan"),
])
def test_what_can_not_be_drawn(images, heats, masks, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        heat_maps(tmp_path / "h.png", images, heats, masks=masks)
    assert not list(tmp_path.iterdir())
