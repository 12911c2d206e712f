"""How an autoencoder's output is read, and what a wrong one costs."""

from __future__ import annotations

from miniae import functions as F
from miniae.autodiff import Tensor

# The name of a loss of a reconstruction: the loss function, and the output activation that goes with it by default.
_LOSSES = {
    "mse": (F.squared_error, "linear"),
    "mae": (F.absolute_error, "linear"),
    "huber": (F.huber, "linear"),
    "bce": (F.binary_cross_entropy, "sigmoid"),
    "multinomial": (F.cross_entropy, "softmax"),
}
RECONSTRUCTION_LOSSES = tuple(_LOSSES)
# With these output activations they are computed from what the activation is applied to.
_FROM_LOGITS = {("bce", "sigmoid"): F.binary_cross_entropy_with_logits, ("multinomial", "softmax"): F.cross_entropy}


class Reconstruction:
    """The last step of a decoder: y = activation(z), and L(y, target).

    `loss` is mse, mae, huber, bce or multinomial (sums over features, means over the batch); `activation` a name or
    None, which means the sigmoid for bce, the softmax for multinomial and none for the others. Where bce meets the
    sigmoid the loss is computed from z itself, which neither overflows nor loses the gradient of a saturated output.

    multinomial is -sum_i x_i log y_i, y = softmax(z): for words, x_i being the share (or weight) of a document's words
    that are the i-th. It always has the softmax, and is computed from z.
    """

    def __init__(self, loss: str = "mse", activation: str | None = None):
        if loss not in _LOSSES:
            raise ValueError(f"unknown reconstruction loss {loss!r}: expected one of {', '.join(_LOSSES)}")
        function, default = _LOSSES[loss]
        self.name, self.activation = loss, activation or default
        if (loss == "multinomial") != (self.activation == "softmax"):
            raise ValueError(f"the loss {loss!r} does not go with a {self.activation} output: leave output_activation "
                             "out")
        self._activate = F.softmax if self.activation == "softmax" else F.get_activation(self.activation)
        self._from_logits = (loss, self.activation) in _FROM_LOGITS
        self._loss = _FROM_LOGITS.get((loss, self.activation), function)

    def __call__(self, z: Tensor) -> Tensor:
        """The reconstruction."""
        return self._activate(z)

    def loss(self, z: Tensor, target: Tensor) -> Tensor:
        """The loss of the reconstruction from z: one number."""
        return self._loss(z if self._from_logits else self._activate(z), target)

    def weighted_loss(self, z: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        """The loss with a weight for each element: for mse, and for bce with its sigmoid."""
        if self._from_logits and self.name == "bce":
            return F.weighted_binary_cross_entropy_with_logits(z, target, weights)
        if self.name != "mse":
            raise ValueError(f"a weighted loss is mse, or bce with a sigmoid output; got {self.name} with a "
                             f"{self.activation} output")
        return F.weighted_squared_error(self._activate(z), target, weights)

    @property
    def unit_interval(self) -> bool:
        """Whether targets must lie in [0, 1]: the output can't leave it, or the loss is not defined outside."""
        return self.name in ("bce", "multinomial") or self.activation == "sigmoid"
