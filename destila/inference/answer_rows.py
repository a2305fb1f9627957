"""Answers as rows of a file: JSON lines, or a table of the input's columns and the answers'."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from destila.formats.charset import text_lines
from destila.formats.tables import DELIMITERS
from destila.inference.answer_items import Answered

_TABLES = {".csv": ",", ".tsv": "\t"}
_INPUT = ("id", "text", "pair")
_ALWAYS = ("warning", "error")
"""Columns that most rows leave empty, at the end of every table of answers."""


class RowWriter(Protocol):
    """Makes rows of a file of answers, the first one perhaps a header."""

    header: bool

    def rows(self, answered: Iterable[Answered], *, header: bool) -> Iterator[str]:
        """Yield rows without line ends; `header`: also that, where there is one."""


class JsonRows:
    """Rows of JSON lines."""

    header = False

    def rows(self, answered: Iterable[Answered], *, header: bool) -> Iterator[str]:  # noqa: ARG002
        """Yield the printed object of every answer."""
        for _, result in answered:
            yield json.dumps(result.to_dict(), ensure_ascii=False)


class TableRows:
    """Rows of a CSV or TSV file.

    Args:
        sample: an answer of the model, which shows its columns.
        delimiter: between cells; a tab leaves no cell quoted, its line ends become blanks.
    """

    header = True

    def __init__(self, sample: Mapping[str, Any], delimiter: str) -> None:
        answers = (key for key in _flat(sample) if key not in _INPUT)
        self.answers = list(dict.fromkeys(chain(answers, _ALWAYS)))
        self.delimiter = delimiter

    def rows(self, answered: Iterable[Answered], *, header: bool) -> Iterator[str]:
        """Yield the header, then the cells of every input beside those of its answer.

        The columns of the first row that could be read are those of all. A column of the input
        keeps its name; one of the answers that is called alike is `predicted_NAME`.
        """
        ahead: list[Answered] = []
        source = iter(answered)
        first: Mapping[str, Any] = {}
        for each in source:
            ahead.append(each)
            if each[0].cells is not None or not each[0].fault or len(ahead) > 1000:
                first = each[0].cells or {}
                break
        inputs = list(first) or [key for key in _INPUT if key != "pair"]
        taken = set(inputs)

        if header:
            names = [f"predicted_{key}" if key in taken else key for key in self.answers]
            yield self._line([*inputs, *names])
        for item, result in chain(ahead, source):
            answer = _flat(result.to_dict())
            cells = item.cells if first else answer
            yield self._line(
                [*((cells or {}).get(key, "") for key in inputs)]
                + [answer.get(key, "") for key in self.answers]
            )

    def _line(self, cells: list[Any]) -> str:
        """Write cells as one row."""
        texts = ["" if cell is None else str(cell) for cell in cells]
        if self.delimiter == "\t":
            return "\t".join(" ".join(text.replace("\t", " ").splitlines()) for text in texts)
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=self.delimiter).writerow(texts)
        return buffer.getvalue().removesuffix("\r\n")


def is_answer_table(out: str | Path) -> bool:
    """Return whether a file of answers is a table, by its ending."""
    return Path(out).suffix.lower() in _TABLES


def delimiter_of(out: str | Path, file: str | None) -> str:
    """Return what parts the cells of a table of answers: what its input has, of two CSV files."""
    ending = Path(out).suffix.lower()
    if ending == ".csv" and file is not None and ".csv" in Path(file).suffixes:
        header = next(islice(text_lines(file, replace=True), 1), "")
        return max((",", ";"), key=header.count) if header else DELIMITERS[0]
    return _TABLES[ending]


def _flat(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with one value a column: of all probabilities that of the label."""
    cells = dict(answer)
    chances = cells.pop("probabilities", None)
    if isinstance(chances, Mapping) and ("label" in cells or "best" in cells):
        label = cells.get("label") or cells.get("best")
        cells["probability"] = chances.get(label, "")
    elif isinstance(chances, Mapping):
        cells["probabilities"] = chances
    return {
        key: json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
        for key, value in cells.items()
    }
