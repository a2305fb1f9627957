"""Published numbers of the four Spanish systems, as data; never ours, never mixed into our records.

    scores.json    test scores: slides of 2023, LREC 2022, the thesis of 2021, SpanishTinyRoBERTa
    grid.json      the chosen cell of each distillation grid, on dev
    teachers.json  the search for a teacher on PAWS-X, on dev
    cost.json      parameters, MACs, file sizes, latencies, mean scores

Values are as printed (x100); the reader returns ratios. Known faults are corrected or said in `note`: the slides
print the xxlarge taggers in the xlarge row, and RoBERTa-BNE large collapsed on three tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

SAME_TEST = {"cess_pos": "ancora_pos"}
"""Data sets of ours that are tested on a published test set but trained on other text."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published score.

    value: ratio 0-1. training: finetuned or distilled. note: a known fault, empty where none is known.
    settings: what else its table tells (learning rate, batch, teacher, dev loss...).
    """

    table: str
    split: str
    model: str
    training: str
    dataset: str
    score: str
    value: float
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """Where published numbers come from, and what to know before comparing with them."""

    title: str
    source: str
    note: str


def scores(dataset: str | None = None) -> list[Published]:
    """Published test scores, of one of our data sets or of all; empty where nothing was published."""
    return _rows("scores.json", dataset)


def grid(dataset: str | None = None) -> list[Published]:
    """Dev scores of the chosen cell per student and data set of the published distillation grid."""
    return _rows("grid.json", dataset)


def teachers() -> list[Published]:
    """Dev accuracies of the published search over teachers, losses and learning rates on PAWS-X."""
    return _rows("teachers.json", None)


def costs() -> dict[str, Mapping[str, Any]]:
    """What is published about the cost of each model, by name; the keys are explained in `tables()`."""
    return {row["model"]: row for row in _file("cost.json")["rows"]}


def tables() -> dict[str, Table]:
    """Every published table by its short name."""
    names = ("scores.json", "grid.json", "teachers.json", "cost.json")
    return {key: Table(**table) for name in names for key, table in _file(name)["tables"].items()}


def _rows(name: str, dataset: str | None) -> list[Published]:
    wanted = SAME_TEST.get(dataset, dataset) if dataset else None
    return [
        _published(row) for row in _file(name)["rows"] if wanted is None or row["dataset"] == wanted
    ]


def _published(row: Mapping[str, Any]) -> Published:
    own = ("table", "split", "model", "training", "dataset", "score")
    rest = {key: value for key, value in row.items() if key not in (*own, "value", "note")}
    named = {key: row[key] for key in own}
    return Published(
        **named, value=round(row["value"] / 100, 6), note=row.get("note", ""), settings=rest
    )


@cache
def _file(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))
    return data
