"""Pictures: the file that comes out, what is drawn in it, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from miniae.report import canvas, filters, images, latent, loss_curves, reconstructions

pytest.importorskip("matplotlib", reason="pictures need matplotlib")
Image = pytest.importorskip("PIL.Image", reason="reads the pictures back")

RNG = np.random.default_rng(0)
X = RNG.random((12, 16))
LABELS = np.arange(12) % 3
HISTORY = [{"epoch": i + 1, "loss": 20.0 / (i + 1) + 0.5, "val_loss": 20.0 / (i + 1) + 1.0 + 0.3 * i, "lr": 0.1,
            "reconstruction": 20.0 / (i + 1) + 0.5, "seconds": 1.0} for i in range(15)]

DRAW = {
    "images": lambda path: reconstructions(path, X, X * 0.8, (4, 4)),
    "features": lambda path: reconstructions(path, X, X * 0.8),
    "losses": lambda path: loss_curves(path, HISTORY),
    "filters": lambda path: filters(path, X.T - 0.5, (4, 4)),
    "heat map": lambda path: filters(path, X.T - 0.5),
    "codes": lambda path: latent(path, X[:, :5], LABELS),
}


def texts(figure):
    """Every text in a figure, by searching all its artists."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


# -------------------------------------------------------------------- the file

@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW.keys())
def test_a_png_and_nothing_else(draw, tmp_path, pixels):
    path = tmp_path / "picture.png"
    assert draw(str(path)) == path
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]
    shown = pixels(path)
    assert 400 < shown.shape[1] < 1600
    assert shown.std() > 5
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW.keys())
def test_the_same_bytes_whatever_matplotlib_is_set_to(draw, tmp_path):
    import matplotlib

    first = draw(tmp_path / "a.png").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "image.cmap": "hot", "savefig.dpi": 30}):
        second = draw(tmp_path / "b.png").read_bytes()
        assert matplotlib.rcParams["font.size"] == 30
    assert first == second
    assert b"Software" not in first
    assert b"matplotlib" not in first


def test_sizes(tmp_path, pixels):
    assert pixels(loss_curves(tmp_path / "a.png", HISTORY)).shape == (600, 1050, 3)
    assert pixels(loss_curves(tmp_path / "b.png", HISTORY, [HISTORY])).shape == (600, 1500, 3)
    assert pixels(latent(tmp_path / "c.png", X, title="codes")).shape == (940, 1150, 3)


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW.keys())
def test_a_folder_that_can_not_be_written(draw, tmp_path):
    with pytest.raises(OSError, match="can't write .*nowhere"):
        draw(tmp_path / "nowhere" / "picture.png")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="can't write"):
        draw(tmp_path / "file" / "picture.png")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError("broken")])
