"""Train an autoencoder and write the model, its measures and its pictures to a folder.

Without arguments: the bundled digits, pretrained layer by layer by RBMs, unrolled and fine-tuned by backpropagation.
--model chooses another kind: denoising, sparse, contractive, convolutional, variational, adversarial, ... and --set its
own settings, as often as needed: --model variational --set beta=4 --set warmup=10. miniae models lists what there is.
--resume FOLDER goes on with a run that was interrupted or killed, from its last checkpoint, to the same results.
--data takes a name (digits, mnist, fashion-mnist) or the path of a .npy, .npz, .csv, .tsv or IDX file (.gz, .idx,
-ubyte), of an image, or of a folder of images. What is no image is a table, for which some defaults are others.
mpiexec -n 4 miniae train ... trains one model by four processes, which share every minibatch (miniae[mpi]).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from miniae.backend.sharing import current_ranks
from miniae.cli import model_and_data
from miniae.cli.together import together
from miniae.data import DataError, StorageError
from miniae.models import VARIANTS
from miniae.tasks import FOR_TABLES, Run, RunConfig, RunFolder, advice, check_ranks
from miniae.training import Callback, ProgressBar, TrainingDiverged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    def option(name: str, what: str, **settings: Any) -> None:
        parser.add_argument(f"--{name.replace('_', '-')}", default=None, help=f"{what} (default: {_default(name)})",
                            **settings)

    option("data", "what to train on", metavar="NAME_OR_PATH")
    model_and_data.add_columns(parser)
    parser.add_argument("--model", default=None, metavar="NAME",
                        help=f"what to train: {', '.join(VARIANTS)} (default: {RunConfig.model})")
    option("layers", "sizes of the encoder's layers after the input, the code last; in a convolutional model numbers "
                     "of filters and the code, in a vector-quantised one filters only",
           type=_sizes, metavar="512-256-16")
    option("activation", "of the hidden layers", metavar="NAME")
    option("pretrain", "how to pretrain: auto, rbm, autoencoder, denoising, contractive or none", metavar="HOW")
    option("epochs", "epochs of fine-tuning", type=int, metavar="N")
    option("pretrain_epochs", "epochs of pretraining, for each layer", type=int, metavar="N")
    option("batch_size", "samples an update", type=int, metavar="N")
    option("optimizer", "how to fine-tune", metavar="NAME")
    option("lr", "the learning rate of fine-tuning", type=float, metavar="RATE")
    option("loss", "auto, mse, mae, huber or bce; for variational and conditional ones auto, bce or gaussian",
           metavar="NAME")
    option("scaling", "auto, none, minmax or standard", metavar="NAME")
    option("tied", "the decoder uses the encoder's weights, transposed", action=argparse.BooleanOptionalAction)
    option("use_labels", "train with the data's labels, where the model can do without: adversarial, whose prior "
                         "then is a mixture with a part for each label, unless --set says another",
           action=argparse.BooleanOptionalAction)
    option("validation", "the share of the training samples held out to watch", type=float, metavar="SHARE")
    option("backend", "numpy, cupy, cupy:1 (the second GPU, ...) or auto", metavar="NAME")
    option("dtype", "float32 or float64", metavar="NAME")
    option("precision", "what the operands of matrix products are rounded to in training: float32, tf32, float16 or "
                        "bfloat16; on a GPU shorter ones are faster", metavar="NAME")
    option("seed", "decides initial weights, shuffling and noise", type=int, metavar="N")
    option("on_nan", "of losses and gradients that are not finite numbers: stop, skip (leave those batches out) or "
                     "rollback (to the epoch before, with half the learning rate)", metavar="HOW")
    option("checkpoint_every", "a checkpoint is written after so many minutes", type=float, metavar="MINUTES")
    parser.add_argument("--resume", type=_folder, metavar="FOLDER",
                        help="go on with the run in this folder; beside it only --epochs, for more of them, --backend, "
                             "--on-nan, --checkpoint-every and --data, where the same data have moved to, can be given")
    parser.add_argument("--set", action="append", dest="own", type=_setting, metavar="NAME=VALUE",
                        help="a further setting of the model: dropout=0.2, beta=4, noise=masking, emphasis=[1,0.5]")
    parser.add_argument("--config", metavar="FILE", help="settings from the config.json of a run; options go first")
    parser.add_argument("--out", type=_folder, metavar="DIR",
                        help="a new folder for the results (default: runs/NAME-N)")


def _default(name: str) -> str:
    """The default of a setting in words: "128; 256 for sparse"."""
    kinds: dict[str, list[str]] = {}
    for kind in VARIANTS:
        value = getattr(RunConfig(model=kind), name)
        if isinstance(value, tuple):
            value = "-".join(map(str, value))
        words = {"True": "yes", "False": "no", "None": "none"}
        kinds.setdefault(words.get(str(value), str(value)), []).append(kind)
    usual, *others = sorted(kinds, key=lambda value: -len(kinds[value]))
    table = [f"for tables {FOR_TABLES[name]}"] if name in FOR_TABLES else []
    return "; ".join([usual, *(f"{value} for {', '.join(kinds[value])}" for value in others), *table])


def run(args: argparse.Namespace) -> int:
    return together(_train, args)


def _train(args: argparse.Namespace) -> int:
    ranks = current_ranks()
    say = _nothing if ranks.rank else print  # of several processes the first one speaks and writes
    with contextlib.ExitStack() as in_folder:
        kept = RunFolder(args.resume) if args.resume else None
        if kept is not None and ranks.rank == 0:
            in_folder.enter_context(kept.alone())
        config = _config(args) if kept is None else _begun(args, kept, say)
        if config is None:
            return 0
        job = _run(args, config, say)
        check_ranks(ranks, job.data)
        if kept is not None:
            kept.check(job)
            ranks.gather([0.0])  # all have read what the first one writes anew
        if ranks.rank:
            if kept is not None:
                job.progress = kept.keeping(_silence, config.checkpoint_every)
            with ranks.listening():
                job.execute()
            return 0
        if ranks.size > 1:
            print(f"{ranks.size} processes train together, by {ranks.library}")
        if kept is None:
            kept = in_folder.enter_context(RunFolder.new(args.out, config.data))
        return _train_in(kept, job)


def _train_in(kept: RunFolder, job: Run) -> int:
    """Train, and write the results and a report."""
    ranks, folder = current_ranks(), kept.path
    job.progress = kept.keeping(_progress, job.config.checkpoint_every)
    ended: BaseException | None = None
    try:
        try:
            kept.begin(job)
            with ranks.listening():
                job.execute()
        except (KeyboardInterrupt, TrainingDiverged, MemoryError) as why:
            if job.model is None:
                raise
            ended = why
            if isinstance(why, KeyboardInterrupt):
                print("interrupted: saving and measuring what has been trained (Ctrl-C again to stop)", flush=True)
        measures = job.write(folder)
        if ended is None:
            kept.finish(job)
    except StorageError as why:
        if str(why).startswith("can't write") and kept.has_checkpoint:  # a full disk, say
            raise StorageError(f"{why}. Once that is mended, {_resume(folder)} goes on") from None
        raise
    except KeyboardInterrupt:
        if job.model is None:
            raise KeyboardInterrupt("before an epoch was complete, " + (
                f"{_resume(folder)} goes on" if kept.has_checkpoint else "nothing is saved")) from None
        if not (folder / "model.safetensors").exists():  # just after the last epoch: it is not to be lost
            job.write_model(folder)
        print(f"written to {folder} so far: {_files(folder)}")
        raise
    print(_report(measures))
    if "test_bce" in measures:
        print(f"cross-entropy per test sample: {measures['test_bce']:.2f} nats, of which "
              f"{measures['test_bce_floor']:.2f} are the entropy of the data themselves")
    if ended is None and (hint := advice(job, measures)):
        print(hint)
    print(f"written to {folder}: {_files(folder)}")
    if ended is not None:
        diverged = job.config.on_nan if isinstance(ended, TrainingDiverged) else None
        print(f"miniae: training ended early; what had been trained ({job.architecture()}) is saved; "
              f"{_going_on(folder, diverged)}", file=sys.stderr)
        raise ended
    return 0


def _run(args: argparse.Namespace, config: RunConfig, say: Callable[[str], None]) -> Run:
    try:
        return Run(config, say=say)
    except DataError as why:
        if args.resume and args.data is None:
            raise DataError(f"{why}. Where the data of this run have moved to, --data says: {_resume(args.resume)} "
                            "--data PATH") from None
        raise


def _config(args: argparse.Namespace) -> RunConfig:
    """The settings that a file and the options give, options going first."""
    settings = (RunConfig.read(args.config) if args.config else {}) | _given(args)
    if args.own:
        settings["settings"] = {**settings.get("settings", {}), **dict(args.own)}
    return RunConfig(**settings)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    names = RunConfig.__dataclass_fields__
    return {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}


_CHANGEABLE = {"epochs", "backend", "on_nan", "checkpoint_every", "data"}


def _begun(args: argparse.Namespace, kept: RunFolder, say: Callable[[str], None]) -> RunConfig | None:
    """The settings of the run to go on with; None if it is finished, which is said, and no more epochs are asked for.
    """
    settings, finished = kept.settings()
    others = sorted((_given(args).keys() - _CHANGEABLE)
                    | {name for name in ("config", "out", "own") if getattr(args, name) is not None})
    if others:
        name = {"own": "set"}.get(others[0], others[0].replace("_", "-"))
        raise ValueError(f"--{name} can't be changed in a run that goes on: leave it out, or begin another run")
    epochs = RunConfig(**settings).epochs or 0
    if args.epochs is not None and args.epochs < epochs:
        raise ValueError(f"the run in {args.resume} is one of {epochs} epochs, --epochs {args.epochs} is less: give "
                         "more, or leave it out")
    if finished and args.epochs in (None, epochs):
        say(f"{args.resume} is complete: {epochs} epochs; --epochs with a larger number trains further")
        return None
    return RunConfig(**settings | _given(args))


def _resume(folder: Path | str) -> str:
    return f"miniae train --resume {folder}"


def _going_on(folder: Path, diverged: str | None) -> str:
    """How to go on with a run that ended early: interrupted, or diverged in spite of that `--on-nan`."""
    if diverged is None:
        return f"{_resume(folder)} goes on"
    if diverged == "rollback":  # it has tried lower learning rates, and what else may be at fault can't be changed here
        return "lower learning rates did not help: look for extreme values in the data, or begin another run, with " \
               "--scaling standard, say, or with --on-nan skip where it is a few batches that are at fault"
    return f"{_resume(folder)} --on-nan rollback goes on"


def _nothing(line: str) -> None:
    """Say nothing."""


def _silence(title: str) -> Sequence[Callback]:
    return []


def _progress(title: str) -> Sequence[Callback]:
    return [ProgressBar(title)]


def _files(folder: Path) -> str:
    return ", ".join(sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")))


def _report(measures: dict[str, Any]) -> str:
    scaled = "" if measures["scaling"] == "none" else f" (features scaled: {measures['scaling']})"
    yardstick = f", {_beside_pca(measures)}" if "pca_squared_error" in measures else ""
    return (f"squared error per test sample{scaled}: {measures['test_squared_error']:.4g}{yardstick}; "
            f"{measures['parameters']:,} parameters, {measures['seconds']:.1f} s")


def _beside_pca(measures: dict[str, Any]) -> str:
    ours, pca = measures["test_squared_error"], measures["pca_squared_error"]
    if max(ours, pca) < 1.005 * min(ours, pca):
        verdict = "the same"
    elif ours < pca:
        verdict = f"{pca / ours:.3g} times better" if ours else "without any error"
    else:
        verdict = f"{ours / pca:.3g} times worse" if pca > 1e-9 * ours else "which is exact"
    return f"PCA with {measures['pca_components']} components {pca:.4g} ({verdict})"


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON where it is that, and as it stands where not."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a folder, got an empty one")
    return text


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.replace(",", "-").split("-"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of sizes like 512-256-16") from None
