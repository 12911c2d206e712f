"""Layers that make images smaller or larger, without parameters."""

from __future__ import annotations

from typing import Any

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.nn.layer import Layer
