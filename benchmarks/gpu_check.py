"""Everything there is to check and to measure on a machine with an NVIDIA GPU, part by part.

    python benchmarks/gpu_check.py                  the parts not complete yet, as many as fit in 9.5 minutes: twice
    python benchmarks/gpu_check.py --only first     kernels, gradients, curves, replay, speed, roofline
    python benchmarks/gpu_check.py --only second    suite, hinton2006
    python benchmarks/gpu_check.py --only curves,speed     these, again
    python benchmarks/gpu_check.py --quick          everything in small, into ./gpu_check_quick.json

writes benchmarks/results/gpu_check.json, after every part and with what the parts before have written. Each part is a
process of its own with a time limit: what it had measured when it failed, or when the time was up, is kept. Parts:

    kernels      every kernel beside NumPy's
    gradients    whole models' gradients in float64 beside NumPy's, every function's beside central differences
    curves       100 training steps in float32 beside NumPy's
    replay       training with and without replayed steps: the same bits?
    speed        training steps beside PyTorch's, in four ways, and beside NumPy's
    roofline     every kernel beside the memory's and the matrix products' rates; what a launch costs
    suite        the repository's tests, none skipped for want of a GPU
    hinton2006   pretraining and fine-tuning as in hinton2006.py, 50 epochs each (MNIST in MINIAE_DATA, or --data)

Exit code 0 when nothing is wrong, 1 when something is (speed is never wrong), 2 without a usable GPU.
`--backend strict` shows that the checks work where there is none; its results go to ./gpu_check_strict.json.
"""

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_work import Work
from layout import ROOT

from miniae.backend import BackendUnavailable, get
from miniae.data import write_json
from miniae.gpucheck.check import storable, versions
from miniae.tasks import machine

RESULTS = ROOT / "benchmarks" / "results" / "gpu_check.json"
# Seconds that a part may take, and the module it is a function of.
PARTS = {"kernels": (60, "gpu_agreement"), "gradients": (40, "gpu_agreement"), "curves": (60, "gpu_agreement"),
         "replay": (50, "gpu_agreement"), "speed": (250, "gpu_speed"), "roofline": (70, "gpu_roofline"),
         "suite": (330, "gpu_suite"), "hinton2006": (220, "gpu_hinton")}
GROUPS = {"first": ["kernels", "gradients", "curves", "replay", "speed", "roofline"], "second": ["suite", "hinton2006"]}
PACKAGES = ("numpy", "torch", "cupy-cuda13x", "cupy-cuda12x", "nvidia-cublas", "triton")


def parts_of(text):
    """The parts that `--only` names. Raises `ValueError` for others."""
    names = [part for name in text.split(",") for part in GROUPS.get(name, [name])]
    for name in names:
        if name not in PARTS:
            raise ValueError(f"unknown part {name!r}: expected some of {', '.join([*PARTS, *GROUPS])}")
    return names


def measure(arguments, part, quick, seconds):
    """Run a part as a process of its own: (what it has written, how it ended)."""
    with tempfile.TemporaryDirectory() as folder:
        to, errors = Path(folder) / "part.json", Path(folder) / "errors"
        command = [sys.executable, __file__, "--part", part, "--to", to, "--seconds", str(seconds),
                   "--backend", arguments.backend, *["--quick"] * quick]
        with open(errors, "wb") as stderr:
            process = subprocess.Popen(command, stderr=stderr, start_new_session=True)
            try:
                ended = process.wait(timeout=seconds * 1.15 + 20)
            except subprocess.TimeoutExpired:
                ended = None
            if ended is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        last = [line for line in errors.read_text(errors="replace").splitlines() if line.strip()][-1:]
        written = json.loads(to.read_text()) if to.exists() else {"results": {}, "wrong": [], "kernel_sha256": {}}
    if ended is None:
        how = "stopped: the time was up"
    elif ended:
        how = f"failed: {last[0] if last else f'exit code {ended}'}"
    else:
        how = "out of time" if written["results"].get("left_out") else "complete"
    return written, how


def merged(content, part, written, how, seconds):
    """The contents of the results file with those of a part."""
    content = {**content, "kernel_sha256": {**content["kernel_sha256"], **written["kernel_sha256"]}}
    content["results"] = {**content["results"], part: {
        "date": datetime.date.today().isoformat(), "ended": how, "seconds": round(seconds, 1),
        "wrong": written["wrong"], **written["results"]}}
    return content


def started(path, here):
    """What the results file holds already, if it is of this machine; else an empty one."""
    empty = {"command": "python benchmarks/gpu_check.py", "machine": here, "kernel_sha256": {}, "results": {}}
    if not path.exists():
        return empty
    before = json.loads(path.read_text())
    return {**empty, **before, "machine": here} if before["machine"]["gpu"] == here["gpu"] else empty


def description(be):
    """The machine, its GPU, driver and libraries."""
    described = machine(PACKAGES)
    return {**described, **storable(versions(be))} if be.name == "cupy" else {**described, "gpu": None}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="parts, or first or second, with commas between; default: those not complete")
    parser.add_argument("--quick", action="store_true", help="everything in small")
    parser.add_argument("--minutes", type=float, default=9.5, help="begin no part that would end later (9.5)")
    parser.add_argument("--data", help="the folder of data sets, in place of MINIAE_DATA")
    parser.add_argument("--backend", default="cupy", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="the results file")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # of the process of a part
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.data:
        os.environ["MINIAE_DATA"] = args.data
    try:
        only = parts_of(args.only) if args.only else None
        be = get(args.backend)
    except (BackendUnavailable, ValueError) as why:
        print(f"miniae: {why}", file=sys.stderr)
        return 2
    if args.part:
        return work_on(args, be)

    default = Path("gpu_check_quick.json" if args.quick else f"gpu_check_{be.name}.json")
    path = args.out or (RESULTS if be.name == "cupy" and not args.quick else default)
    content, began = started(path, description(be)), time.monotonic()
    complete = [name for name, part in content["results"].items() if part["ended"] == "complete"]
    names = [name for name in PARTS if name not in complete] if only is None else only
    for name in names:
        seconds = PARTS[name][0] / (4 if args.quick else 1)
        if time.monotonic() - began + seconds > 60 * args.minutes:
            print(f"{name}: no time left for it; the same command goes on with it")
            continue
        print(f"{name}:", flush=True)
        start = time.monotonic()
        written, how = measure(args, name, args.quick, seconds)
        content = merged(content, name, written, how, time.monotonic() - start)
        content["date"] = datetime.date.today().isoformat()
        write_json(path, content)
        for line in [how, *written["wrong"]]:
            print(f"  {line}", flush=True)
    bad = [name for name in names if name in content["results"]
           and (content["results"][name]["wrong"] or content["results"][name]["ended"].startswith("failed"))]
    rest = [name for name in names if content["results"].get(name, {}).get("ended") != "complete"]
    verdict = "WRONG: " + ", ".join(bad) if bad else "nothing is wrong"
    print(f"written to {path}; {verdict}" + (f"; not complete: {', '.join(rest)}" if rest else ""))
    return 1 if bad else 0


def work_on(args, be):
    """A part, in its own process."""
    work = Work(be, get("numpy"), args.quick, args.seconds, args.to)
    module = __import__(PARTS[args.part][1])
    getattr(module, args.part)(work)
    work.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
