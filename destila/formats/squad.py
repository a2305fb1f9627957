"""Questions in SQuAD's JSON, v1.1 and v2: articles of paragraphs, each a context with its questions.

Format: Rajpurkar et al. 2016 (v1.1) and 2018 (v2, questions without an answer). An answer is its text and the place where
it begins; in real files that place is often wrong (counted in bytes, in UTF-16, or before a translation), so it is checked
and the text is looked for. Everything repaired or dropped is counted; a file of another shape is one error with its place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from destila.errors import DataError
from destila.files import open_text
from destila.types import CharSpan, Example

_KINDS: dict[type, str] = {list: "a list", str: "a text"}


def read(path: Path | str, split: str, notes: Counter[str]) -> list[Example]:
    """The questions of a file in order: text is the question, pair its context, answers the places of the answers.

    Every distinct reference answer is kept, the first one first. A question whose answers are all empty, or that says
    `is_impossible`, has answers (); one without the key has None. meta: title and the paragraph's number.
    split: names questions without an id, and the notes. notes: counted into. Raises DataError with the position.
    """
    found: list[Example] = []
    seen: Counter[str] = Counter()
    for where, meta, context, question in _questions(path):
        text = _get(question, "question", str, where, path)
        given = question.get("id")
        name = f"{split}-{len(found) + 1}" if given is None else str(given)
        seen[name] += 1
        if seen[name] > 1:
            notes[f"{split} ids that occur again, numbered"] += 1
            name = _free(name, seen)
        if not text.strip():
            notes[f"{split} questions without text, dropped"] += 1
            continue
        answers = _answers(question, context, where, path, split, notes)
        if answers is None and question.get("answers"):
            notes[f"{split} questions without an answer that is in the context, dropped"] += 1
            continue
        found.append(Example(name, text, pair=context, answers=answers, meta=meta))
    if not found and seen:
        raise DataError(
            f"{path}: none of its {seen.total()} questions has text and an answer that is in its context"
        )
    if not found:
        raise DataError(
            f"{path}: no question in it: a SQuAD file lists them under data, paragraphs, qas"
        )
    return found


def is_squad(path: Path | str) -> bool:
    """True for a JSON file whose object has articles with paragraphs; raises DataError for a file that cannot be read."""
    try:
        content = json.loads("\n".join(open_text(path)))
    except json.JSONDecodeError:
        return False
    data = content.get("data") if isinstance(content, dict) else None
    return (
        isinstance(data, list)
        and bool(data)
        and isinstance(data[0], dict)
        and "paragraphs" in data[0]
    )


def _questions(path: Path | str) -> Iterator[tuple[str, Mapping[str, Any], str, dict[str, Any]]]:
    """(place, meta, context, question object) of every question."""
    try:
        content = json.loads("\n".join(open_text(path)))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno} (character {error.pos}) is not valid JSON: {error.msg}."
            " Repair the file or fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path}: SQuAD's JSON is an object with 'data', this is a {type(content).__name__}"
        )
    for a, article in enumerate(_get(content, "data", list, "the file", path)):
        for p, paragraph in enumerate(_get(article, "paragraphs", list, f"data[{a}]", path)):
            where = f"data[{a}].paragraphs[{p}]"
            context = _get(paragraph, "context", str, where, path)
            if not context.strip():
                raise DataError(
                    f"{path}: the context of {where} is empty: give its text or take the paragraph out"
                )
            meta = {"title": str(article.get("title") or f"article {a + 1}"), "paragraph": p}
            for q, question in enumerate(_get(paragraph, "qas", list, where, path)):
                yield f"{where}.qas[{q}]", meta, context, question


def _get(item: Any, key: str, kind: type, where: str, path: Path | str) -> Any:
    if not isinstance(item, dict):
        raise DataError(f"{path}: {where} is a {type(item).__name__}, not an object with '{key}'")
    if not isinstance(item.get(key), kind):
        what = "has no" if item.get(key) is None else f"has a {type(item[key]).__name__} as"
        raise DataError(f"{path}: {where} {what} '{key}': it must be {_KINDS[kind]}")
    return item[key]


def _answers(
    question: dict[str, Any],
    context: str,
    where: str,
    path: Path | str,
    split: str,
    notes: Counter[str],
) -> tuple[CharSpan, ...] | None:
    """Places of the answers; None for a question without labels, or when none of its answers is in the context."""
    if question.get("is_impossible") is True:
        return ()
    if question.get("answers") is None:
        return None
    places, empty, listed = [], 0, _get(question, "answers", list, where, path)
    for n, answer in enumerate(listed):
        text = _get(answer, "text", str, f"{where}.answers[{n}]", path)
        start = answer.get("answer_start")
        if not isinstance(start, int) or isinstance(start, bool):
            raise DataError(
                f"{path}: {where}.answers[{n}] has no 'answer_start': it must be a whole number"
            )
        if not text.strip():
            empty += 1
            continue
        place = _place(context, text, start)
        if place is None:
            notes[f"{split} answers that are not in their context, dropped"] += 1
            continue
        notes[f"{split} answers with a wrong offset, found again"] += place[0] != start + _blanks(
            text
        )
        places.append(place)
    notes[f"{split} empty answers, dropped"] += empty if len(listed) > empty else 0
    notes[f"{split} questions whose answers are empty, read as without answer"] += (
        0 < empty == len(listed)
    )
    return tuple(dict.fromkeys(places)) if places or empty == len(listed) else None


def _place(context: str, text: str, start: int) -> CharSpan | None:
    """Where the answer stands, without blanks around it: at `start`, else its nearest occurrence, else None."""
    bare, start = text.strip(), start + _blanks(text)
    if start >= 0 and context.startswith(bare, start):
        return start, start + len(bare)
    places, at = [], context.find(bare)
    while at >= 0:
        places.append(at)
        at = context.find(bare, at + 1)
    if not places:
        return None
    nearest = min(places, key=lambda place: abs(place - start))
    return nearest, nearest + len(bare)


def _blanks(text: str) -> int:
    return len(text) - len(text.lstrip())


def _free(name: str, seen: Counter[str]) -> str:
    """The name with the first number that makes it new."""
    number = seen[name]
    while f"{name}-{number}" in seen:
        number += 1
    seen[f"{name}-{number}"] += 1
    return f"{name}-{number}"
