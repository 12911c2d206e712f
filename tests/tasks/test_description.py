"""What is said of files of detectors, inspectors, denoisers, indexes and compressors."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from miniae.data import StorageError, load_tensors, save_tensors
from miniae.models import Autoencoder, VectorQuantisedAutoencoder, load
from miniae.tasks import (
    AnomalyDetector,
    ImageCompressor,
    PatchDenoiser,
    SemanticIndex,
    SeriesDetector,
    TextureInspector,
    VectorQuantisedCompressor,
    describe,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)).astype(np.float32)
IMAGE = RNG.random((40, 40))
FEW = {"updates": 2, "hidden": 8, "backend": "numpy"}


def index_of(model):
    index = SemanticIndex(model, "euclidean")
    index.add(X)
    return index


MADE = {
    "detector": (lambda: AnomalyDetector(contamination=0, **FEW).fit(X), {"extra": {
        "data": "a.csv", "feature_names": list("abcd")}},
        ["(AnomalyDetector), fitted to a.csv, ", "rows of shape (4,) (a, b, c, d)", "2 networks, ",
         "settings: contamination=0, hidden=8, updates=2"]),
    "series detector": (lambda: SeriesDetector(20, **FEW).fit(X[:, :2]), {"extra": {}},
                        ["series of 2 channels, in windows of 20 moments", "settings: window=20, "]),
    "inspector": (lambda: TextureInspector(scales=[0], **FEW).fit(IMAGE), {},
                  ["images of 1 channel, in patches of 12 x 12 at 1 scale", "settings: scales=[0], "]),
    "denoiser": (lambda: PatchDenoiser(0.125, **FEW).fit(IMAGE), {},
                 ["images of 1 channel, in patches of 12 x 12", "1 network, ", "for noise of deviation 0.125"]),
    "index": (lambda: index_of(Autoencoder([5], 3, epochs=1, backend="numpy").fit(X)), {},
              ["200 codes of 12 bytes each", "by a model, Autoencoder, of samples of shape (4,)",
               "1 network, 87 weights", "settings: metric='euclidean'"]),
    "compressor": (lambda: ImageCompressor(8, patches=2, patch=16, epochs=1, backend="numpy").fit(
        [(255 * IMAGE).astype(np.uint8)]), {}, ["in blocks of 8 x 8 pixels, 8 numbers", "settings: filters=8, "]),
    "vector-quantised compressor": (lambda: VectorQuantisedCompressor(VectorQuantisedAutoencoder(
        [2], codebook=8, dim=4, epochs=1, backend="numpy").fit(IMAGE.reshape(-1, 4, 4))).fit([np.uint8(255 * IMAGE)]),
        {}, ["in tiles of 4 x 4 pixels of 1 channel, by a codebook of 8", "1 network, ",
             "settings: name='own', epochs=1, filters=[2], codebook=8, dim=4"]),
}


@pytest.mark.parametrize("kind", MADE)
def test_what_is_said(kind, tmp_path):
    make, saved_with, says = MADE[kind]
    path, fitted = tmp_path / "a.safetensors", make()
    fitted.save(path, **saved_with)
    os.utime(path, (0, time.mktime((2024, 5, 6, 7, 8, 9, 0, 0, -1))))
    lines = describe(path)
    assert lines[0].startswith(f"{path}: {kind} (")
    assert lines[0].endswith(", written 2024-05-06 07:08, checksum verified")
    if hasattr(fitted, "threshold_"):
        says = [*says, f"threshold {fitted.threshold_:.4g}: "]
    for piece in says:
        assert piece in "\n".join(lines)
    assert "backend" not in "\n".join(lines)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StorageError, match="checksum"):
        describe(path)


def test_an_index_without_a_model_and_a_file_without_a_checksum(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    index_of(None).save(path)
    assert describe(path)[1:3] == ["200 codes of 16 bytes each", "no model, which would make codes of samples"]
    tensors, header = load_tensors(path)
    monkeypatch.setattr("miniae.data.storage._CHECKSUM", "another")
    save_tensors(path, tensors, header)
    monkeypatch.undo()
    assert "without a checksum" in describe(path)[0]


def forged(path, **entries):
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, {**header, **entries})


@pytest.mark.parametrize("entries, message", [
    ({"extra": ["a.csv"]}, "'extra' in its header is a list, expected an object"), ({"extra": None}, "a NoneType"),
    ({"extra": {"feature_names": 4}}, "'feature_names' in its header are no list of names"),
    ({"extra": {"feature_names": "abcd"}}, "no list of names"),
    ({"extra": {"feature_names": [1, 2, 3, 4]}}, "no list of names"), ({"threshold": "high"}, "format code")])
def test_what_was_forged_is_told_in_a_line(tmp_path, entries, message):
    path = tmp_path / "a.safetensors"
    AnomalyDetector(contamination=0, **FEW).fit(X).save(path)
    forged(path, **entries)
    with pytest.raises(StorageError, match=message) as why:
        describe(path)
    assert "is damaged: " in str(why.value) and "\n" not in str(why.value)


def test_a_model_whose_extra_was_forged(tmp_path):
    path = tmp_path / "a.safetensors"
    Autoencoder([5], 3, epochs=1, backend="numpy").fit(X).save(path)
    for extra in (["a"], {"feature_names": {"a": 1}}):
        forged(path, extra=extra)
        with pytest.raises(StorageError, match="is damaged: '(extra|feature_names)' in its header"):
            load(path)


def test_the_arrays_are_read_once(tmp_path, monkeypatch):
    import safetensors

    path, read, opened = tmp_path / "a.safetensors", [], safetensors.safe_open

    class Counted:
        def __init__(self, *args, **kwargs):
            self.file = opened(*args, **kwargs)

        def __enter__(self):
            self.file = self.file.__enter__()
            return self

        def __exit__(self, *why):
            return self.file.__exit__(*why)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def get_tensor(self, name):
            read.append(name)
            return self.file.get_tensor(name)

    index_of(None).save(path)
    monkeypatch.setattr(safetensors, "safe_open", Counted)
    describe(path)
    assert sorted(read) == ["codes", "ids"]


def test_models_and_others_are_left_to_others(tmp_path):
    path = tmp_path / "a.safetensors"
    Autoencoder([5], 3, epochs=1, backend="numpy").fit(X).save(path)
    assert describe(path) is None
    for kind in ("thing", ["index"], {}, None):
        save_tensors(path, {}, {"kind": kind, "format": 1})
        assert describe(path) is None
    with pytest.raises(StorageError, match="does not exist"):
        describe(tmp_path / "none.safetensors")
