"""miniae recommend: from a table of ratings to lists, by way of a file or without."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import miniae as library
from miniae import AutoRec


def expect(result, message):
    """Exit code 2, and one line of complaint."""
    code, _, err = result
    assert code == 2 and len(err.splitlines()) == 1 and message in err, err


@pytest.fixture
def ratings(tmp_path):
    """A table of 200 ratings, with ids that are no numbers, and a fourth column."""
    rng = np.random.default_rng(0)
    pairs = sorted({(int(u), int(i)) for u, i in zip(rng.integers(0, 20, 200), rng.integers(0, 15, 200), strict=True)})
    path = tmp_path / "ratings.tsv"
    path.write_text("".join(f"u{u:03d}\tfilm {i}\t{1 + (u + i) % 2 * 3}\t88\n" for u, i in pairs))
    return path


def test_from_ratings_to_lists_and_back(miniae, ratings, tmp_path):
    model, lists = tmp_path / "model.safetensors", tmp_path / "top.csv"
    code, out, err = miniae("recommend", ratings, "-o", model, "-o", lists, "-k", 3, "--epochs", 2, "--user", "u007")
    assert code == 0, err
    assert "AutoRec of <" in out and "user u007" in out
    rows = list(csv.DictReader(lists.read_text().splitlines()))
    assert set(rows[0]) == {"user", "rank", "item", "score"} and len({row["user"] for row in rows}) == 20
    seen = {tuple(line.split("\t")[:2]) for line in ratings.read_text().splitlines()}
    assert not seen & {(row["user"], row["item"]) for row in rows}
    again = tmp_path / "again.csv"
    code, out, err = miniae("recommend", model, "--user", "u007", "-k", 3, "-o", again)
    assert code == 0 and again.read_bytes() == lists.read_bytes()
    listed = [row["item"] for row in rows if row["user"] == "u007"]
    assert [line.split("  ")[-2] for line in out.splitlines() if line.startswith("   ")] == listed
    assert library.load(model).recommend("u007", 3)[0].tolist() == listed


def test_the_multinomial_one(miniae, ratings, tmp_path):
    code, out, err = miniae("recommend", ratings, "--model", "multinomial", "--threshold", 4, "--epochs", 1, "--user",
                            "u001", "--include-seen", "-k", 2)
    assert code == 0 and len(out.splitlines()) == 3, err


def test_a_model_of_integers(miniae, tmp_path):
    AutoRec(code=2, epochs=1).fit(([1, 1, 2], [5, 6, 5], [3, 4, 5])).save(tmp_path / "m.safetensors")
    assert miniae("recommend", tmp_path / "m.safetensors", "--user", 2)[1].splitlines()[1].split()[:2] == ["1", "6"]
    expect(miniae("recommend", tmp_path / "m.safetensors", "--user", "x"), "its users are integers")


@pytest.mark.parametrize("arguments, message", [
    ((), "nothing to do"),
    (("--user", "nobody"), "there is no user 'nobody'"),
    (("-o", "top.xls"), "expected a name that ends in"),
    (("-o", "none/top.csv"), "there is no folder"),
    (("--user", "u001", "--threshold", "4"), "is a setting of multinomial"),
    (("--user", "u001", "--model", "multinomial", "--by", "user"), "is a setting of autorec"),
    (("--user", "u001", "--model", "multinomial", "--threshold", "9"), "no rating reaches"),
    (("--user", "u001", "-k", "0"), "k must be"),
    (("--user", "u001", "--epochs", "-1"), "epochs must be"),
    (("--user", "u001", "--backend", "tpu"), "unknown --backend"),
])
def test_bad_options(arguments, message, miniae, ratings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("--epochs", "1") if "--epochs" not in arguments else ()
    code, out, err = miniae("recommend", ratings, *given, *arguments)
    assert code == 2 and message in err.splitlines()[-1], err
    assert [p.name for p in tmp_path.iterdir()] == ["ratings.tsv"]


@pytest.mark.parametrize("content, message", [
    (b"", "no ratings in it"), (b"a,b\n", "line 1 has 2 cells"), (b"1,2,3\n1,2,x\n", "the rating 'x'"),
    (None, "does not exist"),
])
def test_bad_tables(content, message, miniae, tmp_path):
    if content is not None:
        (tmp_path / "r.csv").write_bytes(content)
    expect(miniae("recommend", tmp_path / "r.csv", "--user", "1"), message)


def test_bad_models(miniae, tmp_path, trained):
    expect(miniae("recommend", trained / "model.safetensors", "--user", 1), "expected a recommender")
    expect(miniae("recommend", tmp_path / "none.safetensors", "--user", 1), "does not exist")
    path = tmp_path / "m.safetensors"
    AutoRec(code=2, epochs=1).fit(([1, 1, 2], [5, 6, 5], [3, 4, 5])).save(path)
    expect(miniae("recommend", path, "--user", 1, "--epochs", 3), "is for learning from ratings")
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)
    expect(miniae("recommend", path, "--user", 1), "checksum is not that of its contents")


def test_what_is_read_is_not_written_over(miniae, ratings):
    before = ratings.read_bytes()
    expect(miniae("recommend", ratings, "-o", ratings, "--epochs", 1), "would be lost")
    assert ratings.read_bytes() == before


def test_mistakes_are_found_before_it_learns(miniae, ratings, tmp_path):
    out = tmp_path / "m.safetensors"
    expect(miniae("recommend", ratings, "-o", out, "--user", "nobody"), "there is no user 'nobody'")
    expect(miniae("recommend", ratings, "-o", out, "-k", 0), "k must be")
    assert not out.exists()
    AutoRec(code=2, epochs=1).fit(([1, 1, 2], [5, 6, 5], [3, 4, 5])).save(out)
    expect(miniae("recommend", out, "--user", "1", "--model", "multinomial"), "--model is for learning")
    code, printed, _ = miniae("recommend", out, "--user", "1")
    assert code == 0 and printed == "user 1: has rated all items\n"
