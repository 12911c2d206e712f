"""Reading the user's own data. What can't be read is in tests/cli/test_bad_input.py."""

from __future__ import annotations

import gzip
import struct
import zlib

import numpy as np
import pytest

from miniae.data import DataError, read, write
from miniae.data.claims import check_picture, check_pictures
from miniae.data.idx import read_idx

RNG = np.random.default_rng(0)


def test_npy(tmp_path):
    x = RNG.standard_normal((7, 3))
    np.save(tmp_path / "x.npy", x)
    samples = read(tmp_path / "x.npy")
    assert samples.X.dtype == np.float64 and samples.labels is None and samples.image_shape is None
    np.testing.assert_array_equal(samples.X, x)
    np.save(tmp_path / "single.npy", x.astype(np.float32))
    assert read(tmp_path / "single.npy").X.dtype == np.float32
    np.save(tmp_path / "times.npy", [[1_700_000_000, 1], [1_700_000_001, 2]])
    np.testing.assert_array_equal(read(tmp_path / "times.npy").X, [[1_700_000_000, 1], [1_700_000_001, 2]])
    np.save(tmp_path / "whole.npy", np.arange(6, dtype=np.uint8).reshape(2, 3))
    np.testing.assert_array_equal(read(tmp_path / "whole.npy").X, [[0, 1, 2], [3, 4, 5]])  # a table, not pixels


def test_npy_of_images_is_scaled_where_pixels_are_bytes(tmp_path):
    x = RNG.integers(0, 256, (4, 5, 6), dtype=np.uint8)
    np.save(tmp_path / "grey.npy", x)
    samples = read(tmp_path / "grey.npy")
    assert samples.image_shape == (5, 6) and samples.X.shape == (4, 30)
    np.testing.assert_allclose(samples.X, x.reshape(4, -1) / 255.0, rtol=1e-6)
    np.save(tmp_path / "real.npy", x / 10.0)
    np.testing.assert_allclose(read(tmp_path / "real.npy").X, x.reshape(4, -1) / 10.0, rtol=1e-6)
    np.save(tmp_path / "colour.npy", RNG.random((4, 3, 5, 6)))
    assert read(tmp_path / "colour.npy").image_shape == (3, 5, 6)
    np.save(tmp_path / "one.npy", RNG.random((4, 1, 5, 6)))
    assert read(tmp_path / "one.npy").image_shape == (5, 6)
    np.save(tmp_path / "volumes.npy", RNG.random((4, 2, 3, 5, 6)))
    assert read(tmp_path / "volumes.npy").image_shape is None and read(tmp_path / "volumes.npy").X.shape == (4, 180)
    np.save(tmp_path / "last.npy", RNG.random((4, 5, 6, 3)))
    with pytest.raises(DataError, match=r"channels first: transpose\(0, 3, 1, 2\)"):
        read(tmp_path / "last.npy")


def test_npz(tmp_path):
    x, y = RNG.random((6, 2)), np.arange(6)
    np.savez(tmp_path / "a.npz", X=x, y=y, other=np.zeros(3))
    samples = read(tmp_path / "a.npz")
    np.testing.assert_allclose(samples.X, x, rtol=1e-6)
    np.testing.assert_array_equal(samples.labels, y)
    np.savez(tmp_path / "b.npz", something=x)
    np.testing.assert_allclose(read(tmp_path / "b.npz").X, x, rtol=1e-6)
    np.savez(tmp_path / "c.npz", first=x, second=x * 2)
    np.testing.assert_allclose(read(f"{tmp_path / 'c.npz'}:second").X, x * 2, rtol=1e-6)
    with pytest.raises(DataError, match="first, second"):
        read(f"{tmp_path / 'c.npz'}:third")


@pytest.mark.parametrize("text, names", [
    ("a,b\n1,2\n3,4\n", ["a", "b"]), ("1,2\n3,4\n", None), ("\ufeffa,b\r\n1,2\r\n\r\n3,4\r\n", ["a", "b"]),
    ('"a","b"\n"1","2"\n3,4', ["a", "b"]), (" 1, 2\n 3 ,4e0\n", None),
])
def test_csv_with_and_without_a_header(text, names, tmp_path):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    samples = read(tmp_path / "t.csv")
    np.testing.assert_array_equal(samples.X, [[1, 2], [3, 4]])
    assert samples.feature_names == names


def test_csv_labels_and_tabs(tmp_path):
    (tmp_path / "t.csv").write_text("x,kind,y\n1,red,2\n3,blue,4\n")
    samples = read(tmp_path / "t.csv", label="kind")
    np.testing.assert_array_equal(samples.X, [[1, 2], [3, 4]])
    assert samples.labels.tolist() == ["red", "blue"] and samples.feature_names == ["x", "y"]
    (tmp_path / "t.tsv").write_text("1\t2\n3\t4\n")
    np.testing.assert_array_equal(read(tmp_path / "t.tsv").X, [[1, 2], [3, 4]])
    (tmp_path / "n.csv").write_text("1,2,a\n3,4,b\n")  # the first row is not all numbers: taken for a header
    with pytest.raises(DataError, match="column 'a' holds 'b'"):
        read(tmp_path / "n.csv")


