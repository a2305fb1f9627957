"""CoNLL-U: sentences of words with one of their tag columns.

Multiword tokens (`13-14 del` = `de` + `el`) are read in one of two ways. `words` gives the
syntactic words, whose span is the shared surface. `underscore` keeps the range line as a word
tagged `_` before its parts, as the data behind the published POS numbers does (18 classes);
surface material then occurs twice. Empty nodes (`8.1`) are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from destila.errors import DataError
from destila.formats.columns import NumberedLine, blocks, join_words
from destila.reading.values import is_whole_number
from destila.types import CharSpan

MultiwordRule = Literal["words", "underscore"]
TAG_COLUMNS = {"upos": 3, "xpos": 4, "deprel": 7}
UPOS = (
    "NOUN", "PUNCT", "ADP", "NUM", "SYM", "SCONJ", "ADJ", "PART", "DET",
    "CCONJ", "PROPN", "PRON", "X", "_", "ADV", "INTJ", "VERB", "AUX",
)  # fmt: skip
"""The 17 universal tags and `_`, in the published models' order."""


@dataclass(frozen=True, slots=True)
class ConlluSentence:
    """One sentence: `text` is its words joined by one space, not the `# text` line.

    multiword, empty_nodes: how many multiword tokens were read, and empty nodes skipped.
    """

    id: str
    text: str
    words: tuple[CharSpan, ...]
    tags: tuple[str, ...]
    multiword: int
    empty_nodes: int


def read_conllu(
    lines: Iterable[str], where: str, *, column: str = "upos", mwt: MultiwordRule = "words"
) -> Iterator[ConlluSentence]:
    """Read the sentences of a CoNLL-U file.

    Args:
        lines: of the file.
        where: its name in messages.
        column: of the tags, one of `TAG_COLUMNS`.
        mwt: how multiword tokens are read.

    Raises:
        DataError: a line is none of the format, with its number.
    """
    for count, block in enumerate(blocks(lines), 1):
        comments = [line for _, line in block if line.startswith("#")]
        rows = [(number, line) for number, line in block if not line.startswith("#")]
        if not rows:
            continue

        # A sentence without an id of its own has its number in the file.
        ids = [c.partition("=")[2].strip() for c in comments if c.startswith("# sent_id")]
        id_ = ids[0] if ids else str(count)
        yield _read_sentence(id_, rows, where, TAG_COLUMNS[column], mwt)


@dataclass(slots=True)
class _Words:
    """What has been read of a sentence: surfaces with the words they stand for, tags, counts."""

    groups: list[tuple[str, int]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    multiword: int = 0
    empty_nodes: int = 0
    read: int = 0  # words, so that the next one has the number after it
    inside: int = 0  # the number of the last word of the open multiword token


def _read_sentence(
    id_: str, rows: list[NumberedLine], where: str, column: int, mwt: MultiwordRule
) -> ConlluSentence:
    """Read the lines of one sentence."""
    words = _Words()
    for number, line in rows:
        place = f"{where}, line {number}"
        cells = line.split("\t")
        if len(cells) != 10:
            raise DataError(f"{place}: {len(cells)} columns, CoNLL-U has 10, tab separated")

        # The first column says what the line is: 8.1 an empty node, 13-14 a range, 13 a word.
        token, form, tag = cells[0], cells[1], cells[column]
        if "." in token:
            _check_empty_node(words, token, place)
            words.empty_nodes += 1
            continue
        if not form.strip():
            raise DataError(f"{place}: the form of '{token}' is empty: write the word")
        if "-" in token:
            words.multiword += 1
            _open_multiword(words, token, form, place, mwt)
            continue

        _check_next(words, token, place)
        if not tag.strip():
            raise DataError(f"{place}: the tag of '{form}' (column {column + 1}) is empty")
        words.tags.append(tag)
        if words.read > words.inside or mwt == "underscore":
            words.groups.append((form, 1))

    if words.inside > words.read:
        raise DataError(f"{where}, line {rows[-1][0]}: the sentence ends inside a multiword token")

    text, spans = join_words(words.groups)
    return ConlluSentence(
        id=id_,
        text=text,
        words=spans,
        tags=tuple(words.tags),
        multiword=words.multiword,
        empty_nodes=words.empty_nodes,
    )


def _check_next(words: _Words, token: str, place: str) -> None:
    """Count a word; raise DataError when its number is not the next one."""
    words.read += 1
    if token != str(words.read):
        raise DataError(
            f"{place}: word '{token}' where word {words.read} must stand: words of a sentence are "
            "numbered 1, 2, 3, ..., and a blank line ends it"
        )


def _check_empty_node(words: _Words, token: str, place: str) -> None:
    """Raise DataError when an empty node does not follow the word that its number names."""
    word, _, order = token.partition(".")
    if word != str(words.read) or not is_whole_number(order):
        raise DataError(
            f"{place}: '{token}' is no empty node after word {words.read}, such as {words.read}.1"
        )


def _open_multiword(words: _Words, token: str, form: str, place: str, mwt: MultiwordRule) -> None:
    """Read the range line of a multiword token."""
    first, _, last = token.partition("-")
    known = is_whole_number(first) and is_whole_number(last)
    if not known or int(first) != words.read + 1 or int(last) <= int(first):
        raise DataError(f"{place}: '{token}' is not the range of the next words, such as 13-14")
    if words.read < words.inside:
        raise DataError(f"{place}: multiword token '{token}' begins inside another one")

    # The surface stands for the words of the range, which follow; or is a word of its own.
    words.inside = int(last)
    if mwt == "underscore":
        words.groups.append((form, 1))
        words.tags.append("_")
    else:
        words.groups.append((form, int(last) - words.read))
