"""Take the noise out of data, by a model that was trained to (miniae train --model denoising).

--out takes a .npy, .npz or .csv file, or for images a new folder. With --disturb the data are clean, and the model's
own noise is put into them first: to see what it does, with the error before and after.
"""

from __future__ import annotations

import argparse

from miniae.cli import model_and_data
from miniae.data import DataError
from miniae.models import DenoisingAutoencoder
from miniae.report import metrics, pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)
    parser.add_argument("-o", "--out", metavar="PATH",
                        help="where to write the result: .npy, .npz, .csv, or a new folder")
    parser.add_argument("--picture", metavar="FILE", help="where to draw the first samples, before and after (.png)")
    parser.add_argument("--disturb", action="store_true", help="put the model's noise into the data first")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides that noise (default: 0)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.picture)
    model_and_data.check_not_read(args.out, args.data, args.model)
    if not args.out and not args.picture and not args.disturb:
        raise DataError("nothing to do: say where to write with --out, or where to draw with --picture, or measure on "
                        "clean data with --disturb")
    model, samples = model_and_data.open_both(args)
    if not isinstance(model, DenoisingAutoencoder):
        raise DataError(f"{args.model} holds a model of class {type(model).__name__}, expected "
                        "DenoisingAutoencoder: train one by miniae train --model denoising")
    noisy = model.corrupt(samples.X, seed=args.seed) if args.disturb else samples.X
    clean = model.denoise(noisy)
    if args.disturb:
        before, after = (metrics.squared_error(samples.X, X) for X in (noisy, clean))
        print(f"squared error per sample: {before:.6g} with noise, {after:.6g} denoised ({len(noisy):,} samples)")
    image_shape = model_and_data.image_shape_of(model, samples)
    if args.out:
        model_and_data.write_samples(args.out, clean, model, image_shape, samples.names)
        print(f"written to {args.out}: {len(clean)} samples")
    if args.picture:
        drawn, names = model_and_data.as_drawn(model, samples)
        rows = {**({"noisy": drawn(noisy)} if args.disturb else {}), "denoised": drawn(clean)}
        pictures.reconstructions(args.picture, drawn(samples.X), rows, image_shape, names=names)
        print(f"drawn to {args.picture}")
    return 0
