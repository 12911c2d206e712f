"""The network of an autoencoder: encoder, decoder, reconstruction, and what is put in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniae.autodiff import Tensor
from miniae.models.reconstruction import Reconstruction
from miniae.nn import Build, Layer, Sequential
from miniae.nn.layer import Shape, batch_shape
from miniae.nn.parameter import Parameter
from miniae.optim import L1, L2


class AutoencoderNetwork(Layer):
    """x -> corruption -> encoder -> code -> decoder -> output activation -> reconstruction.

    `encoder` and `decoder` are layers (a `Sequential`, usually), the decoder without its output activation, which
    belongs to the reconstruction. `corruption` is a list of layers that disturb the input in training only; the loss
    compares with the clean one. `l1` and `l2` are the strengths of penalties on the weights.
    """

    def __init__(self, encoder: Layer, decoder: Layer, loss: str = "mse", output_activation: str | None = None,
                 corruption: Sequence[Layer] = (), l1: float = 0.0, l2: float = 0.0):
        super().__init__()
        self.encoder, self.decoder, self.corruption = encoder, decoder, list(corruption)
        self.reconstruction = self.make_reconstruction(loss, output_activation)
        self.penalties = {name: penalty for name, penalty in (("l1", L1(l1)), ("l2", L2(l2))) if penalty.strength}
        self._strengths = {"l1": l1, "l2": l2}

    def make(self, input_shape: Shape) -> None:
        for i, layer in enumerate(self.corruption):
            layer.build(input_shape, self.place.child(f"corruption.{i}"))
        code_shape = self.make_encoder(input_shape)
        output_shape = self.make_decoder(code_shape)
        if output_shape != input_shape:
            raise ValueError(f"the decoder gives {batch_shape(output_shape)}, expected the input's shape "
                             f"{batch_shape(input_shape)}: change the decoder's last layers")
        check_place(self)
        self.code_shape = code_shape

    def make_reconstruction(self, loss: str, activation: str | None) -> Any:
        """How the decoder's output is read: a `Reconstruction`, or what stands in its place."""
        return Reconstruction(loss, activation)

    def make_encoder(self, input_shape: Shape) -> Shape:
        """Build what turns inputs into codes; return the shape of a code."""
        return _take_in(self.encoder, input_shape, self.place.child("encoder"))

    def make_decoder(self, code_shape: Shape) -> Shape:
        """Build what turns codes into outputs; return the shape of an output."""
        return _take_in(self.decoder, code_shape, self.place.child("decoder"))

    def encode(self, x: Tensor) -> Tensor:
        """The code of x."""
        return self.encoder(x)

    def code_layers(self) -> list[Layer]:
        """Layers that give the code of x, one after the other, when nothing is learned: those of this network."""
        return [self.encoder]

    def decode(self, code: Tensor) -> Tensor:
        """The reconstruction from a code."""
        return self.reconstruction(self.decoder(code))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        """What training minimises the sum of: the reconstruction loss, and the penalties (in training only)."""
        code, code_terms = self.code_and_terms(self.corrupted(x))
        return {"reconstruction": self.reconstruction.loss(self.decoder(code), x), **code_terms,
                **self.penalty_terms()}

    def corrupted(self, x: Tensor) -> Tensor:
        """x as the encoder gets it in training."""
        for layer in self.corruption:
            x = layer(x)
        return x

    def penalty_terms(self) -> dict[str, Tensor]:
        """The penalties on the weights; none outside training."""
        if not self.training:
            return {}
        return {name: penalty(self.penalised()) for name, penalty in self.penalties.items()}

    def penalised(self) -> list[Parameter]:
        """The parameters whose weights the penalties count, and `max_norm` bounds."""
        return self.parameters()

    def code_and_terms(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The code that is decoded in training, and the terms of the loss that come with it."""
        code = self.encode(x)
        return code, self.code_terms(code)

    def code_terms(self, code: Tensor) -> dict[str, Tensor]:
        """Further terms of the loss, of the code: what a variant adds to plain autoencoders."""
        return {}

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def children(self) -> dict[str, Layer]:
        noise = {f"corruption.{i}": layer for i, layer in enumerate(self.corruption)}
        return {"encoder": self.encoder, "decoder": self.decoder, **noise}

    def config(self) -> dict[str, Any]:
        return {"encoder": self.encoder, "decoder": self.decoder, "loss": self.reconstruction.name,
                "output_activation": self.reconstruction.activation, "corruption": self.corruption, **self._strengths}


def check_place(network: Layer) -> None:
    """Raise `ValueError` for a parameter of another dtype or backend than the network's: of a layer built before."""
    place = network.place
    for p in network.parameters():
        if p.dtype != place.dtype or p.backend is not place.backend:
            raise ValueError(f"{p.name or 'a layer built before'} is {p.dtype} on {p.backend.name}, the model is "
                             f"{place.dtype} on {place.backend.name}: choose the model's dtype and backend to match")


def _take_in(layer: Layer, input_shape: Shape, place: Build) -> Shape:
    """Build it here, but let what was built before keep its parameters; return the output shape."""
    if isinstance(layer, Sequential):  # whose layers keep theirs, while it takes its name from here
        return layer.build(input_shape, place)
    return layer.join(input_shape, place)
