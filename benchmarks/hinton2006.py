"""Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks" (Science 313, 2006), on MNIST.

    python benchmarks/hinton2006.py              the published recipe; writes benchmarks/results/hinton2006.json
    python benchmarks/hinton2006.py --quick      fewer epochs, to see it work; writes no result file

Pretrains 784-1000-500-250-30 by four RBMs, unrolls it, fine-tunes all eight layers by cross-entropy, and compares it
with the same network without pretraining, a shallow one of as many parameters, logistic PCA and PCA; then the same with
a code of 2, for the map. Each stage leaves a checkpoint in --out, and the same command goes on from there. The pictures
are in --out, and those of the README in benchmarks/results.
"""

import argparse
from pathlib import Path

import numpy as np
from hinton import CODE, HIDDEN, falling, fine_tuned, pretrained, seconds
from results import FOLDER, write
from stages import stage, tenth, test_error

from miniae import Autoencoder
from miniae.data import load
from miniae.models import PCA
from miniae.report import metrics, pictures
from miniae.training import Callback

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="5 epochs a layer and 5 of fine-tuning")
parser.add_argument("--out", default=None, help="where checkpoints and pictures go (default: runs/hinton2006[-quick])")
args = parser.parse_args()
PRETRAINING, FINE_TUNING, MAP = (5, 5, 5) if args.quick else (50, 50, 20)  # epochs
out = Path(args.out or ("runs/hinton2006-quick" if args.quick else "runs/hinton2006"))
out.mkdir(parents=True, exist_ok=True)
data = load("mnist")


class TestError(Callback):
    """Adds the squared error per test image to the history, every fifth epoch and at the end."""

    def on_epoch_end(self, trainer, logs):
        if trainer.epoch % 5 == 0 or trainer.epoch == trainer.epochs:
            logs["test_squared_error"] = test_error(trainer.model, data.test)
            print(f"  squared error per test image: {logs['test_squared_error']:.3f}", flush=True)


def tuned(title, model, epochs):
    """The model, trained by Adam with a learning rate that falls to 0, and its squared error on the test set."""
    fine_tuned(model, data.train, epochs, stage(out, title, falling(epochs), TestError()))
    return model, metrics.squared_error(data.test, model.reconstruct(data.test))


results = {}
pca = PCA(CODE).fit(data.train)
results["pca"] = metrics.squared_error(data.test, pca.reconstruct(data.test))
logistic, results["logistic_pca"] = tuned("logistic PCA", Autoencoder((), CODE), FINE_TUNING)

stack = pretrained(data.train, CODE, PRETRAINING, lambda title: stage(out, f"pretraining {title}"))
results |= {f"rbm_{i + 1}_squared_error": history[-1]["loss"] for i, history in enumerate(stack.histories)}
results["stack"] = metrics.squared_error(data.test, stack.reconstruct(data.test))
deep, results["deep"] = tuned("fine-tuning", stack.unroll(), FINE_TUNING)
results["deep_training"] = metrics.squared_error(data.train, deep.reconstruct(data.train))
results["pretraining_seconds"] = seconds(*stack.histories)
results["fine_tuning_seconds"] = seconds(deep.history_)

results["parameters"] = sum(p.size for p in deep.network_.parameters())
width = round(results["parameters"] / (2 * (784 + CODE)))
shallow, results["shallow"] = tuned("shallow", Autoencoder([width], CODE, activation="sigmoid"), FINE_TUNING)
results["shallow_hidden"] = width
raw, results["not_pretrained"] = tuned(
    "without pretraining", Autoencoder(HIDDEN, CODE, activation="sigmoid", init=tenth), FINE_TUNING)

flat = pretrained(data.train, 2, PRETRAINING, lambda title: stage(out, f"pretraining {title}"))
plane, results["deep_2"] = tuned("fine-tuning of the map", flat.unroll(), MAP)
pca_2 = PCA(2).fit(data.train)
results["pca_2"] = metrics.squared_error(data.test, pca_2.reconstruct(data.test))
for name, model in (("deep", deep), ("deep_2", plane), ("pca", pca), ("pca_2", pca_2)):
    results[f"neighbours_{name}"] = metrics.knn_accuracy(model.transform(data.train), data.train_labels,
                                                         model.transform(data.test), data.test_labels, k=5)

folders = [out] if args.quick else [out, FOLDER]
rows = {"deep": deep, "shallow": shallow, "logistic PCA": logistic, "PCA": pca}
shown = np.array([np.flatnonzero(data.test_labels == digit)[0] for digit in range(10)])
order = np.concatenate([shown, np.setdiff1d(np.arange(len(data.test)), shown)])
for folder in folders:
    pictures.reconstructions(folder / "hinton2006.png", data.test[order],
                             {name: model.reconstruct(data.test[order]) for name, model in rows.items()},
                             data.image_shape, title="Codes of 30 numbers: originals and reconstructions")
    pictures.latent(folder / "hinton2006_map.png",
                    {"784-1000-500-250-2 autoencoder": plane.transform(data.test),
                     "the first two principal components": pca_2.transform(data.test)}, data.test_labels)
pictures.loss_curves(out / "fine-tuning.png", deep.history_, stack.histories)
pictures.filters(out / "filters.png", stack.pairs[0].up.weight.numpy(), data.image_shape)
results["curves"] = {name: [[row["epoch"], row["test_squared_error"]] for row in model.history_
                            if "test_squared_error" in row]
                     for name, model in (("deep", deep), ("not_pretrained", raw), ("shallow", shallow),
                                         ("logistic_pca", logistic))}
for name, value in results.items():
    if not isinstance(value, dict):
        print(f"{name:32s} {value:.5g}")
if not args.quick:
    write("hinton2006", results)
