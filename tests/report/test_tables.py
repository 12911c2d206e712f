"""Pictures of tables: columns by their names, in one palette, readable with few and with many."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from miniae.report import canvas, filters, latent, reconstructions
from miniae.report.tables import MOST

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

RNG = np.random.default_rng(0)


def names(count):
    return [f"blood pressure at hour {i} of the day" if i % 3 == 0 else f"c{i}" for i in range(count)]


def boxes(figure, wanted):
    """Where texts with those words are, in dots."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    return [t.get_window_extent() for t in figure.findobj(Text) if t.get_text() in wanted and t.get_visible()]


@pytest.mark.parametrize("columns", [1, 4, 60])
def test_names_can_be_read(columns, figures, tmp_path):
    """Each is there, in letters of 6 points or more, and none reaches into another or out of the picture."""
    x = RNG.normal(size=(30, columns))
    reconstructions(tmp_path / "a.png", x, {"autoencoder": 0.9 * x, "PCA": 0.8 * x}, names=names(columns))
    filters(tmp_path / "b.png", RNG.normal(size=(columns, 64)), names=names(columns))
    for figure in figures:
        ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        assert len(set(ticks)) == columns and all(tick.get_fontsize() >= 6 for tick in figure.axes[0].get_yticklabels())
        assert all(b.split()[0] in a for a, b in zip(ticks, names(columns), strict=True))
        found = boxes(figure, set(ticks))
        assert len(found) == columns and min(box.x0 for box in found) >= 0
        found.sort(key=lambda box: box.y0)
        assert all(a.y1 <= b.y0 + 2 for a, b in zip(found, found[1:], strict=False))


def test_one_scale_of_colours_symmetric_about_zero(figures, tmp_path):
    x = RNG.normal(size=(12, 5)) + 1
    reconstructions(tmp_path / "a.png", x, {"autoencoder": 0.9 * x, "PCA": 5 * x}, names=list("abcde"), columns=7)
    filters(tmp_path / "b.png", RNG.normal(size=(5, 9)) - 1, names=list("abcde"))
    shown = [axes.get_images()[0] for figure in figures for axes in figure.axes if axes.get_images()]
    assert len(shown) == 4 and {image.get_cmap().name for image in shown} == {"RdBu_r"}
    assert all(image.get_clim()[0] == -image.get_clim()[1] for image in shown)
    assert len({image.get_clim() for image in shown[:3]}) == 1
    np.testing.assert_allclose(shown[0].get_array(), x[:7].T)
    np.testing.assert_allclose(shown[2].get_array(), 5 * x[:7].T)


def test_errors_of_samples_and_of_columns(figures, tmp_path):
    x = RNG.normal(size=(12, 4))
    y = x.copy()
    y[0, 1] += 3.0
    reconstructions(tmp_path / "a.png", x, {"near": y, "far": x + 1}, names=list("abcd"), title="A table")
    from matplotlib.text import Text

    written = [text.get_text() for text in figures[0].findobj(Text)]
    assert {"original", "near", "far", "A table", "9.00", "mean 0.750", "mean 4.00"} <= set(written)
    bars = figures[0].axes[3]
    assert bars.get_title("left") == "error of each column"
    widths = [[patch.get_width() for patch in each] for each in bars.containers]
    np.testing.assert_allclose(widths, [[0, 9 / 12, 0, 0], [1, 1, 1, 1]], atol=1e-12)


def test_too_many_names_and_images_are_drawn_as_without(tmp_path):
    x = RNG.normal(size=(4, MOST + 1))
    plain = reconstructions(tmp_path / "a.png", x, x / 2).read_bytes()
    assert reconstructions(tmp_path / "b.png", x, x / 2, names=names(MOST + 1)).read_bytes() == plain
    plain = filters(tmp_path / "a.png", x.T).read_bytes()
    assert filters(tmp_path / "b.png", x.T, names=names(MOST + 1)).read_bytes() == plain
    plain = filters(tmp_path / "a.png", x[:, :16].T, (4, 4)).read_bytes()
    assert filters(tmp_path / "b.png", x[:, :16].T, (4, 4), names=names(16)).read_bytes() == plain


def test_a_name_is_no_formula(figures, tmp_path):
    """Nor is one in a script that the font does not have a warning for each of its letters."""
    odd = [r"$\frac{", "50 $", "价格", r"a_$b$_c"]
    x = RNG.normal(size=(8, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reconstructions(tmp_path / "a.png", x, x / 2, names=odd)
        latent(tmp_path / "b.png", x[:, :2], np.array([r"$\frac{", "$a$"] * 4), of=r"$\x$")
    assert [tick.get_text() for tick in figures[0].axes[0].get_yticklabels()] == [canvas.plain(name) for name in odd]


def test_names_of_other_columns_are_refused(tmp_path):
    x = RNG.normal(size=(4, 3))
    for draw in (lambda: reconstructions(tmp_path / "a.png", x, x, names=["a"]),
                 lambda: filters(tmp_path / "a.png", x.T, names=["a"])):
        with pytest.raises(ValueError, match="1 names and [34] features: give one for each"):
            draw()
    assert not list(tmp_path.iterdir())
