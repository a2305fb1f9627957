"""Detect what a data file is, and write it down as a recipe. No torch.

Task, columns and labels are detected from the file and then read by the very loader that the recipe
names, so a recipe that was written can be run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from destila import datasets
from destila.datasets import table
from destila.errors import ConfigError
from destila.formats import tables
from destila.formats.charset import detect_encoding, text_lines
from destila.formats.columns import DOCSTART
from destila.formats.squad import is_squad
from destila.study.intake.default_models import default_models
from destila.study.intake.file_choices import FileChoices
from destila.study.intake.other_columns import other_labels, other_texts
from destila.study.intake.several_labels import find_label_columns, find_separator
from destila.study.planning.data import scored_task
from destila.study.planning.folds import FOLDS, SMALL
from destila.study.planning.recipe import Recipe
from destila.tasks import metrics, task_of
from destila.tasks.span.options import SpanOptions
from destila.training.options import TrainOptions
from destila.types import Dataset

_LOOK = 2000
"""Lines that are looked at to tell the kind of a file."""

IMBALANCED = 0.8
"""Share of the most frequent label above which accuracy is no fair score."""

_TRAIN = re.compile("train(ing)?")
_PARTS = {"dev": ("dev", "valid", "validation", "val", "testa"), "test": ("test", "testb")}
_WINDOWS = (64, 128, 256, 512)
_LONGEST_QUESTION = 256
_LONGEST_NAME = 100  # of a study: it becomes a folder
_TOKENS_PER_WORD = 1.5
_OF_TABLES = {"text", "pair", "label", "label_separator", "sheet"}
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
        remarks: what was chosen where a user may want something else, in sentences.
    """

    use: str
    task: str
    options: dict[str, Any]
    labels: tuple[str, ...]
    dataset: Dataset
    remarks: tuple[str, ...] = ()


def detect(path: str, choices: FileChoices | None = None) -> Detected:
    """Return kind, task, columns and labels of a data file.

    A file named train... takes its dev and test neighbours along.

    Args:
        path: of the file.
        choices: what the user says of it; None: nothing.

    Raises:
        DataError: when the file holds no examples.
        ConfigError: when columns are chosen of a file that is no table.
    """
    use, options, remarks = find_reader(path, choices or FileChoices())
    dataset = datasets.load({"use": use} | options)
    return Detected(use, dataset.task, options, dataset.labels, dataset, tuple(remarks))


def find_reader(path: str, choices: FileChoices) -> tuple[str, dict[str, Any], list[str]]:
    """Return the plug-in that reads a data file, its options, and what was chosen, in sentences.

    Args:
        path: of the file.
        choices: what the user says of it.

    Raises:
        ConfigError: columns or a sheet are chosen of a file that has none.
    """
    files = {"train": path} | _neighbours(Path(path))
    encoding, remarks = _encoding_of(files, choices)
    workbook = tables.table_kind(Path(path)) == "xlsx"
    if choices.sheet is not None and not workbook:
        raise ConfigError(f"--sheet {choices.sheet}: {path} is no Excel file: leave --sheet out")

    # The first lines tell the kind; the loader then reads the whole file as the recipe will.
    lines = []
    if not workbook:
        lines = list(islice(text_lines(path, encoding), _LOOK))
    use, columns = _kind_of(path, lines, encoding)
    options = files | columns | ({"encoding": encoding} if encoding else {})
    if use == "table":
        given = choices.model_dump(include=_OF_TABLES, exclude_none=True)
        options, more = _table_options(options | given)
        remarks += more
    elif choices.text or choices.pair or choices.label or choices.label_separator:
        raise ConfigError(
            f"{path} is no table ({use}): --text, --pair, --label and --label-separator say what "
            "its columns are"
        )
    return use, options, remarks


def recipe_for(
    data: Detected, path: Path, teacher: str | None, choices: FileChoices | None = None
) -> Recipe:
    """Return a recipe with our defaults for detected data.

    Args:
        data: what `detect` says of the file.
        path: the file; the study is named after it.
        teacher: folder, hub name or file of labels; None: teacher and student start from scratch,
            with a tokenizer of their own text.
        choices: what the user says; None: nothing.

    Raises:
        ConfigError: the task has no such score as `choices.metric`.
    """
    choices = choices or FileChoices()
    models = default_models(data.dataset, teacher, choices.size)

    # Where one label is nearly everything, accuracy says nothing and the others must count more.
    changes: dict[str, Any] = {}
    if largest_share(data.dataset) > IMBALANCED:
        changes = {"metric": "macro_f1", "train": TrainOptions(class_weights="balanced")}
    if choices.metric is not None:
        changes["metric"] = choices.metric
    if folds := folds_for(data):
        changes["folds"] = folds

    # Questions without an answer need a threshold to be left unanswered.
    unanswerable = any(e.answers == () for e in data.dataset.splits["train"])
    recipe = Recipe(
        name=choices.name or study_name(path),
        data={"use": data.use} | data.options,
        span=SpanOptions(null_threshold=0.0 if unanswerable else None),
        max_length=_max_length(data.dataset, models.positions),
        teachers=(models.teacher,),
        students=models.students,
        distil=models.distil,
        **changes,
    )
    scored_task(recipe, data.dataset)  # a score that there is not is said now
    return recipe


