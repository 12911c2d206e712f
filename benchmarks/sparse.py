"""Sparse autoencoders on MNIST: is the activity what was asked for, on test images, and what does it cost?

    python benchmarks/sparse.py              writes benchmarks/results/sparse.json and a picture
    python benchmarks/sparse.py --quick      few images and epochs, to see it work; writes no result file

784-196-784 each: the plain autoencoder with sigmoid units, KL sparsity at three targets, L1 on the activities of
rectified units, and k-sparse codes. Strength and learning rate of the KL models were chosen on 2,000 training images
that no model here is trained on, for activities near their targets. The others are not tuned: how many of their units
die depends on the learning rate. A sigmoid unit counts as active above 0.1, the others above 0.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from results import FOLDER, write

from miniae.data import load
from miniae.models import Autoencoder, KSparseAutoencoder, L1SparseAutoencoder, SparseAutoencoder
from miniae.optim.schedules import cosine
from miniae.report import (
    active_fraction,
    dead_units,
    filters,
    lifetime_sparsity,
    mean_activity,
    population_sparsity,
    squared_error,
)
from miniae.training import LearningRate, ProgressBar

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="2,000 images, two epochs")
parser.add_argument("--out", default=None, help="where pictures go with --quick (default: runs/sparse-quick)")
args = parser.parse_args()
IMAGES, EPOCHS = (2000, 2) if args.quick else (20000, 10)
folder = Path(args.out or "runs/sparse-quick") if args.quick else FOLDER
folder.mkdir(parents=True, exist_ok=True)
data = load("mnist")
train, test = data.train[:IMAGES], data.test
plan = {"code": 196, "epochs": EPOCHS, "batch_size": 256}
kl, others = {"strength": 10.0, "lr": 1e-2, **plan}, {"lr": 3e-3, **plan}
MODELS = {
    "plain": (Autoencoder((), code_activation="sigmoid", **others), 0.1),
    **{f"kl_{target}": (SparseAutoencoder(target=target, **kl), 0.1) for target in (0.05, 0.1, 0.2)},
    **{f"l1_{strength}": (L1SparseAutoencoder(strength=strength, **others), 0.0) for strength in (0.1, 0.3)},
    **{f"k_{k}": (KSparseAutoencoder(k=k, **others), 0.0) for k in (10, 25)},
}
results = {"images": IMAGES, "epochs": EPOCHS, "units": plan["code"]}
for name, (model, threshold) in MODELS.items():
    began = time.perf_counter()
    model.fit(train, callbacks=[LearningRate(cosine(EPOCHS)), ProgressBar(name)])
    seconds = time.perf_counter() - began
    codes = model.transform(test)
    activity = mean_activity(codes)
    measures = {
        "seconds": seconds,
        "squared_error": squared_error(test, model.reconstruct(test)),
        "mean_activity": float(activity.mean()),
        "lowest_activity": float(activity.min()),
        "highest_activity": float(activity.max()),
        "active": active_fraction(codes, threshold),
        "lifetime_sparsity": float(np.nanmean(lifetime_sparsity(codes))),
        "population_sparsity": float(np.nanmean(population_sparsity(codes))),
        "dead": dead_units(codes, threshold),
    }
    results |= {f"{name}_{what}": value for what, value in measures.items()}
    print(name, ", ".join(f"{what} {value:.4g}" for what, value in measures.items()), flush=True)
    if name in ("plain", "kl_0.05", "l1_0.3", "k_10"):
        filters(folder / f"sparse_{name}.png", model.encoder_[0].weight.numpy(), data.image_shape,
                title=f"MNIST, 784-196-784, {name.replace('_', ' ')}: weights into units of the code")
if not args.quick:
    write("sparse", results)
