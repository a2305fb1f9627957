"""Search for the best values of a recipe's keys on dev, with many processes or machines.

The recipe says in [search] which keys take which values: every combination of a grid, or as many
trials of Optuna's TPE as it allows. A search that was killed goes on where it stopped.
"""

from __future__ import annotations

from typing import Any

from destila.config import RecipeOptions, opt
from destila.errors import require
from destila.progress import Progress, silent

PANEL = "A study"
RESUMES = True


class Config(RecipeOptions):
    """Which recipe, and who trains."""

    workers: int = opt(1, "processes on this machine, or on a cluster, that train trials", ge=1)
    storage: str | None = opt(
        None, "URL of the store of trials, e.g. postgresql://...; none = SQLite in runs/NAME"
    )
    join: bool = opt(False, "only help with the trials of a search that another process reports")
    cluster: str | None = opt(
        None, "Ray cluster whose machines train: local, auto or HOST:PORT; none = this machine"
    )


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Run the trials and return `study`, `rows`, `best` (the recipe with the best values), `lines`.

    Raises:
        ConfigError: the recipe has no `[search]`, or a key or a value of it is wrong.
        MissingExtraError: optuna is not installed.
        TrainingError: no trial could be finished.
    """
    require("optuna", "search")
    from destila.search.run_search import run_search  # needs optuna

    return run_search(
        config.recipe,
        config.set,
        progress,
        workers=config.workers,
        storage=config.storage,
        join=config.join,
        cluster=config.cluster,
    )


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the trials as rows, the best first."""
    card: dict[str, Any] = {"title": f"trials of {result['study']}", "lines": result["lines"]}
    if "best" in result:
        card |= {"rows": result["rows"], "next": f"destila run {result['best']}"}
    return card
