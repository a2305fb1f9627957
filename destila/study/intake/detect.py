"""Detect what a data file is, and write it down as a recipe. No torch.

Task, columns and labels are detected from the file and then read by the very loader that the recipe
names, so a recipe that was written can be run.
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

from destila import datasets
from destila.datasets import table
from destila.files import open_text
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
_WINDOWS = (64, 128, 256, 512)
_LONGEST_QUESTION = 256
_TOKENS_PER_WORD = 1.5
_SEPARATORS = {"tab": "\t", "space": " ", "blank": None}


@dataclass(frozen=True, slots=True)
class Detected:
    """What a data file is.

    Args:
        use: the data set plug-in that reads it.
        task: of its examples.
        options: of the plug-in: files and columns.
        labels: in the order of every model's logits.
        dataset: the examples themselves.
    """

    use: str
    task: str
    options: dict[str, Any]
    labels: tuple[str, ...]
    dataset: Dataset


def detect(path: str) -> Detected:
    """Return kind, task, columns and labels of a data file.

    A file named train... takes its dev and test neighbours along.

    Raises:
        DataError: when the file holds no examples.
    """
    # The first lines tell the kind; the loader then reads the whole file as the recipe will.
    lines = list(islice(open_text(path), _LOOK))
    use, columns = _kind_of(path, lines)
    options = {"train": path} | _neighbours(Path(path)) | columns
    dataset = datasets.load({"use": use} | options)
    return Detected(use, dataset.task, options, dataset.labels, dataset)


def recipe_for(data: Detected, path: Path, teacher: str | None) -> Recipe:
    """Return a recipe with our defaults for detected data.

    Args:
        data: what `detect` says of the file.
        path: the file; the study is named after it.
        teacher: folder or hub name; None: teacher and student start from scratch, with a tokenizer
            of their own text.
    """
    # A small BERT, for whatever starts from scratch.
    positions, distil = 512, DistilOptions()
    shape = {"kind": "bert", "hidden": 256, "heads": 4, "ffn": 1024}
    if teacher is None:
        own = TokenizerSpec()
        teachers = (TeacherSpec(name="teacher", shape=shape | {"layers": 4}, tokenizer=own),)
        student = StudentSpec(name="student", shape=shape | {"layers": 2}, tokenizer=own)
    else:
        # The student is the first third of the teacher's layers (4 where they cannot be counted).
        known = _config_of(teacher)
        layers = int(known.get("num_hidden_layers") or known.get("n_layers") or 12)
        positions = int(known.get("max_position_embeddings") or 512)
        teachers = (TeacherSpec(model=teacher),)
        student = StudentSpec(name="student", model=teacher, layers=max(2, layers // 3))

        # Learning hidden states too was the best way of all that were measured for such a student,
        # and harmed one from scratch (docs/log/2026-11.md). A teacher that only transformers can
        # run has no layers for our encoder, so its student starts from scratch, with the teacher's
        # tokenizer.
        if known.get("model_type", "bert") in get_args(ArchitectureKind):
            distil = DistilOptions(terms=(*distil.terms, {"use": "hidden"}))
        else:
            student = StudentSpec(name="student", shape=shape | {"layers": 2}, tokenizer=teacher)

    # Questions without an answer need a threshold to be left unanswered.
    unanswerable = any(e.answers == () for e in data.dataset.splits["train"])
    return Recipe(
        name=_study_name(path),
        data={"use": data.use} | data.options,
        span=SpanOptions(null_threshold=0.0 if unanswerable else None),
        max_length=_max_length(data.dataset, positions),
        teachers=teachers,
        students=(student,),
        distil=distil,
    )


def _kind_of(path: str, lines: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the plug-in that reads a file and the columns it needs to know, by the first lines."""
    kind = tables.table_kind(Path(path))
    if kind == "json" and is_squad(path):
        return "squad", {}
    if _is_conllu(lines):
        return "conllu", {"column": "upos"}

    separator = None if kind in ("json", "jsonl") else _column_separator(lines)
    if separator is not None:
        tag = _tag_column(lines, separator)
        return "conll", {"word": 0, "tag": tag, "separator": separator}
    return "table", _table_columns(path)