def folds_for(data: Detected) -> int:
    """Return the folds by which a small set is scored; 0 where it has enough texts, or splits."""
    splits = data.dataset.splits
    texts = {example.text for examples in splits.values() for example in examples}
    rows = sum(map(len, splits.values()))
    own = "dev" in data.options or "test" in data.options
    if own or rows >= SMALL or not task_of(data.dataset.task).whole_example:
        return 0
    return FOLDS if len(texts) >= 2 * FOLDS else 0


def largest_share(dataset: Dataset) -> float:
    """Return the share of the most frequent label in train; 0 where a text has several or none."""
    train = dataset.splits["train"]
    counts = Counter(e.target for e in train if isinstance(e.target, str))
    return max(counts.values(), default=0) / max(len(train), 1)


def _encoding_of(files: Mapping[str, str], choices: FileChoices) -> tuple[str | None, list[str]]:
    """Return the encoding to write into a recipe, None for UTF-8 or several, and what to say."""
    if choices.encoding is not None:
        return choices.encoding, []
    texts = [path for path in files.values() if tables.table_kind(Path(path)) != "xlsx"]
    encodings = {path: detect_encoding(path) for path in texts}
    others = sorted(set(encodings.values()) - {"utf-8"})
    remarks = [f"{path} is read as {name}" for path, name in encodings.items() if name in others]
    same = len(set(encodings.values())) == 1
    return (others[0] if others and same else None), remarks


def _kind_of(path: str, lines: Sequence[str], encoding: str | None) -> tuple[str, dict[str, Any]]:
    """Return the plug-in that reads a file and the columns it needs to know, by the first lines."""
    kind = tables.table_kind(Path(path))
    if kind == "xlsx":
        return "table", {}
    if kind == "json" and is_squad(path, encoding):
        return "squad", {}
    if _is_conllu(lines):
        return "conllu", {"column": "upos"}

    separator = None if kind in ("json", "jsonl") else _column_separator(lines)
    if separator is not None:
        tag = _tag_column(lines, separator)
        return "conll", {"word": 0, "tag": tag, "separator": separator}
    return "table", {}


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


def _table_options(given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return options with the columns that the loader of tables chooses, and what to say of them.

    Args:
        given: files, and columns where the user chose them.
    """
    options = table.Options(**given)
    rows = table.read_table(options.train, options)
    columns = table.choose_columns(rows, options)
    names = {"text": columns.text, "pair": columns.pair or "", "label": columns.label}

    # A guess that could be another column is said, with how to choose that one.
    remarks = []
    of_labels = find_label_columns(rows, columns, options)
    if of_labels is not None:
        names |= of_labels[0]
        remarks += of_labels[1]
    elif options.label is None and (labels := other_labels(rows, columns)):
        listed = ", ".join(f"'{name}' ({count})" for name, count in labels.items())
        remarks.append(
            f"the label is column '{columns.label}' ({table.count_values(rows, columns.label)} "
            f"values); it could also be {listed}: choose with --label '{next(iter(labels))}'"
        )
    if options.text is None and (texts := other_texts(rows, columns)):
        listed = ", ".join(f"'{name}'" for name in texts)
        remarks.append(
            f"the text is column '{columns.text}'; it could also be {listed}: choose with "
            f"--text '{texts[0]}'"
        )
    one_column = of_labels is None and options.label_separator is None
    if one_column and (separator := find_separator(rows, columns.label)):
        names["label_separator"] = separator
        remarks.append(
            f"rows have several labels, parted by '{separator}', and each label counts for itself; "
            "for one label a row: --label-separator ''"
        )
    return given | names | ({"id": columns.id} if columns.id else {}), remarks


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


def study_name(path: Path) -> str:
    """Return what a study of a data file is called: as the file; `train...` as its folder."""
    # `data/ner/train.conll` is known as "ner".
    stem = path.name.split(".")[0] or path.name.strip(".")
    if stem.lower() in ("train", "training", "esp") and path.resolve().parent.name:
        stem = path.resolve().parent.name
    return re.sub(r"[^\w-]+", "-", stem)[:_LONGEST_NAME].strip("-") or "study"
