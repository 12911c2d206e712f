"""What shorter numbers in matrix products cost in accuracy: an autoencoder 784-128-32 on MNIST, on any machine.

    python benchmarks/precision.py              writes benchmarks/results/precision.json
    python benchmarks/precision.py --quick      few images and one epoch, to see it work; writes no result file

The operands of every matrix product are rounded as a GPU would (tf32's own rounding differs in ties), the products
added up in float32; weights and all else are float32, and gradients are not scaled up for float16. Each precision gets
the same initial weights, shuffles and number of epochs, from two seeds. Reported are the squared error of the training
images during the last epoch and that of the test images, reconstructed in the precision of the training and in float32.
The settings are the model's defaults. The time is that of the emulation, and says nothing of a GPU's.
"""

import argparse
import time

from results import write

import miniae
from miniae.backend.precision import PRECISIONS
from miniae.data import load
from miniae.models import Autoencoder
from miniae.report import metrics

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="2,000 images, one epoch")
args = parser.parse_args()
IMAGES, EPOCHS, SEEDS = (2000, 1, (0,)) if args.quick else (60_000, 5, (0, 1))

data = load("mnist")
train, test = data.train[:IMAGES], data.test
results = {"images": len(train), "epochs": EPOCHS, "seeds": len(SEEDS)}
for precision in PRECISIONS:
    rows = []
    for seed in SEEDS:
        began = time.perf_counter()
        model = Autoencoder([128], 32, epochs=EPOCHS, batch_size=128, seed=seed, backend="numpy")
        with miniae.use_backend("numpy", precision):
            model.fit(train)
            short = metrics.squared_error(test, model.reconstruct(test))
        full = metrics.squared_error(test, model.reconstruct(test))
        rows.append({"last_epoch": model.history_[-1]["loss"], "test_squared_error": short,
                     "test_squared_error_in_float32": full, "seconds": time.perf_counter() - began})
        print(precision, seed, rows[-1], flush=True)
    results[precision] = {name: [row[name] for row in rows] for name in rows[0]}
if not args.quick:
    write("precision", results)
