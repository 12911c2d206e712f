"""A stacked autoencoder in a few lines, as one would write it in Keras: 784-128-64-128-784.

ReLU inside, a sigmoid at the end, Adam, squared error, batches of 128, 10 epochs, validation after each.

    python examples/stacked_autoencoder.py [digits | mnist | fashion-mnist]
"""

import sys
from pathlib import Path

from miniae.data import load
from miniae.models import Autoencoder
from miniae.nn import Dense, Sequential
from miniae.report import metrics, pictures
from miniae.training import ProgressBar

data = load(sys.argv[1] if len(sys.argv) > 1 else "digits")

encoder = Sequential([Dense(128, "relu"), Dense(64, "relu")])
decoder = Sequential([Dense(128, "relu"), Dense(784)])
model = Autoencoder(encoder=encoder, decoder=decoder, loss="mse", output_activation="sigmoid", optimizer="adam",
                    lr=1e-3, batch_size=128, epochs=10)
model.fit(data.train, validation=data.test, callbacks=[ProgressBar("stacked autoencoder")])

reconstruction = model.reconstruct(data.test)
print(f"test loss: squared error {metrics.squared_error(data.test, reconstruction):.3f} per image, "
      f"{metrics.mse(data.test, reconstruction):.5f} per pixel")

picture = Path("runs/examples/stacked_autoencoder.png")
picture.parent.mkdir(parents=True, exist_ok=True)
pictures.reconstructions(picture, data.test, reconstruction, data.image_shape)
print(f"drawn to {picture}")
