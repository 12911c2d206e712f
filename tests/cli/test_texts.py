"""miniae texts, and miniae search in an index of texts."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest

from miniae.cli import main
from miniae.data import load_tensors, save_tensors
from miniae.tasks import BagOfWords, SemanticIndex

pytest.importorskip("sklearn", reason="scikit-learn counts the words")

TOPICS = {"sport": "goal match team player league coach striker keeper", "money": "bank price oil market share profit "
          "growth trade"}


def texts(n=60, seed=0):
    """Texts of twelve words, of two topics in turn."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(TOPICS[list(TOPICS)[i % 2]].split(), 12)) for i in range(n)]


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    """A folder with a table of texts and the index of it."""
    folder = tmp_path_factory.mktemp("news")
    with (folder / "articles.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["body"], *([text] for text in texts())])
    assert main(["texts", str(folder / "articles.csv"), "--column", "body", "--code", "4", "-o",
                 str(folder / "news.safetensors"), "--backend", "numpy"]) == 0
    return folder


def expect(result, message):
    code, _, err = result
    assert code == 2 and err.count("\n") == 1 and re.search(message, err), err


def test_words_find_texts_of_their_topic(miniae, news):
    for query, words in (("the team has a new COACH", TOPICS["sport"]), ("oil at a high price", TOPICS["money"])):
        code, out, err = miniae("search", news / "news.safetensors", query, "-k", 5)
        assert code == 0, err
        first, *found = out.rstrip("\n").split("\n    ")
        assert first.startswith(f"{query}: ") and len(found) == 4
        for line in (first.split(": ", 1)[1], *found):
            assert line.split()[0] in words and re.search(r" \(\d[\d.e-]*\)$", line)


def test_the_answers_are_those_of_the_parts(miniae, news, tmp_path):
    bag = BagOfWords().fit(texts())
    index = SemanticIndex.load(news / "news.safetensors", "numpy")
    again = BagOfWords.of(index.extra["bag"])
    np.testing.assert_array_equal(again.transform(texts(9, seed=3)), bag.transform(texts(9, seed=3)))
    folder = tmp_path / "queries"
    folder.mkdir()
    for i, text in enumerate(texts(3, seed=5)):
        (folder / f"{i}.txt").write_text(text)
    code, out, err = miniae("search", news / "news.safetensors", folder, "-k", 2, "-o", tmp_path / "found.csv")
    assert code == 0, err
    with (tmp_path / "found.csv").open() as file:
        rows = list(csv.DictReader(file))
    ids, distances = index.search(bag.transform(texts(3, seed=5)), 2)
    assert [int(row["id"]) for row in rows] == ids.ravel().tolist()
    np.testing.assert_allclose([float(row["distance"]) for row in rows], distances.ravel(), rtol=1e-8)
    assert [row["query_name"] for row in rows] == ["0.txt", "0.txt", "1.txt", "1.txt", "2.txt", "2.txt"]
    assert all(texts()[int(row["id"])].startswith(row["name"].removesuffix("...")) for row in rows)
    code, out, err = miniae("texts", folder, "-o", tmp_path / "few.safetensors", "--epochs", 1, "--code", 2)
    assert code == 0 and "3 texts, by 8 words" in re.sub(r"\d+ words", "8 words", out), err
    assert "1.txt (" in miniae("search", tmp_path / "few.safetensors", texts(3, seed=5)[1], "-k", 3)[1]
    code, out, err = miniae("info", news / "news.safetensors")
    assert code == 0 and "60 codes of 16 bytes each" in out, err


def test_bad_input(miniae, news, tmp_path, monkeypatch):
    table, index, out = news / "articles.csv", news / "news.safetensors", tmp_path / "a.safetensors"
    expect(miniae("texts", tmp_path / "none.csv", "-o", out), "does not exist")
    expect(miniae("texts", table, "-o", out), "no column 'text', it has body")
    expect(miniae("texts", table, "-o", index), "exists: choose a new name for the index$")
    expect(miniae("texts", table, "-o", tmp_path / "a.csv"), "ends in .safetensors")
    expect(miniae("texts", table, "--column", "body", "-o", out, "--words", 0), "words must be")
    expect(miniae("texts", table, "--column", "body", "-o", out, "--code", 0), "code")
    (tmp_path / "empty.csv").write_text("text\nthe\nof\n")
    expect(miniae("texts", tmp_path / "empty.csv", "-o", out), "empty.csv: .*vocabulary")
    expect(miniae("search", index, "unheard of words"), "'unheard of words' has none of the 16 words that .* knows")
    expect(miniae("search", index, table, "-k", 100), "k is 100, and the index holds 60")
    expect(miniae("search", index, "oil", "--label", "kind"), "leave --label and --drop out")
    expect(miniae("search", index, "oil", "--picture", tmp_path / "a.png"), "does not hold images")
    tensors, header = load_tensors(index)
    bag = header["extra"]["bag"]
    for forged in (3, {}, {**bag, "words": ["oil"]}, {**bag, "words": ["oil"] * 16}, {**bag, "weights": ["x"] * 16},
                   {**bag, "weights": [[1]] * 16}, {**bag, "weights": [-1.0] * 16}, {**bag, "weighting": ["tfidf"]}):
        save_tensors(out, tensors, {**header, "extra": {**header["extra"], "bag": forged}})
        expect(miniae("search", out, "oil"), "a.safetensors is damaged: ")
    out.unlink()
    monkeypatch.setitem(__import__("sys").modules, "sklearn.feature_extraction.text", None)
    expect(miniae("texts", table, "--column", "body", "-o", out), r"pip install miniae\[text\]")
    expect(miniae("search", index, "oil"), r"pip install miniae\[text\]")
    assert [p.name for p in tmp_path.iterdir()] == ["empty.csv"]
