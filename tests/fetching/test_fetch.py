"""Downloads from a server of ours: cut, gone on with, checked; archives give what is wanted."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from destila.commands import fetch as command
from destila.errors import ConfigError, DataError
from destila.fetching import fetch
from destila.fetching.download import download, matches
from destila.fetching.places import NOT_FETCHED, PLACES, PublishedData, Source

CONTENT = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Serves files; cuts the first answers after some bytes, and may not know ranges."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cuts, self.ranges, self.asked = {}, 0, True, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    def do_GET(self):
        """Send a file from where it is asked for, or a part of it."""
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        start = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if self.server.cuts:
            self.server.cuts -= 1
            self.wfile.write(body[start : start + 300_000])
            self.close_connection = True
            return
        self.wfile.write(body[start:])

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    """The server, with one file of a megabyte."""
    with Server() as serving:
        serving.files["/file.bin"] = CONTENT
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()


def sha256(content):
    """The checksum of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_download_goes_on_where_it_was_cut(server, tmp_path):
    server.cuts = 3
    seen = []
    download(
        f"{server.url}/file.bin",
        tmp_path / "file.bin",
        sha256(CONTENT),
        on_bytes=lambda *at: seen.append(at),
        pause=0,
    )
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_a_later_call_goes_on_or_begins_again_without_ranges(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    download(f"{server.url}/file.bin", tmp_path / "file.bin", sha256(CONTENT), pause=0)
    assert server.asked == ["bytes=1000-"]

    server.ranges, server.cuts = False, 1
    download(f"{server.url}/file.bin", tmp_path / "again.bin", sha256(CONTENT), pause=0)
    assert (tmp_path / "again.bin").read_bytes() == CONTENT


def test_what_came_whole_before_a_kill_is_only_checked(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    download(f"{server.url}/file.bin", tmp_path / "file.bin", sha256(CONTENT), pause=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_another_file_than_the_published_one_is_not_kept(server, tmp_path):
    with pytest.raises(DataError, match="is another file than the published one"):
        download(f"{server.url}/file.bin", tmp_path / "file.bin", sha256(b"other"), pause=0)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_had_says_so(server, tmp_path):
    with pytest.raises(DataError, match=r"cannot be fetched \(404"):
        download(f"{server.url}/none", tmp_path / "none", sha256(b""), pause=0)
    with pytest.raises(DataError, match="only http and https"):
        download("file:///etc/hostname", tmp_path / "x", sha256(b""), pause=0)


def test_a_server_that_stays_silent_keeps_what_came(tmp_path):
    (tmp_path / "file.part").write_bytes(b"abc")
    with pytest.raises(DataError, match="what came is kept"):
        download("http://127.0.0.1:1/file", tmp_path / "file", sha256(b""), pause=0)
    assert (tmp_path / "file.part").read_bytes() == b"abc"


def test_the_name_that_git_gives_a_file_is_a_checksum(tmp_path):
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert matches(tmp_path / "hello", "git:ce013625030ba8dba906f756967f9e9ca394464a")


def archives():
    """A zip and a tar.gz with two files each."""
    packed, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("V1/dev.json", "{}")
        file.writestr("../evil", "no")
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        for name in ("t/train.json", "t/other.json"):
            member = tarfile.TarInfo(name)
            member.size = 2
            tar.addfile(member, io.BytesIO(b"[]"))
    return packed.getvalue(), tarred.getvalue()


def test_a_data_set_is_fetched_once_and_only_what_is_wanted(server, tmp_path, monkeypatch):
    monkeypatch.setenv("DESTILA_DATA", str(tmp_path))
    packed, tarred = archives()
    server.files |= {"/v1.zip": packed, "/t.tar.gz": tarred}
    place = PublishedData(
        "mine",
        "CC BY 4.0",
        (
            Source(f"{server.url}/v1.zip", sha256(packed), ("V1/dev.json",)),
            Source(f"{server.url}/t.tar.gz", sha256(tarred), ("t/train.json",)),
            Source(f"{server.url}/file.bin", sha256(CONTENT)),
        ),
    )
    monkeypatch.setattr(fetch, "PLACES", {"mine": place})
    monkeypatch.setattr(command, "PLACES", {"mine": place})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.bin").write_bytes(b"the user's own")

    result = command.run(command.Config(name="mine"))
    assert result["files"] == {
        "dev.json": "fetched",
        "train.json": "fetched",
        "file.bin": "here already",
    }
    here = {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    here.pop(".fetch.lock", None)
    assert here == {"dev.json": b"{}", "train.json": b"[]", "file.bin": b"the user's own"}

    server.asked.clear()
    assert set(fetch.fetch_dataset("mine").values()) == {"here already"}
    assert not server.asked


def test_what_is_not_fetched_says_how_it_can_be_had(monkeypatch):
    with pytest.raises(ConfigError, match="'mldoc' is not fetched: its text is licensed"):
        fetch.fetch_dataset("mldoc")
    with pytest.raises(ConfigError, match=r"no data set to fetch\. Did you mean 'xnli_es'"):
        fetch.fetch_dataset("xnli_e")
    monkeypatch.delenv("DESTILA_DATA", raising=False)
    with pytest.raises(ConfigError, match="set DESTILA_DATA"):
        fetch.fetch_dataset("xquad_es")


def test_every_place_has_checksums_and_names_of_files():
    for place in PLACES.values():
        assert place.licence
        for source in place.sources:
            kind, _, digest = source.checksum.partition(":")
            assert len(digest) == {"sha256": 64, "git": 40}[kind]
            assert source.url.startswith("https://")
    assert not set(PLACES) & set(NOT_FETCHED)
    assert PLACES["paws_x"].sources[0].files[0] == "translated_train.tsv"
