"""Does pretraining pay? The default run, the same network without pretraining for the same time, and PCA.

    python benchmarks/pretraining.py          writes benchmarks/results/pretraining.json and digits.png

The network without pretraining gets as many epochs as fit into the time that pretraining and fine-tuning took together,
once with the same sigmoid units and once with ReLU units, both from Glorot's initial weights.
"""

import time

from results import FOLDER, write

from miniae import Autoencoder
from miniae.models import PCA
from miniae.report import metrics, pictures
from miniae.tasks import Run, RunConfig
from miniae.training import Callback


class StopAfter(Callback):
    """Ends training with the epoch in which the time is up."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def on_train_begin(self, trainer):
        self.began = time.perf_counter()

    def on_epoch_end(self, trainer, logs):
        trainer.stop = time.perf_counter() - self.began >= self.seconds


config = RunConfig(seed=0)
run = Run(config, say=print)
pretrained = run.execute()
test, results = run.data.test, {}
results["pretrained"] = metrics.squared_error(test, pretrained.reconstruct(test))
results["pretrained_seconds"] = run.seconds
for name, activation in (("sigmoid", "sigmoid"), ("relu", "relu")):
    model = Autoencoder(config.layers[:-1], config.layers[-1], activation=activation, loss=run.loss, lr=config.lr,
                        batch_size=config.batch_size, epochs=10**6, seed=config.seed)
    model.fit(run.train, validation=run.validation, callbacks=[StopAfter(run.seconds)])
    results[f"not_pretrained_{name}"] = metrics.squared_error(test, model.reconstruct(test))
    results[f"not_pretrained_{name}_epochs"] = len(model.history_)
pca = PCA(config.layers[-1]).fit(run.train)
results["pca"] = metrics.squared_error(test, pca.reconstruct(test))
pictures.reconstructions(FOLDER / "digits.png", test, {"autoencoder": pretrained.reconstruct(test),
                                                       "PCA": pca.reconstruct(test)}, run.data.image_shape)
for name, value in results.items():
    print(f"{name:32s} {value:.4g}")
write("pretraining", results)
