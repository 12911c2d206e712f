"""Describe a file that miniae wrote: a model by its layers, sizes and settings.

Others in a few lines: detectors of rows and of series, inspectors, denoisers, indexes and compressors. Reading a file
compares its checksum; when it was written is what the file system says.
"""

from __future__ import annotations

import argparse

from miniae.cli.models import as_given, own_settings
from miniae.data.scaling import scaling_name
from miniae.models import Autoencoder, Classifier, load
from miniae.nn.summary import summary_table
from miniae.tasks import describe, further_settings
from miniae.tasks.description import made_without


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a .safetensors file that miniae wrote")


def run(args: argparse.Namespace) -> int:
    lines = describe(args.model)
    if lines is not None:
        print("\n".join(lines))
        return 0
    model = load(args.model, backend="numpy")
    if isinstance(model, Classifier):
        described = f"classes {', '.join(map(str, model.classes_))}"
        parts = {"encoder": model.encoder_, "head": model.head_}
    else:
        described = f"loss {model.loss}, output {model.network_.reconstruction.activation}"
        parts = {"encoder": model.encoder_, "decoder": model.decoder_}
    print(f"{args.model}: {type(model).__name__}, trained on {model.extra_.get('data', 'data not named')}"
          f"{made_without(model.extra_)}")
    print(f"{described}, scaling {scaling_name(model.scaling) or 'none'}, {model.dtype}, seed {model.seed}")
    if isinstance(model, Autoencoder):
        own, values = own_settings(type(model)), model.get_params()
        shown = [as_given(name, values[name]) for name, default in (own | further_settings(type(model))).items()
                 if name in own or values[name] != default]
        print(f"settings: {', '.join(shown) or 'the defaults'}")
    for name, part in parts.items():
        print(f"\n{name}\n{summary_table(part)}")
    return 0
