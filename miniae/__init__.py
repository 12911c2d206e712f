"""miniae: autoencoders from first principles, on NumPy and CuPy."""

__version__ = "0.1.0"

from miniae import functions  # noqa: F401  gives Tensor its operators
from miniae.autodiff import Function, Tensor, gradcheck, jvp, no_grad
from miniae.backend import use_backend
