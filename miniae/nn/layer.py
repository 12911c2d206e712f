"""`Layer`: a function with parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor, as_tensor
from miniae.backend import get
from miniae.backend.philox import Generator
from miniae.backend.repeats import may_repeat
from miniae.nn.init import INITIALIZERS
from miniae.nn.parameter import Parameter

Shape = tuple[int, ...]

LAYERS: dict[str, type[Layer]] = {}
"""Every layer class by name: what a saved architecture may mention."""


class Room:
    """How many numbers the parameters and buffers of a network may have, all together: as many as the file that they
    are to come from holds. `left` of None is no bound."""

    def __init__(self, numbers: int):
        self.left: int | None = numbers

    def take(self, shape: Shape) -> None:
        """Take as much of it as an array of this shape needs. Raises `ValueError` where that is not left."""
        if self.left is None:
            return
        self.left -= math.prod(shape)
        if self.left < 0:
            raise ValueError(f"an array of shape {shape} is more than is left of the numbers there are")


@dataclass(frozen=True)
class Build:
    """What a layer needs to make its parameters: where it stands in the model, and the model's seed, dtype, device.

    Initial values and noise come from streams named after the layer, so they don't depend on the order of building.
    `room`, where there is one, bounds what may be made.
    """

    name: str = ""
    seed: int = 0
    dtype: str = "float32"
    backend: Any = None  # a name, None for the default, or, where arrays are to be made, the backend itself
    room: Room | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.seed, (int, np.integer)) or not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be an integer from 0 to 2**63 - 1, got {self.seed!r}")
        names: dict[Any, str] = {np.dtype(t): t for t in ("float32", "float64")}
        dtype = names.get(_dtype_or_none(self.dtype))
        if dtype is None:
            raise ValueError(f"dtype must be float32 or float64, got {self.dtype!r}")
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "dtype", dtype)

    def child(self, name: str) -> Build:
        return replace(self, name=f"{self.name}.{name}" if self.name else name)


class Layer:
    """A part of a model. Shapes leave out the batch: (features,) or (channels, height, width).

    A subclass writes `forward`, and where it has something to say, `make` (create parameters for an input shape),
    `output_shape`, and `config` (the constructor's arguments as JSON values). Parameters are made at the first call, or
    by `build`.
    """

    unit_axis: ClassVar[int | None] = None
    """The axis of `weight` that counts this layer's units, in layers that have such a weight of their own."""

    def __init__(self) -> None:
        self.training = False
        self.input_shape: Any = None  # a `Shape`, once it is built
        self.place = Build()
        self._parameters: dict[str, Parameter] = {}
        self._buffers: dict[str, Tensor] = {}
        self._generators: dict[str, Generator] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.forward is not Layer.forward:  # a class without one is only a base for others
            LAYERS[cls.__name__] = cls

    # ---------------------------------------------------------------- what a subclass writes

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def make(self, input_shape: Shape) -> None:
        """Create parameters and generators for this input shape. Raises `ValueError` for a shape that can't be used."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the output for this shape of input."""
        return input_shape

    def config(self) -> dict[str, Any]:
        """The constructor's arguments: `type(layer)(**config)` makes the layer again.

        Their values are JSON, functions that have a registered name, or layers: see `layer_config`.
        """
        return {}

    def children(self) -> dict[str, Layer]:
        """The layers this one is made of, by name."""
        return {}

    # ---------------------------------------------------------------- what a subclass uses

    def claim(self, *shapes: Shape) -> None:
        """Say which arrays are about to be made, before anything is drawn for them. Raises `ValueError` where a file
        that describes this layer does not hold as many numbers."""
        if self.place.room:
            for shape in shapes:
                self.place.room.take(shape)

    def add_parameter(self, name: str, value: np.ndarray) -> Parameter:
        """Make a parameter from initial values on the host, in the model's dtype and on its backend."""
        parameter = Parameter(value, self.place.child(name).name, self.place.dtype, self.place.backend)
        self._parameters[name] = parameter
        return parameter

    def add_buffer(self, name: str, value: np.ndarray) -> Tensor:
        """Make a tensor that is saved with the model but not trained, a running mean for instance."""
        self._buffers[name] = Tensor(value, dtype=self.place.dtype, backend=self.place.backend)
        return self._buffers[name]

    def generator(self, purpose: str) -> Generator:
        """Random numbers of this layer's own stream."""
        self._generators[purpose] = Generator(self.place.seed, self.place.child(purpose).name, self.place.backend)
        return self._generators[purpose]

    def draws(self, generator: Generator) -> Generator:
        """Where this layer's next random numbers come from: in training `generator`, which goes on from where it is;
        elsewhere its first numbers, at every call the same ones, so that losses of held-out data can be compared."""
        return generator if self.training else Generator(generator.seed, generator.stream, generator.backend)

    # ---------------------------------------------------------------- using a layer

    def build(self, input_shape: Shape, place: Build | None = None) -> Shape:
        """Make the parameters for this input shape; return the output shape. Building again starts afresh."""
        self.place = place or self.place
        self.place = replace(self.place, backend=get(self.place.backend))
        self._parameters.clear()
        self._buffers.clear()
        self._generators.clear()
        self.input_shape = None
        shape = tuple(input_shape)
        self.make(shape)
        output = self.output_shape(shape)
        self.input_shape = shape
        return output

    def join(self, input_shape: Shape, place: Build) -> Shape:
        """Take a place in a model: build, unless it was built before and keeps its parameters; return the output shape.

        Raises `ValueError` when it was built for another input shape.
        """
        if self.input_shape is None:
            return self.build(input_shape, place)
        if self.input_shape != input_shape:
            raise ValueError(f"layer {place.name}, {self!r}, was built for inputs {batch_shape(self.input_shape)} "
                             f"and would get {batch_shape(input_shape)}")
        return self.output_shape(input_shape)

    def __call__(self, x: Any) -> Tensor:
        x = as_tensor(x)
        if self.input_shape is None:
            self.build(x.shape[1:], replace(self.place, dtype=str(x.dtype), backend=x.backend))
        if self._parameters:
            self.check_input(x)
        y = self.forward(x)
        if not isinstance(y, Tensor):
            raise TypeError(f"{type(self).__name__} gave {'nothing' if y is None else type(y).__name__}, expected a "
                            "tensor: write its forward, or its activation, in functions of tensors, and return what "
                            "they give")
        return y

    def check_input(self, x: Tensor) -> None:
        """Raise `ValueError` when the input's shape is not the one this layer was built for."""
        if x.shape[1:] != self.input_shape or x.ndim == 0:
            hint = ": for a single sample, add the batch axis with x[None]" if x.shape == self.input_shape else ""
            raise ValueError(f"{type(self).__name__} expected an input of shape {batch_shape(self.input_shape)}, "
                             f"got {x.shape}{hint}")

    def train(self, mode: bool = True) -> Layer:
        """Switch to training behaviour (dropout, noise, batch statistics), here and in all children."""
        self.training = mode
        for child in self.children().values():
            child.train(mode)
        return self

    @property
    def repeatable(self) -> bool:
        """Whether a training step may be replayed from a recording, as far as layers and their functions go."""
        return not self.unrepeatable

    @property
    def unrepeatable(self) -> str:
        """The first layer that keeps steps from being replayed, or nothing: itself, or what it holds, does not say
        `repeats = True`."""
        return next((f"{path or 'the model'} ({type(layer).__name__})" for path, layer in self.named_layers()
                     if not (may_repeat(layer) and may_repeat(vars(layer)))), "")

    def eval(self) -> Layer:
        """Switch to the deterministic behaviour; this is the initial one."""
        return self.train(False)

    def named_layers(self, path: str = "") -> Iterator[tuple[str, Layer]]:
        """This layer and all it is made of, each with its path from here: `""`, `0`, `0.1`."""
        yield path, self
        for name, child in self.children().items():
            yield from child.named_layers(f"{path}.{name}" if path else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its name from here: `0.weight`."""
        seen: set[int] = set()
        for name, p in self._walk("_parameters"):
            if id(p) not in seen:
                seen.add(id(p))
                yield name, p

    def parameters(self) -> list[Parameter]:
        """Every parameter once."""
        return [p for _, p in self.named_parameters()]

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor that is saved but not trained, with its name from here: running means, chains."""
        yield from self._walk("_buffers")

    def state_dict(self) -> dict[str, np.ndarray]:
        """Parameters and buffers as NumPy copies, by name."""
        tensors = [*self.named_parameters(), *self.named_buffers()]
        return {name: t.numpy() for name, t in tensors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Write these values into parameters and buffers. Raises `ValueError`, changing nothing, when names or shapes
        don't match."""
        tensors = dict([*self.named_parameters(), *self.named_buffers()])
        missing, unknown = sorted(tensors.keys() - state.keys()), sorted(state.keys() - tensors.keys())
        if missing or unknown:
            raise ValueError(f"the state does not fit the model: missing {missing or 'nothing'}, "
                             f"unknown {unknown or 'nothing'}")
        for name, t in tensors.items():
            if tuple(np.shape(state[name])) != t.shape:
                raise ValueError(f"the state's {name} has shape {np.shape(state[name])}, the model's {t.shape}")
        for name, t in tensors.items():
            t.assign(np.asarray(state[name]))

    def generators(self) -> dict[str, Generator]:
        """Every source of random numbers, by name: what a resumed training must put back, beside `state_dict`."""
        return dict(self._walk("_generators"))

    def _walk(self, kind: str) -> Iterator[tuple[str, Any]]:
        yield from getattr(self, kind).items()
        for child_name, child in self.children().items():
            for name, value in child._walk(kind):
                yield f"{child_name}.{name}", value

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({arguments})"


def _dtype_or_none(dtype: Any) -> np.dtype | None:
    try:
        return None if dtype is None else np.dtype(dtype)
    except TypeError:
        return None


def batch_shape(shape: Shape | None) -> str:
    """A shape without the batch, as people write it with one: `(N, 784)`."""
    return f"({', '.join(['N', *map(str, shape or ())])})"


def layer_config(layer: Layer, paths: dict[int, str] | None = None) -> dict[str, Any]:
    """A layer as JSON: its class name and its constructor's arguments.

    A layer among the arguments is written out in full where it is a child, and as `{"layer": path}` where it stands
    elsewhere in the model (the layer that a `TiedDense` shares its weight with). `paths` gives the path of every layer
    by its id, and is needed only when `layer` is a part of the model that is saved. Raises `ValueError` for what can't
    be written: a function without a registered name, or a layer outside the model.
    """
    if paths is None:
        paths = {id(part): path for path, part in layer.named_layers()}
    children = {id(child) for child in layer.children().values()}

    def encode(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [encode(v) for v in value]
        if isinstance(value, Layer):
            if id(value) in children:
                return layer_config(value, paths)
            if id(value) not in paths:
                raise ValueError(f"{type(layer).__name__} shares the weight of a {type(value).__name__} that is not "
                                 "part of this model: save the model that holds both")
            return {"layer": paths[id(value)]}
        return _registered_name(value) if callable(value) else value

    return {"type": type(layer).__name__, **{name: encode(value) for name, value in layer.config().items()}}


def layer_from_config(config: dict[str, Any], layers: dict[str, Layer] | None = None, path: str = "") -> Layer:
    """The layer that `layer_config` described, with new parameters. Raises `ValueError` when it can't be made.

    `layers` collects every layer made so far by its path, so that `{"layer": path}` finds it; `path` is where this one
    stands. Both are needed only to restore the parts of a model one by one: give all of them the same dictionary.
    """
    layers = {} if layers is None else layers

    def decode(value: Any, name: str) -> Any:
        if isinstance(value, list):
            return [decode(v, str(i)) for i, v in enumerate(value)]
        if isinstance(value, dict) and "type" in value:
            return layer_from_config(value, layers, f"{path}.{name}" if path else name)
        if isinstance(value, dict) and "layer" in value:
            if value["layer"] not in layers:
                raise ValueError(f"{kind} shares the weight of the layer {value['layer']!r}, which is not there")
            return layers[value["layer"]]
        return value

    if not isinstance(config, dict) or config.get("type") not in LAYERS:
        kind = config.get("type") if isinstance(config, dict) else config
        raise ValueError(f"unknown layer {kind!r}: expected one of {', '.join(sorted(LAYERS))}")
    kind = config["type"]
    arguments = {name: decode(value, name) for name, value in config.items() if name != "type"}
    try:
        layers[path] = LAYERS[kind](**arguments)
    except TypeError as why:
        raise ValueError(f"can't make a {kind} from {arguments}: {why}") from None
    return layers[path]


def _registered_name(function: Any) -> str:
    for registry in (F.ACTIVATIONS, INITIALIZERS):
        for name, registered in registry.items():
            if registered is function:
                return name
    raise ValueError(f"can't save the function {getattr(function, '__name__', function)!r}: give it a name in "
                     "functions.ACTIVATIONS or nn.init.INITIALIZERS first")
