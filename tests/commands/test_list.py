from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from destila.commands import list as verb
from destila.config import build_config
from destila.errors import ConfigError
from destila.models.presets import PRESETS


def test_models_have_documented_keys_and_published_numbers():
    """The keys of a listed model are those that the docs name; its numbers are the published ones."""
    models = verb.run(verb.Config(what="models"))["models"]
    keys = ["name", "layers", "hidden", "parameters", "gmacs_linear_512", "gmacs_total_512"]
    assert all(list(model) == keys for model in models)
    assert [model["name"] for model in models] == list(PRESETS)
    tiny = models[0]
    assert (tiny["layers"], tiny["hidden"], tiny["parameters"]) == (4, 312, 5_345_075)
    assert tiny["gmacs_linear_512"] == pytest.approx(2.418245608, abs=1e-12)
    assert tiny["gmacs_total_512"] == pytest.approx(
        2.418245608 + 4 * 2 * 512 * 512 * 312 / 1e9, abs=1e-12
    )


@pytest.mark.parametrize("what", ["models", "datasets", "losses", "tasks", "recipes"])
def test_listing_imports_no_torch_and_is_json(what: str):
    code = f"import sys, json; from destila.commands import list as v; json.dumps(v.run(v.Config(what='{what}')))"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


def test_plug_ins_are_listed_with_what_they_are():
    """Other modules of their rooms are not listed."""
    losses = {
        entry["name"]: entry["about"] for entry in verb.run(verb.Config(what="losses"))["losses"]
    }
    assert {"kl", "hard"} <= set(losses)
    assert "mix" not in losses
    assert all(losses.values())
    assert {e["name"] for e in verb.run(verb.Config(what="tasks"))["tasks"]} >= {"classify", "tag"}
    assert "conll2002" in {e["name"] for e in verb.run(verb.Config(what="datasets"))["datasets"]}


def test_a_data_set_says_whether_its_files_are_here(tmp_path, monkeypatch):
    (tmp_path / "conll2002_es").mkdir()
    monkeypatch.setenv("DESTILA_DATA", str(tmp_path))
    files = {e["name"]: e["files"] for e in verb.run(verb.Config(what="datasets"))["datasets"]}
    assert files["conll2002"] == "here"
    assert files["paws_x"] == f"not here: {tmp_path / 'paws_x_es'}; destila fetch paws_x"
    assert (files["table"], files["demo_tags"]) == ("your file", "built in")


def test_recipes_are_listed_with_their_first_comment(tmp_path: Path, monkeypatch):
    """Those of the working folder are among them."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "zzz-mine.toml").write_text("# Lo mío.\nx = 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    recipes = {entry["name"]: entry for entry in verb.run(verb.Config(what="recipes"))["recipes"]}
    assert recipes["zzz-mine"]["about"] == "Lo mío."
    assert Path(recipes["zzz-mine"]["path"]).name == "zzz-mine.toml"


def test_a_recipe_that_is_not_toml_is_named(tmp_path: Path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "bad.toml").write_text("x = = 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"bad\.toml is not valid TOML"):
        verb.run(verb.Config(what="recipes"))


def test_the_cache_is_listed_with_sizes(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path))
    assert verb.run(verb.Config(what="cache"))["cache"] == []
    (tmp_path / "converted").mkdir()
    (tmp_path / "converted" / "x.safetensors").write_bytes(b"0" * 3_000_000)
    found = verb.run(verb.Config(what="cache"))
    assert found["cache"] == [{"folder": str(tmp_path / "converted"), "megabytes": 3.0}]
    assert found["megabytes"] == 3.0
    json.dumps(found)


def test_something_unknown_cannot_be_listed():
    with pytest.raises(ConfigError, match="what"):
        build_config(verb.Config, {"what": "modles"})


def test_a_recipe_says_which_command_it_is_for(tmp_path, monkeypatch):
    recipes = {
        "a-study": ('[[students]]\nname = "s"\n', "run"),
        "b-child": ('extends = "a-study.toml"\n', "run"),
        "c-raw": ('files = ["x.txt"]\n', "corpus"),
        "d-encoder": ('# Is it? Yes, and more.\n[[corpora]]\nfiles = ["x"]\n', "pretrain"),
    }
    (tmp_path / "recipes").mkdir()
    for name, (text, _) in recipes.items():
        (tmp_path / "recipes" / f"{name}.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    listed = verb.run(verb.Config(what="recipes"))
    named = {item["name"]: item for item in listed["recipes"]}
    assert {name: named[name]["command"] for name in recipes} == {
        name: command for name, (_, command) in recipes.items()
    }
    assert named["d-encoder"]["about"] == "Is it?"
    assert verb.show(listed)["next"].startswith("destila run ")
