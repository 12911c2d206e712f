"""Turn data into a model's codes."""

from __future__ import annotations

import argparse
import math

from miniae.cli import model_and_data
from miniae.data import DataError, write
from miniae.models import VectorQuantisedAutoencoder
from miniae.tasks import with_labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)
    parser.add_argument("-o", "--out", metavar="FILE", default="codes.npy",
                        help="where to write the codes, .npy, .npz or .csv (default: codes.npy)")
    parser.add_argument("--indices", action="store_true",
                        help="the integers that a vector-quantised model's codes are, rather than their vectors")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_table(args.out, args.data, args.model)
    model, samples = model_and_data.open_both(args)
    if args.indices and not isinstance(model, VectorQuantisedAutoencoder):
        raise DataError(f"{args.model} holds a model of class {type(model).__name__}, whose codes are no integers: "
                        "leave --indices out, or train one by miniae train --model vector-quantised")
    if args.indices and isinstance(model, VectorQuantisedAutoencoder):
        codes, each, prefix = model.encode_indices(samples.X), "integers", "index"
    else:
        codes, each, prefix = model._codes(*with_labels(model, samples.X, samples.labels)), "numbers", "code"
    write(args.out, codes, prefix=prefix)
    print(f"written to {args.out}: {len(codes)} codes of {math.prod(codes.shape[1:])} {each}")
    return 0
