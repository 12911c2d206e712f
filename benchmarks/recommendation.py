"""Recommenders on MovieLens 100K: predicted ratings by their error, and choices by how high they are ranked.

    python benchmarks/recommendation.py            writes two files, benchmarks/results/recommendation.json and
                                                   recommendation_choices.json, and a picture
    python benchmarks/recommendation.py --only ratings     one of them: ratings (and the picture) or choices
    python benchmarks/recommendation.py --quick    one seed, few epochs, to see it work; writes no result file

Ratings: fold 1, fitted to u1.base, measured once on u1.test. AutoRec by items and by users, with its defaults (3
seeds; "both" is the mean of the two, "all" that of all six), biases alone, and matrix factorisation of the biases'
residuals by alternating least squares. AutoRec's defaults (activation, dropout, penalty and epochs) were chosen from
some 50 settings by the error on 10 % of u1.base that were held out; rank and penalty of the factorisation are chosen
on the same ratings in this run. Predictions are held within 1 and 5. Choices: after Liang et al. (WWW 2018), on other
data than theirs: ratings of 4 and 5 are choices, users with fewer than 5 are left out; of the users 200 are for
testing and 100 for choosing settings, in 3 draws. The models learn from the others; of a test user they are shown 80
% of the choices, and rank the other items, among which are the 20 %.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from results import FOLDER, write

from miniae import AutoRec, MultinomialVAE
from miniae.data import Ratings
from miniae.models import Biases

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", choices=("ratings", "choices"), help="one of the two")
parser.add_argument("--quick", action="store_true", help="one seed, few epochs")
parser.add_argument("--out", default="runs/recommendation-quick", help="where the picture goes with --quick")
args = parser.parse_args()
SEEDS = (0,) if args.quick else (0, 1, 2)
AUTOREC = {"item": {"by": "item"}, "user": {"by": "user"}}  # and the defaults
FACTORS, PENALTIES = (5, 10, 20), (5.0, 10.0, 20.0)
NEIGHBOURS = (20, 50, 100, 200, 2000)
VAE = [{"beta": 0.2, "epochs": epochs} for epochs in (20, 50)]
BINS = (0, 10, 30, 100, 200, 1000)
if args.quick:
    FACTORS, PENALTIES, NEIGHBOURS, VAE = (5,), (10.0,), (50,), [{"epochs": 2}]
folder = Path(os.environ.get("MINIAE_DATA", "data")) / "ml-100k"


def read(name):
    a = np.loadtxt(folder / name, dtype=np.int64)
    return a[:, 0], a[:, 1], a[:, 2].astype(np.float32)


def rmse(predicted, data):
    return float(np.sqrt(np.mean(np.square(predicted - data[2]))))


# ---------------------------------------------------------------- ratings


class Factorisation:
    """r_ui = biases + p_u q_i, by alternating least squares: a few lines of NumPy, as a yardstick."""

    def __init__(self, data, factors, penalty, sweeps=15):
        self.ratings = Ratings.of(data)
        matrix = self.ratings.matrix
        self.biases, rng = Biases.of(matrix), np.random.default_rng(0)
        rest = matrix.with_values(matrix.values - self.biases(matrix.row_numbers, matrix.columns))
        sides = rest, rest.transposed()
        self.parts = [0.1 * rng.standard_normal((len(side), factors)) for side in sides]
        for _ in range(sweeps):
            for own, side in enumerate(sides):
                for r in range(len(side)):
                    there = slice(side.starts[r], side.starts[r + 1])
                    other = self.parts[1 - own][side.columns[there]]
                    self.parts[own][r] = np.linalg.solve(other.T @ other + penalty * np.eye(factors),
                                                         other.T @ side.values[there])

    def predict(self, users, items, factors=True):
        u, i = (np.where(known[p := np.minimum(np.searchsorted(known, ids), len(known) - 1)] == ids, p, -1)
                for ids, known in ((users, self.ratings.users), (items, self.ratings.items)))
        p, q = (np.vstack([part, np.zeros(part.shape[1])]) for part in self.parts)
        return np.clip(self.biases(u, i) + factors * (p[u] * q[i]).sum(axis=1), 1, 5)


def ratings():
    train, test = read("u1.base"), read("u1.test")
    order = np.random.default_rng(0).permutation(len(train[0]))
    held_out, kept = (tuple(a[part] for a in train) for part in np.split(order, [len(order) // 10]))
    began = time.perf_counter()
    errors = {(f, penalty): rmse(Factorisation(kept, f, penalty).predict(*held_out[:2]), held_out)
              for f in FACTORS for penalty in PENALTIES}
    factors, penalty = min(errors, key=errors.get)
    print("factorisation, held out", {str(k): round(v, 4) for k, v in errors.items()}, flush=True)
    model = Factorisation(train, factors, penalty)
    predictions = {"biases": [model.predict(*test[:2], factors=False)], "factorisation": [model.predict(*test[:2])]}
    seconds = {"factorisation": time.perf_counter() - began}
    for name, settings in AUTOREC.items():
        began, predictions[name] = time.perf_counter(), []
        for seed in SEEDS:
            model = AutoRec(seed=seed, **{**settings, **({"epochs": 2} if args.quick else {})}).fit(train)
            predictions[name].append(model.predict(*test[:2]))
            print(f"AutoRec by {name}, seed {seed}: {rmse(predictions[name][-1], test):.4f}", flush=True)
        seconds[name] = (time.perf_counter() - began) / len(SEEDS)
    predictions["both"] = [(a + b) / 2 for a, b in zip(predictions["item"], predictions["user"], strict=True)]
    predictions["all"] = [np.mean(predictions["both"], axis=0)]
    counts = np.bincount(train[1], minlength=test[1].max() + 1)[test[1]]
    bins = np.digitize(counts, BINS[1:])
    rows = {}
    for name, runs in predictions.items():
        each = [rmse(p, test) for p in runs]
        rows[name] = {
            "rmse": float(np.mean(each)), "spread": float(np.std(each)), "seconds": seconds.get(name),
            "by_count": [float(np.mean([np.sqrt(np.mean(np.square(p - test[2])[bins == b])) for p in runs]))
                         for b in range(len(BINS) - 1)],
        }
        print(f"{name:14s} {rows[name]['rmse']:.4f} ± {rows[name]['spread']:.4f}", flush=True)
    return {"rows": rows, "seeds": len(SEEDS), "bins": BINS, "in_bin": np.bincount(bins).tolist(),
            "factors": factors, "penalty": penalty,
            "settings": {k: {n: str(v) for n, v in s.items()} for k, s in AUTOREC.items()}}


# ---------------------------------------------------------------- choices


def measures(scores, hidden):
    """Recall@20 and NDCG@100 of one user as in Liang et al.: scores of all items, and the items that are hidden."""
    order = np.argsort(-scores, kind="stable")[:100]
    hit = np.isin(order, hidden)
    best = (1 / np.log2(np.arange(2, 2 + min(len(hidden), 100)))).sum()
    return hit[:20].sum() / min(20, len(hidden)), (hit / np.log2(np.arange(2, 2 + len(order)))).sum() / best


def choices(seed):
    users, items, values = (np.concatenate(pair) for pair in zip(read("u1.base"), read("u1.test"), strict=True))
    liked = values >= 4
    users, items = users[liked], items[liked]
    enough, counts = np.unique(users, return_counts=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(enough[counts >= 5])
    parts = {"test": order[:200], "validation": order[200:300]}
    learns = np.isin(users, order[300:])
    train = Ratings.of((users[learns], items[learns], np.ones(int(learns.sum()))))
    X = train.matrix[:]
    shown, hidden = {}, {}
    for name, who in parts.items():
        fold, rest = [], []
        for user in np.sort(who):
            own = rng.permutation(np.flatnonzero((users == user) & np.isin(items, train.items)))
            cut = max(1, round(0.8 * len(own)))
            fold.append(own[:cut])
            rest.append(np.searchsorted(train.items, items[own[cut:]]))
        fold = np.concatenate(fold)
        shown[name] = Ratings.of((users[fold], items[fold], np.ones(len(fold))), items=train.items)
        hidden[name] = rest

    def measured(scores, name):
        seen = shown[name].matrix[:] > 0
        pairs = [measures(np.where(s, -np.inf, row), there)
                 for row, s, there in zip(scores, seen, hidden[name], strict=True) if len(there)]
        return np.mean(pairs, axis=0)

    def popularity(name):
        return np.tile(X.sum(axis=0), (len(hidden[name]), 1))

    length = np.sqrt(X.sum(axis=0))
    cosine = X.T @ X / np.outer(length, length)
    np.fill_diagonal(cosine, 0)

    def neighbours(k):
        near = np.where(cosine >= -np.sort(-cosine, axis=1)[:, [min(k, len(cosine)) - 1]], cosine, 0)
        return lambda name: shown[name].matrix[:] @ near.T

    def vae(**settings):
        model = MultinomialVAE(seed=seed, batch_size=50, **{"warmup": settings["epochs"] // 2, **settings}).fit(train)
        return lambda name: np.concatenate([s for _, s in model._scores_of_new(shown[name])])

    rows = {"popularity": {"settings": "", "test": measured(popularity("test"), "test").tolist()}}
    for method, make, options in (("neighbours", neighbours, [{"k": k} for k in NEIGHBOURS]), ("vae", vae, VAE)):
        began, tried = time.perf_counter(), []
        for option in options:
            ranked = make(**option)
            tried.append((measured(ranked("validation"), "validation")[1], str(option), ranked))
            print(f"draw {seed}, {method} {option}: NDCG@100 {tried[-1][0]:.4f} of those held out", flush=True)
        _, chosen, ranked = max(tried, key=lambda t: t[0])
        rows[method] = {"settings": chosen, "test": measured(ranked("test"), "test").tolist(),
                        "seconds": (time.perf_counter() - began) / len(options)}
    return rows


def draw(path, r):
    """The error by the number of ratings that an item has in training."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = {"biases": "biases", "factorisation": "matrix factorisation", "item": "AutoRec by items",
             "user": "AutoRec by users", "both": "mean of both", "all": "mean of both and all seeds"}
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    labels = [f"{low} to {high - 1}\n({n:,})" for low, high, n in zip(BINS, BINS[1:], r["in_bin"], strict=False)]
    for (name, title), mark in zip(names.items(), "osD^vP", strict=True):
        axes.plot(labels, r["rows"][name]["by_count"], marker=mark, label=f"{title}: {r['rows'][name]['rmse']:.3f}")
    axes.set(xlabel="ratings of the item in training (and ratings in the test)", ylabel="RMSE on the test ratings",
             title="MovieLens 100K, fold 1: films with few ratings are the hard ones")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)


out = Path(args.out) if args.quick else FOLDER
out.mkdir(parents=True, exist_ok=True)
if args.only in (None, "ratings"):
    began = time.perf_counter()
    rated = ratings()
    draw(out / "recommendation.png", rated)
    if not args.quick:
        write("recommendation", {**rated, "all_seconds": time.perf_counter() - began})

if args.only in (None, "choices"):
    began = time.perf_counter()
    draws = [choices(seed) for seed in SEEDS]
    chosen = {}
    for name in draws[0]:
        recall, ndcg = np.array([d[name]["test"] for d in draws]).T
        chosen[name] = {"recall_20": float(recall.mean()), "recall_20_spread": float(recall.std()),
                        "ndcg_100": float(ndcg.mean()), "ndcg_100_spread": float(ndcg.std()),
                        "settings": [d[name]["settings"] for d in draws]}
        print(f"{name:12s} recall@20 {recall.mean():.3f} ± {recall.std():.3f}, NDCG@100 {ndcg.mean():.3f} ± "
              f"{ndcg.std():.3f}")
    if not args.quick:
        write("recommendation_choices",
              {"rows": chosen, "draws": len(draws), "all_seconds": time.perf_counter() - began})
