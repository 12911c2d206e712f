"""What the library says of its arguments, said of the command line's options."""

from __future__ import annotations

import argparse
import re

__all__ = ["in_options"]

_ASIDE = r"(?<![\w'\"/.-])", r"(?![\w'\"/-]|\.\w)"  # not within a quotation, or the name of a file
_BEFORE = r"(?:^|(?<=: )|(?<=unknown )|(?<=eave )|(?<=every size in ))"
_BEHIND = r"(?= must be| is (?:a|the|true) | '| out\b)"


def in_options(message: str, args: argparse.Namespace) -> str:
    """The message with `--on-nan` for on_nan, `--window 64` for window=64, and `--set beta=2` for beta=2.

    A name that is an ordinary word, too (epochs, data), is taken for the option's where it stands as one: "unknown
    loss 'l3'", "epochs must be". Where a file gives settings, those that no option gives keep their names in it.
    """
    from_file = bool(getattr(args, "config", None) or getattr(args, "resume", None))
    for name, option in _options(args.parser).items():
        if from_file and getattr(args, name, None) is None:
            continue
        word = re.escape(name).join(_ASIDE)
        message = re.sub(rf"{word}=(?:'([^']*)')?", rf"{option} \1", message)
        message = re.sub(word if "_" in name else f"{_BEFORE}{word}{_BEHIND}", option, message)
    for name in _settings(args):
        message = re.sub(rf"(?<!--set ){re.escape(name).join(_ASIDE)}=(?:'([^']*)')?", rf"--set {name}=\1", message)
    return message


def _options(parser: argparse.ArgumentParser) -> dict[str, str]:
    """The options of a command by their names in Python: {"on_nan": "--on-nan", "k": "-k"}."""
    actions = parser._option_string_actions.values()
    return {action.dest: next((text for text in action.option_strings if text.startswith("--")),
                              action.option_strings[0]) for action in actions}


def _settings(args: argparse.Namespace) -> list[str]:
    """What --set can set, in a command that has it."""
    if not hasattr(args, "own"):
        return []
    from miniae.models import VARIANTS
    from miniae.tasks import further_settings

    return sorted({name for kind in VARIANTS.values() for name in further_settings(kind)})
