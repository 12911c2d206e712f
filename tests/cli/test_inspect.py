"""miniae inspect and miniae restore, on images of several sizes."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from miniae.data import read_picture, write_picture
from miniae.report import psnr
from miniae.tasks import PatchDenoiser, TextureInspector

FEW = ("--backend", "numpy")


def cloth(height, width, seed):
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((height, width))
    return 0.5 + 0.2 * np.sin(rows / 2) * np.sin(columns / 2) + 0.03 * rng.standard_normal((height, width))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two clean images, and a folder of a good and a torn one, each of its own size."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "clean").mkdir()
    (folder / "new" / "below").mkdir(parents=True)
    write_picture(folder / "clean" / "a.png", cloth(64, 80, 0))
    write_picture(folder / "clean" / "b.png", cloth(70, 60, 1))
    write_picture(folder / "new" / "good.png", cloth(50, 40, 2))
    torn = cloth(48, 90, 3)
    torn[20:28, 30:60] = 0.5
    write_picture(folder / "new" / "below" / "torn.png", torn)
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / "colour.png")
    (folder / "mixed").mkdir()
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / "mixed" / "a.png")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(folder / "mixed" / "b.png")
    return folder


@pytest.fixture(scope="module")
def inspector(pictures):
    path = pictures / "cloth.safetensors"
    clean = [read_picture(pictures / "clean" / name) for name in ("a.png", "b.png")]
    TextureInspector(updates=120, hidden=32, false_alarms=0).fit(clean).save(path)
    return path


def test_inspect_finds_the_torn_one(miniae, pictures, inspector, tmp_path):
    code, out, err = miniae("inspect", inspector, pictures / "new", "-o", tmp_path / "out", *FEW)
    assert code == 0, err
    assert "below/torn.png: largest heat" in out and "images have defects" in out
    with (tmp_path / "out" / "scores.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["below/torn.png", "good.png"]
    torn = rows["below/torn.png"]
    assert 18 <= int(torn["row"]) < 30 and 28 <= int(torn["column"]) < 62 and int(torn["area"]) > 100
    assert float(torn["score"]) > 3 * float(rows["good.png"]["score"])
    expected = TextureInspector.load(inspector).inspect(read_picture(pictures / "new" / "below" / "torn.png"))
    assert float(torn["score"]) == pytest.approx(expected.score, rel=1e-6) and int(torn["area"]) == expected.area
    for name in ("below/torn.png", "good.png"):
        assert (tmp_path / "out" / name).stat().st_size > 5000


def test_inspect_fits(miniae, pictures, tmp_path):
    path = tmp_path / "i.safetensors"
    code, out, err = miniae("inspect", path, pictures / "clean" / "a.png", "--fit", "--false-alarms", "0.1", "--seed",
                            "2", "--updates", "30", *FEW)
    assert code == 0, err
    assert "fitted to 1 image, 5,120 pixels" in out
    loaded = TextureInspector.load(path)
    assert loaded.false_alarms == 0.1 and loaded.seed == 2
    assert miniae("inspect", path, pictures / "new" / "good.png", *FEW)[0] == 0


def test_restore_learns_from_noise_and_takes_it_out(miniae, pictures, tmp_path):
    rows = np.indices((64, 50))[0]
    clean = 0.5 + 0.2 * np.sin(rows / 4)
    noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape)
    (tmp_path / "noisy").mkdir()
    write_picture(tmp_path / "noisy" / "a.png", noisy)
    path = tmp_path / "d.safetensors"
    code, out, err = miniae("restore", path, tmp_path / "noisy", "--fit", "--noisy", "--updates", "200", *FEW)
    assert code == 0, err
    assert "fitted to 1 noisy image, for noise of deviation 0.1" in out or "deviation 0.09" in out
    code, out, err = miniae("restore", path, tmp_path / "noisy", "-o", tmp_path / "out", *FEW)
    assert code == 0, err
    written = read_picture(tmp_path / "out" / "a.png")
    assert psnr(clean[None], written[None]) > psnr(clean[None], np.clip(noisy, 0, 1)[None]) + 6
    expected = PatchDenoiser.load(path).denoise(read_picture(tmp_path / "noisy" / "a.png"))
    np.testing.assert_allclose(written, expected, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("command", ["inspect", "restore"])
def test_folders_are_written_whole_or_not_at_all(miniae, pictures, inspector, tmp_path, monkeypatch, command):
    model = inspector
    if command == "restore":
        model = tmp_path / "d.safetensors"
        PatchDenoiser(0.1, updates=5, hidden=8).fit(read_picture(pictures / "clean" / "a.png")).save(model)
    before, method = sorted(tmp_path.iterdir()), "heat_map" if command == "inspect" else "denoise"
    of = TextureInspector if command == "inspect" else PatchDenoiser
    work = getattr(of, method)

    def interrupted(self, image):
        if image.shape == (50, 40):  # the second one
            raise KeyboardInterrupt
        return work(self, image)

    monkeypatch.setattr(of, method, interrupted)
    assert miniae(command, model, pictures / "new", "-o", tmp_path / "out", *FEW)[0] == 130
    assert sorted(tmp_path.iterdir()) == before


def test_bad_input(miniae, pictures, inspector, tmp_path):
    def refused(command, *arguments):
        code, _, err = miniae(command, *arguments, *FEW)
        assert code == 2 and err.count("\n") == 1 and err.startswith("miniae: "), err
        return err

    new, clean, path = pictures / "new", pictures / "clean", tmp_path / "m.safetensors"
    assert "exists" in refused("inspect", inspector, clean, "--fit")
    assert "ends in .safetensors" in refused("inspect", tmp_path / "m.json", clean, "--fit")
    assert "no folder" in refused("inspect", tmp_path / "no" / "m.safetensors", clean, "--fit")
    assert "leave --out out" in refused("inspect", path, clean, "--fit", "-o", tmp_path / "o")
    assert "add --fit" in refused("inspect", inspector, new, "--seed", "1")
    assert "less than 1" in refused("inspect", path, clean / "a.png", "--fit", "--false-alarms", "1")
    assert "does not exist" in refused("inspect", inspector, tmp_path / "none.png")
    assert "does not exist" in refused("inspect", tmp_path / "none.safetensors", new)
    assert "unknown ending" in refused("inspect", inspector, inspector)
    assert "grey images" in refused("inspect", path, pictures / "mixed", "--fit")
    assert "grey images" in refused("inspect", inspector, pictures / "mixed", "-o", tmp_path / "o")
    assert "3 channels, what was fitted had 1" in refused("inspect", inspector, pictures / "colour.png", "-o",
                                                          tmp_path / "o")
    assert "not an empty folder" in refused("inspect", inspector, new, "-o", clean)
    assert "expected a denoiser" in refused("restore", inspector, new, "-o", tmp_path / "o")
    assert "does not exist" in refused("restore", tmp_path / "none.safetensors", new, "-o", tmp_path / "o")
    assert "add --level" in refused("restore", path, clean, "--fit")
    assert "level is 0" in refused("restore", path, clean, "--fit", "--level", "0")
    bad, mixed = ("--fit", "--noisy", "--level", "25"), pictures / "mixed"  # told before the images are read
    assert "white 1, expected at most 1, got 25" in refused("restore", path, mixed, *bad)
    assert "leave --out out" in refused("restore", path, clean, "--fit", "--noisy", "-o", tmp_path / "o")
    assert "for fitting" in refused("restore", inspector, new, "--noisy", "-o", tmp_path / "o")
    assert "nothing to do" in refused("restore", inspector, new)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    assert "can't be read as an image" in refused("inspect", inspector, tmp_path / "bad", "-o", tmp_path / "o")
    damaged = bytearray(inspector.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert "checksum" in refused("inspect", path, new)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "m.safetensors"]
