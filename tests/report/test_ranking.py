"""ROC and precision-recall curves."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.report import average_precision, precision_recall_curve, ranking_curves, roc_auc, roc_curve


def test_by_hand():
    odd, scores = [1, 0, 1, 0], [4.0, 3.0, 2.0, 1.0]
    alarms, found = roc_curve(odd, scores)
    assert alarms.tolist() == [0, 0, 0.5, 0.5, 1] and found.tolist() == [0, 0.5, 0.5, 1, 1]
    assert roc_auc(odd, scores) == 0.75
    assert average_precision(odd, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert roc_auc(odd, [1, 1, 1, 1]) == 0.5 and average_precision(odd, [1, 1, 1, 1]) == 0.5


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_against_scikit_learn(decimals):
    metrics = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    rng = np.random.default_rng(decimals)
    odd = rng.random(300) < 0.1
    scores = np.round(rng.normal(size=300) + odd, decimals)  # of few decimals many are equal
    assert roc_auc(odd, scores) == pytest.approx(metrics.roc_auc_score(odd, scores))
    assert average_precision(odd, scores) == pytest.approx(metrics.average_precision_score(odd, scores))
    alarms, found, _ = metrics.roc_curve(odd, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(odd, scores), (alarms, found))
    precision, recall, _ = metrics.precision_recall_curve(odd, scores)
    np.testing.assert_allclose(precision_recall_curve(odd, scores), (recall[-2::-1], precision[-2::-1]))


@pytest.mark.parametrize("odd, scores, message", [
    ([1, 1], [0.0, 1.0], "2 of 2 rows are odd"), ([0, 0], [0.0, 1.0], "0 of 2"), ([0, 2], [0.0, 1.0], "1 for odd"),
    ([0, 1], [0.0], "expected one a row"), ([0, 1], [0.0, np.nan], "finite"),
])
def test_what_has_no_ranking(odd, scores, message):
    with pytest.raises(ValueError, match=message):
        roc_auc(odd, scores)


def test_the_picture(tmp_path):
    rng = np.random.default_rng(0)
    odd = rng.random(200) < 0.2
    scores = {"good": rng.normal(size=200) + 3 * odd, "none": rng.normal(size=200)}
    for path in (tmp_path / "a.png", tmp_path / "b.png"):
        ranking_curves(path, odd, scores)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    ranking_curves(tmp_path / "c.png", odd, scores["good"], title="one")
    assert (tmp_path / "c.png").stat().st_size > 5000
