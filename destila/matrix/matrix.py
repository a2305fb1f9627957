"""A matrix: one TOML file whose cells, a model on a data set each, are ordinary recipes.

    [recipe]             what all cells share: any key of a recipe
    [datasets.xnli_es]   what one column changes
    [models.beto-cased]  what is one row: the table of a student
    [[matrix]]           which models on which data sets, and what a block of cells changes
    [cells."a/b"]        what one cell changes

A cell is called `model/dataset`. What is said later in this list wins over what is said earlier.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from destila import config
from destila.config import NAME_PATTERN, Options, opt
from destila.errors import ConfigError
from destila.plugins import nearest
from destila.study.planning.recipe import Recipe


class CellBlock(Options):
    """A rectangle of cells, and what they change."""

    models: tuple[str, ...] = opt(..., "names of [models]", min_length=1)
    datasets: tuple[str, ...] = opt(..., "names of [datasets]", min_length=1)
    recipe: dict[str, Any] = opt({}, "keys of the recipe that these cells change")


class Size(Options):
    """How large a data set is where its files are absent: for plans alone, never for a training."""

    train: int = opt(..., "examples that train", ge=1)
    dev: int = opt(..., "examples of dev", ge=1)
    tokens: int = opt(..., "tokens of a window, on average; an estimate", ge=1)
    windows: float = opt(1.0, "windows of an example, on average; an estimate", ge=1)


class MatrixColumn(Options):
    """A data set of a matrix."""

    data: dict[str, Any] = opt(..., "the [data] table of its cells")
    recipe: dict[str, Any] = opt({}, "further keys of the recipe that its cells change")
    teachers: str = opt("", "what {column} in the names of [[teachers]] becomes")
    label_map: dict[str, str] = opt({}, "label names of its teachers -> ours")
    published: str | None = opt(
        None, "data set of the published table; none = the one that is tested here"
    )
    scores: tuple[str, ...] = opt(..., "published scores, the main one first", min_length=1)
    title: str = opt(..., "heading of its column")
    size: Size = opt(..., "its size, for plans")


class MatrixRow(Options):
    """A model of a matrix: a student's table, and what else is known of it."""

    student: dict[str, Any] = opt(..., "the table of a student: model, layers, ...")
    published: str | None = opt(None, "model of the published table; none = its own name")
    missing: str = opt("", "why its weights cannot be had, and what to give instead")


class MatrixOptions(Options):
    """Everything about a published table: its rows, its columns and its cells."""

    name: str = opt(..., "name of the table; its folder is runs/<name>", pattern=NAME_PATTERN)
    published: str = opt(..., "published table that ours stands beside, e.g. slides-2023")
    mean: Literal["first", "all"] = opt(
        "first", "what of a column enters the mean of a row: its first score, or the mean of all"
    )
    deviations: tuple[str, ...] = opt((), "what is not as published, one line each")
    recipe: dict[str, Any] = opt({}, "keys of the recipe that all cells share")
    teachers: tuple[dict[str, Any], ...] = opt((), "teachers of every cell; see [datasets]")
    datasets: dict[str, MatrixColumn] = opt(..., "columns, by name")
    models: dict[str, MatrixRow] = opt(..., "rows, by name")
    matrix: tuple[CellBlock, ...] = opt(..., "blocks of cells", min_length=1)
    cells: dict[str, dict[str, Any]] = opt({}, "what single cells change, by model/dataset")

    @model_validator(mode="after")
    def _known(self) -> MatrixOptions:
        """Raise ValueError where a block or a cell names what is not there, or a cell twice."""
        names: list[str] = []
        for block in self.matrix:
            _check_known("models", block.models, self.models)
            _check_known("datasets", block.datasets, self.datasets)
            names += [f"{model}/{data}" for model in block.models for data in block.datasets]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"matrix: cell '{twice[0]}' stands in two blocks")
        _check_known("cells", self.cells, names)
        return self


