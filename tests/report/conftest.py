"""Looking into pictures."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from PIL import Image

from miniae.report import canvas, maps, pictures, rbm_pictures, tables, timing_pictures


@pytest.fixture
def figures(monkeypatch):
    """The figures drawn in a test, to look into after they were saved."""
    drawn = []

    @contextlib.contextmanager
    def drawing(*args):
        with canvas.drawing(*args) as figure:
            drawn.append(figure)
            yield figure

    for module in (maps, pictures, rbm_pictures, tables, timing_pictures):
        monkeypatch.setattr(module, "drawing", drawing)
    return drawn


@pytest.fixture
def pixels():
    """A function from the path of a PNG to its pixels (height, width, 3)."""
    def read(path):
        with Image.open(path) as image:
            assert image.format == "PNG"
            return np.asarray(image.convert("RGB"))
    return read
