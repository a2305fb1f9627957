"""Answer a few items: read each, ask a predictor about all at once, make one result of each.

What is wrong with one costs that one: its result is a RefusedResult. What was cut, replaced or
blank is said in `warning`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from destila.errors import DataError
from destila.inference.items import UserText, is_broken, rename_columns, whole_row
from destila.inference.predictor import Predictor
from destila.inference.undecided import leave_undecided
from destila.results import RefusedResult, Result
from destila.tasks.user_rows import row_name
from destila.types import Example, Task

Answered = tuple[UserText, Result]
"""What was asked, and its answer."""

_BLANK = "the text is blank"
_BROKEN = "a broken character stands as U+FFFD"


@dataclass(frozen=True, slots=True)
class Manner:
    """How texts are answered.

    columns: names that a row may have for `text`, `pair` and `id`, those of the training data.
    min_probability: labels of a lower one are null; None: all are given.
    strict: an error of a text is raised in its turn, behind the answers before it.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    min_probability: float | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model makes of one example.

    result: None where it is refused.
    refused: why it has no answer; "" where it has one.
    cut: what was not read, in words; "" where all was.
    """

    result: Result | None
    refused: str = ""
    cut: str = ""


Ask = Callable[[Sequence[Example]], list[Outcome]]
"""Asks a model about examples, here or elsewhere."""


@dataclass(slots=True)
class _Draft:
    """An answer in the making; error and result exclude each other."""

    item: UserText
    name: str
    example: Example | None = None
    result: Result | None = None
    error: str = ""
    warnings: list[str] = field(default_factory=list)


def answer_items(
    predictor: Predictor, numbered: Sequence[tuple[int, UserText]], manner: Manner, ask: Ask
) -> list[Answered]:
    """Return items with their answers, in order.

    Args:
        predictor: whose task and labels these are.
        numbered: items with their numbers, which name those without an `id`.
        manner: how.
        ask: is asked about all that can be read.
    """
    drafts = [_read(item, number, predictor, manner.columns) for number, item in numbered]

    # All that can be read and is not blank goes to the model together.
    asked = [draft for draft in drafts if draft.example and not draft.result]
    examples = [draft.example for draft in asked if draft.example]
    if examples:
        for draft, outcome in zip(asked, ask(examples), strict=True):
            draft.result, draft.error = outcome.result, outcome.refused
            if outcome.cut:
                draft.warnings.append(outcome.cut)

    return [(draft.item, _write(draft, manner)) for draft in drafts]


def answer_examples(
    predictor: Predictor, examples: Sequence[Example], *, beside: bool = False
) -> list[Outcome]:
    """Ask a model about examples, all at once.

    Args:
        predictor: the model.
        examples: what is asked.
        beside: other threads do the same, so that this one keeps to itself.
    """
    encoded = predictor.encode(examples)
    predictions = predictor.decode(examples, encoded, beside=beside)
    outcomes = []
    for row, (example, prediction) in enumerate(zip(examples, predictions, strict=True)):
        refused, cut = encoded.refused.get(row, ""), encoded.cut.get(row, "")
        result = predictor.task.to_result(example, prediction, predictor.labels)
        outcomes.append(Outcome(None if refused else result, refused, cut))
    return outcomes


def _read(item: UserText, number: int, predictor: Predictor, columns: Mapping[str, str]) -> _Draft:
    """Read an item as an example of the task, or note why it cannot be."""
    task = predictor.task
    row = rename_columns(whole_row(item.row), columns)
    draft = _Draft(item, row_name(row, number), error=item.fault)
    if item.fault:
        return draft

    # A context of blanks has no answer, whatever the model would say of nothing.
    try:
        draft.example = task.read_row(row, number)
    except DataError as error:
        draft.error = str(error)
        return draft
    if _is_blank(draft.example, task):
        if blank := task.answer_blank():
            draft.result = task.to_result(draft.example, blank, predictor.labels)
        draft.warnings.append(_BLANK)
    if is_broken(row):
        draft.warnings.append(_BROKEN)
    return draft


def _is_blank(example: Example, task: Task) -> bool:
    """Return whether there is nothing to read; of a question, no context to find its answer in."""
    text = (example.pair or "") if task.asks_questions else example.text + (example.pair or "")
    return not text or text.isspace()


def _write(draft: _Draft, manner: Manner) -> Result:
    """Make the result of an answer."""
    if draft.error:
        return RefusedResult(draft.name, f"{draft.item.place}: {draft.error}")

    result = draft.result
    assert result is not None
    if manner.min_probability is not None:
        result = leave_undecided(result, manner.min_probability)
    if draft.warnings:
        result = replace(result, warning="; ".join(draft.warnings))  # type: ignore[type-var]
    return result
