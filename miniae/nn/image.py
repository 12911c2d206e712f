"""What layers on images share."""

from __future__ import annotations

from miniae.autodiff import Tensor, no_grad
from miniae.nn.layer import Layer, Shape


class ImageLayer(Layer):
    """A layer on images (N, channels, height, width)."""

    def make(self, input_shape: Shape) -> None:
        if len(input_shape) != 3:
            raise ValueError(f"{type(self).__name__} takes images (N, channels, height, width), got features of shape "
                             f"{input_shape}: put a Reshape layer before it")

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape that comes out when no images go in: the function itself knows best."""
        nothing = self.place.backend.zeros((0, *input_shape), self.place.dtype)
        with no_grad():
            return self.forward(Tensor._wrap(nothing, self.place.backend)).shape[1:]
