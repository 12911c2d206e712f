"""The likelihood of an RBM of 784 visible and 500 hidden units on binarised MNIST, by annealed importance sampling.

    python benchmarks/likelihood.py              writes benchmarks/results/likelihood.json
    python benchmarks/likelihood.py --quick      fewer epochs, to see it work; writes no result file

Trains one machine by contrastive divergence with 1, then 5, then 25 steps an update, and one by persistent contrastive
divergence, each pixel having been drawn once with its grey value as its probability. Salakhutdinov and Murray, "On the
quantitative analysis of deep belief networks", ICML 2008, give -86.34 nats for 500 hidden units trained with CD-25.
Checkpoints are left in --out, and the same command goes on from there.
"""

import argparse
from pathlib import Path

import numpy as np
from results import FOLDER, write
from stages import stage

from miniae import RBM
from miniae.backend.philox import host_generator
from miniae.data import load
from miniae.rbm import Activity, FreeEnergyGap, PseudoLikelihood
from miniae.report import filters, histograms, images, monitors
from miniae.training import Callback, LearningRate

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="a tenth of the epochs")
parser.add_argument("--out", default=None, help="where checkpoints and pictures go (default: runs/likelihood[-quick])")
args = parser.parse_args()
CD, PCD = (6, 3) if args.quick else (60, 20)  # epochs
out = Path(args.out or ("runs/likelihood-quick" if args.quick else "runs/likelihood"))
out.mkdir(parents=True, exist_ok=True)


class Steps(Callback):
    """Gibbs steps an update: 1 in the first sixth of training, 5 in the second, then 25."""

    def on_epoch_begin(self, trainer):
        trainer.model.k = (1, 5)[part] if (part := 6 * trainer.epoch // trainer.epochs) < 2 else 25


def falling(epochs):
    """A learning rate that falls to 0 in a straight line."""
    return LearningRate(lambda epoch: 1 - epoch / epochs)


def report(name, rbm):
    """The likelihood of the machine, in nats an image."""
    estimate = rbm.log_partition(train, progress=lambda done, of: done % 1000 or print(f"{name}: AIS {done}/{of}"))
    return {f"{name}_log_z": estimate.log_z, f"{name}_standard_error": estimate.standard_error,
            f"{name}_log_z_low": estimate.low if np.isfinite(estimate.low) else None,
            f"{name}_log_z_high": estimate.high,
            f"{name}_test": float(rbm.log_likelihood(test, estimate.log_z).mean()),
            f"{name}_train": float(rbm.log_likelihood(train, estimate.log_z).mean()),
            f"{name}_seconds": sum(row["seconds"] for row in rbm.history_)}


data = load("mnist")
draw = host_generator(0, "binarised MNIST")
train, test = ((draw.random(x.shape, np.float32) < x).astype(np.float32) for x in (data.train, data.test))
settings = {"batch_size": 100, "visible_bias": "data", "init_std": 0.01, "weight_cost": 1e-5, "seed": 0}
watched = [FreeEnergyGap(train[:5000], test[:5000]), PseudoLikelihood(test[:2000]), Activity(test[:2000])]
pcd = RBM(500, epochs=PCD, k=5, lr=0.01, persistent=True, **settings).fit(
    train, callbacks=stage(out, "PCD", falling(PCD), *watched))
cd = RBM(500, epochs=CD, lr=0.05, sample_visible=True, **settings).fit(
    train, callbacks=stage(out, "CD", falling(CD), Steps()))
results = {**report("cd", cd), **report("pcd", pcd), "cd_epochs": CD, "pcd_epochs": PCD}
chains = pcd.sample(100, steps=1000, start=pcd.inverse_transform(pcd.machine_.chains.numpy()))
means = pcd.inverse_transform(pcd.transform(chains))
for folder in [out] if args.quick else [out, FOLDER]:
    images(folder / "likelihood_samples.png", means, data.image_shape, columns=20,
           title="Means after 1,000 Gibbs steps from the persistent chains of an RBM of 500 hidden units")
monitors(out / "monitors.png", pcd.history_, title="Persistent contrastive divergence, 784-500")
histograms(out / "histograms.png", pcd.machine_, test[:2000], title="Persistent contrastive divergence, 784-500")
filters(out / "filters.png", pcd.machine_.weight.numpy(), data.image_shape)
for name, value in results.items():
    print(f"{name:32s} {value}")
if not args.quick:
    write("likelihood", results)
