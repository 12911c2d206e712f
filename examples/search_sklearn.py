"""How many numbers in a code, and how much noise in training: scikit-learn's grid search over a pipeline of ours.

    python examples/search_sklearn.py [--quick]

A pipeline of a denoising autoencoder and a logistic regression is fitted to labelled digits for every size of the code
and every level of noise, each judged by threefold cross-validation. Draws the accuracies, and tests the best
pipeline on digits that the search has not seen. Needs scikit-learn: pip install 'miniae[sklearn]'. With --quick on
fewer digits.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from miniae.data import balanced, load
from miniae.models import DenoisingAutoencoder

digits = load("digits")
few = balanced(digits.train_labels, 600 if "--quick" in sys.argv[1:] else 3000)
pipeline = Pipeline([
    ("codes", DenoisingAutoencoder([128], noise="masking", loss="bce", epochs=15, batch_size=50, lr=2e-3)),
    ("scale", StandardScaler()),
    ("classes", LogisticRegression(max_iter=500)),
])
sizes, levels = [2, 8, 32], [0.0, 0.3, 0.6]
search = GridSearchCV(pipeline, {"codes__code": sizes, "codes__level": levels}, cv=3)
search.fit(digits.train[few], digits.train_labels[few])

for setting, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    print(f"code {setting['codes__code']:2}, noise {setting['codes__level']}: {100 * score:.1f} % right")
print(f"best: code {search.best_params_['codes__code']}, noise {search.best_params_['codes__level']}; "
      f"on the test digits {100 * search.score(digits.test, digits.test_labels):.1f} % right")

picture = Path("runs/examples/search_sklearn.png")
picture.parent.mkdir(parents=True, exist_ok=True)
shares = 100 * search.cv_results_["mean_test_score"].reshape(len(sizes), len(levels))
figure, axes = plt.subplots(figsize=(4.5, 3.8), layout="constrained")
image = axes.imshow(shares, cmap="viridis")
for (row, column), share in np.ndenumerate(shares):
    axes.text(column, row, f"{share:.1f}", ha="center", va="center", color="k" if share > shares.mean() else "w")
axes.set_xticks(range(len(levels)), levels)
axes.set_yticks(range(len(sizes)), sizes)
axes.set(xlabel="share of pixels masked in training", ylabel="numbers in a code", title="Digits told by their codes")
figure.colorbar(image, label="right in cross-validation / %")
figure.savefig(picture, dpi=150)
print(f"drawn to {picture}")
