"""miniae explain."""

from __future__ import annotations

import json
import re


def test_the_page_of_a_run(trained, miniae, tmp_path):
    page = tmp_path / "page.html"
    code, out, err = miniae("explain", trained, "-o", page, "--epochs", 1)
    assert code == 0, err
    assert ": this run" in out and ": the same without pretraining" in out and f"written to {page}" in out
    assert "this run: fine-tuning: epoch 1/1" in err and "the same without pretraining: training: epoch 1/1" in err
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>") and html.rstrip().endswith("</html>")
    assert not re.search(r'(src|href)="(?!#)', html) and "@import" not in html
    assert "url(" not in re.sub(r"url\(#arrow[12]\)", "", html)
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])
    assert data["names"] == list("abcde") and data["facts"]["data"] == "table.csv" and len(data["twins"]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "run", "table.csv"]


def test_without_training(trained, miniae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = miniae("explain", trained, "--epochs", 0)
    assert (code, err) == (0, "") and (tmp_path / "explain.html").stat().st_size > 30_000


def expect(answer, message):
    code, out, err = answer
    assert code == 2 and message in err and err.count("\n") == 1 and "Traceback" not in err


def test_bad_input(trained, table, miniae, tmp_path):
    page = tmp_path / "page.html"
    expect(miniae("explain", tmp_path / "no", "-o", page), "is not a folder: give the folder of a run")
    expect(miniae("explain", trained / "config.json", "-o", page), "is not a folder")
    expect(miniae("explain", tmp_path, "-o", page), "config.json does not exist")
    expect(miniae("explain", trained, "-o", "page.pdf"), "expected a name that ends in .html")
    expect(miniae("explain", trained, "-o", tmp_path / "no" / "page.html"), "there is no folder")
    expect(miniae("explain", trained, "-o", page, "--epochs", -1), "epochs must be an integer of at least 0")
    expect(miniae("explain", trained, "-o", page, "--backend", "abacus"), "unknown --backend 'abacus'")
    for read in (table, trained / "model.safetensors"):
        before = read.read_bytes()
        page.symlink_to(read)
        expect(miniae("explain", trained, "-o", page), "it is what is read")
        assert read.read_bytes() == before
        page.unlink()
    (trained / "model.safetensors").write_bytes(b"no model")
    expect(miniae("explain", trained, "-o", page), "model.safetensors")
    assert not page.exists()


def test_only_pages_are_replaced_and_only_by_whole_ones(trained, miniae, tmp_path):
    other = tmp_path / "notes.html"
    other.write_text("<!DOCTYPE html><title>Notes</title>")
    expect(miniae("explain", trained, "-o", other, "--epochs", 0), "no page of miniae explain, so it is not replaced")
    assert other.read_text() == "<!DOCTYPE html><title>Notes</title>"
    (tmp_path / "folder.html").mkdir()
    expect(miniae("explain", trained, "-o", tmp_path / "folder.html", "--epochs", 0), "is not replaced")
    page = trained / "page.html"  # in the folder of the run
    for _ in range(2):
        code, _, err = miniae("explain", trained, "-o", page, "--epochs", 0)
        assert (code, err) == (0, "") and page.stat().st_size > 30_000
    old = page.read_bytes()
    (trained / "history.csv").write_text("no history")
    expect(miniae("explain", trained, "-o", page, "--epochs", 0), "history.csv can't be read")
    assert page.read_bytes() == old


def test_a_run_that_is_not_finished(trained, miniae, tmp_path):
    page = tmp_path / "page.html"
    state = json.loads((trained / "run.json").read_text())
    (trained / "run.json").write_text(json.dumps({**state, "finished": False}))
    code, out, err = miniae("explain", trained, "-o", page, "--epochs", 0)
    assert (code, err) == (0, "")
    assert f"not finished, and shown as far as it came: miniae train --resume {trained} goes on with it" in out
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)[1])
    assert data["facts"]["resume"] == f"miniae train --resume {trained}" and data["facts"]["epochs"] == 2
    page.unlink()
    (trained / "model.safetensors").unlink()
    command = f"miniae train --resume {trained} goes on with it"
    expect(miniae("explain", trained, "-o", page), f"has written no model yet; if it was stopped, {command}")
    (trained / "run.json").unlink()  # killed in its first moment
    expect(miniae("explain", trained, "-o", page), command)
    assert not page.exists()
