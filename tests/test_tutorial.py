"""The tutorial's code runs, top to bottom, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import math
import re
from pathlib import Path

NUMBER = r"\d+\.?\d*"
PAGE = Path(__file__).parent.parent / "examples" / "tutorial.md"


def alike(printed: str, shown: str) -> bool:
    """The same words, and numbers within 5 %: libraries of matrix products round in their own ways."""
    if re.sub(NUMBER, "", printed) != re.sub(NUMBER, "", shown):
        return False
    numbers = zip(*[map(float, re.findall(NUMBER, text)) for text in (printed, shown)], strict=True)
    return all(math.isclose(a, b, rel_tol=0.05, abs_tol=1e-6) for a, b in numbers)


def test_what_is_alike():
    assert alike("error 50.5 of 0\n", "error 51.7 of 0\n") and alike("0.0", "0")
    assert not alike("error 50.5", "error 54") and not alike("0.01", "0") and not alike("50", "50 50")


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
