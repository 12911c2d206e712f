"""Data in whatever holds numbers: frames, sparse matrices, other libraries' arrays, and batches of what never fits."""

from __future__ import annotations

import tracemalloc
import warnings
from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from miniae import RBM, AnomalyDetector, Autoencoder, Classifier
from miniae.data import Sparse, Stream, as_array, make_scaler, pieces
from miniae.models import PCA, ConditionalVariationalAutoencoder, SparseAutoencoder, VariationalAutoencoder
from miniae.report.maps import latent
from miniae.tasks.variants import own_measures

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 5)).astype("float32")
SETTINGS = {"hidden": [6], "code": 2, "epochs": 2, "batch_size": 20}


class Interface:
    """An array that says where its memory is, and no more."""

    def __init__(self, array):
        self.array, self.__array_interface__ = array, array.__array_interface__


class Dlpack:
    """An array that can be lent by DLPack, and no more."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **settings):
        return self.array.__dlpack__(**settings)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnGPU:
    __cuda_array_interface__ = {"shape": (2, 2), "typestr": "<f4", "data": (1 << 40, False), "version": 3}


@pytest.mark.parametrize("wrap", [Interface, Dlpack, memoryview])
def test_memory_is_shared_where_it_can_be(wrap):
    lent = as_array(wrap(X))
    assert np.shares_memory(lent, X)
    np.testing.assert_array_equal(lent, X)


def test_an_error_without_a_word_is_told_by_its_kind():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise TypeError

    with pytest.raises(TypeError, match="X is a Broken that can't be read as an array: TypeError$"):
        as_array(Broken())


def test_a_tensor_of_pytorch_is_not_copied():
    torch = pytest.importorskip("torch", reason="a tensor of PyTorch is read")
    tensor = torch.tensor(X)
    lent = as_array(tensor)
    lent[0, 0] = 7
    assert tensor[0, 0] == 7 and np.shares_memory(as_array(Dlpack(tensor)), lent)
    tensor = torch.tensor(X)
    np.testing.assert_array_equal(Autoencoder(**SETTINGS).fit(tensor).transform(tensor),
                                  Autoencoder(**SETTINGS).fit(X).transform(X))
    with pytest.raises(TypeError, match="X is a Tensor that can't be read as an array: .*requires grad"):
        as_array(tensor.requires_grad_())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of such tensors
        compressed = torch.tensor(X).to_sparse_csr()
    for bad in (torch.tensor(X).bfloat16(), torch.tensor(X).to_sparse(), compressed):
        with pytest.raises(TypeError, match="X is a Tensor that can't be read as an array: "):
            Autoencoder(**SETTINGS).fit(bad)


def test_a_lazy_frame_is_to_be_collected():
    polars = pytest.importorskip("polars", reason="frames of it are made")
    with pytest.raises(TypeError, match=r"X is a LazyFrame, which has no rows yet: call its collect\(\)"):
        Autoencoder(**SETTINGS).fit(polars.LazyFrame({"a": [1.0, 2.0]}))


@pytest.mark.parametrize("bad, message", [
    (OnGPU(), "X lies on a device .*OnGPU"), (np.array([[1, "a"]], object), "type object, expected numbers"),
    ([[{}]], "argument must be a string or a .*number"),
])
def test_what_is_no_array_of_the_host_is_refused(bad, message):
    with pytest.raises(TypeError, match=message):
        as_array(bad)


@pytest.mark.parametrize("protocol", ["__cuda_array_interface__", "__dlpack__"])
def test_what_lies_on_a_gpu_is_copied_to_the_host_by_cupy(monkeypatch, protocol):
    """By a stand-in for CuPy: one call for each protocol, and the copy."""
    class There:
        def __dlpack_device__(self):
            return 2, 0  # CUDA

    setattr(There, protocol, {} if protocol == "__cuda_array_interface__" else lambda self, **settings: None)
    asked = []
    read = {"asarray": "__cuda_array_interface__", "from_dlpack": "__dlpack__"}
    xp = SimpleNamespace(**{name: lambda x, name=name: asked.append(read[name]) or X for name in read})
    monkeypatch.setattr("miniae.data.arrays.get", lambda name: SimpleNamespace(xp=xp, to_host=np.copy))
    array = as_array(There())
    np.testing.assert_array_equal(array, X)
    assert asked == [protocol] and not np.shares_memory(array, X)


def test_objects_that_are_numbers_are_numbers():
    np.testing.assert_array_equal(as_array(X.astype(object)), X)


# -------------------------------------------------------------------- frames

@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_in_and_out(library):
    lib = pytest.importorskip(library, reason="frames of it are read and made")
    frame = lib.DataFrame({name: X[:, i] for i, name in enumerate("abcde")})
    model = Autoencoder(**SETTINGS).fit(frame)
    assert model.feature_names_in_.tolist() == list("abcde")
    codes = Autoencoder(**SETTINGS).fit(X).transform(X)
    np.testing.assert_array_equal(model.transform(frame), codes)
    out = model.set_output(transform=library).transform(frame)
    assert isinstance(out, lib.DataFrame) and list(out.columns) == ["autoencoder0", "autoencoder1"]
    np.testing.assert_array_equal(out.to_numpy(), codes)
    with pytest.raises(ValueError, match="names should match.*\n(.*\n)*Feature names must be in the same order"):
        model.transform(frame[list("edcba")])
    with pytest.raises(ValueError, match="unseen at fit time:\n- other\n.*\n- a\n"):
        model.transform(lib.DataFrame({"other": X[:, 0], **{name: X[:, 1] for name in "bcde"}}))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.transform(X)
    with pytest.warns(UserWarning, match="X has feature names, but Autoencoder was fitted without"):
        Autoencoder(**SETTINGS).fit(X).transform(frame)
    mixed = lib.DataFrame({"a": [True, False], "b": [1, 2], "c": [0.5, 0.25]})
    np.testing.assert_array_equal(as_array(mixed), [[1, 1, 0.5], [0, 2, 0.25]])
    assert as_array(lib.DataFrame({"a": [1, 2], "b": [3, 4]})).dtype.kind == "i"
    with pytest.raises(TypeError, match="X holds values of type .* in its column 'town', expected numbers"):
        as_array(lib.DataFrame({"size": [1.0, 2.0], "town": ["Bonn", "Ulm"]}))
    with pytest.raises(TypeError, match="X holds values of type .* in its column 'code', expected numbers"):
        as_array(lib.DataFrame({"size": [1.0, 2.0], "code": ["53111", "89073"]}))
    with pytest.raises(ValueError, match="X holds nan in its column 'a', row 1 "):
        model.fit(lib.DataFrame({"a": [1.0, None], "b": [1, 2]}))


def test_rows_of_a_pandas_frame_keep_their_index():
    pandas = pytest.importorskip("pandas", reason="frames of it are made")
    frame = pandas.DataFrame(X, columns=list("abcde"), index=[f"row {i}" for i in range(len(X))])
    for model in (Autoencoder(**SETTINGS), RBM(3, visible_units="gaussian", epochs=1)):
        out = model.set_output(transform="pandas").fit_transform(frame)
        assert out.index.equals(frame.index) and out.columns.tolist() == model.get_feature_names_out().tolist()
    missing = pandas.DataFrame({"a": pandas.array([1, None], "Int64")})
    np.testing.assert_array_equal(as_array(missing), [[1], [np.nan]])
    images = VariationalAutoencoder([4], 2, loss="gaussian", epochs=0).set_output(transform="pandas")
    with pytest.raises(ValueError, match="default, pandas or polars"):
        images.set_output(transform="excel")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_what_is_no_frame(library):
    lib = pytest.importorskip(library, reason="frames of it are made")
    torch = pytest.importorskip("torch", reason="its tensors are read")
    model = Autoencoder(**SETTINGS).fit(X).set_output(transform=library)
    frame = model.transform(X)
    for x in (X.tolist(), tuple(X.tolist()), torch.as_tensor(X), batches(X)):
        again = model.transform(x)
        assert isinstance(again, lib.DataFrame)
        np.testing.assert_allclose(again.to_numpy(), frame.to_numpy(), rtol=1e-6)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_what_needs_codes_takes_no_notice_of_frames(library):
    pytest.importorskip(library, reason="frames of it are made")
    for model in (Autoencoder(**SETTINGS).fit(X), PCA(2).fit(X)):
        uses = [model.reconstruct] if isinstance(model, PCA) else [
            model.reconstruct, model.traverse, lambda x, model=model: model.interpolate(x[:2], x[2:4])]
        expected = [use(X) for use in uses]
        model.set_output(transform=library)
        for use, known in zip(uses, expected, strict=True):
            np.testing.assert_array_equal(use(X), known)


def test_scikit_learns_own_setting_of_frames(tmp_path):
    sklearn = pytest.importorskip("sklearn", reason="its setting is read")
    pytest.importorskip("pandas", reason="frames of it are made")
    with sklearn.config_context(transform_output="pandas"):
        SparseAutoencoder(hidden=[4], code=3, epochs=1, scaling="minmax").fit(X).interpolate(X[:2], X[2:4])
        sparse = SparseAutoencoder(hidden=[4], code=3, epochs=1, scaling="minmax").fit(X)
        assert set(own_measures(sparse, X)) >= {"mean_activity"}
        latent(tmp_path / "latent.png", RNG.random((20, 3)))


# -------------------------------------------------------------------- sparse matrices

@pytest.mark.parametrize("scaling", [None, "minmax", "standard"])
def test_a_sparse_matrix_is_as_good_as_a_whole_one(scaling, backend):
    sparse = pytest.importorskip("scipy.sparse", reason="matrices of SciPy are read")
    whole = np.where(RNG.random((90, 12)) < 0.2, RNG.random((90, 12)), 0).astype("float32")
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        matrix = kind(whole)
        there, here = (Autoencoder(scaling=scaling, **SETTINGS).fit(x, validation=x) for x in (matrix, whole))
        for use in ("transform", "reconstruct", "score_samples"):
            np.testing.assert_array_equal(getattr(there, use)(matrix), getattr(here, use)(whole))
        assert [row["val_loss"] for row in there.history_] == [row["val_loss"] for row in here.history_]
    repeated = sparse.coo_array(([1.0, 2.0, 5.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 3))
    np.testing.assert_array_equal(as_array(repeated)[:], [[0, 3, 0], [5, 0, 0]])


def test_sparse_rows_for_the_others(backend):
    sparse = pytest.importorskip("scipy.sparse", reason="matrices of SciPy are read")
    whole = (RNG.random((90, 12)) < 0.2).astype("float32")
    labels = np.arange(90) % 2
    for make, use in ((lambda x: RBM(4, epochs=2).fit(x), "transform"),
                      (lambda x: Classifier([4], epochs=2, head_epochs=1).fit(x, labels), "predict_proba"),
                      (lambda x: AnomalyDetector(hidden=4, updates=4).fit(x), "score_samples")):
        there, here = make(sparse.csr_array(whole)), make(whole)
        np.testing.assert_array_equal(getattr(there, use)(sparse.csr_array(whole)), getattr(here, use)(whole))


# -------------------------------------------------------------------- batches

def batches(x, size=17):
    """A function that gives x in batches, again and again."""
    return lambda: (x[i:i + size] for i in range(0, len(x), size))


def test_a_stream_is_the_array_that_it_gives():
    x = RNG.standard_normal((90, 4)) * [1, 1e-3, 1e3, 0] + [0, 1e3, 0, 5]
    stream = Stream(batches(x))
    assert stream.shape == x.shape and stream.dtype == x.dtype and len(stream) == 90
    for part in (slice(0, 3), slice(10, 60), slice(59, 61), slice(5, 6), slice(None), slice(88, 200), slice(7, 3),
                 slice(2, 40, 7), slice(None, None, -1), slice(60, 20, -7), slice(3, 50, -1), slice(5, None, -2)):
        np.testing.assert_array_equal(stream[part], x[part])
    for name in ("minmax", "standard"):
        ours, theirs = make_scaler(name).fit(stream), make_scaler(name).fit(x)
        np.testing.assert_allclose(ours.offset, theirs.offset, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-9)


@pytest.mark.parametrize("scaling", [None, "standard"])
@pytest.mark.parametrize("shuffle", [1, 25, 1000])
def test_training_on_a_stream(scaling, shuffle, backend):
    """As on the array, in the order that the stream gives: one pass an epoch, whatever the batches it comes in."""
    stream, again = Stream(batches(X), shuffle), Stream(batches(X, 30), shuffle)
    model = Autoencoder(scaling=scaling, **SETTINGS).fit(stream, validation=stream)
    other = Autoencoder(scaling=scaling, **SETTINGS).fit(again, validation=X)
    for a, b in zip(model.network_.parameters(), other.network_.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-7)
    assert [row["val_loss"] for row in model.history_] == pytest.approx([row["val_loss"] for row in other.history_])
    np.testing.assert_array_equal(model.transform(stream), model.transform(X))
    assert model.score(stream) == model.score(X)
    numbers = stream.order(np.random.default_rng(0))
    assert sorted(numbers) == list(range(90)) and (numbers // shuffle == np.sort(numbers // shuffle)).all()
    assert (numbers == np.arange(90)).all() == (shuffle == 1)


def test_without_shuffling_a_stream_trains_as_a_loop_would(backend):
    stream = Autoencoder(**{**SETTINGS, "epochs": 1}).fit(batches(X))
    loop = Autoencoder(**{**SETTINGS, "epochs": 0}).fit(X)
    for i in range(0, len(X), 20):
        loop.partial_fit(X[i:i + 20])
    for a, b in zip(stream.network_.parameters(), loop.network_.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=1e-7)


def test_labels_go_with_their_samples(backend):
    labels = (X[:, 0] > 0).astype(int)
    model = Classifier([16], epochs=60, lr=1e-2, head_epochs=0).fit(Stream(batches(X), shuffle=40), labels)
    assert model.score(X, labels) > 0.95
    ConditionalVariationalAutoencoder([4], 2, loss="gaussian", epochs=0).fit(batches(X), labels)


def test_other_estimators_take_batches():
    bits = (X > 0).astype("float32")
    np.testing.assert_array_equal(RBM(3, epochs=2).fit(batches(bits)).transform(batches(bits)).shape, (90, 3))
    ours, theirs = (AnomalyDetector(hidden=4, updates=4).fit(x) for x in (batches(X), X))
    np.testing.assert_array_equal(ours.score_samples(batches(X)), theirs.score_samples(X))


@pytest.mark.parametrize("make, kind, message", [
    (lambda: (x for x in [X]), TypeError, "a generator gives its batches once"),
    (lambda: iter(array("f", [1])), TypeError, "an arrayiterator gives its batches once"),
    (lambda: {1: X}, TypeError, "expected numbers"),
    (lambda: lambda: iter([]), ValueError, "no samples in the batches"),
    (lambda: lambda: [X, X[:, :2]], ValueError, r"batch 1 has samples of shape \(2,\), those before have \(5,\)"),
    (lambda: lambda: [X, X * np.nan], ValueError, r"batch 1 holds nan at index \(0, 0\)"),
    (lambda: lambda: [X[0]], ValueError, r"batch 0 is of float32 and shape \(5,\)"),
    (lambda: lambda: [(X, X[:, 0])], TypeError, "batch 0 is a tuple of 2 arrays, expected an array"),
    (lambda: Stream(batches(X), shuffle=0), ValueError, "shuffle is the number of samples"),
])
def test_bad_batches(make, kind, message):
    with pytest.raises(kind, match=message):
        Autoencoder(**SETTINGS).fit(make())


def test_batches_that_run_out():
    sizes = iter([90, 50, 50])
    with pytest.raises(ValueError, match="gave 90 samples at first, and now 50: they must be the same each time"):
        Autoencoder(**SETTINGS).fit(lambda: [X[:next(sizes)]])


def test_a_stream_is_read_again_after_an_error():
    broken = []

    def source():
        for i in range(0, 90, 30):
            if broken and i == 60:
                raise OSError(broken.pop())
            yield X[i:i + 30]

    stream = Stream(source)
    broken.append("the disk is gone")
    with pytest.raises(OSError, match="gone"):
        stream[50:70]
    np.testing.assert_array_equal(stream[50:70], X[50:70])
    sizes = iter([90, 50])
    shrinking = Stream(lambda: [X[:next(sizes, 90)]])
    with pytest.raises(ValueError, match="gave 90 samples at first, and now 50"):
        shrinking[:70]
    np.testing.assert_array_equal(shrinking[:70], X[:70])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_batches_that_are_frames(library):
    lib = pytest.importorskip(library, reason="frames of it are read")
    frame = lib.DataFrame({name: X[:, i] for i, name in enumerate("abcde")})
    model = Autoencoder(**SETTINGS).fit([frame[:40], frame[40:]].__iter__)
    assert model.feature_names_in_.tolist() == list("abcde")
    model.transform(lambda: [frame])
    for other in (frame[list("edcba")], X):
        with pytest.raises(ValueError, match="batch 1 .*, those before have a, b, c, d, e: give all batches the same"):
            Autoencoder(**SETTINGS).fit(lambda other=other: [frame, other])
    with pytest.raises(ValueError, match="names should match"):
        model.transform(lambda: [frame[list("edcba")]])


def test_batches_of_another_type_in_a_later_pass():
    scales = iter([1])
    stream = Stream(lambda: [np.arange(20).reshape(10, 2) * next(scales, 0.5)])
    with pytest.raises(ValueError, match="batch 0 is of float64, in the first pass all were of int64"):
        stream[:]


@pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")  # of two epochs
@pytest.mark.parametrize("make", [Classifier, lambda **s: ConditionalVariationalAutoencoder(loss="gaussian", **s)])
def test_labels_of_samples_in_another_order_are_refused(make):
    rng, labels = np.random.default_rng(0), (X[:, 0] > 0).astype(int)

    def shuffled():
        return np.array_split(X[rng.permutation(len(X))], 4)

    Autoencoder(**SETTINGS).fit(shuffled)
    with pytest.raises(ValueError, match="begin with other samples than in the first pass, so that labels"):
        make(hidden=[4], epochs=2).fit(shuffled, labels)
    sizes = iter([7, 3, 50, 1, 4, 2, 9, 8])  # in the same order, but cut otherwise each time
    make(hidden=[4], epochs=2).fit(lambda: np.array_split(X, next(sizes, 5)), labels)


def test_memory_does_not_grow_with_the_length(monkeypatch):
    """From ten times as many samples, the peak grows by some numbers for each (its place in the order), not by them."""
    monkeypatch.setattr(pieces, "_PIECE", 1 << 14)

    def peak(count):
        def made():
            rng = np.random.default_rng(0)
            return (rng.random((100, 200), dtype=np.float32) for _ in range(count))

        model = Autoencoder([4], 2, epochs=1, scaling="standard", batch_size=100)
        tracemalloc.start()
        model.fit(Stream(made, shuffle=200))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    few, many = peak(100), peak(1000)
    assert many - few < 900 * 100 * 5 * 8 < 0.1 * 900 * 100 * 200 * 4


def test_a_sparse_matrix_of_ours_passes():
    matrix = Sparse.of_entries(np.array([0, 1]), np.array([1, 0]), np.array([2.0, 3.0]), (2, 2))
    assert as_array(matrix) is matrix
