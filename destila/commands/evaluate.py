"""Score and measure a finished model: on a newly labelled file, or on a split of a recipe.

`destila evaluate MODEL new.csv` reads the file as the model's own data were read;
`destila evaluate RECIPE --model MODEL` scores the recipe's test or dev split.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from destila.commands._cards import DEVICE_HELP, NEW_TEXT, command_line
from destila.config import RecipeOptions, opt
from destila.errors import ConfigError
from destila.progress import Progress, silent
from destila.report.words import score_name

if TYPE_CHECKING:
    from destila.study.planning.data import Study

PANEL = "A finished model"
_COLUMNS = {"text", "label", "label_separator"}


class Config(RecipeOptions):
    """Which model, on which examples."""

    recipe: str = opt(..., "model folder, before a labelled file; or a recipe (TOML)")
    file: str | None = opt(
        None, "labelled file, of any kind that `init` reads; all of it is scored", argument=True
    )
    text: str | None = opt(None, "with a file: column of the text; none = the model's")
    label: str | None = opt(None, "with a file: column of the label; none = the model's")
    label_separator: str | None = opt(
        None, "with a file: what parts several labels of a row; none = the model's, else detected"
    )
    model: str | None = opt(
        None, "with a recipe: model folder or hub name with a head for the recipe's labels"
    )
    split: Literal["test", "dev"] = opt(
        "test", "with a recipe: split to score; keep test for the final number"
    )
    device: Literal["cpu", "cuda"] | None = opt(
        None, f"{DEVICE_HELP}; none = measure.device of the recipe, else cpu"
    )
    out: str | None = opt(
        None, "folder for predictions.jsonl and wrong.jsonl, the worst mistakes; none = not written"
    )


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return the Record as a dict; nothing is added to any study's records.

    Raises:
        ConfigError: neither a model with a file nor a recipe with a model was given.
        DataError: the data cannot be read, or have other labels than the model.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.intake.labelled_file import study_of_file
    from destila.study.planning.data import load_study
    from destila.study.planning.recipe import read_recipe
    from destila.study.recording import evaluate_folder

    out = Path(config.out) if config.out else None
    if config.file is not None:
        if config.recipe.endswith(".toml") or config.model is not None or config.set:
            raise ConfigError("a file goes with a model alone: destila evaluate MODEL FILE")
        chosen = config.model_dump(include=_COLUMNS, exclude_none=True)
        study = study_of_file(config.recipe, config.file, chosen)
        study = _on(config.device, study)
        return asdict(evaluate_folder(study, config.recipe, "test", out, progress))

    if config.model is None:
        raise ConfigError(
            "what is to be scored? destila evaluate MODEL FILE, or destila evaluate RECIPE --model "
            "MODEL"
        )
    # Only the split that is scored has to be there.
    study = load_study(read_recipe(config.recipe, config.set), needs=(config.split,))
    study = _on(config.device, study)
    return asdict(evaluate_folder(study, config.model, config.split, out, progress))


def _on(device: str | None, study: Study) -> Study:
    """Return the study with its models on a device; None for that of its recipe."""
    if device is None:
        return study
    measure = study.recipe.measure.model_copy(update={"device": device})
    return replace(study, recipe=study.recipe.model_copy(update={"measure": measure}))


def show(result: dict[str, Any], config: Config) -> dict[str, Any]:
    """Return the scores as rows, the main one first, and those of each label."""
    names = sorted(result["scores"], key=lambda name: name != result["main"])
    rows = [{"of": score_name(name), "score": result["scores"][name]} for name in names]
    labels = result["details"].get("per_label", {})
    by_label = [{"label": k, **v, "support": round(v["support"])} for k, v in labels.items()]
    sections = [{"title": "labels", "rows": by_label}]

    # What runs with torch is exported next; an export is at its end.
    model = config.model or config.recipe
    following = command_line("predict", model, "--text", NEW_TEXT)
    if result["conditions"]["backend"] == "torch":
        following = command_line("export", model)
    scored = config.file or f"{result['split']} of {result['dataset']}"
    return {
        "title": f"{result['run']} on {scored}",
        "rows": rows,
        "sections": sections if labels else [],
        "next": following,
    }
