"""Digits on a map: at the two numbers an autoencoder makes of each, as images; and at three numbers, in space.

    python examples/map_of_digits.py [--quick]

Says how faithful each map is beside PCA's. With --quick on few digits.
"""

import sys
from pathlib import Path

from miniae import PCA, Autoencoder
from miniae.data import load
from miniae.report import continuity, latent_3d, leave_one_out_accuracy, thumbnails, trustworthiness

digits = load("digits")
few, some, epochs = (3000, 400, 10) if "--quick" in sys.argv[1:] else (None, 2000, 20)
X, labels = digits.test[:some], digits.test_labels[:some]
folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)

for dimensions in (2, 3):
    model = Autoencoder([256, 64], dimensions, loss="bce", batch_size=32, lr=2e-3, epochs=epochs)
    model.fit(digits.train[:few])
    pca = PCA(dimensions).fit(digits.train[:few])
    maps = {"autoencoder": model.transform(X), "PCA": pca.transform(X)}
    for name, places in maps.items():
        print(f"{name}, {dimensions} numbers: trustworthiness {trustworthiness(X, places):.3f}, "
              f"continuity {continuity(X, places):.3f}, right by 5 neighbours "
              f"{100 * leave_one_out_accuracy(places, labels):.1f} %")
    picture = folder / f"map_of_digits_{dimensions}d.png"
    if dimensions == 2:
        thumbnails(picture, maps["autoencoder"], X, digits.image_shape, labels, title="digits at an autoencoder's code")
    else:
        latent_3d(picture, maps, labels, title="digits at three numbers each")
    print(f"drawn to {picture}")
