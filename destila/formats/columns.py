"""Column files: blocks of lines, words joined into a text, tags, tab separated tables.

The readers are shared by the named data sets and by the user's own files. They take lines and a
name for messages, so that plain, packed and in-memory sources read alike; lines come without their
ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from destila.errors import DataError
from destila.plugins import nearest
from destila.types import CharSpan

NumberedLine = tuple[int, str]
"""Line number (from 1) and the line."""

DOCSTART = "-DOCSTART-"


def blocks(lines: Iterable[str]) -> Iterator[list[NumberedLine]]:
    """Yield runs of lines between blank ones; a line of blanks counts as blank."""
    block: list[NumberedLine] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []

    # A file need not end in a blank line.
    if block:
        yield block


def join_words(groups: Iterable[tuple[str, int]]) -> tuple[str, tuple[CharSpan, ...]]:
    """Join surfaces by one space; return the text and the spans of the words.

    Args:
        groups: surfaces, and how many words each stands for; these have equal spans.
    """
    surfaces: list[str] = []
    spans: list[CharSpan] = []
    position = 0
    for surface, words in groups:
        spans += [(position, position + len(surface))] * words
        position += len(surface) + 1  # the space
        surfaces.append(surface)
    return " ".join(surfaces), tuple(spans)


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words and tags of one sentence; `line` is where it starts."""

    line: int
    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_tagged(
    lines: Iterable[str], where: str, *, word: int = 0, tag: int = -1, separator: str = ""
) -> Iterator[TaggedSentence]:
    """Read the sentences of a column file; `-DOCSTART-` lines are skipped.

    Args:
        lines: of the file.
        where: its name in messages.
        word: column of the word; negative numbers count from the end.
        tag: column of the tag.
        separator: "" splits at any run of blanks; " " and a tab split at each one.

    Raises:
        DataError: a line is too short, with its number.
    """
    for block in blocks(lines):
        words: list[str] = []
        tags: list[str] = []
        for number, line in block:
            # Its columns are blanks apart, also in files of tabs.
            if line.split(maxsplit=1)[0] == DOCSTART:
                continue

            # Both columns must be there, and not be the same one.
            cells = line.split(separator) if separator else line.split()
            count = len(cells)
            if count < 2 or not all(-count <= column < count for column in (word, tag)):
                raise DataError(
                    f"{where}, line {number}: {count} column(s) in {line[:60]!r}, word is column "
                    f"{word} and tag column {tag}: repair the line, or set word, tag and separator"
                )
            if not cells[word] or not cells[tag]:
                raise DataError(
                    f"{where}, line {number}: an empty word or tag in {line[:60]!r}: repair the "
                    "line"
                )

            words.append(cells[word])
            tags.append(cells[tag])

        if words:
            yield TaggedSentence(block[0][0], tuple(words), tuple(tags))


def to_iob2(tags: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Return tags in which every entity begins with `B-`, and how many `I-` were changed.

    Covers both a faulty `I-X` with no `X` before it and the IOB1 scheme, where `B-` is used between
    touching entities only; the entities that conlleval sees stay the same.
    """
    fixed: list[str] = []
    changed = 0
    before = "O"
    for tag in tags:
        # Nothing of this type stands before it, so the entity begins here.
        if tag.startswith("I-") and before[2:] != tag[2:]:
            changed += 1
            fixed.append("B-" + tag[2:])
        else:
            fixed.append(tag)
        before = tag
    return tuple(fixed), changed


def is_iob1(sentences: Iterable[Sequence[str]]) -> bool:
    """Tell whether entities begin with `I-` and every `B-` follows an entity of its own type."""
    starts = 0
    for tags in sentences:
        for before, tag in zip(["O", *tags], tags, strict=False):
            follows_own = before[2:] == tag[2:]
            if tag.startswith("B-") and not follows_own:
                return False
            starts += tag.startswith("I-") and not follows_own
    return starts > 0


def tsv_rows(
    lines: Iterable[str], where: str, *needed: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a tab separated file with a header as (line number, column -> cell).

    Cells are exactly as they stand in the file; a `"` is a character.

    Args:
        lines: of the file.
        where: its name in messages.
        needed: columns that must be there, each as a list of known names; a row has them under the
            first name.

    Raises:
        DataError: a column is missing, or a row is of another width, with its line number.
    """
    # The header, its needed columns under their first names.
    rows = enumerate(lines, 1)
    header = next(rows, (0, ""))[1].split("\t")
    first_names = dict(_first_name(names, header, where) for names in needed)
    columns = [first_names.get(name, name) for name in header]

    # The rows; no cell holds a tab or a line end, as nothing is quoted.
    for number, line in rows:
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise DataError(
                f"{where}, line {number}: {len(cells)} columns, the header has {len(columns)}: the "
                "file must be tab separated"
            )
        yield number, dict(zip(columns, cells, strict=True))


def _first_name(names: Sequence[str], header: Sequence[str], where: str) -> tuple[str, str]:
    """Return the name of a column in the header, and the first of its known names."""
    for name in names:
        if name in header:
            return name, names[0]
    raise DataError(
        f"{where}: the header has no column '{names[0]}'.{nearest(names[0], list(header))}"
    )
