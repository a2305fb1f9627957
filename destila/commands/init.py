"""Detect task and columns of a data file and write a complete recipe.

Task, columns and labels are detected from the file and then read by the very loader that the recipe names, so a
recipe that was written can be run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np

from destila import config as toml
from destila import datasets
from destila.config import Options, opt
from destila.datasets import table
from destila.errors import ConfigError
from destila.files import open_text, write_text
from destila.formats import tables
from destila.formats.columns import DOCSTART
from destila.formats.squad import is_squad
from destila.hub import spellings
from destila.model_folder import read_folder
from destila.models.architecture import ArchitectureKind
from destila.study.planning.recipe import (
    DistilOptions,
    Recipe,
    StudentSpec,
    TeacherSpec,
    TokenizerSpec,
)
from destila.tasks import metrics, task_of
from destila.tasks.span.options import SpanOptions
from destila.types import Dataset

_LOOK = 2000
"""Lines that are looked at to tell the kind of a file."""

_TRAIN = re.compile("train(ing)?")
_PARTS = {"dev": ("dev", "valid", "validation", "val", "testa"), "test": ("test", "testb")}

PANEL = "A study"


class Config(Options):
    """Arguments of `destila init`."""

    data: str = opt(..., "CSV, TSV, JSON, column, CoNLL-U or SQuAD file")
    teacher: str | None = opt(
        None, "folder or hub name of the teacher; none = a teacher trained from scratch"
    )
    out: str | None = opt(None, "recipe to write; none = <name of the data file>.toml here")


@dataclass(frozen=True, slots=True)
class Detected:
    """What a data file is: data set plug-in, task, the plug-in's options, labels, and the examples themselves."""

    use: str
    task: str
    options: dict[str, Any]
    labels: tuple[str, ...]
    dataset: Dataset


def run(config: Config) -> dict[str, Any]:
    """Writes the recipe; returns its path, the task, the columns, the labels and the number of examples.

    Raises DataError for a file that cannot be read as examples, ConfigError when another recipe is in the way.
    """
    found = detect(config.data)
    recipe = recipe_for(found, Path(config.data), config.teacher)
    path = Path(config.out or f"{recipe.name}.toml")
    text = toml.to_toml(recipe)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"{path} exists and says something else: run it (destila run {path}), move it, or give --out"
        )
    write_text(path, text)
    return {
        "path": str(path),
        "task": found.task,
        "use": found.use,
        "columns": {k: v for k, v in found.options.items() if k not in ("train", "dev", "test")},
        "labels": list(found.labels),
        "rows": {name: len(examples) for name, examples in found.dataset.splits.items()},
        "notes": dict(found.dataset.notes),
    }


def detect(path: str) -> Detected:
    """Kind, task, columns and labels of a data file; raises DataError when it holds no examples.

    A file named train... takes its dev and test neighbours along.
    """
    head = list(islice(open_text(path), _LOOK))
    columns: dict[str, Any]
    if tables.table_kind(Path(path)) == "json" and is_squad(path):
        use, columns = "squad", {}
    elif _is_conllu(head):
        use, columns = "conllu", {"column": "upos"}
    elif tables.table_kind(Path(path)) not in ("json", "jsonl") and (
        separator := _column_separator(head)
    ):
        use, columns = (
            "conll",
            {"word": 0, "tag": _tag_column(head, separator), "separator": separator},
        )
    else:
        use, columns = "table", _table_columns(path)
    options = {"train": path} | _neighbours(Path(path)) | columns
    dataset = datasets.load({"use": use} | options)
    return Detected(use, dataset.task, options, dataset.labels, dataset)


