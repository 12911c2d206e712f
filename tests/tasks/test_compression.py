"""Compression: the entropy coder, the model of codes, files, and images of any size through all of them."""

from __future__ import annotations

import numpy as np
import pytest
from tasks.forged import NO_IMAGES, flip_a_bit, memory_below, resealed

from miniae import use_backend
from miniae.data.errors import StorageError
from miniae.tasks import ImageCompressor, compression
from miniae.tasks.code_model import LARGEST, CodeModel
from miniae.tasks.compressed_file import Compressed, pack, unpack
from miniae.tasks.entropy import PRECISION, Decoder, Encoder, Tables, whole_frequencies
from miniae.training import NotFittedError


def scene(height, width, channels=3, seed=0):
    """Something with edges, slopes and a little noise: uint8 (height, width[, 3])."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [120 + 60 * np.sin(x / 9 + c) + 50 * (x + 2 * y > width + 10 * c) + rng.normal(0, 3, (height, width))
              for c in range(channels)]
    image = np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return image if channels == 3 else image[..., 0]


@pytest.fixture(scope="module")
def compressor():
    with use_backend("numpy"):
        return ImageCompressor(20, patch=32, patches=48, epochs=2, backend="numpy").fit([scene(96, 80), scene(40, 64)])


# ---------------------------------------------------------------- the entropy coder


def drawn(n, kinds, symbols, seed=0):
    rng = np.random.default_rng(seed)
    tables = Tables(whole_frequencies(rng.random((kinds, symbols)) ** 8))
    kind = rng.integers(0, kinds, n)
    upper = np.cumsum(tables.frequencies.astype(float), axis=1) / 2**PRECISION
    return tables, kind, (rng.random(n)[:, None] >= upper[kind]).sum(1)


@pytest.mark.parametrize("n", [0, 1, 2, 1000, 50_000])
def test_symbols_come_back_and_take_their_entropy(n):
    tables, kind, symbols = drawn(n, 5, 40)
    encoder, cut = Encoder(tables), n // 3
    encoder.put(symbols[:cut], kind[:cut])
    encoder.put(symbols[cut:], kind[cut:])
    data = encoder.finish()
    decoder = Decoder(data, tables, n)
    back = np.concatenate([decoder.get(kind[:cut]), decoder.get(kind[cut:])])
    decoder.finish()
    np.testing.assert_array_equal(back, symbols)
    information = -np.log2(tables.frequencies[kind, symbols] / 2**PRECISION).sum() / 8
    assert information - 1 <= len(data) <= 1.01 * information + 4


def test_like_constriction():
    constriction = pytest.importorskip("constriction", reason="another entropy coder: pip install constriction")
    tables, _, symbols = drawn(20_000, 1, 30)
    shares = tables.frequencies[0] / 2**PRECISION
    peer = constriction.stream.queue.RangeEncoder()
    peer.encode(symbols.astype(np.int32), constriction.stream.model.Categorical(shares, perfect=False))
    encoder = Encoder(tables)
    encoder.put(symbols, np.zeros(len(symbols), int))
    assert len(encoder.finish()) <= 1.005 * 4 * len(peer.get_compressed())


def test_frequencies_are_whole_positive_and_add_up():
    for counts in ([[0, 0, 0]], [[1, 0, 0]], [[1e9, 1, 1e-9]], np.ones((3, 300)), [[5.0]]):
        f = whole_frequencies(counts)
        assert f.min() >= 1 and (f.sum(1) == 2**PRECISION).all()
    with pytest.raises(ValueError, match="rows add up to 16384"):
        Tables(np.array([[1, 2]]))
    with pytest.raises(ValueError, match="more than the 8192"):
        whole_frequencies(np.ones((1, 9000)))


def test_damaged_symbols_are_told():
    tables, kind, symbols = drawn(500, 3, 20)
    encoder = Encoder(tables)
    encoder.put(symbols, kind)
    data = encoder.finish()
    for damaged in (data[:3], data[:-2], data + b"\0\0", b"\0" * len(data), data[:4] + bytes([data[4] ^ 1]) + data[5:]):
        with pytest.raises(StorageError, match="codes are"):
            decoder = Decoder(damaged, tables, 500)
            decoder.get(kind)
            decoder.finish()


# ---------------------------------------------------------------- the model of codes


def codes_like(n, shape, seed=0):
    """Numbers whose size is alike in all channels at a place, and in places near one another, as edges make them."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1.5, (n, 1, *(-(-s // 4) for s in shape)))
    busy = np.exp(np.kron(coarse, np.ones((4, 4))))[:, :, :shape[0], :shape[1]]
    return np.rint(rng.laplace(size=(n, 6, *shape)) * busy * 2.0 ** -np.arange(6)[:, None, None]).astype(np.int64)