def _is_conllu(lines: Sequence[str]) -> bool:
    """Say whether lines have the ten columns of CoNLL-U, the first one a number."""
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
    if not rows or any(len(cells) != 10 for cells in rows):
        return False
    return rows[0][0].split("-")[0].isdigit()


def _column_separator(lines: Sequence[str]) -> str | None:
    """Return what parts the columns of words with tags: `tab`, `space` or `blank`; else None."""
    # Sentences are blocks between blank lines; a table has none.
    if all(line.strip() for line in lines[:-1]):
        return None

    # The strictest first: blanks part the columns of any such file.
    for separator in _SEPARATORS:
        rows = _cells(lines, separator)
        width = len(rows[0]) if rows else 0
        even = width > 1 and all(len(row) == width for row in rows)
        if even and not any(_is_no_word(cell) for row in rows for cell in row):
            return separator
    return None


def _is_no_word(cell: str) -> bool:
    """Say whether a cell cannot be a word: it is empty, or several."""
    return not cell or " " in cell


def _cells(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the cells of every line that is neither blank nor the mark of a document."""
    cut = _SEPARATORS[separator]
    rows = (line for line in lines if line.strip() and not line.startswith(DOCSTART))
    return [row.split(cut) for row in rows]


def _tag_column(lines: Sequence[str], separator: str) -> int:
    """Return the last column, unless another one holds entity tags and the last does not."""
    columns = zip(*_cells(lines, separator), strict=True)
    entities = [metrics.is_bio(list(set(column))) for column in columns]
    return entities.index(True) if any(entities) and not entities[-1] else -1


def _table_columns(path: str) -> dict[str, Any]:
    """Return the columns of text, pair, label and id, as the loader of tables chooses them."""
    options = table.Options(train=path)
    columns = table.choose_columns(table.read_table(path, options), options)
    names = {"text": columns.text, "pair": columns.pair or "", "label": columns.label}
    return names | ({"id": columns.id} if columns.id else {})


def _neighbours(path: Path) -> dict[str, str]:
    """Return the files beside a training file that are named like it, but for dev and test."""
    if not _TRAIN.search(path.name):
        return {}
    files = {}
    for split, words in _PARTS.items():
        names = (path.with_name(_TRAIN.sub(word, path.name, count=1)) for word in words)
        existing = next((name for name in names if name.is_file()), None)
        if existing is not None:
            files[split] = str(existing)
    return files


def _config_of(teacher: str) -> Mapping[str, Any]:
    """Return `config.json` of a teacher on this disk; {} for one that is still on the hub."""
    models = os.environ.get("DESTILA_MODELS")
    folders = [Path(teacher), *(Path(models) / name for name in spellings(teacher) if models)]
    folder = next((f for f in folders if (f / "config.json").is_file()), None)
    return read_folder(folder).config if folder else {}


def _max_length(dataset: Dataset, positions: int) -> int:
    """Return the smallest usual window in which about 95 % of the training texts fit.

    Questions stop at 256: windows slide over their contexts, and longer ones cost more than they
    gain.
    """
    words = [
        len(e.words) or len(e.text.split()) + len((e.pair or "").split())
        for e in dataset.splits["train"]
    ]
    needed = _TOKENS_PER_WORD * float(np.percentile(words, 95)) + 3  # three special tokens

    usual = [n for n in _WINDOWS if n <= positions] or [positions]
    length = next((n for n in usual if n >= needed), usual[-1])
    return min(length, _LONGEST_QUESTION) if task_of(dataset.task).asks_questions else length


def _study_name(path: Path) -> str:
    """Return the data file's name up to its first dot; its folder's, for `train...`."""
    # `data/ner/train.conll` is known as "ner".
    stem = path.name.split(".")[0] or path.name.strip(".")
    if stem.lower() in ("train", "training", "esp") and path.resolve().parent.name:
        stem = path.resolve().parent.name
    return re.sub(r"[^\w-]+", "-", stem).strip("-") or "study"
