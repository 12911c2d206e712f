"""Anomalies in series: `SeriesDetector` against what people use, per moment, in one run.

    OMP_NUM_THREADS=1 python benchmarks/series.py [--seeds 2] [--data FOLDER]

FOLDER holds aeon's data files (aeon/datasets/data of the installed package unless told otherwise). All methods are
fitted to the training part, which has no anomalies, and score the test part. What was measured is kept in
results/series.part.json until all is, and not measured again; the first seed of all methods comes first:

- bleeding: 135_UCR_Anomaly_InternalBleeding16 of the UCR anomaly archive (Wu and Keogh, 2021), an arterial pressure;
  the test part follows the training part
- ecg: ecg-diff-count-3 of GutenTAG (Schmidl et al., 2022), made-up heartbeats: three stretches of other ones
- walk: nine channels of acceleration (Daphnet, S06R02E0; Bächlin et al., 2010), a part without labelled anomalies, with
  ten planted in its second half: stretches of half a second that are mirrored in time, or frozen, in three channels

Windows are of the length that `SeriesDetector` chooses by the training part's autocorrelation, the same for all
methods; scores of windows are spread over their moments as `SeriesDetector` does. The defaults of `SeriesDetector` were
chosen on ecg-diff-count-3's other labelled part, which is not used here.
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
from results import write

from miniae.data import Windows
from miniae.models import SeriesAutoencoder
from miniae.nn import GaussianNoise
from miniae.report import average_precision, roc_auc, series_scores
from miniae.tasks import SeriesDetector
from miniae.tasks.series import window_for

FOLDER = Path(__file__).parent / "results"
TOLERANCE = 100  # moments on either side of an anomaly in which the archive counts a peak as a hit, at least


def table(path, columns):
    return np.genfromtxt(path, delimiter=",", skip_header=1, usecols=columns)


def planted(x, rng):
    """x (T, channels) with ten stretches spoilt, and which moments these are."""
    x, odd = x.copy(), np.zeros(len(x), bool)
    for i, start in enumerate(np.linspace(200, len(x) - 300, 10).astype(int)):
        start, length = start + rng.integers(0, 60), 32
        channels = rng.choice(x.shape[1], 3, replace=False)
        part = x[start:start + length, channels]
        x[start:start + length, channels] = part[::-1] if i % 2 else part[:1]
        odd[start:start + length] = True
    return x, odd


def series(folder):
    """By name: training part, test part, which moments of it are odd."""
    ucr = [table(folder / "KDD-TSAD_135" / f"135_UCR_Anomaly_InternalBleeding16_{part}.csv", (1, 2))
           for part in ("TRAIN", "TEST")]
    ecg = [table(folder / "UnitTest" / f"ecg-diff-count-3_{part}.csv", (1, 2)) for part in ("TRAIN_NA", "TEST")]
    walk = table(folder / "Daphnet_S06R02E0" / "S06R02E0.csv", range(1, 10))
    half = len(walk) // 2
    rest = ucr[1][len(ucr[0]):]  # the archive's test part begins with the training part
    return {"bleeding": (ucr[0][:, 0], rest[:, 0], rest[:, 1] == 1),
            "ecg": (ecg[0][:, 0], ecg[1][:, 0], ecg[1][:, 1] == 1),
            "walk": (walk[:half], *planted(walk[half:], np.random.default_rng(0)))}


def normalised(windows, how):
    """(N, channels, w) to (N, channels w), as SeriesDetector has it."""
    if how == "window":
        windows = windows - windows.mean(axis=-1, keepdims=True)
        windows = windows / np.maximum(windows.std(axis=-1, keepdims=True), 0.1)
    return windows.reshape(len(windows), -1)


def by_window(model, how):
    """A method that scores windows by a model (fit, score: larger is odder) spread over their moments."""
    def scores(train, test, w, seed):
        middle, scale = train.mean(axis=0), train.std(axis=0)
        cut = Windows(len(train), w).cut(((train - middle) / scale).T)
        every = np.random.default_rng(seed).permutation(len(cut))[:8192]
        score = model(normalised(cut[every], how), seed)
        windows = Windows(len(test), w, max(w // 16, 1))
        values = score(normalised(windows.cut(((test - middle) / scale).T), how))
        return windows.overlay(np.repeat(values[:, None], w, axis=1), np.hanning(w + 2)[1:-1])
    return scores


def pca(X, seed):
    from sklearn.decomposition import PCA

    model = PCA(0.95).fit(X)
    return lambda Y: np.square(Y - model.inverse_transform(model.transform(Y))).sum(axis=1)


def forest(X, seed):
    from sklearn.ensemble import IsolationForest

    model = IsolationForest(random_state=seed).fit(X)
    return lambda Y: -model.score_samples(Y)


def lof(X, seed):
    from sklearn.neighbors import LocalOutlierFactor

    model = LocalOutlierFactor(novelty=True).fit(X[:4096])
    return lambda Y: -model.score_samples(Y)


def matrix_profile(train, test, w, seed):
    """The distance of each of the test part's windows to the nearest of the training part, the mean of all channels."""
    import stumpy

    profiles = [stumpy.stump(test[:, c], w, train[:, c], ignore_trivial=False)[:, 0].astype(np.float64)
                for c in range(test.shape[1])]
    values = np.mean(profiles, axis=0)
    windows = Windows(len(test), w)
    return windows.overlay(np.repeat(values[:, None], w, axis=1), np.hanning(w + 2)[1:-1])


