"""The command line: one module a command, each with `add_arguments` and `run`.

Exit codes: 0 done, 1 a mistake in miniae, 2 something the user can mend (a line on stderr says what), 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from miniae import __version__
from miniae.cli.wording import in_options

__all__ = ["exit_code", "main"]

_COMMANDS = {
    "train": "train an autoencoder of any kind; without arguments, a stacked one on the bundled digits",
    "reconstruct": "put data through a model's encoder and decoder",
    "denoise": "take the noise out of data",
    "generate": "make new samples",
    "interpolate": "show what lies between samples",
    "recommend": "say what users might like, by the ratings they gave",
    "classify": "learn a classifier on a model's features, and tell the classes of data by it",
    "encode": "turn data into a model's codes",
    "export": "write a model for other programs: as an ONNX graph, or as weights for PyTorch",
    "index": "make an index of data, in which what is like a sample is found",
    "texts": "learn what texts are about, and make an index in which those like a text are found",
    "search": "find what is like a sample or a text, in an index",
    "map": "draw a map of data, by a model's codes",
    "evaluate": "measure how well a model reconstructs data",
    "detect": "find anomalies, and say what is odd about them",
    "inspect": "find defects in images of any size, with heat maps of where they are",
    "restore": "take the noise out of images of any size, patch by patch",
    "series": "find anomalies in a series",
    "compress": "make small files of images",
    "decompress": "make images again of such files",
    "compressor": "train a compressor for images of your own kind",
    "gradcheck": "compare gradients with finite differences",
    "models": "list the kinds of autoencoders and their settings",
    "explain": "write a page that shows a run from the inside",
    "info": "describe a model file",
    "bench": "measure how fast kernels and training steps are here",
    "profile": "show where a training step's time goes",
    "backends": "list the devices that can be used",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, once, also where mpiexec has started several."""

    def error(self, message: str) -> NoReturn:
        from miniae.backend.mpi import launched

        rank, _ = launched()
        self.exit(2, None if rank else f"miniae: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="miniae", description="Autoencoders from first principles.")
    parser.add_argument("--version", action="version", version=f"miniae {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, what in _COMMANDS.items():
        module = importlib.import_module(f"miniae.cli.{name}")
        command = commands.add_parser(name, help=what, description=module.__doc__, allow_abbrev=False,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(command)
        command.set_defaults(run=module.run, parser=command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    try:
        parser = _parser()
        args, unknown = parser.parse_known_args(arguments)
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as done:
        return int(done.code or 0)
    with warnings.catch_warnings():
        # Commands compare the names of columns themselves, and hand on plain arrays.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        return exit_code(lambda: args.run(args), args)


def _in_words_of(args: argparse.Namespace, why: Exception) -> str:
    """What an exception says. Of arguments, the library says it in the words of Python; of files and data, not, but
    there are names in it that may look like arguments."""
    from miniae.data import DataError, StorageError

    return str(why) if isinstance(why, (DataError, StorageError)) else in_options(str(why), args)


def exit_code(run: Callable[[], int | None], args: argparse.Namespace, who: str = "") -> int:
    """The exit code of `run`; what has gone wrong is said on stderr, in the words of the command whose arguments these
    are, after the name of who says it."""
    try:
        return run() or 0
    except KeyboardInterrupt as why:
        _complain(who + ": ".join(["interrupted", *(str(a) for a in why.args)]))  # map is one of our modules here
        return 130
    except BrokenPipeError:  # the reader of our output has gone away, `miniae ... | head` say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as why:
        _complain(who + in_options(_about_memory(str(why)), args))
        return 2
    except Exception as why:
        if _mendable(why):
            _complain(who + (_in_words_of(args, why) or type(why).__name__))
            return 2
        if os.environ.get("MINIAE_TRACEBACK"):
            raise
        _complain(f"{who}this is a mistake in miniae, please report it: {type(why).__name__}: {why} "
                  "(MINIAE_TRACEBACK=1 shows where)")
        return 1


def _mendable(why: Exception) -> bool:
    """Whether it is for the user to mend: bad input, a missing file or device, a run that diverged."""
    from miniae.backend import BackendUnavailable
    from miniae.training import TrainingDiverged

    return isinstance(why, (ValueError, OSError, BackendUnavailable, TrainingDiverged))


def _about_memory(why: str) -> str:
    """What a `MemoryError` says, and how much of the host's memory is free where it has nothing to say of a device."""
    from miniae.backend import get
    from miniae.backend.shortage import shortage

    if why.lower().startswith("out of memory"):
        return why
    info = get("numpy").device_info()
    return shortage("the CPU", why or "an allocation failed", info.get("memory_free"), info.get("memory_total"))


def _complain(message: str) -> None:
    print(f"miniae: {' '.join(message.split())}", file=sys.stderr)
