"""How many of the ten nearest are of the query's class: images and articles, by their codes and by what else there is.

    python benchmarks/retrieval.py                writes two files, benchmarks/results/retrieval.json and
                                                  retrieval_text.json, and pictures
    python benchmarks/retrieval.py --only text    one of them: images or text
    python benchmarks/retrieval.py --quick        few samples and one epoch, to see it work; writes no result file

Precision@10, labels used for judging alone. Images: the 60,000 training images of MNIST and of Fashion-MNIST are what
is looked in, the first 2,000 test images the queries. Models are trained without labels on the first 20,000 images for
a few epochs, which is what some minutes allow: their losses still fall. Text: the BBC's news articles, of which 249 are
the queries; in 800 of the other 1,000, drawn anew for each seed, is looked, and words and their weights are theirs.
Layers, noise, losses and epochs were compared before on parts of the training data (of text, of the 1,000 articles),
not on the queries. Milliseconds a query are of all queries at once, without the time that a model takes to encode them.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from results import FOLDER, write
from sklearn.decomposition import TruncatedSVD

from miniae.data import load
from miniae.models import PCA, Autoencoder, SemanticHashing, VariationalAutoencoder, pretrain
from miniae.nn import Masking
from miniae.report import neighbours
from miniae.tasks import BagOfWords, SemanticIndex, read_documents

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="3,000 images, one epoch, one seed")
parser.add_argument("--only", choices=("images", "text"), help="one of the two")
args = parser.parse_args()
IMAGES, TRAINED_ON, QUERIES, EPOCHS = (3000, 3000, 300, 1) if args.quick else (60000, 20000, 2000, 6)
TEXT_SEEDS, TEXT_EPOCHS, RBM_EPOCHS = (1, 2, 1) if args.quick else (5, 30, 10)
IMAGE_RBM_EPOCHS = 1 if args.quick else 3
K, BITS, WORDS = 10, 32, 2000
HIDDEN, CODE = [256], 30
folder = Path("runs/retrieval-quick") if args.quick else FOLDER
folder.mkdir(parents=True, exist_ok=True)


def judged(codes, labels, queries, query_labels, metric):
    """Precision, bytes an item, milliseconds a query; and the ids found."""
    index = SemanticIndex(metric=metric)
    index.add(codes)
    began = time.perf_counter()
    ids = index.search(queries, K).ids
    seconds = time.perf_counter() - began
    return {"precision": float((labels[ids] == query_labels[:, None]).mean()), "bytes": index.bytes_per_code,
            "ms": 1e3 * seconds / len(queries)}, ids


def stack_of(X):
    """RBMs for semantic hashing of images."""
    return pretrain(X[:TRAINED_ON], [X.shape[1], *HIDDEN, BITS], code_unit="bernoulli", batch_size=50,
                    epochs=IMAGE_RBM_EPOCHS)


def images(name):
    """What each way gives on a data set, by name; and a picture of what two of them find."""
    data = load(name)
    X, y = data.train[:IMAGES], data.train_labels[:IMAGES]
    Q, of_queries = data.test[:QUERIES], data.test_labels[:QUERIES]
    rows, found = {}, {}

    def add(way, codes, queries, metric, seconds=None):
        key = f"{way}, {metric}"
        rows[key], found[key] = judged(codes, y, queries, of_queries, metric)
        rows[key] |= {"train_seconds": seconds}
        print(f"{name:15s} {key:45s} {100 * rows[key]['precision']:.2f} %, {rows[key]['bytes']} bytes, "
              f"{rows[key]['ms']:.3f} ms, {seconds or 0:.0f} s", flush=True)

    for metric in ("euclidean", "cosine"):
        add("pixels", X, Q, metric)
    began = time.perf_counter()
    pca = PCA(CODE).fit(X)
    seconds = time.perf_counter() - began
    for metric in ("euclidean", "cosine"):
        add("PCA", pca.transform(X), pca.transform(Q), metric, seconds)
    pca = PCA(BITS).fit(X)
    add("PCA, bits by the median", pca.transform(X), pca.transform(Q), "hamming", seconds)
    training = {"loss": "bce", "epochs": EPOCHS, "batch_size": 64}
    for way, make in (("autoencoder", lambda: Autoencoder(HIDDEN, CODE, **training)),
                      ("variational", lambda: VariationalAutoencoder(HIDDEN, CODE, **training)),
                      ("semantic hashing without RBMs", lambda: SemanticHashing(HIDDEN, BITS, **training)),
                      ("semantic hashing", lambda: SemanticHashing.from_stack(stack_of(X), **training))):
        began = time.perf_counter()
        model = make().fit(X[:TRAINED_ON])
        seconds = time.perf_counter() - began
        if isinstance(model, SemanticHashing):
            add(way, model.binary_codes(X), model.binary_codes(Q), "hamming", seconds)
        else:
            codes, queries = model.transform(X), model.transform(Q)
            for metric in ("euclidean", "cosine"):
                add(way, codes, queries, metric, seconds)
    wrong = np.flatnonzero((y[found["semantic hashing, hamming"]] != of_queries[:, None]).any(axis=1))[:3]
    shown = [*range(5), *wrong[wrong >= 5]]  # the first, and some of which not all is right
    for way, title in (("autoencoder, cosine", f"{CODE} numbers of an autoencoder, by cosine"),
                       ("semantic hashing, hamming", f"{BITS} bits of semantic hashing")):
        ids = found[way][shown]
        neighbours(folder / f"retrieval_{name}_{way.split(',')[0].replace(' ', '_')}.png", Q[shown], X[ids],
                   data.image_shape, captions=[[str(label) for label in row] for row in y[ids]],
                   title=f"{name}: {title}; labels below")
    return rows


def text():
    """What each way gives on the articles, by name: a list of all seeds'."""
    documents = read_documents(Path(os.environ["MINIAE_DATA"]) / "bbc-news" / "bbc-text.csv.gz", label="category")
    texts, labels = np.array(documents.texts, object), documents.labels
    rows = {}
    order = np.random.default_rng(0).permutation(len(texts))
    kept, queries = order[:1000], order[1000:]
    for seed in range(TEXT_SEEDS):
        inside = np.random.default_rng(seed).permutation(kept)[:800]
        words = BagOfWords(WORDS).fit(texts[inside])
        X, Q = words.transform(texts[inside]), words.transform(texts[queries])

        def add(way, codes, query_codes, metric="cosine", began=None, seed=seed, inside=inside):
            seconds = None if began is None else time.perf_counter() - began
            row, _ = judged(codes, labels[inside], query_codes, labels[queries], metric)
            rows.setdefault(way, []).append(row | {"train_seconds": seconds})
            print(f"text, seed {seed}: {way:45s} {100 * row['precision']:.2f} %, {row['bytes']} bytes, "
                  f"{row['ms']:.3f} ms, {seconds or 0:.1f} s", flush=True)

        add("TF-IDF", X, Q)
        began = time.perf_counter()
        lsa = TruncatedSVD(BITS, random_state=seed).fit(X)
        codes, query_codes = lsa.transform(X), lsa.transform(Q)
        add("LSA", codes, query_codes, began=began)
        add("LSA, bits by the median", codes, query_codes, "hamming")
        training = {"loss": "multinomial", "epochs": TEXT_EPOCHS, "batch_size": 50, "seed": seed}
        began = time.perf_counter()
        model = Autoencoder([], BITS, **training).fit(X)
        codes, query_codes = model.transform(X), model.transform(Q)
        add("autoencoder 2000-32", codes, query_codes, began=began)
        add("autoencoder 2000-32, bits by the median", codes, query_codes, "hamming")
        began = time.perf_counter()
        model = Autoencoder([250], BITS, corruption=[Masking(0.5)], **training).fit(X)
        add("autoencoder 2000-250-32, half of the words hidden", model.transform(X), model.transform(Q), began=began)
        began = time.perf_counter()
        top = X.max()  # RBMs take probabilities: the largest weight of a word becomes 1
        stack = pretrain(X / top, [WORDS, 250, BITS], epochs=RBM_EPOCHS, batch_size=50, seed=seed)
        model = stack.unroll(**training).fit(X / top)
        add("autoencoder 2000-250-32, pretrained by RBMs", model.transform(X / top), model.transform(Q / top),
            began=began)
        began = time.perf_counter()
        stack = pretrain(X / top, [WORDS, 250, BITS], code_unit="bernoulli", epochs=RBM_EPOCHS, batch_size=50,
                         seed=seed)
        model = SemanticHashing.from_stack(stack, **training).fit(X / top)
        codes, query_codes = model.binary_codes(X / top), model.binary_codes(Q / top)
        add("semantic hashing 2000-250-32, pretrained by RBMs", codes, query_codes, "hamming", began)
        began = time.perf_counter()
        model = SemanticHashing([250], BITS, **training).fit(X)
        codes, query_codes = model.binary_codes(X), model.binary_codes(Q)
        add("semantic hashing 2000-250-32, without RBMs", codes, query_codes, "hamming", began)
        began = time.perf_counter()
        model = SemanticHashing([], BITS, **training).fit(X)
        add("semantic hashing 2000-32, without RBMs", model.binary_codes(X), model.binary_codes(Q), "hamming", began)
    return rows


SETTINGS = {
    "images": {"database": IMAGES, "trained_on": TRAINED_ON, "image_rbm_epochs": IMAGE_RBM_EPOCHS, "queries": QUERIES,
               "epochs": EPOCHS, "hidden": HIDDEN, "code": CODE, "bits": BITS},
    "text": {"bits": BITS, "words": WORDS, "text_seeds": TEXT_SEEDS, "text_epochs": TEXT_EPOCHS,
             "rbm_epochs": RBM_EPOCHS},
}
for part, file in (("images", "retrieval"), ("text", "retrieval_text")):
    if args.only in (None, part):
        began = time.perf_counter()
        rows = text() if part == "text" else {name: images(name) for name in ("mnist", "fashion-mnist")}
        seconds = time.perf_counter() - began
        print(f"{part}: {seconds:.0f} s")
        if not args.quick:
            write(file, {part: rows, "settings": SETTINGS[part], "seconds": seconds})
