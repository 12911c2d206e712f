"""Looks for files that break what reads them, guided by the code that each one reaches (Atheris, libFuzzer).

    pip install atheris
    python benchmarks/fuzzing.py [--minutes 5]

Each kind of file of tests/fuzz/readers.py has an equal share of the time, one core, and begins with a valid file. Of
files with a JSON header it changes what the header says, beside arrays that are whole; compressed images get the
checksum that fits. A file may be read, or refused in one line; any other exception, a process of more than 1.5 GB, and
ten seconds for one file are failures, which are kept in a folder and counted in results/fuzz.json.
"""

import argparse
import json
import os
import random
import re
import struct
import sys
import tempfile
import traceback
import zlib
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
MEGABYTES, SECONDS = 1500, 10
STATISTICS = {"files": r"stat::number_of_executed_units:\s+(\d+)", "reached": r"cov: (\d+)",
              "corpus": r"stat::new_units_added:\s+(\d+)"}


ODD = [None, True, -1, 0, 1, 2, 2**31, 10**30, 0.5, 1e308, "", "Dense", "<U999999999", [], [3], [2**20, 2**20], {},
       {"layer": ""}, {"type": "Dense", "units": 3}, {"type": "Dense", "units": 2**40},
       {"type": "Sequential", "layers": []}]
"""What may stand in a header instead of what does."""


def fuzz_one(name, folder, seconds):
    """Does not return: libFuzzer ends the process."""
    from fuzz.readers import READERS, TENSOR_FILES, at, attempt, places, put, valid
    from safetensors.numpy import save

    from miniae.data import load_tensors

    reader, start = READERS[name], valid(name, folder)
    path = folder / f"tried{reader.suffix}"
    words = {"miniae"}
    if name in TENSOR_FILES:
        path.write_bytes(start)
        tensors, header = load_tensors(path)
        text = json.dumps(header)
        start, words = text.encode(), set(re.findall(r'"(\w+)"', text))
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "valid").write_bytes(start)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in sorted(words)))

    def file_of(data):
        if name in TENSOR_FILES:
            return save(tensors, metadata={"miniae": data.decode(errors="replace")})
        if reader.suffix == ".mae":
            return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))
        return data

    def one(data):
        path.write_bytes(file_of(data))
        try:
            attempt(reader, path)
        except BaseException:
            path.rename(folder / f"failed-file{reader.suffix}")
            raise

    def otherwise(data, most, seed):
        """Something else in one place of the JSON; bytes, where it is none any more."""
        rng = random.Random(seed)
        try:
            value = json.loads(data)
            where = places(value)
            put(value, rng.choice(where), rng.choice([*ODD, at(value, rng.choice(where))]))
            changed = json.dumps(value).encode()
            return changed if len(changed) < most else atheris.Mutate(data, most)
        except (ValueError, IndexError, RecursionError):
            return atheris.Mutate(data, most)

    by_structure = {"custom_mutator": otherwise} if name in TENSOR_FILES else {}
    atheris.Setup(["fuzzing", str(corpus), f"-dict={folder / 'words'}", f"-artifact_prefix={folder}/failed-",
                   f"-rss_limit_mb={MEGABYTES}", f"-timeout={SECONDS}", f"-max_total_time={seconds}", "-seed=1",
                   "-print_final_stats=1", "-max_len=65536"], one, **by_structure)
    atheris.Fuzz()


def report(name, seconds, failures):
    """What a process that does this and nothing else has found."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        child = os.fork()
        if not child:
            with open(folder / "log", "wb") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            try:
                fuzz_one(name, folder, seconds)
            except SystemExit as end:
                os._exit(int(bool(end.code)))
            except BaseException:  # before there was a file to try
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(1)
        status = os.waitpid(child, 0)[1]
        log = (folder / "log").read_text(errors="replace")
        row = {}
        for what, pattern in STATISTICS.items():
            found = re.findall(pattern, log)
            row[what] = int(found[-1]) if found else 0
        row |= {"seconds": seconds, "files_per_second": round(row["files"] / seconds, 1), "failures": int(status != 0)}
        if status:
            failures.mkdir(exist_ok=True)
            for artifact in folder.glob("failed-*"):
                (failures / f"{name.replace(' ', '-')}-{artifact.name}").write_bytes(artifact.read_bytes())
            (failures / f"{name.replace(' ', '-')}.log").write_text(log)
    return row


def main(minutes, only, failures):
    with atheris.instrument_imports(include=["miniae", "zipfile", "wave", "numpy.lib"]):
        from fuzz.readers import READERS

    from miniae.tasks.machine import machine

    names = only or list(READERS)
    seconds = max(int(60 * minutes / len(names)), 1)
    rows = {}
    for name in names:
        rows[name] = report(name, seconds, failures)
        print(name, rows[name], flush=True)
    total = {key: sum(row[key] for row in rows.values()) for key in ("files", "failures", "seconds")}
    if not only:
        result = {"machine": machine(("numpy", "atheris", "pillow", "safetensors")), "total": total, "kinds": rows}
        (ROOT / "benchmarks" / "results" / "fuzz.json").write_text(json.dumps(result, indent=2) + "\n")
    print(total)
    return bool(total["failures"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--only", nargs="*", help="kinds of files; results are not written then")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    args = parser.parse_args()
    sys.exit(main(args.minutes, args.only, args.failures))
