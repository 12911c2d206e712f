"""Pictures of where time goes."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.report import step_parts

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
