"""Plug-ins are files: those of a room by name, a user's own by path."""

from __future__ import annotations

import pytest

from destila import plugins
from destila.errors import ConfigError


def test_a_room_lists_its_public_files():
    names = plugins.names("losses")
    assert names == sorted(names)
    assert {"hard", "kl"} <= set(names)
    assert not [name for name in names if name.startswith("_")]


def test_a_shipped_plug_in_is_found_by_its_file_name():
    assert plugins.find("losses", "kl", "Options", "build").__name__ == "destila.losses.kl"


def test_a_misspelt_name_offers_the_nearest_one():
    with pytest.raises(
        ConfigError, match=r"no datasets plug-in is called 'conll2003'\. Did you mean 'conll2002'\?"
    ):
        plugins.find("datasets", "conll2003")


def test_a_path_is_the_users_own_file(tmp_path):
    (tmp_path / "mine.py").write_text("from __future__ import annotations\nTASK = 'classify'\n")
    assert plugins.find("datasets", str(tmp_path / "mine.py"), "TASK").TASK == "classify"


def test_a_file_of_ones_own_may_define_dataclasses_and_options(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from destila.config import Options, opt\n"
        "@dataclass(frozen=True)\nclass Row:\n    text: str\n    next: Row | None = None\n"
        "class Options(Options):\n    rows: tuple[int, ...] = opt((), 'x')\n"
    )
    module = plugins.find("datasets", str(tmp_path / "mine.py"), "Options", "Row")
    assert module.Options(rows=(1,)).rows == (1,)


def test_two_files_of_one_name_stay_apart(tmp_path):
    for n in (1, 2):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "mine.py").write_text(f"N = {n}\n")
    assert [plugins.find("losses", str(tmp_path / str(n) / "mine.py"), "N").N for n in (1, 2)] == [
        1,
        2,
    ]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no plug-in file at .*none\.py"):
        plugins.find("losses", str(tmp_path / "none.py"))


def test_a_plug_in_that_lacks_a_name_says_which(tmp_path):
    (tmp_path / "half.py").write_text("class Options: ...\n")
    with pytest.raises(ConfigError, match="does not define build"):
        plugins.find("losses", str(tmp_path / "half.py"), "Options", "build")


def test_a_file_with_a_syntax_error_is_the_users_error(tmp_path):
    (tmp_path / "broken.py").write_text("def build(:\n")
    with pytest.raises(ConfigError, match=r"broken\.py.*line 1"):
        plugins.find("losses", str(tmp_path / "broken.py"))


def test_nothing_close_lists_what_exists():
    assert plugins.nearest("zzzz", ["hard", "kl"]) == " Known: hard, kl."


def test_a_plug_in_is_run_aloud_and_its_fault_has_a_line(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(plugins.NAMED, "")
    (tmp_path / "mine.py").write_text("x = 1\n\nraise OSError('no tape')\n")
    with pytest.raises(ConfigError, match=r"mine\.py, line 3: OSError: no tape"):
        plugins.find("losses", str(tmp_path / "mine.py"))
    assert "running the code of" in caplog.text
    assert plugins.is_named(tmp_path / "mine.py")
    assert not plugins.is_named(tmp_path / "other.py")


def test_a_later_fault_of_a_plug_in_names_it_too(tmp_path):
    (tmp_path / "mine.py").write_text("def build():\n    return {}['a']\n")
    module = plugins.find("losses", str(tmp_path / "mine.py"))
    with pytest.raises(ConfigError, match=r"mine\.py, line 2: KeyError"), plugins.PlugInFaults():
        module.build()
    with pytest.raises(KeyError), plugins.PlugInFaults():
        {}["b"]
