"""A learning rate, a size and an activation, searched by Optuna, which ends trials that don't promise much.

    python examples/search_optuna.py [--quick]

Every trial trains an autoencoder of digits and reports its validation loss after each epoch; one that is worse than the
median of the trials before it is pruned. Draws the losses of all trials. Needs Optuna: pip install 'miniae[search]'.
With --quick on fewer digits.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import optuna

from miniae import Autoencoder
from miniae.data import load
from miniae.training import Callback

EPOCHS = 12
digits = load("digits")
train = digits.train[:1500] if "--quick" in sys.argv[1:] else digits.train
train, validation = train[:-500], train[-500:]


class Pruning(Callback):
    """Tells a trial the validation loss of each epoch, and ends the training when the trial should be pruned."""

    only_device = True

    def __init__(self, trial: optuna.Trial):
        self.trial = trial

    def on_epoch_end(self, trainer, logs):
        self.trial.report(logs["val_loss"], trainer.epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"after {trainer.epoch} epochs")


def loss_of(trial: optuna.Trial) -> float:
    model = Autoencoder(
        hidden=[trial.suggest_int("units", 32, 256, log=True)], code=16, epochs=EPOCHS,
        activation=trial.suggest_categorical("activation", ["relu", "tanh", "sigmoid"]),
        lr=trial.suggest_float("lr", 1e-4, 3e-2, log=True),
    )
    model.fit(train, validation=validation, callbacks=[Pruning(trial)])
    return model.history_[-1]["val_loss"]


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0),
                            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2))
study.optimize(loss_of, n_trials=20)

pruned = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.PRUNED]
best, first = study.best_trial, study.trials[0].intermediate_values[EPOCHS]
epochs = sum(len(trial.intermediate_values) for trial in study.trials)
print(f"{len(study.trials)} trials, {len(pruned)} pruned: {epochs} epochs of {EPOCHS * len(study.trials)}")
print(f"validation loss: first {first:.2f}, best {best.value:.2f}, by {best.params['units']} units, "
      f"{best.params['activation']}, lr {best.params['lr']:.2g}")

picture = Path("runs/examples/search_optuna.png")
picture.parent.mkdir(parents=True, exist_ok=True)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for trial in study.trials:
    is_best = trial.number == best.number
    colour, label = ("tab:red", "best") if is_best else ("0.7", "pruned") if trial in pruned else ("tab:blue", "whole")
    axes.plot(*zip(*trial.intermediate_values.items(), strict=True), color=colour, marker=".", ms=4, label=label,
              zorder=3 if is_best else 2)
named = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
axes.legend(named.values(), named.keys())
axes.set(xlabel="epoch", ylabel="validation loss: squared error per digit", yscale="log",
         title=f"{len(study.trials)} trials, {len(pruned)} of them pruned")
figure.savefig(picture, dpi=150)
print(f"drawn to {picture}")
