"""Write a model for other programs.

FILE.onnx is a graph of what the model computes, for onnxruntime and others: `reconstruct`, `encode` or `decode`,
`classify` of a classifier, `score` of an anomaly detector. Scaling is part of it.

FILE.safetensors holds the weights by PyTorch's names, scaling included; FILE.py is the module that they fit:

    miniae export model.safetensors weights.safetensors
    miniae export model.safetensors twin.py

    from twin import Model
    twin = Model()
    twin.load_state_dict(safetensors.torch.load_file("weights.safetensors"))
    twin.eval()(x)                                        # what the model reconstructs of x, a tensor of float32
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from miniae.cli import model_and_data
from miniae.data import DataError, load_tensors, write_text
from miniae.exchange import PARTS, to_onnx, to_torch_state_dict, torch_source, write_tensors
from miniae.models.files import model_of
from miniae.tasks import AnomalyDetector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model, or a detector, that miniae wrote")
    parser.add_argument("out", metavar="FILE", help="what to write: .onnx, or for PyTorch .safetensors or .py")
    parser.add_argument("--part", choices=list(dict.fromkeys(part for parts in PARTS.values() for part in parts)),
                        help="what an .onnx file computes (default: reconstruct, classify or score)")


def run(args: argparse.Namespace) -> int:
    ending = Path(args.out).suffix.lower()
    if ending not in (".onnx", ".safetensors", ".py"):
        raise DataError(f"can't write {args.out}: expected a name that ends in .onnx, or for PyTorch in .safetensors "
                        "(weights) or .py (the module)")
    model_and_data.check_not_read(args.out, args.model)
    model = _load(args.model)
    if ending == ".onnx":
        try:
            to_onnx(model, args.out, args.part)
        except ImportError as why:
            raise DataError(str(why)) from None
        print(f"written to {args.out}: what {type(model).__name__} computes" + (f", {args.part}" if args.part else ""))
        return 0
    if args.part:
        raise DataError(f"--part is of .onnx files, {args.out} holds all parts: leave it out")
    if isinstance(model, AnomalyDetector):
        raise DataError(f"{args.model} holds a detector, of several networks: export it to .onnx")
    source = torch_source(model)
    if ending == ".py":
        write_text(args.out, source)
        print(f"written to {args.out}: the class Model, whose weights miniae export writes to a .safetensors file")
        return 0
    write_tensors(args.out, to_torch_state_dict(model))
    print(f"written to {args.out}, the state dict of\n\n{source}")
    return 0


def _load(path: str) -> Any:
    """The model or the detector in a file."""
    tensors, header = load_tensors(path)
    if header.get("kind") == "detector":
        return AnomalyDetector.load(path, "numpy")
    return model_of(tensors, header, path, "numpy")
