"""Copy the best model of a study within a budget, and say why each other one lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.commands._cards import NEW_TEXT, command_line
from destila.config import Options, opt
from destila.report.find import find_study
from destila.report.rows import group_rows
from destila.report.words import role_name
from destila.study.budget import Budget, copy_model, folder_of, pick, summary

PANEL = "A study"


class Config(Options):
    """A study and the budget."""

    study: str = opt(
        ...,
        "a study's folder or name (runs/NAME), or a .jsonl file of records (results/NAME.jsonl)",
    )
    max_ms: float | None = opt(
        None, "most milliseconds per text: median on real texts, batch 1", gt=0
    )
    max_mb: float | None = opt(None, "most MB (10^6 bytes) on disk", gt=0)
    min_score: float | None = opt(None, "least main score, a ratio: 0.75", ge=0, le=1)
    any_student: bool = opt(
        False, "also a student that its twin, fine-tuned without the teacher, beats", flag="--any"
    )
    out: str | None = opt(None, "folder to copy the model to; none = ./STUDY-RUN")
    copy_folder: bool = opt(True, "copy the model's folder", flag="--copy")


def run(config: Config) -> dict[str, Any]:
    """Pick and copy; the result has study, winner, out, lost, lines (see docs/reference/json.md).

    Raises:
        ConfigError: there is no such study, nothing was timed though `max_ms` asks for it, nothing
            is within the budget (it says what is nearest), the winner's folder is not here, or
            `out` exists or cannot be written.
    """
    # The choice: from the records alone.
    study = find_study(config.study, Path(config.out).parent if config.out else None)
    budget = Budget(
        max_ms=config.max_ms,
        max_mb=config.max_mb,
        min_score=config.min_score,
        any_student=config.any_student,
    )
    every = group_rows(study.records)
    picked = pick(every, study.records, budget, study.name)

    # The copy: the study may have been trained elsewhere, so its folder may be missing.
    out = None
    if config.copy_folder:
        out = Path(config.out or f"{study.name}-{picked.record.run}")
        folder = study.folder or Path("runs") / study.name
        copy_model(picked, folder_of(picked.record, folder), out)

    # A model is a mean over seeds; the folder is that of one of them.
    seeds = {"run": picked.record.run, "seed": picked.record.seed}
    recipe = study.folder / "recipe.toml" if study.folder else None
    again = str(recipe) if recipe and recipe.is_file() else "RECIPE"
    return {
        "study": study.name,
        "winner": picked.winner.facts() | seeds | {"seeds": list(picked.winner.row.seeds)},
        "out": str(out) if out else None,
        "lost": picked.lost(),
        "lines": summary(picked, every, out, again),
    }


def show(result: dict[str, Any], config: Config) -> dict[str, Any]:
    """Return the winner and the losers as rows."""
    keys = ("model", "role", "score", "latency_ms", "size_mb", "why")
    every = [result["winner"] | {"why": "picked"}, *result["lost"]]
    rows = [
        {key: model[key] for key in keys} | {"role": role_name(model["role"])} for model in every
    ]

    # What was copied can be tried at once, or made smaller first; else it can be copied.
    following = command_line("pick", config.study)
    if result["out"] and result["winner"]["role"] == "exported":
        following = command_line("predict", result["out"], "--text", NEW_TEXT)
    elif result["out"] and result["winner"]["role"] != "baseline":
        following = command_line("export", result["out"])
    title = f"study {result['study']}"
    return {"title": title, "rows": rows, "lines": result["lines"], "next": following}
