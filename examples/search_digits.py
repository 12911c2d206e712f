"""Digits like a digit: those nearest by an autoencoder's code, and by 32 bits of semantic hashing.

    python examples/search_digits.py

Trains both on the bundled digits without their labels, looks for test digits among the training ones, and draws what is
found. A minute at most.
"""

from pathlib import Path

from miniae import Autoencoder, SemanticHashing, SemanticIndex
from miniae.data import load
from miniae.report import neighbours

digits = load("digits")
folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
models = {"cosine": Autoencoder([256], 30, loss="bce", epochs=10),
          "hamming": SemanticHashing([256], 32, loss="bce", epochs=10)}

for metric, model in models.items():
    index = SemanticIndex(model.fit(digits.train), metric)
    index.add(digits.train)
    index.save(folder / f"digits_{metric}.safetensors")  # for miniae search
    ids, distances = index.search(digits.test, k=10)
    alike = digits.train_labels[ids] == digits.test_labels[:, None]
    print(f"{metric}: {100 * alike.mean():.1f} % of the ten nearest are the same digit, {index.bytes_per_code} bytes a "
          "code")
    picture = folder / f"search_digits_{metric}.png"
    neighbours(picture, digits.test[:8], digits.train[ids[:8]], digits.image_shape,
               captions=[[f"{d:.2g}" for d in row] for row in distances[:8]],
               title=f"test digits, and the training digits nearest by {metric} distance")
    print(f"drawn to {picture}")
