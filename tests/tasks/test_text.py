"""Documents read from files, and as bags of words."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from miniae.data import DataError
from miniae.tasks import BagOfWords, read_documents
from miniae.training import NotFittedError

TEXTS = ["the cat sat on the mat", "a cat and a dog", "dogs bark; cat", "an entirely other subject: physics physics"]


def test_a_folder_of_texts(tmp_path):
    for name, text in (("b/2.txt", "zwei"), ("a/1.txt", "één"), ("a/not.md", "x")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    documents = read_documents(tmp_path)
    assert documents.texts == ["één", "zwei"] and documents.names == ["a/1.txt", "b/2.txt"]
    assert documents.labels.tolist() == ["a", "b"]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz"])
def test_tables_of_texts(name, tmp_path):
    separator = "\t" if ".tsv" in name else ","
    content = f'kind{separator}body\nx{separator}"one{separator} two"\ny{separator}three\n'.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    documents = read_documents(tmp_path / name, "body", "kind")
    assert documents.texts == [f"one{separator} two", "three"] and documents.labels.tolist() == ["x", "y"]
    assert read_documents(tmp_path / name, "body").labels is None


@pytest.mark.parametrize("name, content, arguments, says", [
    ("none.csv", None, {}, "does not exist"), ("t.xls", b"x", {}, "unknown ending"),
    ("t.csv", b"a,b\n1,2\n", {}, "no column 'text', it has a, b"), ("t.csv", b"", {}, "no column 'text'"),
    ("t.csv", b"text\n", {}, "has no rows"), ("t.csv", b"text\n1\n", {"label": "kind"}, "no column 'kind'"),
    ("t.csv", b"a,text\n1,2\n3\n", {}, "row 3 is cut short"), ("t.csv", b"text\n\xff\xfe\n", {}, "not UTF-8"),
    ("t.csv.gz", b"no gzip", {}, "can't be read"),
    ("t.csv.gz", gzip.compress(b"text\n" + 99 * b"a", mtime=0)[:-9], {}, "can't be read"),
    ("folder/x.md", b"x", {}, "holds no .txt files"), ("folder/x.txt", b"x", {"label": "a"}, "leave label out"),
])
def test_what_can_not_be_read_is_refused_in_one_line(name, content, arguments, says, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=says) as why:
        read_documents(tmp_path / "folder" if "folder" in name else path, **arguments)
    assert "\n" not in str(why.value)


def test_counts_are_shares():
    pytest.importorskip("sklearn", reason="scikit-learn counts the words")
    bag = BagOfWords(100, "counts", stop_words=None).fit(TEXTS)
    x = bag.transform(TEXTS)
    np.testing.assert_allclose(x.sum(axis=1), 1, rtol=1e-6)
    assert x[0, bag.words_.index("the")] == np.float32(2 / 6) and x.dtype == np.float32
    assert not bag.transform(["nothing known"]).any()
    assert BagOfWords(2, stop_words=["the"]).fit(TEXTS).words_ == ["cat", "physics"]


def test_weights_are_those_of_scikit_learn():
    text = pytest.importorskip("sklearn.feature_extraction.text", reason="compares with scikit-learn's TF-IDF")
    bag = BagOfWords(100, stop_words=None).fit(TEXTS)
    theirs = text.TfidfVectorizer().fit(TEXTS)
    np.testing.assert_allclose(bag.transform(TEXTS), theirs.transform(TEXTS).toarray(), atol=1e-6)
    assert bag.words_ == theirs.get_feature_names_out().tolist()


def test_what_can_not_be_counted_is_refused():
    pytest.importorskip("sklearn", reason="scikit-learn counts the words")
    for says, use in (("unknown weighting", lambda: BagOfWords(5, "bm25")), ("words must be", lambda: BagOfWords(0)),
                      ("one a document", lambda: BagOfWords().fit("a text")),
                      ("one a document", lambda: BagOfWords().fit([1])),
                      ("no texts", lambda: BagOfWords().fit([])),
                      ("vocabulary", lambda: BagOfWords().fit(["the"]))):
        with pytest.raises(ValueError, match=says):
            use()
    with pytest.raises(NotFittedError):
        BagOfWords().transform(["a"])