@pytest.mark.parametrize("text, message", [
    ("a,b\n\n1,2\n\n3,x\n", "row 5, column 'b' holds 'x'"), ('"a\nb",c\n1,2\n3,x\n', "row 4, column 'c'"),
    ("1,,3\n4,5,6\n", "row 1, column '2' is empty: fill in"),
    ("a;b\n1,5;2\n", "by semicolons, expected commas"), ("1;2\n3;4\n", "by semicolons"),
    ("1,2\n3,1e999\n", "row 2, column '2' holds inf"),
])
def test_csv_complaints_name_the_line_as_an_editor_shows_it(text, message, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "t.csv")


def test_csv_labels_are_one_column(tmp_path):
    (tmp_path / "t.csv").write_text("a,a,b\n1,2,3\n")
    with pytest.raises(DataError, match="2 columns 'a' for labels"):
        read(tmp_path / "t.csv", label="a")
    with pytest.raises(DataError, match="no column 'c' for labels"):
        read(tmp_path / "t.csv", label="c")
    assert read(tmp_path / "t.csv", label="b").labels.tolist() == ["3"]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".gz", ".png"])
def test_whatever_the_damage_it_is_one_line(suffix, tmp_path):
    """Every byte of a short file inverted in turn, and the file cut there: read, or a `DataError`."""
    from PIL import Image

    path = tmp_path / "data" / f"x{suffix}"
    path.parent.mkdir()
    pixels = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)
    if suffix == ".npz":
        np.savez_compressed(path, X=pixels, y=np.arange(6))
    elif suffix == ".npy":
        np.save(path, pixels)
    elif suffix == ".gz":
        path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, *pixels.shape) + pixels.tobytes()))
    else:
        Image.fromarray(pixels[0]).save(path)
    whole, source = path.read_bytes(), path.parent if suffix == ".png" else path
    read(source)
    refused = 0
    for i in range(len(whole)):
        for damaged in (whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1:], whole[:i]):
            path.write_bytes(damaged)
            try:
                read(source)
            except DataError as why:
                refused += 1
                assert "\n" not in str(why)
    assert refused >= len(whole) // 2


def test_a_path_that_can_not_exist():
    for path in ("", "a\0b.npy", "a" * 5000 + ".npy"):
        with pytest.raises(DataError, match="does not exist"):
            read(path)


@pytest.mark.parametrize("shape, data", [((1,) * 70, 1), ((0, 2**32 - 1, 2**32 - 1), 0)])
def test_idx_of_an_impossible_shape(shape, data, tmp_path):
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    (tmp_path / "x.idx").write_bytes(header + bytes(data))
    with pytest.raises(DataError, match="can't be"):
        read_idx(tmp_path / "x.idx")


@pytest.mark.parametrize("code, dtype", [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"),
                                         (0x0E, "f8")])
def test_idx_of_every_type_packed_or_not(code, dtype, tmp_path):
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    data = struct.pack(">HBB3I", 0, code, 3, 2, 3, 4) + x.astype(x.dtype.newbyteorder(">")).tobytes()
    (tmp_path / "x.idx").write_bytes(data)
    (tmp_path / "x.gz").write_bytes(gzip.compress(data))
    for name in ("x.idx", "x.gz"):
        back = read_idx(tmp_path / name)
        assert back.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(back, x)
    assert read(tmp_path / "x.idx").image_shape == (3, 4)


def test_a_damaged_array_is_refused_wherever_the_damage_is(tmp_path):
    """Every byte of the header of a small file set to every one of a few values, and every truncation."""
    path = tmp_path / "x.npy"
    np.save(path, np.arange(6.0).reshape(2, 3))
    whole = path.read_bytes()
    for position in range(128):
        for value in (0, 10, 34, 39, 40, 123, 255):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1:])
            try:
                read(path)
            except DataError as why:
                assert "\n" not in str(why)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="x.npy"):
            read(path)


def test_folders_of_images(tmp_path):
    from PIL import Image

    pixels = {}
    for kind in ("cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(2):
            pixels[kind, i] = RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)
            Image.fromarray(pixels[kind, i]).save(tmp_path / "photos" / kind / f"{i}.png")
    (tmp_path / "photos" / "notes.txt").write_text("not an image")
    samples = read(tmp_path / "photos")
    assert samples.labels.tolist() == ["cat", "cat", "dog", "dog"]
    assert samples.image_shape == (3, 4, 5)
    expected = pixels["dog", 1].transpose(2, 0, 1).reshape(-1) / 255.0
    np.testing.assert_allclose(samples.X[3], expected, rtol=1e-6)

    (tmp_path / "grey").mkdir()
    for i in range(3):
        Image.fromarray(np.full((4, 5), 51 * i, np.uint8)).save(tmp_path / "grey" / f"{i}.png")
    samples = read(tmp_path / "grey")
    assert samples.image_shape == (4, 5) and samples.labels is None
    np.testing.assert_allclose(samples.X[:, 0], [0, 0.2, 0.4], rtol=1e-6)
    Image.fromarray(pixels["cat", 0]).save(tmp_path / "grey" / "z.png")
    with pytest.raises(DataError, match="5x4 colour, 0.png is 5x4 grey"):
        read(tmp_path / "grey")


