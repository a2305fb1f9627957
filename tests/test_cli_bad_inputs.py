"""Every bad input of the table: its exit code, one message that names the place, and nothing written."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest

from destila import cli
from tests.fixtures.bad_commands import command_rows
from tests.fixtures.bad_inputs import Row, model_rows
from tests.fixtures.bad_recipes import data_rows, recipe_rows, record_rows, usage_rows

TABLE: list[Row] = [
    *model_rows(),
    *recipe_rows(),
    *data_rows(),
    *record_rows(),
    *usage_rows(),
    *command_rows(),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory, bpe) -> Path:
    """A tagger of one layer in a folder, which every row gets a copy of."""
    from destila.models import hf, store

    folder = tmp_path_factory.mktemp("model") / "M"
    shape = {"kind": "bert", "layers": 1, "hidden": 16, "positions": 64}
    loaded = hf.load(shape, tokenizer=bpe, task="tag", labels=("a", "b"), seed=1)
    store.save_model(loaded.model, bpe, folder)
    return folder


@pytest.fixture(scope="module")
def exported(model) -> Path:
    """The same as `destila export` writes it."""
    from destila.commands.export import Config, run

    folder = model.parent / "E"
    run(Config(model=str(model), out=str(folder)))
    return folder


def test_the_table_has_three_hundred_rows():
    assert len(TABLE) >= 300
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_bad_input_is_one_message(row, model, tmp_path, monkeypatch, capsys, request):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path.parent / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("DESTILA_MODELS", raising=False)
    shutil.copytree(model, tmp_path / "M")
    if any(word.split("=")[-1] == "E" for word in row.arguments):
        shutil.copytree(request.getfixturevalue("exported"), tmp_path / "E")
    (tmp_path / "texts.txt").write_text("El niño come.\n", encoding="utf-8")
    (tmp_path / "t.txt").write_text("El niño come pan.\n" * 9, encoding="utf-8")
    row.prepare(tmp_path)
    before = _contents(tmp_path)

    monkeypatch.setattr(sys, "argv", ["destila", *row.arguments])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()

    assert (end.value.code, "Traceback" in err + out) == (row.code, False), err
    if row.code == 1:
        messages = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(messages) == 1
        assert row.place in messages[0]
        assert len(messages[0]) < 1500
    assert not set(err + out) & {"\x1b", "\x07", "\x00"}
    after = _contents(tmp_path)
    if row.arguments[0] == "corpus":  # the same command goes on in its folder
        after = {path: data for path, data in after.items() if path.split("/")[0] != "x"}
    assert after == before


def _contents(folder: Path) -> dict[str, bytes | None]:
    """Return what lies below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
