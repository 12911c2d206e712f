"""Training runs whose process is killed while it trains, again and again, and goes on: are they the same in the end?

    python benchmarks/kills.py [--kills 50] [--seed 0]

`miniae train` writes a checkpoint after every batch here. A kill strikes at a random moment after the process has begun
to write checkpoints of its own: every second one whenever that is, the others as soon as the temporary file of a
checkpoint is seen. What was struck is counted by what the dead process has left. It goes on by `miniae train --resume`,
until it is complete; then every file of weights and every loss must be that of the run that nobody killed, bit by bit.
Results are in benchmarks/results/kills.json.
"""

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = {
    "RBMs, fine-tuning": ["--layers", "64-8", "--pretrain-epochs", "2", "--epochs", "3"],
    "variational": ["--model", "variational", "--layers", "64-8", "--epochs", "5", "--set", "warmup=2"],
    "denoising, rollback": ["--model", "denoising", "--layers", "64-8", "--epochs", "5", "--on-nan", "rollback"],
}
KILLS_OF_A_RUN = 10  # at most; then it may end
LOOK = 0.0003  # seconds between two looks at the folder
WRITE = 0.002  # seconds within which a kill follows a temporary file


def train(*arguments):
    return subprocess.Popen([sys.executable, "-m", "miniae", "train", "--backend", "numpy", *map(str, arguments)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def complete(process):
    """Wait for the end of a process, which may be killed but not fail."""
    _, err = process.communicate()
    if process.returncode > 0:
        raise SystemExit(f"a run could not go on: {err}")


def outcome(folder):
    """Weights and history, but for the seconds."""
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    history = [{k: v for k, v in row.items() if "second" not in k} for row in rows]
    return (folder / "model.safetensors").read_bytes(), history


def temporary(folder):
    """The names of the files that are not yet renamed."""
    return {name for name in os.listdir(folder) if name.startswith(".")} if folder.exists() else set()


def seen(process, happened):
    """Wait until something has happened; whether it did before the process had ended."""
    while process.poll() is None:
        if happened():
            return True
        time.sleep(LOOK)
    return False


def kill(process, folder, aimed, draw, within):
    """Kill a process that trains; return what that struck: "training", "writing" (a checkpoint) or "results".

    None if it has come to its end before.
    """
    checkpoints = folder / "checkpoints"
    before = temporary(checkpoints)
    if seen(process, lambda: temporary(checkpoints) - before):
        time.sleep(draw.uniform(0, within))
        if aimed and seen(process, lambda: temporary(checkpoints) - before):
            time.sleep(draw.uniform(0, WRITE))
        process.kill()
    complete(process)
    if process.returncode == 0:
        return None
    if temporary(checkpoints) - before:
        return "writing"
    return "results" if (folder / "model.safetensors").exists() else "training"


def killed_run(settings, folder, kills, draw, within):
    """Train, killing the process so many times at most; return what the kills struck."""
    struck = []
    process = train(*settings, "--checkpoint-every", "0", "--out", folder)
    while what := kill(process, folder, len(struck) % 2 == 1, draw, within):
        struck.append(what)
        if len(struck) == kills:
            complete(train("--resume", folder, "--checkpoint-every", "5"))
            break
        process = train("--resume", folder)
    return struck


def measure(kills, seed, runs, within=1.0):
    """Kill runs of all kinds in turn until there were so many kills, each within so many seconds of training; return
    the results by kind."""
    draw, results = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as place:
        whole, folder = {}, Path(place) / "killed"
        for i, (name, settings) in enumerate(runs.items()):
            complete(train(*settings, "--out", Path(place) / f"whole-{i}"))
            whole[name] = outcome(Path(place) / f"whole-{i}")
            results[name] = {"runs": 0, "kills": 0, "training": 0, "writing": 0, "results": 0, "same": 0}
        while left := kills - sum(r["kills"] for r in results.values()):
            name = min(results, key=lambda name: results[name]["kills"])
            struck = killed_run(runs[name], folder, min(left, KILLS_OF_A_RUN), draw, within)
            found = results[name]
            found["runs"] += 1
            found["kills"] += len(struck)
            for what in struck:
                found[what] += 1
            found["same"] += outcome(folder) == whole[name]
            print(f"{name}: {found}", flush=True)
            shutil.rmtree(folder)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import results

    found = measure(arguments.kills, arguments.seed, RUNS)
    results.write("kills", found)
    if any(r["same"] != r["runs"] for r in found.values()):
        raise SystemExit("not all runs were the same")


if __name__ == "__main__":
    main()
