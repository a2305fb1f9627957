"""Questions in SQuAD's JSON, v1.1 and v2: articles of paragraphs, each a context and questions.

Format: Rajpurkar et al. 2016 (v1.1) and 2018 (v2, questions without an answer). An answer is its
text and the place where it begins; in real files that place is often wrong (counted in bytes, in
UTF-16, or before a translation), so it is checked and the text is looked for. Everything repaired
or dropped is counted; a file of another shape is one error with its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.errors import DataError
from destila.formats.charset import text_lines
from destila.reading.values import MalformedError, parse_json
from destila.types import CharSpan, Example

_KINDS: dict[type, str] = {list: "a list", str: "a text"}


@dataclass(frozen=True, slots=True)
class _Question:
    """A question object of the file. where: its place, such as `data[0].paragraphs[3].qas[1]`."""

    where: str
    meta: Mapping[str, Any]
    context: str
    content: dict[str, Any]


def read_squad(
    path: Path | str, split: str, notes: Counter[str], encoding: str | None = None
) -> list[Example]:
    """Read the questions of a file in order.

    An example's text is the question, its pair the context, its answers the places of the answers.
    Every distinct reference answer is kept, the first one first. A question whose answers are all
    empty, or that says `is_impossible`, has answers (); one without the key has None. meta: title
    and the paragraph's number.

    Args:
        path: JSON file, packed or not.
        split: names questions without an id, and the notes.
        notes: what was repaired or dropped is counted into it.
        encoding: of the file; None recognises it.

    Raises:
        DataError: the file is of another shape, with the position, or no question of it is left.
    """
    examples: list[Example] = []
    seen: Counter[str] = Counter()
    for question in _questions(path, encoding):
        text = _get(question.content, "question", str, question.where, path)

        # Ids are unique in a split.
        id_ = question.content.get("id")
        name = f"{split}-{len(examples) + 1}" if id_ is None else str(id_)
        seen[name] += 1
        if seen[name] > 1:
            notes[f"{split} ids that occur again, numbered"] += 1
            name = _free_name(name, seen)

        # What has no text, or had answers of which none is there, cannot be used.
        if not text.strip():
            notes[f"{split} questions without text, dropped"] += 1
            continue
        answers = _answers(question, path, split, notes)
        if answers is None and question.content.get("answers"):
            notes[f"{split} questions without an answer that is in the context, dropped"] += 1
            continue
        examples.append(
            Example(name, text, pair=question.context, answers=answers, meta=question.meta)
        )

    if not examples and seen:
        raise DataError(
            f"{path}: none of its {seen.total()} questions has text and an answer that is in its "
            "context"
        )
    if not examples:
        raise DataError(
            f"{path}: no question in it: a SQuAD file lists them under data, paragraphs, qas"
        )
    return examples


def is_squad(path: Path | str, encoding: str | None = None) -> bool:
    """Tell whether a file is JSON whose object has articles with paragraphs.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        content = parse_json("\n".join(text_lines(path, encoding)))
    except MalformedError:
        return False
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, list) or not data:
        return False
    return isinstance(data[0], dict) and "paragraphs" in data[0]


def _questions(path: Path | str, encoding: str | None) -> Iterator[_Question]:
    """Yield every question of a file with its context."""
    try:
        content = parse_json("\n".join(text_lines(path, encoding)))
    except MalformedError as error:
        raise DataError(
            f"{path} is not valid JSON ({error}): repair the file or fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path}: SQuAD's JSON is an object with 'data', this is a {type(content).__name__}"
        )

    # Articles hold paragraphs, paragraphs hold questions.
    for a, article in enumerate(_get(content, "data", list, "the file", path)):
        for p, paragraph in enumerate(_get(article, "paragraphs", list, f"data[{a}]", path)):
            where = f"data[{a}].paragraphs[{p}]"
            context = _get(paragraph, "context", str, where, path)
            if not context.strip():
                raise DataError(
                    f"{path}: the context of {where} is empty: give its text or take the paragraph "
                    "out"
                )

            meta = {"title": str(article.get("title") or f"article {a + 1}"), "paragraph": p}
            for q, question in enumerate(_get(paragraph, "qas", list, where, path)):
                yield _Question(f"{where}.qas[{q}]", meta, context, question)


def _get(item: Any, key: str, kind: type, where: str, path: Path | str) -> Any:
    """Return a value of an object; raise DataError when it is missing or of another kind."""
    if not isinstance(item, dict):
        raise DataError(f"{path}: {where} is a {type(item).__name__}, not an object with '{key}'")
    value = item.get(key)
    if not isinstance(value, kind):
        fault = "has no" if value is None else f"has a {type(value).__name__} as"
        raise DataError(f"{path}: {where} {fault} '{key}': it must be {_KINDS[kind]}")
    return value


def _answers(
    question: _Question, path: Path | str, split: str, notes: Counter[str]
) -> tuple[CharSpan, ...] | None:
    """Return the places of the answers.

    None: the question has no labels, or none of its answers is in the context.
    """
    # Version 2 says so when there is no answer; a file to predict on has no answers at all.
    if question.content.get("is_impossible") is True:
        return ()
    if question.content.get("answers") is None:
        return None

    listed = _get(question.content, "answers", list, question.where, path)
    places: list[CharSpan] = []
    empty = 0
    for n, answer in enumerate(listed):
        where = f"{question.where}.answers[{n}]"
        text = _get(answer, "text", str, where, path)
        start = answer.get("answer_start")
        if not isinstance(start, int) or isinstance(start, bool):
            raise DataError(f"{path}: {where} has no 'answer_start': it must be a whole number")
        if not text.strip():
            empty += 1
            continue

        # A wrong place is mended where the text occurs elsewhere.
        place = _place(question.context, text, start)
        if place is None:
            notes[f"{split} answers that are not in their context, dropped"] += 1
            continue
        is_wrong = place[0] != start + _blanks(text)
        notes[f"{split} answers with a wrong offset, found again"] += is_wrong
        places.append(place)

    # Answers that are all empty mean that there is none.
    all_empty = empty == len(listed)
    notes[f"{split} empty answers, dropped"] += 0 if all_empty else empty
    without = all_empty and empty > 0
    notes[f"{split} questions whose answers are empty, read as without answer"] += without
    return tuple(dict.fromkeys(places)) if places or all_empty else None


def _place(context: str, text: str, start: int) -> CharSpan | None:
    """Return where an answer stands, without blanks around it; None when it does not occur.

    At `start`, else its nearest occurrence.
    """
    bare, start = text.strip(), start + _blanks(text)
    if start >= 0 and context.startswith(bare, start):
        return start, start + len(bare)

    # All its occurrences.
    places, place = [], context.find(bare)
    while place >= 0:
        places.append(place)
        place = context.find(bare, place + 1)
    if not places:
        return None
    nearest = min(places, key=lambda place: abs(place - start))
    return nearest, nearest + len(bare)


def _blanks(text: str) -> int:
    """Count the blanks that a text begins with."""
    return len(text) - len(text.lstrip())


def _free_name(name: str, seen: Counter[str]) -> str:
    """Return the name with the first number that makes it new."""
    number = seen[name]
    while f"{name}-{number}" in seen:
        number += 1
    seen[f"{name}-{number}"] += 1
    return f"{name}-{number}"
