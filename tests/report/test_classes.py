"""The confusion matrix, what follows from it, and its picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from miniae.report import class_scores, confusion_matrix, confusion_picture

TRUE = np.array(["ant", "bee", "bee", "cat", "cat", "cat"])
SAID = np.array(["ant", "bee", "cat", "cat", "cat", "bee"])


def test_a_small_one_by_hand():
    counts = confusion_matrix(TRUE, SAID)
    np.testing.assert_array_equal(counts, [[1, 0, 0], [0, 1, 1], [0, 1, 2]])
    scores = class_scores(counts)
    np.testing.assert_allclose(scores.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(scores.recall, [1, 1 / 2, 2 / 3])
    assert scores.accuracy == 4 / 6 and scores.samples.tolist() == [1, 2, 3]
    assert scores.table(["ant", "bee", "cat"]).splitlines()[3] == "cat         66.7    66.7   66.7        3"


def test_against_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn's figures to compare with")
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 6, 200), rng.integers(0, 7, 200)  # 6 is said, and never true
    counts = confusion_matrix(true, said)
    np.testing.assert_array_equal(counts, sklearn.confusion_matrix(true, said))
    p, r, f, n = sklearn.precision_recall_fscore_support(true, said, zero_division=0)
    scores = class_scores(counts)
    for ours, theirs in ((scores.precision, p), (scores.recall, r), (scores.f1, f), (scores.samples, n)):
        np.testing.assert_allclose(ours, theirs)
    assert scores.accuracy == pytest.approx(sklearn.accuracy_score(true, said))
    assert scores.macro_f1 == pytest.approx(f[:6].mean())


def test_the_order_of_classes_and_labels_that_are_not_among_them():
    np.testing.assert_array_equal(confusion_matrix([1, 2], [1, 1], classes=[2, 1, 0]),
                                  [[0, 1, 0], [0, 1, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match="label 3 is not among the classes 1, 2"):
        confusion_matrix([1, 2], [1, 3], classes=[1, 2])
    with pytest.raises(ValueError, match="expected both of one type"):
        confusion_matrix(["1"], [1])
    with pytest.raises(ValueError, match=r"expected \(N,\) both"):
        confusion_matrix([1, 2], [1])
    with pytest.raises(ValueError, match=r"expected \(N,\) both"):
        confusion_matrix([], [])
    with pytest.raises(ValueError, match="one sample at least"):
        class_scores(np.zeros((2, 2), int))


@pytest.mark.parametrize("classes", [1, 3, 40])
def test_the_picture(classes, tmp_path):
    counts = np.random.default_rng(0).integers(0, 30, (classes, classes)) + 1
    names = [f"a class of the number {k}" for k in range(classes)]
    path = confusion_picture(tmp_path / "c.png", counts, names)
    with Image.open(path) as drawn:
        assert min(drawn.size) > 200 and len(drawn.convert("RGB").getcolors(1 << 24)) > 20
    with pytest.raises(ValueError, match="expected a label for each row"):
        confusion_picture(tmp_path / "d.png", counts, [*names, "one more"])
    assert not (tmp_path / "d.png").exists()
