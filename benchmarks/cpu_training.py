"""Training steps on the CPU, beside PyTorch and others: the models people use, at three batch sizes.

    OMP_NUM_THREADS=1 python benchmarks/cpu_training.py     writes benchmarks/results/cpu_training_1_thread.json
    OMP_NUM_THREADS=2 python benchmarks/cpu_training.py     with 2 threads
    python benchmarks/cpu_training.py --quick               a few steps, to see it work; writes nothing

The contestants take turns in one process, with the same data (MNIST, or the bundled digits without it), float32, the
same sizes, losses and batches, shuffled and cut as each does it; a turn is an epoch over as many images as it says
below. Milliseconds a step: medians over the turns, with the first and third quartile; ratios are of medians. Keras, JAX
and DeZero take part where they are installed. `bare` is the loop of bare_numpy.py.
"""

import argparse
import os
import sys

import bare_numpy
import numpy as np
import peers
import torch
from contest import CONVOLUTIONAL, DENSE, VARIATIONAL, shaped, take_turns, trainer_of
from results import write

from miniae.data import load

MODELS = [*DENSE, CONVOLUTIONAL, VARIATIONAL]
BATCHES = [32, 128, 1024]
LARGE = ("784-1000-500-250-30", CONVOLUTIONAL)
TURNS = 7


def images_a_turn(name, batch):
    """Steps enough for the clock, and not so many that a benchmark of seven turns takes all day."""
    return max(2048, 8 * batch) if name in LARGE else max(6144, 16 * batch)


def ours(name, X, batch):
    """An epoch of the library's own trainer."""
    trainer = trainer_of(name, X, batch)
    return lambda: trainer.fit(shaped(name, X), trainer.epoch + 1)


def contestants(name, X, batch):
    """Whoever can train this model: an epoch of each, by name."""
    found = {"miniae": ours(name, X, batch)}
    if name in DENSE:
        found["bare"] = bare_numpy.training(DENSE[name], X, batch)
    for peer, make in peers.PEERS.items():
        epoch = make(name, DENSE.get(name), X, batch)
        if epoch is not None:
            found[peer] = epoch
    return found


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", help="models whose name holds this")
parser.add_argument("--batch", type=int, choices=BATCHES, help="this batch size only")
parser.add_argument("--quick", action="store_true", help="two turns of 1024 images")
args = parser.parse_args()
threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
torch.set_num_threads(threads)
images = load("mnist" if os.environ.get("MINIAE_DATA") else "digits").train
results = {"threads": threads, "turns": TURNS, "models": {}}
for name in MODELS:
    if args.only and args.only not in name:
        continue
    for batch in BATCHES:
        if args.batch not in (None, batch):
            continue
        X = np.resize(images, (1024 if args.quick else images_a_turn(name, batch), images.shape[1]))
        times = take_turns(contestants(name, X, batch), len(X) // batch, 2 if args.quick else TURNS)
        results["models"].setdefault(name, {})[str(batch)] = {
            who: {"ms": q[1], "quartiles": [q[0], q[2]]} for who, q in times.items()}
        mine = times["miniae"][1]
        print(f"{name}, batch {batch}: " + ", ".join(f"{who} {q[1]:.2f} ms ({q[1] / mine:.2f})"
                                                     for who, q in times.items()), flush=True)
if not (args.quick or args.only or args.batch):
    write(f"cpu_training_{threads}_thread{'s' * (threads > 1)}", results)
else:
    sys.exit(0)
