"""Every shipped recipe loads, and every plug-in and option that it names exists."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from destila import config, plugins
from destila.corpus.build_corpus import read_corpus_options
from destila.matrix import matrix
from destila.pretraining import pretrain_recipe
from destila.report import reference
from destila.study.planning import recipe

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES: list[Path] = []
CORPORA: list[Path] = []
PRETRAININGS: list[Path] = []
MATRICES: list[Path] = []


def tables(path: Path) -> dict[str, Any]:
    """Return the tables of a recipe with those of the recipes that it extends."""
    own = tomllib.loads(path.read_text(encoding="utf-8"))
    return (tables(path.parent / own["extends"]) if "extends" in own else {}) | own


for recipe_path in sorted(FOLDER.rglob("*.toml")):
    keys = tables(recipe_path).keys()
    kinds = {"matrix": MATRICES, "students": RECIPES, "corpora": PRETRAININGS}
    next((kinds[key] for key in kinds if key in keys), CORPORA).append(recipe_path)


def test_there_are_recipes_to_check() -> None:
    assert {"demo-intents", "demo-tags"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_loads(path: Path) -> None:
    loaded = recipe.read_recipe(str(path))
    assert loaded.name == path.stem, "the study's folder is named after its recipe"
    data = plugins.find("datasets", loaded.data["use"], "TASK", "load", "Options")
    config.build_config(
        data.Options, {k: v for k, v in loaded.data.items() if k != "use"}, where="data"
    )
    assert loaded.options(loaded.distil.train).epochs
    for model in (*loaded.teachers, *loaded.students):
        assert loaded.options(model.train).epochs


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_losses_of_a_shipped_recipe_exist(path: Path) -> None:
    terms = recipe.read_recipe(str(path)).distil.terms
    assert terms
    for term in terms:
        module = plugins.find("losses", term["use"], "Options", "build")
        own = {k: v for k, v in term.items() if k not in ("use", "weight")}
        config.build_config(module.Options, own, where="distil.terms")


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_a_recipe_of_a_corpus_loads(path: Path) -> None:
    assert read_corpus_options([str(path)]).files


@pytest.mark.parametrize("path", PRETRAININGS, ids=lambda path: path.stem)
def test_a_recipe_of_a_pre_training_loads(path: Path) -> None:
    assert pretrain_recipe.read_pretrain_recipe(str(path)).name == path.stem
    for _, loaded in pretrain_recipe.variants(str(path)):
        for term in loaded.terms:
            module = plugins.find("losses", term["use"], "Options", "build")
            own = {k: v for k, v in term.items() if k not in ("use", "weight")}
            config.build_config(module.Options, own, where="terms")


@pytest.mark.parametrize("path", MATRICES, ids=lambda path: path.stem)
def test_every_cell_of_a_shipped_matrix_is_a_recipe(path: Path) -> None:
    table = matrix.read_matrix(str(path))
    assert table.name == path.stem
    assert table.published in reference.published_tables()
    cells = matrix.cells_of(table)
    assert cells
    for cell in cells:
        data = plugins.find("datasets", cell.recipe.data["use"], "TASK", "load", "Options")
        own = {key: value for key, value in cell.recipe.data.items() if key != "use"}
        config.build_config(data.Options, own, where=cell.name)
        assert cell.recipe.options(cell.recipe.students[0].train).epochs
        for term in cell.recipe.distil.terms:
            module = plugins.find("losses", term["use"], "Options", "build")
            options = {k: v for k, v in term.items() if k not in ("use", "weight")}
            config.build_config(module.Options, options, where="distil.terms")


@pytest.mark.parametrize(
    "path", [*RECIPES, *CORPORA, *PRETRAININGS, *MATRICES], ids=lambda path: path.stem
)
def test_a_shipped_recipe_opens_with_what_it_is(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
