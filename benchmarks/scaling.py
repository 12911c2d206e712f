"""What training costs as data and model grow: time per sample and peak memory, on the CPU.

    python benchmarks/scaling.py            writes benchmarks/results/scaling.json
    python benchmarks/scaling.py --quick    the same at tiny sizes, into the folder where it is started

784-32-784, Adam, batch 128, on noise: as many samples as given, as float32 in memory, as bytes in memory (scaled to
[0, 1] batch by batch), and both in a mapped file. Then 784-width-32-width-784 on few samples. Every measurement is a
process of its own with so many threads; the first epoch does not count, the median of the others does. Memory is that
of the whole process with the interpreter: at its peak, the pages of mapped files included, which are the system's to
take back; and (on Linux) without these, in the middle of training.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from results import write

from miniae import Autoencoder
from miniae.data import write_json
from miniae.training import Callback

FEATURES, BATCH, PIECE = 784, 128, 1_000
SAMPLES, WIDTHS, WIDE_SAMPLES, LEAST = [1_000, 10_000, 100_000, 1_000_000], [64, 256, 1024, 4096], 2560, 200_000
QUICK_SAMPLES, QUICK_WIDTHS, QUICK_LEAST = [256, 1_024], [16, 64], 2_048
KINDS = {"memory_float32": np.float32, "memory_uint8": np.uint8, "map_float32": np.float32, "map_uint8": np.uint8}


def fill(array):
    """Noise in [0, 1], or bytes of it."""
    rng = np.random.default_rng(0)
    for start in range(0, len(array), PIECE):
        part = array[start:start + PIECE]
        part[:] = rng.integers(0, 256, part.shape, np.uint8) / np.float32(1 if array.dtype == np.uint8 else 255)
    return array


def training(data, samples, least, hidden=(), path=None):
    """One measurement, in this process: `least` is how many samples it takes at least in the epochs that count."""
    before = peak()
    dtype = KINDS[data]
    X = np.load(path, mmap_mode="r") if path else fill(np.empty((samples, FEATURES), dtype))
    with_data = peak()
    epochs = 1 + max(2, -(-least // samples))
    model = Autoencoder(hidden, 32, epochs=epochs, batch_size=BATCH, scaling="minmax" if dtype == np.uint8 else None)
    began = time.perf_counter()
    watch = OwnMemory()
    model.fit(X, callbacks=[watch])
    elapsed = time.perf_counter() - began
    seconds = [row["seconds"] for row in model.history_]
    return {"microseconds": 1e6 * float(np.median(seconds[1:])) / samples, "epochs": epochs,
            "slowest": 1e6 * max(seconds[1:]) / samples, "fastest": 1e6 * min(seconds[1:]) / samples,
            "preparing_seconds": elapsed - sum(seconds), "data_mb": X.nbytes / 2**20,
            "own_mb": watch.most, "peak_mb": peak(), "peak_with_data_mb": with_data, "peak_before_mb": before}


class OwnMemory(Callback):
    """The most memory that belongs to this process alone, after any epoch, in MB; None where it is not known."""

    most = None

    def on_epoch_end(self, trainer, logs):
        status = Path("/proc/self/status")
        for line in status.read_text().splitlines() if status.exists() else []:
            if line.startswith("RssAnon:"):
                self.most = max(self.most or 0, int(line.split()[1]) / 1024)


def peak():
    """The most memory this process has had so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def write_samples(data, samples, path):
    """Make the file that is mapped."""
    fill(np.lib.format.open_memmap(path, "w+", KINDS[data], (samples, FEATURES)))


def apart(function, threads=1, **settings):
    """What `function` of these settings returns in a process of its own.

    Nothing large is made in this one: on Linux a child's peak memory begins with that of its parent.
    """
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    run = subprocess.run([sys.executable, __file__, function.__name__, json.dumps(settings)], check=True, text=True,
                         stdout=subprocess.PIPE, env=os.environ | dict.fromkeys(variables, str(threads)))
    return json.loads(run.stdout.splitlines()[-1])


def measure(threads, **settings):
    result = {"threads": threads, **{k: v for k, v in settings.items() if k != "path"},
              **apart(training, threads, **settings)}
    print(f"{settings['data']:15s} {settings['samples']:8d} samples, hidden {settings.get('hidden', [])}, {threads} "
          f"threads: {result['microseconds']:7.2f} us a sample, {result['own_mb'] or 0:.0f} of "
          f"{result['peak_mb']:.0f} MB", flush=True)
    return result


def main(quick):
    sizes, widths, least = (QUICK_SAMPLES, QUICK_WIDTHS, QUICK_LEAST) if quick else (SAMPLES, WIDTHS, LEAST)
    results = {"samples": [], "widths": []}
    with tempfile.TemporaryDirectory() as folder:
        for samples in sizes:
            for data in KINDS:
                path = str(Path(folder) / "samples.npy") if data.startswith("map") else None
                if path:
                    apart(write_samples, data=data, samples=samples, path=path)
                for threads in (1, 2):
                    results["samples"].append(measure(threads, data=data, samples=samples, least=least, path=path))
    for width in widths:
        for threads in (1, 2):
            results["widths"].append(measure(threads, data="memory_float32", samples=min(WIDE_SAMPLES, max(sizes)),
                                             least=1, hidden=[width]))
    if quick:
        write_json("scaling.json", results)
    else:
        write("scaling", results)


if __name__ == "__main__":
    inner = {f.__name__: f for f in (training, write_samples)}
    if len(sys.argv) == 3:
        print(json.dumps(inner[sys.argv[1]](**json.loads(sys.argv[2]))))
    else:
        main("--quick" in sys.argv[1:])
