"""Model files."""

from __future__ import annotations

import json
import struct
import tracemalloc

import numpy as np
import pytest

import miniae
from miniae import AnomalyDetector, Autoencoder, nn, pretrain
from miniae.data import StorageError
from miniae.data.storage import load_tensors, save_tensors
from miniae.models import load, save


@pytest.mark.parametrize("settings", [
    {}, {"tied": True}, {"loss": "bce", "activation": "sigmoid"}, {"scaling": "standard"}, {"dtype": "float64"},
    {"corruption": [nn.SaltAndPepper(0.1)], "l2": 1e-4},
])
def test_a_model_comes_back_the_same(settings, blobs, tmp_path, backend):
    model = Autoencoder([8], 3, epochs=2, **settings).fit(blobs)
    path = tmp_path / "model.safetensors"
    save(path, model, extra={"data": "blobs"})
    again = miniae.load(path)
    np.testing.assert_array_equal(again.reconstruct(blobs), model.reconstruct(blobs))
    np.testing.assert_array_equal(again.transform(blobs), model.transform(blobs))
    assert again.extra_ == {"data": "blobs"}
    assert again.get_params()["loss"] == model.loss
    assert again.partial_fit(blobs).history_[0]["loss"] < model.history_[0]["loss"]  # goes on from the loaded weights
    again.fit(blobs)  # starts anew, as the same model did
    assert [row["loss"] for row in again.history_] == [row["loss"] for row in model.history_]
    assert again.set_params(hidden=[5], code=2).fit(blobs).transform(blobs).shape[1] == 2


def test_an_unrolled_model_comes_back_with_its_layers(blobs, tmp_path, backend):
    """Its layers were given to it, so fit starts from those in the file."""
    deep = pretrain(blobs, [12, 8, 3], epochs=2).unroll(tied=True, epochs=3, lr=1e-3).fit(blobs)
    deep.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.reconstruct(blobs), deep.reconstruct(blobs))
    first = [again.fit(blobs).history_[0]["loss"] for _ in range(2)]
    assert first[0] == first[1] < deep.history_[0]["loss"]
    again = load(tmp_path / "m.safetensors").partial_fit(blobs)  # which changes the model, not where fit starts from
    assert again.fit(blobs).history_[0]["loss"] == first[0]


def test_a_backend_that_is_not_there_is_not_the_files_fault(saved):
    with pytest.raises(ValueError, match="unknown backend 'nope'") as caught:
        load(saved, backend="nope")
    assert not isinstance(caught.value, StorageError)


def test_settings_of_numpys_types(blobs, tmp_path):
    model = Autoencoder(np.array([8, 4]), np.int64(3), epochs=1, seed=np.int64(2), dtype=np.float64).fit(blobs)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.get_params()["hidden"] == [8, 4] and again.dtype == "float64" and again.seed == 2
    np.testing.assert_array_equal(again.transform(blobs), model.transform(blobs))


def test_a_convolutional_model_comes_back_the_same(tmp_path):
    x = np.random.default_rng(0).random((6, 1, 8, 8), np.float32)
    encoder = nn.Sequential([nn.Conv2D(2, 3), nn.BatchNorm(), nn.Flatten(), nn.Dense(4)])
    decoder = nn.Sequential([nn.Dense(128), nn.Reshape((2, 8, 8)), nn.ConvTranspose2D(1, 3)])
    model = Autoencoder(encoder=encoder, decoder=decoder, epochs=2).fit(x)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").reconstruct(x), model.reconstruct(x))


def test_a_nested_model_can_be_loaded_on_another_backend(blobs, tmp_path):
    inner = nn.Sequential([nn.Dense(5)], input_shape=12)
    model = Autoencoder(encoder=nn.Sequential([inner, nn.Dense(3)]), decoder=nn.Sequential([nn.Dense(12)]), epochs=1)
    model.fit(blobs).save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors", backend="strict")
    np.testing.assert_array_equal(again.transform(blobs), model.transform(blobs))


def test_the_same_model_gives_the_same_bytes(blobs, tmp_path):
    for name in "ab":
        Autoencoder([8], 3, epochs=2, seed=5).fit(blobs).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture
def saved(blobs, tmp_path):
    path = tmp_path / "model.safetensors"
    Autoencoder([4], 2, epochs=1).fit(blobs).save(path)
    return path


def test_a_truncated_file_is_refused_at_every_length(saved):
    whole = saved.read_bytes()
    for length in [*range(0, 64), *range(64, len(whole), 101), len(whole) - 1]:
        saved.write_bytes(whole[:length])
        with pytest.raises(StorageError, match="model.safetensors"):
            load(saved)