def test_failure_leaves_what_was_there(failure, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    path = loss_curves(tmp_path / "a.png", HISTORY)
    before = path.read_bytes()

    def fail(self, target, **kwargs):
        target.write_bytes(b"half a picture")
        raise failure

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(type(failure), match=str(failure.args[-1])):
        loss_curves(path, HISTORY[:3])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_importing_is_light_and_drawing_leaves_pyplot_alone(tmp_path):
    code = ("import sys, miniae.report as r; assert 'matplotlib' not in sys.modules; "
            f"r.filters({str(tmp_path / 'a.png')!r}, [[1.0, -1.0]]); assert 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


# -------------------------------------------------------------------- reconstructions

def test_pixels_are_drawn_as_equal_squares(tmp_path, pixels):
    x = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    shown = pixels(reconstructions(tmp_path / "a.png", x, x))
    zoom = min(1040 // 18, 240 // 2)
    # Text is dark grey: only pixels of value 0 are black, two of them in each of two images.
    assert (shown == 0).all(axis=2).sum() == 4 * zoom * zoom


def test_colours(tmp_path, pixels):
    red = np.zeros((1, 3, 2, 2))
    red[:, 0] = 1.0
    shown = pixels(reconstructions(tmp_path / "a.png", red, 1.0 - red))
    zoom = min(1040 // 18, 240 // 2)
    assert (shown == [255, 0, 0]).all(axis=2).sum() == 4 * zoom * zoom
    assert (shown == [0, 255, 255]).all(axis=2).sum() == 4 * zoom * zoom


@pytest.mark.parametrize("image_shape", [(4, 4), None])
def test_errors_are_written_beside_the_samples(figures, tmp_path, image_shape):
    y = X.copy()
    y[0, 0] += 1.5
    reconstructions(tmp_path / "a.png", X, {"near": y, "far": X + 1.0}, image_shape, title="Two models", columns=4)
    written = texts(figures[0])
    everything = " ".join(written)
    assert "Two models" in written
    assert "2.25" in everything  # of the first sample
    assert "0.188" in everything  # the mean of 2.25 and eleven zeros
    assert sum("16.0" in text for text in written) == 4 + 1
    assert "12 samples" in everything
    assert "original" in written


@pytest.mark.parametrize("shape", [(1, 1), (1, 16), (3, 100), (11, 2)])
def test_features_of_any_number(shape, tmp_path, pixels):
    x = RNG.normal(size=shape)
    assert pixels(reconstructions(tmp_path / "a.png", x, x * 0.5)).std() > 5


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 1, 28, 28), (7, 3, 5, 9), (13, 8, 8)])
def test_images_of_any_number(shape, tmp_path, pixels):
    x = RNG.normal(size=shape) * 100
    assert pixels(reconstructions(tmp_path / "a.png", x, x * 0.5)).std() > 5


def test_constant_images_and_bytes(tmp_path, pixels):
    for x in (np.full((2, 4, 4), -3.0), np.zeros((2, 4, 4)), np.full((2, 4, 4), 200, np.uint8)):
        assert pixels(reconstructions(tmp_path / "a.png", x, x)).ndim == 3


@pytest.mark.parametrize(("kwargs", "message"), [
    ({"reconstructions": X[:, :5]}, r"reconstruction has samples of shape \(5,\)"),
    ({"reconstructions": X[:5]}, "they must be the same"),
    ({"reconstructions": np.full_like(X, np.nan)}, "reconstruction holds nan"),
    ({"reconstructions": {}}, "no reconstructions"),
    ({"originals": X[:0], "reconstructions": X[:0]}, "nothing in it"),
    ({"image_shape": (4, 5)}, "has 20 values, the samples have 16"),
    ({"image_shape": (16,)}, r"expected \(height, width\)"),
    ({"image_shape": (4, 2, 2)}, "1 or 3 channels"),
    ({"columns": 0}, "columns is 0"),
])
def test_reconstructions_refused(kwargs, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        reconstructions(tmp_path / "a.png", **{"originals": X, "reconstructions": X, **kwargs})
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------- losses

def lines(axes):
    return {line.get_label().split(":")[0]: line for line in axes.get_lines()}


def test_curves(figures, tmp_path):
    loss_curves(tmp_path / "a.png", HISTORY, label="nats")
    (axes,) = figures[0].axes
    drawn = lines(axes)
    assert list(drawn) == ["training", "validation", "lowest, epoch 8"]
    np.testing.assert_allclose(drawn["training"].get_ydata(), [row["loss"] for row in HISTORY])
    np.testing.assert_allclose(drawn["validation"].get_ydata(), [row["val_loss"] for row in HISTORY])
    np.testing.assert_array_equal(drawn["training"].get_xdata(), np.arange(1, 16))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "nats")
    assert axes.get_yscale() == "log"  # from 20.5 to 1.8


def test_scale_is_linear_within_a_decade_and_below_zero(figures, tmp_path):
    loss_curves(tmp_path / "a.png", HISTORY[:5])
    loss_curves(tmp_path / "b.png", [{"loss": v} for v in (100.0, 1.0, -1.0)])
    assert [figure.axes[0].get_yscale() for figure in figures] == ["linear", "linear"]


def test_pretraining_gets_a_panel(figures, tmp_path):
    loss_curves(tmp_path / "a.png", HISTORY, [HISTORY[:4], HISTORY[:6]])
    before, after = figures[0].axes
    assert [len(line.get_xdata()) for line in before.get_lines()] == [4, 6]
    assert list(lines(before)) == ["layer 1", "layer 2"]
    assert "training" in lines(after)


def test_terms_are_drawn_when_there_are_several(figures, tmp_path):
    loss_curves(tmp_path / "a.png", [{**row, "kl": 0.5, "val_kl": 0.5, "samples_per_second": 9.0} for row in HISTORY])
    whole, *terms = figures[0].axes
    assert list(lines(whole)) == ["training", "validation", "lowest, epoch 8"]
    assert {axes.get_ylabel(): list(lines(axes)) for axes in terms} == {
        "reconstruction": ["training"], "kl": ["training", "validation"]}
    np.testing.assert_allclose(lines(terms[1])["training"].get_ydata(), 0.5)
    assert terms[1].get_ylim()[1] < 1 < whole.get_ylim()[1]  # each on a scale of its own


def test_terms_beside_pretraining(figures, tmp_path, pixels):
    loss_curves(tmp_path / "a.png", [{**row, "kl": 0.5} for row in HISTORY], [HISTORY], title="all")
    assert [axes.get_ylabel() for axes in figures[0].axes] == ["loss per sample"] * 2 + ["reconstruction", "kl"]
    assert pixels(tmp_path / "a.png").shape == (640, 2250, 3)


def test_one_epoch(tmp_path, pixels):
    assert pixels(loss_curves(tmp_path / "a.png", [{"loss": 0.0}])).std() > 5


@pytest.mark.parametrize(("history", "message"), [
    ([], "holds no 'loss'"),
    ([{"val_loss": 1.0}], "holds no 'loss'"),
    ([{"loss": 1.0}, {"loss": float("nan")}], "holds loss = nan in epoch 2"),
])
def test_history_refused(history, message, tmp_path):
    with pytest.raises(ValueError, match="history " + message):
        loss_curves(tmp_path / "a.png", history)
    with pytest.raises(ValueError, match=r"pretraining\[0\] " + message):
        loss_curves(tmp_path / "a.png", HISTORY, [history])
    assert not list(tmp_path.iterdir())


def test_validation_losses_must_be_finite(tmp_path):
    with pytest.raises(ValueError, match="history holds val_loss = inf in epoch 7"):
        loss_curves(tmp_path / "a.png", [{"epoch": 7, "loss": 1.0, "val_loss": float("inf")}])


# -------------------------------------------------------------------- filters

def test_scale_is_symmetric_about_zero_and_the_same_for_all(figures, tmp_path):
    weights = RNG.normal(size=(16, 7)) + 0.5
    filters(tmp_path / "a.png", weights, (4, 4))
    tiles, bar = figures[0].axes
    (image,) = tiles.get_images()
    low, high = image.get_clim()
    assert -low == high == pytest.approx(np.quantile(np.abs(weights), 0.998))
    assert bar.get_ylabel() == "weight"
    np.testing.assert_allclose(image.get_array()[:4, :4], weights[:, 0].reshape(4, 4))
    assert "7 units" in texts(figures[0])


def test_convolution_kernels(figures, tmp_path):
    weights = RNG.normal(size=(5, 2, 3, 3))
    filters(tmp_path / "a.png", weights)
    (image,) = figures[0].axes[0].get_images()
    np.testing.assert_allclose(image.get_array()[:3, :3], weights[0, 0])
    np.testing.assert_allclose(image.get_array()[:3, 4:7], weights[0, 1])
    assert "10 units" in texts(figures[0])


def test_three_channels_are_drawn_in_their_colours_with_grey_for_zero(tmp_path, pixels):
    weights = np.zeros((12, 2))
    weights[0, 0] = 1.0
    shown = pixels(filters(tmp_path / "a.png", weights, (3, 2, 2)))
    assert (shown == [127, 127, 127]).all(axis=2).sum() > 10_000
    assert (shown == [255, 127, 127]).all(axis=2).any()


def test_at_most_limit_units(figures, tmp_path):
    filters(tmp_path / "a.png", RNG.normal(size=(16, 30)), (4, 4), limit=9)
    assert "the first 9 of 30 units" in texts(figures[0])


@pytest.mark.parametrize("weights", [np.zeros((16, 5)), np.ones((16, 1)), np.full((16, 3), -2.0)])
def test_constant_weights(weights, tmp_path, pixels):
    assert pixels(filters(tmp_path / "a.png", weights, (4, 4))).std() > 5
    assert pixels(filters(tmp_path / "b.png", weights)).std() > 5


def test_one_weight(tmp_path, pixels):
    assert pixels(filters(tmp_path / "a.png", [[3.0]])).std() > 5


@pytest.mark.parametrize(("weights", "kwargs", "message"), [
    (X, {"image_shape": (3, 3)}, "has 9 values, the samples have 12"),
    (np.zeros((2, 3, 4)), {}, r"expected \(features, units\)"),
    (np.zeros(4), {}, "weights has shape"),
    (np.full((2, 2), np.inf), {}, "weights holds inf"),
    (X, {"limit": 0}, "limit is 0"),
])
def test_weights_refused(weights, kwargs, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        filters(tmp_path / "a.png", weights, **kwargs)
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------- codes

def points(figure):
    return np.asarray(figure.axes[0].collections[0].get_offsets())


def test_two_dimensions_are_drawn_as_they_are(figures, tmp_path):
    latent(tmp_path / "a.png", X[:, :2], LABELS)
    axes = figures[0].axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("code 1", "code 2")
    drawn = points(figures[0])
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], X[np.lexsort(X[:, :2].T), :2])
    means = {text.get_text(): text.get_position() for text in axes.texts}
    assert list(means) == ["0", "1", "2"]
    np.testing.assert_allclose(means["1"], X[LABELS == 1, :2].mean(axis=0))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1", "2"]


