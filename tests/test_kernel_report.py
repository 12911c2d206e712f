"""The report of which kernels ran on a GPU as they are, from made-up results."""

from __future__ import annotations

import json

import conftest
from kernel_report import RESULTS, kernel_report

from miniae.backend.kernels import hashes


def written(tmp_path, sums):
    path = tmp_path / "gpu_check.json"
    path.write_text(json.dumps({"kernel_sha256": sums}))
    return path


def test_no_results(tmp_path):
    assert kernel_report(tmp_path / "none.json") == [f"no kernel has run on a GPU yet: {len(hashes())} kernels"]


def test_all_ran_as_they_are(tmp_path):
    assert kernel_report(written(tmp_path, hashes() | {"gone": "0"})) == []


def test_some_have_changed_and_some_never_ran(tmp_path):
    sums = hashes() | {"adam": "0", "softplus": "1"}
    del sums["sigmoid"], sums["box_muller"]
    assert kernel_report(written(tmp_path, sums)) == [
        "kernels changed since they last ran on a GPU: adam, softplus",
        "kernels that never ran on a GPU: box_muller, sigmoid"]


def test_the_summary_says_so(monkeypatch):
    lines = []
    reporter = type("Reporter", (), {"stats": {}, "write_line": staticmethod(lines.append)})
    monkeypatch.setattr(conftest, "kernel_report", lambda: ["kernels changed since they last ran on a GPU: adam"])
    conftest.pytest_terminal_summary(reporter)
    assert lines == ["kernels changed since they last ran on a GPU: adam"]


def test_it_reads_the_file_that_the_check_writes():
    assert RESULTS.name == "gpu_check.json" and RESULTS.parent.is_dir()
