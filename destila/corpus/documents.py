"""Files of raw text -> documents, as a stream: plain text, JSON lines, Parquet; packed or not.

In plain text a blank line ends a document; in JSON lines and Parquet a row is one. A document
longer than a limit is cut between two lines into several, so that a file without blank lines costs
no more memory than any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from destila.errors import DataError, require
from destila.files import open_text
from destila.reading.escaping import short_value
from destila.reading.values import MalformedError, parse_json

LONGEST_LINE = 32 << 20
_SURE = 1000  # lines without a zero byte after which a file is text
_ROWS = 256  # Parquet rows held at once
_TEXTS = ("string", "large_string", "string_view")  # kinds of Parquet columns
_HALF = re.compile("[\ud800-\udfff]")  # half a surrogate pair, from broken JSON


def documents(
    path: str | Path, *, column: str = "text", longest: int = 1_000_000
) -> Iterator[list[str]]:
    """Stream the lines of each document of a file, blank ones left out.

    Zero bytes are dropped where a thousand lines without one came before.

    Args:
        path: text, JSON lines or Parquet by its ending, packed or not; it must exist when this is
            called.
        column: the field of JSON lines or Parquet that holds the text.
        longest: characters after which a document is cut.

    Raises:
        DataError: the file is missing, empty, damaged, no text or in another encoding (with the
            byte), or a row lacks the field.

    """
    path = Path(path)
    suffixes = [s for s in path.suffixes if s not in (".gz", ".xz", ".zst")]
    kind = suffixes[-1] if suffixes else ""
    if kind == ".parquet":
        if not path.is_file():
            raise DataError(f"no file at {path}: check the path")
        return _documents_of_rows(_parquet_texts(path, column), longest)

    lines = open_text(path, longest=LONGEST_LINE)
    if kind in (".jsonl", ".ndjson"):
        return _documents_of_rows(_json_texts(lines, path, column), longest)
    return _documents(_without_zero_bytes(lines, path), longest)


def _without_zero_bytes(lines: Iterable[str], path: Path) -> Iterator[str]:
    """Drop zero bytes; an early one makes a file no text, a late one is a slip of the pen."""
    for number, line in enumerate(lines, 1):
        if "\x00" in line:
            if number <= _SURE:
                raise DataError(
                    f"{path} is not text: line {number} holds a zero byte. Give text, JSON lines "
                    "or Parquet"
                )
            line = line.replace("\x00", "")
        yield line


def _documents(lines: Iterable[str], longest: int) -> Iterator[list[str]]:
    """Group lines between blank ones, cut where a group grows too long."""
    document: list[str] = []
    size = 0
    for line in lines:
        blank = not line or line.isspace()
        if document and (blank or size + len(line) > longest):
            yield document
            document, size = [], 0
        if not blank:
            document.append(line)
            size += len(line)
    if document:
        yield document


def _documents_of_rows(texts: Iterable[str], longest: int) -> Iterator[list[str]]:
    """Cut every text into lines, which are one document unless it is too long."""
    for text in texts:
        lines = _HALF.sub("\ufffd", text).splitlines()
        yield from _documents((line for line in lines if line.strip()), longest)


def _json_texts(lines: Iterable[str], path: Path, column: str) -> Iterator[str]:
    """Read the text of every JSON line."""
    for number, line in enumerate(lines, 1):
        if not line or line.isspace():
            continue

        try:
            row: Any = parse_json(line, missing=True)
        except MalformedError as error:
            raise DataError(f"{path}, line {number} is not JSON: {error}") from error
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            names = short_value(sorted(row) if isinstance(row, dict) else [])
            raise DataError(
                f"{path}, line {number} has no text under '{column}', only {names}: name the field"
            )
        yield row[column]


def _parquet_texts(path: Path, column: str) -> Iterator[str]:
    """Read the text of every row of a Parquet file."""
    pyarrow, parquet = require("pyarrow", "corpus"), require("pyarrow.parquet", "corpus")
    try:
        file = parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a Parquet file: {error}") from error

    with file:
        if column not in file.schema_arrow.names:
            raise DataError(
                f"{path} has no column '{column}', only {file.schema_arrow.names}: name the column"
            )

        # Bytes or a list would be written as Python shows them.
        kind = file.schema_arrow.field(column).type
        kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
        if str(kind) not in _TEXTS:
            raise DataError(
                f"{path}: column '{column}' holds {kind}, not text: name another column, or "
                "convert it"
            )

        try:
            for batch in file.iter_batches(batch_size=_ROWS, columns=[column]):
                yield from (text for text in batch.column(0).to_pylist() if text is not None)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} is damaged: {error}") from error
