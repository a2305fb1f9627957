"""A user's own table: one or two texts and a label per row.

CSV (`,` `;` or tab), TSV, JSON lines or a JSON list, plain, .gz, .xz or .zst, or Excel (.xlsx).

source: yours   licence: yours
notes: columns are found by their names, else by their content, or named in the options. In tab
separated files a `"` is a character. Rows without text or without label are dropped and counted.
Dev and test are optional: what is missing is cut out of train by hash of the text, a tenth each,
equal texts together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._repair import unit_labels
from destila.datasets._split import check_labels, fill_splits, finish
from destila.datasets._zero_one import label_columns, labels_of_columns
from destila.errors import DataError
from destila.formats.tables import TableRow, table_kind, table_rows
from destila.plugins import nearest
from destila.types import Dataset, Example

TASK = "classify"
SEVERAL = "multilabel"
"""The task of rows with several labels."""

LABELS = None

_TEXT_NAMES = (
    "text", "texto", "sentence1", "premise", "premisa", "sentence", "oracion", "oración",
    "frase", "question1", "content", "contenido", "document", "documento", "review", "reseña",
    "tweet", "comentario", "mensaje", "utterance",
)  # fmt: skip
_PAIR_NAMES = (
    "pair", "sentence2", "hypothesis", "hipótesis", "hipotesis", "text2", "texto2", "question2",
    "text_pair",
)  # fmt: skip
_LABEL_NAMES = (
    "label", "labels", "gold_label", "etiqueta", "clase", "class", "category", "categoría",
    "categoria", "intent", "intención", "intencion", "topic", "tema", "sentiment",
    "sentimiento", "target", "tipo", "etiquetas", "categories", "categorías", "categorias",
    "topics", "temas", "tags", "emociones", "emotions",
)  # fmt: skip
_ID_NAMES = (
    "id", "pairid", "guid", "identifier", "identificador",
)  # fmt: skip


class Options(_Options):
    """Files and columns."""

    train: str = opt(..., "table file")
    dev: str | None = opt(None, "none = a tenth of train, by hash")
    test: str | None = opt(None, "none = a tenth of train, by hash")
    text: str | None = opt(None, "column of the text; none = found by name or content")
    pair: str | None = opt(
        None, "column of the second text; none = found by name, '' = there is none"
    )
    label: str | None = opt(
        None,
        "column of the label, or columns of 0 and 1 that are a label each, as a,b,c; none = found "
        "by name or content",
    )
    id: str | None = opt(
        None, "column of the identifier; none = found by name, else the line number"
    )
    delimiter: str | None = opt(
        None, "of a CSV file; none = the one of , ; tab that the header has most"
    )
    encoding: str | None = opt(None, "of the files, such as cp1252; none = recognised", later=True)
    sheet: str | None = opt(None, "of an Excel file; none = the first", later=True)
    label_separator: str | None = opt(
        None,
        "what parts several labels of a row, such as | ; none or '' = one label a "
        "row, lists in JSON apart; with columns of 0 and 1 '' says the same, none any number",
        later=True,
    )


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what; pair and id may be missing."""

    text: str
    label: str
    pair: str | None = None
    id: str | None = None

    def names(self) -> dict[str, str]:
        """Return the columns that there are, by what they are."""
        return {role: name for role, name in asdict(self).items() if name is not None}


