"""New digits from autoencoders whose codes follow a prior: adversarial, Wasserstein and variational. MNIST.

    python benchmarks/adversarial.py               writes benchmarks/results/adversarial.json and its pictures
    python benchmarks/adversarial.py --images 2000 --epochs 2  to see it work; no result file

All have the same layers, 784-400-8-400-784, the same images and the same number of epochs. Samples are decoded from
draws of N(0, I); a classifier trained on real digits says how sure it is of what they show, and how evenly the classes
come up. Codes of test images are compared with draws. A plain autoencoder, sampled from in the same way, is what to
beat. A second picture has codes of two numbers, matched with a mixture of ten Gaussians, one for each digit.
"""

import argparse
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: processor time is then the time of a core

import numpy as np
from judge import judged, trained_judge
from results import FOLDER, write

from miniae import models
from miniae.backend.philox import host_generator
from miniae.data import load
from miniae.optim.schedules import cosine
from miniae.report import classifier_test, images, latent, metrics, mmd
from miniae.training import LearningRate, ProgressBar

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--images", type=int, default=60000, help="of the training set (default: 60000)")
parser.add_argument("--epochs", type=int, default=8, help="of every autoencoder (default: 8)")
args = parser.parse_args()
CODE, SAMPLES, COMPARED, SHOWN = 8, 10000, 2000, 10
data = load("mnist")
X, y = data.train[:args.images], data.train_labels[:args.images]
common = {"hidden": [400], "code": CODE, "loss": "bce", "epochs": args.epochs, "batch_size": 100}
draws = host_generator(0, "draws").standard_normal((SAMPLES, CODE)).astype(np.float32)


def trained(model, title, *labels):
    """The model, fitted, with the processor time of that."""
    began = time.process_time()
    model.fit(X, *labels, callbacks=[LearningRate(cosine(args.epochs, 0.05)), ProgressBar(title)])
    return model, time.process_time() - began


judge = trained_judge(data)
accuracy = judge.score(data.test, data.test_labels)
print(f"the judge's test accuracy: {accuracy:.4f}", flush=True)

results = {"images": args.images, "epochs": args.epochs, "judge_accuracy": accuracy, "real": judged(judge, data.test),
           "models": {}}
MODELS = {
    "plain": lambda: models.Autoencoder(**common),
    "adversarial": lambda: models.AdversarialAutoencoder(**common),
    "wasserstein": lambda: models.WassersteinAutoencoder(**common),
    "variational": lambda: models.VariationalAutoencoder(**common),
}
rows = [data.test[:SHOWN]]
for name, make in MODELS.items():
    model, seconds = trained(make(), name)
    codes = model.transform(data.test)
    samples = model.sample(SAMPLES) if hasattr(model, "sample") else model.inverse_transform(draws)
    difference = mmd(codes[:COMPARED], draws[:COMPARED])
    results["models"][name] = {
        "seconds": seconds, **judged(judge, samples), "mmd": difference.value, "mmd_noise": difference.noise,
        "told_apart": classifier_test(codes, draws[:len(codes)]),
        "squared_error": metrics.squared_error(data.test, model.reconstruct(data.test)),
        "history": {term: [row[term] for row in model.history_] for term in model.history_[0]
                    if term in ("reconstruction", "discriminator", "encoder", "mmd")}}
    print(name, {k: v for k, v in results["models"][name].items() if k != "history"}, flush=True)
    rows.append(samples[:3 * SHOWN])

mixture, seconds = trained(models.AdversarialAutoencoder(**{**common, "code": 2}, prior="mixture"), "mixture", y)
codes = mixture.transform(data.test)
angle = np.arctan2(codes[:, 1], codes[:, 0]) / (2 * np.pi / 10)
asked = np.repeat(np.arange(10), 100)
of_class = mixture.sample(len(asked), labels=asked)
results["mixture"] = {
    "seconds": seconds, "test_codes_nearest_to_their_petal": float((np.rint(angle) % 10 == data.test_labels).mean()),
    "samples_seen_as_asked": float((judge.predict(of_class) == asked).mean()),
    "squared_error": metrics.squared_error(data.test, mixture.reconstruct(data.test))}
print("mixture", results["mixture"], flush=True)

if (args.images, args.epochs) == (parser.get_default("images"), parser.get_default("epochs")):
    write("adversarial", results)
    images(FOLDER / "adversarial.png", np.concatenate(rows), (28, 28), columns=SHOWN,
           title=f"test images; then three rows each: {', '.join(MODELS)}")
    place = mixture.network_.place
    drawn = mixture.network_.prior.draw(len(codes), 2, 1, data.test_labels, backend=place.backend)
    latent(FOLDER / "adversarial_codes.png", {"codes of test images": codes, "the prior": place.backend.to_host(drawn)},
           data.test_labels, title="an adversarial autoencoder with labels")
    images(FOLDER / "adversarial_classes.png", of_class.reshape(10, 100, -1)[:, :SHOWN].reshape(-1, 784), (28, 28),
           columns=SHOWN, title="new digits of the class asked for, a row each")
