"""Ways in which models are copied."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest


def by_pickle(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


def by_joblib(model: Any) -> Any:
    joblib = pytest.importorskip("joblib", reason="joblib comes with scikit-learn")
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)
