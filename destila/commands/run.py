"""Run a study: from labelled data and a teacher to measured students and a report.

A data file does for a recipe: `init` writes the recipe first. A matrix, such as a published table,
runs the study of each of its cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from destila.commands import init
from destila.commands._cards import study_card
from destila.config import RecipeOptions, opt
from destila.errors import ConfigError
from destila.progress import Progress, silent
from destila.study.intake.file_choices import FileChoices
from destila.study.intake.recipe_list import is_matrix

if TYPE_CHECKING:
    from destila.study.run import StudyResult

_OF_A_FILE = {*FileChoices.model_fields, "teacher", "out"}
"""What `init` is given where a data file takes the place of a recipe."""

PANEL = "A study"
RESUMES = True


class Config(RecipeOptions, FileChoices):
    """Which study, and how far; with a data file, what its recipe says."""

    recipe: str = opt(..., "recipe (TOML), or a data file")
    teacher: str | None = opt(
        None, "teacher, when a data file is given: folder, hub name or JSON lines of labels"
    )
    out: str | None = opt(None, "recipe to write for a data file; none = <name>.toml here")
    train_only: bool = opt(
        False, "train everything and leave tests and measurements for a quiet machine"
    )
    time_again: bool = opt(False, "time all models again, in turns, as after a busy machine")
    only: tuple[str, ...] = opt(
        (), "of a matrix: cells by name, e.g. beto-cased/conll2002 or '*/xnli_es'; () = all"
    )
    dry_run: bool = opt(
        False,
        "of a matrix: two steps of each cell with random weights and invented rows, and its plan",
    )
    cluster: str | None = opt(
        None, "Ray cluster on which teachers label: local, auto or HOST:PORT; none = here"
    )
    workers: int = opt(
        0, "of the cluster; 0 = one per GPU, else processor; of a dry run here", ge=0
    )
    gpu: str = opt("h100", "whose hours and memory a dry run tells: h100, a100, rtx-3090, ...")


def run(config: Config, progress: Progress = silent) -> StudyResult:
    """Run the study of a recipe, or those of a matrix, and return the report.

    Raises:
        ConfigError: the recipe is wrong, or names its own teachers and one is given.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.planning.recipe import read_recipe
    from destila.study.run import run_study

    if is_matrix(config.recipe):
        return _run_matrix(config, progress)
    if config.only or config.dry_run:
        option = "--only" if config.only else "--dry-run"
        raise ConfigError(f"{option} goes with a matrix, and {config.recipe} is none")

    # A data file gets a recipe first, which the user can read and change afterwards.
    path = config.recipe
    given = config.model_dump(include=_OF_A_FILE, exclude_none=True)
    if not path.endswith(".toml"):
        path = init.run(init.Config(data=path, **given))["path"]
    elif given:
        raise ConfigError(
            f"--{next(iter(given))} goes with a data file; {path} says it itself: change it there, "
            "or with --set"
        )

    return run_study(read_recipe(path, config.set), progress, **_manner(config))


def _manner(config: Config) -> dict[str, Any]:
    """Return how studies are run."""
    from destila.study.planning.labelling.cluster_labels import ClusterLabels

    cluster = None
    if config.cluster is not None:
        cluster = ClusterLabels(address=config.cluster, workers=config.workers)
    return {
        "tested": not config.train_only,
        "time_again": config.time_again,
        "cluster": cluster,
    }


def _run_matrix(config: Config, progress: Progress) -> StudyResult:
    """Run the cells of a matrix that are asked for."""
    from destila.matrix.dry_run import dry_result, dry_run
    from destila.matrix.matrix import cells_of, read_matrix
    from destila.matrix.report_matrix import report_matrix
    from destila.matrix.run_matrix import run_cells

    matrix = read_matrix(config.recipe)
    cells = cells_of(matrix, config.only, config.set)
    if config.dry_run:
        tried = dry_run(cells, progress, gpu=config.gpu, workers=max(1, config.workers))
        return dry_result(matrix.name, tried, config.gpu)
    failed = run_cells(cells, progress, **_manner(config))
    return report_matrix(matrix, config.set) | ({"failed": failed} if failed else {})


def show(result: StudyResult) -> dict[str, Any]:
    """Return the study's models as rows, and its conclusions."""
    return study_card(result)