def test_blank_pictures_are_read_up_to_a_bound(tmp_path):
    from PIL import Image

    for i in range(40):
        Image.new("1", (512, 512)).save(tmp_path / f"{i}.png")
    size = (tmp_path / "0.png").stat().st_size
    assert read(tmp_path).X.shape == (40, 512 * 512)
    check_pictures("masks", 300, 300 * 4 * 512 * 512, 300 * size)  # no error
    check_picture("blank.png", 6000, 6000, size)
    with pytest.raises(DataError, match="masks holds 1,000 pictures of .* bytes together, in files of .*numpy.save"):
        check_pictures("masks", 1000, 1000 * 4 * 6000 * 6000, 1000 * size)
    with pytest.raises(DataError, match="10,000 pictures"):  # however many small files there are
        check_pictures("masks", 10_000, 10_000 * 4 * 1448 * 1448, 10_000 * size)
    data = bytearray((tmp_path / "0.png").read_bytes())
    data[16:24] = struct.pack(">II", 12_000, 12_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "0.png").write_bytes(data)
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(DataError, match="picture of 12000x12000 pixels"):
        read(tmp_path / "0.png")


def test_pictures_of_other_kinds(tmp_path):
    from PIL import Image

    def first(image, name, **options):
        folder = tmp_path / f"{image.mode}{name}".replace(";", "")
        folder.mkdir()
        image.save(folder / name, **options)
        return read(folder)

    deep = first(Image.fromarray(np.array([[0, 13107], [40000, 65535]], np.uint16)), "a.png")
    np.testing.assert_allclose(deep.X, [[0, 0.2, 40000 / 65535, 1]], rtol=1e-6)  # 16 bits, not clipped to 8
    binary = first(Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"), "a.png")
    np.testing.assert_array_equal(binary.X, [[0, 1]])
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    see_through = first(palette, "a.png", transparency=b"\x00\xff")
    assert see_through.image_shape == (3, 1, 2)
    np.testing.assert_array_equal(see_through.X, [[1, 0, 0, 0, 0, 1]])
    with pytest.raises(DataError, match="8 or 16 bits"):
        first(Image.fromarray(np.ones((2, 2), np.float32)), "a.tif")


def test_hidden_pictures_are_left_out(tmp_path):
    from PIL import Image

    for name in ("a.png", "._a.png", ".trash/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (3, 2)).save(tmp_path / name)
    samples = read(tmp_path)
    assert samples.X.shape == (1, 6) and samples.labels is None


# ---------------------------------------------------------------- writing

@pytest.mark.parametrize("names, header", [
    (None, ["x_0", "x_1"]), (["a, b", 'c "d"'], ["a, b", 'c "d"']), (["", "height"], ["", "height"]),
    (["0", "1"], ["x_0", "x_1"]), (["nan", "1e3"], ["x_0", "x_1"]), (["one"], ["x_0", "x_1"]),
])
@pytest.mark.parametrize("labels", [None, ["odd", "e,ven", "odd"]])
def test_a_table_is_read_back(names, header, labels, tmp_path):
    X = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    write(tmp_path / "t.csv", X, names, labels)
    back = read(tmp_path / "t.csv", None if labels is None else "label")
    assert back.feature_names == header
    np.testing.assert_array_equal(back.X.astype(np.float32), X)
    assert (None if labels is None else back.labels.tolist()) == labels


def test_a_feature_called_label_stays_apart(tmp_path):
    write(tmp_path / "t.csv", np.eye(2), ["label", "b"], [3, 4])
    assert read(tmp_path / "t.csv", "label_").labels.tolist() == ["3", "4"]


@pytest.mark.parametrize("labels", [None, np.array(["a", "b", "a"]), np.array([2, 0, 1])])
def test_arrays_are_read_back(labels, tmp_path):
    X = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    for name in ("t.npz", "t.NPY"):
        write(tmp_path / name, X, None, labels)
        back = read(tmp_path / name)
        np.testing.assert_array_equal(back.X, X)
        np.testing.assert_array_equal(back.labels, None if name == "t.NPY" else labels)
    with pytest.raises(DataError, match="ends in .npy, .npz or .csv"):
        write(tmp_path / "t.txt", X)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.NPY", "t.npz"]
