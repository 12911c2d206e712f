"""Damaged and malicious files of every kind: refused in one clear line, in memory that fits their size."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.readers import READERS, TENSOR_FILES, attempt, places, put, valid

from miniae.data import StorageError, claims, load_tensors, read, save_tensors
from miniae.models import load

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis makes the damaged files")
from hypothesis import strategies as st  # noqa: E402

CHECKS = hypothesis.settings(max_examples=25, derandomize=True, database=None, deadline=None,
                             phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
                             suppress_health_check=list(hypothesis.HealthCheck))
MEMORY = 64 << 20
"""What reading a small file may take: far below what a file may claim."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def check(name: str, path: Path) -> bool:
    """`attempt`, and the memory it took."""
    tracemalloc.start()
    try:
        taken = attempt(READERS[name], path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY + 50 * path.stat().st_size
        return taken
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", READERS)
def test_the_valid_file_is_read(name, folder):
    path = folder / f"whole{READERS[name].suffix}"
    path.write_bytes(valid(name, folder))
    assert check(name, path)


@st.composite
def damage(draw: Any) -> Any:
    """A function of bytes: some of them changed, cut out, put in twice, or the end cut off."""
    edits = draw(st.lists(st.tuples(st.sampled_from(["set", "cut", "twice", "insert", "end"]),
                                    st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)),
                          min_size=1, max_size=4))

    def apply(data: bytes) -> bytes:
        for kind, where, some in edits:
            at, n = int(where * len(data)), len(some)
            data = {"set": data[:at] + some + data[at + n:], "cut": data[:at] + data[at + n:], "end": data[:at],
                    "twice": data[:at + n] + data[at:], "insert": data[:at] + some + data[at:]}[kind]
        return data

    return apply


# A checksum catches damaged bytes in all of these alike.
WITHOUT_CHECKSUM = [name for name in READERS if name == "model" or name not in TENSOR_FILES]


@pytest.mark.parametrize("name", WITHOUT_CHECKSUM)
def test_damaged_bytes(name, folder):
    path = folder / f"damaged{READERS[name].suffix}"

    @CHECKS
    @hypothesis.given(damage())
    def check_one(apply):
        path.write_bytes(apply(valid(name, folder)))
        check(name, path)

    check_one()


@pytest.mark.parametrize("name", WITHOUT_CHECKSUM)
def test_any_bytes(name, folder):
    path = folder / f"any{READERS[name].suffix}"

    @hypothesis.settings(CHECKS, max_examples=10)
    @hypothesis.given(st.binary(max_size=60), st.integers(0, 16))
    def check_one(data, kept):
        path.write_bytes(valid(name, folder)[:kept] + data)
        check(name, path)

    check_one()


# -------------------------------------------------------------------- contents that fit their checksum

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from([-(2**63), 2**31, 2**40, 10**30]), st.floats(),
    st.text(max_size=5), st.lists(st.integers(-1, 2**33), max_size=3), st.just({}), st.just({"layer": ""}),
    st.sampled_from(["Dense", "Sequential", "Conv2D", "Machine", "<U999999999", "object", "relu", "orthogonal"]),
    st.builds(lambda units: {"type": "Dense", "units": units}, st.integers(0, 2**40)),
    st.builds(lambda shape: {"type": "Sequential", "layers": [{"type": "Reshape", "shape": shape}]},
              st.lists(st.integers(0, 2**20), max_size=4)))


@pytest.fixture(params=TENSOR_FILES)
def stored(request, folder):
    """The arrays and the header of each kind of file, and what reads it with others in their place."""
    path = folder / "stored.safetensors"
    path.write_bytes(valid(request.param, folder))

    def check_with(tensors, header):
        save_tensors(path, tensors, header)
        check(request.param, path)

    return *load_tensors(path), check_with


