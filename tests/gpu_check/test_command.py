"""benchmarks/gpu_check.py: its parts, how it keeps what they find, and how they end."""

from __future__ import annotations

import json
import time

import gpu_check
import gpu_suite
import numpy as np
import pytest
from gpu_work import Work

from miniae.backend import BackendUnavailable, get

MADE_UP_TESTS = """
import pytest

def test_right(): pass
def test_wrong(): assert 1 == 2
@pytest.mark.skip(reason="no time")
def test_skipped(): pass
@pytest.fixture
def broken(): raise ValueError
def test_error(broken): pass
"""


def test_without_a_gpu_it_says_so(capsys):
    try:
        get("cupy")
    except BackendUnavailable:
        assert gpu_check.main(["--only", "curves"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("miniae: backend cupy") and error.count("\n") == 1
    assert gpu_check.main(["--only", "curve", "--backend", "strict"]) == 2
    assert capsys.readouterr().err.startswith("miniae: unknown part 'curve': expected some of kernels, gradients,")


def test_parts():
    assert gpu_check.parts_of("first,suite") == [*gpu_check.GROUPS["first"], "suite"]
    assert [*gpu_check.GROUPS["first"], *gpu_check.GROUPS["second"]] == list(gpu_check.PARTS)
    for group in gpu_check.GROUPS.values():  # a run of 10 minutes holds a group
        assert sum(gpu_check.PARTS[name][0] for name in group) <= 9.5 * 60
    for _, module in gpu_check.PARTS.values():
        assert (gpu_check.ROOT / "benchmarks" / f"{module}.py").exists()


def test_parts_run_one_after_the_other_and_go_on_where_they_were(tmp_path, capsys):
    out = tmp_path / "g.json"
    command = ["--backend", "strict", "--quick", "--out", str(out)]
    assert gpu_check.main([*command, "--only", "kernels"]) == 0
    content = json.loads(out.read_text())
    assert content["results"]["kernels"]["ended"] == "complete" and content["machine"]["cores"]
    assert content["results"]["kernels"]["kernels"]["matmul"] <= 1.0
    assert gpu_check.main([*command, "--only", "curves"]) == 0
    content = json.loads(out.read_text())
    assert set(content["results"]) == {"kernels", "curves"} and not content["results"]["curves"]["wrong"]
    capsys.readouterr()
    assert gpu_check.main([*command, "--minutes", "0"]) == 0  # of the others, none fits
    said = capsys.readouterr().out
    assert "gradients: no time left" in said and "kernels: no" not in said and json.loads(out.read_text()) == content


def test_what_was_measured_outlives_a_part_that_fails_or_takes_too_long(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text(f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(gpu_check.ROOT / "benchmarks")!r})
from gpu_work import Work
from miniae.backend import get
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
work = Work(get("numpy"), get("numpy"), True, 1.0, Path(arguments["--to"]))
work.note(5.0, "kernels", "matmul")
if arguments["--part"] == "curves":
    time.sleep(60)
raise RuntimeError("illegal address")
""")
    monkeypatch.setattr(gpu_check, "__file__", str(program))
    arguments = type("Arguments", (), {"backend": "numpy"})
    written, how = gpu_check.measure(arguments, "kernels", False, 30)
    assert written["results"] == {"kernels": {"matmul": 5.0}} and how == "failed: RuntimeError: illegal address"
    assert written["wrong"] == ["matmul: 5 times the tolerance off NumPy's, at most 1 is good"]
    began = time.monotonic()
    written, how = gpu_check.measure(arguments, "curves", False, -12)  # 6 seconds
    assert written["results"] == {"kernels": {"matmul": 5.0}} and how == "stopped: the time was up"
    assert time.monotonic() - began < 30


def test_what_is_wrong_shows_in_the_exit_code(tmp_path, monkeypatch, capsys):
    endings = {"kernels": ([], "complete"), "gradients": (["dense: 0.1 off NumPy's gradients"], "complete"),
               "curves": ([], "failed: RuntimeError"), "replay": ([], "out of time")}

    def measured(arguments, part, quick, seconds):
        wrong, how = endings[part]
        return {"results": {}, "wrong": wrong, "kernel_sha256": {}}, how

    monkeypatch.setattr(gpu_check, "measure", measured)
    command = ["--backend", "strict", "--out", str(tmp_path / "g.json"), "--only"]
    assert [gpu_check.main([*command, part]) for part in endings] == [0, 1, 1, 0]
    said = capsys.readouterr().out
    assert "  dense: 0.1 off" in said and "WRONG: curves; not complete: curves" in said
    assert "nothing is wrong; not complete: replay" in said


def test_results_of_another_machine_are_not_mixed_in(tmp_path):
    path = tmp_path / "g.json"
    empty = gpu_check.started(path, {"gpu": "A"})
    assert empty["results"] == {}
    content = gpu_check.merged(empty, "speed", {"results": {"x": 1}, "wrong": [], "kernel_sha256": {"adam": "0"}},
                               "complete", 3.14)
    assert content["kernel_sha256"] == {"adam": "0"} and empty["kernel_sha256"] == {}
    assert content["results"]["speed"]["x"] == 1 and content["results"]["speed"]["seconds"] == 3.1
    path.write_text(json.dumps(content))
    assert gpu_check.started(path, {"gpu": "A"})["results"] == content["results"]
    assert gpu_check.started(path, {"gpu": "B"})["results"] == {}


def test_what_no_time_was_left_for_is_noted(work):
    assert list(work.each(["a", "b"])) == ["a", "b"]
    assert list(work.each(["a", "b"], 1e9)) == []
    assert work.results["left_out"] == {"a": "no time was left", "b": "no time was left"}
    assert json.loads(work.to.read_text())["results"] == work.results


def test_the_suite_is_counted(work, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_suite, "ROOT", tmp_path)
    files = [tmp_path / "test_made_up.py", tmp_path / "test_broken.py"]
    for file, text in zip(files, (MADE_UP_TESTS, "import nothing_of_this_name"), strict=True):
        file.write_text(text)
    gpu_suite.suite(work, files)
    found = work.results["suite"]
    assert (found["files"], found["finished"], found["passed"], found["failed"], found["skipped"]) == (2, 2, 1, 3, 1)
    assert work.results["skipped"] == {"no time": 1}
    assert [name.split("::")[-1] for name in work.results["failures"]] == ["test_broken", "test_error", "test_wrong"]
    assert json.loads(work.to.read_text())["wrong"] == work.results["failures"]
    late = Work(work.be, work.cpu, True, -1.0, work.to)
    gpu_suite.suite(late, files)
    assert late.results["suite"]["finished"] == 0 and set(late.results["left_out"]) == {f.name for f in files}


def test_hinton2006_needs_data(work, monkeypatch):
    import gpu_hinton

    monkeypatch.delenv("MINIAE_DATA", raising=False)
    gpu_hinton.hinton2006(work)
    assert "no MNIST" in work.results["left_out"]["hinton2006"]


@pytest.mark.parametrize("seconds", [600, -1])
def test_hinton2006(data_dir, work, monkeypatch, seconds):
    """The recipe on few images, in an epoch, and stopped when the time is up."""
    import gpu_hinton

    for name in ("pretrained", "fine_tuned"):
        original = getattr(gpu_hinton, name)
        monkeypatch.setattr(gpu_hinton, name, lambda *args, call=original: call(
            *(a[:200] if isinstance(a, np.ndarray) else a for a in args)))
    limited = Work(work.cpu, work.cpu, seconds > 0, seconds, work.to)
    gpu_hinton.hinton2006(limited)
    found = limited.results["hinton2006"]
    assert found["epochs"] == (1 if seconds > 0 else 50) and found["target"]["met"] == (seconds > 0)
    assert ("hinton2006" in limited.results.get("left_out", {})) == (seconds < 0)
    assert found["deep"] > 1 and found["on_cpu"]["deep"] == pytest.approx(2.587, abs=1e-3)
    assert found["whole_seconds"] >= found["pretraining_seconds"] + found["fine_tuning_seconds"] > 0
