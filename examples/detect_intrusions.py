"""Finding intrusions among mail connections: 34_smtp of ADBench (KDD Cup 99), or made-up ones where that is absent.

    python examples/detect_intrusions.py [--quick]

Fits a detector to connections of which a few, nobody says which, are attacks; then compares with the labels.
"""

import os
import sys
from pathlib import Path

import numpy as np

from miniae import AnomalyDetector
from miniae.report import average_precision, ranking_curves, roc_auc

path = Path(os.environ.get("MINIAE_DATA", "shared/data")) / "anomaly" / "34_smtp.npz"
quick = "--quick" in sys.argv
if path.exists() and not quick:
    with np.load(path) as file:
        X, attack = file["X"], file["y"].astype(bool)
else:  # seconds, bytes sent and bytes received, as logarithms; attacks send what calls for another answer
    rng = np.random.default_rng(0)
    size = rng.normal(7.0, 0.8, 4000)
    X = np.stack([0.2 * size + 0.3 * rng.normal(size=4000), size, 5.8 + 0.05 * size + 0.1 * rng.normal(size=4000)], 1)
    attack = np.arange(4000) >= 3980
    X[attack] += rng.choice([-1, 1], (20, 1)) * [0.0, 2.0, -0.8]

detector = AnomalyDetector(contamination=0.01).fit(X)
scores = detector.anomaly_score(X)
norm = np.square((X - X.mean(axis=0)) / X.std(axis=0)).sum(axis=1)
found = detector.predict(X) == -1
print(f"{len(X):,} connections, {attack.sum()} attacks; {found.sum():,} are reported, {(found & attack).sum()} of them "
      "attacks")
for name, values in (("detector", scores), ("squared norm of z-scores", norm)):
    print(f"{name}: ROC-AUC {roc_auc(attack, values):.3f}, average precision {average_precision(attack, values):.3f}")

names = ("duration", "bytes sent", "bytes received")
for row in np.argsort(-scores)[:3]:
    parts = detector.contributions(X[row:row + 1])[0]
    print(f"connection {row}: score {scores[row]:.1f} = "
          + " + ".join(f"{part:.1f} ({name})" for name, part in zip(names, parts, strict=True)))

folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
ranking_curves(folder / "detect_intrusions.png", attack, {"detector": scores, "squared norm of z-scores": norm})
print(f"drawn to {folder}/detect_intrusions.png")
