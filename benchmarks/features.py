"""What an autoencoder's features are worth to a classifier, by the number of labels: MNIST and Fashion-MNIST.

    python benchmarks/features.py           writes benchmarks/results/features.json and features.png
    python benchmarks/features.py --quick   one epoch, one seed and few labels, to see it work; writes no result file

All 60,000 training images are there without labels; 100, 1,000, 10,000 or all of them have one (as many of each class,
drawn by the seed, the same for every way), and the 10,000 test images judge. A denoising autoencoder 784-400-200 (ReLU,
half of the pixels masked), PCA and a stack of RBMs of the same sizes are trained once, without labels. On top of them,
and on pixels: scikit-learn's logistic regression (100 iterations, its default), whose C is chosen among 0.01, 0.1 and 1
by held-out labelled samples, of those given: five folds of 100, a fifth of more, of at most 10,000. Networks have one
rule for all ways and both data sets, and nothing is chosen: Adam with a learning rate that falls to 0, from 0.001, or
0.005 where only the head learns; as many epochs in all for each way, by the number of labels (PLANS).
What is finished is kept in --out, and the same command goes on from there.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from results import FOLDER, write
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from stages import path, stage

from miniae import Classifier
from miniae.data import balanced, load, write_json
from miniae.models import DenoisingAutoencoder, pretrain
from miniae.models import load as load_model
from miniae.optim.schedules import cosine
from miniae.report.canvas import SERIES, drawing
from miniae.training import LearningRate

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="one epoch, one seed, 100 and 1,000 labels")
parser.add_argument("--out", default=None, help="where what is finished goes (default: runs/features[-quick])")
args = parser.parse_args()
out = Path(args.out or ("runs/features-quick" if args.quick else "runs/features"))
out.mkdir(parents=True, exist_ok=True)
warnings.simplefilter("ignore", ConvergenceWarning)

SIZES, COMPONENTS, CS = [400, 200], 50, (0.01, 0.1, 1.0)
EPOCHS, RBM_EPOCHS = (1, 1) if args.quick else (4, 3)
# Labels: seeds, batch, epochs for the head alone and for all layers.
PLANS = {100: (5, 10, 40, 40), 1000: (5, 50, 20, 20), 10000: (2, 100, 1, 6), 60000: (1, 100, 1, 3)}
if args.quick:
    PLANS = {100: (1, 10, 2, 2), 1000: (1, 50, 1, 1)}
WAYS = {"pixels": "logistic regression on pixels", "pca": f"logistic regression on {COMPONENTS} principal components",
        "codes": "logistic regression on the autoencoder's codes",
        "frozen": "head on the autoencoder's encoder, frozen", "tuned": "the autoencoder's encoder, fine-tuned",
        "scratch": "the same network from scratch",
        "rbm": "the same sizes, pretrained by RBMs, fine-tuned"}


def chosen_c(X, y):
    """The C that does best on held-out samples of these."""
    if len(y) > 10000:
        some = balanced(y, 10000)
        X, y = X[some], y[some]
    folds = StratifiedKFold(5, shuffle=True, random_state=0) if len(y) <= 100 else \
        StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    splits = list(folds.split(X, y))
    scores = {c: np.mean([LogisticRegression(C=c).fit(X[a], y[a]).score(X[b], y[b]) for a, b in splits]) for c in CS}
    return max(scores, key=scores.get)


class Learnt:
    """What is learnt of a data set's images without labels."""

    def __init__(self, name, data):
        began = time.process_time()
        file = out / f"{name}.safetensors"
        if not file.exists():
            DenoisingAutoencoder(SIZES[:-1], SIZES[-1], activation="relu", code_activation="relu", noise="masking",
                                 level=0.5, loss="bce", epochs=EPOCHS).fit(data.train).save(file)
        self.model = load_model(file)
        self.stack = pretrain(data.train, [784, *SIZES], code_unit="bernoulli", epochs=RBM_EPOCHS,
                              callbacks=lambda title: stage(out, f"{name} RBM {title}")[:1])
        pca = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(data.train)
        self.features = {"pixels": (data.train, data.test),
                         "pca": tuple(pca.transform(X) for X in (data.train, data.test)),
                         "codes": tuple(self.model.transform(X) for X in (data.train, data.test))}
        print(f"{name}: {time.process_time() - began:.0f} s without labels", flush=True)

    def network(self, way, plan, seed):
        """The classifier of that way, to be trained."""
        _, batch, head, tuning = plan
        common = {"batch_size": batch, "seed": seed}
        if way == "frozen":
            return self.model.classifier(head_epochs=head + tuning, epochs=0, lr=5e-3, **common)
        if way == "scratch":
            return Classifier(SIZES, head_epochs=0, epochs=head + tuning, **common)
        return (self.model if way == "tuned" else self.stack).classifier(head_epochs=head, epochs=tuning, **common)


