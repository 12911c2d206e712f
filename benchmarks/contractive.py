"""Contractive autoencoders on MNIST: what the penalty does to the encoder, and to what its code is good for.

    python benchmarks/contractive.py          writes benchmarks/results/contractive.json and .png, in minutes
    python benchmarks/contractive.py --quick  few images and epochs, to see it work; writes into the folder it runs in

One sigmoid layer of 500 units (the penalty in closed form) and 784-300-100 (the penalty estimated from one random
direction a sample), with tied weights and cross-entropy, trained without labels on 20,000 images at several strengths
of the penalty; 0 is the plain autoencoder. Of each: the norm of the Jacobian and the reconstruction error on test
images, and how well a logistic regression (scikit-learn's) on the codes does that has seen 1,000 labels. Its
regularisation, and the best strength, are chosen on 5,000 held-out training images.
"""

import argparse
import time

import numpy as np
from results import FOLDER, write
from sklearn.linear_model import LogisticRegression

from miniae.backend.philox import host_generator
from miniae.data import load
from miniae.models import ContractiveAutoencoder, jacobian_norm
from miniae.report import canvas

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="2,000 images, 2 epochs, 2 draws of labels")
args = parser.parse_args()
IMAGES, EPOCHS, DRAWS = (2000, 2, 2) if args.quick else (20000, 8, 5)
STRENGTHS = 0.0, 0.1, 0.3, 1.0, 3.0
INVERSE_L2 = 0.03, 0.3, 3.0
LABELS = 1000
ENCODERS = {
    "784-500": {"code": 500},
    "784-300-100": {"code": 100, "hidden": [300], "activation": "tanh"},
}
data = load("mnist")
rows = host_generator(0, "rows").permutation(len(data.train))
train, held_out, pool = data.train[rows[:IMAGES]], rows[-5000:], rows[:-5000]


def features(model):
    """The codes of all images, less their mean, by one common factor: so that regularisation means the same for all."""
    codes = model.transform(data.train)
    mean, scale = codes.mean(axis=0), codes.std()
    return (codes - mean) / scale, (model.transform(data.test) - mean) / scale


def accuracies(model):
    """Of a regression on the codes, in per cent on held-out and on test images, for each draw of labelled ones."""
    codes, test_codes = features(model)
    found = []
    for draw in range(DRAWS):
        labelled = pool[host_generator(draw, "labelled").permutation(len(pool))[:LABELS]]
        fitted = [LogisticRegression(C=c, max_iter=1000, tol=1e-3).fit(codes[labelled], data.train_labels[labelled])
                  for c in INVERSE_L2]
        on_held_out = [100 * r.score(codes[held_out], data.train_labels[held_out]) for r in fitted]
        best = int(np.argmax(on_held_out))
        found.append((on_held_out[best], 100 * fitted[best].score(test_codes, data.test_labels)))
    return np.array(found).T


results = {"images": IMAGES, "epochs": EPOCHS, "draws": DRAWS, "labels": LABELS, "strengths": STRENGTHS}
for name, sizes in ENCODERS.items():
    measured = {key: [] for key in ("norm", "error", "held_out", "test", "test_spread", "seconds")}
    for strength in STRENGTHS:
        began = time.perf_counter()
        model = ContractiveAutoencoder(**sizes, strength=strength, loss="bce", epochs=EPOCHS, batch_size=100).fit(train)
        seconds = time.perf_counter() - began
        on_held_out, on_test = accuracies(model)
        for key, value in {"norm": jacobian_norm(model, data.test[:2000]), "error": -model.score(data.test),
                           "held_out": on_held_out.mean(), "test": on_test.mean(),
                           "test_spread": on_test.std(ddof=1), "seconds": seconds}.items():
            measured[key].append(float(value))
        print(f"{name}, strength {strength:g}: " + ", ".join(f"{k} {v[-1]:.4g}" for k, v in measured.items()),
              flush=True)
    measured["chosen"] = STRENGTHS[int(np.argmax(measured["held_out"]))]
    results[name] = measured

picture = "contractive.png" if args.quick else FOLDER / "contractive.png"
with canvas.drawing(picture, 1900, 640) as figure:
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, 3)
    for name in ENCODERS:
        r = results[name]
        panels[0].plot(STRENGTHS, r["norm"], marker="o", label=name)
        panels[1].plot(STRENGTHS, r["error"], marker="o", label=name)
        panels[2].errorbar(STRENGTHS, r["test"], yerr=r["test_spread"], marker="o", capsize=4, label=name)
    for panel, label in zip(panels, ("norm of the encoder's Jacobian, squared", "squared error per image",
                                     f"% right after {LABELS:,} labels"), strict=True):
        panel.set_xscale("symlog", linthresh=0.1)
        panel.set_xticks(STRENGTHS, [f"{s:g}" for s in STRENGTHS])
        panel.minorticks_off()
        panel.set_xlabel("strength of the penalty")
        panel.set_ylabel(f"{label}, test")
    panels[0].set_yscale("log")
    panels[0].legend()
if not args.quick:
    write("contractive", results)
