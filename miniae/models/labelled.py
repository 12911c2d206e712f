"""What models that know labels share."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["each"]


def each(labels: Any, n: int) -> Any:
    """Labels for n samples, where a single one is that of all."""
    return labels if labels is None or np.ndim(labels) else [labels] * n
