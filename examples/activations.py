"""Which activation suits a 784-64-32-16 autoencoder? Every one is tried, on the same data from the same seed.

    python examples/activations.py [digits | mnist | fashion-mnist] [--quick]
"""

import sys
from pathlib import Path

from miniae.data import load
from miniae.functions import ACTIVATIONS
from miniae.models import PCA, Autoencoder
from miniae.report import metrics, pictures

quick = "--quick" in sys.argv
data = load(next((name for name in sys.argv[1:] if name != "--quick"), "digits"))
train = data.train[:3000] if quick else data.train

errors, rows = {}, {}
for name in ACTIVATIONS:
    model = Autoencoder(hidden=[64, 32], code=16, activation=name, loss="bce", lr=2e-3, epochs=10).fit(train)
    rows[name] = model.reconstruct(data.test)
    errors[name] = metrics.squared_error(data.test, rows[name])
    print(f"{name:12s} test loss: squared error {errors[name]:6.2f} per image", flush=True)
rows["PCA"] = PCA(16).fit(train).reconstruct(data.test)
errors["PCA"] = metrics.squared_error(data.test, rows["PCA"])
print(f"{'PCA':12s} test loss: squared error {errors['PCA']:6.2f} per image")

ranking = sorted(errors, key=errors.get)
print("from best to worst:", ", ".join(ranking))

picture = Path("runs/examples/activations.png")
picture.parent.mkdir(parents=True, exist_ok=True)
pictures.reconstructions(picture, data.test, {name: rows[name] for name in ranking}, data.image_shape)
print(f"drawn to {picture}")
