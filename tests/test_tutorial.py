"""The tutorial's code runs, top to bottom, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

NUMBER = r"\d+\.?\d*"
PAGE = Path(__file__).parent.parent / "examples" / "tutorial.md"


def alike(printed: str, shown: str) -> bool:
    """The same words, and numbers within 5 %: libraries of matrix products round in their own ways."""
    numbers = zip(*[map(float, re.findall(NUMBER, text)) for text in (printed, shown)], strict=True)
    return re.sub(NUMBER, "", printed) == re.sub(NUMBER, "", shown) and all(abs(a / b - 1) < 0.05 for a, b in numbers)


def test_the_tutorial_prints_what_stands_below_its_blocks():
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(), re.S)
    names: dict[str, object] = {}
    printed, shown = "", 0
    for kind, text in blocks:
        if kind == "python":
            assert not printed, f"the page does not show what was printed: {printed}"
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, str(PAGE), "exec"), names)
            printed = out.getvalue()
        else:
            assert alike(printed, text), f"{printed!r} instead of {text!r}"
            printed, shown = "", shown + 1
    assert shown >= 5
