"""A warning where columns of unlike scales are learnt without a scaling, and the line that warnings show."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from miniae import AnomalyDetector, Autoencoder, Classifier
from miniae.data import Sparse, Stream
from miniae.models import MixedScales, VariationalAutoencoder, pretrain
from miniae.models.scales import unlike_scales
from miniae.nn import Dense, Sequential
from miniae.training import Checkpoint, DamagedCheckpoint, NumericalTrouble, SkipBatches
from miniae.training.notice import warn

RNG = np.random.default_rng(0)
SCALES = np.array([1.0, 10.0, 0.01, 300.0])
MIXED = (RNG.standard_normal((200, 4)) + 2) * SCALES
ONES = RNG.standard_normal((200, 4))
QUICK = {"hidden": [3], "code": 2, "epochs": 1}


def test_columns_of_unlike_scales_are_named_with_the_remedy():
    with pytest.warns(MixedScales) as noticed:
        Autoencoder(**QUICK).fit(MIXED)
    (one,) = noticed
    assert "3 with a deviation of 3" in str(one.message) and "2 with one of 0.0" in str(one.message)
    assert "give scaling='standard'" in str(one.message) and "\n" not in str(one.message)
    for scaling in ("standard", "minmax"):
        Autoencoder(scaling=scaling, **QUICK).fit(MIXED)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_frames_have_names(library):
    frames = pytest.importorskip(library, reason="frames of it are looked at")
    with pytest.warns(MixedScales, match="'income' with a deviation of .* and 'rate' with one of"):
        Autoencoder(**QUICK).fit(frames.DataFrame(dict(zip(["age", "pulse", "rate", "income"], MIXED.T, strict=True))))


def images(high):
    """Strokes: pixels at the border hardly ever vary."""
    x = np.zeros((300, 12, 12))
    for image in x:
        image[RNG.integers(1, 11), 2:10] = image[2:10, RNG.integers(3, 9)] = RNG.uniform(0.1, 1)
    x[0, 0, 0] = 0.004
    return (high * x).reshape(300, -1)


def outlier(x, times):
    x = x.copy()
    x[0, 0] = times
    return x


COUNTS = RNG.poisson(RNG.gamma(0.2, 3, size=60), size=(300, 60))
FINE = {
    "images": images(1.0), "bytes": images(255.0).astype(np.uint8), "images to 255": images(255.0),
    "standardised": ONES, "with a huge value": outlier(ONES, 1e5),
    "minmax": (MIXED - MIXED.min(0)) / np.ptp(MIXED, axis=0),
    "by quartiles": outlier(ONES, -1e9), "counts": COUNTS, "rare": np.where(RNG.random((300, 50)) < 0.01, 1.0, 0.0),
    "one unit": RNG.standard_normal((200, 3)) * [1, 4, 9], "constant": np.full((50, 3), 0.1) * [1, 1e6, 1],
    "one column": MIXED[:, :1], "few": MIXED[:9], "series": RNG.standard_normal((20, 4, 9)) * np.arange(9) ** 3,
    "sparse": Sparse(np.arange(0, 41, 2), np.tile([0, 1], 20), RNG.random(40) * np.tile([1, 1e6], 20), 2),
    "stream": Stream([MIXED, MIXED]), "large": np.tile([[1e300, 1e-300], [-1e300, 1e-300]], (10, 1)),
    "binary": RNG.integers(0, 2, (50, 3)), "one-hot": np.eye(4)[RNG.integers(0, 4, 100)] * 3,
}


@pytest.mark.parametrize("name", FINE)
def test_other_data_have_one_scale(name):
    assert unlike_scales(FINE[name]) is None


@pytest.mark.parametrize("X", [MIXED, MIXED.astype(np.float32), 3000 * np.abs(MIXED).astype(int),
                               np.column_stack([ONES, 40 * ONES[:, 0] + 300]),
                               np.column_stack([RNG.normal(400, 90, 99), RNG.integers(0, 2, 99)])])
def test_unlike_scales_are_seen(X):
    assert unlike_scales(X)


def test_values_that_an_output_can_not_reach():
    with pytest.warns(MixedScales, match="% of it is out of reach of a tanh output: give scaling='minmax', or leave"):
        Autoencoder(output_activation="tanh", **QUICK).fit(ONES)
    Autoencoder(output_activation="tanh", **QUICK).fit(np.tanh(ONES))
    Autoencoder(output_activation="relu", scaling="minmax", **QUICK).fit(ONES)
    assert unlike_scales(ONES, "relu") and unlike_scales(3 * ONES, "elu") and not unlike_scales(ONES ** 2, "relu")


def test_the_model_is_the_same_with_and_without_the_warning():
    with pytest.warns(MixedScales):
        first = Autoencoder(**QUICK).fit(MIXED).transform(MIXED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixedScales)
        np.testing.assert_array_equal(first, Autoencoder(**QUICK).fit(MIXED).transform(MIXED))


def test_a_run_without_scaling_was_asked_for(tmp_path):
    from miniae.tasks import Run, RunConfig

    np.save(tmp_path / "x.npy", MIXED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Run(RunConfig(data=str(tmp_path / "x.npy"), scaling="none", layers=(3, 2), epochs=1)).execute()


def test_a_detector_scales_by_itself():
    for scaling in ("robust", "shared"):
        AnomalyDetector(updates=2, scaling=scaling).fit(MIXED)


# -------------------------------------------------------------------- the user's line

def shown(act, category=UserWarning):
    """Whether the one warning that `act` gives shows the line of its own text."""
    with pytest.warns(category) as noticed:
        act()
    lines, first = inspect.getsourcelines(act)
    here = [w for w in noticed if issubclass(w.category, category)]
    return here and all(w.filename == __file__ and first <= w.lineno < first + len(lines) for w in here)


def test_warnings_show_the_users_line(tmp_path):
    frames = pytest.importorskip("pandas", reason="frames have names")
    frame = frames.DataFrame(ONES, columns=list("abcd"))
    named, plain = Autoencoder(**QUICK).fit(frame), Autoencoder(**QUICK).fit(ONES)
    assert shown(lambda: Autoencoder(**QUICK).fit(MIXED), MixedScales)
    assert shown(lambda: Autoencoder(**QUICK).fit_transform(MIXED), MixedScales)
    assert shown(lambda: Autoencoder(**QUICK).partial_fit(MIXED), MixedScales)
    assert shown(lambda: Classifier([3], epochs=1, head_epochs=0).fit(MIXED, MIXED[:, 0] > 2), MixedScales)
    for use in (lambda: named.transform(ONES), lambda: named.reconstruct(ONES), lambda: named.score(ONES),
                lambda: named.interpolate(ONES[:2], ONES[2:4]),
                lambda: named.set_output(transform="pandas").transform(ONES),
                lambda: plain.transform(frame), lambda: plain.traverse(frame)):
        assert shown(use)
    assert shown(lambda: Classifier([3], epochs=1, head_epochs=0).fit(ONES, ONES[:, :1] > 0))
    assert shown(lambda: VariationalAutoencoder([3], 2, epochs=1, beta=1e3, loss="gaussian").fit(ONES))
    with pytest.warns(MixedScales) as noticed:
        pretrain(MIXED, [4, 2], method="autoencoder", visible_unit="gaussian", epochs=1)
    assert noticed[0].filename == __file__


def test_warnings_of_callbacks_show_the_users_line(tmp_path):
    x = ONES.copy()
    x[3] = 1e200  # of which the square is infinite
    assert shown(lambda: Autoencoder(dtype="float64", batch_size=50, **QUICK).fit(x, callbacks=[SkipBatches()]),
                 NumericalTrouble)
    path = tmp_path / "run.safetensors"
    Autoencoder(**{**QUICK, "epochs": 3}).fit(ONES, callbacks=[Checkpoint(path)])
    path.write_bytes(path.read_bytes()[:-7])
    again = Autoencoder(**{**QUICK, "epochs": 4})
    assert shown(lambda: again.fit(ONES, callbacks=[Checkpoint(path, resume=True)]), DamagedCheckpoint)


def test_the_first_line_outside_is_shown():
    assert shown(lambda: warn("here"))
    encoder, decoder = Sequential([Dense(2)]), Sequential([Dense(4)])
    assert shown(lambda: Autoencoder(encoder=encoder, decoder=decoder, epochs=1).fit(MIXED), MixedScales)
