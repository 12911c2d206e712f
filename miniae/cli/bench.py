"""Measure how fast this machine is: kernels and whole training steps, as a table, a JSON file and a picture.

The last column is how near that comes to the machine's roofline, which is measured first: the least time for so many
operations on so many bytes, from the fastest matrix product and the fastest copy of a large array, over the time taken.
It can exceed 100 % where the data stay in caches. Threads are those of NumPy: OMP_NUM_THREADS sets their number.
"""

from __future__ import annotations

import argparse
import datetime
import sys

from miniae.backend import Backend, BackendUnavailable, get
from miniae.cli import model_and_data
from miniae.data import write_json
from miniae.report import roofline_shares
from miniae.tasks import Sizes, bench, machine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", metavar="NAMES", help="numpy,cupy or one of them (default: those that there are)")
    parser.add_argument("--quick", action="store_true", help="fewer sizes, in a few seconds")
    parser.add_argument("--out", default="bench.json", metavar="FILE", help="default: bench.json")
    parser.add_argument("--plot", default="bench.png", metavar="FILE", help="the picture (default: bench.png)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_folder_of(args.out)
    model_and_data.check_picture(args.plot)
    sizes, results = Sizes.quick() if args.quick else Sizes(), {}
    for backend in _backends(args.backend):
        results[backend.name] = bench(backend, sizes, print)
        print()
    write_json(args.out, {
        "command": " ".join(["miniae bench", *(["--quick"] if args.quick else [])]),
        "date": datetime.date.today().isoformat(), "machine": machine(), "results": results})
    roofline_shares(args.plot, results)
    print(f"written to {args.out} and {args.plot}")
    return 0


def _backends(names: str | None) -> list[Backend]:
    """The backends of these names; without names, those that can be used."""
    if names is not None:
        return [get(name) for name in names.replace(" ", "").split(",")]
    try:
        return [get("numpy"), get("cupy")]
    except BackendUnavailable as why:
        print(f"without cupy: {why}", file=sys.stderr)
        return [get("numpy")]
