"""Numbers on full MNIST that tell whether a metric means what others mean by it.

    MINIAE_DATA=... python benchmarks/anchors.py          writes benchmarks/results/anchors.json

Hinton and Salakhutdinov (Science 313, 2006) print 13.87 for PCA with 30 components.
"""

import numpy as np
from results import write

from miniae.data import load
from miniae.models import PCA
from miniae.report import metrics

mnist = load("mnist")
mean = np.broadcast_to(mnist.train.mean(axis=0), mnist.test.shape)
results = {
    "pca_30": metrics.squared_error(mnist.test, PCA(30).fit(mnist.train).reconstruct(mnist.test)),
    "training_mean": metrics.squared_error(mnist.test, mean),
    "bce_floor": metrics.bce_floor(mnist.test),
}
for name, value in results.items():
    print(f"{name:16s} {value:.2f}")
write("anchors", results)
