"""Downloads from a server on this machine: whole, cut short, resumed, wrong, absent."""

import gzip
import hashlib
import io
import os
import re
import shutil
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from minigrad.datasets import CIFAR10, CIFAR100, MNIST, download, limits
from minigrad.datasets.download import DownloadError, extract, fetch

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`. `cuts` holds, for each coming answer, after how many bytes it breaks off (None:
    never).
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.cuts = []
        self.codes = []  # for each coming answer, an error to give instead of the file (None: the file)
        self.ranges = True
        self.asked = []

    def url(self, name):
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append((self.path, asked))
        code = server.codes.pop(0) if server.codes else None
        content = server.files.get(self.path[1:])
        if code or content is None:
            self.send_error(code or 404)
            return
        start = 0
        if asked and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        cut = server.cuts.pop(0) if server.cuts else None
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:] if cut is None else content[start : start + cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSE", 0.001)
    with Server() as running:
        running.files["file.bin"] = CONTENT
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def nothing_else(folder, *names):
    assert sorted(os.listdir(folder)) == sorted(names)


def test_a_file_is_fetched_once(server, tmp_path, capfd):
    target = tmp_path / "a" / "file.bin"
    assert fetch([server.url("file.bin")], target, md5=MD5) == target
    assert target.read_bytes() == CONTENT
    assert "file.bin: 100%" in capfd.readouterr().err  # the progress bar
    fetch([server.url("file.bin")], target, md5=MD5)
    assert server.asked == [("/file.bin", None)]
    nothing_else(target.parent, "file.bin")


def test_sha256_and_no_checksum(server, tmp_path):
    fetch([server.url("file.bin")], tmp_path / "a", sha256=hashlib.sha256(CONTENT).hexdigest())
    fetch([server.url("file.bin")], tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="sha256"):
        fetch([server.url("file.bin")], tmp_path / "c", sha256="0" * 64)


def test_truncated_answers_are_continued(server, tmp_path):
    server.cuts = [100_000, 70_000]
    fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=170000-"]


def test_a_download_goes_on_in_a_later_run(server, tmp_path):
    server.cuts = [10_000] * 4
    with pytest.raises(DownloadError, match=r"ended after 40000 of 300000 bytes"):
        fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    nothing_else(tmp_path, "f.part")
    assert (tmp_path / "f.part").read_bytes() == CONTENT[:40_000]
    fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.asked[-1][1] == "bytes=40000-"
    nothing_else(tmp_path, "f")


def test_a_server_without_ranges_sends_the_whole_again(server, tmp_path):
    server.ranges = False
    server.cuts = [50_000]
    fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"of another file", CONTENT + b"more", b"x" * len(CONTENT)])
def test_a_part_of_another_file_is_thrown_away(server, tmp_path, stale):
    (tmp_path / "f.part").write_bytes(stale)
    fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.asked[-1][1] is None


def test_a_whole_part_needs_no_more_bytes(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT)
    fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    nothing_else(tmp_path, "f")


def test_wrong_bytes_are_told_and_not_kept(server, tmp_path):
    wrong = bytes(1) + CONTENT[1:]
    server.files["file.bin"] = wrong
    with pytest.raises(DownloadError) as caught:
        fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    for part in ("could not get f", MD5, hashlib.md5(wrong).hexdigest(), "thrown away", str(tmp_path / "f")):
        assert part in str(caught.value)
    nothing_else(tmp_path)


def test_the_next_address_is_tried(server, tmp_path):
    server.files["wrong"] = b"something else"
    urls = [server.url("absent"), server.url("wrong"), server.url("file.bin")]
    fetch(urls, tmp_path / "f", md5=MD5)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [path for path, _ in server.asked] == ["/absent", "/wrong", "/file.bin"]


def test_a_server_in_trouble_is_asked_again(server, tmp_path):
    server.codes = [503, 500]
    fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_wrong_file_in_place_is_not_overwritten(server, tmp_path):
    (tmp_path / "f").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=rf"is damaged or another file.*expected {MD5}. Delete it"):
        fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    assert (tmp_path / "f").read_bytes() == b"mine"


def test_offline_one_message_tells_what_to_do(server, tmp_path):
    server.server_close()
    server.socket.close()
    with pytest.raises(DownloadError) as caught:
        fetch([server.url("file.bin")], tmp_path / "f", md5=MD5)
    assert "refused" in str(caught.value)
    assert f"offline, get the file from one of the addresses on another one and put it at {tmp_path}/f" in str(
        caught.value
    )


# --- archives


def archive(entries):
    """A .tar.gz with (name, bytes) files, or whole TarInfo entries."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                tar.addfile(info, io.BytesIO(entry[1]))
    return raw.getvalue()


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def test_only_the_named_files_are_taken(tmp_path):
    evil = [("../evil", b"1"), ("/etc/minigrad-evil", b"2"), ("d/../../evil", b"3"), ("d/more", b"4")]
    links = [link("d/link", "/etc/passwd", tarfile.SYMTYPE), link("d", "/etc", tarfile.SYMTYPE)]
    (tmp_path / "a.tar.gz").write_bytes(archive([*evil, *links, ("d/one", b"one"), ("./d/two", b"two")]))
    extract(tmp_path / "a.tar.gz", ["d/one", "d/two"], tmp_path / "out" / "d")
    nothing_else(tmp_path, "a.tar.gz", "out")
    nothing_else(tmp_path / "out", "d")
    nothing_else(tmp_path / "out/d", "one", "two")
    assert (tmp_path / "out/d/two").read_bytes() == b"two"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_not_taken(tmp_path, kind):
    (tmp_path / "a.tar.gz").write_bytes(archive([link("d/one", "/etc/passwd", kind)]))
    with pytest.raises(ValueError, match=r"a.tar.gz does not hold d/one"):
        extract(tmp_path / "a.tar.gz", ["d/one"], tmp_path / "d")
    nothing_else(tmp_path, "a.tar.gz")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "LARGEST", 100_000)
    bombs = {
        "member": [("d/one", bytes(200_000))],
        "another": [("d/one", b"1"), ("d/other", bytes(200_000))],
        "name": [("d/" + "n" * 200_000, b"1"), ("d/one", b"1")],
    }
    for name, entries in bombs.items():
        (tmp_path / f"{name}.tar.gz").write_bytes(archive(entries))
        with pytest.raises(ValueError, match=rf"{name}.tar.gz unpacks to at least \d+ bytes, more than the 100000"):
            extract(tmp_path / f"{name}.tar.gz", ["d/one"], tmp_path / "out")
    nothing_else(tmp_path, *(f"{name}.tar.gz" for name in bombs))


@pytest.mark.parametrize("cut", [0, 15, 200, -1, None])
def test_a_damaged_archive_leaves_nothing(tmp_path, cut):
    raw = archive([("d/one", CONTENT), ("d/two", CONTENT)])
    damaged = raw[:1000] + bytes(100) + raw[1100:] if cut is None else raw[:cut]
    (tmp_path / "a.tar.gz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a.tar.gz (is damaged|does not hold)"):
        extract(tmp_path / "a.tar.gz", ["d/one", "d/two"], tmp_path / "d")
    nothing_else(tmp_path, "a.tar.gz")


# --- whole data sets


@pytest.fixture
def mnist_server(server, monkeypatch):
    resources = []
    for name, shape in (("images-idx3", (2, 28, 28)), ("labels-idx1", (2,))):
        for split in ("train", "t10k"):
            header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
            packed = gzip.compress(header + bytes(int(np.prod(shape))), mtime=0)
            file = f"{split}-{name}-ubyte.gz"
            server.files[file] = packed
            resources.append((file, hashlib.md5(packed).hexdigest()))
    resources.sort(key=lambda entry: ("train" not in entry[0], entry[0]))
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", [server.url("absent/"), server.url("")])
    return server


def test_mnist_downloads_what_is_missing(mnist_server, tmp_path):
    data = MNIST(tmp_path, download=True)
    assert len(data) == 2
    assert len(MNIST(tmp_path, train=False)) == 2
    before = len(mnist_server.asked)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte.gz").unlink()
    MNIST(tmp_path, download=True)
    assert {path.rsplit("/", 1)[1] for path, _ in mnist_server.asked[before:]} == {"t10k-labels-idx1-ubyte.gz"}


@pytest.mark.parametrize("keep", [0, 10, 16, 500, -1])
def test_mnist_repairs_a_cut_file(mnist_server, tmp_path, keep):
    MNIST(tmp_path, download=True)
    before = len(mnist_server.asked)
    packed = tmp_path / "MNIST/raw/train-images-idx3-ubyte.gz"
    plain = packed.with_suffix("")
    plain.write_bytes(gzip.decompress(packed.read_bytes())[:keep])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte .*download=True"):
        MNIST(tmp_path)
    assert len(MNIST(tmp_path, download=True)) == 2  # from the gzipped file beside it
    assert len(mnist_server.asked) == before

    packed.write_bytes(packed.read_bytes()[: min(keep, 30)])  # now that one, of which the rest is got
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz .*download=True"):
        MNIST(tmp_path)
    assert len(MNIST(tmp_path, download=True)) == 2
    assert {path for path, _ in mnist_server.asked[before:]} <= {f"/{packed.name}", f"/absent/{packed.name}"}

    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    before = len(mnist_server.asked)
    assert len(MNIST(tmp_path, download=True)) == 2  # whole: nothing to do
    plain.write_bytes(plain.read_bytes()[:keep])
    assert len(MNIST(tmp_path, download=True)) == 2
    assert len(mnist_server.asked) == before + 2  # one address does not have it


@pytest.mark.parametrize(("cls", "record"), [(CIFAR10, 3073), (CIFAR100, 3074)])
@pytest.mark.parametrize("damage", ["gone", "cut", "cut at a record", "empty", "all gone", "archive"])
def test_cifar_repairs_from_the_archive_beside_it(tmp_path, monkeypatch, cls, record, damage):
    names = [f"{cls.binary_folder}/{name}.bin" for name in cls.train_files + cls.test_files]
    raw = archive((name, bytes(2 * record)) for name in names)
    (tmp_path / "cifar.tar.gz").write_bytes(raw)
    monkeypatch.setattr(cls, "url", "http://127.0.0.1:9/cifar.tar.gz")  # nobody answers there
    monkeypatch.setattr(cls, "md5", hashlib.md5(raw).hexdigest())
    cls(tmp_path, download=True)
    path = tmp_path / names[0]
    if damage == "gone":
        path.unlink()
    elif damage == "all gone":
        shutil.rmtree(path.parent)
    elif damage == "archive":  # the files themselves are whole
        (tmp_path / "cifar.tar.gz").write_bytes(raw[:100])
    else:
        path.write_bytes(bytes({"cut": 2 * record - 7, "cut at a record": record, "empty": 0}[damage]))
    for train in (True, False):
        assert len(cls(tmp_path, train=train, download=True)) == 2 * len(cls.train_files if train else cls.test_files)


@pytest.mark.parametrize(("cls", "record"), [(CIFAR10, 3073), (CIFAR100, 3074)])
def test_cifar_downloads_and_unpacks(server, tmp_path, monkeypatch, cls, record):
    names = cls.train_files + cls.test_files
    raw = archive((f"{cls.binary_folder}/{name}.bin", bytes(2 * record)) for name in names)
    server.files["cifar.tar.gz"] = raw
    monkeypatch.setattr(cls, "url", server.url("cifar.tar.gz"))
    monkeypatch.setattr(cls, "md5", hashlib.md5(raw).hexdigest())
    assert len(cls(tmp_path, download=True)) == 2 * len(cls.train_files)
    nothing_else(tmp_path, cls.binary_folder)
    assert len(cls(tmp_path, train=False, download=True)) == 2
    assert len(server.asked) == 1

    offline = tmp_path / "offline"  # the archive put there by hand is taken
    offline.mkdir()
    (offline / "cifar.tar.gz").write_bytes(raw)
    assert len(cls(offline, train=False, download=True)) == 2
    assert len(server.asked) == 1
    nothing_else(offline, "cifar.tar.gz", cls.binary_folder)
