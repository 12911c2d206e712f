"""Training and use of models on data that are not copied: bytes, and arrays in mapped files."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from miniae import RBM, Autoencoder, Classifier
from miniae.data import pieces
from miniae.data.rows import Kept
from miniae.models import (
    AdversarialAutoencoder,
    ConditionalVariationalAutoencoder,
    DenoisingAutoencoder,
    VariationalAutoencoder,
    jacobian_norm,
)
from miniae.training import Callback

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (90, 12)).astype("uint8")
LABELS = RNG.integers(0, 3, 90)


def mapped(x, tmp_path, name="x"):
    path = tmp_path / f"{name}.npy"
    np.save(path, x)
    return np.load(path, mmap_mode="r")


def same(a, b):
    for x, y in zip(a.network_.parameters(), b.network_.parameters(), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    a, b = ([{k: v for k, v in row.items() if "second" not in k} for row in model.history_] for model in (a, b))
    assert a == b


@pytest.mark.parametrize("scaling", [None, "minmax", "standard"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["bytes", "file of bytes", "file of float32", "file of float64"])
def test_training_is_that_of_the_float_array_bit_for_bit(scaling, dtype, kind, backend, tmp_path):
    x = RNG.random((90, 12)) if kind == "file of float64" else PIXELS.astype("float32")
    source = PIXELS if "bytes" in kind else x
    held_out = source[:20]
    if "file" in kind:
        source, held_out = mapped(source, tmp_path), mapped(held_out, tmp_path, "held out")
    settings = {"scaling": scaling, "epochs": 2, "batch_size": 20, "dtype": dtype, "lr": 1e-4}
    there = Autoencoder([6], 2, **settings).fit(source, validation=held_out)
    here = Autoencoder([6], 2, **settings).fit(x, validation=x[:20])
    same(there, here)
    assert isinstance(there._scaled(source), Kept)
    for method in ("transform", "reconstruct", "score_samples"):
        np.testing.assert_array_equal(getattr(there, method)(source), getattr(here, method)(x))
    assert there.score(source) == here.score(x) and jacobian_norm(there, source) == jacobian_norm(here, x)
    same(there.partial_fit(source), here.partial_fit(x))


@pytest.mark.parametrize("make, labels", [
    (lambda **s: DenoisingAutoencoder([6], 2, **s), False),
    (lambda **s: VariationalAutoencoder([6], 2, **s), False),
    (lambda **s: ConditionalVariationalAutoencoder([6], 2, **s), True),
    (lambda **s: AdversarialAutoencoder([6], 2, discriminator=[4], **s), False),
    (lambda **s: Autoencoder([6], 2, batch_norm=True, optimizer="lbfgs", **s), False),
    (lambda **s: Classifier([6], head_epochs=1, **s), True),
], ids=["denoising", "variational", "conditional", "adversarial", "lbfgs", "classifier"])
@pytest.mark.filterwarnings("ignore::miniae.models.variational.PosteriorCollapse")
def test_every_kind_of_training_takes_bytes_in_a_file(make, labels, backend, tmp_path):
    file, floats = mapped(PIXELS, tmp_path), PIXELS.astype("float32")
    y = (LABELS,) if labels else ()
    there, here = (make(scaling="minmax", epochs=2, batch_size=32).fit(x, *y) for x in (file, floats))
    same(there, here)
    use = "predict_proba" if isinstance(there, Classifier) else "reconstruct"
    known = y if labels and use == "reconstruct" else ()
    np.testing.assert_array_equal(getattr(there, use)(file, *known), getattr(here, use)(floats, *known))
    if isinstance(there, DenoisingAutoencoder):
        np.testing.assert_array_equal(there.denoise(file), here.denoise(floats))
        np.testing.assert_array_equal(there.corrupt(file), here.corrupt(floats))
    if isinstance(there, VariationalAutoencoder) and not labels:
        np.testing.assert_array_equal(there.elbo(file), here.elbo(floats))


def test_an_rbm_trains_from_a_file(backend, tmp_path):
    x = (PIXELS > 127).astype("float32")
    there, here = (RBM(5, epochs=2, batch_size=32).fit(source) for source in (mapped(x, tmp_path), x))
    np.testing.assert_array_equal(there.machine_.weight.numpy(), here.machine_.weight.numpy())


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_a_steady_epoch_allocates_nothing(kind, backend, tmp_path):
    counts = []

    class Watch(Callback):
        def on_epoch_end(self, trainer, logs):
            counts.append(sum(a.allocations for a in trainer._arenas.values()))

    source = PIXELS if kind == "bytes" else mapped(PIXELS.astype("float32"), tmp_path)
    Autoencoder([6], 2, scaling="standard", epochs=4, batch_size=32).fit(source, validation=source, callbacks=[Watch()])
    assert counts[1] == counts[-1] > 0


@pytest.mark.parametrize("scaling", [None, "standard"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_mapped_file_never_comes_into_memory_whole(scaling, dtype, monkeypatch, tmp_path):
    """Training, validation, and use: of 16 million values in a file, at most an eighth of them are in memory."""
    monkeypatch.setattr(pieces, "_PIECE", 1 << 16)
    file = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", dtype, (4_000, 4_000))
    for start in range(0, len(file), 500):
        file[start:start + 500] = RNG.integers(0, 200, (500, 4_000))
    model = Autoencoder([2], 2, scaling=scaling, epochs=1, batch_size=50, lr=1e-6)
    monkeypatch.setattr("miniae.models.estimator.CHUNK", 100)
    monkeypatch.setattr("miniae.models.autoencoder.CHUNK", 100)
    tracemalloc.start()
    model.fit(file, validation=file)
    model.transform(file)
    model.score(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < file.size  # bytes


def test_a_missing_number_late_in_a_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(pieces, "_PIECE", 100)
    x = RNG.random((90, 12)).astype("float32")
    x[83, 5] = np.nan
    with pytest.raises(ValueError) as error:
        Autoencoder([6], 2).fit(mapped(x, tmp_path))
    assert str(error.value) == "X holds nan at index (83, 5): fill in or drop missing and infinite values"
    fitted = Autoencoder([6], 2, epochs=0, loss="bce").fit(np.nan_to_num(x))
    x[83, 5] = 1.5
    with pytest.raises(ValueError, match="ranges from .* to 1.5, but this model was trained on values in"):
        fitted.transform(mapped(x, tmp_path))
    with pytest.raises(ValueError, match="X ranges from 0 to 255, but this loss and output need values in"):
        Autoencoder([6], 2, loss="bce").fit(mapped(PIXELS, tmp_path))