def accuracy(learnt, data, way, rows, plan, seed):
    """Test accuracy of a way that has the labels of these rows, and C where that was chosen."""
    y = data.train_labels[rows]
    if way in learnt.features:
        train, test = learnt.features[way]
        c = chosen_c(train[rows], y)
        return LogisticRegression(C=c).fit(train[rows], y).score(test, data.test_labels), c
    model = learnt.network(way, plan, seed)
    model.fit(data.train[rows], y, callbacks=[LearningRate(cosine(model.head_epochs + model.epochs))])
    return model.score(data.test, data.test_labels), None


def measured(name):
    """Accuracies by number of labels and way: a list of all seeds'."""
    data, learnt, table = load(name), None, {}
    for labels, plan in PLANS.items():
        table[labels] = {way: [] for way in WAYS}
        for seed in range(plan[0]):
            rows = balanced(data.train_labels, labels, seed) if labels < len(data.train) else slice(None)
            for way in WAYS:
                record = path(out, f"{name} {labels} {way} {seed}")
                if not record.exists():
                    learnt = learnt or Learnt(name, data)
                    began = time.process_time()
                    value, c = accuracy(learnt, data, way, rows, plan, seed)
                    write_json(record, {"accuracy": value, "c": c, "cpu_seconds": time.process_time() - began})
                    print(f"{name}, {labels:,} labels, seed {seed}, {way}: {100 * value:.2f} % {c or ''} "
                          f"({time.process_time() - began:.1f} s)", flush=True)
                table[labels][way].append(json.loads(record.read_text()))
    return table


def picture(results):
    with drawing(FOLDER / "features.png", 1400, 700) as figure:
        figure.set_layout_engine("constrained")
        for axes, (name, table) in zip(figure.subplots(1, 2), results.items(), strict=True):
            for i, (way, title) in enumerate(WAYS.items()):
                seeds = [[100 * run["accuracy"] for run in table[labels][way]] for labels in table]
                spread = [np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in seeds]
                dashed = way in ("pixels", "pca", "codes")
                axes.errorbar([n * 1.04**(i - 3) for n in table], [np.mean(values) for values in seeds], spread,
                              color=(*SERIES, "#444444")[i], linestyle="--" if dashed else "-", linewidth=1.4,
                              marker="o", markersize=3.5, capsize=2.5, label=title)
            axes.set_xscale("log")
            axes.set_xticks(list(table), [f"{n:,}" for n in table])
            axes.minorticks_off()
            axes.set(xlabel="labelled training images", ylabel="right on the test set, %", title=name)
            axes.grid(True)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.suptitle("Accuracy by the number of labels: mean and standard deviation over draws of them", fontsize=10)


results = {name: measured(name) for name in ("mnist", "fashion-mnist")}
for name, table in results.items():
    for labels, ways in table.items():
        print(name, labels, ", ".join(f"{way} {100 * np.mean([run['accuracy'] for run in runs]):.2f}"
                                      for way, runs in ways.items()))
if not args.quick:
    picture(results)
    write("features", {**results, "ways": WAYS, "sizes": SIZES, "epochs": EPOCHS, "rbm_epochs": RBM_EPOCHS,
                       "plans": PLANS})