@pytest.fixture(scope="module")
def model():
    return CodeModel.fit([codes_like(2, (50, 64)), codes_like(1, (7, 5), seed=1)])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (3, 1), (17, 8)])
@pytest.mark.parametrize("n", [1, 3])
def test_codes_come_back(model, shape, n):
    codes = codes_like(n, shape, seed=5)
    np.testing.assert_array_equal(model.decode(model.encode(codes), codes.shape), codes)


def test_the_largest_codes_come_back_and_larger_ones_are_refused(model):
    codes = np.zeros((1, 6, 4, 4), np.int64)
    assert len(model.encode(codes)) <= 6  # nothing but where the coder stands
    codes[0, :, 0, 0], codes[0, :, 1, 1] = LARGEST, -LARGEST
    np.testing.assert_array_equal(model.decode(model.encode(codes), codes.shape), codes)
    with pytest.raises(ValueError, match="8192"):
        model.encode(codes + 1)


def test_large_codes_are_coded_some_rows_at_a_time(model, monkeypatch):
    monkeypatch.setattr("miniae.tasks.code_model._POSITIONS", 64)
    codes = codes_like(1, (19, 11), seed=6)
    np.testing.assert_array_equal(model.decode(model.encode(codes), codes.shape), codes)


def test_neighbours_and_other_channels_save_bits(model):
    codes = codes_like(1, (40, 40), seed=7)
    alone = 0.0
    for channel in codes[0]:
        count = np.unique(channel, return_counts=True)[1]
        alone -= (count * np.log2(count / count.sum())).sum() / 8
    assert len(model.encode(codes)) < 0.92 * alone


def test_all_that_the_coder_goes_by_are_integers(model):
    arrays = model.arrays()
    assert all(a.dtype.kind in "iu" for a in arrays.values())
    codes = codes_like(1, (9, 9), seed=8)
    again = CodeModel(**arrays)
    assert again.encode(codes) == model.encode(codes)
    with pytest.raises(ValueError, match="belong together"):
        CodeModel(**{**arrays, "order": arrays["order"][:-1]})


# ---------------------------------------------------------------- images


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 30, 3), (7, 9), (8, 8, 3), (50, 33, 3), (33, 64)])
def test_images_of_any_size(compressor, shape):
    image = scene(*shape[:2], 3 if len(shape) == 3 else 1)
    data = compressor.compress(image, 90)
    back = compressor.decompress(data)
    assert back.shape == image.shape and back.dtype == np.uint8
    np.testing.assert_array_equal(back, compressor.decompress(data))
    assert np.abs(back.astype(float) - image).mean() < 12


def test_quality_costs_bytes_and_lessens_the_error(compressor):
    image = scene(96, 80, seed=3)
    files = [compressor.compress(image, q) for q in (1, 40, 100)]
    errors = [np.square(compressor.decompress(f).astype(float) - image).mean() for f in files]
    assert len(files[0]) < len(files[1]) < len(files[2]) < image.size / 3
    assert errors[0] > errors[1] > errors[2]


