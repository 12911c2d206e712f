"""miniae compress, decompress and compressor."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from miniae.cli import main
from miniae.tasks import ImageCompressor, load_compressor


def picture(height, width, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [120 + 60 * np.sin((x + y) / 9 + c) + rng.normal(0, 3, (height, width)) for c in range(channels)]
    return np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0).squeeze()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(picture(40, 52)).save(folder / "a.png")
    Image.fromarray(picture(33, 20, 1)).save(folder / "below" / "b.png")
    return folder


def expect(result, message):
    code, _, err = result
    assert code == 2 and err.count("\n") == 1 and re.search(message, err), err


def close(path, expected):
    with Image.open(path) as file:
        back = np.asarray(file).astype(float)
    assert back.shape == expected.shape
    assert np.square(back - expected).mean() < 60


def test_an_image_there_and_back(miniae, folder, tmp_path):
    out, back = tmp_path / "a.mae", tmp_path / "back.png"
    code, said, err = miniae("compress", folder / "a.png", out, "--quality", 70, "--backend", "numpy")
    assert code == 0, err
    size = out.stat().st_size
    assert said == f"written to {out}: {size:,} bytes, {8 * size / (40 * 52):.3f} bits a pixel\n"
    assert out.read_bytes() == ImageCompressor.pretrained("numpy").compress(picture(40, 52), 70)
    code, said, err = miniae("decompress", out, back, "--backend", "numpy")
    assert code == 0 and said == f"written to {back}: 1 image\n", err
    close(back, picture(40, 52))
    assert miniae("decompress", out, tmp_path / "back.jpg")[0] == 0
    with Image.open(tmp_path / "back.jpg") as file:
        assert file.format == "JPEG"


def test_a_folder_there_and_back(miniae, folder, tmp_path):
    assert miniae("compress", folder, tmp_path / "small")[0] == 0
    code, said, err = miniae("decompress", tmp_path / "small", tmp_path / "out")
    assert code == 0 and said == f"written to {tmp_path / 'out'}: 2 images\n", err
    close(tmp_path / "out" / "a.png", picture(40, 52))
    close(tmp_path / "out" / "below" / "b.png", picture(33, 20, 1))


def test_a_compressor_of_ones_own(miniae, folder, tmp_path):
    model, out = tmp_path / "own.safetensors", tmp_path / "a.mae"
    code, said, err = miniae("compressor", folder, "-o", model, "--filters", 16, "--patches", 12, "--epochs", 1,
                             "--backend", "numpy")
    assert code == 0, err
    assert f"written to {model}: trained on 2 images, checksum {ImageCompressor.load(model).checksum_:08x}" in said
    assert miniae("compress", folder / "a.png", out, "--model", model)[0] == 0
    expect(miniae("decompress", out, tmp_path / "b.png"), "a.mae needs the model 'own' with checksum")
    assert not (tmp_path / "b.png").exists()
    assert miniae("decompress", out, tmp_path / "b.png", "--model", model)[0] == 0


def test_bad_input(miniae, folder, tmp_path, trained):
    out = tmp_path / "x.mae"
    expect(miniae("compress", tmp_path / "none.png", out), "does not exist")
    expect(miniae("compress", folder / "a.png", out, "--quality", 0), "1 to 100, got 0")
    expect(miniae("compress", folder / "a.png", out, "--quality", "high"), "invalid int")
    expect(miniae("compress", folder / "a.png", tmp_path / "no" / "x.mae"), "there is no folder")
    expect(miniae("compress", folder / "a.png", folder), "it is a folder")
    expect(miniae("compress", folder, folder), "not an empty folder")
    expect(miniae("compress", folder / "a.png", out, "--model", trained / "model.safetensors"), "expected a compressor")
    expect(miniae("compress", folder / "a.png", out, "--model", tmp_path / "none.safetensors"), "does not exist")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    expect(miniae("compress", tmp_path / "broken.png", out), "can't be read as an image")
    expect(miniae("compress", "", out), "'' does not exist")
    (folder / "a.jpg").write_bytes((folder / "a.png").read_bytes())
    expect(miniae("compress", folder, tmp_path / "new"), "two files would become one")
    assert not out.exists() and not (tmp_path / "new").exists()


def test_files_that_can_not_be_decompressed(miniae, folder, tmp_path):
    file, out = tmp_path / "a.mae", tmp_path / "a.png"
    assert miniae("compress", folder / "a.png", file)[0] == 0
    expect(miniae("decompress", file, tmp_path / "a.xyz"), "expected the name of an image file")
    expect(miniae("decompress", tmp_path / "none.mae", out), "does not exist")
    expect(miniae("decompress", folder / "a.png", out), "not a file that miniae compress wrote")
    expect(miniae("decompress", folder, tmp_path / "new"), "holds no .mae files")
    data = file.read_bytes()
    file.write_bytes(data[:-9])
    expect(miniae("decompress", file, out), "a.mae is damaged or cut short")
    several = ImageCompressor.pretrained("numpy").compress_many(np.zeros((4, 9, 3), np.uint8))
    file.write_bytes(several)
    expect(miniae("decompress", file, out), "holds 4 images")
    assert not out.exists() and not (tmp_path / "new").exists()


def test_what_is_read_is_not_overwritten(miniae, folder, tmp_path):
    image, file, link = folder / "a.png", tmp_path / "a.mae", tmp_path / "link.mae"
    before = image.read_bytes()
    link.symlink_to(image)
    expect(miniae("compress", image, link), "it is what is read")
    for out in (image, folder / "another.PNG"):
        expect(miniae("compress", image, out), "what is written is no image")
    assert miniae("compress", image, file)[0] == 0
    called_png = tmp_path / "called.png"
    called_png.write_bytes(file.read_bytes())
    expect(miniae("decompress", called_png, called_png), "it is what is read")
    assert called_png.read_bytes() == file.read_bytes()
    expect(miniae("compressor", folder, "-o", image), "ends in .safetensors")
    assert image.read_bytes() == before


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_the_model_is_not_overwritten(miniae, folder, tmp_path, command):
    model, file, link = tmp_path / "own.safetensors", tmp_path / "a.mae", tmp_path / "link.png"
    ImageCompressor.pretrained("numpy").save(model)
    before = model.read_bytes()
    assert miniae("compress", folder / "a.png", file, "--model", model)[0] == 0
    link.symlink_to(model)
    out = model if command == "compress" else link
    expect(miniae(command, folder / "a.png" if command == "compress" else file, out, "--model", model),
           "it is what is read")
    assert model.read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "interrupted"])
def test_a_folder_is_written_whole_or_not_at_all(miniae, folder, tmp_path, monkeypatch, damage):
    assert miniae("compress", folder, tmp_path / "small")[0] == 0
    last_image, last_file = folder / "below" / "b.png", tmp_path / "small" / "below" / "b.mae"
    if damage == "truncated":
        for path in (last_image, last_file):
            path.write_bytes(path.read_bytes()[:-30])
        expect(miniae("compress", folder, tmp_path / "new"), "b.png can't be read")
        expect(miniae("decompress", tmp_path / "small", tmp_path / "new"), "b.mae is damaged")
    else:
        compress = ImageCompressor.compress

        def interrupted(self, image, quality):
            if image.ndim == 2:  # the second one
                raise KeyboardInterrupt
            return compress(self, image, quality)

        monkeypatch.setattr(ImageCompressor, "compress", interrupted)
        assert miniae("compress", folder, tmp_path / "new")[0] == 130
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "small"]


def test_compressors_that_can_not_be_trained(miniae, folder, tmp_path):
    expect(miniae("compressor", tmp_path / "none"), "does not exist")
    expect(miniae("compressor", folder, "-o", tmp_path / "no" / "c.safetensors"), "there is no folder")
    expect(miniae("compressor", folder, "-o", tmp_path / "c.safetensors", "--patches", 0), "patches")
    other, below = tmp_path / "other.safetensors", tmp_path / "below.safetensors"
    ImageCompressor.pretrained("numpy").save(other)
    below.mkdir()
    before = other.read_bytes()
    for path in (other, below):
        expect(miniae("compressor", folder, "-o", path), "exists: choose a new name for the compressor$")
    assert other.read_bytes() == before and list(below.iterdir()) == []


# ---------------------------------------------------------------- vector-quantised models


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    """A vector-quantised model of 12x10 pixels as miniae train writes it, and a compressor made of it."""
    folder = tmp_path_factory.mktemp("quantised")
    (folder / "small").mkdir()
    for i in range(30):
        Image.fromarray(picture(12, 10, 1, seed=i)).save(folder / "small" / f"{i}.png")
    commands = (("train", "--data", folder / "small", "--model", "vector-quantised", "--layers", "4-8", "--epochs", 1,
                 "--set", "codebook=16", "--set", "dim=4", "--out", folder / "run", "--backend", "numpy"),
                ("compressor", folder / "small", "--model", folder / "run" / "model.safetensors", "-o",
                 folder / "vq.safetensors", "--backend", "numpy"))
    for command in commands:
        assert main([str(a) for a in command]) == 0
    return folder


def test_a_vector_quantised_model_there_and_back(miniae, folder, quantised, tmp_path):
    own = ("--model", quantised / "vq.safetensors", "--backend", "numpy")
    code, said, err = miniae("compress", folder, tmp_path / "small", *own)
    assert code == 0 and re.search("bits a pixel", said), err
    compressor = load_compressor(quantised / "vq.safetensors", "numpy")
    data = (tmp_path / "small" / "a.mae").read_bytes()
    assert data == compressor.compress(picture(40, 52)) and compressor.name == "vq"
    assert miniae("decompress", tmp_path / "small", tmp_path / "out", *own)[0] == 0
    for name, shape in (("a.png", (40, 52, 3)), ("below/b.png", (33, 20))):
        with Image.open(tmp_path / "out" / name) as file:
            assert np.asarray(file).shape == shape
    with Image.open(tmp_path / "out" / "a.png") as file:
        np.testing.assert_array_equal(np.asarray(file), compressor.decompress(data))


def test_the_images_of_a_compressor_may_be_in_a_file(miniae, quantised, tmp_path):
    images = np.stack([picture(12, 10, 1, seed=i) for i in range(30)])
    np.save(tmp_path / "images.npy", images)
    out, model = tmp_path / "again.safetensors", quantised / "run" / "model.safetensors"
    code, said, err = miniae("compressor", tmp_path / "images.npy", "--model", model, "-o", out)
    again = load_compressor(out, "numpy")
    assert code == 0, err
    assert re.match(r"20 images of those counted take \d+\.\d{3} bits a pixel, and come back at \d+\.\d dB: new", said)
    assert said.endswith(f"written to {out}: with the frequencies of 30 images, checksum {again.checksum_:08x}\n")
    assert again.checksum_ == load_compressor(quantised / "vq.safetensors", "numpy").checksum_
    one = tmp_path / "one.safetensors"
    said = miniae("compressor", quantised / "small" / "0.png", "--model", model, "-o", one)[1]
    assert said.startswith("1 image of those counted takes ") and " and comes back at " in said
    assert f"written to {one}: with the frequencies of 1 image, checksum " in said
    np.save(tmp_path / "numbers.npy", images.astype(np.float32))
    np.save(tmp_path / "rows.npy", images.reshape(30, -1) / 255)
    for name in ("numbers", "rows"):
        expect(miniae("compressor", tmp_path / f"{name}.npy", "--model", model, "-o", tmp_path / "c.safetensors"),
               "holds no images of 8 bits, or from 0 to 1")
    assert not (tmp_path / "c.safetensors").exists()


def test_the_wrong_model_is_told(miniae, folder, quantised, tmp_path, trained):
    own, run = quantised / "vq.safetensors", quantised / "run" / "model.safetensors"
    image, out, file = folder / "a.png", tmp_path / "x.png", tmp_path / "x.mae"
    expect(miniae("compress", image, file, "--model", run), "by miniae compressor IMAGES --model .*model.safetensors")
    expect(miniae("compress", image, file, "--model", own, "--quality", 50), "leave --quality out")
    assert miniae("compress", image, file, "--model", own)[0] == 0
    expect(miniae("decompress", file, out), "x.mae needs the vector-quantised model 'vq' with checksum")
    expect(miniae("decompress", file, out, "--model", run), "does not know how often")
    file.write_bytes(file.read_bytes()[:-1])
    expect(miniae("decompress", file, out, "--model", own), "damaged or cut short")
    assert miniae("compress", image, tmp_path / "photo.mae")[0] == 0
    expect(miniae("decompress", tmp_path / "photo.mae", out, "--model", own), "needs the model 'photos' with checksum")
    new = tmp_path / "c.safetensors"
    expect(miniae("compressor", folder, "--model", trained / "model.safetensors", "-o", new), "codes are no integers")
    expect(miniae("compressor", folder, "--model", own, "-o", new), "holds a vector-quantised compressor, expected")
    expect(miniae("compressor", folder, "--model", run, "--epochs", 3, "-o", new), "--epochs is for training")
    expect(miniae("compressor", folder, "--model", run, "--alike", "-o", new), "--alike is for training")
    for path in (run, own):
        expect(miniae("compressor", folder, "--model", run, "-o", path), "exists: choose a new name for the compr")
    assert not out.exists() and not new.exists()
