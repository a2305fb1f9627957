"""Answers of low probability: "undecided", their label None and the best one kept beside it."""

from __future__ import annotations

from dataclasses import replace

from destila.results import AnswerResult, LabelResult, LabelsResult, Result, SpansResult, TextSpan


def leave_undecided(result: Result, least: float) -> Result:
    """Return a result whose labels of a probability below `least` are None.

    What the model likes best stands under `best` then, so that nothing is lost. Of several labels
    of a text those below are left out. An answer to a question that says that there is none stays.

    Args:
        result: of a text.
        least: the lowest probability of what counts as decided.
    """
    if isinstance(result, LabelResult) and result.probability < least:
        return replace(result, label=None, best=result.label)
    if isinstance(result, LabelsResult):
        likely = tuple(name for name in result.labels if result.probabilities[name] >= least)
        return replace(result, labels=likely)
    if isinstance(result, SpansResult):
        return replace(result, spans=tuple(_span(span, least) for span in result.spans))
    if isinstance(result, AnswerResult) and result.answer and result.probability < least:
        return replace(result, answer=None, best=result.answer)
    return result


def _span(span: TextSpan, least: float) -> TextSpan:
    """Return a span, its label None where it is unlikely."""
    return span if span.probability >= least else replace(span, label=None, best=span.label)