def test_tiles_leave_no_seams(compressor, monkeypatch):
    image = scene(150, 170)
    data = compressor.compress(image, 60)
    whole = compressor.decompress(data).astype(int)
    codes = compressor._analyse(image.transpose(2, 0, 1)[None, :, :144, :168])
    monkeypatch.setattr(compression, "_TILE", 7)
    assert np.abs(compressor.decompress(data) - whole).max() <= 1  # products are summed in another order
    np.testing.assert_allclose(compressor._analyse(image.transpose(2, 0, 1)[None, :, :144, :168]), codes, atol=1e-4)


def test_a_model_of_grey_images_takes_colours_one_by_one():
    grey = ImageCompressor(12, size=4, patch=16, patches=30, epochs=1, augment=False, backend="numpy")
    grey.fit(np.stack([scene(14, 14, 1, seed=i) for i in range(20)]))
    image = scene(14, 18)
    back = grey.decompress(grey.compress(image, 100))
    assert back.shape == image.shape and np.abs(back.astype(float) - image).mean() < 12


def test_many_images_in_one_file(compressor):
    images = np.stack([scene(28, 28, 1, seed=i) for i in range(10)])
    data = compressor.compress_many(images, 60)
    back = compressor.decompress(data)
    assert back.shape == images.shape
    apart = [compressor.compress(image, 60) for image in images]
    assert len(data) < 0.9 * sum(map(len, apart))
    # A number halfway between two whole ones may be rounded either way, as products are summed in another order.
    assert np.abs(np.stack([compressor.decompress(f) for f in apart]).astype(float) - back).mean() < 0.1


def test_saved_and_loaded(compressor, tmp_path):
    path, image = tmp_path / "c.safetensors", scene(40, 30)
    compressor.save(path)
    again = ImageCompressor.load(path, "numpy")
    data = compressor.compress(image, 50)
    assert again.checksum_ == compressor.checksum_ and again.compress(image, 50) == data
    np.testing.assert_array_equal(again.decompress(data), compressor.decompress(data))
    flip_a_bit(path)
    with pytest.raises(StorageError, match="damaged"):
        ImageCompressor.load(path)
    compressor.model_.save(path)
    with pytest.raises(StorageError, match="holds a model, expected a compressor"):
        ImageCompressor.load(path)


def test_the_strict_backend_gives_the_same_image(compressor, tmp_path):
    compressor.save(tmp_path / "c.safetensors")
    strict = ImageCompressor.load(tmp_path / "c.safetensors", "strict")
    data = compressor.compress(scene(40, 30), 50)
    assert np.abs(strict.decompress(data).astype(int) - compressor.decompress(data)).max() <= 1


def test_the_bundled_compressor_knows_photographs():
    image = scene(120, 160, seed=9)
    photos = ImageCompressor.pretrained("numpy")
    data = photos.compress(image, 60)
    assert len(data) < image.size / 12
    assert np.square(photos.decompress(data).astype(float) - image).mean() < 0.02 * image.astype(float).var()


# ---------------------------------------------------------------- files that are refused


def test_what_is_packed_is_unpacked():
    content = Compressed(300, 3, 1, 70_000, 100, "grün", 0xFFFFFFFF, b"codes")
    assert unpack(pack(content)) == content


def test_damaged_foreign_and_other_files_are_refused_in_a_line(compressor):
    data = compressor.compress(scene(16, 16), 50)
    for bad, message in ((b"", "begins otherwise"), (b"\x89PNG\r\n", "begins otherwise"), (data[:12], "damaged"),
                         (data[:-1], "damaged or cut short"), (data + b"\0", "damaged or cut short"),
                         (resealed(data, 4, b"\2"), "install a newer miniae"),
                         (resealed(data, 5, b"\7"), "1 or 3 channels"), (resealed(data, 6, b"\xff"), "quality 1 to"),
                         (resealed(data, len(data) - 6, b"\x55"), "codes are damaged|cut short"),
                         (resealed(data, 7, b"\xff\xff\xff\xff\xff\xff"), "header is cut short")):
        with pytest.raises(StorageError, match=message) as why:
            compressor.decompress(bad, "a.mae")
        assert str(why.value).startswith("a.mae") and "\n" not in str(why.value)
    for i in range(len(data)):
        with pytest.raises(StorageError):
            compressor.decompress(data[:i] + bytes([data[i] ^ 16]) + data[i + 1:])


