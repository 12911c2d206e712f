"""What to try next, in one line, when a run has ended worse than it could have."""

from __future__ import annotations

import math
from typing import Any

from miniae.models import Autoencoder
from miniae.tasks.run import Run
from miniae.tasks.table_defaults import ACTIVATION, BY_BATCH, UPDATES, batch_for, layers_for
from miniae.training import epochs_for

__all__ = ["advice", "still_falling"]

_WORSE = 1.005  # times PCA's error: less is the same
_FALLING = 0.01  # of the loss, an epoch


def advice(run: Run, measures: dict[str, Any]) -> str | None:
    """What to do about a finished run, by its measures: where PCA with as many components as the code has numbers does
    better on the test samples, what most likely is the reason; else whether the loss was still falling. None where
    there is nothing to say."""
    pca = measures.get("pca_squared_error")
    worse = pca is not None and measures["test_squared_error"] > _WORSE * pca
    return (_why_worse(run, measures) if worse else None) or still_falling(run.model)


def _why_worse(run: Run, measures: dict[str, Any]) -> str | None:
    """The reason for which a run most likely ended worse than PCA, and the options that mend it."""
    config, rows, columns = run.config, *run.train.shape
    batch, plain, table = config.batch_size or 1, config.model == "autoencoder", run.data.image_shape is None
    *hidden, code = run.layers
    if plain and code >= columns:
        *_, smaller = layers_for(columns)
        way_out = f"a smaller code, --layers {_joined(layers_for(columns))} say, tells what can be learnt"
        return (f"the code has room for all features ({code} and {columns} numbers), which PCA then keeps as they are: "
                + (way_out if smaller < columns else "there is nothing to compress"))
    epochs = len(run.model.history_)
    updates = epochs * math.ceil(rows / batch)
    if updates < UPDATES:
        counts = ((updates, "update"), (epochs, "epoch"), (rows, "sample"))
        line = "{} in {} of {}".format(*(f"{n:,} {what}{'s' * (n > 1)}" for n, what in counts))
        better = batch if config.model in BY_BATCH else batch_for(rows)
        enough = f"--epochs {epochs_for(UPDATES, rows, batch)} makes {UPDATES:,}"
        if better < batch:
            enough += (f", and so does, sooner, --batch-size {better} --epochs "
                       f"{epochs_for(UPDATES, rows, better)}")
        return f"{line} are too few to do better than PCA: {enough}"
    losses = _losses(run.model)
    lowest = min(losses)
    if 0 < lowest * measures["test_squared_error"] < measures["pca_squared_error"] * losses[-1]:
        best = losses.index(lowest) + 1
        return (f"the loss of held-out samples was lowest after {best} of {epochs} epochs, and has risen since by "
                f"{100 * (losses[-1] / lowest - 1):.0f} %: fewer --epochs ({best}), or smaller --layers, learn less of "
                "what is accident")
    if not plain:  # which have more to do than to reconstruct
        return None
    if table and (config.pretrain != "none" or config.activation in ("sigmoid", "tanh")):
        return (f"{config.activation} units{'' if config.pretrain == 'none' else ' that were pretrained'} do badly on "
                f"most tables: try --pretrain none --activation {ACTIVATION}")
    if config.pretrain == "none" and config.activation == "sigmoid":
        return "sigmoid units hardly learn without pretraining: try --activation relu, or --pretrain rbm"
    if hidden and min(hidden) < 2 * code:
        wider = _joined([max(size, 4 * code) for size in hidden] + [code])
        return (f"a hidden layer of {min(hidden)} units lets little through to a code of {code}: try wider ones, "
                f"--layers {wider}")
    return still_falling(run.model) or ("these data may lie near a plane, where nothing does better than PCA: use "
                                        "that, or try other --layers and a smaller --lr")


def still_falling(model: Autoencoder) -> str | None:
    """A hint for runs that ended too early: in the last tenth of the epochs the loss fell by more than 1 % an epoch.

    The loss is the one that the model is judged by, of held-out data where there are any; likelihoods are below 0, too.
    """
    losses = _losses(model)
    back = max(len(losses) // 10, 1)
    if len(losses) <= back or not losses[-1 - back]:
        return None
    fall = (losses[-1 - back] - losses[-1]) / abs(losses[-1 - back]) / back
    if not fall > _FALLING:
        return None
    return (f"the loss was still falling by {100 * fall:.1f} % an epoch: more --epochs, or a smaller --batch-size, "
            "would help")


def _losses(model: Autoencoder) -> list[float]:
    """What the model is judged by, epoch by epoch: of held-out samples, where there are any."""
    watched = getattr(model, "monitor", "val_loss")
    return [row[watched if watched in row else watched.removeprefix("val_")] for row in model.history_]


def _joined(sizes: Any) -> str:
    return "-".join(map(str, sizes))
