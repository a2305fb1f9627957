"""CoNLL-U: sentences of words with one of their tag columns.

Multiword tokens (`13-14 del` = `de` + `el`) are read in one of two ways. `words` gives the syntactic words,
whose span is the shared surface. `underscore` keeps the range line as a word tagged `_` before its parts, as
the data behind the published POS numbers does (18 classes); surface material then occurs twice.
Empty nodes (`8.1`) are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from destila.errors import DataError
from destila.formats.columns import Line, blocks, join_words
from destila.types import CharSpan

Mwt = Literal["words", "underscore"]
COLUMNS = {"upos": 3, "xpos": 4, "deprel": 7}
UPOS = (
    "NOUN", "PUNCT", "ADP", "NUM", "SYM", "SCONJ", "ADJ", "PART", "DET",
    "CCONJ", "PROPN", "PRON", "X", "_", "ADV", "INTJ", "VERB", "AUX",
)  # fmt: skip
"""The 17 universal tags and `_`, in the published models' order."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: `text` is its words joined by one space, not the `# text` line."""

    id: str
    text: str
    words: tuple[CharSpan, ...]
    tags: tuple[str, ...]
    multiword: int
    empty_nodes: int


def sentences(
    lines: Iterable[str], where: str, *, column: str = "upos", mwt: Mwt = "words"
) -> Iterator[Sentence]:
    """Sentences of a CoNLL-U file; raises DataError with the line number."""
    for count, block in enumerate(blocks(lines), 1):
        comments = [line for _, line in block if line.startswith("#")]
        rows = [(number, line) for number, line in block if not line.startswith("#")]
        if rows:
            name = next(
                (c.partition("=")[2].strip() for c in comments if c.startswith("# sent_id")),
                str(count),
            )
            yield _sentence(name, rows, where, COLUMNS[column], mwt)


def _sentence(name: str, rows: list[Line], where: str, column: int, mwt: Mwt) -> Sentence:
    groups: list[tuple[str, int]] = []
    tags: list[str] = []
    multiword = empty = inside = 0
    for number, line in rows:
        cells = line.split("\t")
        if len(cells) != 10:
            raise DataError(
                f"{where}, line {number}: {len(cells)} columns, CoNLL-U has 10, tab separated"
            )
        token, form, tag = cells[0], cells[1], cells[column]
        if "." in token:
            empty += 1
        elif "-" in token:
            multiword += 1
            if mwt == "underscore":
                groups.append((form, 1))
                tags.append("_")
            else:
                inside = _width(token, where, number)
                groups.append((form, inside))
        else:
            tags.append(tag)
            if inside:
                inside -= 1
            else:
                groups.append((form, 1))
    if inside:
        raise DataError(f"{where}, line {rows[-1][0]}: the sentence ends inside a multiword token")
    text, words = join_words(groups)
    return Sentence(name, text, words, tuple(tags), multiword, empty)


def _width(token: str, where: str, number: int) -> int:
    first, _, last = token.partition("-")
    if not (first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise DataError(f"{where}, line {number}: '{token}' is not a range of words such as 13-14")
    return int(last) - int(first) + 1
