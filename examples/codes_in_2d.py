"""Digits in the plane: a 784-500-250-2 autoencoder, pretrained by RBMs, beside PCA's first two components.

    python examples/codes_in_2d.py [digits | mnist | fashion-mnist]
"""

import sys
from pathlib import Path

from miniae.data import load
from miniae.models import PCA, pretrain
from miniae.report import metrics, pictures
from miniae.training import ProgressBar

data = load(sys.argv[1] if len(sys.argv) > 1 else "digits")

stack = pretrain(data.train, [784, 500, 250, 2], epochs=5, callbacks=lambda title: [ProgressBar(title)])
model = stack.unroll(epochs=20, lr=1e-3).fit(data.train, callbacks=[ProgressBar("fine-tuning")])
pca = PCA(2).fit(data.train)
for name, method in (("autoencoder", model), ("PCA", pca)):
    print(f"{name}: squared error {metrics.squared_error(data.test, method.reconstruct(data.test)):.2f} per image")

folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
pictures.latent(folder / "codes_in_2d.png", model.transform(data.test), data.test_labels, title="autoencoder")
pictures.latent(folder / "codes_in_2d_pca.png", pca.transform(data.test), data.test_labels, title="PCA")
print(f"drawn to {folder}/codes_in_2d.png and codes_in_2d_pca.png")
