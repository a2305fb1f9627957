"""What several commands show alike: a study with its models, and what to type next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from destila.inference.exported import FACTS
from destila.report.words import role_name, score_name

DEVICE_HELP = "of a model that torch runs: cpu, or cuda = a GPU"
"""Help of the option of several commands."""

NEW_TEXT = "Un texto nuevo."
"""The text of a suggested command, for the user to replace."""


def command_line(*words: str) -> str:
    """Return a command as a shell reads it: names with blanks are quoted."""
    return shlex.join(["destila", *words])


def study_card(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the models of a study as rows, its conclusions, and how to choose one of them.

    Args:
        result: of `report.write.write_report`; of pre-trainings, the rows as they are; {} where
            nothing is to be shown.
    """
    rows, lines = result.get("rows", []), list(result.get("lines", []))
    if not rows or "role" not in rows[0]:
        named = {"title": str(result["study"])} if "study" in result else {}
        return {**named, "rows": rows, "lines": lines}

    # The main score is one for all, so it stands above and not in every line.
    shown = [
        {
            "model": row["model"],
            "role": role_name(row["role"]),
            "score": row["score"],
            "sd": row["sd"],
            "seeds": row["seeds"],
            "latency_ms": row["latency_ms"],
            "speed_up": row["speed_up"],
            "size_mb": row["size_mb"],
            "params": row["params"] or None,  # 0: not counted
        }
        for row in rows
    ]
    title = f"study {result['study']}: {score_name(rows[0]['main'])}"
    return {"title": title, "rows": shown, "lines": lines, "next": _pick_command(result)}


def answers_card(result: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return how many texts have an answer in a file, and what to do with their model next."""
    lines = [f"{result['texts']:,} texts have an answer in {result['out']}"]
    for what, where in (("warning", "was cut or repaired"), ("error", "could not be read")):
        if count := result[f"{what}s"]:
            lines.append(f"{count:,} of them have a {what}: the text {where}")

    # A folder of weights is slower than its export, which can be served.
    is_weights = Path(model).is_dir() and not (Path(model) / FACTS).is_file()
    following = "export" if is_weights else "serve"
    return {"rows": [], "lines": lines, "next": command_line(following, model)}


def candidate_row(each: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of one candidate of an export."""
    return {
        "name": each["name"],
        "file": each["file"],
        "bytes": each["bytes"],
        "in int8": f"{each['int8_products']} of {each['products']}",
        "parity": each["parity"],
        "dev_score": each["score"],
        "drop_score": each["drop"],
        "stable": each["stable"],
    }


def after_measuring(result: Mapping[str, Any]) -> str:
    """Return what to type after `measure`: an export runs at once, weights are exported first."""
    if "models" in result:
        record = min(result["models"], key=lambda model: model["latency"][0]["median_ms"])
        name = result["models"][0]["config"]["models"][result["models"].index(record)]
    else:
        record, name = result, result["config"]["models"][0]

    if record["details"].get("weights") != "loaded":
        return command_line("init", "data.csv", "--teacher", "NAME")
    if record["conditions"]["backend"] == "torch":
        return command_line("export", name)
    return command_line("predict", name, "--text", NEW_TEXT)


def _pick_command(result: Mapping[str, Any]) -> str:
    """Return the command that picks a model, with the budget that the best student needs."""
    source = result.get("source", result["study"])
    students = [row for row in result["rows"] if row["role"] not in ("teacher", "baseline")]
    best: Mapping[str, Any] = max(students, key=lambda row: row["score"], default={})

    # A budget to be changed: what the best student needs, rounded up.
    budget: Sequence[str] = ()
    if best.get("latency_ms"):
        budget = ("--max-ms", str(math.ceil(best["latency_ms"])))
    elif best.get("size_mb"):
        budget = ("--max-mb", str(math.ceil(best["size_mb"])))
    return command_line("pick", str(source), *budget)
