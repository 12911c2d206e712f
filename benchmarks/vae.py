"""Variational autoencoders on dynamically binarised MNIST: ELBO and importance-weighted likelihood on the test set.

    python benchmarks/vae.py                                trains and evaluates all three, in two hours
    python benchmarks/vae.py --only standard --epochs 300   one of them, for so many epochs
    python benchmarks/vae.py --quick                        a few images, to see it work; writes no result file

Every batch draws its pixels anew with the grey values as probabilities; those of the 10,000 test images are drawn once,
with a seed of 0. Adam; the learning rate falls from 1e-3 to 1e-5 along half a cosine, and the weight of the KL term
rises to 1 over the first epochs, which leaves more units in use (Sonderby et al., "Ladder variational autoencoders",
NeurIPS 2016). Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, table 1, have 86.76 nats
for 784-200-200-50 after 3280 epochs of batches of 20, the learning rate falling to 1e-4 in 8 steps. Checkpoints
are left in --work, and the same command goes on from there; results of models that are done are kept there too.
The result file and its pictures are written with 5000 importance samples and the given numbers of test images only.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from results import FOLDER, write
from stages import stage

from miniae.backend.philox import host_generator
from miniae.data import load
from miniae.models import PosteriorCollapse, VariationalAutoencoder
from miniae.optim.schedules import cosine
from miniae.report import interpolations, manifold, metrics, sample_grid, traversal
from miniae.training import LearningRate

MODELS = {
    "standard": {"hidden": [200, 200], "code": 50, "activation": "tanh", "batch_size": 50, "warmup": 100},
    "plane": {"hidden": [500], "code": 2, "activation": "tanh", "batch_size": 100},
    "small": {"hidden": [400], "code": 20, "activation": "relu", "batch_size": 100, "warmup": 10},
}
EPOCHS = {"standard": 750, "plane": 60, "small": 60}
IMAGES = {"standard": 10_000, "plane": 1000, "small": 1000}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", choices=MODELS, help="one of the models")
parser.add_argument("--epochs", type=int, help=f"by default {EPOCHS}")
parser.add_argument("--samples", type=int, default=5000, help="importance samples an image")
parser.add_argument("--images", type=int, help=f"test images for log p, the first of a shuffle, by default {IMAGES}")
parser.add_argument("--work", default=None, help="where checkpoints and pictures go (default: runs/vae[-quick])")
parser.add_argument("--backend", default=None, help="numpy or cupy")
parser.add_argument("--quick", action="store_true", help="600 images for training, 20 for testing, 2 epochs")
args = parser.parse_args()
if args.quick:
    args.epochs, args.images, args.samples = args.epochs or 2, 20, min(args.samples, 200)
whole = not args.quick and all(getattr(args, name) == parser.get_default(name) for name in ("samples", "images"))
work = Path(args.work or ("runs/vae-quick" if args.quick else "runs/vae"))
work.mkdir(parents=True, exist_ok=True)

data = load("mnist")
train = data.train[:600] if args.quick else data.train
chosen = host_generator(0, "test images").permutation(len(data.test))[:20 if args.quick else None]
grey = data.test[chosen]
binary = (host_generator(0, "binarised MNIST test").random(data.test.shape, np.float32) < data.test)
binary = binary.astype(np.float32)[chosen]


def likelihoods(name, model, epochs, images):
    """log p of the first test images, 200 at a time into files, so that the same command goes on here too."""
    parts = []
    for start in range(0, images, 200):
        file = work / f"{name}-{epochs}-log-likelihood-{args.samples}-{start}.npy"
        if not file.exists():
            began = time.perf_counter()
            values = model.log_likelihood(binary[start:min(start + 200, images)], samples=args.samples, seed=start)
            np.save(file, values)
            print(f"  {name}: images {start} to {start + len(values)}, {values.mean():.2f} nats, "
                  f"{time.perf_counter() - began:.0f} s", flush=True)
        parts.append(np.load(file))
    return np.concatenate(parts)


def measured(name, model, epochs):
    """What there is to say of a trained model, in nats an image."""
    log_p = likelihoods(name, model, epochs, min(args.images or IMAGES[name], len(binary)))
    bounds = model.elbo(binary[:len(log_p)], samples=10)  # of the same images, so that the two can be compared
    greys, kl = model.elbo(grey, samples=10), model.kl(binary)
    seconds = sum(row["seconds"] for row in model.history_)
    return {
        "hidden": list(model.hidden), "code": model.code, "activation": model.activation, "epochs": epochs,
        "images": len(log_p), "samples": args.samples,
        "elbo": float(bounds.mean()), "log_likelihood": float(log_p.mean()),
        "standard_error": float(log_p.std(ddof=1) / np.sqrt(len(log_p))),
        "kl": float(kl.sum(axis=1).mean()), "units_above_0.01_nats": int((kl.mean(axis=0) >= 0.01).sum()),
        "units_of_variance_above_0.01": int((model.transform(binary).var(axis=0) > 0.01).sum()),
        "grey_elbo": float(greys.mean()), "grey_entropy_floor": metrics.bce_floor(grey),
        "training_loss": model.history_[-1]["loss"], "seconds": seconds, "ms_a_step": 1000 * seconds / epochs /
        -(-len(train) // model.batch_size),
    }


for name, settings in MODELS.items():
    if args.only not in (None, name):
        continue
    epochs = args.epochs or EPOCHS[name]
    model = VariationalAutoencoder(**settings, binarise=True, lr=1e-3, epochs=epochs, backend=args.backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorCollapse)  # idle units are counted below
        model.fit(train, callbacks=stage(work, f"{name}-{epochs}", LearningRate(cosine(epochs, 0.01))))
    model.save(work / f"{name}.model.safetensors")
    results = measured(name, model, epochs)
    print(f"{name}: ELBO {results['elbo']:.2f}, log p {results['log_likelihood']:.2f} +- "
          f"{results['standard_error']:.2f}, KL {results['kl']:.2f} nats; on grey pixels ELBO "
          f"{results['grey_elbo']:.2f}, of which {results['grey_entropy_floor']:.2f} are their entropy", flush=True)
    (work / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    for folder in [work, FOLDER] if whole else [work]:
        if name == "plane":
            manifold(folder / "vae_manifold.png", model, data.image_shape, title="The plane of a code of 2 numbers")
        if name == "standard":
            sample_grid(folder / "vae_samples.png", model.sample(100), data.image_shape,
                        title="Samples: the decoder's means for codes drawn from the prior")
            interpolations(folder / "vae_interpolations.png", model, grey[:8], grey[8:16], data.image_shape,
                           title="Between test images")
            busiest = np.argsort(-model.unit_kl(binary))[:8]
            traversal(folder / "vae_traversal.png", model, grey[0], busiest.tolist(), data.image_shape,
                      title="The 8 units of largest KL, one at a time")

if whole:
    done = {name: json.loads((work / f"{name}.json").read_text()) for name in MODELS
            if (work / f"{name}.json").exists()}
    write("vae", {name: r for name, r in done.items() if (r["images"], r["samples"]) == (IMAGES[name], args.samples)})