def test_a_size_that_can_not_be_is_refused_before_memory_is_taken(compressor):
    content = unpack(compressor.compress(scene(16, 16), 50))
    for size in ({"height": 1 << 30}, {"count": 1 << 20, "height": 1 << 20, "width": 1 << 20}, {"width": 0}):
        with pytest.raises(StorageError, match="no more than 134,217,728 pixels"):
            compressor.decompress(pack(content._replace(**size)))


@pytest.mark.parametrize("codes", [b"", b"\0\0", b"few\0", b"1" * 255, b"1" * 256, b"1" * 257])
def test_large_images_have_files_in_proportion(codes):
    large = Compressed(1, 3, 1024, 1024 + 64, 50, "m", 1, codes)
    assert unpack(pack(large)) == large and len(pack(large)) >= 256
    assert len(pack(large._replace(width=1024))) < 30 + len(codes)


def test_few_bytes_that_claim_many_pixels_are_refused_before_memory_is_taken(compressor):
    data = compressor.compress(np.zeros((16, 16), np.uint8), 1)
    size = b"\x80\x80\x01"  # 16,384 where 16 was: one byte for three
    forged = resealed(data, 8, size + b"\x80\x40", 2)
    message = "1 images of 8192x16384, in .* bytes: expected at least 520,192"
    with memory_below(1e6), pytest.raises(StorageError, match=message):
        compressor.decompress(forged)
    image = np.full((1100, 1000), 77, np.uint8)  # and what is as plain as that is compressed, and comes back
    data = compressor.compress(image, 1)
    assert np.abs(compressor.decompress(data).astype(int) - 77).max() < 20


def test_nothing_in_few_bytes_is_not_many_images(compressor):
    nothing = compressor.codes_.encode(np.zeros((1, 20, 2, 2), np.int64))  # no channel has a number: any size would fit
    content = unpack(compressor.compress(scene(16, 16), 50))._replace(codes=nothing)
    assert compressor.decompress(pack(content._replace(count=300, height=1, width=1))).shape == (300, 1, 1, 3)
    for size in ({"height": 1 << 30}, {"count": 1 << 20, "height": 1 << 20}, {"count": 1 << 20},
                 {"count": 1 << 20, "height": 1, "width": 1}, {"count": 1 << 15, "height": 1, "width": 1},
                 {"count": 1 << 20, "height": 1, "width": 100}, {"height": 1, "width": 200_000}):
        data = pack(content._replace(**size))
        with memory_below(4e6), pytest.raises(StorageError, match="are more than|no more than .* pixels"):
            compressor.decompress(data)
    with pytest.raises(ValueError, match="20000 images of 1x1 are more than 1,088,576 pixels when .* padded to 8x8"):
        compressor.compress_many(np.zeros((20_000, 1, 1), np.uint8))


def test_another_model_is_named(compressor):
    content = unpack(compressor.compress(scene(16, 16), 50))
    with pytest.raises(StorageError, match="needs the model 'zoo' with checksum 00000001"):
        compressor.decompress(pack(content._replace(name="zoo", model=1)))


@pytest.mark.parametrize("image", NO_IMAGES)
def test_what_is_no_image_is_refused(compressor, image):
    with pytest.raises(ValueError, match="expected|an image is"):
        compressor.compress(image)


def test_settings_that_can_not_be(compressor):
    with pytest.raises(ValueError, match="1 to 100, got 101"):
        compressor.compress(scene(8, 8), 101)
    with pytest.raises(ValueError, match="quality"):
        compressor.compress(scene(8, 8), 0)
    with pytest.raises(ValueError, match="no images"):
        ImageCompressor().fit([])
    with pytest.raises(NotFittedError):
        ImageCompressor().compress(scene(8, 8))
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        ImageCompressor(name="")