def test_headers_that_say_something_else(stored):
    tensors, header, check_with = stored
    where = places(header)

    @hypothesis.settings(CHECKS, max_examples=25)
    @hypothesis.given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), ODD), min_size=1, max_size=2))
    def check_one(changes):
        changed = copy.deepcopy(header)
        for at, what in changes:
            try:
                put(changed, where[int(at * len(where))], what)
            except (TypeError, KeyError, IndexError):  # the first change took the second one's place away
                hypothesis.reject()
        check_with(tensors, changed)

    check_one()


def test_arrays_of_other_shapes_and_types(stored):
    tensors, header, check_with = stored
    names = sorted(tensors)

    @hypothesis.settings(CHECKS, max_examples=10)
    @hypothesis.given(st.floats(0, 1, exclude_max=True), st.lists(st.integers(0, 5), max_size=3),
                      st.sampled_from(["float32", "float64", "float16", "int64", "uint8", "bool", None]),
                      st.sampled_from([0, 1, -1, 200]))
    def check_one(at, shape, dtype, value):
        chosen = names[int(at * len(names))]
        changed = {key: a for key, a in tensors.items() if key != chosen}
        if dtype is not None:
            changed[chosen] = np.full(shape, value).astype(dtype)
        check_with(changed, header)

    check_one()


# -------------------------------------------------------------------- what claims to be large, or is deep

def in_safetensors(path: Path, text: str) -> None:
    from safetensors.numpy import save

    path.write_bytes(save({"a": np.zeros(2, np.float32)}, metadata={"miniae": text}))


@pytest.mark.parametrize("text", [
    "[" * 10**6, '{"a":' * 10**5, "1" * 10**5, '{"kind":"model","format":1,"class":' + "9" * 5000 + "}", "nonsense",
    "[]", '{"kind": "model", "format": NaN}', '"' + "\\ud800" * 9 + '"',
])
def test_json_bombs(text, tmp_path):
    in_safetensors(tmp_path / "m.safetensors", text)
    with pytest.raises(StorageError) as caught:
        load(tmp_path / "m.safetensors")
    assert len(str(caught.value)) < 1500


def test_deep_layers(tmp_path):
    """JSON that is just not too deep to be read, of layers in layers."""
    for depth in (100, 150, 300, 450):
        layers = '{"type": "Sequential", "layers": [' * depth + "]}" * depth
        header = {"kind": "model", "format": 1, "class": "Autoencoder", "params": {}, "input_shape": [2],
                  "generators": {}}
        network = f'{{"type": "AutoencoderNetwork", "encoder": {layers}, "decoder": {layers}}}'
        in_safetensors(tmp_path / "m.safetensors", json.dumps(header)[:-1] + f', "network": {network}}}')
        try:
            load(tmp_path / "m.safetensors")
        except StorageError as why:
            assert "\n" not in str(why)


def npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def npz(path: Path, member: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("X.npy", member)


def png(path: Path, width: int, height: int, bits: int = 1) -> None:
    """A PNG of a single colour, whose rows are packed a thousand times over."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + width * bits // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, min(bits, 8), 2 if bits == 24 else 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


CLAIMS = {
    "a terabyte.npy": lambda path: path.write_bytes(npy_header((10**6, 250_000)) + bytes(64)),
    "a negative.npy": lambda path: path.write_bytes(npy_header((10**6, 2)).replace(b"1000000", b"-100000") + bytes(64)),
    "many axes.npy": lambda path: path.write_bytes(npy_header((2,) * 60) + bytes(64)),
    "long strings.npy": lambda path: path.write_bytes(npy_header((3, 3), "<U999999999") + bytes(64)),
    "a terabyte.npz": lambda path: npz(path, npy_header((10**6, 250_000)) + bytes(64)),
    "zeros.npz": lambda path: npz(path, npy_header((1000, 5000)) + bytes(2 * 10**7)),
    "zeros bz2.npz": lambda path: npz(path, npy_header((1000, 5000)) + bytes(2 * 10**7), zipfile.ZIP_BZIP2),
    "zeros.gz": lambda path: path.write_bytes(gzip.compress(struct.pack(">III", 0x802, 1000, 20_000)
                                                            + bytes(2 * 10**7))),
    "wide.csv": lambda path: path.write_text("1," * 50_000 + "1\n" + "1\n" * 50_000),
    "long cell.csv": lambda path: path.write_text("1" * 9 * 10**5 + "\n"),
    "quoted.csv": lambda path: path.write_text('"' + "1,\n" * 10**5),
    "wide.png": lambda path: png(path, 30_000, 1_000),
    "huge.pgm": lambda path: path.write_bytes(b"P5 60000 50000 255\n" + bytes(99)),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims(name, tmp_path, monkeypatch):
    """Files that would be a thousand times as large in memory. (What any file may unpack to is 1 MB here.)"""
    monkeypatch.setattr(claims, "FREE", 1 << 20)
    monkeypatch.setattr(claims, "PIXELS", 1 << 18)
    path = tmp_path / name
    CLAIMS[name](path)
    assert path.stat().st_size < 10**6
    tracemalloc.start()
    with pytest.raises(ValueError) as caught:
        read(path)
    assert tracemalloc.get_traced_memory()[1] < MEMORY / 4
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import numpy, PIL.Image, miniae
from miniae.data import read
from miniae.models import load
from fuzz.readers import READERS
vast = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (vast + (400 << 20),) * 2)
for path in map(Path, sys.argv[1:]):
    try:
        (load if path.suffix == ".safetensors" else read)(path)
    except ValueError as why:
        print(path.name, "refused", str(why)[:60].replace(str(path), ""))
    else:
        sys.exit(f"{path} was read")
"""


def test_claims_in_a_process_that_has_little_memory(tmp_path):
    """What tracemalloc does not see, in Pillow and safetensors: where more than 400 MB of addresses are not to be had,
    claims of up to a terabyte are refused, and not for want of memory."""
    def header(text: str, length: int = 0) -> bytes:
        return struct.pack("<Q", length or len(text)) + text.encode()

    vast = '{"a":{"dtype":"F32","shape":[250000000000],"data_offsets":[0,1000000000000]}}'
    files = {"length.safetensors": header("{}", 1 << 60), "offsets.safetensors": header(vast) + bytes(99),
             "negative.safetensors": header(vast.replace("250000000000", "-1")),
             "a terabyte.npy": npy_header((10**6, 250_000)) + bytes(64),
             "header.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(9),
             "huge.pgm": b"P5 60000 50000 255\n" + bytes(99),
             "idx.gz": gzip.compress(struct.pack(">BBBBII", 0, 0, 8, 2, 10**6, 10**6) + bytes(99))}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    png(tmp_path / "wide.png", 60_000, 40_000)
    done = subprocess.run([sys.executable, "-c", IN_LITTLE_MEMORY, *sorted(map(str, tmp_path.iterdir()))],
                          capture_output=True, text=True, cwd=Path(__file__).parents[1],
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0 and done.stdout.count("refused") == 1 + len(files), done.stderr + done.stdout


def test_a_folder_that_claims_more_than_it_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "PIXELS", 1 << 20)
    monkeypatch.setattr(claims, "EACH", 1 << 20)
    png(tmp_path / "0.png", 1_000, 1_000)
    for i in range(1, 100):
        (tmp_path / f"{i}.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="holds 100 pictures of 400,000,000 bytes together"):
        read(tmp_path)


def test_no_other_program_is_started_for_an_image(tmp_path, monkeypatch):
    """Pillow would hand PostScript to Ghostscript, whatever the file is called."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
                                     b"%%EOF\n")
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a program was started"))
    with pytest.raises(ValueError, match="can't be read as an image"):
        read(tmp_path / "a.png")


def test_pickles_are_not_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("code was run",))

    objects = np.array([[Bomb()]], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", X=objects)
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("o.npy", "o.npz", "p.npy"):
        with pytest.raises(ValueError, match="can't be read"):
            read(tmp_path / name)
