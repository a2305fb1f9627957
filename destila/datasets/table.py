"""A user's own table: one or two texts and a label per row.

CSV (`,` `;` or tab), TSV, JSON lines or a JSON list, plain, .gz or .zst.

source: yours   licence: yours
notes: columns are found by their names, else by their content, or named in the options. In tab separated files a
`"` is a character. Rows without text or without label are dropped and counted. Dev and test are optional: what
is missing is cut out of train by hash of the text, a tenth each, equal texts together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._split import check_labels, fill, finish
from destila.errors import DataError
from destila.formats import tables
from destila.plugins import nearest
from destila.types import Dataset, Example

TASK = "classify"
LABELS = None

TEXT = ("text", "texto", "sentence1", "premise", "premisa", "sentence", "oracion", "oración", "frase", "question1",
        "content", "contenido", "document", "documento", "review", "reseña", "tweet", "comentario", "mensaje", "utterance")  # fmt: skip
PAIR = (
    "pair",
    "sentence2",
    "hypothesis",
    "hipótesis",
    "hipotesis",
    "text2",
    "texto2",
    "question2",
    "text_pair",
)
LABEL = ("label", "labels", "gold_label", "etiqueta", "clase", "class", "category", "categoría", "categoria",
         "intent", "intención", "intencion", "topic", "tema", "sentiment", "sentimiento", "target", "tipo")  # fmt: skip
ID = ("id", "pairid", "guid", "identifier", "identificador")
Row = tuple[int, dict[str, Any]]


class Options(_Options):
    """Files and columns."""

    train: str = opt(..., "table file")
    dev: str | None = opt(None, "none = a tenth of train, by hash")
    test: str | None = opt(None, "none = a tenth of train, by hash")
    text: str | None = opt(None, "column of the text; none = found by name or content")
    pair: str | None = opt(
        None, "column of the second text; none = found by name, '' = there is none"
    )
    label: str | None = opt(None, "column of the label; none = found by name or content")
    id: str | None = opt(
        None, "column of the identifier; none = found by name, else the line number"
    )
    delimiter: str | None = opt(
        None, "of a CSV file; none = the one of , ; tab that the header has most"
    )


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what; pair and id may be missing."""

    text: str
    label: str
    pair: str | None = None
    id: str | None = None


def load(options: Options) -> Dataset:
    """The splits; raises DataError for a faulty row, a label column that is the text, or a label train lacks."""
    notes: Counter[str] = Counter()
    columns: Columns | None = None
    splits = {}
    for split, path in {"train": options.train, "dev": options.dev, "test": options.test}.items():
        if path is None:
            continue
        rows = read(path, options.delimiter)
        columns = columns or choose(rows, options)
        _check_header(rows, columns, path)
        _check_keys(rows, columns, path)
        splits[split] = _examples(rows, columns, split, path, notes)
        if split == "train":
            if not splits[split]:
                raise DataError(
                    f"{path}: no row has both '{columns.text}' and '{columns.label}': set text and label"
                )
            labels = [str(e.target) for e in splits[split]]
            check_labels(labels, f"{path}, column '{columns.label}'", "label")
    return finish("table", TASK, LABELS, fill(splits, options.train), notes)


def read(path: str, delimiter: str | None = None) -> list[Row]:
    """All rows of a table file with their line numbers; raises DataError, also when there is none."""
    found = list(tables.table_rows(Path(path), delimiter=delimiter))
    if not found:
        raise DataError(f"{path} has a header but no rows: give a file with examples")
    return found


def choose(rows: Sequence[Row], options: Options) -> Columns:
    """Columns by the options, else by name, else by content; raises DataError when that is not possible."""
    path, names = options.train, list(rows[0][1])
    for given in (options.text, options.pair, options.label, options.id):
        if given and given not in names:
            raise DataError(f"{path}: no column '{given}'.{nearest(given, names)}")
    label = options.label or _named(names, LABEL)
    text = options.text or _named([n for n in names if n != label], TEXT)
    if text is None:
        text = max(
            (n for n in names if n != label), key=lambda n: _mean_length(rows, n), default=None
        )
    if label is None:
        rest = [n for n in names if n != text and n.lower() not in (*ID, *PAIR)]
        label = min(rest, key=lambda n: len({str(row.get(n)) for _, row in rows}), default=None)
    if text is None or label is None:
        raise DataError(
            f"{path}: a table needs a text and a label column, it has {', '.join(names)}: set text and label"
        )
    if text == label:
        raise DataError(
            f"{path}: column '{text}' cannot be both text and label: set text and label apart"
        )
    free = [n for n in names if n not in (text, label)]
    pair = _named(free, PAIR) if options.pair is None else options.pair or None
    return Columns(text, label, pair, options.id or _named([n for n in free if n != pair], ID))


def _check_header(rows: Sequence[Row], columns: Columns, path: str) -> None:
    """Nothing; raises DataError when the first line is an example rather than the names of the columns."""
    if tables.table_kind(Path(path)) in ("csv", "tsv") and columns.label in {
        row.get(columns.label) for _, row in rows
    }:
        raise DataError(
            f"{path}: the first line is an example ('{columns.label}' is a label): put column names above it"
        )


def _check_keys(rows: Sequence[Row], columns: Columns, path: str) -> None:
    """Nothing; raises DataError for a row without one of the columns."""
    for number, row in rows:
        for key in (columns.text, columns.label, columns.pair):
            if key is not None and key not in row:
                raise DataError(
                    f"{path}, line {number}: no column '{key}'.{nearest(key, sorted(row))}"
                )


def _examples(
    rows: Sequence[Row], columns: Columns, split: str, path: str, notes: Counter[str]
) -> list[Example]:
    examples = []
    for number, row in rows:
        text, label = (
            _cell(row, columns.text, path, number),
            _cell(row, columns.label, path, number).strip(),
        )
        pair = _cell(row, columns.pair, path, number) if columns.pair else None
        if not text.strip() or (pair is not None and not pair.strip()):
            notes[f"{split} rows without text, dropped"] += 1
        elif not label and split == "test":
            raise DataError(
                f"{path}, line {number}: a test row without a label cannot be scored: label it or take it out"
            )
        elif not label:
            notes[f"{split} rows without label, dropped"] += 1
        else:
            name = _cell(row, columns.id, path, number) if columns.id else ""
            examples.append(
                Example(
                    name or f"{split}-{number}",
                    text,
                    pair=pair,
                    target=label,
                    meta={"line": number},
                )
            )
    return examples


def _cell(row: Mapping[str, Any], key: str, path: str, number: int) -> str:
    value = row.get(key)
    if isinstance(value, list | dict):
        raise DataError(
            f"{path}, line {number}: '{key}' is a {type(value).__name__}: give one text or one label per row"
        )
    return "" if value is None else str(value)


def _named(names: Sequence[str], known: Sequence[str]) -> str | None:
    """The column whose lower-case name comes first in `known`."""
    lower = {name.lower(): name for name in names}
    return next((lower[name] for name in known if name in lower), None)


def _mean_length(rows: Sequence[Row], name: str) -> float:
    return sum(len(str(row.get(name) or "")) for _, row in rows) / len(rows)
