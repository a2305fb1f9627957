"""The main job of a search: trials by this process and its workers, then what they came to.

runs/NAME/search.db      the store of trials, unless another one is named
runs/NAME/trials/        one folder a trial
runs/NAME/search.md      the report, search.html beside it
runs/NAME/best.toml      the recipe with the best values
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import optuna

from destila import config, cpu
from destila.errors import TrainingError
from destila.files import write_text
from destila.progress import Progress, silent
from destila.search.cluster_search import join_on_cluster
from destila.search.search_report import write_search_report
from destila.search.space import read_space
from destila.search.train_trial import TrialResult, TrialTrainer
from destila.search.trials import TrialObjective, finished_trials, open_trials, run_trials
from destila.study.checks import check_study
from destila.study.planning.recipe import Recipe
from destila.study.runs.wholeness import TRAINED

_NOTHING: dict[str, Any] = {}
"""The values of the recipe as it is."""


def run_search(
    path: str,
    changes: Sequence[str] = (),
    progress: Progress = silent,
    *,
    workers: int = 1,
    storage: str | None = None,
    join: bool = False,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Run the trials of a recipe's `[search]` until all are done, and report the best.

    A search that was killed goes on: finished trials are read, running ones resumed.

    Args:
        path: of the recipe.
        changes: overrides, `key=value`.
        progress: called at every step of a training, and after every trial.
        workers: processes on this machine that train trials.
        storage: URL of the store; None: SQLite in the study's folder.
        join: only help with the trials of a search that another process reports.
        cluster: address of a Ray cluster whose machines take part, "local" for one here; all see
            the study's folder and the store.

    Returns:
        `study`, `rows` (the trials, the best first), `best` (its recipe), `lines`.

    Raises:
        ConfigError: the recipe has no `[search]`, a key or value of it is wrong, or the store
            cannot be opened.
        TrainingError: no trial could be finished.
    """
    trainer = TrialTrainer(path=path, changes=changes, progress=progress)
    options, recipe = trainer.options, trainer.recipe
    space = read_space(options, path)

    # A key that does not exist is better known before the first training.
    check_study(trainer.study({each.key: each.first for each in space}))

    recipe.folder.mkdir(parents=True, exist_ok=True)
    url = storage or f"sqlite:///{recipe.folder.resolve() / 'search.db'}"
    trials = open_trials(url, recipe.name, options, better=trainer.better)
    command = _join_command(path, changes, url)
    objective = TrialObjective(name=trainer.name, train=trainer.train)

    def done(finished: int, wanted: int) -> None:
        """Show how many trials are finished."""
        progress("trials", finished, wanted)

    # Each worker is the same command that only takes part; this process is one of them.
    helpers = [] if join or cluster else _start_workers(command, workers - 1)
    try:
        if cluster is not None:
            join_on_cluster(_join, path, changes, url, address=cluster, workers=workers)
        run_trials(trials, space, options, objective, done)
    finally:
        for helper in helpers:
            helper.terminate()  # no trial is left, or this process stops
            helper.wait()
    if join:
        return {"study": recipe.name, "lines": ["no trial is left"]}
    return _report(trainer, trials)


def _report(trainer: TrialTrainer, trials: optuna.Study) -> dict[str, Any]:
    """Write the report and the recipe of the best trial."""
    # The recipe as it is, to know what the search has gained; often it is a trial already.
    if trainer.results():
        trainer.train(_NOTHING)
    results = trainer.results()
    if not results:
        raise TrainingError(
            f"{trainer.path}: none of {len(finished_trials(trials))} trials could be finished; "
            "their errors are above"
        )

    recipe = trainer.trial_recipe(results[0].values)
    chosen = recipe.model_copy(update={"name": f"{recipe.name}-best", "search": None})
    place = trainer.recipe.folder / "best.toml"
    write_text(place, config.to_toml(chosen))
    _hand_over(trainer, results[0], chosen)
    report = write_search_report(trainer, trials, results)

    rows = []
    for each in results:
        values = {key: each.values.get(key, "as it was") for key in trainer.options.space}
        rows.append({**values, trainer.criterion: each.value, "minutes": each.seconds / 60})
    lines = [*report.lines, f"report: {report.path}"]
    return {"study": trainer.recipe.name, "rows": rows, "best": str(place), "lines": lines}


def _hand_over(trainer: TrialTrainer, best: TrialResult, chosen: Recipe) -> None:
    """Copy the models of the best trial to where the study of its recipe looks for them.

    Trained once is enough; those of an earlier best trial make room.
    """
    for kind, place in (
        ("students", trainer.folder(best.values)),
        ("teachers", trainer.recipe.folder),
    ):
        for source in sorted((place / kind).glob("*")):
            target = chosen.folder / kind / source.name
            marks = [folder / TRAINED for folder in (source, target)]
            if not marks[0].is_file():
                continue
            if not marks[1].is_file() or marks[0].read_bytes() != marks[1].read_bytes():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)


def _join(path: str, changes: Sequence[str], url: str) -> None:
    """Take part in a search."""
    run_search(path, changes, storage=url, join=True)


def _join_command(path: str, changes: Sequence[str], url: str) -> list[str]:
    """Return the command that takes part in a search."""
    # -P: nothing of the working folder is imported in place of a library.
    command = [sys.executable, "-P", "-m", "destila", "--quiet", "search", path]
    for change in changes:
        command += ["--set", change]
    return [*command, "--storage", url, "--join"]


def _start_workers(command: Sequence[str], number: int) -> list[subprocess.Popen[bytes]]:
    """Start processes that take part, each with its share of the threads."""
    share = str(max(1, cpu.available() // (number + 1)))
    environment = {**os.environ, "OMP_NUM_THREADS": share}
    return [subprocess.Popen(command, env=environment) for _ in range(number)]
