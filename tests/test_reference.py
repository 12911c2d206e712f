"""The docstrings are what the pages of the API reference take them for, and mangled ones would be found."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import miniae

HERE = Path(__file__).parent.parent / ".ci" / "reference"


def script(name: str):
    spec = importlib.util.spec_from_file_location(f"reference_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


docstrings, check = script("docstrings"), script("check")
PACKAGES = ["miniae", *(f"miniae.{part.name}" for part in pkgutil.iter_modules(miniae.__path__)
                        if part.name != "__main__")]


def public():
    """The docstrings of all that packages show, by name."""
    for package in map(importlib.import_module, PACKAGES):
        yield package.__name__, package.__doc__
        for name in package.__all__:
            thing = getattr(package, name)
            members = vars(thing).items() if inspect.isclass(thing) else []
            for path, part in [(name, thing), *((f"{name}.{member}", part) for member, part in members)]:
                part = getattr(part, "__func__", part)
                if callable(part) or isinstance(part, property):
                    yield f"{package.__name__}.{path}", part.__doc__ or ""


def test_a_section_becomes_a_list():
    assert docstrings.as_markdown("""Says how odd rows are.

Parameters beside those of `Autoencoder`
----------------------------------------
noise : the levels : one for
    each member.
seed, dtype : as in `Autoencoder`.

The defaults are good.

Attributes
----------
members_ : the autoencoders.

>>> 1 + 1
2

    name : a formula""") == """Says how odd rows are.

**Parameters beside those of `Autoencoder`**

- `noise`: the levels : one for
  each member.
- `seed`, `dtype`: as in `Autoencoder`.

The defaults are good.

**Attributes**

- `members_`: the autoencoders.

>>> 1 + 1
2

    name : a formula"""


def test_every_section_of_every_docstring_becomes_a_list():
    seen = 0
    for name, text in public():
        text = inspect.cleandoc(text)
        sections = re.findall(r"^(.+)\n---+\n((?:.+\n?)+)", text, re.MULTILINE)
        after = docstrings.as_markdown(text)
        for heading, body in sections:
            items = [line for line in body.splitlines() if not line.startswith(" ")]
            assert all(re.match(r"\w+(, \w+)* : ", item) for item in items), (name, items)
            assert not re.search(r"[.;] \w+ : ", body), f"{name}: two names in one line"
            assert f"**{heading}**\n\n- `" in after, name
            seen += len(items)
        assert not re.search(r"^(---|\w+ : )", after, re.MULTILINE), name
        assert (after == text) == (not sections), name
    assert seen > 150


def test_pages_begin_with_what_their_packages_tell_of():
    assert docstrings.in_order(miniae)[:2] == ["Autoencoder", "VariationalAutoencoder"]
    for package in map(importlib.import_module, PACKAGES):
        names = docstrings.in_order(package)
        assert sorted(names) == sorted(package.__all__)
        told = list(dict.fromkeys(name for name in re.findall(r"`(\w+)`", package.__doc__ or "") if name in names))
        assert names[:len(told)] == told, package.__name__
    assert set(docstrings.in_order(miniae)) - set(re.findall(r"`(\w+)`", miniae.__doc__)) == {"functions"}
    assert set(re.findall(r"`(miniae\.\w+)`", miniae.__doc__)) == set(PACKAGES[1:])


@pytest.mark.parametrize("html, what", [
    ("<p>noise : the levels</p>", "a section that has not become a list"),
    ("<ul>\n<li><strong>noise</strong> (the levels):</li>\n<li><strong>&gt;&gt;&gt; 1 + 1</strong></li>", "an example"),
    ("<p>Parameters\n----------\nnoise</p>", "a section"),
    ("<h2>Parameters</h2>", "a heading"),
    ("<p>as in `Autoencoder</p>", "a backtick"),
])
def test_what_is_mangled_is_found(html, what):
    assert check.left_over(html)[0].startswith(what)


def test_what_is_well_is_not_taken_for_mangled():
    assert not check.left_over("<p>Minus <code>a</code>: x -- y.</p>\n<pre>&gt;&gt;&gt; x\nname : `b` **2**</pre>")
    assert check.missing('<section id="PCA">', ["PCA", "RBM"]) == ["RBM"]


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html">b</a> <a class="x" href="b.html#there">b</a> <a href="#a">a</a>')
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html">a</a> <a href="https://pdoc.dev">pdoc</a></p>')
    assert check.dead_links(tmp_path) == ["a.html: #a"]
    (tmp_path / "b.html").unlink()
    assert sorted(check.dead_links(tmp_path)) == ["a.html: #a", "a.html: b.html", "a.html: b.html#there"]
