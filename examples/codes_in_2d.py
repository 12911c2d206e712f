"""Digits in the plane: a 784-500-250-2 autoencoder, pretrained by RBMs, beside PCA's first two components.

    python examples/codes_in_2d.py [digits | mnist | fashion-mnist] [--quick]
"""

import sys
from pathlib import Path

from miniae.data import load
from miniae.models import PCA, pretrain
from miniae.report import metrics, pictures
from miniae.training import ProgressBar

quick = "--quick" in sys.argv
data = load(next((name for name in sys.argv[1:] if name != "--quick"), "digits"))
train = data.train[:3000] if quick else data.train

stack = pretrain(train, [784, 500, 250, 2], epochs=2 if quick else 5, callbacks=lambda title: [ProgressBar(title)])
model = stack.unroll(epochs=10 if quick else 20, lr=1e-3).fit(train, callbacks=[ProgressBar("fine-tuning")])
pca = PCA(2).fit(train)
for name, method in (("autoencoder", model), ("PCA", pca)):
    print(f"{name}: squared error {metrics.squared_error(data.test, method.reconstruct(data.test)):.2f} per image")

folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
pictures.latent(folder / "codes_in_2d.png", model.transform(data.test), data.test_labels, title="autoencoder")
pictures.latent(folder / "codes_in_2d_pca.png", pca.transform(data.test), data.test_labels, title="PCA")
print(f"drawn to {folder}/codes_in_2d.png and codes_in_2d_pca.png")
