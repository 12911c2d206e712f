"""Make new samples from a model that can: variational, conditional, adversarial, wasserstein.

--out takes a .npy, .npz or .csv file, or for images a new folder. Where samples have labels these are written, too: in
.npz as the array "labels", in .csv as the last column, "label", and as a folder for each label; only .npy has no place
for them.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from miniae.cli import model_and_data
from miniae.data import DataError
from miniae.models import GenerativeAutoencoder
from miniae.report import sample_grid


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_model(parser)
    parser.add_argument("-n", type=int, default=100, metavar="N", help="how many (default: 100)")
    parser.add_argument("--grid", metavar="FILE", help="where to draw them side by side (.png)")
    parser.add_argument("-o", "--out", metavar="PATH", help="where to write them: .npy, .npz, .csv, or a new folder")
    parser.add_argument("--label", metavar="LABEL", help="samples of this label only, of a model that knows labels "
                                                         "(by default of all labels in turn)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other samples for other seeds (default: 0)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.grid)
    if not args.out and not args.grid:
        raise DataError("nothing to do: say where to draw with --grid, or where to write with --out")
    model = model_and_data.load_autoencoder(args.model, args.backend)
    if not isinstance(model, GenerativeAutoencoder):
        raise DataError(f"{args.model} holds a model of class {type(model).__name__}, which makes no samples: "
                        "train one by miniae train --model variational, conditional, adversarial or wasserstein")
    labels = _labels(model, args.label, args.n)
    samples = model.sample(args.n, labels=labels, seed=args.seed)
    image_shape = model_and_data.image_shape_of(model)
    if args.grid:
        sample_grid(args.grid, samples, image_shape)
        print(f"drawn to {args.grid}: {len(samples)} samples")
    if args.out:
        model_and_data.write_samples(args.out, samples, model, image_shape, labels=labels)
        print(f"written to {args.out}: {len(samples)} samples")
    return 0


def _labels(model: GenerativeAutoencoder, label: str | None, n: int) -> Any:
    """A label for each sample: the one asked for, or all that the model knows in turn; None for none."""
    classes = model.classes_ if model.takes_labels else ()
    if label is None:
        return np.resize(classes, n) if len(classes) else None
    if not len(classes):
        raise DataError("this model was trained without labels: leave --label out")
    known = {str(c): c for c in classes}
    if label not in known:
        raise DataError(f"the model knows no label {label!r}: expected one of {', '.join(known)}")
    return np.full(n, known[label])