def load(options: Options) -> Dataset:
    """Load the splits.

    Raises:
        DataError: a row is faulty, the label column is the text, or a label is not in train.
    """
    notes: Counter[str] = Counter()
    columns: Columns | None = None
    splits = {}
    for split, path in {"train": options.train, "dev": options.dev, "test": options.test}.items():
        if path is None:
            continue

        # The columns of train are those of all files.
        rows = read_table(path, options)
        columns = columns or choose_columns(rows, options)
        _check_header(rows, columns, path)
        _check_keys(rows, columns, path)
        splits[split] = _examples(rows, columns, split, path, notes, options.label_separator)

        if split == "train":
            if not splits[split]:
                raise DataError(
                    f"{path}: no row has both '{columns.text}' and '{columns.label}': give other "
                    "columns (--text and --label, or data.text and data.label in the recipe)"
                )
            labels = [label for e in splits[split] for label in unit_labels(e)]
            check_labels(labels, f"{path}, column '{columns.label}'", "label")
    task = _task(splits, options.train)
    data = finish("table", task, LABELS, fill_splits(splits, options.train, notes), notes)
    names = columns.names() if columns else {}
    if options.label_separator:
        names["label_separator"] = options.label_separator
    return replace(data, columns=names)


def read_table(path: str, options: Options) -> list[TableRow]:
    """Read all rows of a table file; raise DataError when there is none."""
    rows = list(
        table_rows(
            path,
            delimiter=options.delimiter,
            encoding=options.encoding,
            sheet=options.sheet,
        )
    )
    # A header alone is a file that was cut off, or a wrong one.
    if not rows:
        raise DataError(f"{path} has a header but no rows: give a file with examples")
    return rows


def choose_columns(rows: Sequence[TableRow], options: Options) -> Columns:
    """Choose columns by the options, else by name, else by content.

    Raises:
        DataError: there is no such column, or none for the text or the label.
    """
    # A misspelt option is an error, not a reason to guess.
    path, names = options.train, list(rows[0][1])
    labels = label_columns(options.label, names) if options.label else []
    for name in (options.text, options.pair, options.id, *labels):
        if name and name not in names:
            raise DataError(f"{path}: no column '{name}'.{nearest(name, names)}")

    # The text is what is longest, the label what has fewest values.
    label = options.label or _named(names, _LABEL_NAMES)
    others = [name for name in names if name != label and name not in labels]
    text = options.text or _named(others, _TEXT_NAMES)
    if text is None:
        text = max(others, key=lambda name: mean_length(rows, name), default=None)
    if label is None:
        known = {*_ID_NAMES, *_PAIR_NAMES}
        others = [name for name in names if name != text and name.lower() not in known]
        # A column that always says the same tells nothing apart.
        counts = {name: count_values(rows, name) for name in others}
        label = min(others, key=lambda name: (counts[name] < 2, counts[name]), default=None)

    # With one column there is nothing left for the other role.
    if text is None or label is None:
        raise DataError(
            f"{path}: a table needs a text and a label column, it has {', '.join(names)}: give "
            "a file with both"
        )
    if text == label or text in labels:
        raise DataError(
            f"{path}: column '{text}' cannot be both text and label: give another column "
            "(--text or --label)"
        )

    # Pair and id are optional; "" says that there is no pair.
    free = [name for name in names if name not in (text, label, *labels)]
    pair = options.pair or None
    if options.pair is None:
        pair = _named(free, _PAIR_NAMES)
    id_ = options.id or _named([name for name in free if name != pair], _ID_NAMES)
    return Columns(text, label, pair, id_)


def _check_header(rows: Sequence[TableRow], columns: Columns, path: str) -> None:
    """Raise DataError when the first line is an example rather than the names of the columns."""
    if table_kind(Path(path)) in ("json", "jsonl"):
        return

    # A header that is an example repeats its own label somewhere below.
    if any(row.get(columns.label) == columns.label for _, row in rows):
        raise DataError(
            f"{path}: the first line is an example ('{columns.label}' is a label): put column "
            "names above it"
        )


def _check_keys(rows: Sequence[TableRow], columns: Columns, path: str) -> None:
    """Raise DataError for a row without one of the columns."""
    # JSON lines may differ in their keys from row to row.
    for number, row in rows:
        for key in (columns.text, columns.pair, *label_columns(columns.label, row)):
            if key is not None and key not in row:
                raise DataError(
                    f"{path}, line {number}: no column '{key}'.{nearest(key, sorted(row))}"
                )


