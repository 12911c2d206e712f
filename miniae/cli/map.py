"""Draw a map of data: where a model's codes of samples lie, in two or three dimensions.

    miniae map model.safetensors digits -o map.png --by tsne --thumbnails

Codes of as many numbers are drawn as they are, others by their principal components, or with --by by t-SNE or UMAP.
Says how faithful the map is: trustworthiness is 1 where all neighbours on the map are neighbours in the data, and
continuity where all neighbours in the data are neighbours on the map; where there are classes, also how often most of a
sample's five neighbours are of its class. The same is said of the data's principal components.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from miniae.backend.philox import host_generator
from miniae.cli import model_and_data
from miniae.data import DataError, write
from miniae.report import continuity, latent, latent_3d, leave_one_out_accuracy, thumbnails, trustworthiness
from miniae.tasks import CodeMap, with_labels
from miniae.tasks.maps import WAYS
from miniae.training import check_count

_NEIGHBOURS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)
    parser.add_argument("-o", "--out", metavar="FILE", default="map.png", help="where to draw it (default: map.png)")
    parser.add_argument("--by", choices=tuple(WAYS), help="how codes become a map (default: codes where they have as "
                        "many numbers, else pca)")
    parser.add_argument("--dimensions", type=int, choices=(2, 3), default=2, help="of the map (default: 2)")
    parser.add_argument("--thumbnails", action="store_true",
                        help="draw the images at their places, where there is room")
    parser.add_argument("--samples", type=int, default=2000, metavar="N",
                        help="how many, drawn by lot where there are more (default: 2000)")
    parser.add_argument("--coordinates", metavar="FILE", help="where to write the places of samples (.csv, .npy, .npz)")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="decides which samples, and what t-SNE and UMAP draw (default: 0)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.out)
    model_and_data.check_not_read(args.out, args.data)
    model_and_data.check_table(args.coordinates, args.data)
    if args.thumbnails and args.dimensions == 3:
        raise DataError("--thumbnails draws images in the plane: leave it out, or take --dimensions 2")
    check_count("samples", args.samples)
    check_count("seed", args.seed, least=0)
    model, samples = model_and_data.open_both(args)
    shape = model_and_data.image_shape_of(model, samples)
    if args.thumbnails and shape is None:
        raise DataError(f"can't draw thumbnails: {args.data} does not hold images; leave --thumbnails out")
    chosen = np.sort(host_generator(args.seed, "map").permutation(len(samples.X))[:args.samples])
    if len(chosen) <= 2 * _NEIGHBOURS:
        raise DataError(f"a map needs at least {2 * _NEIGHBOURS + 1} samples, got {len(chosen)}: give more")
    X, labels = samples.X[chosen], None if samples.labels is None else samples.labels[chosen]
    codes = model._codes(*with_labels(model, X, labels))
    try:
        made = CodeMap(args.dimensions, args.by, seed=args.seed).fit(codes)
    except ImportError as why:
        raise DataError(str(why)) from None
    labels = None if labels is None else _as_numbers(labels)
    data = model.scaler_.transform(X).reshape(len(X), -1)  # as the model sees them, columns of a table alike in size
    _say(f"map of {len(X):,} samples by {made.by_}", data, made.places_, labels)
    if data.shape[1] >= args.dimensions:
        components = CodeMap(args.dimensions, "pca").fit_transform(data)
        _say(f"PCA of the data, {args.dimensions} components", data, components, labels)
    style: dict[str, Any] = {"title": f"{Path(args.data).name}: codes of {Path(args.model).name}, by {made.by_}",
             "of": args.label or "label"}
    if args.thumbnails:
        thumbnails(args.out, made.places_, X, shape, labels, **style)
    else:
        draw = latent if args.dimensions == 2 else latent_3d
        draw(args.out, made.places_, labels, what=WAYS[made.by_], **style)
    print(f"drawn to {args.out}")
    if args.coordinates:
        write(args.coordinates, np.column_stack([chosen, made.places_.astype(np.float64)]),
              ["sample", *(f"map_{i + 1}" for i in range(args.dimensions))], labels)
        print(f"written to {args.coordinates}: the places of {len(X):,} samples")
    return 0


def _as_numbers(labels: np.ndarray) -> np.ndarray:
    """Labels that were read as text as the numbers that they are, where all are and there are many kinds of them."""
    if labels.dtype.kind != "U" or len(np.unique(labels)) <= 20:
        return labels
    try:
        numbers = labels.astype(np.float64)
    except ValueError:
        return labels
    return numbers if np.isfinite(numbers).all() else labels


def _say(what: str, data: np.ndarray, places: np.ndarray, labels: np.ndarray | None) -> None:
    line = f"{what}: trustworthiness {trustworthiness(data, places, _NEIGHBOURS):.3f}, continuity " \
           f"{continuity(data, places, _NEIGHBOURS):.3f}"
    if labels is not None and labels.dtype.kind != "f":
        line += f", {_NEIGHBOURS}-NN accuracy {100 * leave_one_out_accuracy(places, labels, _NEIGHBOURS):.1f} %"
    print(line)
