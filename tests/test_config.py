"""TOML to frozen models and back: what a user sees when a key, a type or a value is wrong."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import model_validator

from destila.config import (
    NAME_PATTERN,
    Options,
    build_config,
    fingerprint,
    key_values,
    load_config,
    opt,
    to_toml,
)
from destila.errors import ConfigError


class Layer(Options):
    name: str = opt(..., "its name")
    width: int = opt(8, "its width", ge=1)
    extra: dict[str, Any] = opt({}, "anything")


class Net(Options):
    title: str = opt("red", "a title")
    lr: float = opt(1.0, "a rate", gt=0)
    kind: Literal["a", "b"] = opt("a", "a or b")
    deep: bool = opt(True, "a switch")
    limit: int | None = opt(None, "none = no limit")
    sizes: tuple[int, ...] = opt((1, 2), "sizes")
    first: Layer = opt(Layer(name="uno"), "a table")
    layers: tuple[Layer, ...] = opt((), "a list of tables")


FULL = Net(
    title='una "red" \\ con ñ y 😀',
    lr=5e-5,
    kind="b",
    deep=False,
    limit=3,
    sizes=(),
    first=Layer(name="dos", extra={"a b": [1, 2.5, "x"], "c": {"d": True}}),
    layers=(Layer(name="x"), Layer(name="y", width=2)),
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text(
        'title = "uno"\n[first]\nname = "a"\n[[layers]]\nname = "x"\n[[layers]]\nname = "y"\n'
    )
    return path


@pytest.mark.parametrize("config", [Net(), FULL], ids=["defaults", "full"])
@pytest.mark.parametrize("help", [True, False])
def test_what_is_written_reads_back_equal(config, help, tmp_path):
    (tmp_path / "c.toml").write_text(to_toml(config, help=help), encoding="utf-8")
    assert load_config(Net, tmp_path / "c.toml") == config


@example("", 1e300, [1])
@example('\x7f\r\n\t"\\', 1e22, [])
@given(st.text(), st.floats(min_value=1e-300, allow_infinity=False), st.lists(st.integers(-9, 9)))
def test_any_string_number_or_list_survives_the_round_trip(tmp_path_factory, title, lr, sizes):
    config = Net(title=title, lr=lr, sizes=tuple(sizes))
    path = tmp_path_factory.mktemp("toml") / "c.toml"
    path.write_text(to_toml(config), encoding="utf-8", newline="")
    assert load_config(Net, path) == config


def test_every_field_is_written_with_its_help():
    """A field that is not set is written as a comment."""
    text = to_toml(Net())
    assert "lr = 1.0  # a rate" in text
    assert "# limit =  # none = no limit" in text
    assert "width" in text


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Net().lr = 2.0


def test_overrides_reach_tables_and_lists_by_index(file):
    found = load_config(
        Net, file, ["lr=1e-4", "first.width=5", "layers.1.width=7", "sizes=[4, 5]", "deep=false"]
    )
    assert (found.lr, found.first.width, found.sizes, found.deep) == (1e-4, 5, (4, 5), False)
    assert [layer.width for layer in found.layers] == [8, 7]


def test_an_override_replaces_a_whole_item_of_a_list(file):
    assert load_config(Net, file, ['layers.0={name = "z", width = 3}']).layers[0] == Layer(
        name="z", width=3
    )


def test_an_override_creates_the_table_it_needs():
    assert build_config(Net, {}, ["first.name=nueva"]).first.name == "nueva"


def test_a_bare_word_is_a_string(file):
    assert load_config(Net, file, ["title=conll2002"]).title == "conll2002"


@pytest.mark.parametrize(
    "override", ["lr", "=3", "layers.2.width=1", "layers.x.width=1", "title.x=1", "layers.9=1"]
)
def test_an_override_that_leads_nowhere_names_itself(file, override):
    with pytest.raises(ConfigError, match="--set "):
        load_config(Net, file, [override])


def test_an_unknown_key_offers_the_nearest_one():
    with pytest.raises(ConfigError, match=r"unknown key 'titel'\. Did you mean 'title'\?"):
        build_config(Net, {"titel": "x"})


def test_an_unknown_key_in_a_list_of_tables_is_refused():
    """The error names the path of the key and the nearest key."""
    with pytest.raises(
        ConfigError, match=r"unknown key 'layers\.1\.widht'\. Did you mean 'width'\?"
    ):
        build_config(Net, {"layers": [{"name": "x"}, {"name": "y", "widht": 3}]})


class Pair(Options):
    low: int = opt(0, "the smaller one")
    high: int = opt(9, "the larger one")

    @model_validator(mode="after")
    def _in_order(self):
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def test_an_error_about_a_whole_file_is_short():
    """What is wrong with a file as a whole is said without repeating the file."""
    with pytest.raises(ConfigError, match=r"pair\.toml: low is above high$"):
        build_config(Pair, {"low": 10}, where="pair.toml")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"lr": "rápido"}, "'lr' = 'rápido'"),
        ({"lr": -1}, "'lr' = -1"),
        ({"kind": "c"}, "'kind' = 'c'"),
        ({"first": {"name": "a", "width": "ancho"}}, "'first.width' = 'ancho'"),
        ({"layers": [{"name": "a", "width": 0}]}, "'layers.0.width' = 0"),
        ({"layers": [{}]}, "'layers.0.name' is required"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(data, said):
    with pytest.raises(ConfigError) as caught:
        build_config(Net, data, where="r.toml")
    assert str(caught.value).startswith("r.toml: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_and_a_broken_one_say_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="destila init"):
        load_config(Net, tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("title = \n")
    with pytest.raises(ConfigError, match=r"bad\.toml is not valid TOML"):
        load_config(Net, tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes('title = "año"'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"is not UTF-8: byte 10 .*iconv"):
        load_config(Net, tmp_path / "latin.toml")


def test_overriding_does_not_change_the_callers_table():
    data = {"first": {"name": "a"}}
    build_config(Net, data, ["first.name=b"])
    assert data == {"first": {"name": "a"}}


def test_a_fingerprint_ignores_the_order_of_keys():
    """It is a known one, so that caches of earlier versions are still valid."""
    assert (
        fingerprint({"b": 1, "a": ["ñ", None]})
        == fingerprint({"a": ["ñ", None], "b": 1})
        == "b4baeb9f8026150d"
    )
    assert fingerprint(FULL) == fingerprint(FULL.model_dump())


@pytest.mark.parametrize(
    "other", [FULL.model_copy(update={"lr": 5.1e-5}), FULL.model_copy(update={"sizes": (1,)})]
)
def test_another_value_has_another_fingerprint(other):
    assert fingerprint(other) != fingerprint(FULL)


def test_a_file_extends_another(file):
    above = file.parent / "deeper" / "above.toml"
    above.parent.mkdir()
    above.write_text(
        'extends = "../net.toml"\nlr = 2.0\n[first]\nwidth = 3\n[[layers]]\nname = "z"\n'
    )
    found = load_config(Net, above, ["first.extra.a=1"])
    assert found.title == "uno"
    assert found.lr == 2.0
    assert found.first == Layer(name="a", width=3, extra={"a": 1}), "tables are merged key by key"
    assert found.layers == (Layer(name="z"),), "a list of tables is replaced"
    (file.parent / "one.toml").write_text('[first]\nname = "x"\n[first.extra]\nuse = "a"\nb = 1')
    (file.parent / "two.toml").write_text('extends = "one.toml"\n[first.extra]\nuse = "z"')
    assert load_config(Net, file.parent / "two.toml").first.extra == {"use": "z"}, (
        "options of another plug-in are left out"
    )
    (file.parent / "top.toml").write_text('extends = "deeper/above.toml"\ntitle = "dos"\n')
    assert load_config(Net, file.parent / "top.toml") == load_config(Net, above, ["title=dos"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('extends = "nada.toml"', "no recipe at .*nada.toml, which .*a.toml extends"),
        ('extends = "a.toml"', "a.toml extends itself"),
        ('extends = "b.toml"', "a.toml extends itself, by way of .*a.toml, .*b.toml"),
        ("extends = 3", "a.toml: key 'extends' = 3"),
        ('extends = "broken.toml"', "broken.toml is not valid TOML"),
    ],
)
def test_what_cannot_be_extended_is_said(text, said, tmp_path):
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text('extends = "a.toml"')
    (tmp_path / "broken.toml").write_text("title = ")
    with pytest.raises(ConfigError, match=said):
        load_config(Net, tmp_path / "a.toml")


def test_a_later_option_renames_no_result_at_its_default():
    class Older(Options):
        rate: float = opt(1.0, "a rate")
        layers: tuple[Layer, ...] = opt((Layer(name="x"),), "tables")

    class LaterLayer(Layer):
        depth: int = opt(2, "a depth", later=True)

    class Newer(Older):
        head_rate: float | None = opt(None, "another rate", later=True)
        layers: tuple[LaterLayer, ...] = opt((LaterLayer(name="x"),), "tables")

    older = fingerprint(key_values(Older()))
    assert older == fingerprint(Older()) == fingerprint(key_values(Newer()))
    assert fingerprint(key_values(Newer(head_rate=2.0))) != older
    assert fingerprint(key_values(Newer(layers=(LaterLayer(name="x", depth=3),)))) != older
    assert "head_rate" not in key_values(Newer())
    assert "rate" not in key_values(Newer(), exclude={"rate"})


def test_only_the_named_recipe_and_its_folder_bring_code(tmp_path):
    """A recipe from elsewhere that another one extends may not name a plug-in by its path."""
    (tmp_path / "own").mkdir()
    (tmp_path / "elsewhere.toml").write_text('title = "x"\nparts = [{use = "./malo.py"}]\n')
    (tmp_path / "own" / "beside.toml").write_text('title = "x"\nparts = [{use = "./mine.py"}]\n')
    for name in ("elsewhere", "beside"):
        path = "../elsewhere" if name == "elsewhere" else name
        (tmp_path / "own" / f"{name}-r.toml").write_text(f'extends = "{path}.toml"\n')
    with pytest.raises(ConfigError, match=r"elsewhere\.toml, which .* runs code of its own"):
        load_config(Net, tmp_path / "own" / "elsewhere-r.toml")
    with pytest.raises(ConfigError, match="unknown key 'parts'"):
        load_config(Net, tmp_path / "own" / "beside-r.toml")


@pytest.mark.parametrize("name", ["../x", "", "a/b", "..", ".a", "a\0", "a\n", "x" * 101, "a "])
def test_a_name_of_a_folder_is_one(name):
    class Named(Options):
        name: str = opt(..., "of a folder", pattern=NAME_PATTERN)

    with pytest.raises(ConfigError, match="becomes the name of a folder"):
        build_config(Named, {"name": name})
    assert build_config(Named, {"name": "reseñas 2.0-b"}).name


def test_a_number_is_finite():
    class Rate(Options):
        lr: float = opt(1.0, "rate", gt=0)

    with pytest.raises(ConfigError, match="lr"):
        build_config(Rate, {"lr": float("inf")})


def test_a_recipe_of_another_command_is_named_as_such(tmp_path):
    from destila.pretraining.pretrain_recipe import PretrainRecipe
    from destila.study.planning.recipe import Recipe

    path = tmp_path / "r.toml"
    path.write_text('name = "x"\ndata = {use = "demo_intents"}\n[train]\nepochs = 3\n')
    with pytest.raises(ConfigError, match=r"r.toml is a recipe of 'destila run'"):
        load_config(PretrainRecipe, path)
    path.write_text('name = "x"\ncorpora = {es = "c"}\n')
    with pytest.raises(ConfigError, match=r"r.toml is a recipe of 'destila pretrain'"):
        load_config(Recipe, path)
