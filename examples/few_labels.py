"""Digits told apart by 100 labels: on the codes of an autoencoder that has seen all of them, and without one.

    python examples/few_labels.py [--quick]

Trains an autoencoder on the bundled digits without their labels, then a classifier on its encoder with ten labelled
digits of each kind: its layers as they are, all layers fine-tuned, and the same layers from random weights. Draws which
digit is taken for which. With --quick on fewer digits without labels.
"""

import sys
from pathlib import Path

from miniae import Classifier
from miniae.data import balanced, load
from miniae.models import DenoisingAutoencoder
from miniae.report import confusion_matrix, confusion_picture

digits = load("digits")
unlabelled = digits.train[:4000] if "--quick" in sys.argv[1:] else digits.train
few = balanced(digits.train_labels, 100)
X, y = digits.train[few], digits.train_labels[few]

model = DenoisingAutoencoder([256], 128, activation="relu", code_activation="relu", noise="masking", level=0.5,
                             loss="bce", epochs=10).fit(unlabelled)
small = {"batch_size": 10, "lr": 1e-3}
ways = {"frozen": model.classifier(head_epochs=100, epochs=0, **small),
        "fine-tuned": model.classifier(head_epochs=40, epochs=40, **small),
        "from scratch": Classifier([256, 128], head_epochs=0, epochs=80, **small)}
for name, classifier in ways.items():
    classifier.fit(X, y)
    print(f"{name}: {100 * classifier.score(digits.test, digits.test_labels):.1f} % right")

picture = Path("runs/examples/few_labels.png")
picture.parent.mkdir(parents=True, exist_ok=True)
predicted = ways["fine-tuned"].predict(digits.test)
confusion_picture(picture, confusion_matrix(digits.test_labels, predicted), ways["fine-tuned"].classes_,
                  title="Digits by 100 labels, fine-tuned")
print(f"drawn to {picture}")
