"""Published numbers of the four Spanish systems, as data; never ours, never mixed into our records.

    scores.json    test scores: slides of 2023, LREC 2022, the thesis of 2021, SpanishTinyRoBERTa
    grid.json      the chosen cell of each distillation grid, on dev
    teachers.json  the search for a teacher on PAWS-X, on dev
    cost.json      parameters, MACs, file sizes, latencies, mean scores
    times.json     seconds of fine-tuning

Values are as printed (x100); the reader returns ratios. Known faults are corrected or stand in
`note`: the slides print the xxlarge taggers in the xlarge row, and RoBERTa-BNE large collapsed on
three tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

SAME_TEST = {"cess_pos": "ancora_pos", "mlqa_es": "mlqa", "squad_es": "xquad_es"}
"""Data sets of ours that are tested on a published test set of another name."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published score.

    value: ratio 0-1. training: finetuned or distilled. note: a known fault, empty where none is
    known. settings: what else its table tells (learning rate, batch, teacher, dev loss...).

    Example: `Published("lrec2022", "test", "albeto-tiny", "finetuned", "xnli_es", "accuracy",
    0.6856)`.
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


def published_scores(dataset: str | None = None) -> list[Published]:
    """Return published test scores, of one of our data sets or of all; [] where there are none."""
    return _rows("scores.json", dataset)


def distillation_grid(dataset: str | None = None) -> list[Published]:
    """Return the dev scores of the chosen cells of the published distillation grid."""
    return _rows("grid.json", dataset)


def teachers() -> list[Published]:
    """Return the dev accuracies of the published search for a teacher on PAWS-X."""
    return _rows("teachers.json", None)


def costs() -> dict[str, Mapping[str, Any]]:
    """Return what is published of each model's cost, by name; `published_tables` explains keys."""
    return {row["model"]: row for row in _file("cost.json")["rows"]}


def training_seconds(table: str) -> dict[tuple[str, str], int]:
    """Return the published seconds of training of a table, by model and data set."""
    return {
        (row["model"], row["dataset"]): row["seconds"]
        for row in _file("times.json")["rows"]
        if row["table"] == table
    }


def published_tables() -> dict[str, Table]:
    """Return every published table by its short name."""
    names = ("scores.json", "grid.json", "teachers.json", "cost.json", "times.json")
    every = [item for name in names for item in _file(name)["tables"].items()]
    return {key: Table(**table) for key, table in every}


def _rows(name: str, dataset: str | None) -> list[Published]:
    """Read the rows of a file, of one data set or of all."""
    # One of ours may be tested on another's published test set.
    wanted = SAME_TEST.get(dataset, dataset) if dataset else None
    return [
        _published(row) for row in _file(name)["rows"] if wanted is None or row["dataset"] == wanted
    ]


def _published(row: Mapping[str, Any]) -> Published:
    """Make one published score of its row; keys that it does not know are settings."""
    # Tables print different settings, so they stay together under one key.
    own = ("table", "split", "model", "training", "dataset", "score")
    rest = {key: value for key, value in row.items() if key not in (*own, "value", "note")}
    named = {key: row[key] for key in own}
    return Published(
        **named, value=round(row["value"] / 100, 6), note=row.get("note", ""), settings=rest
    )


@cache
def _file(name: str) -> dict[str, Any]:
    """Read a file of this folder."""
    data: dict[str, Any] = json.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))
    return data
