"""What estimators check of the data that they are given."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.data import pieces
from miniae.training import check_samples, check_unit_interval


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0, 0), (57, 1, 2), (99, 3, 1)])
def test_a_number_that_is_none_is_found_in_any_piece(bad, where, monkeypatch):
    monkeypatch.setattr(pieces, "_PIECE", 120)
    x = np.zeros((100, 4, 3), np.float32)
    x[where] = bad
    with pytest.raises(ValueError) as error:
        check_samples(x)
    assert str(error.value) == (f"X holds {np.float32(bad)} at index {where}: fill in or drop missing and infinite "
                                "values")


def test_a_number_outside_is_found_in_any_piece(monkeypatch):
    monkeypatch.setattr(pieces, "_PIECE", 12)
    x = np.linspace(0, 1, 40).reshape(10, 4)
    check_unit_interval("X", x, "no")
    for where, value in ((0, -0.5), (9, 1.5)):
        y = x.copy()
        y[where, 2] = value
        with pytest.raises(ValueError, match="X ranges from .* to .*, but values in"):
            check_unit_interval("X", y, "values in [0, 1] are needed")
