"""Labels in columns of 0 and 1: seen, said, trained as several labels or as one, and scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from destila.commands import data, evaluate, init
from destila.datasets import load
from destila.errors import DataError

SETS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 0, 0), (0, 1, 1)]


def _table(tmp_path, sets, header="texto,comida,viaje,precio"):
    lines = [
        f"Un mensaje largo número {n}," + ",".join(map(str, sets[n % len(sets)])) for n in range(60)
    ]
    path = tmp_path / "opiniones.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


def _init(tmp_path, path, **choices):
    return init.run(init.Config(data=path, out=str(tmp_path / f"{len(choices)}.toml"), **choices))


def test_three_columns_are_several_labels(tmp_path):
    result = _init(tmp_path, _table(tmp_path, SETS))
    assert (result["task"], result["labels"]) == ("multilabel", ["comida", "precio", "viaje"])
    assert result["columns"]["label"] == "comida,viaje,precio"
    assert result["remarks"][0] == (
        "columns 'comida', 'viaje', 'precio' hold 0 and 1: each is a label, of which any number "
        "applies to a row; for one of them alone: --label 'comida'"
    )
    assert sum(result["rows"].values()) == 60  # a row of zeros is an example without any label
    shown = data.show(data.run(data.Config(recipe=result["path"])))
    assert "no text occurs with others too" in shown["sections"][1]["lines"][0]


def test_one_of_them_in_every_row_is_a_class(tmp_path):
    result = _init(tmp_path, _table(tmp_path, SETS[:3]))
    assert (result["task"], result["labels"]) == ("classify", ["comida", "precio", "viaje"])
    assert "the one that holds 1 is the label of the row" in result["remarks"][0]


def test_a_user_names_them_or_one_alone(tmp_path):
    path = _table(tmp_path, SETS)
    assert _init(tmp_path, path, label="comida")["labels"] == ["0", "1"]
    two = _init(tmp_path, path, label="comida, viaje", name="dos")
    assert (two["task"], two["labels"]) == ("multilabel", ["comida", "viaje"])
    with pytest.raises(DataError, match=r"no column 'viaj'. Did you mean 'viaje'"):
        _init(tmp_path, path, label="comida,viaj")


def test_two_columns_and_a_named_label_are_left_alone(tmp_path):
    two = [pair[:2] for pair in SETS]
    path = _table(tmp_path, two, "texto,ofensivo,leído")
    assert _init(tmp_path, path)["task"] == "classify"
    named = [("ab"[n % 2], *ones) for n, ones in enumerate(SETS)]
    path = _table(tmp_path, named, "texto,etiqueta,comida,viaje,precio")
    assert _init(tmp_path, path, name="b")["labels"] == ["a", "b"]


@pytest.mark.parametrize(
    ("cells", "separator", "message"),
    [
        ("1,2,0", None, r"line 62: column 'viaje' holds '2': columns of labels hold 1"),
        ("1,1,0", "", r"line 62: 2 labels apply \(comida, viaje\), and the data have one a row"),
        ("0,0,0", "", r"line 62: 0 labels apply \(none\)"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, cells, separator, message):
    path = _table(tmp_path, SETS[:3])
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"Otro más,{cells}\n")
    options = {"use": "table", "train": path, "label": "comida,viaje,precio"}
    with pytest.raises(DataError, match=message):
        load({**options, "label_separator": separator})


def test_an_empty_cell_is_no_label(tmp_path):
    path = _table(tmp_path, SETS)
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("Otro más,1,,0\n")
    loaded = load({"use": "table", "train": path, "label": "comida,viaje,precio"})
    assert loaded.notes["train rows without label, dropped"] == 1


@pytest.mark.parametrize(("task", "sets"), [("multilabel", SETS), ("classify", SETS[:3])])
def test_a_new_file_is_scored(tmp_path, untrained, fast_testing, task, sets):
    model = untrained(task, ("comida", "precio", "viaje"))
    facts = json.loads((model / "destila.json").read_text())
    facts["columns"] = {"text": "texto", "label": "comida,viaje,precio"}
    (model / "destila.json").write_text(json.dumps(facts))
    result = evaluate.run(evaluate.Config(recipe=str(model), file=_table(tmp_path, sets)))
    assert (result["task"], len(result["items"])) == (task, 60)
