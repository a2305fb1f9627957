"""Answers of low probability: "undecided", their label None and the best one kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from destila.errors import ConfigError
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


def probability_for(facts: Mapping[str, Any], precision: float) -> float:
    """Return the lowest probability at which a model's labels had a precision on dev.

    Args:
        facts: destila.json of the model, whose `thresholds` a study writes.
        precision: that is wanted, 0-1.

    Raises:
        ConfigError: the model has no threshold of so high a precision.
    """
    known = [each for each in facts.get("thresholds") or () if each["precision"] >= precision]
    if known:
        return float(min(each["min_probability"] for each in known))

    reached = [f"{each['precision']:g}" for each in facts.get("thresholds") or ()]
    what = (
        f"it reached {', '.join(reached)}" if reached else "only classifiers of a study have them"
    )
    raise ConfigError(
        f"no threshold for a precision of {precision:g} is known of this model ({what}): give "
        "--min-probability"
    )


def _span(span: TextSpan, least: float) -> TextSpan:
    """Return a span, its label None where it is unlikely."""
    return span if span.probability >= least else replace(span, label=None, best=span.label)
