"""Measure how well a model reconstructs data: prints JSON. Errors are in the units of the data, unless said."""

from __future__ import annotations

import argparse
import json

from miniae.cli import model_and_data
from miniae.report import metrics
from miniae.tasks import own_measures, with_labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_and_data.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    model, samples = model_and_data.open_both(args)
    reconstruction = model.reconstruct(*with_labels(model, samples.X, samples.labels))
    measures = {"samples": len(samples.X), "squared_error": metrics.squared_error(samples.X, reconstruction),
                "mse": metrics.mse(samples.X, reconstruction)}
    if model.scaling is not None:
        scale = model.scaler_.transform
        measures["scaled_squared_error"] = metrics.squared_error(scale(samples.X), scale(reconstruction))
    if model.loss == "bce" and model.scaling is None:
        measures |= {"bce": metrics.bce(samples.X, reconstruction), "bce_floor": metrics.bce_floor(samples.X)}
    measures |= own_measures(model, samples.X, samples.labels)
    print(json.dumps(measures, indent=2))
    return 0
