"""Pre-train an encoder on raw text; with a teacher in the recipe, distil one.

With a teacher in the recipe it is a distilled one, which knows no task yet.

    runs/NAME/recipe.toml           the filled recipe
    runs/NAME/[RUN/]log.jsonl       steps, evaluations, events
    runs/NAME/[RUN/]checkpoints/    where it goes on after a kill, or when its minutes were over
    runs/NAME/[RUN/]model/          what `model = "..."` of any other recipe takes
    runs/NAME/[RUN/]record.jsonl    its scores on held-out text

A recipe with [[runs]] makes one after the other, each in a folder of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.commands._cards import command_line
from destila.config import RecipeOptions, opt
from destila.errors import ConfigError
from destila.progress import Progress, silent
from destila.report.pretraining.pretraining_report import write_pretrain_report
from destila.training import kept_memory

PANEL = "Raw text"
RESUMES = True


class Config(RecipeOptions):
    """What to pre-train, and for how long."""

    minutes: float | None = opt(
        None,
        "stop after so many minutes of training; the same command goes on; none = run to the end",
        gt=0,
    )
    share: str | None = opt(None, "write the model to this folder too, in half precision")


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """Pre-train every run of a recipe and write their report.

    A run that is done is not done again; one that was killed, or whose minutes were over, goes on.
    Of several processes, the first one returns rows and lines.

    Returns:
        study (its name), folder, rows (one per finished run) and lines to print.

    Raises:
        ConfigError: the recipe contradicts itself, or its folder is another run's.
        DataError: a text or a corpus cannot be read, or is too short.
        ModelError: the model or the teacher cannot be loaded.
        TrainingError: the loss diverges again and again, or a checkpoint cannot be written.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.pretraining.pretrain_recipe import variants
    from destila.pretraining.run_pretraining import run_pretraining, share_model
    from destila.training.processes import processes

    kept_memory.keep_heap()  # for the whole process, so before anything is loaded
    runs = variants(arguments.recipe, arguments.set)
    first = runs[0][1]
    several = len(runs) > 1 or bool(first.runs)
    if arguments.share is not None and several:
        raise ConfigError(
            f"--share writes one model and {arguments.recipe} makes {len(runs)}: "
            "drop it or its [[runs]]"
        )

    # One run lies in the study's folder itself, several lie below it.
    study = Path(first.out) / first.name
    main = processes().is_main_process
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    for name, recipe in runs:
        folder = study / name if several else study
        record = run_pretraining(recipe, name, folder, minutes=arguments.minutes, progress=progress)

        # Only the first process has anything to share or to say.
        if not main:
            continue
        if arguments.share is not None:
            share_model(folder / "model", Path(arguments.share), order=recipe.model.order)
            lines.append(f"shared: {arguments.share}")
        if record is None:
            lines.append(f"{name}: not at its end yet; the same command goes on")
            continue

        spent = {"tokens": record.details["tokens"], "minutes": record.seconds / 60}
        rows.append({"run": name, **spent, **record.scores})
        lines.append(f"model: {folder / 'model'}")

    if main:
        lines += [f"report: {path}" for path in write_pretrain_report(study)]
    return {"study": study.name, "folder": str(study), "rows": rows, "lines": lines}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the runs as rows, and the models that were written."""
    following = command_line("report", result["folder"])
    return {"title": f"study {result['study']}", "next": following} | {
        key: result[key] for key in ("rows", "lines")
    }
