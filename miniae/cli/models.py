"""List the kinds of autoencoders that can be trained, each with its own settings and their defaults.

With a NAME: all settings of that kind. They are for miniae train --model NAME --set SETTING=VALUE, where null is
Python's None.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import textwrap
from typing import Any

from miniae.models import VARIANTS, Autoencoder, Prior, meanings
from miniae.tasks import further_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="the kind to describe (default: all, in short)")


def run(args: argparse.Namespace) -> int:
    if args.name is None:
        for name, kind in VARIANTS.items():
            print(_summary(name, kind))
            for setting, default in (own_settings(kind) or further_settings(kind)).items():
                sentence, *_ = re.split(r"(?<=\.) (?=[A-Z\"])", meanings(kind).get(setting, ""))
                _describe(setting, default, sentence)
        print("\nWhat can be set of an autoencoder can be set of all. miniae models NAME says more of one kind.")
        return 0
    if args.name not in VARIANTS:
        raise ValueError(f"unknown model {args.name!r}: expected one of {', '.join(VARIANTS)}")
    kind = VARIANTS[args.name]
    print(_summary(args.name, kind))
    for setting, default in (own_settings(kind) | further_settings(kind)).items():
        _describe(setting, default, meanings(kind).get(setting, ""))
    return 0


def own_settings(kind: type[Autoencoder]) -> dict[str, Any]:
    """The further settings that a plain autoencoder does not have, or has with another default, and the defaults."""
    plain = further_settings(Autoencoder)
    return {name: value for name, value in further_settings(kind).items() if name not in plain or plain[name] != value}


def as_given(name: str, value: Any) -> str:
    """A setting as --set takes it: NAME=VALUE, the value as JSON unless it is a string."""
    plain = value if isinstance(value, str) else json.dumps(value.config() if isinstance(value, Prior) else value)
    return f"{name}={plain}"


def _summary(name: str, kind: type[Autoencoder]) -> str:
    what = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
    return textwrap.fill(f"{name}: {what} In Python: miniae.{kind.__name__}", 120, subsequent_indent="    ")


def _describe(name: str, default: Any, meaning: str) -> None:
    print(textwrap.fill(meaning, 120, initial_indent=f"  {as_given(name, default):<25} ", subsequent_indent=" " * 28))
