"""Columns of several labels a row: told from names with a comma, and read alike everywhere."""

from __future__ import annotations

import pytest

from destila.commands import evaluate, init
from destila.datasets.table import split_labels
from destila.study.intake.several_labels import find_separator


def _rows(cells):
    return [(n, {"texto": f"Un texto {n}", "etiqueta": cell}) for n, cell in enumerate(cells)]


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["a|b", "a", "b", "b|a"], "|"),
        (["a;b", "a", "b", "a; b"], ";"),
        (["envío, precio", "envío, trato", "precio, trato"], ","),
        (["['a', 'b']", "['a']", "['b', 'a']", "['b']"], ","),
        (["Valencia, España", "Lyon, Francia", "Madrid, España"], None),
        (["sí", "no", "sí", "no"], None),
        (["a|b", "c", "c", "c"], None),  # never apart, once: one name
        ([["a", "b"], ["a"]], None),  # a list needs none
    ],
)
def test_a_separator_is_one_where_parts_recur(cells, separator):
    assert find_separator(_rows(cells), "etiqueta") == separator


def test_a_list_as_python_writes_it_is_read():
    assert split_labels("['precio alto', \"envío\"]", ",") == ("envío", "precio alto")
    assert split_labels("[]", ",") == ()
    assert split_labels(" b | a ||", "|") == ("a", "b")


def _table(tmp_path, separator):
    sets = [["comida"], ["precio"], ["comida", "precio"], ["trato"], ["precio", "trato"]]
    lines = [f"Un mensaje largo número {n},{separator.join(sets[n % 5])}" for n in range(60)]
    path = tmp_path / "opiniones.csv"
    path.write_text("texto,etiquetas\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_it_is_proposed_said_and_can_be_refused(tmp_path):
    path, out = _table(tmp_path, "|"), str(tmp_path / "r.toml")
    result = init.run(init.Config(data=path, out=out))
    assert (result["task"], result["labels"]) == ("multilabel", ["comida", "precio", "trato"])
    assert "rows have several labels, parted by '|'" in result["remarks"][0]
    assert 'label_separator = "|"' in (tmp_path / "r.toml").read_text(encoding="utf-8")

    one = init.run(init.Config(data=path, label_separator="", out=str(tmp_path / "one.toml")))
    assert (one["task"], len(one["labels"])) == ("classify", 5)
    assert not any("several labels" in remark for remark in one["remarks"])


@pytest.mark.parametrize("separator", ["|", "; "])
def test_a_new_file_is_scored_whatever_parts_its_labels(
    separator, tmp_path, untrained, fast_testing
):
    model = str(untrained("multilabel", ("comida", "precio", "trato")))
    result = evaluate.run(evaluate.Config(recipe=model, file=_table(tmp_path, separator)))
    assert (result["main"], len(result["items"])) == ("micro_f1", 60)
