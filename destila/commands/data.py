"""Check a recipe's data before training."""

from __future__ import annotations

from typing import Any

from destila.commands._cards import command_line
from destila.config import RecipeOptions
from destila.tasks import task_of

PANEL = "A study"
_LABELS = 30
"""Labels that are listed, the most frequent ones."""

_GOOD = {
    "splits": "no text stands in two splits, and test is large enough to tell models apart",
    "labels": "every label is in every split, and no text occurs with two",
    "texts": "Spanish, by its commonest words, with whole accents",
    "models": "the texts fit, and their tokens are known",
}


class Config(RecipeOptions):
    """Whose data."""


def run(config: Config) -> dict[str, Any]:
    """Return the report on a recipe's data and the tokenizers of its models."""
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.intake.data_report import report_data
    from destila.study.planning.recipe import read_recipe

    # No model is loaded: the tokenizers alone say what is cut and what is unknown.
    return report_data(read_recipe(config.recipe, config.set)) | {"recipe": config.recipe}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the report in sections: figures, then a tick or what to do."""
    splits = result["splits"]
    rows = {
        "splits": [_split_row(name, part) for name, part in splits.items()],
        "labels": [
            {"label": label} | {name: part["labels"][label] for name, part in splits.items()}
            for label in _most_frequent(result)
        ],
        "models": [
            _model_row(name, split, part)
            for name, parts in result["tokenizers"].items()
            for split, part in parts.items()
        ],
    }
    good = _GOOD | _good_of(result)
    titles = {name: name for name in _GOOD} | {"splits": f"splits, {result['task']}"}
    sections = [
        {
            "title": titles[name].capitalize(),
            "rows": rows.get(name, []),
            "lines": [f"⚠ {each}" for each in result["checks"][name]] or [f"✔ {good[name]}"],
        }
        for name in _GOOD
        if name != "models" or rows["models"]
    ]

    # What the loader did, and what could not be looked at, is no fault.
    lines = [f"· {what}: {count:,}" for what, count in result["notes"].items()]
    for name, why in result.get("tokenizers_not_checked", {}).items():
        lines.append(f"· {name} is not looked at: {why}")
    for name, counts in result.get("texts_for_the_teacher", {}).items():
        listed = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        lines.append(f"· texts for the teacher, of {name}: {listed}")
    if lines:
        sections.append({"title": "Notes", "rows": [], "lines": lines})

    verdict = f"{len(result['warnings']) or 'nothing'} to look at"
    sections.append({"rows": [], "lines": [f"{result['recipe']}: {verdict}"]})
    return {"rows": [], "sections": sections, "next": [command_line("run", result["recipe"])]}


def _good_of(result: dict[str, Any]) -> dict[str, str]:
    """Return what is right of folds and of several labels, which is another thing."""
    good = {}
    if folds := result["folds"]:
        scored = f"{folds}-fold cross-validation scores all"
        good["splits"] = f"no text stands in two splits, and {scored}"
    if task_of(result["task"]).label_sets:
        good["labels"] = "every label is in every split, and no text occurs with others too"
    return good


def _split_row(name: str, part: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a split."""
    words = part["words"]
    return {
        "split": name,
        "examples": part["examples"],
        "words": round(words["p50"]),
        "95 % under": round(words["p95"]),
        "longest": words["max"],
        "repeated": part["repeated"],
    }


def _model_row(name: str, split: str, part: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a tokenizer and a split."""
    kind = "truncated" if "truncated" in part else "windowed"
    return {
        "model": name,
        "split": split,
        "tokens": round(part["tokens"]["p50"]),
        "95 % under": round(part["tokens"]["p95"]),
        f"{kind}_share": part[kind],
        "unknown_share": part["unknown"],
    }


def _most_frequent(result: dict[str, Any]) -> list[str]:
    """Return the labels by their frequency in all splits."""
    parts = [part["labels"] for part in result["splits"].values()]
    totals = {label: sum(part[label] for part in parts) for label in result["labels"]}
    return sorted(totals, key=lambda label: -totals[label])[:_LABELS]
