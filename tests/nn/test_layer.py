"""What every layer checks."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.nn import Dense


@pytest.mark.parametrize(("activation", "kind"), [
    (lambda x: np.maximum(x.data, 0.0), "ndarray"), (lambda x: None, "nothing")], ids=["an array", "nothing"])
def test_what_gives_no_tensor_is_refused(activation, kind):
    """An array would train, but nothing below it."""
    with pytest.raises(TypeError, match=f"Dense gave {kind}, expected a tensor: write its forward, or its activation"):
        Dense(3, activation)(np.ones((2, 4), np.float32))