def moving_z(train, test, w, seed):
    """|x - mean of the w moments before| / their deviation, the largest of all channels; 0 where there are too few."""
    out = np.zeros(len(test))
    for c in range(test.shape[1]):
        before = np.lib.stride_tricks.sliding_window_view(test[:-1, c], w)
        z = np.abs(test[w:, c] - before.mean(axis=1)) / np.maximum(before.std(axis=1), 1e-3 * train[:, c].std())
        out[w:] = np.maximum(out[w:], z)
    return out


def ours(normalise="window", convolutional=False):
    def scores(train, test, w, seed):
        model = SeriesAutoencoder((16, 32), 16, corruption=[GaussianNoise(0.3)], epochs=10,
                                  lr=3e-3) if convolutional else None
        scores.detector = SeriesDetector(w, normalise=normalise, model=model, seed=seed).fit(train)
        return scores.detector.anomaly_score(test)
    return scores


METHODS = {
    "ours": ours(), "matrix_profile": matrix_profile, "pca": by_window(pca, "window"),
    "pca_series": by_window(pca, "series"), "lof": by_window(lof, "window"), "lof_series": by_window(lof, "series"),
    "forest": by_window(forest, "window"), "forest_series": by_window(forest, "series"), "moving_z": moving_z,
    "ours_level": ours("level"), "ours_series": ours("series"), "ours_convolutional": ours(convolutional=True),
}
RANDOM = ("ours", "lof", "lof_series", "forest", "forest_series")
"""Methods that are run with several seeds."""


def hit(scores, odd):
    """The archive's criterion: the top score lies in an anomaly, or as near as the anomaly is long, or 100 moments."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], odd.astype(np.int8), [0]]))).reshape(-1, 2)
    top = int(np.argmax(scores))
    return any(s - max(e - s, TOLERANCE) <= top < e + max(e - s, TOLERANCE) for s, e in edges)


def picture(name, detector, scores, test, odd):
    """Twelve windows on either side of the first anomaly."""
    w, first = detector.window_, int(np.flatnonzero(odd)[0])
    near = slice(max(first - 12 * w, 0), min(first + 12 * w, len(test)))
    found = [(max(s.start - near.start, 0), min(s.end, near.stop) - near.start)
             for s in detector.segments_of(scores) if s.end > near.start and s.start < near.stop]
    series_scores(FOLDER / f"series_{name}.png", test[near], scores[near], detector.threshold_, found=found,
                  odd=odd[near], time=np.arange(len(test))[near])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path)
    args = parser.parse_args()
    folder = args.data or Path(importlib.util.find_spec("aeon").submodule_search_locations[0]) / "datasets" / "data"
    part = FOLDER / "series.part.json"
    runs = json.loads(part.read_text()) if part.exists() else {}
    data, sets = series(folder), {}
    for name, (train, test, odd) in data.items():
        w = window_for(train[:len(train) - len(train) // 5])
        train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)
        data[name] = train, test, odd
        sets[name] = {"train": len(train), "test": len(test), "channels": train.shape[1], "window": w,
                      "odd_moments": int(odd.sum()), "anomalies": int((np.diff(odd.astype(int)) == 1).sum())}
    todo = [(seed, method, name) for seed in range(args.seeds) for method in METHODS for name in data
            if not seed or method in RANDOM]
    for seed, method, name in todo:
        key = f"{name} {method} {seed}"
        if key in runs:
            continue
        train, test, odd = data[name]
        begin = time.perf_counter()
        scores = METHODS[method](train, test, sets[name]["window"], seed)
        seconds = time.perf_counter() - begin
        runs[key] = [roc_auc(odd, scores), average_precision(odd, scores), int(hit(scores, odd)), seconds]
        part.write_text(json.dumps(runs))
        print(key, runs[key], flush=True)
        if method == "ours" and seed == 0:
            picture(name, METHODS[method].detector, scores, test, odd)
        write("series", {"sets": sets, "methods": summary(runs, data)})
    part.unlink()


def summary(runs, names):
    """Means and deviations over the seeds that were run."""
    out = {method: {} for method in METHODS}
    for method in METHODS:
        for name in names:
            own = [run for key, run in runs.items() if key.rsplit(" ", 1)[0] == f"{name} {method}"]
            if own:
                auc, ap, hits, seconds = np.array(own).T
                out[method][name] = {"auc": auc.mean(), "auc_spread": auc.std(), "ap": ap.mean(),
                                     "ap_spread": ap.std(), "hits": hits.mean(), "seconds": seconds.mean(),
                                     "seeds": len(own)}
    return out


if __name__ == "__main__":
    main()