def _task(splits: Mapping[str, Sequence[Example]], path: str) -> str:
    """Return the task that the labels of all rows ask for; raise DataError where they disagree."""
    kinds = {isinstance(e.target, tuple) for examples in splits.values() for e in examples}
    if len(kinds) > 1:
        raise DataError(
            f"{path}: some rows have a list of labels and some have one label: make all of them "
            "lists, or none"
        )
    return SEVERAL if kinds == {True} else TASK


def _examples(
    rows: Sequence[TableRow],
    columns: Columns,
    split: str,
    path: str,
    notes: Counter[str],
    separator: str | None,
) -> list[Example]:
    """Make examples of rows; those without text or label are dropped and counted."""
    examples = []
    labels = label_columns(columns.label, rows[0][1])
    for number, row in rows:
        text = _cell(row, columns.text, path, number)
        if len(labels) > 1:
            where = f"{path}, line {number}"
            label = labels_of_columns(row, labels, where, single=separator == "")
        else:
            label = _label(row, columns.label, path, number, separator)
        pair = _cell(row, columns.pair, path, number) if columns.pair else None

        if not text.strip() or (pair is not None and not pair.strip()):
            notes[f"{split} rows without text, dropped"] += 1
            continue

        # A row without a label is of no use: in train it may go, in test it changes the score.
        if label == "" and split == "test":
            raise DataError(
                f"{path}, line {number}: a test row without a label cannot be scored: label it or "
                "take it out"
            )
        if label == "":
            notes[f"{split} rows without label, dropped"] += 1
            continue

        # Line numbers lead back to the file where rows have no id.
        name = _cell(row, columns.id, path, number) if columns.id else ""
        name = name or f"{split}-{number}"
        examples.append(Example(name, text, pair=pair, target=label, meta={"line": number}))
    return examples


def _label(
    row: Mapping[str, Any], key: str, path: str, number: int, separator: str | None
) -> str | tuple[str, ...]:
    """Return the label of a row, or all of them, sorted; "" where nobody has said any."""
    # An empty list says that no label applies; an empty cell may say so or not, and is left out.
    value = row.get(key)
    if isinstance(value, list):
        names = {str(each).strip() for each in value}
        if any(isinstance(each, list | dict) for each in value) or "" in names:
            raise DataError(f"{path}, line {number}: '{key}' must be a list of label names")
        return tuple(sorted(names))

    label = _cell(row, key, path, number).strip()
    if not separator or not label:
        return label
    return split_labels(label, separator)


def split_labels(cell: str, separator: str) -> tuple[str, ...]:
    """Return the labels of a cell, sorted; a list as Python writes it, `['a', 'b']`, counts too."""
    inside = re.fullmatch(r"\[(.*)\]", cell.strip(), re.DOTALL)
    parts = (inside[1] if inside else cell).split(separator)
    quotes = " '\"" if inside else " "
    return tuple(sorted({part.strip().strip(quotes) for part in parts} - {""}))


def _cell(row: Mapping[str, Any], key: str, path: str, number: int) -> str:
    """Return a cell as text; raise DataError for a list or an object."""
    value = row.get(key)
    if isinstance(value, str):  # nearly always, and there may be millions
        return value
    if isinstance(value, list | dict):
        raise DataError(
            f"{path}, line {number}: '{key}' is a {type(value).__name__}: give one text or one "
            "label per row"
        )
    return "" if value is None else str(value)


def _named(names: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the column whose lower-case name comes first in `known`."""
    # People write headers in capitals; the known names are in order of preference.
    lower = {name.lower(): name for name in names}
    return next((lower[name] for name in known if name in lower), None)


def mean_length(rows: Sequence[TableRow], name: str) -> float:
    """Return the mean length of a column's cells, in characters."""
    return sum(len(str(row.get(name) or "")) for _, row in rows) / len(rows)


def count_values(rows: Sequence[TableRow], name: str) -> int:
    """Count the different values of a column."""
    return len({str(row.get(name)) for _, row in rows})
