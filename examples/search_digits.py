"""Digits like a digit: those nearest by an autoencoder's code, and by 32 bits of semantic hashing.

    python examples/search_digits.py [--quick]

Trains both on the bundled digits without their labels, looks for test digits among the training ones, and draws what is
found. With --quick on few digits.
"""

import sys
from pathlib import Path

from miniae import Autoencoder, SemanticHashing, SemanticIndex
from miniae.data import load
from miniae.report import neighbours

digits = load("digits")
few, some = (2000, 300) if "--quick" in sys.argv[1:] else (None, None)
train, labels = digits.train[:few], digits.train_labels[:few]
test, asked = digits.test[:some], digits.test_labels[:some]
folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
models = {"cosine": Autoencoder([256], 30, loss="bce", epochs=10),
          "hamming": SemanticHashing([256], 32, loss="bce", epochs=10)}

for metric, model in models.items():
    index = SemanticIndex(model.fit(train), metric)
    index.add(train)
    index.save(folder / f"digits_{metric}.safetensors")  # for miniae search
    ids, distances = index.search(test, k=10)
    alike = labels[ids] == asked[:, None]
    print(f"{metric}: {100 * alike.mean():.1f} % of the ten nearest are the same digit, {index.bytes_per_code} bytes a "
          "code")
    picture = folder / f"search_digits_{metric}.png"
    neighbours(picture, test[:8], train[ids[:8]], digits.image_shape,
               captions=[[f"{d:.2g}" for d in row] for row in distances[:8]],
               title=f"test digits, and the training digits nearest by {metric} distance")
    print(f"drawn to {picture}")