def test_each_point_has_the_colour_of_its_label(figures, tmp_path):
    latent(tmp_path / "a.png", X[:, :2], LABELS)
    axes = figures[0].axes[0]
    of_label = {line.get_label(): line.get_color()[:3] for line in axes.get_legend().get_lines()}
    label_at = {tuple(code): str(label) for code, label in zip(X[:, :2], LABELS, strict=True)}
    drawn = axes.collections[0]
    assert len(drawn.get_offsets()) == 12
    for place, colour in zip(np.asarray(drawn.get_offsets()), drawn.get_facecolors(), strict=True):
        np.testing.assert_allclose(colour[:3], of_label[label_at[tuple(place)]])


def test_more_dimensions_are_projected(figures, tmp_path):
    codes = RNG.normal(size=(200, 6)) * [5, 3, 1, 1, 1, 1]
    latent(tmp_path / "a.png", codes)
    axes = figures[0].axes[0]
    variances = np.sort(np.linalg.eigvalsh(np.cov(codes.T)))[::-1]
    shares = 100 * variances / variances.sum()
    assert axes.get_xlabel() == f"principal component 1 of 6 ({shares[0]:.0f} % of the variance)"
    assert axes.get_ylabel() == f"principal component 2 of 6 ({shares[1]:.0f} % of the variance)"
    np.testing.assert_allclose(points(figures[0]).var(axis=0, ddof=1), variances[:2])


