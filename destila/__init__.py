"""destila: from labelled Spanish text and a big teacher to a small, fast, measured encoder."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from destila.errors import (
    CacheError,
    ConfigError,
    DataError,
    DestilaError,
    MissingExtraError,
    ModelError,
    TokenizerError,
    TrainingError,
)
from destila.version import __version__

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from destila.objects.finished_model import FinishedModel
    from destila.objects.finished_study import FinishedStudy
    from destila.study.planning.recipe import Recipe

__all__ = [
    "CacheError",
    "ConfigError",
    "DataError",
    "DestilaError",
    "MissingExtraError",
    "ModelError",
    "Recipe",
    "TokenizerError",
    "TrainingError",
    "__version__",
    "distil",
    "export",
    "load",
    "measure",
    "run",
]


def load(folder: str | Path, *, threads: int | None = None) -> FinishedModel:
    """Return the model in a folder, ready to label: `load("best").predict("Vivo en Sevilla.")`.

    A folder of `destila export` runs in onnxruntime or OpenVINO, without torch; one with weights
    runs in torch.

    Args:
        folder: with a task head and label names.
        threads: of an exported model; None: as many as this process may keep busy.

    Raises:
        ModelError: the folder has no task head with label names, or is damaged.
    """
    from destila.objects.finished_model import (
        FinishedModel,
    )  # loads onnxruntime or torch: only when needed

    return FinishedModel(folder, threads=threads)


def distil(
    data: Any,
    *,
    teacher: str | Path | None = None,
    text: str | None = None,
    label: str | None = None,
    pair: str | None = None,
    metric: str | None = None,
    size: str | None = None,
    out: str | Path = "runs",
    name: str | None = None,
    quiet: bool = False,
) -> FinishedStudy:
    """Distil students from labelled data: `distil("reviews.csv", teacher="my-teacher").table`.

    Args:
        data: CSV, TSV, Excel, JSON, column, CoNLL-U or SQuAD file; or a list of dicts, a frame of
            pandas or polars, a Dataset.
        teacher: folder or hub name, or a file of labels that somebody else made; None: a teacher
            is trained from scratch.
        text: column of the text; None: it is detected.
        label: column of the label; None: it is detected.
        pair: column of the second text; None: it is detected.
        metric: score that chooses models; None: the task's.
        size: "fast", "balanced" or "careful": one student, of a quarter, a third or half of the
            teacher's layers; None: all three.
        out: folder of studies.
        name: of the study; None: the file's, or one that depends on the rows.
        quiet: no progress.

    Raises:
        DataError: the data cannot be read as examples.
    """
    from destila.objects.finished_study import distil_data

    choices = {
        "text": text,
        "label": label,
        "pair": pair,
        "metric": metric,
        "size": size,
        "name": name,
    }
    source = None if teacher is None else str(teacher)
    return distil_data(data, teacher=source, choices=choices, out=out, quiet=quiet)


def run(recipe: Recipe | str | Path, *, quiet: bool = False) -> FinishedStudy:
    """Run the study of a recipe, or of a recipe's file, and return its table and records."""
    from destila.objects.finished_study import run_whole
    from destila.study.planning.recipe import Recipe, read_recipe

    chosen = recipe if isinstance(recipe, Recipe) else read_recipe(str(recipe))
    return run_whole(chosen, quiet=quiet)


def export(model: str | Path, **options: Any) -> dict[str, Any]:
    """Write a model as a folder that runs without torch; options are those of `destila export`."""
    return _command("export", model=str(model), **options)


def measure(*models: str | Path, **options: Any) -> dict[str, Any]:
    """Measure what models cost on this machine; options are those of `destila measure`."""
    return _command("measure", models=tuple(map(str, models)), **options)


def _command(name: str, **options: Any) -> dict[str, Any]:
    """Run a command from Python and return its result."""
    from destila.config import build_config

    command = importlib.import_module(f"destila.commands.{name}")
    result: dict[str, Any] = command.run(build_config(command.Config, options, where=name))
    return result


def __getattr__(name: str) -> Any:
    """Import `Recipe` on its first use: it needs pydantic, which labelling does without."""
    if name == "Recipe":
        from destila.study.planning.recipe import Recipe

        return Recipe
    raise AttributeError(f"module 'destila' has no attribute '{name}'")
