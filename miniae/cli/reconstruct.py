"""Put data through a model's encoder and decoder; write the reconstructions, and a picture of the first ones."""

from __future__ import annotations

import argparse
import os

from miniae.cli import model_and_data
from miniae.data import DataError, write
from miniae.report import metrics, pictures
from miniae.tasks import with_labels

_PICTURE = "reconstructions.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)
    parser.add_argument("-o", "--out", metavar="FILE", help="where to write the reconstructions (.npy, .npz or .csv)")
    parser.add_argument("--picture", metavar="FILE", default=None,
                        help="where to draw originals above reconstructions (default: reconstructions.png, "
                             "unless --out is given)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.picture)
    model_and_data.check_table(args.out, args.data, args.model)
    if not args.picture and not args.out and os.path.exists(_PICTURE):
        raise DataError(f"{_PICTURE} exists: say where to draw with --picture, or where to write with --out")
    model, samples = model_and_data.open_both(args)
    reconstruction = model.reconstruct(*with_labels(model, samples.X, samples.labels))
    print(f"squared error per sample: {metrics.squared_error(samples.X, reconstruction):.6g} "
          f"({len(samples.X):,} samples)")
    if args.out:
        write(args.out, reconstruction, model_and_data.names_of(model))
        print(f"written to {args.out}: {reconstruction.shape[0]} x {reconstruction.shape[1]}")
    if args.picture or not args.out:
        picture = args.picture or _PICTURE
        drawn, names = model_and_data.as_drawn(model, samples)
        pictures.reconstructions(picture, drawn(samples.X), drawn(reconstruction),
                                 model_and_data.image_shape_of(model, samples), names=names)
        print(f"drawn to {picture}")
    return 0