def test_many_points_are_thinned_out_the_same_way_each_time(figures, tmp_path):
    codes = RNG.normal(size=(12_000, 2))
    first = latent(tmp_path / "a.png", codes).read_bytes()
    assert latent(tmp_path / "b.png", codes).read_bytes() == first
    assert len(points(figures[0])) == 5000
    assert "5,000 of 12,000 samples" in texts(figures[0])


@pytest.mark.parametrize("labels", [None, LABELS, RNG.random(12)], ids=["none", "classes", "numbers"])
def test_one_dimension(figures, labels, tmp_path):
    latent(tmp_path / "a.png", X[:, :1], labels)
    assert figures[0].axes[0].get_xlabel() == "code"


def test_text_labels_booleans_and_continuous_ones(figures, tmp_path):
    latent(tmp_path / "a.png", X[:, :2], np.array(["cat", "dog", "eel"])[LABELS])
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["cat", "dog", "eel"]
    latent(tmp_path / "b.png", X[:, :2], LABELS > 0)
    assert [text.get_text() for text in figures[1].axes[0].texts] == ["False", "True"]
    latent(tmp_path / "c.png", RNG.random((50, 2)), RNG.random(50))
    assert len(figures[2].axes) == 2  # the second is the colour bar


def test_rare_classes_become_other(figures, tmp_path):
    labels = np.array([f"class {i}" for i in range(30) for _ in range(30 - i)])
    latent(tmp_path / "a.png", RNG.random((len(labels), 2)), labels)
    names = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    assert len(names) == 20
    assert names[-1] == "other"
    assert set(names[:-1]) == {f"class {i}" for i in range(19)}


