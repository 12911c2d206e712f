"""Write a page that shows a run from the inside: one file to open in a browser, which fetches nothing.

RUN is the folder of a run. The page has a map of codes where moving the pointer decodes, the computation graph of a
training step, the loss curves, values and gradients of all layers over epochs, first-layer filters and reconstructions.
For what happens over epochs, the run's first epochs are trained again, and looked into: a plain autoencoder twice, with
pretraining and without. The run itself stays as it is. An older page of that name is replaced, any other file is not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from miniae.cli.model_and_data import check_folder_of, check_not_read
from miniae.data import DataError, write_text
from miniae.report import explanation_page, is_page
from miniae.tasks import RunConfig, explain
from miniae.training import ProgressBar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN", help="the folder of a run")
    parser.add_argument("-o", "--out", default="explain.html", metavar="FILE",
                        help="the page, a name that ends in .html (default: explain.html)")
    parser.add_argument("--epochs", type=int, default=10, metavar="N",
                        help="how many of the run's epochs to train again, 0 for none (default: 10)")
    parser.add_argument("--backend", metavar="NAME",
                        help="numpy, cupy, cupy:1 (the second GPU, ...) or auto (default: what the run says)")


def run(args: argparse.Namespace) -> int:
    folder = Path(args.folder)
    if Path(args.out).suffix.lower() not in (".html", ".htm"):
        raise DataError(f"can't write {args.out}: expected a name that ends in .html")
    check_folder_of(args.out)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the folder of a run, where miniae train wrote its results")
    config = RunConfig(**RunConfig.read(folder / "config.json"))
    check_not_read(args.out, config.data, *(str(path) for path in folder.iterdir() if not is_page(path)))
    if Path(args.out).exists() and not is_page(args.out):
        raise DataError(f"{args.out} is there already and no page of miniae explain, so it is not replaced: choose "
                        "another name")
    explanation = explain(folder, args.epochs, args.backend, say=print, progress=lambda title: [ProgressBar(title)])
    if explanation.facts["resume"]:
        print(f"the run is not finished, and shown as far as it came: {explanation.facts['resume']} goes on with it")
    if explanation.refused:
        print(f"the page has a map without live decoding: {explanation.refused}")
    write_text(args.out, explanation_page(explanation))
    print(f"written to {args.out} ({Path(args.out).stat().st_size / 1e6:.1f} MB): open it in a browser")
    return 0
