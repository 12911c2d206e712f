"""Show what lies between samples: the model's decoder along straight lines between their codes.

The first N samples are joined to the N after them.
"""

from __future__ import annotations

import argparse

from miniae.cli import model_and_data
from miniae.data import DataError
from miniae.report import interpolations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)
    parser.add_argument("-n", type=int, default=8, metavar="N", help="how many pairs (default: 8)")
    parser.add_argument("--steps", type=int, default=9, metavar="N", help="samples from one to the other (default: 9)")
    parser.add_argument("--picture", metavar="FILE", help="where to draw them (.png)")
    parser.add_argument("-o", "--out", metavar="FILE", help="where to write them, .npy or .csv, pair after pair")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.picture)
    if not args.out and not args.picture:
        raise DataError("nothing to do: say where to draw with --picture, or where to write with --out")
    if args.n < 1:
        raise DataError(f"-n must be at least 1 pair, got {args.n}")
    model, samples = model_and_data.open_both(args)
    if model.needs_labels:
        raise DataError(f"{args.model} holds a {type(model).__name__}, whose codes belong to labels: in Python, "
                        "interpolate(A, B, labels=...) goes between samples of one label")
    if len(samples.X) < 2 * args.n:
        raise DataError(f"{args.data} has {len(samples.X)} samples, {args.n} pairs need {2 * args.n}: ask for fewer "
                        "with -n")
    ends = samples.X[:args.n], samples.X[args.n:2 * args.n]
    if args.picture:
        interpolations(args.picture, model, *ends, model_and_data.image_shape_of(model, samples), steps=args.steps)
        print(f"drawn to {args.picture}: {args.n} pairs")
    if args.out:
        between = model.interpolate(*ends, args.steps)
        model_and_data.write_array(args.out, between.reshape(-1, *between.shape[2:]))
        print(f"written to {args.out}: {args.n} pairs of {args.steps} steps")
    return 0