def test_a_file_of_another_program_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(StorageError, match="other program"):
        load(tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no model")
    with pytest.raises(StorageError, match="damaged or not"):
        load(tmp_path / "text.safetensors")


def change_header(path, change):
    tensors, header = load_tensors(path)
    change(header)
    save_tensors(path, tensors, header)


@pytest.mark.parametrize("change, message", [
    (lambda h: h.update(format=99), "newer miniae"),
    (lambda h: h.update(kind="checkpoint"), "expected a model"),
    (lambda h: h.update({"class": "os.system"}), "expected one of .*Autoencoder"),
    (lambda h: h["network"].update(type="Bomb"), "unknown layer"),
    (lambda h: h["network"]["encoder"]["layers"][0].update(units=7), "damaged"),
    (lambda h: h["network"]["encoder"]["layers"][0].update(units="many"), "damaged"),
    (lambda h: h.pop("params"), "damaged"),
    (lambda h: h.update(input_shape=[5]), "damaged"),
    (lambda h: h["network"]["encoder"]["layers"].extend([{"type": "Flatten"}] * 10_001), "layers, expected at most"),
    (lambda h: h.update(feature_names=["one"]), "'feature_names' in its header are no list of"),
])
def test_a_header_that_does_not_fit_is_refused(saved, change, message):
    change_header(saved, change)
    with pytest.raises(StorageError, match=message):
        load(saved)


def test_names_of_features_come_back(blobs, tmp_path):
    pandas = pytest.importorskip("pandas", reason="frames of it have names")
    frame = pandas.DataFrame(blobs, columns=[f"feature {i}" for i in range(blobs.shape[1])])
    for model in (Autoencoder([4], 2, epochs=0).fit(frame), AnomalyDetector(hidden=4, updates=4).fit(frame)):
        model.save(tmp_path / "model.safetensors")
        again = type(model).load(tmp_path / "model.safetensors") if isinstance(model, AnomalyDetector) else \
            load(tmp_path / "model.safetensors")
        assert again.feature_names_in_.tolist() == list(frame.columns)
        np.testing.assert_array_equal(again.score_samples(frame), model.score_samples(frame))
        with pytest.raises(ValueError, match="same order"):
            again.score_samples(frame[frame.columns[::-1]])


def test_entries_nobody_knows_are_ignored(saved):
    change_header(saved, lambda h: (h.update(colour="blue"), h["params"].update(invented=3, encoder="of its own")))
    assert load(saved).code == 2


def from_the_future(needs):
    """What a later version may add to a file of this format."""
    def change(header):
        header.update(needs=needs, writer="miniae 9", licence={"text": "free"})
        header["params"].update(momentum_schedule="cosine")
        header["extra"].update(thumbnail=[1, 2, 3])
    return change


def test_a_file_from_the_future(saved, blobs):
    """Entries, parameters and tensors that this version does not know are ignored; what it is told it needs is not."""
    before = load(saved).reconstruct(blobs)
    tensors, header = load_tensors(saved)
    from_the_future([])(header)
    save_tensors(saved, {**tensors, "signature": np.zeros(8, np.uint8), "own.cache": np.ones(3)}, header)
    again = load(saved)
    np.testing.assert_array_equal(again.reconstruct(blobs), before)
    again.save(saved)
    np.testing.assert_array_equal(load(saved).reconstruct(blobs), before)
    for needs in (["quantised weights"], ["a", "b"], "text", {"a": 1}, [["x"]]):
        change_header(saved, from_the_future(needs))
        with pytest.raises(StorageError, match=r"needs .*, which this version does not know: install a newer miniae"):
            load(saved)


@pytest.mark.parametrize("change", [
    lambda h: h["network"]["encoder"]["layers"][0].update(units=10**9),
    lambda h: h["network"]["encoder"]["layers"][0].update(units=10**40),
    lambda h: h["network"]["encoder"]["layers"].insert(0, {"type": "LayerNorm"}),
    lambda h: h["network"]["encoder"]["layers"].extend([{"type": "Dense", "units": 50}] * 1000),
    lambda h: h.update(input_shape=[10**12]),
    lambda h: h.update(input_shape=[2**14, 2**14, 2]),
    lambda h: h["network"].update(encoder={"type": "Sequential", "layers": [
        {"type": "Reshape", "shape": [1, 3, 4]}, {"type": "MaxPool2D", "size": [10**4, 10**4]}]}),
])
def test_a_file_gets_no_more_memory_than_it_holds(saved, change):
    change_header(saved, change)
    tracemalloc.start()
    with pytest.raises(StorageError, match="is damaged: .*or it is of a newer miniae"):
        load(saved)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.parametrize("name, message", [
    ("model.onnx", "is an ONNX graph, which onnxruntime reads .*: name the .safetensors file"),
    ("model.pt", "a pickle, which torch.load reads .*from_torch_state_dict"),
    ("model.PTH", "a pickle, which torch.load reads .*from_torch_state_dict"),
])
def test_files_for_other_programs_are_named(name, message, saved, tmp_path):
    with pytest.raises(StorageError, match=f"{name} does not exist"):
        load(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x08\x08 what others write" * 9)
    with pytest.raises(StorageError, match=f"{name} .*{message}") as why:
        load(tmp_path / name)
    assert "\n" not in str(why.value)
    (tmp_path / name).write_bytes(saved.read_bytes())  # by its contents, whatever it is called
    load(tmp_path / name)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(StorageError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(StorageError, match="can't write"):
        save_tensors(tmp_path / "no" / "such" / "folder.safetensors", {"x": np.zeros(1)}, {})


def test_the_file_is_plain_safetensors(saved):
    """Anybody can read it: eight bytes of length, JSON, then the numbers."""
    data = saved.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    assert "network.encoder.0.weight" in header
    assert json.loads(header["__metadata__"]["miniae"])["class"] == "Autoencoder"
