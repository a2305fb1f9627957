"""Child processes import the library, never a file of the folder that the user works in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from destila import children
from destila.corpus import workers

TRAP = "open('/dev/null'); raise SystemExit('the working folder was imported')\n"


@pytest.fixture
def trapped(tmp_path, monkeypatch):
    """A working folder with files named like modules of the library."""
    for name in ("random", "json", "socket", "pickle"):
        (tmp_path / f"{name}.py").write_text(TRAP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_command_of_ours_does_not_import_from_there(trapped):
    code = "import json, random, socket, pickle; print(1)"
    unsafe = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "the working folder was imported" in unsafe.stderr
    safe = subprocess.run(children.python("-c", code), capture_output=True, text=True)
    assert (safe.stdout, safe.stderr) == ("1\n", "")


def test_every_python_in_the_block_is_safe(trapped):
    command = [sys.executable, "-c", "import random; print(1)"]
    with children.safe_path():
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert "imported" in subprocess.run(command, capture_output=True, text=True).stderr


def test_a_worker_of_a_corpus_is_safe(trapped, bpe):
    """Two workers make a chunk, and none of them meets what lies beside the text."""
    from destila.corpus.chunks import ChunkOptions

    bpe.save(trapped / "tok")
    (trapped / "t.txt").write_text("El niño come pan con queso en la cocina.\n" * 5)
    source = workers.TextSource(trapped / "t.txt", trapped / "chunks", "text", 10_000, 10_000)
    source.folder.mkdir()
    made = workers.make_chunks(
        [source], str(trapped / "tok"), ChunkOptions(), workers=2, progress=lambda *_: None
    )
    assert [path.name for path in made] == ["000000.npz"]
