"""Show where a training step's time goes: function by function, forward and backward, as a table and a picture.

CONFIG is the config.json of a run, or the folder of one. The model is trained for some steps on the run's data and is
then forgotten. A GPU is waited for after every part, so that a step takes longer than in training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from miniae.cli import model_and_data
from miniae.report import step_parts
from miniae.tasks import RunConfig, profile
from miniae.training.replay import WORTH_RECORDING


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a config.json, or the folder of a run")
    parser.add_argument("--steps", type=int, default=40, metavar="N", help="how many to measure (default: 40)")
    parser.add_argument("--backend", metavar="NAME", help="numpy, cupy or auto (default: what CONFIG says)")
    parser.add_argument("--plot", default="profile.png", metavar="FILE", help="the picture (default: profile.png)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.plot)
    path = Path(args.config)
    settings = RunConfig.read(path / "config.json" if path.is_dir() else path)
    if args.backend:
        settings["backend"] = args.backend
    profiled = profile(RunConfig(**settings), args.steps)
    print(profiled.title)
    print(profiled.table())
    if profiled.replayed is not None:
        print(f"replayed from a recording, as most steps are in training for {WORTH_RECORDING} batches or more: "
              f"{profiled.replayed:.3f} ms")
    if profiled.backend != "numpy":
        print(f"{profiled.backend} was waited for after every part: in training they overlap, and a step takes less")
    step_parts(args.plot, [(f"{part.name} {part.inputs}".strip(), part.milliseconds) for part in profiled.parts],
               title=profiled.title)
    print(f"written to {args.plot}")
    return 0
