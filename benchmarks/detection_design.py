"""How the defaults of AnomalyDetector were chosen: by ROC-AUC on made-up data, where what is odd is known by making it.

    python benchmarks/detection_design.py               every choice below, on all sets: some minutes
    python benchmarks/detection_design.py --odd 0.2     with so large a share of anomalies (default: 0.05)
    python benchmarks/detection_design.py --quick       one kind of data, to see it work

Five kinds of data (linear factors, a mixture, a curved manifold, skewed and discrete features, three features) by six
kinds of anomalies (anywhere, near, without the dependence, too far out, in a group, in one feature), in the two
protocols of benchmarks/detection.py.
"""

import argparse
from collections import defaultdict

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

from miniae.report import roc_auc
from miniae.tasks import AnomalyDetector

KINDS = ("anywhere", "near", "dependence", "scale", "group", "feature")
CHOICES = {
    "default": {},
    "one noise, 1": {"noise": (1.0,)}, "one noise, 0.5": {"noise": (0.5,)}, "one noise, 0.25": {"noise": (0.25,)},
    "noise 1, 0.5": {"noise": (1.0, 0.5)}, "hidden 24": {"hidden": 24}, "updates 300": {"updates": 300},
    "trim 0.1": {"trim": 0.1}, "trim 0.4": {"trim": 0.4}, "nothing trimmed": {"trim": 0.0},
}


def bases(rng, n):
    """The ordinary rows, by the name of their kind."""
    yield "factors", rng.normal(size=(n, 3)) @ rng.normal(size=(3, 12)) + 0.3 * rng.normal(size=(n, 12))
    part, centres = rng.integers(0, 5, n), 2 * rng.normal(size=(5, 12))
    shapes = rng.normal(size=(5, 12, 12)) / np.sqrt(12)
    yield "mixture", centres[part] + np.einsum("nd,nde->ne", rng.normal(size=(n, 12)), shapes[part])
    bent = np.tanh(rng.normal(size=(n, 3)) @ rng.normal(size=(3, 20)) * 1.2)
    yield "manifold", bent @ rng.normal(size=(20, 12)) / 4 + 0.1 * rng.normal(size=(n, 12))
    z = rng.normal(size=(n, 4)) @ rng.normal(size=(4, 10)) / 2 + 0.4 * rng.normal(size=(n, 10))
    yield "skewed", np.concatenate([np.maximum(z[:, :2] - 1, 0), np.round(z[:, 2:4]), np.exp(z[:, 4:])], axis=1)
    part, centres = rng.integers(0, 4, n), 2 * rng.normal(size=(4, 3))
    three = centres[part] + rng.normal(size=(n, 3)) * [0.1, 0.5, 1.0]
    three[part == 0, 0] = 0.0
    yield "three", three


def odd(kind, base, m, rng):
    """m anomalies of that kind among such rows."""
    n, d = base.shape
    some, deviation = base[rng.integers(0, n, m)].copy(), base.std(axis=0)
    if kind == "anywhere":
        low, high = base.min(axis=0), base.max(axis=0)
        return (low + high) / 2 + 0.55 * (high - low) * rng.uniform(-1, 1, (m, d))
    if kind == "near":
        return some + 0.8 * deviation * rng.normal(size=(m, d))
    if kind == "dependence":
        return np.stack([rng.choice(column, m) for column in base.T], axis=1)
    if kind == "scale":
        return base.mean(axis=0) + 2.0 * (some - base.mean(axis=0))
    if kind == "group":
        return 0.3 * some + np.median(base, axis=0) + 2.0 * deviation * rng.choice([-1, 1], d)
    feature = rng.integers(0, d, m)
    some[np.arange(m), feature] += 4.0 * deviation[feature] * rng.choice([-1, 1], m)
    return some


def scores(X, clean, rows, choices):
    """The scores of `rows` by each choice fitted to X, and by others."""
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    Z, Q = (X - mean) / deviation, (rows - mean) / deviation
    yield "squared norm of z-scores", np.square(Q).sum(axis=1)
    yield "IsolationForest", -IsolationForest(random_state=0).fit(X).score_samples(rows)
    lof = LocalOutlierFactor(novelty=clean).fit(Z)
    yield "LOF", -lof.score_samples(Q) if clean else -lof.negative_outlier_factor_
    for name, settings in choices.items():
        if not (clean and "trim" in settings):  # of clean data nothing is trimmed
            detector = AnomalyDetector(**settings, **({"contamination": 0} if clean else {}))
            yield name, detector.fit(X).anomaly_score(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--odd", type=float, default=0.05)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    choices = dict(list(CHOICES.items())[:2]) if args.quick else CHOICES
    args.rows = 300 if args.quick else args.rows
    found = defaultdict(lambda: defaultdict(list))
    for name, base in list(bases(np.random.default_rng(args.seed), args.rows))[:1 if args.quick else None]:
        for kind in KINDS[:2] if args.quick else KINDS:
            m = max(round(args.odd * args.rows), 1)
            X = np.concatenate([base, odd(kind, base, m, np.random.default_rng(args.seed + 1))])
            y = np.repeat([0, 1], [len(base), m])
            for clean in (True, False):
                train = np.flatnonzero(y == 0)[::2] if clean else np.arange(len(y))
                test = np.setdiff1d(np.arange(len(y)), train) if clean else train
                for method, values in scores(X[train], clean, X[test], choices):
                    found["normal" if clean else "all", method][kind].append(roc_auc(y[test], values))
        print(f"after {name}: {' '.join(f'{kind:>10s}' for kind in ('mean', *KINDS))}")
        for (protocol, method), by_kind in found.items():
            means = [float(np.mean(by_kind[kind])) for kind in KINDS if kind in by_kind]
            means = " ".join(f"{value:10.3f}" for value in (np.mean(means), *means))
            print(f"  {protocol:7s} {method:25s} {means}", flush=True)


if __name__ == "__main__":
    main()
