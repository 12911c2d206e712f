"""What a training run is made of, as plain values that a JSON file can hold."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from miniae.backend import kind_and_number
from miniae.backend.precision import PRECISIONS
from miniae.data import DATASETS, SCALINGS, DataError
from miniae.data.errors import a_kind
from miniae.functions import ACTIVATIONS
from miniae.models import PRETRAINING, VARIANTS, Autoencoder
from miniae.optim import OPTIMIZERS
from miniae.training import ON_NAN, check_count, check_number

__all__ = ["LAYERS", "RunConfig", "further_settings"]

LAYERS = {
    "autoencoder": (512, 256, 16),
    "sparse": (196,), "l1-sparse": (196,), "k-sparse": (196,),  # many units, of which few are active
    "contractive": (128,),
    "convolutional": (16, 32, 16), "vector-quantised": (16, 32),  # filters
}
"""The default layers of each model; of those that are not here, the autoencoder's."""

_TRAINING = ("epochs", "batch_size", "optimizer", "lr", "tied")
"""The settings that are by default what the model's class has by default."""

_FINE_TUNING = {"lr": 2e-3}
"""But for a plain autoencoder, which a run pretrains and then fine-tunes."""

_CHOICES = {
    "activation": ("auto", *ACTIVATIONS),
    "pretrain": ("auto", *PRETRAINING, "none"),
    "optimizer": tuple(OPTIMIZERS),
    "scaling": ("auto", "none", *SCALINGS),
    "dtype": ("float32", "float64"),
    "precision": PRECISIONS,
    "on_nan": ON_NAN,
}


_OPEN = (None, "auto")


