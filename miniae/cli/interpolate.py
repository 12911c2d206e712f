"""Show what lies between samples: the model's decoder along straight lines between their codes.

The first N samples are joined to the N after them; in a model that needs labels, samples to the next of their label.
"""

from __future__ import annotations

import argparse

import numpy as np

from miniae.cli import model_and_data
from miniae.data import DataError, write
from miniae.report import interpolations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)
    parser.add_argument("-n", type=int, default=8, metavar="N", help="how many pairs (default: 8)")
    parser.add_argument("--steps", type=int, default=9, metavar="N", help="samples from one to the other (default: 9)")
    parser.add_argument("--picture", metavar="FILE", help="where to draw them (.png)")
    parser.add_argument("-o", "--out", metavar="FILE", help="where to write them, .npy, .npz or .csv, pair after pair")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.picture)
    model_and_data.check_table(args.out, args.data, args.model)
    if not args.out and not args.picture:
        raise DataError("nothing to do: say where to draw with --picture, or where to write with --out")
    if args.n < 1:
        raise DataError(f"-n must be at least 1 pair, got {args.n}")
    model, samples = model_and_data.open_both(args)
    if len(samples.X) < 2 * args.n:
        raise DataError(f"{args.data} has {len(samples.X)} samples, {args.n} pairs need {2 * args.n}: ask for fewer "
                        "with -n")
    if args.picture and model_and_data.image_shape_of(model, samples) is None:
        raise DataError(f"can't draw {args.picture}: {args.data} does not hold images; write to a table with --out")
    first, second, labels = list(range(args.n)), list(range(args.n, 2 * args.n)), None
    if model.needs_labels and samples.labels is not None:
        first, second = _of_one_label(samples.labels, args.n)
        labels = samples.labels[first]
    ends = samples.X[first], samples.X[second]
    if args.picture:
        interpolations(args.picture, model, *ends, model_and_data.image_shape_of(model, samples), steps=args.steps,
                       labels=labels)
        print(f"drawn to {args.picture}: {args.n} pairs")
    if args.out:
        between = model.interpolate(*ends, args.steps, labels=labels)
        write(args.out, between.reshape(-1, *between.shape[2:]), model_and_data.names_of(model))
        print(f"written to {args.out}: {args.n} pairs of {args.steps} steps")
    return 0


def _of_one_label(labels: np.ndarray, n: int) -> tuple[list[int], list[int]]:
    """The numbers of the first n samples, and of the ones after each that have the same label."""
    waiting: dict[object, int] = {}
    first, second = [], []
    for i, label in enumerate(labels.tolist()):
        if label in waiting:
            first.append(waiting.pop(label))
            second.append(i)
        else:
            waiting[label] = i
    if len(first) < n:
        raise DataError(f"there are only {len(first)} pairs of one label, {n} are wanted: ask for fewer with -n")
    return first[:n], second[:n]
