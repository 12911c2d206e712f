"""A command by several processes that mpiexec has started: the first speaks, and none waits for one that has failed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from miniae.backend import BackendUnavailable
from miniae.backend.mpi import launched, ranks_here
from miniae.backend.sharing import Interrupted, use_ranks
from miniae.cli import exit_code

__all__ = ["together"]

# What one rank finds wrong all may find: for so many seconds the others leave it to the first to say so and end them.
_PATIENCE = 2.0


def together(command: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """The exit code of a command with these arguments on the ranks that mpiexec has started, or on this process alone.

    What goes wrong on one rank, and not on all alike, is said by that rank, and ends all.
    """
    rank, _ = launched()
    try:
        ranks = ranks_here()
    except BackendUnavailable:
        if rank == 0:
            raise
        return 2
    if ranks.size == 1:
        return command(args)
    failed = False

    def guarded() -> int:
        nonlocal failed
        try:
            return command(args)
        except BaseException as why:
            failed = not getattr(why, "on_all_ranks", False)
            if ranks.rank and not failed:  # the first rank says it
                return 130 if isinstance(why, Interrupted) else 2
            if ranks.rank:
                time.sleep(_PATIENCE)
            raise

    code = 1
    try:
        with use_ranks(ranks):
            code = exit_code(guarded, args, f"rank {ranks.rank}: " if ranks.rank else "")
    finally:
        if failed:
            ranks.abort(code)
    return code
