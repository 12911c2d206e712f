"""Every layer's gradients, on every backend."""

from __future__ import annotations

from miniae import nn
from miniae.nn.catalogue import check_layers, layer_examples


def test_every_layer_has_the_right_gradients(backend):
    rows = check_layers(backend)
    assert max(r.gradient_error for r in rows) < 1e-6, rows
    assert max(r.jvp_error for r in rows) < 1e-6, rows


def test_no_layer_is_left_out():
    public = {name: getattr(nn, name) for name in nn.__all__}
    layers = {name for name, kind in public.items() if isinstance(kind, type) and issubclass(kind, nn.Layer)}
    assert layers - {"Layer"} == set(layer_examples())
