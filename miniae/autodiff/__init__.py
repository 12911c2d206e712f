"""Reverse-mode automatic differentiation: tensors, functions, the tape between them, and checks of gradients.

    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    x.grad                      # dy/dx = 2 x

Read `function.py`, then `tensor.py`, then `tape.py`: together they are the whole mechanism.
"""

from miniae.autodiff.dlpack import from_dlpack
from miniae.autodiff.forward import Linearization, jvp
from miniae.autodiff.function import Function
from miniae.autodiff.gradcheck import GradcheckResult, gradcheck, gradcheck_jvp
from miniae.autodiff.mode import no_grad, observe
from miniae.autodiff.tensor import Tensor, as_tensor

__all__ = [
    "Function", "GradcheckResult", "Linearization", "Tensor", "as_tensor", "from_dlpack", "gradcheck",
    "gradcheck_jvp", "jvp", "no_grad", "observe",
]
