"""Blocks for one process at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

import miniae.data.locking as locking
from miniae.data.locking import Taken, alone


def test_one_at_a_time(tmp_path):
    path = tmp_path / ".lock"
    for _ in range(2):
        with alone(path):
            assert path.exists()
            with pytest.raises(Taken), alone(path):
                pass
            assert path.exists()
        assert not path.exists()
    with pytest.raises(KeyError), alone(path):
        raise KeyError
    assert not path.exists()


def test_a_process_that_is_killed_leaves_a_file_but_no_lock(tmp_path):
    path = tmp_path / ".lock"
    program = ("import sys; from miniae.data.locking import alone\nwith alone(sys.argv[1]):\n"
               "  print(1, flush=True); input()")
    process = subprocess.Popen([sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.read(1)
    with pytest.raises(Taken), alone(path):
        pass
    process.kill()
    process.communicate()
    assert path.exists()
    with alone(path):
        pass
    assert not path.exists()


def test_where_no_lock_can_be_had_all_goes_on(tmp_path, monkeypatch):
    entered = []
    with alone(tmp_path / "missing" / ".lock"):
        entered.append(1)

    def lock(handle):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locking, "_lock", lock)
    with alone(tmp_path / ".lock"):
        entered.append(2)
    assert entered == [1, 2]


def test_a_lock_on_a_file_that_was_just_removed_is_none(tmp_path, monkeypatch):
    """Else a third process could lock a new one beside it."""
    path, real, removed = tmp_path / ".lock", locking._lock, []

    def lock(handle):
        real(handle)
        if len(removed) < 2:  # the process that had it has left between opening and locking, and another has come
            path.unlink()
            removed.append(1)
            if len(removed) == 2:
                path.touch()

    monkeypatch.setattr(locking, "_lock", lock)
    with alone(path):
        assert os.path.exists(path) and len(removed) == 2
        monkeypatch.setattr(locking, "_lock", real)
        with pytest.raises(Taken), alone(path):
            pass
