"""Where published files are looked for, and names of data sets."""

from __future__ import annotations

import pytest

from destila import datasets, plugins
from destila.datasets._files import find_folder, need_file
from destila.errors import ConfigError, DataError


def test_without_root_or_environment_the_remedy_is_named(monkeypatch):
    monkeypatch.delenv("DESTILA_DATA", raising=False)
    with pytest.raises(DataError, match=r"set data\.root or DESTILA_DATA; the files come from X"):
        find_folder(None, "x_es", "X")


def test_the_environment_names_the_parent_folder(monkeypatch, tmp_path):
    (tmp_path / "x_es").mkdir()
    monkeypatch.setenv("DESTILA_DATA", str(tmp_path))
    assert find_folder(None, "x_es", "X") == tmp_path / "x_es"
    with pytest.raises(DataError, match=r"no folder .*y_es: put the files from Y there"):
        find_folder(None, "y_es", "Y")


def test_a_packed_file_stands_for_a_plain_one(tmp_path):
    (tmp_path / "a.tsv.gz").touch()
    assert need_file(tmp_path, "b.tsv", "a.tsv") == tmp_path / "a.tsv.gz"


def test_a_hub_repository_is_read_from_the_local_cache(monkeypatch, tmp_path):
    """No network is needed."""
    constants = pytest.importorskip("huggingface_hub.constants")
    commit = "0" * 40
    repository = tmp_path / "datasets--ana--conll"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    for name in ("esp.train", "esp.testa", "esp.testb"):
        (folder / name).write_text("Ana B-PER\n")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    data = datasets.load({"use": "conll2002", "root": "hub:ana/conll"})
    assert data.splits["test"][0].text == "Ana"
    with pytest.raises(DataError, match="'ana/nada' cannot be had from the hub"):
        datasets.load({"use": "conll2002", "root": "hub:ana/nada"})


def test_every_data_set_says_where_it_comes_from():
    """It also says what is known about it."""
    names = plugins.names("datasets")
    assert len(names) >= 12
    for name in names:
        module = plugins.find("datasets", name, "TASK", "LABELS", "Options", "load")
        assert all(word in (module.__doc__ or "") for word in ("source:", "licence:", "notes:")), (
            name
        )
        assert all(field.description for field in module.Options.model_fields.values()), name


def test_an_unknown_data_set_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'conll2002'"):
        datasets.load({"use": "conl2002"})


def test_a_recipe_without_a_data_set_lists_them():
    with pytest.raises(ConfigError, match=r"data\.use is missing.*xnli_es"):
        datasets.load({"root": "x"})
