"""Compare gradients with central differences in float64 and print a table.

Without a model or layers: every function and every kind of layer. With a model file or --layers: every parameter of
that autoencoder, through its loss, on random inputs.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from miniae import Tensor, gradcheck
from miniae.backend import get
from miniae.cli.model_and_data import load_autoencoder
from miniae.cli.train import _sizes
from miniae.models import Autoencoder
from miniae.nn import Build

_TOLERANCE = 1e-6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a model.safetensors that miniae wrote")
    parser.add_argument("--layers", type=_sizes, metavar="20-8-3",
                        help="sizes from the input to the code, of an autoencoder made for the check")
    parser.add_argument("--activation", default="sigmoid", metavar="NAME", help="with --layers (default: sigmoid)")
    parser.add_argument("--loss", default="mse", metavar="NAME", help="with --layers (default: mse)")
    parser.add_argument("--backend", default="numpy", metavar="NAME",
                        help="numpy, cupy, strict or auto (default: numpy)")


def run(args: argparse.Namespace) -> int:
    backend = get(args.backend)
    if args.model and args.layers:
        raise ValueError("give a model file or --layers, not both")
    rows = _functions(backend) if not (args.model or args.layers) else _parameters(_network(args, backend), backend)
    width = max(len(name) for name, _ in rows)
    print(f"{'':<{width}}  relative error   (float64, {backend.name})")
    for name, errors in rows:
        print(f"{name:<{width}}  {'  '.join(f'{e:.1e}' for e in errors)}")
    worst = max(max(errors) for _, errors in rows)
    good = worst <= _TOLERANCE
    print(f"worst {worst:.1e}: {'all gradients are right' if good else f'above the tolerance of {_TOLERANCE:g}'}")
    return 0 if good else 2


def _functions(backend: Any) -> list[tuple[str, tuple[float, ...]]]:
    from miniae.functions.catalogue import check_all
    from miniae.nn.catalogue import check_layers

    return [(row.name, tuple(e for e in (row.gradient_error, row.jvp_error) if e is not None))
            for row in [*check_all(backend), *check_layers(backend)]]


def _network(args: argparse.Namespace, backend: Any) -> Any:
    """The autoencoder to check, in float64."""
    if args.model:
        stored = load_autoencoder(args.model, "numpy").network_
        from miniae.nn import layer_config, layer_from_config

        network = layer_from_config(layer_config(stored))
        network.build(stored.input_shape, Build("", 0, "float64", backend))
        network.load_state_dict(stored.state_dict())
        return network
    if len(args.layers) < 2 or min(args.layers) < 1:
        raise ValueError("--layers needs positive sizes from the input to the code, got "
                         f"{'-'.join(map(str, args.layers))}")
    model = Autoencoder(args.layers[1:-1], args.layers[-1], activation=args.activation, loss=args.loss, epochs=1,
                        dtype="float64", backend=backend)
    network = model._make_network((args.layers[0],))
    network.build((args.layers[0],), Build("", 0, "float64", backend))
    return network


def _parameters(network: Any, backend: Any) -> list[tuple[str, tuple[float, ...]]]:
    x = Tensor(np.random.default_rng(0).uniform(0.1, 0.9, (5, *network.input_shape)), backend=backend)
    names = [name for name, _ in network.named_parameters()]
    result = gradcheck(lambda: network.loss_terms(x)["reconstruction"], [], network.parameters(), entries=50)
    return [(name, (error,)) for name, error in zip(names, result.errors, strict=True)]
