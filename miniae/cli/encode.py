"""Turn data into a model's codes."""

from __future__ import annotations

import argparse
import math

from miniae.cli import model_and_data
from miniae.tasks import with_labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)
    parser.add_argument("-o", "--out", metavar="FILE", default="codes.npy",
                        help="where to write the codes, .npy or .csv (default: codes.npy)")


def run(args: argparse.Namespace) -> int:
    model, samples = model_and_data.open_both(args)
    codes = model.transform(*with_labels(model, samples.X, samples.labels))
    model_and_data.write_array(args.out, codes)
    print(f"written to {args.out}: {len(codes)} codes of {math.prod(codes.shape[1:])} numbers")
    return 0
