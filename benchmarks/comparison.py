"""Every kind of autoencoder on the same images, with the same code size, for the same time. Full MNIST.

    python benchmarks/comparison.py              writes benchmarks/results/comparison.json and .png
    python benchmarks/comparison.py --seconds 2  to see it work; no result file

Each trains for the same processor time on one thread, in minibatches of 128, by Adam, whose learning rate falls from
0.001 (adversarial: 0.0005) to 0 along half a cosine; RBMs' pretraining counts. Layers are 784-256-16-256-784 where they
are dense, the loss is cross-entropy. Settings are each class's defaults, but for how a code of 16 is divided (k = 8 of
them, 8 pairs of them), the contractive one's norm, which is estimated, and what `CHOICES` lists: there, networks are
trained for a tenth of the time on 50,000 training images, and the setting is kept whose codes of the other 10,000 are
classified best by their neighbours. Trained models lie in the folder runs/comparison-*: what is there already is not
trained again.

Codes of test images are classified by 5 neighbours, and by logistic regression on standardised codes (scikit-learn),
among 10,000 labelled training images. New images are decoded from the prior where there is one, and else from a
Gaussian with the mean and covariance of the training images' codes; a classifier of real digits judges them.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: processor time is then the time of a core

import numpy as np
from judge import judged, trained_judge
from results import FOLDER, write
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from miniae import models
from miniae.backend.philox import host_generator
from miniae.data import load
from miniae.nn import Dense, Sequential
from miniae.optim.schedules import cosine
from miniae.report import canvas, knn_accuracy, squared_error
from miniae.training import Callback

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seconds", type=float, default=30.0, help="of processor time for each (default: 30)")
args = parser.parse_args()
HIDDEN, CODE, LABELLED, SAMPLES, SHOWN, RBM_EPOCHS = 256, 16, 10000, 10000, 10, 2
data = load("mnist")
work = Path("runs") / f"comparison-{args.seconds:g}"
work.mkdir(parents=True, exist_ok=True)
training = {"loss": "bce", "batch_size": 128, "epochs": 10**6}
dense = {"hidden": [HIDDEN], "code": CODE, **training}


class TimeIsUp(KeyboardInterrupt):
    """Leaves the model as it stands, as an interrupt by hand does."""


class Budget(Callback):
    """Ends training when the processor time is used up; till then the learning rate falls to 0."""

    def __init__(self, seconds, spent=0.0):
        self.spent, self.seconds = spent, seconds
        self.schedule = cosine(1)

    def on_train_begin(self, trainer):
        self.began = time.process_time() - self.spent

    def on_batch_end(self, trainer, batch):
        self.used = time.process_time() - self.began
        self.epochs = trainer.epoch + (batch + 1) / trainer.batches
        if self.used >= self.seconds:
            raise TimeIsUp
        trainer.optimizer.lr = trainer.base_lr * self.schedule((self.used - self.spent) / (self.seconds - self.spent))


def fit(model, seconds, *rows, spent=0.0):
    """Train for this time, of which some may be spent already; return the time and the epochs that were done."""
    budget = Budget(seconds, spent)
    try:
        model.fit(*rows, callbacks=[budget])
    except TimeIsUp:
        pass
    return {"seconds": budget.used, "epochs": budget.epochs}


def kept(name, make):
    """What `make` gives as JSON, once."""
    path = work / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


# -------------------------------------------------------------------- settings

def regularised(l2, dropout):
    return models.Autoencoder(**dense, l2=l2, dropout=dropout)


def vector_quantised():
    encoder, decoder = Sequential([Dense(HIDDEN, "relu"), Dense(CODE)]), Sequential([Dense(HIDDEN, "relu"), Dense(784)])
    return models.VectorQuantisedAutoencoder(code=CODE, dim=2, encoder=encoder, decoder=decoder, **training)


def kl_sparse(target):
    return models.SparseAutoencoder(**dense, target=target)


CHOICES = {
    "regularised": (regularised, [{"l2": 1e-5, "dropout": 0.05}, {"l2": 1e-4, "dropout": 0.1},
                                  {"l2": 1e-4, "dropout": 0.2}]),
    "kl_sparse": (kl_sparse, [{"target": 0.05}, {"target": 0.25}, {"target": 0.5}]),
}


def tried(make, settings):
    """How well held-out training images are classified by the codes of a network with these settings."""
    model = make(**settings)
    fit(model, args.seconds / 10, data.train[:50000])
    known, asked = slice(0, 10000), slice(50000, 60000)
    accuracy = knn_accuracy(model.transform(data.train[known]), data.train_labels[known],
                            model.transform(data.train[asked]), data.train_labels[asked])
    print(settings, f"{accuracy:.4f}", flush=True)
    return accuracy


choices = {name: kept(f"choice_{name}", lambda make=make, grid=grid: [[s, tried(make, s)] for s in grid])
           for name, (make, grid) in CHOICES.items()}
chosen = {name: max(tries, key=lambda t: t[1])[0] for name, tries in choices.items()}


# -------------------------------------------------------------------- training

def shown(settings):
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


VARIANTS = {
    "plain": ("plain", lambda: models.Autoencoder(**dense)),
    "pretrained": (f"pretrained by RBMs, sigmoid units, {RBM_EPOCHS} epochs a layer", None),
    "denoising_gaussian": ("denoising, Gaussian noise 0.3",
                           lambda: models.DenoisingAutoencoder(**dense)),
    "denoising_masking": ("denoising, 30 % of pixels masked",
                          lambda: models.DenoisingAutoencoder(**dense, noise="masking")),
    "l1_sparse": ("sparse by L1, ReLU code, tied", lambda: models.L1SparseAutoencoder(**dense)),
    "kl_sparse": (f"sparse by KL, sigmoid code, {shown(chosen['kl_sparse'])}",
                  lambda: kl_sparse(**chosen["kl_sparse"])),
    "k_sparse": ("k-sparse, 8 of 16, tied", lambda: models.KSparseAutoencoder(**dense, k=8)),
    "contractive": ("contractive, sigmoid code, tied, norm estimated",
                    lambda: models.ContractiveAutoencoder(**dense, jacobian="estimate")),
    "regularised": (f"regularised, {shown(chosen['regularised'])}", lambda: regularised(**chosen["regularised"])),
    "convolutional": ("convolutional, 8-16 filters, strided", lambda: models.ConvolutionalAutoencoder(
        (8, 16), CODE, image_shape=data.image_shape, **training)),
    "vector_quantised": ("vector-quantised, 8 pairs, each of 512", vector_quantised),
    "variational": ("variational", lambda: models.VariationalAutoencoder(**dense)),
    "conditional": ("variational, told the label", lambda: models.ConditionalVariationalAutoencoder(**dense)),
    "adversarial": ("adversarial, lr 0.0005", lambda: models.AdversarialAutoencoder(**dense)),
    "wasserstein": ("Wasserstein", lambda: models.WassersteinAutoencoder(**dense)),
}


def trained(name, make):
    """The model of that name and how it was trained, from the work folder if it is there."""
    path = work / f"{name}.safetensors"
    rows = (data.train, data.train_labels) if name == "conditional" else (data.train,)

    def train():
        began = time.process_time()
        model = make() if make else models.pretrain(
            data.train, [784, HIDDEN, CODE], epochs=RBM_EPOCHS).unroll(lr=1e-3, **training)
        measured = fit(model, args.seconds, *rows, spent=0.0 if make else time.process_time() - began)
        model.save(path)
        return measured

    measured = kept(name, train)
    return models.load(path), measured


def fitted_samples(model, codes):
    """What the model decodes from a Gaussian with the mean and covariance of these codes."""
    draws = host_generator(0, "draws").multivariate_normal(codes.mean(0), np.cov(codes.T), SAMPLES, method="eigh")
    return model.inverse_transform(draws.astype(np.float32))


def measured(model, conditional=False):
    """(measures, reconstructions of the first test images, samples)."""
    if conditional:  # its codes say what the label doesn't, and are not to be had without it
        reconstructed = model.reconstruct(data.test, data.test_labels)
        asked = np.arange(SAMPLES) % 10
        samples, of_codes = model.sample(SAMPLES, labels=asked), {}
        of_codes = {"seen_as_asked": float((judge.predict(samples) == asked).mean())}
    else:
        reconstructed, codes, test_codes = model.reconstruct(data.test), *map(model.transform, (data.train, data.test))
        known, labels = codes[:LABELLED], data.train_labels[:LABELLED]
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(known, labels)
        of_codes = {"neighbours": knn_accuracy(known, labels, test_codes, data.test_labels),
                    "linear": float(probe.score(test_codes, data.test_labels))}
        samples = model.sample(SAMPLES) if hasattr(model, "sample") else fitted_samples(model, codes)
    measures = {"squared_error": squared_error(data.test, reconstructed), **of_codes,
                "samples_from": "prior" if hasattr(model, "sample") else "fitted Gaussian", **judged(judge, samples)}
    return measures, reconstructed[:SHOWN], samples[:SHOWN]


if not (work / "judge.safetensors").exists():
    trained_judge(data).save(work / "judge.safetensors")
judge = models.load(work / "judge.safetensors")
results = {"seconds": args.seconds, "code": CODE, "hidden": HIDDEN, "labelled": LABELLED, "samples": SAMPLES,
           "judge_accuracy": judge.score(data.test, data.test_labels), "real": judged(judge, data.test),
           "choices": choices, "variants": {}}
pictures = {"test images": (data.test[:SHOWN], data.test[SHOWN:2 * SHOWN], None)}
began = time.process_time()
pca = models.PCA(CODE).fit(data.train)
fits = {"pca": (f"PCA, {CODE} components", pca, {"seconds": time.process_time() - began})}
for name, (title, make) in VARIANTS.items():
    fits[name] = (title, *trained(name, make))
    print(title, fits[name][2], flush=True)
for name, (title, model, how) in fits.items():
    measures, reconstructed, samples = measured(model, name == "conditional")
    results["variants"][name] = {"title": title, **how, **measures}
    pictures[title] = reconstructed, samples, measures["squared_error"]
    print(title, measures, flush=True)


# -------------------------------------------------------------------- the picture

ZOOM, LEFT, TOP, BETWEEN = 2, 400, 60, 40
height, width = data.image_shape
across = (SHOWN * (width + canvas.tile_gap(height, width)) - canvas.tile_gap(height, width)) * ZOOM
step = height * ZOOM + 12
where = FOLDER / "comparison.png" if args.seconds >= 20 else work / "comparison.png"
with canvas.drawing(where, LEFT + 2 * across + BETWEEN + 20, TOP + step * len(pictures)) as figure:
    lefts = LEFT, LEFT + across + BETWEEN
    for left, text in zip(lefts, ("test images and their reconstructions", "new images: of the prior (*), or of a "
                                  "Gaussian fitted to codes"), strict=True):
        canvas.write(figure, left, TOP - 16, text, fontweight="bold", fontsize=8)
    for i, (title, (reconstructed, samples, error)) in enumerate(pictures.items()):
        top, middle = TOP + i * step, TOP + i * step + height * ZOOM / 2
        star = "*" if any(r["title"] == title and r["samples_from"] == "prior" for r in results["variants"].values()) \
            else ""
        head, *rest = title.split(",", 1)
        canvas.write(figure, LEFT - 12, middle, head + star, ha="right", va="bottom", fontsize=8)
        note = [text.strip() for text in rest] + ([] if error is None else [f"error {canvas.number(error)}"])
        canvas.write(figure, LEFT - 12, middle + 4, "; ".join(note), ha="right", va="top", fontsize=6,
                     color=canvas.QUIET)
        for left, part in zip(lefts, (reconstructed, samples), strict=True):
            canvas.show(canvas.place(figure, left, top, across, height * ZOOM),
                        canvas.tile(part.reshape(-1, 1, height, width), SHOWN), 0.0, 1.0)
results["uniform_entropy"] = math.log(10)
if args.seconds >= 20:
    write("comparison", results)
