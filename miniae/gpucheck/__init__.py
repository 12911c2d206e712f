"""Checks the CuPy backend on the GPU at hand: `python -m miniae.gpucheck [--out FILE]`.

Compares every kernel with the NumPy backend, every function's gradient with central differences, whole models'
gradients and loss curves with those on NumPy, and replayed training with training that is not; times a few things;
writes all of it as JSON, with the checksums of the kernels that ran.
"""

from miniae.gpucheck.check import main
from miniae.gpucheck.kernels import check_kernels
from miniae.gpucheck.models import MODELS, check_curve, check_gradients, check_replay

__all__ = ["MODELS", "check_curve", "check_gradients", "check_kernels", "check_replay", "main"]
