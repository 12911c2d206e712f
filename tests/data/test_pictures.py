"""Pictures of any size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from miniae.data import DataError, eight_bits, picture_files, read, read_picture, write_picture

RNG = np.random.default_rng(0)


def test_a_folder_of_all_sorts(tmp_path):
    grey, colour = RNG.integers(0, 256, (5, 7), np.uint8), RNG.integers(0, 256, (4, 9, 3), np.uint8)
    deep = RNG.integers(0, 65536, (6, 3), np.uint16)
    (tmp_path / "below").mkdir()
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(colour).save(tmp_path / "below" / "b.tif")
    Image.fromarray(deep).save(tmp_path / "c.tiff")
    Image.fromarray(colour).save(tmp_path / "d.jpg", quality=95)
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no image")
    files = picture_files(tmp_path)
    assert list(files) == ["a.png", "below/b.tif", "c.tiff", "d.jpg"]
    np.testing.assert_array_equal(read_picture(files["a.png"]), (grey / 255).astype(np.float32))
    np.testing.assert_allclose(read_picture(files["below/b.tif"]), colour.transpose(2, 0, 1) / 255, rtol=1e-6)
    np.testing.assert_allclose(read_picture(files["c.tiff"]), deep / 65535, rtol=1e-6)
    assert read_picture(files["d.jpg"]).shape == (3, 4, 9)
    assert list(picture_files(tmp_path / "a.png")) == ["a.png"]


def test_what_is_written_is_read(tmp_path):
    for shape in ((5, 7), (1, 5, 7), (3, 5, 7)):
        image = RNG.integers(0, 256, shape) / 255
        write_picture(tmp_path / "x.png", image)
        np.testing.assert_allclose(read_picture(tmp_path / "x.png").reshape(shape), image, atol=1e-6)
    write_picture(tmp_path / "x.png", np.array([[-1.0, 2.0]]))
    assert read_picture(tmp_path / "x.png").tolist() == [[0, 1]]


def test_what_is_no_picture(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("no")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    for path, says in (("none.png", "does not exist"), ("empty", "holds no images"), ("x.txt", "unknown ending")):
        with pytest.raises(DataError, match=says):
            picture_files(tmp_path / path)
    with pytest.raises(DataError, match="can't be read as an image"):
        read_picture(tmp_path / "damaged.png")


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, 8:] = 255
    turn = Image.Exif()
    turn[0x0112] = 6  # to be turned to the right by a quarter
    Image.fromarray(image).save(tmp_path / "x.jpg", quality=100, exif=turn)
    turned = np.rot90(image, -1).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(read_picture(tmp_path / "x.jpg"), turned, atol=0.02)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_one_image_is_one_sample(shape, tmp_path):
    image = RNG.integers(0, 256, shape, np.uint8)
    Image.fromarray(image).save(tmp_path / "x.png")
    samples = read(tmp_path / "x.png")
    np.testing.assert_array_equal(samples.X, read_picture(tmp_path / "x.png").reshape(1, -1))
    assert samples.image_shape == ((5, 7) if len(shape) == 2 else (3, 5, 7)) and samples.names == ["x.png"]


def test_eight_bits_are_the_nearest_ones_and_cut_off_outside():
    bytes_ = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(eight_bits(bytes_ / np.float32(255)), bytes_)
    np.testing.assert_array_equal(eight_bits(np.array([-3.0, -1e-9, 0.499 / 255, 0.501 / 255, 1.0, 1.7])),
                                  np.array([0, 0, 0, 1, 255, 255], np.uint8))
