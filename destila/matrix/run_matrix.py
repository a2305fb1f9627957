"""The cells of a matrix run one after the other, each an ordinary study.

runs/MATRIX/MODEL--DATASET.toml    the recipe of a cell, whole
runs/MATRIX/MODEL--DATASET/        its study; where it searches, its trials
runs/MATRIX/MODEL--DATASET-best/   then: the study of the best trial
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from destila import config
from destila.errors import ConfigError, require
from destila.files import write_text
from destila.matrix.matrix import Cell
from destila.progress import Progress, silent
from destila.study.failures import Failures
from destila.study.planning.recipe import read_recipe
from destila.study.planning.teachers import LabellingMachines
from destila.study.run import run_study

log = logging.getLogger(__name__)


def run_cells(
    cells: Sequence[Cell],
    progress: Progress = silent,
    *,
    tested: bool = True,
    time_again: bool = False,
    cluster: LabellingMachines | None = None,
) -> list[str]:
    """Run the studies of cells; what one of them cannot do is no reason to lose the others.

    What was done before is not done again: searches read their finished trials, studies their
    records.

    Args:
        cells: of one matrix.
        progress: called at every step of a training.
        tested: whether trained models are tested and timed too.
        time_again: time all models again.
        cluster: machines that answer for teachers; None: this one.

    Returns:
        A line for each cell that failed, and for each model of a cell.

    Raises:
        DestilaError: every cell failed; it is the error of the first one.
    """
    failures, lost, inside = Failures(), 0, []
    for i, cell in enumerate(cells, 1):
        log.info("cell %d of %d: %s", i, len(cells), cell.name)
        with failures.noted(cell.name) as attempt:
            result = run_cell(cell, progress, tested=tested, time_again=time_again, cluster=cluster)
            inside += [f"{cell.name}: {line}" for line in result.get("failed", ())]
        lost += attempt.failed
    if lost == len(cells):
        raise failures.first
    return [*failures.lines, *inside]


def run_cell(
    cell: Cell,
    progress: Progress = silent,
    *,
    tested: bool = True,
    time_again: bool = False,
    cluster: LabellingMachines | None = None,
) -> dict[str, Any]:
    """Run the study of a cell; where its recipe searches, the search first, then its best trial.

    Raises:
        ConfigError: the weights of its model cannot be had, or its recipe is wrong.
    """
    if cell.row.missing and cell.recipe.students[0].model == cell.row.student.get("model"):
        raise ConfigError(f"{cell.model}: {cell.row.missing}")

    # The recipe as a file: it can be read, changed and run alone.
    path = cell.path
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, config.to_toml(cell.recipe))
    recipe = cell.recipe
    if recipe.search is not None:
        require("optuna", "search")
        from destila.search.run_search import run_search  # needs optuna

        recipe = read_recipe(run_search(str(path), progress=progress)["best"])
    return run_study(recipe, progress, tested=tested, time_again=time_again, cluster=cluster)
