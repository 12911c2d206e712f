"""What makes a deep autoencoder learn: its initial weights, its optimizer, or pretraining? Full MNIST, equal compute.

    python benchmarks/initialisation.py              writes benchmarks/results/initialisation.json and .png
    python benchmarks/initialisation.py --seconds 5  to see it work; no result file

Every run trains 784-1000-500-250-30-250-500-1000-784 by cross-entropy for the same processor time on one thread; that
of pretraining (5 epochs a layer) counts. The test error is taken on the way, outside that time. The picture also has
the size of the first gradient in every layer, which is where the runs part.
"""

import argparse
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: processor time is then the time of a core

import numpy as np
from results import FOLDER, write
from stages import tenth, test_error

from miniae import Autoencoder, Tensor
from miniae.data import load
from miniae.models import pretrain
from miniae.report import canvas
from miniae.training import Callback, ProgressBar

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seconds", type=float, default=180.0, help="of processor time for each run (default: 180)")
args = parser.parse_args()
HIDDEN, CODE, POINTS = [1000, 500, 250], 30, 15
data = load("mnist")


class TimeIsUp(Exception):
    pass


class Watch(Callback):
    """Takes the test error at equal intervals of processor time, and ends training when the time is up."""

    def __init__(self, spent: float):
        self.spent, self.curve = spent, []

    def on_train_begin(self, trainer):
        self.began = time.process_time()
        self.look(trainer)

    def on_batch_end(self, trainer, batch):
        spent = self.spent + time.process_time() - self.began
        if spent - self.curve[-1][0] >= args.seconds / POINTS or spent >= args.seconds:
            self.look(trainer)
            if spent >= args.seconds:
                raise TimeIsUp

    def look(self, trainer):
        spent = self.spent + time.process_time() - self.began
        self.curve.append([round(spent, 2), test_error(trainer.model, data.test)])
        trainer.model.train()
        self.began = time.process_time() - (spent - self.spent)


def run(name, model, spent=0.0):
    """The curve of one run."""
    watch = Watch(spent)
    try:
        model.set_params(loss="bce", epochs=10**6).fit(data.train, callbacks=[watch])
    except TimeIsUp:
        pass
    print(f"{name}: {watch.curve[-1][1]:.2f} after {watch.curve[-1][0]:.0f} s", flush=True)
    return watch.curve


def gradients(model):
    """The root mean square of the first gradient of each layer's weights, from the input to the output."""
    model.set_params(loss="bce", epochs=0).fit(data.train[:1000])
    network = model.network_.train()
    network.loss_terms(Tensor(data.train[:1000]))["reconstruction"].backward()
    weights = [p for p in network.parameters() if p.ndim == 2]
    return [float(np.sqrt(np.square(network.place.backend.to_host(p.grad)).mean())) for p in weights]


began = time.process_time()
stack = pretrain(data.train, [784, *HIDDEN, CODE], epochs=5, callbacks=lambda title: [ProgressBar(title)])
pretraining = time.process_time() - began
sgd = {"optimizer": "momentum", "lr": 1e-3, "batch_size": 100}
adam = {"optimizer": "adam", "lr": 1e-3, "batch_size": 100}
large = {"batch_size": 1000, "lr": 1e-3}


def plain(init, activation="sigmoid", **training):
    return Autoencoder(HIDDEN, CODE, activation=activation, init=init, **training)


RUNS = {
    "N(0, 0.1), SGD": (lambda: plain(tenth, **sgd), 0.0),
    "N(0, 0.1), CG": (lambda: plain(tenth, optimizer="cg", **large), 0.0),
    "Glorot, Adam": (lambda: plain("glorot_uniform", **adam), 0.0),
    "sparse, Adam": (lambda: plain("sparse", **adam), 0.0),
    "ReLU, He, Adam": (lambda: plain("he_normal", "relu", **adam), 0.0),
    "RBMs, SGD": (lambda: stack.unroll(**sgd), pretraining),
    "RBMs, Adam": (lambda: stack.unroll(**adam), pretraining),
    "RBMs, CG": (lambda: stack.unroll(optimizer="cg", **large), pretraining),
    "RBMs, L-BFGS": (lambda: stack.unroll(optimizer="lbfgs", **large), pretraining),
}
curves = {name: run(name, make(), spent) for name, (make, spent) in RUNS.items()}
sizes = {name: gradients(RUNS[run_name][0]()) for name, run_name in (
    ("N(0, 0.1)", "N(0, 0.1), SGD"), ("Glorot", "Glorot, Adam"), ("sparse", "sparse, Adam"),
    ("ReLU, He", "ReLU, He, Adam"), ("RBMs", "RBMs, Adam"))}

with canvas.drawing(FOLDER / "initialisation.png" if args.seconds >= 60 else "initialisation.png", 1900, 760) as figure:
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    for name, curve in curves.items():
        left.plot(*zip(*curve, strict=True), marker="o", markersize=3, linestyle="-" if "RBM" in name else "--",
                  label=f"{name}: {canvas.number(curve[-1][1])}")
    left.set(xlabel="seconds of one core, pretraining included", ylabel="squared error per test image", yscale="log")
    left.set_title("dashed: without pretraining")
    left.legend(ncols=2)
    for name, values in sizes.items():
        right.plot(range(1, len(values) + 1), values, marker="o", markersize=4, label=name)
    right.set(xlabel="layer, from the input (1) to the output (8)", ylabel="root mean square of the gradient",
              yscale="log")
    right.set_title("the first gradient of the weights")
    right.legend()
results = {"seconds": args.seconds, "pretraining_seconds": pretraining, "gradients": sizes, "curves": curves,
           "learning_rates": {"SGD": sgd["lr"], "Adam": adam["lr"]}}
if args.seconds >= 60:
    write("initialisation", results)