@pytest.mark.parametrize("codes", [np.zeros((1, 1)), np.zeros((1, 4)), np.zeros((5, 4)), np.ones((5, 2)),
                                   np.zeros((3, 1)), np.ones((2, 3, 2, 2))])
def test_codes_that_do_not_vary(codes, tmp_path, pixels):
    assert pixels(latent(tmp_path / "a.png", codes)).std() > 1
    assert pixels(latent(tmp_path / "b.png", codes, np.zeros(len(codes), int))).std() > 1


@pytest.mark.parametrize(("labels", "message"), [
    (LABELS[:5], r"labels have shape \(5,\), expected \(12,\)"),
    (LABELS[:, None], "labels have shape"),
    (np.full(12, np.nan), "missing or infinite"),
    (np.array([None] * 12), "labels have type object"),
])
def test_labels_refused(labels, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        latent(tmp_path / "a.png", X, labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "expected"), [(0, "0"), (0.00123, "0.00123"), (1.5, "1.50"), (13.866, "13.9"),
                                                 (999.4, "999"), (12345.6, "12,346"), (1e-5, "1.0e-05"),
                                                 (-2.5e7, "-2.5e+07")])
def test_numbers_have_three_digits(value, expected):
    assert canvas.number(value) == expected


def test_maps_side_by_side(tmp_path, pixels):
    """Each is drawn as it would be alone, in a panel under its name."""
    labels = np.repeat([0, 1], 30)
    codes = RNG.standard_normal((60, 2)) + 5 * labels[:, None]
    alone = pixels(latent(tmp_path / "a.png", codes, labels))
    both = pixels(latent(tmp_path / "b.png", {"one": codes, "other": codes[:, ::-1]}, labels, title="maps"))
    assert both.shape[1] == 1900 and both.shape[0] == alone.shape[0] + 40
    left, right = both[:, :950], both[:, 950:]
    assert left.std() > 1 and right.std() > 1 and (left != right).any()
    with pytest.raises(ValueError, match="50 codes of other and 60 of the first"):
        latent(tmp_path / "c.png", {"one": codes, "other": codes[:50]})
    with pytest.raises(ValueError, match="no codes to draw"):
        latent(tmp_path / "c.png", {})


@pytest.mark.parametrize("shape, image_shape", [((7, 12), (3, 4)), ((7, 3, 4), None), ((1, 27), (3, 3, 3)),
                                                ((4, 1), (1, 1))])
def test_images(shape, image_shape, tmp_path, pixels):
    x = RNG.random(shape)
    drawn = pixels(images(tmp_path / "a.png", x, image_shape, columns=3, title="samples"))
    assert drawn.std() > 1
    flipped = pixels(images(tmp_path / "b.png", 1 - x, image_shape, columns=3, title="samples"))
    assert flipped.shape == drawn.shape and (flipped != drawn).any()


def test_images_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="give their image_shape"):
        images(tmp_path / "a.png", RNG.random((3, 12)))
    with pytest.raises(ValueError, match="columns is 0"):
        images(tmp_path / "a.png", RNG.random((3, 12)), (3, 4), columns=0)
