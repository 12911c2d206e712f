"""Denoising of images of any size."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.report import psnr
from miniae.tasks import PatchDenoiser, noise_level
from miniae.tasks.patches import check_image, patches_of, through_windows
from miniae.training import NotFittedError

RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.indices((90, 70))
CLEAN = (0.5 + 0.25 * np.sin(ROWS / 4) * np.cos(COLUMNS / 6)).astype(np.float32)
NOISY = (CLEAN + 0.1 * RNG.standard_normal(CLEAN.shape)).astype(np.float32)
SMALL = {"size": 8, "hidden": 48, "updates": 400, "step": 4}


@pytest.fixture(scope="module")
def denoiser():
    return PatchDenoiser(0.1, **SMALL).fit(CLEAN[:, :40])


def quality(x, y):
    return psnr(x[None], y[None])


def test_what_windows_say_is_laid_together():
    """The identity gives the image back, and a constant the constant: of every size, smaller than a window too."""
    for shape in ((3, 30, 17), (1, 5, 40), (1, 1, 1), (3, 8, 8)):
        image = RNG.random(shape)
        np.testing.assert_allclose(through_windows(image, 8, 3, lambda patches: patches), image, atol=1e-12)
        np.testing.assert_allclose(through_windows(image, 8, 3, lambda patches: patches, 4), image, atol=1e-12)
        np.testing.assert_allclose(through_windows(image, 7, 7, np.ones_like), np.ones(shape), atol=1e-12)


def test_patches_are_those_of_the_images():
    images = [RNG.random((3, 12, 9)), RNG.random((3, 5, 20))]
    patches = patches_of(images, 6, 1000, 0)
    assert patches.shape == (7 * 4 + 2 * 17, 3, 6, 6)  # the second image grows by a pixel on each side
    np.testing.assert_array_equal(patches[0], images[0][:, :6, :6])
    np.testing.assert_array_equal(patches[5], images[0][:, 1:7, 1:7])
    some = patches_of(images, 6, 10, 0)
    assert some.shape == (10, 3, 6, 6)
    assert all((patches == patch).all(axis=(1, 2, 3)).any() for patch in some)


def test_noise_goes(denoiser):
    clean = denoiser.denoise(NOISY)
    assert clean.shape == NOISY.shape and clean.dtype == np.float32 and 0 <= clean.min() <= clean.max() <= 1
    assert quality(CLEAN, NOISY) < 20.5 and quality(CLEAN, clean) > 28


def test_noise_goes_without_a_clean_image():
    denoiser = PatchDenoiser(**SMALL).fit_noisy(NOISY)
    assert denoiser.level_ == pytest.approx(0.1, rel=0.1) and denoiser.level is None
    assert quality(CLEAN, denoiser.denoise(NOISY)) > 27
    assert type(denoiser.model_).__name__ == "RecorruptedAutoencoder"


def test_colours_and_sizes():
    colour = np.stack([CLEAN, CLEAN[::-1], 1 - CLEAN])
    noisy = colour + 0.1 * RNG.standard_normal(colour.shape)
    denoiser = PatchDenoiser(0.1, **SMALL).fit([colour[:, :40], colour[:, 40:]])
    assert quality(colour, denoiser.denoise(noisy)) > 26
    assert denoiser.denoise(noisy[:, :3, :50]).shape == (3, 3, 50)
    with pytest.raises(ValueError, match="1 channel, what was fitted had 3"):
        denoiser.denoise(CLEAN)


def test_files(denoiser, tmp_path):
    path = tmp_path / "d.safetensors"
    denoiser.save(path)
    back = PatchDenoiser.load(path)
    np.testing.assert_array_equal(back.denoise(NOISY), denoiser.denoise(NOISY))
    assert back.get_params() == denoiser.get_params() and back.level_ == 0.1
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="checksum"):
        PatchDenoiser.load(path)
    denoiser.model_.save(path)
    with pytest.raises(ValueError, match="holds a model, expected a denoiser"):
        PatchDenoiser.load(path)


@pytest.mark.parametrize("level", [0.02, 0.2])
def test_the_noise_level(level):
    image = CLEAN + level * RNG.standard_normal(CLEAN.shape)
    assert noise_level(image) == pytest.approx(level, rel=0.1)
    assert noise_level(np.stack([image] * 3)) == pytest.approx(noise_level(image))
    with pytest.raises(ValueError, match="does not tell its noise"):
        noise_level(image[:1])


def test_the_noise_level_agrees_with_scikit_image():
    restoration = pytest.importorskip("skimage.restoration", reason="a peer: scikit-image is not installed")
    pytest.importorskip("pywt", reason="scikit-image's estimate needs PyWavelets")
    assert noise_level(NOISY) == pytest.approx(restoration.estimate_sigma(NOISY), rel=0.1)


@pytest.mark.parametrize("image, says", [
    (np.zeros(5), "got float64 of shape \\(5,\\)"), (np.zeros((4, 4, 3)), "channels first"),
    (np.zeros((2, 4, 4)), "of shape \\(2, 4, 4\\)"), (np.zeros((0, 4)), "of shape \\(0, 4\\)"),
    (np.array([["a"]]), "of numbers"), (np.array([[np.nan, 1.0]]), "holds nan"),
    (np.full((4, 4), 120, np.uint8), "mean is 120: divide it by 255"), (np.full((3, 4, 4), -7.5), "mean is -7.5"),
])
def test_what_is_no_image(image, says):
    with pytest.raises(ValueError, match=says):
        check_image(image)


def test_what_can_not_be_fitted(denoiser):
    for settings, images, says in (({}, CLEAN, "level is None"), ({"level": 0.0}, CLEAN, "level is 0"),
                                   ({"level": -1.0}, CLEAN, "level must be"),
                                   ({"level": 25.0}, CLEAN, "black is 0 and white 1, expected at most 1, got 25"),
                                   ({"level": 0.1}, [], "no images"),
                                   ({"level": 0.1, "step": 13}, CLEAN, "step is 13"),
                                   ({"level": 0.1}, [CLEAN, np.zeros((3, 9, 9))], "3 channels, what was fitted had 1"),
                                   ({"level": 0.1, "updates": 0}, CLEAN, "updates must be")):
        with pytest.raises(ValueError, match=says):
            PatchDenoiser(**settings).fit(images)
    with pytest.raises(NotFittedError):
        PatchDenoiser(0.1).denoise(CLEAN)
    with pytest.raises(ValueError, match="level is 0"):  # a constant image has no noise to learn from
        PatchDenoiser().fit_noisy(np.full((20, 20), 0.5))
