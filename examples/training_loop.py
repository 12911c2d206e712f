"""The training loop written out, as one would in PyTorch: 784-128-64-32-64-128-784.

Forward, loss, backward, step: nothing of it is hidden in an estimator or a trainer.

    python examples/training_loop.py [digits | mnist | fashion-mnist]
"""

import sys
from pathlib import Path

import numpy as np

from miniae import Tensor, no_grad
from miniae import functions as F
from miniae.data import load
from miniae.nn import Dense, Sequential
from miniae.optim import Adam
from miniae.report import metrics, pictures

data = load(sys.argv[1] if len(sys.argv) > 1 else "digits")

model = Sequential([
    Dense(128, "relu"), Dense(64, "relu"), Dense(32),
    Dense(64, "relu"), Dense(128, "relu"), Dense(784, "sigmoid"),
], input_shape=784, seed=0)
model.summary()
optimizer = Adam(model.parameters(), lr=1e-3)

rng = np.random.default_rng(0)
for epoch in range(10):
    total = 0.0
    order = rng.permutation(len(data.train))
    for start in range(0, len(order), 128):
        x = Tensor(data.train[order[start:start + 128]])
        loss = F.squared_error(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    print(f"epoch {epoch + 1}: squared error {total / len(order):.3f} per image", flush=True)

with no_grad():
    reconstruction = model(data.test).numpy()
print(f"test loss: squared error {metrics.squared_error(data.test, reconstruction):.3f} per image, "
      f"{metrics.mse(data.test, reconstruction):.5f} per pixel")

picture = Path("runs/examples/training_loop.png")
picture.parent.mkdir(parents=True, exist_ok=True)
pictures.reconstructions(picture, data.test, reconstruction, data.image_shape)
print(f"drawn to {picture}")
