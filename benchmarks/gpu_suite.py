"""The repository's tests on the machine at hand: each file in a process of its own, several at a time."""

import concurrent.futures
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from layout import ROOT

COUNTS = ("passed", "failed", "skipped")


def suite(work, files=None):
    """Notes how many tests passed, failed and were skipped, and which failed, file by file."""
    if files is None:
        files = sorted((ROOT / "tests").rglob("test_*.py"))
        files = files[:3] if work.quick else files
    workers = max(1, min(6, (os.cpu_count() or 1) // 2))
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    found = {"files": len(files), "finished": 0, **dict.fromkeys(COUNTS, 0)}
    failures, skipped = [], {}
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(tested, work, file, threads): file for file in files}
        for done in concurrent.futures.as_completed(waiting):
            name, report = str(waiting[done].relative_to(ROOT)), done.result()
            if isinstance(report, str):
                (failures.append(f"{name}: {report}") if report != OUT_OF_TIME else work.leave_out(name, report))
            else:
                found["finished"] += 1
                for what, count in count_of(report).items():
                    found[what] += count
                failures += failed(report)
                for case in report.iter("skipped"):
                    why = case.get("message", "")
                    skipped[why] = skipped.get(why, 0) + 1
            work.results["failures"], work.results["skipped"] = sorted(failures), skipped
            work.note(found, "suite")


OUT_OF_TIME = "the time was up"


def tested(work, file, threads):
    """pytest's report of a file's tests, or why there is none."""
    if work.left() <= 0:
        return OUT_OF_TIME
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", file]
        try:
            done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": threads},
                                  timeout=max(work.left(), 1.0), capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            return OUT_OF_TIME
        if not report.exists():
            lines = (done.stderr or done.stdout).strip().splitlines()
            return f"no report, exit code {done.returncode}: {lines[-1] if lines else ''}"
        return ElementTree.parse(report).getroot()


def count_of(report):
    """How many tests of a report passed, failed (or had errors) and were skipped."""
    suites = list(report.iter("testsuite"))
    total, errors, failures, skipped = (sum(int(suite.get(what)) for suite in suites)
                                        for what in ("tests", "errors", "failures", "skipped"))
    return {"passed": total - errors - failures - skipped, "failed": errors + failures, "skipped": skipped}


def failed(report):
    """The names of the tests that failed."""
    return [f"{case.get('classname')}::{case.get('name')}" for case in report.iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None]
