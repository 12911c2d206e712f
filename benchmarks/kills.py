"""Training runs whose process is killed at random moments, again and again, and goes on: are they the same in the end?

    python benchmarks/kills.py [--kills 50] [--seed 0]

`miniae train` writes a checkpoint after every batch here, so that many kills strike while one is being written. A run
that was killed goes on by `miniae train --resume`, until it is complete; then every file of weights and every loss must
be that of the run that nobody killed, bit by bit. Results are in benchmarks/results/kills.json.
"""

import argparse
import csv
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = {
    "RBMs, fine-tuning": ["--layers", "64-8", "--pretrain-epochs", "2", "--epochs", "2"],
    "variational": ["--model", "variational", "--layers", "64-8", "--epochs", "3", "--set", "warmup=2"],
    "denoising, rollback": ["--model", "denoising", "--layers", "64-8", "--epochs", "3", "--on-nan", "rollback"],
}


def train(*arguments):
    return subprocess.Popen([sys.executable, "-m", "miniae", "train", "--backend", "numpy", *map(str, arguments)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def complete(process):
    """Wait for a process that nobody kills."""
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"a run could not go on: {err}")


def outcome(folder):
    """Weights and history, but for the seconds."""
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    history = [{k: v for k, v in row.items() if "second" not in k} for row in rows]
    return (folder / "model.safetensors").read_bytes(), history


def files(folder):
    """When each checkpoint or temporary file was written."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}


def killed_run(settings, folder, moment, kills):
    """Begin a run, kill it `kills` times at most, each time after `moment()` seconds of life, and let it end.

    Returns what each kill struck: "starting", "training" or "writing" (a file that is not yet renamed is there).
    """
    struck = []
    while True:
        begun = (folder / "config.json").exists()
        if not begun:  # killed before the settings were written: there was no work to lose
            shutil.rmtree(folder, ignore_errors=True)
        process = train("--resume", folder) if begun else train(*settings, "--out", folder)
        if len(struck) == kills:
            complete(process)
            return struck
        before = files(folder)
        try:
            _, err = process.communicate(timeout=moment())
            if process.returncode:
                raise SystemExit(f"a run could not go on: {err}")
            return struck
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        writing = any(p.name.startswith(".") for p in files(folder).keys() - before.keys())
        struck.append("writing" if writing else "training" if files(folder) != before else "starting")


def measure(kills, seed, runs, scale=1.0):
    """Kill runs of all kinds in turn until there were so many kills; return the results by kind."""
    draw, results = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as place:
        whole, seconds = {}, {}
        for i, (name, settings) in enumerate(runs.items()):
            folder, began = Path(place) / f"whole-{i}", time.perf_counter()
            complete(train(*settings, "--out", folder))
            whole[name], seconds[name] = outcome(folder), time.perf_counter() - began
            results[name] = {"runs": 0, "kills": 0, "starting": 0, "training": 0, "writing": 0, "same": 0}
        while sum(r["kills"] for r in results.values()) < kills:
            name = min(results, key=lambda name: results[name]["kills"])
            found, folder = results[name], Path(place) / "killed"
            left = kills - sum(r["kills"] for r in results.values())
            struck = killed_run([*runs[name], "--checkpoint-every", "0"], folder,
                                lambda name=name: draw.uniform(0.1, scale * seconds[name]), min(left, 10))
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
