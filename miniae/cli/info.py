"""Describe a model file: layers, sizes, settings."""

from __future__ import annotations

import argparse

from miniae.models import load
from miniae.nn.summary import summary_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model.safetensors that miniae wrote")


def run(args: argparse.Namespace) -> int:
    model = load(args.model, backend="numpy")
    network = model.network_
    print(f"{args.model}: {type(model).__name__}, trained on {model.extra_.get('data', 'data not named')}")
    print(f"loss {model.loss}, output {network.reconstruction.activation}, scaling {model.scaling or 'none'}, "
          f"{model.dtype}, seed {model.seed}")
    for name, part in (("encoder", model.encoder_), ("decoder", model.decoder_)):
        print(f"\n{name}\n{summary_table(part)}")
    return 0