@dataclass(frozen=True)
class RunConfig:
    """The settings of a run. Raises `ValueError`, naming the setting, for values that make no sense.

    `label` and `drop` are columns of a table, by name or by number from 1: the one that holds labels, and those that
    are left out. `model` is a name from `models.VARIANTS`, and `settings` are further parameters of that class, by
    name. `layers` are the encoder's sizes from the first hidden layer to the code (in a convolutional model how many
    filters each level has, and the code; in a vector-quantised one only the filters); None is what `LAYERS` has. Where
    `epochs`, `batch_size`, `optimizer`, `lr` or `tied` is None, it becomes what the model's class has by default.
    "auto" is, for `pretrain`: RBMs below a plain autoencoder of sigmoid units, and none elsewhere; for `activation`:
    sigmoid where there is pretraining, and relu elsewhere; for `scaling`: data in [0, 1] are left as they are and
    others standardised; for `loss`: "bce" for data in [0, 1], and for others "mse", or what a model says of real data.
    `use_labels` has an adversarial model trained with the data's labels, and its prior, unless `settings` say another,
    be a mixture with a part for each; a conditional one is trained with labels in any case. `on_nan` is what is done
    about losses and gradients that are not finite (`training.on_nan`), and `checkpoint_every` are the minutes between
    two checkpoints. A run on a table has other defaults (see `tasks.table_defaults`).
    """

    data: str = "digits"
    label: str | None = None
    drop: tuple[str, ...] = ()
    model: str = "autoencoder"
    layers: tuple[int, ...] | None = None
    activation: str = "auto"
    pretrain: str = "auto"
    epochs: int | None = None
    pretrain_epochs: int = 5
    batch_size: int | None = None
    optimizer: str | None = None
    lr: float | None = None
    loss: str = "auto"
    scaling: str = "auto"
    tied: bool | None = None
    use_labels: bool = False
    validation: float = 0.1
    backend: str = "auto"
    dtype: str = "float32"
    precision: str = "float32"
    seed: int = 0
    on_nan: str = "stop"
    checkpoint_every: float = 5.0
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        vars(self)["_given"] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if not isinstance(self.data, str) or not isinstance(self.label, (str, type(None))):
            raise ValueError(f"data and label are names, got {self.data!r} and {self.label!r}")
        if not isinstance(self.drop, (list, tuple)) or not all(isinstance(name, str) for name in self.drop):
            raise ValueError(f"drop are names of columns, got {self.drop!r}")
        object.__setattr__(self, "drop", tuple(self.drop))
        if self.model not in tuple(VARIANTS):
            raise ValueError(f"unknown model {self.model!r}: expected one of {', '.join(VARIANTS)}")
        own = {name: p.default for name, p in VARIANTS[self.model]._signature().items()}
        own |= _FINE_TUNING if self.model == "autoencoder" else {}
        for name in _TRAINING:
            if getattr(self, name) is None:
                object.__setattr__(self, name, own[name])
        for name in ("tied", "use_labels"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is true or false, got {getattr(self, name)!r}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: expected one of {', '.join(choices)}")
        kind_and_number(self.backend)
        losses = ("auto", *VARIANTS[self.model].losses)
        if self.loss not in losses:
            raise ValueError(f"unknown loss {self.loss!r} for the model {self.model}: expected one of "
                             f"{', '.join(losses)}")
        if self.use_labels and not VARIANTS[self.model].takes_labels:
            able = [name for name, kind in VARIANTS.items() if kind.takes_labels]
            raise ValueError(f"the model {self.model} has no use for labels: leave use_labels out, or choose "
                             f"{' or '.join(able)}")
        if self.layers is None:
            object.__setattr__(self, "layers", LAYERS.get(self.model, LAYERS["autoencoder"]))
        if not isinstance(self.layers, (list, tuple)) or not self.layers:
            raise ValueError(f"layers are the sizes of the hidden layers and of the code, got {self.layers!r}")
        object.__setattr__(self, "layers", tuple(check_count("every size in layers", n) for n in self.layers))
        if self.model == "convolutional" and len(self.layers) < 2:
            raise ValueError("the layers of a convolutional model are numbers of filters and, last, the size of its "
                             f"code: give two or more, 16-{self.layers[0]} say; got {self.layers[0]}")
        for name, least in {"epochs": 1, "pretrain_epochs": 1, "batch_size": 1, "seed": 0}.items():
            check_count(name, getattr(self, name), least)
        if self.seed + len(self.layers) > 2**63:  # each layer is pretrained with the next seed
            raise ValueError(f"seed must be below 2**63 less the number of layers, got {self.seed}")
        if not _is_number(self.lr) or not 0 < self.lr <= sys.float_info.max:
            raise ValueError(f"lr must be a positive number, got {self.lr!r}")
        if not _is_number(self.validation) or not 0 <= self.validation < 1:
            raise ValueError(f"validation is the share of samples held out, from 0 to below 1; got {self.validation!r}")
        check_number("checkpoint_every", self.checkpoint_every)
        object.__setattr__(self, "settings", check_settings(self.model, self.settings))
        if self.pretrain == "auto":
            below = self.model == "autoencoder" and self.activation in ("auto", "sigmoid") and not self.settings
            object.__setattr__(self, "pretrain", "rbm" if below else "none")
        if self.pretrain != "none" and (self.model != "autoencoder" or self.settings):
            raise ValueError("pretraining is for plain autoencoders without further settings, got model "
                             f"{self.model!r} and pretrain {self.pretrain!r}: choose pretrain none")
        if self.activation == "auto":
            object.__setattr__(self, "activation", "relu" if self.pretrain == "none" else "sigmoid")
        if self.pretrain == "rbm" and self.activation != "sigmoid":
            raise ValueError(f"pretraining by RBMs makes sigmoid units, got activation {self.activation!r}: choose "
                             "sigmoid, or pretrain by autoencoder or none")

    @property
    def left_open(self) -> set[str]:
        """The settings for which nothing was given but to choose what is best."""
        return {name for name, value in vars(self)["_given"].items() if value in _OPEN}

    def but(self, **settings: Any) -> RunConfig:
        """As if these settings had been given, beside those that were: what was left open stays so."""
        return RunConfig(**{**vars(self)["_given"], **settings})

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**dataclasses.asdict(self), "layers": list(self.layers or ()), "drop": list(self.drop)}

    def portable(self) -> dict[str, Any]:
        """The settings as JSON values that repeat the run from any folder, and on any machine of this kind."""
        kind, _ = kind_and_number(self.backend)  # its number is this machine's
        return {**self.to_dict(), "backend": kind,
                "data": self.data if self.data in DATASETS else os.path.abspath(self.data)}

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> dict[str, Any]:
        """The settings in a JSON file, for `RunConfig(**settings)`. Raises `DataError` when they can't be used."""
        path = Path(path)
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"{path} does not exist: give a config.json that a run wrote, or one like it") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as why:
            raise DataError(f"{path} can't be read as JSON ({why}): give a config.json that a run wrote") from None
        if not isinstance(settings, dict):
            raise DataError(f"{path} holds {a_kind(settings)}, expected a JSON object of settings")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(settings.keys() - known)
        if unknown:
            raise DataError(f"{path} has the unknown setting {unknown[0]!r}: expected {', '.join(sorted(known))}")
        return settings


def check_settings(model: str, settings: Any) -> dict[str, Any]:
    """`settings` if they are parameters of that model which a run does not have of its own. Raises `ValueError`."""
    if not isinstance(settings, dict):
        raise ValueError(f"settings are names and values, got {settings!r}")
    names = further_settings(VARIANTS[model])
    for name in settings:
        if name not in names:
            raise ValueError(f"the model {model} has no further setting {name!r}: expected one of {', '.join(names)}")
    return dict(settings)


def further_settings(kind: type[Autoencoder]) -> dict[str, Any]:
    """The parameters of that class which a run does not have of its own, so that `settings` can, and their defaults."""
    own = {field.name for field in dataclasses.fields(RunConfig)} | {"hidden", "filters", "code", "image_shape"}
    own |= set(Autoencoder.in_network)  # layers, which JSON can't hold
    return {name: p.default for name, p in kind._signature().items() if name not in own}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
