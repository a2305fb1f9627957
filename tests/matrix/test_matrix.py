"""A matrix: what a cell's recipe is made of, which cells a pattern names, what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from destila.errors import ConfigError
from destila.matrix.matrix import cells_of, read_matrix
from destila.study.intake.recipe_list import is_matrix

TABLE = """
name = "table"
published = "slides-2023"

[recipe]
max_length = 64
[recipe.train]
epochs = 3
lr = 1e-4

[[teachers]]
name = "big"
model = "them/big-finetuned-{column}"

[datasets.pos]
title = "POS"
teachers = "pos"
data = { use = "ancora_pos" }
scores = ["chunk_f1"]
recipe = { train = { lr = 2e-4 } }
size = { train = 10, dev = 5, tokens = 20 }

[datasets.ner]
title = "NER"
teachers = "ner"
label_map = { LABEL_0 = "O" }
data = { use = "conll2002" }
scores = ["entity_f1"]
size = { train = 10, dev = 5, tokens = 20 }

[models.small]
student = { model = "albeto-tiny" }

[models.cut]
student = { model = "albeto-base", layers = 2 }

[[matrix]]
models = ["small", "cut"]
datasets = ["pos"]

[[matrix]]
models = ["cut"]
datasets = ["ner"]
recipe = { train = { lr = 3e-4 }, search = { space = { "train.epochs" = [1, 2] } } }

[cells."cut/pos".train]
lr = 4e-4
"""


@pytest.fixture
def path(tmp_path):
    """The file of the table above."""
    file = tmp_path / "table.toml"
    file.write_text(TABLE, encoding="utf-8")
    return str(file)


def cell(path, name, *changes):
    """The one cell of a name."""
    (found,) = cells_of(read_matrix(path), [name], changes)
    return found


def test_what_is_said_later_wins(path):
    rates = {c.name: c.recipe.train.lr for c in cells_of(read_matrix(path))}
    assert rates == {"small/pos": 2e-4, "cut/pos": 4e-4, "cut/ner": 3e-4}
    assert {c.recipe.train.epochs for c in cells_of(read_matrix(path))} == {3}
    assert cell(path, "cut/pos", "train.lr=5e-4").recipe.train.lr == 5e-4


def test_a_cell_is_an_ordinary_study_in_the_folder_of_the_table(path):
    found = cell(path, "small/pos", "results=kept")
    assert str(found.recipe.folder) == "runs/table/small--pos"
    assert str(found.path) == "runs/table/small--pos.toml"
    assert str(found.records_path) == "kept/table/small--pos.jsonl"
    assert str(cell(path, "cut/ner").records_path) == "runs/table/cut--ner-best/record.jsonl"


def test_the_teachers_of_a_column_are_named_after_it(path):
    (teacher,) = cell(path, "cut/ner").recipe.teachers
    assert (teacher.model, teacher.label_map) == ("them/big-finetuned-ner", {"LABEL_0": "O"})
    assert cell(path, "cut/ner").training == "distilled"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("*/pos", ["small/pos", "cut/pos"]), ("cut/*", ["cut/pos", "cut/ner"]), ("*", 3)],
)
def test_patterns_name_cells(path, pattern, names):
    found = [c.name for c in cells_of(read_matrix(path), [pattern])]
    assert found == names or len(found) == names


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('models = ["cut"]', 'models = ["cud"]', r"no 'cud' in \[models\]. Did you mean 'cut'"),
        ('datasets = ["ner"]', 'datasets = ["pos"]', "cell 'cut/pos' stands in two blocks"),
        ('"cut/pos"', '"cut/nér"', r"no 'cut/nér' in \[cells\]"),
    ],
)
def test_slips_are_told(path, tmp_path, old, new, error):
    (tmp_path / "wrong.toml").write_text(TABLE.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=error):
        read_matrix(str(tmp_path / "wrong.toml"))


def test_errors_of_a_recipe_name_the_cell(path):
    with pytest.raises(ConfigError, match=r"table, cell small/pos: key 'train\.lr'"):
        cells_of(read_matrix(path), changes=["train.lr=-1"])
    with pytest.raises(ConfigError, match=r"--only cut/por: table has no such cell\. Did you mean"):
        cells_of(read_matrix(path), ["cut/por"])


def test_other_recipes_are_no_matrix(path, tiny):
    assert is_matrix(path)
    assert not is_matrix(str(tiny()))
    assert not is_matrix("reviews.csv")


def test_the_table_of_the_guide_is_a_matrix(tmp_path):
    guide = Path(__file__).parents[2] / "docs" / "guide" / "published.md"
    fences = re.findall(r"```toml\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mine.toml").write_text(fences[-1], encoding="utf-8")
    (found,) = cells_of(read_matrix(str(tmp_path / "mine.toml")))
    assert found.recipe.search.space == {"train.lr": [2e-5, 5e-5]}
    assert found.recipe.seeds == (0, 1, 2)
