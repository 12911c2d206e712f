"""Make an index of data by a model's codes, in which miniae search finds what is like a sample.

The file holds the codes, the model and where the data are, not the data themselves. Of a data set by name it is the
training part, so that the test part can be searched for.
"""

from __future__ import annotations

import argparse

from miniae.cli import model_and_data
from miniae.tasks import SemanticIndex
from miniae.tasks.distances import METRICS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)
    parser.add_argument("-o", "--out", metavar="FILE", default="index.safetensors",
                        help="where to write the index (default: index.safetensors)")
    parser.add_argument("--metric", default="cosine", metavar="NAME",
                        help=f"how codes are compared: {', '.join(METRICS)} (default: cosine); hamming is of "
                             "bits, which semantic-hashing models have, and others get by the median of each unit")
    parser.add_argument("--part", choices=("train", "test"), default="train",
                        help="which part of a data set by name (default: train)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_folder_of(args.out)
    model_and_data.check_not_read(args.out, args.model, args.data)
    model, samples = model_and_data.open_both(args, args.part)
    index = SemanticIndex(model, args.metric)
    index.add(samples.X, labels=samples.labels if model.needs_labels else None)
    index.extra = {"data": args.data, "label": args.label, "part": args.part, "names": samples.names}
    index.save(args.out)
    print(f"written to {args.out}: {len(index):,} codes of {index.bytes_per_code} bytes, compared by {args.metric}")
    return 0
