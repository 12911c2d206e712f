"""Maps in space and with images at their places; the colours of classes."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.models import PCA
from miniae.report import latent, latent_3d, maps, thumbnails

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

RNG = np.random.default_rng(0)
CODES = RNG.standard_normal((60, 3))
LABELS = np.arange(60) % 3


# -------------------------------------------------------------------- in space

def test_two_views_of_the_same_points(figures, tmp_path):
    latent_3d(tmp_path / "a.png", CODES, LABELS, title="codes")
    left, right = (axes for axes in figures[0].axes if hasattr(axes, "get_zlabel"))
    assert (left.elev, left.azim) != (right.elev, right.azim)
    for axes in (left, right):
        assert [axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()] == ["code 1", "code 2", "code 3"]
        x, y, z = (np.asarray(part) for part in axes.collections[0]._offsets3d)
        drawn = np.stack([x, y, z], axis=1)
        np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], CODES[np.lexsort(CODES.T)])
        assert [text.get_text() for text in axes.texts] == ["0", "1", "2"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["0", "1", "2"]


def test_more_numbers_and_several_maps(figures, tmp_path, pixels):
    wide = RNG.standard_normal((60, 5)) * [5, 4, 3, 1, 1]
    one = pixels(latent_3d(tmp_path / "a.png", wide))
    two = pixels(latent_3d(tmp_path / "b.png", {"one": CODES, "other": CODES}, RNG.random(60)))
    assert two.shape[0] > 1.8 * one.shape[0] and two.shape[1] == one.shape[1]
    assert "component 1 (" in figures[0].axes[0].get_xlabel()
    x = np.asarray(figures[0].axes[0].collections[0]._offsets3d[0])
    np.testing.assert_allclose(np.sort(x), np.sort(PCA(3).fit(wide).transform(wide)[:, 0]))
    assert len([axes for axes in figures[1].axes if hasattr(axes, "get_zlabel")]) == 4


@pytest.mark.parametrize("draw, numbers", [(latent, 2), (latent_3d, 3)])
def test_axes_are_called_by_what_made_the_map(draw, numbers, figures, tmp_path):
    draw(tmp_path / "a.png", CODES[:, :numbers], what="t-SNE")
    axes = figures[0].axes[0]
    names = [axis.get_label_text() for axis in (axes.xaxis, axes.yaxis, getattr(axes, "zaxis", None)) if axis]
    assert names == [f"t-SNE {i + 1}" for i in range(numbers)]


def test_space_needs_three_numbers(tmp_path):
    with pytest.raises(ValueError, match="codes have 2 dimensions, expected at least 3"):
        latent_3d(tmp_path / "a.png", CODES[:, :2])
    with pytest.raises(ValueError, match="one codes have 1 dimension, expected"):
        latent_3d(tmp_path / "a.png", {"one": CODES[:, :1]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codes", [np.zeros((1, 4)), np.ones((5, 3)), np.zeros((2, 5))])
def test_points_that_do_not_vary(codes, tmp_path, pixels):
    assert pixels(latent_3d(tmp_path / "a.png", codes)).std() > 1
    assert pixels(thumbnails(tmp_path / "b.png", codes, np.ones((len(codes), 4, 4)))).std() > 1


# -------------------------------------------------------------------- images

def test_none_reaches_into_another_and_all_that_fit_are_kept():
    places = RNG.random((2000, 2)) * [500, 300] - 40
    kept = places[maps._apart(places, 20, 10)]
    apart = np.abs(kept[:, None] - kept) >= [20, 10]
    np.fill_diagonal(apart[:, :, 0], True)
    assert apart.any(axis=2).all()
    reaches = (np.abs(places[:, None] - kept) < [20, 10]).all(axis=2)
    assert reaches.any(axis=1).all()  # whatever was left out would cover one that is there
    assert maps._apart(places, 20, 10)[0] == 0


def test_images_lie_whole_at_their_places_in_frames_of_their_class(figures, tmp_path):
    shades = np.linspace(0.1, 0.9, 60)
    X = np.broadcast_to(shades[:, None, None], (60, 4, 4))
    thumbnails(tmp_path / "a.png", CODES[:, :2], X, labels=LABELS, across=20)
    page = np.asarray(figures[0].axes[0].get_images()[0].get_array())
    points = np.asarray(figures[0].axes[0].collections[0].get_offsets())
    size, frame = 4 * (70 // 4), 2
    _, colours, which = maps._classes(LABELS)
    drawn = 0
    for (x, y), shade, colour in zip(points, shades, colours[which], strict=True):
        left, top = int(x - size / 2 - frame), int(y - size / 2 - frame)
        tile = page[top:top + size + 2 * frame, left:left + size + 2 * frame]
        inside = tile[frame:-frame, frame:-frame]
        if np.allclose(inside, [shade, shade, shade, 1]):
            drawn += 1
            np.testing.assert_allclose(tile[:frame], np.broadcast_to(colour, tile[:frame].shape))
            np.testing.assert_allclose(tile[:, -frame:], np.broadcast_to(colour, tile[:, -frame:].shape))
    assert 10 < drawn < 60
    assert (page[..., 3] > 0).sum() == drawn * (size + 2 * frame) ** 2  # and there is nothing else
    note = figures[0].texts[0].get_text()
    assert note == f"{drawn} of 60 samples as images, each at its own place; the others as points"


def test_smaller_images_leave_room_for_more(figures, tmp_path):
    codes, X = RNG.random((400, 2)), RNG.random((400, 48))
    for across in (10, 40):
        thumbnails(tmp_path / "a.png", codes, X, (3, 4, 4), across=across)
    few, many = (int(figure.texts[0].get_text().split()[0]) for figure in figures)
    assert 20 < few < 100 and many > 2 * few


def test_large_images_become_small_ones():
    X = RNG.random((3, 1, 64, 40))
    small = maps._small(X, 16)
    assert small.shape == (3, 16, 10, 3)
    np.testing.assert_allclose(small[..., 0], X.reshape(3, 16, 4, 10, 4).mean(axis=(2, 4)))
    assert maps._small(RNG.random((2, 3, 100, 3)), 10).shape == (2, 10, 3, 3)[:1] + (10, 3, 3)
    assert maps._small(RNG.random((2, 1, 5, 5)), 16).shape == (2, 15, 15, 3)


def test_numbers_get_a_colour_bar(figures, tmp_path):
    thumbnails(tmp_path / "a.png", CODES, RNG.random((60, 4, 4)), labels=RNG.random(60), of="weight", title="images")
    assert "weight" in [axes.get_ylabel() for axes in figures[0].axes]


@pytest.mark.parametrize("codes, X, settings, message", [
    (CODES, np.ones((59, 4, 4)), {}, "59 images and 60 codes"),
    (CODES, np.ones((60, 16)), {}, "give their image_shape"),
    (CODES[:, :1], np.ones((60, 4, 4)), {}, "codes have 1 dimension"),
    (CODES, np.ones((60, 4, 4)), {"across": 0}, "across must be"),
    (CODES, np.ones((60, 4, 4)), {"labels": LABELS[:5]}, "labels have shape"),
    ({"a": CODES, "b": CODES}, np.ones((60, 4, 4)), {}, "images are drawn on one map"),
])
def test_images_refused(codes, X, settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        thumbnails(tmp_path / "a.png", codes, X, **settings)
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------- what they share

def test_colours_of_classes_stay_apart_for_the_colour_blind():
    """As seen with either kind of red-green blindness (Machado, Oliveira and Fernandes 2009, severity 1)."""
    seen = {"deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                             [-0.011820, 0.042940, 0.968881]],
            "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                           [-0.003882, -0.048116, 1.051998]], "none": np.eye(3)}
    colours = maps._classes(np.arange(10))[1][:, :3]
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    for matrix in seen.values():
        lab = _lab(np.clip(linear @ np.array(matrix).T, 0, 1))
        apart = np.linalg.norm(lab[:, None] - lab, axis=2)
        assert apart[np.triu_indices(10, 1)].min() > 6  # 2.3 is a difference that is just noticed
    assert len(np.unique(maps._classes(np.arange(20))[1], axis=0)) == 20


def _lab(linear):
    """CIELAB of linear sRGB."""
    xyz = linear @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    xyz = xyz / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_the_key_says_what_labels_are_and_four_maps_share_it(figures, tmp_path):
    latent(tmp_path / "a.png", {name: CODES[:, :2] for name in "abcd"}, LABELS, of="kind")
    legends = [axes.get_legend() for axes in figures[0].axes]
    assert legends[:3] == [None] * 3 and legends[3].get_title().get_text() == "kind"
    assert [axes.get_title(loc="left") for axes in figures[0].axes] == list("abcd")
