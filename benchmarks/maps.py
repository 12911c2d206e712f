"""Maps of test images in two and three dimensions: how faithful they are, and how well classes keep together in them.

    python benchmarks/maps.py              writes benchmarks/results/maps.json and pictures
    python benchmarks/maps.py --quick      few images and one epoch, to see it work; writes no result file

1,000 test images of MNIST and of Fashion-MNIST are mapped: by PCA, by an autoencoder whose code has two or three
numbers, and by t-SNE and UMAP, of the pixels and of an autoencoder's codes of 30 numbers. PCA and the autoencoders are
fitted to 20,000 training images without labels, and place the test images unseen; t-SNE and UMAP lay out the test
images themselves, with their libraries' settings. All autoencoders have the same layers and epochs, which were not
tuned: 8 epochs are what some minutes allow, the loss still falling. So few images are mapped because t-SNE in three
dimensions is slow. Seconds are of the processor, on one thread, with the training of an autoencoder whose
code is the map; those of the one with 30 numbers are apart. UMAP is called once before, to be compiled.

What is finished is kept in runs/maps, and not measured again when this is run again.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from results import FOLDER, write

from miniae import PCA, Autoencoder, CodeMap
from miniae.data import load
from miniae.models import load as load_model
from miniae.optim.schedules import cosine
from miniae.report import (
    continuity,
    latent,
    latent_3d,
    leave_one_out_accuracy,
    squared_error,
    thumbnails,
    trustworthiness,
)
from miniae.training import LearningRate

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="100 images mapped, 1,000 to train on, one epoch")
args = parser.parse_args()
MAPPED, TRAINED_ON, EPOCHS, PICTURED = (100, 1000, 1, 200) if args.quick else (1000, 20000, 8, 4000)
HIDDEN, CODE, NEIGHBOURS, SEED = [512, 256, 128], 30, 5, 0
parts = Path("runs/maps-quick" if args.quick else "runs/maps")
parts.mkdir(parents=True, exist_ok=True)
folder = parts if args.quick else FOLDER


def network(name, train, code):
    """An autoencoder with a code of so many numbers, and the seconds that its training took."""
    path, clock = parts / f"{name}_{code}.safetensors", parts / f"{name}_{code}.seconds.json"
    if not clock.exists():
        began = time.process_time()
        model = Autoencoder(HIDDEN, code, loss="bce", batch_size=100, epochs=EPOCHS, seed=SEED)
        model.fit(train, callbacks=[LearningRate(cosine(EPOCHS))]).save(path)
        clock.write_text(json.dumps(time.process_time() - began))
    return load_model(path), json.loads(clock.read_text())


def judged(name, way, dimensions, data, make):
    """The map that `make` draws with the seconds before that, and its row of the table; kept for the next run."""
    path = parts / f"{name}_{dimensions}_{way.replace(' ', '_')}.npz"
    if not path.exists():
        began = time.process_time()
        places, before = make()
        seconds = time.process_time() - began + before
        X, labels = data.test[:MAPPED], data.test_labels[:MAPPED]
        np.savez(path, places=places, row=[trustworthiness(X, places, NEIGHBOURS), continuity(X, places, NEIGHBOURS),
                                           leave_one_out_accuracy(places, labels, NEIGHBOURS), seconds])
    with np.load(path) as kept:
        places, figures = kept["places"], kept["row"].tolist()
    row = dict(zip(("trustworthiness", "continuity", "accuracy", "seconds"), figures, strict=True))
    print(f"{name:14s} {dimensions}-D {way:16s} " + ", ".join(f"{k} {v:.3f}" for k, v in row.items()), flush=True)
    return places, row


def maps(name, dimensions):
    """All maps of a data set in so many dimensions, by way, and their rows."""
    data = load(name)
    train, X = data.train[:TRAINED_ON], data.test[:MAPPED]
    ways = {"PCA": lambda: (PCA(dimensions).fit(train).transform(X), 0.0)}

    def direct():
        model, seconds = network(name, train, dimensions)
        return model.transform(X), seconds

    ways["autoencoder"] = direct
    codes = network(name, train, CODE)[0].transform(X)
    for method in ("tsne", "umap"):
        ways[f"{method} of pixels"] = lambda method=method: (
            CodeMap(dimensions, method, seed=SEED).fit_transform(X), 0.0)
        ways[f"{method} of codes"] = lambda method=method: (
            CodeMap(dimensions, method, seed=SEED).fit_transform(codes), 0.0)
    made = {way: judged(name, way, dimensions, data, make) for way, make in ways.items()}
    return {way: places for way, (places, _) in made.items()}, {way: row for way, (_, row) in made.items()}


def picture(name, data, labels):
    """Images at their places by UMAP of codes."""
    path = folder / f"maps_{name}_images.png"
    if path.exists():
        return
    model, _ = network(name, data.train[:TRAINED_ON], CODE)
    places = CodeMap(2, "umap", seed=SEED).fit_transform(model.transform(data.test[:PICTURED]))
    thumbnails(path, places, data.test[:PICTURED], data.image_shape, labels[:PICTURED], across=43,
               title=f"{name}: test images by UMAP of the 30 numbers that an autoencoder makes of each")


NAMES = {"PCA": "PCA", "autoencoder": "autoencoder, code of {}", "tsne of codes": "t-SNE of 30 numbers",
         "umap of codes": "UMAP of 30 numbers"}
CLOTHES = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
rng = np.random.default_rng(SEED)
if len(list(parts.glob("*umap*.npz"))) < 8:
    CodeMap(2, "umap").fit(rng.random((40, 5)))
results = {"settings": {"mapped": MAPPED, "trained_on": TRAINED_ON, "epochs": EPOCHS, "hidden": HIDDEN, "code": CODE,
                        "neighbours": NEIGHBOURS, "seed": SEED}}
for dimensions in (2, 3):
    for name in ("mnist", "fashion-mnist"):
        places, rows = maps(name, dimensions)
        data = load(name)
        few = data.test_labels[:MAPPED]
        labels = few if name == "mnist" else np.array(CLOTHES)[few]
        draw, short = (latent, name) if dimensions == 2 else (latent_3d, f"{name}_3d")
        shown = {title.format(dimensions): places[way] for way, title in NAMES.items()}
        draw(folder / f"maps_{short}.png", shown, labels, title=f"{name}: {MAPPED:,} test images")
        results[f"{name}_{dimensions}"] = rows
        if dimensions == 2:
            results[f"{name}_code_seconds"] = network(name, data.train[:TRAINED_ON], CODE)[1]
            picture(name, data, data.test_labels if name == "mnist" else np.array(CLOTHES)[data.test_labels])
        results[f"{name}_{dimensions}_error"] = squared_error(
            data.test, network(name, data.train[:TRAINED_ON], dimensions)[0].reconstruct(data.test))
    if not args.quick:
        write("maps", results)
