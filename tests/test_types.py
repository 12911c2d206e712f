"""The types that the library tells: of all that is public, and as the program of someone who uses it sees them."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import miniae

PACKAGES = ["miniae", *(f"miniae.{name}" for name in (
    "autodiff", "backend", "functions", "nn", "optim", "data", "training", "rbm", "models", "report", "tasks"))]
# The formulas of a function, which say in its docstring what they take and give.
FORMULAS = {"forward", "backward", "jvp"}
USER = Path(__file__).parent / "typing" / "user.py"


def untyped(function):
    """What a function says no type of: names of parameters, "return"."""
    parameters = list(inspect.signature(function).parameters.values())
    names = [p.name for p in parameters if p.annotation is p.empty and p.name not in ("self", "cls")]
    if function.__name__ != "__init__" and "return" not in function.__annotations__:
        names.append("return")
    return names


def functions_of(value):
    """The public functions written for what a name stands for: a function, or the methods of a class."""
    if inspect.isfunction(value):
        yield value
    elif inspect.isclass(value):
        for kind in value.__mro__:
            for name, member in vars(kind).items() if kind.__module__.startswith("miniae") else ():
                member = getattr(member, "fget", None) or getattr(member, "__func__", member)
                hidden = name.startswith("_") and name not in ("__init__", "__call__")
                formula = issubclass(kind, miniae.Function) and name in FORMULAS
                made = not inspect.isfunction(member) or not member.__module__.startswith("miniae")  # by a dataclass
                if not (hidden or formula or made or getattr(member, "__qualname__", "").startswith("__create_fn__")):
                    yield member


def test_all_that_is_public_says_its_types():
    without, seen = [], 0
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            for function in functions_of(getattr(module, name)):
                seen += 1
                without += [f"{package}.{name}: {function.__qualname__} ({what})" for what in untyped(function)]
    assert seen > 1000
    assert not without, "\n".join(sorted(set(without)))


def test_what_has_no_type_is_found():
    class Half:
        def __init__(self, a, b: int):
            pass

        def method(self, x: int):
            pass

        @property
        def value(self):
            return 1

    Half.__init__.__module__ = Half.method.__module__ = Half.value.fget.__module__ = Half.__module__ = "miniae"
    assert [untyped(f) for f in functions_of(Half)] == [["a"], ["return"], ["return"]]


def test_the_package_says_that_it_is_typed():
    assert (Path(miniae.__file__).parent / "py.typed").is_file()


@pytest.fixture
def checker():
    pytest.importorskip("mypy", reason="the type checker is in the extra `lint`")


def environment():
    root = Path(miniae.__file__).parents[1]
    return {**os.environ, "MYPYPATH": str(root), "PYTHONPATH": str(root)}


def test_a_users_program_is_checked_strictly(checker, tmp_path, request):
    # Without the project's own configuration, and in a folder of its own, as elsewhere.
    cache = request.config.cache.mkdir("mypy")
    command = [sys.executable, "-m", "mypy", "--config-file=", f"--cache-dir={cache}", "--strict",
               "--follow-imports=silent", str(USER)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_users_program_runs(tmp_path):
    done = subprocess.run([sys.executable, str(USER)], capture_output=True, text=True, env=environment(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
