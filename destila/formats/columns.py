"""Column files: blocks of lines, words joined into a text, header tables without quoting, CoNLL-U.

The readers are shared by the named data sets and by the user's own files. They take lines and a name for
messages, so that plain, packed and in-memory sources read alike; lines come without their ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from destila.errors import DataError
from destila.plugins import nearest
from destila.types import CharSpan

Line = tuple[int, str]
"""Line number (from 1) and the line."""

DOCSTART = "-DOCSTART-"


def blocks(lines: Iterable[str]) -> Iterator[list[Line]]:
    """Runs of lines between blank ones (a line of blanks counts as blank)."""
    block: list[Line] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def join_words(groups: Iterable[tuple[str, int]]) -> tuple[str, tuple[CharSpan, ...]]:
    """Surfaces joined by one space, and spans: a surface that stands for n words gives n equal spans."""
    surfaces: list[str] = []
    spans: list[CharSpan] = []
    position = 0
    for surface, words in groups:
        spans += [(position, position + len(surface))] * words
        position += len(surface) + 1
        surfaces.append(surface)
    return " ".join(surfaces), tuple(spans)


@dataclass(frozen=True, slots=True)
class Tagged:
    """Words and tags of one sentence; `line` is where it starts."""

    line: int
    words: tuple[str, ...]
    tags: tuple[str, ...]


def tagged(
    lines: Iterable[str], where: str, *, word: int = 0, tag: int = -1, separator: str = ""
) -> Iterator[Tagged]:
    """Sentences of a column file; `-DOCSTART-` lines are skipped.

    separator: "" splits at any run of blanks; " " and a tab split at each one. word and tag are column
    numbers, negative ones count from the end. Raises DataError with the line number for a short line.
    """
    for block in blocks(lines):
        words: list[str] = []
        tags: list[str] = []
        for number, line in block:
            if (
                line.split(maxsplit=1)[0] == DOCSTART
            ):  # its columns are blanks apart in files of tabs, too
                continue
            cells = line.split(separator) if separator else line.split()
            if (
                not -len(cells) <= word < len(cells)
                or not -len(cells) <= tag < len(cells)
                or len(cells) < 2
            ):
                raise DataError(
                    f"{where}, line {number}: {len(cells)} column(s) in {line[:60]!r}, word is column {word} and tag column"
                    f" {tag}: repair the line, or set word, tag and separator"
                )
            if not cells[word] or not cells[tag]:
                raise DataError(
                    f"{where}, line {number}: an empty word or tag in {line[:60]!r}: repair the line"
                )
            words.append(cells[word])
            tags.append(cells[tag])
        if words:
            yield Tagged(block[0][0], tuple(words), tuple(tags))


def to_iob2(tags: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Tags in which every entity begins with `B-`, and how many `I-` were changed.

    Covers both a faulty `I-X` with no `X` before it and the IOB1 scheme, where `B-` is used between touching
    entities only; the entities that conlleval sees stay the same.
    """
    fixed: list[str] = []
    changed = 0
    before = "O"
    for tag in tags:
        if tag.startswith("I-") and before[2:] != tag[2:]:
            changed += 1
            fixed.append("B-" + tag[2:])
        else:
            fixed.append(tag)
        before = tag
    return tuple(fixed), changed


def is_iob1(sentences: Iterable[Sequence[str]]) -> bool:
    """True when entities begin with `I-` and every `B-` follows an entity of its own type."""
    starts = 0
    for tags in sentences:
        for before, tag in zip(["O", *tags], tags, strict=False):
            if tag.startswith("B-") and before[2:] != tag[2:]:
                return False
            starts += tag.startswith("I-") and before[2:] != tag[2:]
    return starts > 0


def tsv(
    lines: Iterable[str], where: str, *needed: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a tab separated file with a header, cells exactly as they are (a `"` is a character).

    needed: columns that must be there, each as a list of known names; a row has them under the first name.
    Raises DataError for a missing column or a row of another width, with its line number.
    """
    rows = enumerate(lines, 1)
    header = next(rows, (0, ""))[1].split("\t")
    rename: dict[str, str] = {}
    for names in needed:
        found = next((n for n in names if n in header), None)
        if found is None:
            raise DataError(
                f"{where}: the header has no column '{names[0]}'.{nearest(names[0], header)}"
            )
        rename[found] = names[0]
    keys = [rename.get(name, name) for name in header]
    for number, line in rows:
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(keys):
            raise DataError(
                f"{where}, line {number}: {len(cells)} columns, the header has {len(keys)}: the file must be tab separated"
            )
        yield number, dict(zip(keys, cells, strict=True))
