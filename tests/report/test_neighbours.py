"""The picture of queries and their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from miniae.report import neighbours

RNG = np.random.default_rng(0)


def test_the_query_stands_left_of_what_was_found(tmp_path):
    """Black queries, white neighbours: a dark column, then light ones."""
    path = neighbours(tmp_path / "n.png", np.zeros((2, 36)), np.full((2, 3, 36), 0.5), (6, 6))
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    row = pixels[32 + 36]
    assert (row[20:16 + 70] == 0).all() and (row[16 + 72 + 24 + 4:16 + 72 + 24 + 68] == 127).all()
    assert (pixels == 0).sum() >= 2 * 72 * 72 and abs(int((pixels == 127).sum()) - 6 * 72 * 72) < 200


def test_captions_colours_and_titles(tmp_path):
    a = neighbours(tmp_path / "a.png", RNG.random((2, 3, 4, 5)), RNG.random((2, 2, 3, 4, 5)),
                   captions=[["1", "2"], ["3", "4"]], title="near")
    with Image.open(a) as image:
        assert image.size[1] > 2 * 58 + 64


@pytest.mark.parametrize("queries, found, more, says", [
    (np.zeros((2, 9)), np.zeros((3, 1, 9)), {"image_shape": (3, 3)}, "what was found has shape"),
    (np.zeros((2, 9)), np.zeros((2, 1, 8)), {"image_shape": (3, 3)}, "what was found has shape"),
    (np.zeros((2, 9)), np.zeros((2, 0, 9)), {"image_shape": (3, 3)}, "what was found has shape"),
    (np.zeros((2, 9)), np.zeros((2, 1, 9)), {}, "give their image_shape"),
    (np.zeros((2, 9)), np.zeros((2, 1, 9)), {"image_shape": (3, 3), "captions": [["a"]]}, "one below each"),
])
def test_what_can_not_be_drawn(queries, found, more, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        neighbours(tmp_path / "n.png", queries, found, **more)
    assert not (tmp_path / "n.png").exists()
