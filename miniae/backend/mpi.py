"""Ranks that are processes started by `mpiexec`: they talk by MPI, and the GPUs among them by NCCL where it is there.

mpi4py, which this takes, is imported only where processes are to talk.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

import numpy as np

from miniae.backend import BackendUnavailable, get, kind_and_number
from miniae.backend.base import Array, Backend
from miniae.backend.sharing import ALONE, Interrupted, Ranks

__all__ = ["MPI", "launched", "ranks_here"]

# What mpiexec, of Open MPI, of MPICH and Intel MPI, and srun tell a process: its rank, and how many there are.
_TOLD = (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"),
         ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"))

# A terminal and mpiexec may both pass on one Ctrl-C: within so many seconds it is one.
_ONE_INTERRUPT = 1.0


def launched(environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """This process's rank and how many were started with it, by what mpiexec has told it: (0, 1) without one."""
    told = os.environ if environment is None else environment
    for rank, size in _TOLD:
        if told.get(rank, "").isdigit() and told.get(size, "").isdigit():
            return int(told[rank]), int(told[size])
    return 0, 1


def ranks_here() -> Ranks:
    """The ranks that mpiexec has started this process with, or `ALONE`.

    Raises `BackendUnavailable` when there are several that can't talk, so that none goes to work by itself.
    """
    _, size = launched()
    if size == 1:
        return ALONE
    try:
        ranks = MPI()
    except (ImportError, RuntimeError) as why:  # mpi4py finds no library of MPI: RuntimeError
        raise BackendUnavailable(f"mpiexec has started {size} processes to train one model together, which takes "
                                 f"mpi4py ({why}): pip install 'miniae[mpi]', or start without mpiexec") from None
    if ranks.size != size:
        raise BackendUnavailable(f"mpiexec has started {size} processes, but mpi4py sees {ranks.size}: it belongs to "
                                 f"another MPI ({ranks.library}). Use that one's mpiexec, or install mpi4py for this")
    return ranks


class MPI(Ranks):
    """All processes that one `mpiexec` has started.

        with MPI() as ranks, use_ranks(ranks):
            model.fit(X)

    An exception that leaves the block on one rank is printed, and ends all of them with exit code 1, unless it is one
    that all have (`on_all_ranks`). Within the block Ctrl-C, where mpiexec passes it on, is noted, and `check` raises
    `Interrupted` on all ranks at the same place; a second one, a second later, raises `KeyboardInterrupt` at once.
    `communicator` is one of mpi4py's, `MPI.COMM_WORLD` by default. Raises `ImportError` without mpi4py.
    """

    def __init__(self, communicator: Any = None):
        self._mpi = importlib.import_module("mpi4py.MPI")
        self._all = (communicator or self._mpi.COMM_WORLD).Dup()
        self.rank, self.size = self._all.Get_rank(), self._all.Get_size()
        here = self._all.Split_type(self._mpi.COMM_TYPE_SHARED)
        self.rank_on_machine = here.Get_rank()
        here.Free()
        version = self._mpi.Get_library_version().strip("\0").splitlines()[0]  # with further details behind a comma
        self.library = " ".join(version.split(",")[0].split())
        self._nccl: Any = None
        self._interrupted = 0.0  # when, or 0
        self._listens = ExitStack()

    def sum(self, be: Backend, a: Array) -> None:
        if isinstance(a, np.ndarray) and a.flags.c_contiguous:
            self.sum_on_host(a)
        elif be.name == "cupy" and a.flags.c_contiguous and self._by_nccl(be):
            self._nccl.sum(a)
        else:
            super().sum(be, a)

    def sum_on_host(self, a: np.ndarray) -> None:
        self._all.Allreduce(self._mpi.IN_PLACE, a.reshape(-1), self._mpi.SUM)

    def _by_nccl(self, be: Backend) -> bool:
        """Whether the GPUs can talk by themselves: NCCL is there, and every rank has a GPU of its own."""
        if self._nccl is None:
            nccl = _nccl()
            device = be.xp.cuda.Device()
            own = (os.uname().nodename, device.pci_bus_id)
            told = self._all.allgather((nccl is not None, own))
            if all(found for found, _ in told) and len({gpu for _, gpu in told}) == self.size:
                name = self._all.bcast(nccl.get_unique_id() if self.rank == 0 else None)
                self._nccl = NCCL(nccl, be.xp, self.size, name, self.rank)
            else:
                self._nccl = False
        return bool(self._nccl)

    def device(self, backend: str) -> str:
        if self.size == 1 or kind_and_number(backend)[0] not in ("auto", "cupy") or ":" in backend:
            return backend
        own = f"cupy:{self.rank_on_machine}"
        try:
            get(own)
        except BackendUnavailable:
            if backend == "cupy":
                raise
            own = "numpy"
        if len({name == "numpy" for name in self._all.allgather(own)}) > 1:
            raise BackendUnavailable("some ranks have a GPU of their own and others have none: start as many as there "
                                     "are GPUs, or choose the backend numpy")
        return own

    # ---------------------------------------------------------------- interrupts and failures

    @contextmanager
    def listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # where Python has no signals
            yield
            return
        self._interrupted, before = 0.0, signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def __enter__(self) -> MPI:
        self._listens.enter_context(self.listening())
        return self

    def __exit__(self, kind: type | None, why: BaseException | None, trace: Any) -> None:
        self._listens.close()
        if why is not None and self.size > 1 and not getattr(why, "on_all_ranks", False):
            print(f"rank {self.rank} of {self.size} has failed, which ends all of them:", file=sys.stderr)
            traceback.print_exception(why)
            self.abort(1)

    def _note(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if self._interrupted and now - self._interrupted > _ONE_INTERRUPT:
            raise KeyboardInterrupt
        self._interrupted = self._interrupted or now

    def check(self) -> None:
        if self.gather([self._interrupted > 0]).any():
            raise Interrupted

    def abort(self, code: int) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        self._all.Abort(code)
        raise SystemExit(code)


class NCCL:
    """Sums of arrays on GPUs, of which every rank has one of its own, queued on the stream that computes.

    `nccl` is `cupy.cuda.nccl`, `name` what the first rank has told all.
    """

    def __init__(self, nccl: Any, xp: Any, size: int, name: Any, rank: int):
        self._nccl, self._xp = nccl, xp
        self._types = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}
        self._communicator = nccl.NcclCommunicator(size, name, rank)

    def sum(self, a: Array) -> None:
        """Write the sum of all ranks' arrays, float32 or float64 in C order, into each."""
        stream = self._xp.cuda.get_current_stream()
        self._communicator.allReduce(a.data.ptr, a.data.ptr, a.size, self._types[str(a.dtype)], self._nccl.NCCL_SUM,
                                     stream.ptr)


def _nccl() -> Any:
    """CuPy's module of NCCL, or None where there is no library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which say that it is not there
        try:
            nccl = importlib.import_module("cupy.cuda.nccl")
        except ImportError:
            return None
    return nccl if nccl.available else None
