"""Files of a user as items to label: whatever a study can be made of, `predict` reads.

By a file's ending, packed or not: tables (CSV, TSV, Excel) with the columns of the training data;
JSON lines, a JSON list, SQuAD's JSON; for taggers column files and CoNLL-U; anything else is plain
text, one a line. The encoding is recognised. Every line, row or sentence is an item, also one that
is blank or cannot be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from destila.errors import ConfigError, DataError
from destila.formats.charset import text_lines
from destila.formats.columns import DOCSTART, blocks
from destila.formats.conllu import read_conllu
from destila.formats.squad import is_squad, read_squad
from destila.formats.tables import is_table, rows_and_faults, table_kind
from destila.inference.items import UserText, make_item
from destila.plugins import nearest
from destila.reading.values import MalformedError, parse_json
from destila.types import Task

_TEXT_KEYS = ("text", "pair", "question", "context")
"""Keys of a JSON row that hold a text."""

_PARTS = ("text", "pair", "id")
"""Parts of a text that `--columns` names."""

_COLUMN_FILES = (".conll", ".conll2002", ".conll2003", ".iob", ".iob2", ".bio", ".bio2")


def read_file(
    file: str,
    task: Task,
    columns: Mapping[str, str],
    *,
    jsonl: bool | None = None,
    named: Collection[str] = (),
    remedy: str = "Say which one it is with --columns {key}=NAME",
) -> Iterator[UserText]:
    """Return the items of a file, read lazily.

    Args:
        file: a path.
        task: what it is read for.
        columns: key of a task -> name of the column, of the training data.
        jsonl: each line is a JSON object, or none is; None: by the file's ending.
        named: columns that the user has named, which a table must have.
        remedy: what to do where a table lacks a column, whose key in a row is {key}.

    Raises:
        DataError: the file cannot be read at all, or lacks the column of the texts.
    """
    # What was asked for, whatever the ending says.
    if jsonl is not None:
        return read_lines(text_lines(file, replace=True), task, jsonl=jsonl, where=file)

    # Tables, and the formats of one task.
    path = Path(file)
    kind = table_kind(path) if is_table(path) else ""
    if kind in ("csv", "tsv", "xlsx"):
        return _table_items(file, task, columns, named, remedy)
    if kind == "json" and task.asks_questions and is_squad(path):
        return _question_items(file)
    if kind == "json" and _begins(file, "["):
        return _list_items(file)
    if task.needs_words and (words := _word_items(file)) is not None:
        return words

    return read_lines(text_lines(file, replace=True), task, jsonl=bool(kind), where=file)


def read_lines(
    lines: Iterable[str], task: Task, *, jsonl: bool | None, where: str
) -> Iterator[UserText]:
    """Yield the items of lines, blank ones included.

    Args:
        lines: with or without line ends.
        task: a tab parts text and pair where it reads two.
        jsonl: each line is one JSON object; None: the first line tells.
        where: name of the file, for messages.
    """
    source = iter(lines)
    if jsonl is None:
        first = list(islice(source, 1))
        source, jsonl = chain(first, source), any(map(_is_object, first))

    for number, line in enumerate(source, 1):
        text, place = line.rstrip("\r\n"), f"{where}, line {number}"
        if not text.strip():
            yield UserText(place, {"text": text, **({"pair": ""} if task.asks_questions else {})})
        elif jsonl:
            yield _json_item(text, place)
        elif task.has_pairs and "\t" in text:
            # A tab is part of the text where the task reads single texts.
            head, _, tail = text.partition("\t")
            yield UserText(place, {"text": head, "pair": tail})
        else:
            yield UserText(place, {"text": text})


def count_lines(file: str) -> int:
    """Count the lines of a text file, for a bar of progress; 0 for a workbook."""
    path = Path(file)
    if is_table(path) and table_kind(path) == "xlsx":
        return 0
    return sum(1 for _ in text_lines(file, replace=True))


def strings_of(files: Iterable[str]) -> Iterator[str]:
    """Yield every text of some files: lines, both sides of a tab, the strings of rows."""
    for file in files:
        kind = table_kind(Path(file)) if is_table(file) else ""
        if kind in ("csv", "tsv", "xlsx"):
            for _, row in rows_and_faults(file):
                yield from () if isinstance(row, DataError) else map(str, row.values())
            continue
        for item in _plain_items(file, is_json=bool(kind)):
            texts = [item.row[key] for key in _TEXT_KEYS if key in item.row]
            if words := item.row.get("words"):
                texts.append(" ".join(map(str, words)))
            yield from (text for text in texts if isinstance(text, str) and text.strip())


def _plain_items(file: str, *, is_json: bool) -> Iterator[UserText]:
    """Yield the lines of a file whatever a task would make of them."""
    for number, line in enumerate(text_lines(file, replace=True), 1):
        if is_json and line.strip():
            yield _json_item(line, f"{file}, line {number}")
        else:
            head, _, tail = line.partition("\t")
            yield UserText("", {"text": head, "pair": tail})


def _table_items(
    file: str, task: Task, columns: Mapping[str, str], named: Collection[str], remedy: str
) -> Iterator[UserText]:
    """Yield the rows of a table, by the columns that the task reads."""
    names: dict[str, str] | None = None
    for number, row in rows_and_faults(file):
        place = f"{file}, line {number}"
        if isinstance(row, DataError):
            yield _fault(place, row)
            continue

        # The header is known with the first row.
        if names is None:
            for lacking in set(named) - set(row):
                raise DataError(f"{file}: no column '{lacking}'.{nearest(lacking, list(row))}")
            names = _choose_columns(list(row), task, columns, file, remedy)
        yield UserText(place, {key: row[name] for key, name in names.items()}, cells=row)


def _choose_columns(
    header: Sequence[str], task: Task, columns: Mapping[str, str], file: str, remedy: str
) -> dict[str, str]:
    """Return which column of a table is what.

    Those of the training data come first, then columns called as in JSON.

    Raises:
        DataError: no column is the text, or, where one is needed, the second text.
    """
    others = {"text": "question", "pair": "context"} if task.asks_questions else {}
    chosen = {}
    for key in ("text", "pair", "id"):
        called = (columns.get(key), key, others.get(key))
        name = next((name for name in called if name in header), None)
        if name is not None and (key != "pair" or task.has_pairs):
            chosen[key] = name

    # A table of one column holds nothing else.
    if "text" not in chosen and len(header) == 1 and not task.asks_questions:
        chosen["text"] = header[0]
    needed = ("text", "pair") if task.asks_questions or "pair" in columns else ("text",)
    for key in needed:
        if key not in chosen:
            wanted = columns.get(key, others.get(key, key))
            raise DataError(
                f"{file}: no column '{wanted}'.{nearest(wanted, list(header))} "
                f"{remedy.format(key=key)}"
            )
    return chosen


def _list_items(file: str) -> Iterator[UserText]:
    """Yield the objects or strings of a JSON list."""
    for number, row in rows_and_faults(file):
        place = f"{file}, item {number}"
        yield _fault(place, row) if isinstance(row, DataError) else make_item(row, place)


def _question_items(file: str) -> Iterator[UserText]:
    """Yield the questions of SQuAD's JSON."""
    for example in read_squad(file, "question", Counter()):
        row = {"id": example.id, "text": example.text, "pair": example.pair}
        yield UserText(f"{file}, question '{example.id}'", row)


