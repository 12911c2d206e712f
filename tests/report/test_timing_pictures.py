"""Pictures of where time goes."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.report import roofline_shares, step_parts

PARTS = [("Tanh 2x3", {"forward": 1.0, "backward": 2.0}), ("optimizer", {"": 0.5}), ("Dense", {"forward": 6.0})]


def test_a_bar_for_each_part_longest_on_top(tmp_path, figures, pixels):
    pixels(step_parts(tmp_path / "p.png", PARTS, title="A step"))
    (axes,) = figures[0].axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Dense", "Tanh 2x3", "optimizer"]
    assert [t.get_text() for t in axes.texts] == ["6.00 ms, 63.2 %", "3.00 ms, 31.6 %", "0.500 ms, 5.3 %"]
    forward, backward, other = axes.containers
    assert [bar.get_width() for bar in forward] == [6.0, 1.0, 0.0]
    assert [(bar.get_x(), bar.get_width()) for bar in backward] == [(6.0, 0.0), (1.0, 2.0), (0.0, 0.0)]
    assert "9.50 ms" in axes.get_xlabel() and figures[0].get_suptitle() == "A step"


def test_the_shortest_of_many_parts_are_one(tmp_path, figures):
    step_parts(tmp_path / "p.png", [(f"f{i}", {"forward": float(i)}) for i in range(1, 41)])
    (axes,) = figures[0].axes
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert len(names) == 25 and names[0] == "f40" and names[-1] == "16 others"
    assert axes.containers[-1][-1].get_width() == pytest.approx(np.arange(1, 17).sum())


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no parts"):
        step_parts(tmp_path / "p.png", [])
    assert not (tmp_path / "p.png").exists()


def timing(name, share):
    return {"name": name, "shape": "2x3", "milliseconds": 1.0, "flops": 6e6, "bytes": 4e6, "share": share}


def test_shares_of_the_roofline_of_several_backends(tmp_path, figures, pixels):
    results = {name: {"device": name.upper(), "roofline": {"flops": 5e10, "bytes": 1e10},
                      "kernels": [timing("tanh", factor), timing("relu", 3 * factor)], "steps": [timing("step", 0.1)]}
               for name, factor in (("numpy", 0.25), ("cupy", 0.5))}
    pixels(roofline_shares(tmp_path / "p.png", results))
    kernels, steps = figures[0].axes
    assert [t.get_text() for t in kernels.get_yticklabels()] == ["tanh 2x3", "relu 2x3"]
    assert [[bar.get_width() for bar in bars] for bars in kernels.containers] == [[25, 75], [50, 150]]
    assert [t.get_text() for t in kernels.texts] == ["1.00 ms", "1.00 ms", "1.00 ms", "1.00 ms, 150 %"]
    assert [[bar.get_width() for bar in bars] for bars in steps.containers] == [[10], [10]]
    legend = [t.get_text() for t in figures[0].legends[0].get_texts()]
    assert legend == ["numpy: at most 50.0 GFLOP/s, 10.0 GB/s (NUMPY)", "cupy: at most 50.0 GFLOP/s, 10.0 GB/s (CUPY)"]
    with pytest.raises(ValueError, match="nothing to draw"):
        roofline_shares(tmp_path / "p.png", {})
