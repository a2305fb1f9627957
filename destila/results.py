"""What a finished model says of one text: an object with named parts, one class for each task.

`to_dict` gives the object that `destila predict` prints (docs/reference/json.md). Offsets are code
points, half-open; probabilities are ratios, rounded to six digits as they are printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import starmap
from typing import Any, Protocol

_LEFT_OUT = ("pair", "best", "warning")
"""Parts that the printed object has only where there is something to say."""


class Result(Protocol):
    """Anything that is said of one text.

    id: of the text, its number where it was given none.
    warning: what was not read as it stands, such as a word longer than the window; None: nothing.
    """

    @property
    def id(self) -> str:
        """Name of the text."""

    @property
    def warning(self) -> str | None:
        """What was cut or replaced; None: nothing."""

    def to_dict(self) -> dict[str, Any]:
        """Return the printed object."""


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The label of a text, or of a pair of texts.

    label: None where the best one is less likely than was asked for; it is `best` then.

    Example: `LabelResult("0", "Me encantó.", "positivo", {"positivo": 0.98, "negativo": 0.02})`.
    """

    id: str
    text: str
    label: str | None
    probabilities: Mapping[str, float]
    pair: str | None = None
    best: str | None = None
    warning: str | None = None

    @property
    def probability(self) -> float:
        """Probability of the label, or of the best one."""
        return self.probabilities[self.label or self.best or ""]

    def to_dict(self) -> dict[str, Any]:
        """Return the printed object."""
        parts: dict[str, Any] = {"id": self.id, "text": self.text, "pair": self.pair}
        parts["label"] = self.label
        parts |= {"best": self.best, "probabilities": dict(self.probabilities)}
        return _said(parts | {"warning": self.warning})


@dataclass(frozen=True, slots=True)
class LabelsResult:
    """All labels of a text, or of a pair, that apply: none, one or several.

    Probabilities are those of each label for itself, and do not add up to 1.
    """

    id: str
    text: str
    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
    pair: str | None = None
    warning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the printed object."""
        parts = {"id": self.id, "text": self.text, "pair": self.pair, "labels": list(self.labels)}
        return _said(parts | {"probabilities": dict(self.probabilities), "warning": self.warning})


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A labelled part of a text: `text` is what stands at [start, end).

    label: None where it is less likely than was asked for; it is `best` then.
    """

    start: int
    end: int
    label: str | None
    text: str
    probability: float
    best: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the printed object."""
        span: dict[str, Any] = {"start": self.start, "end": self.end, "label": self.label}
        span |= {"text": self.text, "probability": self.probability}
        return span if self.best is None else span | {"best": self.best}


@dataclass(slots=True)
class _OpenSpan:
    """A TextSpan that is not frozen yet: Python sets the parts of one five times as fast."""

    start: int
    end: int
    label: str | None
    text: str
    probability: float
    best: str | None = None


def text_spans(values: Iterable[tuple[Any, ...]]) -> tuple[TextSpan, ...]:
    """Make spans of the values of their parts: the same as one by one, in a third of the time.

    A text of 30 words may have 30 of them, which is most of what its answer costs in Python.
    """
    spans: list[Any] = list(starmap(_OpenSpan, values))
    for span in spans:
        span.__class__ = TextSpan  # of the same slots, so it may
    return tuple(spans)


@dataclass(frozen=True, slots=True)
class SpansResult:
    """The labelled spans of a text: entities, or one for every word."""

    id: str
    text: str
    spans: tuple[TextSpan, ...]
    warning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the printed object."""
        spans = [span.to_dict() for span in self.spans]
        return _said({"id": self.id, "text": self.text, "spans": spans, "warning": self.warning})


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """The answer to a question, `context[start:end]`; "" where the context holds none.

    answer: None where it is less likely than was asked for; it is `best` then.
    null_probability: that the context holds no answer.
    """

    id: str
    answer: str | None
    start: int
    end: int
    probability: float
    null_probability: float
    best: str | None = None
    warning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the printed object."""
        parts: dict[str, Any] = {"id": self.id, "answer": self.answer}
        parts |= {"start": self.start, "end": self.end}
        parts |= {"probability": self.probability, "null_probability": self.null_probability}
        return _said(parts | {"best": self.best, "warning": self.warning})


@dataclass(frozen=True, slots=True)
class RefusedResult:
    """A text that could not be answered, and why; the others of its list are answered."""

    id: str
    error: str
    warning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the printed object."""
        return _said({"id": self.id, "error": self.error, "warning": self.warning})


def _said(parts: dict[str, Any]) -> dict[str, Any]:
    """Leave out the parts of a printed object of which there is nothing to say."""
    return {
        name: value for name, value in parts.items() if value is not None or name not in _LEFT_OUT
    }
