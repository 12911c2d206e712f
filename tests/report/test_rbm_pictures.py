"""Pictures of RBMs: what is drawn, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import RBM
from miniae.nn import Build
from miniae.rbm import Activity, FreeEnergyGap, Machine, PseudoLikelihood
from miniae.report import canvas, histograms, loss_curves, monitors

pytest.importorskip("matplotlib", reason="pictures need matplotlib")
Image = pytest.importorskip("PIL.Image", reason="reads the pictures back")

X = np.random.default_rng(0).integers(0, 2, (50, 12)).astype(np.float32)


def machine(hidden: int = 7, **settings) -> Machine:
    m = Machine(hidden, **settings)
    m.build((12,), Build("", 0, "float32"))
    m.visible_bias.assign(np.linspace(-2, 1, 12))
    m.hidden_bias.assign(np.full(hidden, 0.25))
    return m


def history() -> list[dict[str, float]]:
    return [{"epoch": i + 1, "loss": 5.0 - i, "reconstruction": 5.0 - i, "val_loss": 6.0 - i, "lr": 0.1, "seconds": 1.0,
             "pseudo_likelihood": -9.0 + i, "free_energy_gap": i - 0.5, "hidden_activity": 0.4, "hidden_off": 0.1 * i,
             "hidden_on": 0.0} for i in range(4)]


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes}


# -------------------------------------------------------------------- histograms

def bars(axes) -> tuple[np.ndarray, np.ndarray]:
    """Counts, and the edges of their bins."""
    patches = axes.patches
    edges = [p.get_x() for p in patches] + [patches[-1].get_x() + patches[-1].get_width()]
    return np.array([p.get_height() for p in patches]), np.array(edges)


def test_every_number_is_counted_where_it_is(figures, tmp_path, backend):
    m = machine()
    histograms(tmp_path / "a.png", m, X, title="an RBM")
    drawn = panels(figures[0])
    assert list(drawn) == ["weights", "visible biases", "hidden biases", "hidden activities"]
    values = {"weights": m.weight.numpy(), "visible biases": m.visible_bias.numpy(),
              "hidden biases": m.hidden_bias.numpy(),
              "hidden activities": m.be.to_host(m.hidden_mean(m.be.asarray(X, "float32")))}
    for name, axes in drawn.items():
        counts, edges = bars(axes)
        assert counts.sum() == values[name].size
        np.testing.assert_array_equal(counts, np.histogram(values[name].astype(float), edges)[0])
        mean = axes.get_lines()[0].get_xdata()[0]
        assert mean == pytest.approx(values[name].mean(), rel=1e-5)
        assert canvas.number(float(values[name].std())) in axes.get_xlabel()
        assert axes.get_ylabel() == f"how many of {values[name].size}"
    _, edges = bars(drawn["hidden activities"])
    assert (edges[0], round(edges[-1], 9)) == (0, 1)
    assert "50 samples" in drawn["hidden activities"].get_xlabel()
    assert figures[0].get_suptitle() == "an RBM"


def test_without_data_there_are_no_activities(figures, tmp_path, pixels):
    assert pixels(histograms(tmp_path / "a.png", machine())).shape == (400, 1200, 3)
    assert list(panels(figures[0])) == ["weights", "visible biases", "hidden biases"]


@pytest.mark.parametrize("units", [{"visible_units": "gaussian"}, {"hidden_units": "gaussian"}])
def test_gaussian_units(units, figures, tmp_path):
    histograms(tmp_path / "a.png", machine(**units), X * 4 - 2 if "visible_units" in units else X)
    counts, edges = bars(panels(figures[0])["hidden activities"])
    assert counts.sum() == 50 * 7
    assert (edges[0] < 0) == ("hidden_units" in units)


def test_one_unit_and_constant_values(tmp_path, pixels):
    m = Machine(1, init_std=0.0)
    m.build((12,), Build("", 0, "float32"))
    assert pixels(histograms(tmp_path / "a.png", m, X[:1])).std() > 5


def test_histograms_refused(tmp_path):
    with pytest.raises(TypeError, match="expected a Machine, got RBM: for a trained RBM give its machine_"):
        histograms(tmp_path / "a.png", RBM(3, epochs=0).fit(X))
    with pytest.raises(ValueError, match="X has samples of shape"):
        histograms(tmp_path / "a.png", machine(), X[:, :3])
    with pytest.raises(ValueError, match="X ranges from 0 to 2"):
        histograms(tmp_path / "a.png", machine(), X * 2)
    m = machine()
    m.hidden_bias.assign(np.full(7, np.nan))
    with pytest.raises(ValueError, match="hidden biases hold values that are not finite"):
        histograms(tmp_path / "a.png", m)
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------- monitors

def test_a_panel_for_each_thing_the_history_holds(figures, tmp_path):
    monitors(tmp_path / "a.png", history(), title="training")
    drawn = panels(figures[0])
    assert list(drawn) == ["reconstruction error", "pseudo-likelihood", "free-energy gap", "hidden units"]
    lines = {name: {line.get_label().split(":")[0]: line for line in axes.get_lines()
                    if not line.get_label().startswith("_")} for name, axes in drawn.items()}
    assert list(lines["reconstruction error"]) == ["training", "validation"]
    np.testing.assert_array_equal(lines["reconstruction error"]["training"].get_ydata(), [5, 4, 3, 2])
    np.testing.assert_array_equal(lines["pseudo-likelihood"]["pseudo-likelihood"].get_ydata(), [-9, -8, -7, -6])
    np.testing.assert_array_equal(lines["free-energy gap"]["gap"].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(lines["free-energy gap"]["gap"].get_ydata(), [-0.5, 0.5, 1.5, 2.5])
    assert list(lines["hidden units"]) == ["mean activity", "nearly always off", "nearly always on"]
    assert all(axes.get_xlabel() == "epoch" and axes.get_ylabel() for axes in drawn.values())


@pytest.mark.parametrize("keys, names", [
    (["loss"], ["reconstruction error"]),
    (["loss", "free_energy_gap"], ["reconstruction error", "free-energy gap"]),
    (["loss", "pseudo_likelihood", "free_energy_gap"], ["reconstruction error", "pseudo-likelihood",
                                                        "free-energy gap"]),
])
def test_only_what_was_measured(keys, names, figures, tmp_path, pixels):
    path = monitors(tmp_path / "a.png", [{key: row[key] for key in keys} for row in history()])
    assert list(panels(figures[0])) == names
    assert pixels(path).std() > 5


def test_the_history_of_a_training(figures, tmp_path):
    rbm = RBM(5, epochs=1).fit(X, callbacks=[FreeEnergyGap(X[:25], X[25:]), PseudoLikelihood(X), Activity(X)])
    first = monitors(tmp_path / "a.png", rbm.history_).read_bytes()
    assert len(figures[0].axes) == 4
    assert monitors(tmp_path / "b.png", rbm.history_).read_bytes() == first


def test_monitors_are_no_terms_of_the_loss(figures, tmp_path):
    """The general picture of losses leaves them out."""
    loss_curves(tmp_path / "a.png", history())
    labels = [line.get_label().split(":")[0] for line in figures[0].axes[0].get_lines()]
    assert labels == ["training", "validation", "lowest, epoch 4"]


@pytest.mark.parametrize(("rows", "message"), [
    ([], "holds no 'loss'"), ([{"free_energy_gap": 1.0}], "holds no 'loss'"),
    ([{"loss": 1.0, "pseudo_likelihood": float("nan")}], "pseudo_likelihood = nan in epoch 1"),
])
def test_history_refused(rows, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        monitors(tmp_path / "a.png", rows)
    assert not list(tmp_path.iterdir())