def recipe_for(found: Detected, path: Path, teacher: str | None) -> Recipe:
    """A recipe with our defaults for detected data.

    teacher: its first layers become the student (a third of them; 4 when they cannot be counted here). One that only
    transformers can run has no layers for our encoder: its student starts from scratch with the teacher's tokenizer.
    None trains both from scratch, with a tokenizer of their own text. A student that starts as its teacher's layers also
    learns its hidden states: the best way of all that were measured (docs/log/2026-11.md), which harmed a student from scratch.
    """
    positions, distil = 512, DistilOptions()
    shape = {"kind": "bert", "hidden": 256, "heads": 4, "ffn": 1024}
    if teacher is None:
        own = TokenizerSpec()
        teachers = (TeacherSpec(name="teacher", shape=shape | {"layers": 4}, tokenizer=own),)
        student = StudentSpec(name="student", shape=shape | {"layers": 2}, tokenizer=own)
    else:
        known = _config_of(teacher)
        layers = int(known.get("num_hidden_layers") or known.get("n_layers") or 12)
        positions = int(known.get("max_position_embeddings") or 512)
        teachers = (TeacherSpec(model=teacher),)
        student = StudentSpec(name="student", model=teacher, layers=max(2, layers // 3))
        if known.get("model_type", "bert") not in get_args(ArchitectureKind):
            student = StudentSpec(name="student", shape=shape | {"layers": 2}, tokenizer=teacher)
        else:
            distil = DistilOptions(terms=(*distil.terms, {"use": "hidden"}))
    impossible = any(e.answers == () for e in found.dataset.splits["train"])
    return Recipe(
        name=_name(path),
        data={"use": found.use} | found.options,
        span=SpanOptions(null_threshold=0.0 if impossible else None),
        max_length=_max_length(found.dataset, positions),
        teachers=teachers,
        students=(student,),
        distil=distil,
    )


def _is_conllu(head: Sequence[str]) -> bool:
    rows = [line.split("\t") for line in head if line.strip() and not line.startswith("#")]
    return (
        bool(rows)
        and all(len(cells) == 10 for cells in rows)
        and rows[0][0].split("-")[0].isdigit()
    )


def _column_separator(head: Sequence[str]) -> str | None:
    """`tab`, `space` or `blank` when the lines are words with tags, in blocks between blank lines; else None."""
    rows = [line for line in head if line.strip() and not line.startswith(DOCSTART)]
    if not any(not line.strip() for line in head[:-1]):
        return None
    for separator, cut in (("tab", "\t"), ("space", " "), ("blank", None)):
        widths = {len(line.split(cut)) for line in rows}
        words = (cell for line in rows for cell in line.split(cut))
        if (
            len(widths) == 1
            and widths != {1}
            and not any(" " in word or not word for word in words)
        ):
            return separator
    return None


def _tag_column(head: Sequence[str], separator: str) -> int:
    """The last column, unless another one holds entity tags and the last does not."""
    cut = {"tab": "\t", "space": " ", "blank": None}[separator]
    rows = [line.split(cut) for line in head if line.strip() and not line.startswith(DOCSTART)]
    entities = [metrics.is_bio(list({row[i] for row in rows})) for i in range(len(rows[0]))]
    return entities.index(True) if any(entities) and not entities[-1] else -1


def _table_columns(path: str) -> dict[str, Any]:
    rows = table.read_table(path)
    columns = table.choose_columns(rows, table.Options(train=path))
    found = {"text": columns.text, "pair": columns.pair or "", "label": columns.label}
    return found | ({"id": columns.id} if columns.id else {})


def _neighbours(path: Path) -> dict[str, str]:
    """Files beside a training file that are named like it, but for dev and test."""
    found = {}
    for split, words in _PARTS.items():
        names = (
            path.with_name(_TRAIN.sub(word, path.name, count=1))
            for word in words
            if _TRAIN.search(path.name)
        )
        existing = next((name for name in names if name.is_file()), None)
        if existing is not None:
            found[split] = str(existing)
    return found


def _config_of(teacher: str) -> Mapping[str, Any]:
    """`config.json` of a teacher whose folder is here; empty for one that is still on the hub."""
    models = os.environ.get("DESTILA_MODELS")
    folders = [Path(teacher), *(Path(models) / name for name in spellings(teacher) if models)]
    folder = next((f for f in folders if (f / "config.json").is_file()), None)
    return read_folder(folder).config if folder else {}


def _max_length(dataset: Dataset, positions: int) -> int:
    """The smallest usual window in which about 95 % of the training texts fit, at 1.5 tokens per word.

    Questions stop at 256: windows slide over their contexts, and longer ones cost more than they gain.
    """
    words = [
        len(e.words) or len(e.text.split()) + len((e.pair or "").split())
        for e in dataset.splits["train"]
    ]
    wanted = 1.5 * float(np.percentile(words, 95)) + 3
    usual = [n for n in (64, 128, 256, 512) if n <= positions] or [positions]
    found = next((n for n in usual if n >= wanted), usual[-1])
    return min(found, 256) if task_of(dataset.task).asks_questions else found


def _name(path: Path) -> str:
    """The name of a study: the data file's name up to its first dot (its folder's, for `train...`)."""
    stem = path.name.split(".")[0] or path.name.strip(".")
    if stem.lower() in ("train", "training", "esp") and path.resolve().parent.name:
        stem = path.resolve().parent.name
    return re.sub(r"[^\w-]+", "-", stem).strip("-") or "study"
