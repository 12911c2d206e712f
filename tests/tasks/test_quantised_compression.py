"""Files of images by vector-quantised autoencoders: any size, any colours, and what is refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from tasks.forged import NO_IMAGES, flip_a_bit, memory_below, resealed

from miniae.data import eight_bits, load
from miniae.data.errors import StorageError
from miniae.data.storage import load_tensors, save_tensors
from miniae.models import Autoencoder, VectorQuantisedAutoencoder
from miniae.nn import Dense, Sequential
from miniae.tasks import ImageCompressor, VectorQuantisedCompressor, load_compressor
from miniae.tasks.compressed_file import pack, unpack
from miniae.training import NotFittedError

digits = functools.cache(lambda: load("digits"))


def scene(height, width, channels=1, seed=0):
    """Digits side by side, in as many shades as there are channels: uint8 (height, width[, 3])."""
    rng = np.random.default_rng(seed)
    down, right = -(-height // 28), -(-width // 28)
    drawn = digits().test[rng.integers(0, 1000, down * right)]
    page = drawn.reshape(down, right, 28, 28).transpose(0, 2, 1, 3).reshape(down * 28, -1)[:height, :width]
    image = eight_bits(page[..., None] * np.linspace(1, 0.4, channels))
    return image if channels == 3 else image[..., 0]


@pytest.fixture(scope="module")
def model():
    model = VectorQuantisedAutoencoder((8, 8), image_shape=(28, 28), codebook=32, dim=4, epochs=20, loss="bce",
                                       lr=1e-2, backend="numpy")
    return model.fit(digits().train[:500])


@pytest.fixture(scope="module")
def compressor(model):
    return VectorQuantisedCompressor(model, name="vq").fit(eight_bits(digits().train[:500].reshape(-1, 28, 28)))


@pytest.fixture(scope="module")
def of_colours():
    """A compressor for images in colour, of tiles of 8x12."""
    images = np.stack([scene(8, 12, 3, seed=i) for i in range(60)])
    X = images.transpose(0, 3, 1, 2) / np.float32(255)
    model = VectorQuantisedAutoencoder((8,), codebook=16, dim=4, epochs=2, loss="bce", backend="numpy").fit(X)
    return VectorQuantisedCompressor(model).fit(images)


def by_tiles(model, image, height, width):
    """What a model makes of a grey image at least as large as a tile: one tile after the other, means where two lie."""
    total, count = np.zeros(image.shape), np.zeros(image.shape)
    for y in sorted({min(i, image.shape[0] - height) for i in range(0, image.shape[0], height)}):
        for x in sorted({min(i, image.shape[1] - width) for i in range(0, image.shape[1], width)}):
            place = np.s_[y:y + height, x:x + width]
            total[place] += model.reconstruct(image[place].reshape(1, -1) / np.float32(255)).reshape(height, width)
            count[place] += 1
    return total / count


@pytest.mark.parametrize("shape", [(28, 28), (28, 29), (57, 28), (61, 90)])
def test_an_image_comes_back_as_the_model_has_its_tiles(model, compressor, shape):
    image = scene(*shape)
    back = compressor.decompress(compressor.compress(image))
    assert np.abs(back - 255 * by_tiles(model, image, 28, 28)).max() <= 0.501
    assert np.square(back.astype(float) - image).mean() < 0.4 * image.astype(float).var()


@pytest.mark.parametrize("name", ["compressor", "of_colours"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (3, 5), (3, 5, 3), (1, 63), (28, 28, 3), (29, 31), (41, 17, 3)])
def test_any_size_grey_and_in_colour(request, name, shape):
    compressor, image = request.getfixturevalue(name), scene(*shape[:2], 3 if len(shape) == 3 else 1)
    data = compressor.compress(image)
    back = compressor.decompress(data)
    assert back.shape == image.shape and back.dtype == np.uint8
    assert compressor.compress(image) == data
    np.testing.assert_array_equal(back, compressor.decompress(data))


def test_colours_go_through_a_grey_model_one_by_one_and_grey_through_colours_as_their_mean(compressor, of_colours):
    image = scene(30, 40, 3)
    back = compressor.decompress(compressor.compress(image))
    for c in range(3):
        np.testing.assert_array_equal(back[..., c], compressor.decompress(compressor.compress(image[..., c])))
    grey = scene(20, 20)
    three = of_colours.decompress(of_colours.compress(np.stack([grey] * 3, axis=2)))
    assert np.abs(three.mean(2) - of_colours.decompress(of_colours.compress(grey))).max() <= 1


def test_dense_layers_over_images():
    images = np.stack([scene(6, 9, seed=i) for i in range(40)])
    model = VectorQuantisedAutoencoder(encoder=Sequential([Dense(16, "relu"), Dense(8)]), dim=2, codebook=16, epochs=1,
                                       decoder=Sequential([Dense(16, "relu"), Dense(54)]), backend="numpy")
    model.fit(images.reshape(-1, 54) / np.float32(255))
    compressor = VectorQuantisedCompressor(model, (6, 9)).fit(images)
    image = scene(13, 18)
    back = compressor.decompress(compressor.compress(image))
    assert np.abs(back - 255 * np.clip(by_tiles(model, image, 6, 9), 0, 1)).max() <= 0.501
    with pytest.raises(ValueError, match="none of images \\(54,\\): name their image_shape"):
        VectorQuantisedCompressor(model)
    for shape in ((6, 8), (2, 3, 9), (54,)):
        with pytest.raises(ValueError, match="none of images"):
            VectorQuantisedCompressor(model, shape)


def test_many_images_share_a_header_and_take_their_information(model, compressor):
    images = np.stack([scene(28, 28, seed=i) for i in range(50)])
    data = compressor.compress_many(images)
    np.testing.assert_array_equal(compressor.decompress(data), eight_bits(
        model.reconstruct(images.reshape(50, -1) / np.float32(255)).reshape(images.shape)))
    indices = model.encode_indices(images.reshape(50, -1) / np.float32(255)).reshape(50, -1)
    shares = compressor.coder_.frequencies_[np.arange(49), indices] / 2**14
    information = -np.log2(shares).sum() / 8
    assert information - 1 <= len(unpack(data).codes) <= 1.01 * information + 4
    assert len(data) - len(unpack(data).codes) == 4 + 1 + 1 + 1 + 3 + 3 + 4 + 4
    assert len(data) < 0.8 * sum(len(compressor.compress(image)) for image in images)


def test_images_of_different_sizes_are_counted_together(model):
    images = [scene(28, 28, seed=i) for i in range(6)] + [scene(56, 28, seed=9), scene(28, 28, 3, seed=10)]
    fitted = VectorQuantisedCompressor(model).fit(images)
    apart = [*images[:6], images[6][:28], images[6][28:], *images[7].transpose(2, 0, 1)]
    again = VectorQuantisedCompressor(model).fit(np.stack(apart))
    np.testing.assert_array_equal(fitted.coder_.frequencies_, again.coder_.frequencies_)


def test_saved_and_loaded(compressor, of_colours, tmp_path, backend):
    path = tmp_path / "vq.safetensors"
    for one, image in ((compressor, scene(40, 61)), (of_colours, scene(11, 40, 3))):
        one.save(path)
        again = load_compressor(path, backend)
        assert (again.checksum_, again.name, again.image_shape) == (one.checksum_, one.name, one.image_shape)
        data = one.compress(image)
        assert again.compress(image) == data
        assert np.abs(again.decompress(data).astype(int) - one.decompress(data)).max() <= backend.name.startswith("cu")
        before = path.read_bytes()
        again.save(path)
        assert path.read_bytes() == before


def test_training_the_model_further_changes_nothing(tmp_path):
    X, images = digits().train[:60], eight_bits(digits().train[:60].reshape(-1, 28, 28))
    model = VectorQuantisedAutoencoder((4,), image_shape=(28, 28), codebook=16, dim=4, epochs=1, backend="numpy").fit(X)
    compressor, image = VectorQuantisedCompressor(model, np.array((28, 28))).fit(images), scene(30, 40)
    data, known = compressor.compress(image), compressor.checksum_
    back, indices = compressor.decompress(data), model.encode_indices(X)
    compressor.save(tmp_path / "a.safetensors")
    loaded = load_compressor(tmp_path / "a.safetensors", "numpy")
    for one in (compressor, loaded):
        for _ in range(3):
            one.model.partial_fit(X)
        assert (one.model.encode_indices(X) != indices).any()
        assert one.checksum_ == known and one.compress(image) == data
        np.testing.assert_array_equal(one.decompress(data), back)
        one.save(tmp_path / "b.safetensors")
        assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()
    assert compressor.fit(images).checksum_ != known  # made of the model as it is now


def test_models_that_are_not_what_they_should_be(model, compressor, tmp_path):
    path = tmp_path / "vq.safetensors"
    compressor.save(path)
    arrays, header = load_tensors(path)
    flip_a_bit(path)
    with pytest.raises(StorageError, match="damaged"):
        load_compressor(path)
    few = arrays["frequencies"][:, :30].copy()
    few[:, 0] += 2**14 - few.sum(1, dtype=np.int64).astype(np.uint16)
    for frequencies, message in ((arrays["frequencies"][:-1], "frequencies of 48 positions"), (few, "for 32 vectors"),
                                 (arrays["frequencies"] * 2, "rows add up to 16384")):
        save_tensors(path, {**arrays, "frequencies": frequencies}, header)
        with pytest.raises(StorageError, match=message):
            load_compressor(path)
    save_tensors(path, arrays, {**header, "format": 2})
    with pytest.raises(StorageError, match="has format 2, this version reads up to 1"):
        load_compressor(path)
    save_tensors(path, arrays, {k: v for k, v in header.items() if k != "image_shape"})
    with pytest.raises(StorageError, match="damaged: 'image_shape'"):
        load_compressor(path)
    for shape in ([1, -28, -28], [1, 28.0, 28], [1, 28, "28"], [28.0, 28.0], [-1, -28, 28], 784, "abc", [[28, 28]]):
        save_tensors(path, arrays, {**header, "image_shape": shape})
        with pytest.raises(StorageError, match="damaged: "):
            load_compressor(path)
    model.save(path)
    with pytest.raises(StorageError, match="does not know how often .* by miniae compressor IMAGES --model"):
        load_compressor(path)
    Autoencoder(code=2, epochs=1, backend="numpy").fit(digits().train[:20]).save(path)
    with pytest.raises(StorageError, match="holds a model, expected a compressor"):
        load_compressor(path)
    compressor.save(path)
    with pytest.raises(StorageError, match="holds a vector-quantised compressor, expected a compressor"):
        ImageCompressor.load(path)
    ImageCompressor.pretrained("numpy").save(path)
    with pytest.raises(StorageError, match="holds a compressor, expected a vector-quantised compressor"):
        VectorQuantisedCompressor.load(path)
    assert isinstance(load_compressor(path), ImageCompressor)


# ---------------------------------------------------------------- files that are refused


def test_damage_at_every_byte_and_cuts_at_every_place_are_refused_in_a_line(compressor):
    data = compressor.compress(scene(31, 40, 3))
    damaged = [data[:i] + bytes([data[i] ^ bit]) + data[i + 1:] for i in range(len(data)) for bit in (1, 128)]
    for bad in [data[:i] for i in range(len(data))] + damaged + [data + b"\0", b"", b"\x89PNG\r\n\x1a\n", bytes(99)]:
        with pytest.raises(StorageError) as why:
            compressor.decompress(bad, "a.mae")
        assert str(why.value).startswith("a.mae") and "\n" not in str(why.value)


def test_what_was_forged_is_refused_or_of_the_size_that_it_says(compressor):
    data = compressor.compress(scene(28, 28))
    assert data[7:10] == b"\1\x1c\x1c" and data[10:13] == b"\2vq"
    for at, value, length, message in ((4, b"\2", 1, "install a newer"), (5, b"\2", 1, "1 or 3 channels"),
                                       (5, b"\3", 1, "codes are|can't hold"), (7, b"\2", 1, "codes are|can't hold"),
                                       (8, b"\x1d", 1, "codes are"), (6, b"\x32", 1, "needs the model 'vq'"),
                                       (6, b"\x65", 1, "or 0 for integers"), (13, b"\0\0\0\0", 4, "with checksum 0{8}"),
                                       (17, b"", 1, "codes are"), (17, b"\0\0\0\0", 4, "codes are"),
                                       (8, b"\0", 1, "1 images of 28x0")):
        with pytest.raises(StorageError, match=message):
            compressor.decompress(resealed(data, at, value, length))


@pytest.mark.parametrize("size", [{"height": 1 << 30}, {"count": 1 << 20, "height": 1 << 20}, {"count": 1 << 20},
                                  {"count": 1 << 20, "height": 1, "width": 1}, {"height": 11_000, "width": 11_000},
                                  {"count": 5000}, {"count": 1 << 15, "height": 1, "width": 1},
                                  {"height": 1000, "width": 1000}])
def test_sizes_that_can_not_be_are_refused_before_memory_is_taken(compressor, size):
    data = pack(unpack(compressor.compress(scene(28, 28)))._replace(**size))
    with memory_below(4e6), pytest.raises(StorageError, match="can't hold|pixels"):
        compressor.decompress(data)


def test_another_model_and_another_kind_of_model_are_named(model, compressor):
    image = scene(30, 30)
    other = VectorQuantisedCompressor(model, name="other").fit([image])
    assert other.checksum_ != compressor.checksum_
    with pytest.raises(StorageError, match="needs the vector-quantised model 'other' with checksum "
                                           f"{other.checksum_:08x}, this is 'vq' with {compressor.checksum_:08x}"):
        compressor.decompress(other.compress(image))
    photos = ImageCompressor.pretrained("numpy")
    with pytest.raises(StorageError, match="needs the vector-quantised model 'vq'"):
        photos.decompress(compressor.compress(image))
    with pytest.raises(StorageError, match="needs the model 'photos'"):
        compressor.decompress(photos.compress(image))


@pytest.mark.parametrize("image", [*NO_IMAGES, np.zeros((0, 4, 4), np.uint8)])
def test_what_is_no_image_is_refused(compressor, image):
    with pytest.raises(ValueError, match="expected|an image is"):
        compressor.compress(image)
    with pytest.raises(ValueError, match="an image is"):
        VectorQuantisedCompressor(compressor.model).fit([image])


def test_what_can_not_be_made(model, compressor):
    with pytest.raises(ValueError, match="no images to count"):
        VectorQuantisedCompressor(model).fit([])
    with pytest.raises(NotFittedError, match="call fit"):
        VectorQuantisedCompressor(model).compress(scene(28, 28))
    with pytest.raises(NotFittedError, match="call fit"):
        VectorQuantisedCompressor(VectorQuantisedAutoencoder())
    with pytest.raises(TypeError, match="expected a VectorQuantisedAutoencoder, got an? Autoencoder"):
        VectorQuantisedCompressor(Autoencoder())
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        VectorQuantisedCompressor(model, name="")
    with pytest.raises(ValueError, match="400000 images of 1x1 are more than .* padded to 28x28"):
        compressor.compress_many(np.broadcast_to(np.uint8(0), (400_000, 1, 1)))
