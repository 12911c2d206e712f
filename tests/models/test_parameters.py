"""What docstrings say of parameters."""

from __future__ import annotations

import pytest

from miniae.models import VARIANTS, Autoencoder, DenoisingAutoencoder, meanings


class Base:
    """Something.

    Parameters
    ----------
    size, depth : of the thing
    name : what it is
        called: in full.

    Other text : which is not a parameter.
    """


class Special(Base):
    """Something special.

    Parameters beside those of `Base`
    ---------------------------------
    depth : its own.

    >>> {1 : 2}
    {1: 2}
    """


def test_sections_are_read_and_the_special_class_goes_first():
    assert meanings(Base) == {"size": "of the thing", "depth": "of the thing", "name": "what it is called: in full."}
    assert meanings(Special) == {**meanings(Base), "depth": "its own."}
    assert meanings(int) == {}


@pytest.mark.parametrize("kind", VARIANTS.values())
def test_every_parameter_of_every_kind_is_described(kind):
    assert set(kind._signature()) <= meanings(kind).keys()
    assert meanings(kind)["clip"] == meanings(Autoencoder)["clip"]


def test_a_text_of_several_lines():
    assert meanings(DenoisingAutoencoder)["noise"].endswith('scaling="minmax" makes them so.')