def _check_known(table: str, named: Collection[str], known: Collection[str]) -> None:
    """Raise ValueError for a name that a table does not have."""
    for name in named:
        if name not in known:
            raise ValueError(f"no '{name}' in [{table}].{nearest(name, sorted(known))}")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model on one data set.

    Args:
        matrix: the table that it stands in.
        model: name of its row, e.g. "beto-cased".
        dataset: name of its column, e.g. "conll2002".
        recipe: its study.
    """

    matrix: MatrixOptions
    model: str
    dataset: str
    recipe: Recipe

    @property
    def name(self) -> str:
        """How it is called: `beto-cased/conll2002`."""
        return f"{self.model}/{self.dataset}"

    @property
    def training(self) -> str:
        """How its model is trained, as records and published tables say it."""
        return "distilled" if self.recipe.teachers else "finetuned"

    @property
    def row(self) -> MatrixRow:
        """Its model."""
        return self.matrix.models[self.model]

    @property
    def column(self) -> MatrixColumn:
        """Its data set."""
        return self.matrix.datasets[self.dataset]

    @property
    def path(self) -> Path:
        """The file that its recipe is written to before it runs."""
        return self.recipe.folder.with_name(f"{self.recipe.name}.toml")

    @property
    def records_path(self) -> Path:
        """The file of its records: of the study of the best trial, where it searches."""
        best = {"name": f"{self.recipe.name}-best"} if self.recipe.search else {}
        return self.recipe.model_copy(update=best).records_path


def read_matrix(path: str) -> MatrixOptions:
    """Read the matrix in a file.

    Raises:
        ConfigError: a key or a value is wrong, or a cell names what is not there.
    """
    return config.load_config(MatrixOptions, path)


def cells_of(
    matrix: MatrixOptions, only: Sequence[str] = (), changes: Sequence[str] = ()
) -> list[Cell]:
    """Return the cells of a matrix in its order, or those that a pattern names.

    Args:
        matrix: as `read_matrix` returns it.
        only: names or patterns (`*/xnli_es`, `beto-*/*`); () for all.
        changes: `key=value` of every recipe, as `--set` takes them.

    Raises:
        ConfigError: a pattern names no cell, or a recipe is wrong.
    """
    places = [
        (block, model, dataset)
        for block in matrix.matrix
        for model in block.models
        for dataset in block.datasets
    ]

    # A pattern that names nothing is a slip of the keyboard.
    names = [f"{model}/{dataset}" for _, model, dataset in places]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"--only {pattern}: {matrix.name} has no such cell.{nearest(pattern, names)}"
            )
    return [
        _cell(matrix, *place, changes)
        for place, name in zip(places, names, strict=True)
        if not only or any(fnmatchcase(name, pattern) for pattern in only)
    ]


def _cell(
    matrix: MatrixOptions, block: CellBlock, model: str, dataset: str, changes: Sequence[str]
) -> Cell:
    """Return a cell; in its recipe later tables are laid over earlier ones."""
    row, column = matrix.models[model], matrix.datasets[dataset]
    name = f"{model}/{dataset}"

    # The models, then what all cells, the column, the block and the cell itself say.
    tables: dict[str, Any] = {
        "name": name.replace("/", "--"),
        "data": column.data,
        "students": [{"name": model, **row.student}],
        "teachers": [_teacher(each, column) for each in matrix.teachers],
    }
    for table in (matrix.recipe, column.recipe, block.recipe, matrix.cells.get(name, {})):
        tables = config.merge_tables(tables, table)
    recipe = config.build_config(Recipe, tables, changes, where=f"{matrix.name}, cell {name}")

    # Its folder is in that of the matrix, and so are its records where they are kept apart.
    places = {"out": str(Path(recipe.out) / matrix.name)}
    if recipe.results:
        places["results"] = str(Path(recipe.results) / matrix.name)
    recipe = recipe.model_copy(update=places)
    return Cell(matrix=matrix, model=model, dataset=dataset, recipe=recipe)


def _teacher(table: dict[str, Any], column: MatrixColumn) -> dict[str, Any]:
    """Return the table of a teacher of a column: its name says what it was trained on."""
    named = dict(table)
    if "model" in table:
        named["model"] = table["model"].replace("{column}", column.teachers)
    return named | ({"label_map": column.label_map} if column.label_map else {})