def _word_items(file: str) -> Iterator[UserText] | None:
    """Return the sentences of a file with a word a line; None for any other file."""
    suffixes = [suffix.lower() for suffix in Path(file).suffixes]
    if ".conllu" in suffixes:
        return _conllu_items(file)
    if any(suffix in _COLUMN_FILES for suffix in suffixes):
        return _block_items(file)
    return None


def _block_items(file: str) -> Iterator[UserText]:
    """Yield the sentences of a column file, whose words stand in the first column."""
    for block in blocks(text_lines(file, replace=True)):
        words = [line.split(maxsplit=1)[0] for _, line in block]
        if words := [word for word in words if word != DOCSTART]:
            yield UserText(f"{file}, line {block[0][0]}", {"words": words})


def _conllu_items(file: str) -> Iterator[UserText]:
    """Yield the sentences of a CoNLL-U file."""
    for sentence in read_conllu(text_lines(file, replace=True), file):
        words = [sentence.text[start:end] for start, end in sentence.words]
        yield UserText(f"{file}, sentence '{sentence.id}'", {"id": sentence.id, "words": words})


def _begins(file: str, sign: str) -> bool:
    """Return whether the first character of a file that is not blank is a sign."""
    for line in text_lines(file, replace=True):
        if line.strip():
            return line.lstrip().startswith(sign)
    return False


def _is_object(line: str) -> bool:
    """Return whether a line is a JSON object with something to label, which no person's text is."""
    try:
        row = parse_json(line)
    except MalformedError:
        return False
    return isinstance(row, dict) and bool({"text", "words", "question"} & row.keys())


def _json_item(text: str, place: str) -> UserText:
    """Make an item of the JSON of a line."""
    try:
        value = parse_json(text)
    except MalformedError as error:
        return UserText(place, {}, f"not a JSON object ({error})")
    if not isinstance(value, dict):
        kind = "null" if value is None else type(value).__name__
        return UserText(place, {}, f"not a JSON object but {kind}")
    return UserText(place, value)


def _fault(place: str, error: DataError) -> UserText:
    """Make the item of a row that cannot be read; its place is said once."""
    return UserText(place, {}, str(error).removeprefix(f"{place}: "), cells=error.cells)


def columns_named(pairs: Iterable[str]) -> dict[str, str]:
    """Return the columns of `text=NAME` and the like, by their parts.

    Raises:
        ConfigError: a pair is none, or names another part.
    """
    columns: dict[str, str] = {}
    for part, equals, name in (pair.partition("=") for pair in pairs):
        if part not in _PARTS or not equals or not name:
            given = f"--columns {part}{equals}{name}"
            raise ConfigError(
                f"{given}: write text=NAME, pair=NAME or id=NAME, with commas between"
            )
        columns[part] = name
    return columns
