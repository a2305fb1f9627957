"""Files of lines that survive a kill: nothing twice, nothing lost, nothing mixed."""

from __future__ import annotations

import pytest

from destila.inference.resumable import Resumable, identity


def killed_after(lines):
    yield from lines
    raise KeyboardInterrupt


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Resumable(tmp_path / "x.jsonl", "k").write(killed_after(["a", "b"]))
    assert "x.jsonl" not in names(tmp_path)
    file = Resumable(tmp_path / "x.jsonl", "k")
    assert file.done == 2
    assert file.write(["c"]) == 3
    assert names(tmp_path) == ["x.jsonl"]
    assert (tmp_path / "x.jsonl").read_text() == "a\nb\nc\n"


@pytest.mark.parametrize(("left", "kept"), [("a\nñandú", 1), ("a", 0), ("", 0), ("a\nb\n", 2)])
def test_half_a_line_is_written_again(tmp_path, left, kept):
    with pytest.raises(KeyboardInterrupt):
        Resumable(tmp_path / "x", "k").write(killed_after([]))
    (tmp_path / ".x.part").write_bytes(left.encode()[:-1] if left.endswith("ú") else left.encode())
    file = Resumable(tmp_path / "x", "k")
    assert file.done == kept
    file.write(["z"])
    assert (tmp_path / "x").read_text() == "".join(f"{c}\n" for c in "ab"[:kept]) + "z\n"


@pytest.mark.parametrize("key", ["other", None])
def test_lines_made_of_something_else_are_not_kept(tmp_path, key):
    with pytest.raises(KeyboardInterrupt):
        Resumable(tmp_path / "x", "k").write(killed_after(["a"]))
    assert Resumable(tmp_path / "x", key).done == 0


@pytest.mark.parametrize("marker", ["", "[]", "{", "\xff"])
def test_a_damaged_marker_starts_anew(tmp_path, marker):
    with pytest.raises(KeyboardInterrupt):
        Resumable(tmp_path / "x", "k").write(killed_after(["a"]))
    (tmp_path / ".x.part.json").write_bytes(marker.encode("latin-1"))
    assert Resumable(tmp_path / "x", "k").done == 0


def test_an_older_file_stays_until_the_new_one_is_complete(tmp_path):
    (tmp_path / "x").write_text("old\n")
    with pytest.raises(KeyboardInterrupt):
        Resumable(tmp_path / "x", None).write(killed_after(["a"]))
    assert (tmp_path / "x").read_text() == "old\n"


def test_a_changed_file_has_another_identity(tmp_path):
    (tmp_path / "x").write_text("uno")
    before = identity(tmp_path / "x")
    assert identity(tmp_path / "x") == before
    (tmp_path / "x").write_text("dos más")
    assert identity(tmp_path / "x") != before
