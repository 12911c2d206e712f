"""Data sets by name, and downloads."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
import pytest

from miniae.data import DATASETS, DataError, load
from miniae.data import datasets as module
from miniae.data.digits import TEST, TRAIN, load_digits, make
from miniae.data.download import cache_folder, fetch


def test_digits():
    data = load("digits")
    assert data.train.shape == (10_000, 784) and data.test.shape == (2_000, 784) and data.image_shape == (28, 28)
    assert data.train.dtype == np.float32 and data.train.min() == 0 and data.train.max() == 1
    assert data.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert set(np.unique(data.train_labels)) == set(range(10))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_full_sets(name, data_dir):
    data = load(name)
    assert data.train.shape == (60_000, 784) and data.test.shape == (10_000, 784)
    assert np.bincount(data.test_labels).sum() == 10_000
    for file, (sha256, size) in module._FILES[name].items():
        unpacked = gzip.decompress((data_dir / name / file).read_bytes())
        assert (hashlib.sha256(unpacked).hexdigest(), len(unpacked)) == (sha256, size)


def test_digits_are_the_first_of_mnist_and_made_again_byte_by_byte(data_dir, tmp_path):
    from importlib.resources import files

    mnist, digits = load("mnist"), load_digits()
    np.testing.assert_allclose(digits["train"].reshape(TRAIN, -1) / 255.0, mnist.train[:TRAIN], atol=1e-7)
    np.testing.assert_array_equal(digits["test_labels"], mnist.test_labels[:TEST])
    make(data_dir / "mnist", tmp_path / "digits.bin.xz")
    assert (tmp_path / "digits.bin.xz").read_bytes() == files("miniae.data").joinpath("digits.bin.xz").read_bytes()


def test_unknown_name():
    with pytest.raises(ValueError, match=f"expected one of {', '.join(DATASETS)}"):
        load("cifar")


CONTENT = bytes(range(256)) * 40
SHA256, SIZE = hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)


@pytest.fixture
def server():
    """A server on this machine: /good/ has the file, /other/ another one, /cut/ a truncated one, /huge/ a bomb."""
    packed = gzip.compress(CONTENT)
    answers = {"/good/f.gz": packed, "/other/f.gz": gzip.compress(b"x" * SIZE), "/cut/f.gz": packed[:-20],
               "/plain/f.gz": CONTENT, "/huge/f.gz": gzip.compress(bytes(50_000_000))}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = answers.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()
        thread.join()


def test_fetch_takes_the_first_mirror_that_is_right(server, tmp_path):
    mirrors = [server + part for part in ("missing/", "other/", "cut/", "plain/", "huge/", "good/")]
    path = fetch("f.gz", mirrors, SHA256, SIZE, tmp_path / "new" / "folder")
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["f.gz"]


@pytest.mark.parametrize("part, reason", [("other/", "checksum"), ("cut/", "end-of-stream|Compressed file ended"),
                                          ("plain/", "can't be unpacked .Not a gzipped"),
                                          ("missing/", "Not Found"), ("huge/", "more than")])
def test_a_wrong_file_is_refused_and_not_kept(part, reason, server, tmp_path):
    with pytest.raises(DataError, match=reason) as caught:
        fetch("f.gz", [server + part], SHA256, SIZE, tmp_path)
    assert str(tmp_path) in str(caught.value) and "MINIAE_DATA" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_offline_is_one_clear_line(tmp_path):
    with pytest.raises(DataError, match="can't download f.gz .*Put it into .* MINIAE_DATA") as caught:
        fetch("f.gz", ["http://127.0.0.1:9/", "http://127.0.0.1:9/b/"], SHA256, SIZE, tmp_path)
    assert "\n" not in str(caught.value)


def test_where_files_are_looked_for(tmp_path, monkeypatch):
    """First MINIAE_DATA, then the cache, then the network, into the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.platform", "linux")
    asked = []
    monkeypatch.setattr(module, "fetch", lambda name, *rest: asked.append((name, rest[-1])) or "fetched")
    monkeypatch.delenv("MINIAE_DATA", raising=False)
    file = "t10k-labels-idx1-ubyte.gz"
    assert module._locate("mnist", file) == "fetched"
    cache = tmp_path / "cache" / "miniae"
    assert asked == [(file, cache / "mnist")] and cache_folder() == cache
    for folder in (cache / "mnist", tmp_path / "given" / "mnist"):
        folder.mkdir(parents=True)
        (folder / file).touch()
    assert module._locate("mnist", file).parent == cache / "mnist"
    monkeypatch.setenv("MINIAE_DATA", str(tmp_path / "given"))
    assert module._locate("mnist", file).parent == tmp_path / "given" / "mnist"


def test_files_of_a_set_must_fit_together(tmp_path, monkeypatch):
    folder = tmp_path / "mnist"
    folder.mkdir()
    monkeypatch.setenv("MINIAE_DATA", str(tmp_path))

    def put(part, images, labels):
        for kind, axes in (("images-idx3", images), ("labels-idx1", labels)):
            data = struct.pack(f">HBB{len(axes)}I", 0, 8, len(axes), *axes) + bytes(int(np.prod(axes)))
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(data))

    put("train", (3, 4, 5), (3,))
    put("t10k", (2, 4, 5), (2,))
    assert load("mnist").train.shape == (3, 20) and load("mnist").image_shape == (4, 5)
    put("t10k", (2, 4, 5), (3,))
    with pytest.raises(DataError, match="t10k-images.* as many labels"):
        load("mnist")
    put("t10k", (2,), (2,))
    with pytest.raises(DataError, match="expected bytes of shape"):
        load("mnist")
