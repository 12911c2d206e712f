"""What training by several processes gains: measured with two, and a model of the cost for more.

    python benchmarks/ranks.py            writes benchmarks/results/ranks.json and ranks.png
    python benchmarks/ranks.py --quick    the same at tiny sizes, into the folder where it is started
    python benchmarks/ranks.py --draw     draws ranks.png again

On noise of 784 features in memory, float32, Adam, each process on a core of its own with one BLAS thread. One process
trains as ever (its steps are replayed), and with replays switched off, on batches of 1024 and of 16 samples; two train
together on batches of 1024. Rounds of all of these follow one another. Of the mean time of a step in each epoch, the
first of a process left out, the median is reported, and the fastest. Where the machine has other work, that makes two
processes wait for one another, while one alone only gets less; so the processor's time is measured, too, without what
goes into sums (which wait by asking): from its least, and the fastest sums, comes the efficiency that two free cores
would have, and the model. In between, two processes sum arrays of several sizes.

The model of a step, which is not a measurement: n ranks take

    t(n) = fixed + (t(1) - fixed) / n + 2 (n - 1) / n bytes / bandwidth + messages log2(n) latency,

the gradient going round a ring. `fixed`, which all ranks do alike (the update, Python), is where the line through the
times of 1024 and 16 samples meets 0. Networks are assumed: 10 Gb Ethernet with 1.25 GB/s and 30 microseconds, 100 Gb
InfiniBand with 12.5 GB/s and 2 microseconds, both at their nominal rates.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from results import FOLDER, write

from miniae import Autoencoder
from miniae.backend.mpi import ranks_here
from miniae.backend.sharing import use_ranks
from miniae.data import write_json
from miniae.report.canvas import QUIET, SERIES, drawing
from miniae.training import Callback

MODELS = {"784-128-32": ([128], 32), "784-1000-500-250-30": ([1000, 500, 250], 30)}
SAMPLES, BATCH, EPOCHS, ROUNDS = {"784-128-32": 8_192, "784-1000-500-250-30": 4_096}, 1024, 4, 3
FEW = 16
SIZES = [8, 1 << 10, 1 << 16, 1 << 20, 1 << 23]  # bytes of sums between two processes
NETWORKS = {"10 Gb Ethernet": (1.25e9, 30e-6), "100 Gb InfiniBand": (12.5e9, 2e-6)}  # bytes a second, seconds
MESSAGES = 2  # in a step: the gradient, the losses
RANKS = [1, 2, 4, 8, 16, 32, 64]


class Clock(Callback):
    """The processor's seconds in each epoch, but for those in `sums`, a list of one number that only grows."""

    only_device = True

    def __init__(self, replay, sums):
        self.replay, self.sums, self.seconds = replay, sums, []

    def on_train_begin(self, trainer):
        trainer.replay = self.replay

    def on_epoch_begin(self, trainer):
        self.began = time.process_time() - self.sums[0]

    def on_epoch_end(self, trainer, logs):
        self.seconds.append(time.process_time() - self.sums[0] - self.began)


def steps(model, batch, samples, replay, sums):
    """The seconds of a step, by the clock and of the processor: means over each epoch but the first."""
    hidden, code = MODELS[model]
    X = np.random.default_rng(0).random((samples, 784), dtype=np.float32)
    clock, n = Clock(replay, sums), math.ceil(samples / batch)
    fitted = Autoencoder(hidden, code, epochs=1 + EPOCHS, batch_size=batch).fit(X, callbacks=[clock])
    return {"parameters": sum(p.size for p in fitted.network_.parameters()),
            "wall": [row["seconds"] / n for row in fitted.history_[1:]], "cpu": [t / n for t in clock.seconds[1:]]}


def counted(ranks):
    """The processor's seconds in sums of these ranks, from now on: a list of one number."""
    total, inner = [0.0], ranks.sum_on_host

    def timed(a):
        began = time.process_time()
        inner(a)
        total[0] += time.process_time() - began

    ranks.sum_on_host = timed
    return total


def sums(ranks):
    """The seconds of a sum by its bytes: the median of many."""
    found = {}
    for size in SIZES:
        a, taken = np.zeros(size // 4, np.float32), []
        for _ in range(200 if size < 1 << 20 else 20):
            ranks.gather([0.0])
            began = time.perf_counter()
            ranks.sum_on_host(a)
            taken.append(time.perf_counter() - began)
        found[size] = statistics.median(taken)
    return found


def worker(samples):
    """Measure in this process, or in those that mpiexec has started; the first one prints."""
    with ranks_here() as ranks, use_ranks(ranks) if ranks.size > 1 else nullcontext():
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[ranks.rank]})
        found, spent = {}, counted(ranks)
        for model in MODELS:
            kinds = {"2 ranks, 1024": (BATCH, False)} if ranks.size > 1 else {
                "1 rank, 1024": (BATCH, True), "1 rank, 1024, not replayed": (BATCH, False),
                "1 rank, 16, not replayed": (FEW, False)}
            for kind, (batch, replay) in kinds.items():
                found.setdefault(model, {})[kind] = steps(model, batch, min(samples[model], 32 * batch), replay,
                                                               spent)
        if ranks.size > 1:
            found["sums"], found["library"] = sums(ranks), ranks.library
        if ranks.rank == 0:
            print(json.dumps(found))


