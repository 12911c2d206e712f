"""Tables as a user brings them: PCA, a run with the defaults for images, and one with those for tables.

    python benchmarks/own_tables.py      needs scikit-learn, and MINIAE_DATA for the larger ones; some minutes
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from results import write
from sklearn import datasets

from miniae.tasks import Run, RunConfig

SEEDS = range(5)
SMALL = 300  # rows, of larger tables too
IMAGES = {"activation": "sigmoid", "pretrain": "rbm", "epochs": 20, "batch_size": 128}
README = {"layers": (32, 8, 2)}  # as the README has it for a table of its own


def tables():
    """Tables by name, in their own units."""
    for name in ("iris", "wine", "breast_cancer"):
        yield name.replace("_", " "), getattr(datasets, f"load_{name}")().data
    yield "diabetes", datasets.load_diabetes(scaled=False).data
    folder = Path(os.environ.get("MINIAE_DATA", "")) / "anomaly"
    for path in sorted(folder.glob("*_*.npz")):
        name = path.stem.partition("_")[2]
        if name not in ("http", "smtp"):  # three columns
            X = np.load(path)["X"].astype(np.float64)
            rows = np.random.default_rng(0).permutation(len(X))[:SMALL]
            yield f"{name}, {SMALL} rows", X[rows]
            yield name, X


def measured(path, seed, **settings):
    """The squared errors of a run's test samples, its own and PCA's."""
    run = Run(RunConfig(data=str(path), seed=seed, backend="numpy", **settings))
    run.execute()
    measures = run.measure()
    return run, measures["test_squared_error"], measures["pca_squared_error"], measures["seconds"]


def main():
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npy"
        for name, X in tables():
            np.save(path, X)
            seeds = SEEDS if len(X) < 20_000 else SEEDS[:1]
            ours = [measured(path, seed) for seed in seeds]
            layers = ours[0][0].config.layers
            images = [measured(path, seed, **IMAGES, layers=(512, 256, layers[-1])) for seed in seeds]
            shown = [measured(path, seed, **README) for seed in seeds] if X.shape[1] > 2 else []
            results[name] = {
                "rows": len(X), "columns": X.shape[1], "code": layers[-1], "epochs": ours[0][0].config.epochs,
                "batch_size": ours[0][0].config.batch_size, "seeds": len(seeds),
                "pca": float(np.mean([pca for _, _, pca, _ in ours])),
                "images": float(np.mean([error for _, error, _, _ in images])),
                "tables": float(np.mean([error for _, error, _, _ in ours])),
                "seconds": float(np.median([seconds for *_, seconds in ours])),
                "ratio": ratio(ours), "images_ratio": ratio(images), "32-8-2_ratio": ratio(shown),
                "worse": sum(error > pca for _, error, pca, _ in ours),
            }
            print(name, results[name], flush=True)
    write("own_tables", results, ("numpy", "scikit-learn"))
    return 0


def ratio(runs):
    """The runs' errors over PCA's, as a geometric mean."""
    return float(np.exp(np.mean([np.log(error / pca) for _, error, pca, _ in runs])))


if __name__ == "__main__":
    sys.exit(main())
