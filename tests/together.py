"""Ranks as threads of one process, for tests: they take turns, each until it has to wait for the others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.backend.sharing import Interrupted, Ranks, use_ranks


class _Meeting:
    """Where threads bring arrays, and wait for all to have come. One thread computes at a time: it holds the `turn`."""

    def __init__(self, size: int):
        self.turn, self.barrier, self.brought = threading.Lock(), threading.Barrier(size, timeout=20), [None] * size

    def wait(self) -> None:
        self.turn.release()
        try:
            self.barrier.wait()
        finally:
            self.turn.acquire()


class ThreadRanks(Ranks):
    """One of several threads. `messages` counts the sums."""

    def __init__(self, rank: int, size: int, meeting: _Meeting):
        self.rank, self.size, self._meeting, self.messages, self.interrupted = rank, size, meeting, 0, False

    def sum_on_host(self, a: np.ndarray) -> None:
        self.messages += 1
        self._meeting.brought[self.rank] = a.copy()
        self._meeting.wait()
        a[...] = sum(self._meeting.brought[1:], self._meeting.brought[0])
        self._meeting.wait()

    def check(self) -> None:
        if self.gather([self.interrupted]).any():
            raise Interrupted


def together(size: int, work: Callable[[ThreadRanks], Any]) -> list[Any]:
    """What `work(ranks)` gives on each of so many ranks; the exception that it ended with, where it did."""
    meeting, results = _Meeting(size), [None] * size

    def run(rank: int) -> None:
        ranks = ThreadRanks(rank, size, meeting)
        with meeting.turn, use_ranks(ranks):
            try:
                results[rank] = work(ranks)
            except BaseException as why:
                results[rank] = why

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