def measure(samples, rounds):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    own = [sys.executable, __file__, "--worker", json.dumps(samples)]
    mpiexec = Path(sys.executable).parent / "mpiexec"
    together = [str(mpiexec) if mpiexec.exists() else "mpiexec", "-n", "2"]
    times, messages, found = {model: {} for model in MODELS}, {size: [] for size in SIZES}, {}
    for i in range(rounds):
        for command in (own, together + own):
            found = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True,
                                              text=True).stdout.splitlines()[-1])
            for model in MODELS:
                for kind, step_ in found[model].items():
                    for clock in ("wall", "cpu"):
                        times[model].setdefault(kind, {}).setdefault(clock, []).extend(step_[clock])
                    times[model][kind]["parameters"] = step_["parameters"]
        for size in SIZES:
            messages[size].append(found["sums"][str(size)])
        print(f"round {i + 1} of {rounds}", flush=True)
    return {"models": {model: summary(times[model], messages) for model in MODELS},
            "sums": {str(size): {"median_us": 1e6 * statistics.median(t), "fastest_us": 1e6 * min(t)}
                     for size, t in messages.items()},
            "bandwidth_gb_s": SIZES[-1] / min(messages[SIZES[-1]]) / 1e9,
            "library": found["library"], "rounds": rounds, "batch": BATCH}


def summary(times, messages):
    parameters = next(iter(times.values()))["parameters"]
    found = {"median": {kind: statistics.median(t["wall"]) for kind, t in times.items()},
             "fastest": {kind: min(t["wall"]) for kind, t in times.items()},
             "least_processor": {kind: min(t["cpu"]) for kind, t in times.items()}}
    one, plain, few, two = found["least_processor"].values()
    latency, bandwidth = min(messages[SIZES[0]]), SIZES[-1] / min(messages[SIZES[-1]])
    fixed = max(few - FEW / (BATCH - FEW) * (plain - few), 0.0)
    told = 4 * parameters / bandwidth + MESSAGES * latency
    return {"parameters": parameters,
            **{f"{name}_step_ms": {kind: 1e3 * t for kind, t in by_kind.items()} for name, by_kind in found.items()},
            "sums_ms": 1e3 * told, "fixed_ms": 1e3 * fixed,
            **{f"efficiency_of_2_{name}": found[name]["1 rank, 1024"] / found[name]["2 ranks, 1024"] / 2
               for name in ("median", "fastest")},
            "efficiency_of_2_on_free_cores": one / (two + told) / 2,
            "predicted_efficiency_of_2": one / step(2, plain, fixed, parameters, bandwidth, latency) / 2}


def step(n, one, fixed, parameters, bandwidth, latency):
    """The model's seconds of a step on n ranks."""
    return (fixed + (one - fixed) / n + 2 * (n - 1) / n * 4 * parameters / bandwidth
            + MESSAGES * math.log2(n) * latency)


def predicted(result, model, network, times_batch=1, speed=1):
    """The model's speed-up over one rank, by ranks: of batches and processes so many times larger and faster."""
    found = result["models"][model]
    fixed, plain = 1e-3 * found["fixed_ms"], 1e-3 * found["least_processor_step_ms"]["1 rank, 1024, not replayed"]
    one, fixed = (fixed + times_batch * (plain - fixed)) / speed, fixed / speed
    return {n: one / step(n, one, fixed, found["parameters"], *NETWORKS[network]) for n in RANKS}


def predictions(result):
    return {f"{model}, batch {BATCH * k}, {name}, {network}": {str(n): s for n, s in predicted(
        result, model, network, k, speed).items()} for model in MODELS for network in NETWORKS
        for k in (1, 8) for speed, name in ((1, "a core as measured"), (16, "16 times as fast"))}


def draw(path, result):
    model = list(MODELS)[-1]
    with drawing(path, 1500, 700) as figure:
        figure.set_layout_engine("constrained")
        for axes, (speed, title) in zip(figure.subplots(1, 2, sharey=True), (
                (1, "a rank is a core as measured"), (16, "a rank is 16 times as fast")), strict=True):
            axes.plot(RANKS, RANKS, color=QUIET, linewidth=1, label="as many times as ranks")
            for network, colour, width in zip(NETWORKS, SERIES[:2], (4, 1.5), strict=True):  # lines that coincide show
                for k, style in ((1, "--"), (8, ":")):
                    axes.plot(RANKS, list(predicted(result, model, network, k, speed).values()), style, color=colour,
                              linewidth=width, label=f"model: batch {BATCH * k}, {network}")
            if speed == 1:
                axes.plot([2], [2 * result["models"][model]["efficiency_of_2_on_free_cores"]], "o", color=SERIES[2],
                          label=f"batch {BATCH}, by the processor's\ntime of two cores and their sums")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            axes.set_xticks(RANKS, [str(n) for n in RANKS])
            axes.set_yticks(RANKS, [str(n) for n in RANKS])
            axes.set_xlabel("ranks")
            axes.set_title(title)
            axes.legend(loc="upper left", fontsize=7)
        figure.axes[0].set_ylabel("speed-up over one rank (times)")
        figure.suptitle(f"Training {model} by several processes: predicted by a model of the cost, not measured, "
                        "but for the point", x=0.01, ha="left", fontsize=10, weight="bold")


def main():
    if "--worker" in sys.argv:
        return worker(json.loads(sys.argv[-1]))
    if "--draw" in sys.argv:
        return draw(FOLDER / "ranks.png", json.loads((FOLDER / "ranks.json").read_text())["results"])
    quick = "--quick" in sys.argv
    result = measure(dict.fromkeys(MODELS, 2 * BATCH) if quick else SAMPLES, 1 if quick else ROUNDS)
    result["predicted_speed_up"] = predictions(result)
    if quick:
        write_json(Path("ranks.json"), result)
        draw(Path("ranks.png"), result)
    else:
        write("ranks", result)
        draw(FOLDER / "ranks.png", result)


if __name__ == "__main__":
    main()
