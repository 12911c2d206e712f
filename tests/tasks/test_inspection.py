"""Finding defects in textures."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.report import roc_auc
from miniae.tasks import TextureInspector
from miniae.tasks.inspection import _enlarged, _halved, _local_mean
from miniae.training import NotFittedError

RNG = np.random.default_rng(0)


def cloth(height, width, seed):
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((height, width)) + rng.uniform(0, 20, (2, 1, 1))
    threads = np.sin(rows / 1.5) * np.sin(columns / 1.5)
    return (0.5 + 0.15 * threads + 0.04 * rng.standard_normal((height, width))).astype(np.float32)


def damaged(kind):
    image, mask = cloth(96, 80, 7), np.zeros((96, 80), bool)
    place = np.s_[40:43, 10:70] if kind == "scratch" else np.s_[40:60, 30:50]
    mask[place] = True
    if kind == "smooth":
        image[place] = 0.5
    else:
        image[place] += 0.25 if kind == "scratch" else -0.15
    return image, mask


@pytest.fixture(scope="module")
def inspector():
    return TextureInspector(hidden=48, updates=250, false_alarms=0.01).fit([cloth(96, 100, 0), cloth(60, 130, 1)])


@pytest.mark.parametrize("kind", ["scratch", "smooth", "stain"])
def test_defects_stand_out(kind, inspector):
    """Brighter, darker, and smoother than usual."""
    image, mask = damaged(kind)
    heat = inspector.heat_map(image)
    assert heat.shape == image.shape and heat.dtype == np.float64 and heat.min() >= 0
    assert roc_auc(mask.ravel(), heat.ravel()) > 0.95
    finding = inspector.inspect(image)
    assert mask[finding.row - 3:finding.row + 4, finding.column - 3:finding.column + 4].any()
    assert finding.score == heat.max() > inspector.threshold_
    assert finding.area == inspector.mask(image).sum() > 0
    assert inspector.predict([image]).tolist() == [-1]


def test_heat_is_one_where_all_is_usual(inspector):
    """On average, over what was fitted and over cloth of the same kind."""
    fitted = np.concatenate([inspector.heat_map(x).ravel() for x in (cloth(96, 100, 0), cloth(60, 130, 1))])
    assert fitted.mean() == pytest.approx(1.0, abs=0.01)
    assert inspector.heat_map(cloth(100, 100, 5)).mean() == pytest.approx(1.0, abs=0.35)


def test_the_threshold_is_a_quantile_of_windows(inspector):
    images = [cloth(96, 96, 9)]
    heat = inspector.heat_map(images[0])
    most = heat.reshape(8, 12, 8, 12).max(axis=(1, 3)).ravel()
    before = inspector.threshold_
    inspector.calibrate(images, 0.25)
    assert inspector.threshold_ == pytest.approx(np.quantile(most, 0.75))
    inspector.threshold_ = before
    with pytest.raises(ValueError, match="less than 1"):
        inspector.calibrate(images, 1.0)


def test_colours_and_small_images():
    colour = np.stack([cloth(60, 60, seed) for seed in range(3)])
    inspector = TextureInspector(hidden=16, updates=60, size=8).fit(colour)
    odd = colour.copy()
    odd[0, 20:30, 20:30] += 0.3  # in red alone
    mask = np.zeros((60, 60), bool)
    mask[20:30, 20:30] = True
    assert roc_auc(mask.ravel(), inspector.heat_map(odd).ravel()) > 0.95
    for shape in ((3, 5, 60), (3, 1, 1), (3, 7, 3)):
        assert inspector.heat_map(np.full(shape, 0.5)).shape == shape[1:]
    with pytest.raises(ValueError, match="1 channel, what was fitted had 3"):
        inspector.heat_map(colour[0])


def test_files(inspector, tmp_path):
    path, image = tmp_path / "i.safetensors", damaged("stain")[0]
    inspector.save(path)
    back = TextureInspector.load(path)
    np.testing.assert_array_equal(back.heat_map(image), inspector.heat_map(image))
    assert back.threshold_ == inspector.threshold_ and back.inspect(image) == inspector.inspect(image)
    damaged_file = bytearray(path.read_bytes())
    damaged_file[-1] ^= 1
    path.write_bytes(damaged_file)
    with pytest.raises(ValueError, match="checksum"):
        TextureInspector.load(path)
    inspector.models_[0].save(path)
    with pytest.raises(ValueError, match="holds a model, expected an inspector"):
        TextureInspector.load(path)


def test_the_same_seed_gives_the_same_heat():
    a, b, c = (TextureInspector(hidden=8, updates=20, seed=seed).fit(cloth(40, 40, 0)).heat_map(cloth(30, 30, 1))
               for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_halves_and_doubles():
    image = RNG.random((2, 7, 5))
    half = _halved(image, 1)
    assert half.shape == (2, 4, 3)
    assert half[0, 1, 1] == pytest.approx(image[0, 2:4, 2:4].mean()) and half[1, 3, 2] == pytest.approx(image[1, 6, 4])
    np.testing.assert_array_equal(_halved(image, 0), image)
    slope = np.arange(16.0)[:, None] * np.ones(8) + np.arange(8.0)
    back = _enlarged(_halved(slope[None], 1)[0], (16, 8))
    np.testing.assert_allclose(back[1:-1, 1:-1], slope[1:-1, 1:-1])  # linear between the middles
    assert _enlarged(np.ones((1, 2)), (2, 3)).tolist() == np.ones((2, 3)).tolist()


def test_local_means_agree_with_scipy():
    filters = pytest.importorskip("scipy.ndimage", reason="a peer: SciPy is not installed")
    planes = RNG.random((2, 40, 30))
    expected = np.stack([filters.gaussian_filter(x, 2.5, mode="reflect", radius=8) for x in planes])
    np.testing.assert_allclose(_local_mean(planes, 2.5), expected, rtol=1e-10)


@pytest.mark.parametrize("settings, says", [
    ({"scales": ()}, "scales is empty"), ({"scales": (-1,)}, "every scale"), ({"noise": 0.0}, "noise is 0"),
    ({"radius": -1.0}, "radius must be"), ({"step": 20}, "step is 20"), ({"updates": 0}, "updates must be"),
    ({"false_alarms": 1.0}, "less than 1"), ({"seed": -5}, "seed must be"),
])
def test_bad_parameters(settings, says):
    with pytest.raises(ValueError, match=says):
        TextureInspector(**{"updates": 5, "hidden": 4} | settings).fit(cloth(30, 30, 0))


def test_too_few_pixels_to_learn_from():
    inspector = TextureInspector(updates=2, hidden=4)
    for shape in ((1, 1), (2, 3)):
        with pytest.raises(ValueError, match=f"images of {shape[0] * shape[1]} pixels altogether do not say"):
            inspector.fit(RNG.random(shape))
    assert not hasattr(inspector, "models_")
    assert inspector.fit(RNG.random((1, 40))).heat_map(RNG.random((1, 40))).shape == (1, 40)


def test_before_fitting():
    with pytest.raises(NotFittedError):
        TextureInspector().heat_map(cloth(20, 20, 0))
    with pytest.raises(ValueError, match="no images"):
        TextureInspector().fit([])
