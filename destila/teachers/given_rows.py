"""A line of labels that somebody else made -> probabilities of an example's units.

    one label a text   {"label": "a"}               or {"probabilities": {"a": 0.9, "b": 0.1}}
    several labels     {"labels": ["a", "b"]}       or {"probabilities": {"a": 0.9, "b": 0.8}}
    tags               {"labels": ["B-PER", "O"]}   or {"probabilities": [{"B-PER": 0.9, ...}, ...]}
                       {"spans": [{"start": 0, "end": 6, "label": "PER", "probability": 0.9}]}

What `destila predict` prints is such a line, and so is what most tools say of entities. A label
alone has the probability 1 - e, and e is spread over all labels (smoothing); a span's own
probability is that of its label, and what is left that of `O`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from destila.errors import DataError
from destila.plugins import nearest
from destila.reading.escaping import short_value
from destila.tasks import metrics
from destila.types import CharSpan, Example, Task

_SUM = 0.02
"""How far from 1 the sum of probabilities may be: they are often printed with two digits."""

_OUTSIDE = "O"
_SPANS = ("spans", "entities", "ents")
"""What a list of labelled spans is called: by destila, by most models, by spaCy."""


@dataclass(frozen=True, slots=True)
class LabelReader:
    """What reads lines of labels for one data set.

    Args:
        task: of the data.
        labels: of the data, in the order of every model's logits.
        label_map: names in the file -> those of the data, where they differ.
        smoothing: share of a label's mass that is spread over all labels.
    """

    task: Task
    labels: tuple[str, ...]
    label_map: Mapping[str, str] = field(default_factory=dict)
    smoothing: float = 0.1

    def read(self, row: Mapping[str, Any], example: Example) -> np.ndarray:
        """Return the probabilities [U, C] that a line gives to an example's units.

        Raises:
            DataError: a label is unknown, a probability is none, or there are too few of them.
        """
        if self.task.needs_words:
            return self._tags(row, example)
        chances = row.get("probabilities")
        if self.task.axis == 0:
            return self._several(row, chances)
        if chances is not None:
            return self._distribution(chances)[None]
        if row.get("label") is None:
            raise DataError("neither 'label' nor 'probabilities'")
        return self._one(row["label"])[None]

    def logits(self, chances: np.ndarray) -> np.ndarray:
        """Return logits [U, C] whose probabilities are those of a line, or a mean over lines."""
        # finite in half precision: a millionth is as good as never
        least = 1e-6
        if self.task.axis == 0:
            inside = chances.clip(least, 1 - least)
            odds: np.ndarray = np.log(inside) - np.log1p(-inside)
            return odds
        kept: np.ndarray = np.log((chances / chances.sum(-1, keepdims=True)).clip(least))
        return kept

    def _tags(self, row: Mapping[str, Any], example: Example) -> np.ndarray:
        """Return the distribution of every word, [U, C]."""
        words = len(example.words)
        for key, read in (("probabilities", self._distribution), ("labels", self._one)):
            values = row.get(key)
            if values is None:
                continue
            if not isinstance(values, list) or len(values) != words:
                count = f"{len(values)} {key}" if isinstance(values, list) else short_value(values)
                raise DataError(f"{count} for a text of {words} words")
            return np.array([read(value) for value in values]).reshape(words, len(self.labels))
        spans = next((row[key] for key in _SPANS if isinstance(row.get(key), list)), None)
        if spans is None:
            raise DataError("neither 'labels' nor 'probabilities' nor 'spans'")
        return self._spans(spans, example)

    def _spans(self, spans: Sequence[Any], example: Example) -> np.ndarray:
        """Return the distribution of every word by labelled spans of the text, [U, C]."""
        # what no span covers is outside; where every word has a label, that is a mistake
        bio = metrics.is_bio(self.labels)
        chances: list[np.ndarray | None] = [
            self._one(_OUTSIDE) if bio else None for _ in example.words
        ]
        for span in spans:
            if isinstance(span, Mapping) and span.get("label", "") is None:
                continue  # one that `predict --min-probability` left undecided
            start, end, label, chance = _parts(span, len(example.text))
            inside = [i for i, word in enumerate(example.words) if _overlap(word, start, end)]
            for place, word in enumerate(inside):
                name = self._name(label)
                if bio and name not in self.labels:
                    name = f"{'I' if place else 'B'}-{name}"
                chances[word] = self._one(name, chance)

        missing = [i for i, value in enumerate(chances) if value is None]
        if missing:
            start, end = example.words[missing[0]]
            raise DataError(f"no span covers the word '{example.text[start:end]}'")
        return np.array(chances).reshape(len(example.words), len(self.labels))

    def _several(self, row: Mapping[str, Any], chances: Any) -> np.ndarray:
        """Return the probability of each label for itself, [1, C]."""
        if chances is not None:
            values = self._values(chances)
            return np.array([[values.get(label, 0.0) for label in self.labels]])
        given = row.get("labels")
        if not isinstance(given, list):
            raise DataError("neither 'labels' nor 'probabilities'")
        half = self.smoothing / 2  # there or not there: two outcomes
        wanted = [self._known(label) for label in given]
        return np.array([[1 - half if label in wanted else half for label in self.labels]])

    def _distribution(self, chances: Any) -> np.ndarray:
        """Return probabilities [C] that sum to 1; what is left over goes to labels not listed."""
        values = self._values(chances)
        total = sum(values.values())
        others = len(self.labels) - len(values)
        if total > 1 + _SUM or (total < 1 - _SUM and not others) or not total:
            raise DataError(f"probabilities sum to {total:.3g}, not to 1")
        rest = max(0.0, 1 - total) / others if others else 0.0
        row = np.array([values.get(label, rest) for label in self.labels])
        whole: np.ndarray = row / row.sum()
        return whole

    def _one(self, label: Any, probability: float | None = None) -> np.ndarray:
        """Return the distribution [C] of one label: smoothed, or of its own probability."""
        name = self._known(label)
        row = np.full(len(self.labels), self.smoothing / len(self.labels))
        if probability is not None:
            # a span that may be none: the rest is that of no entity
            row = np.zeros(len(self.labels))
            outside = _OUTSIDE in self.labels and name != _OUTSIDE
            rest = [_OUTSIDE] if outside else [x for x in self.labels if x != name]
            for other in rest:
                row[self.labels.index(other)] = (1 - probability) / len(rest)
            row[self.labels.index(name)] = probability
            return row
        row[self.labels.index(name)] += 1 - self.smoothing
        return row

    def _values(self, chances: Any) -> dict[str, float]:
        """Return the probabilities of a line by our labels."""
        if not isinstance(chances, Mapping):
            raise DataError(f"probabilities = {short_value(chances)}: give {{label: number}}")
        values = {}
        for label, value in chances.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise DataError(f"probability of '{label}' = {short_value(value)}: not from 0 to 1")
            values[self._known(label)] = float(value)
        return values

    def _known(self, label: Any) -> str:
        """Return our name of a label; raise DataError when there is none."""
        name = self._name(label)
        if name not in self.labels:
            raise DataError(f"unknown label '{label}'.{nearest(name, list(self.labels))}")
        return name

    def _name(self, label: Any) -> str:
        """Return a label as the data write it: by the map, else whatever its case."""
        name = self.label_map.get(str(label), str(label))
        if name in self.labels:
            return name
        alike = [each for each in self.labels if each.casefold() == name.casefold()]
        return alike[0] if len(alike) == 1 else name


def _parts(span: Any, size: int) -> tuple[int, int, Any, float | None]:
    """Return start, end, label and probability of a span; raise DataError for what is none."""
    if not isinstance(span, Mapping):
        raise DataError(f"span {short_value(span)}: give {{start, end, label}}")
    start, end, label = (span.get(key) for key in ("start", "end", "label"))
    whole = isinstance(start, int) and isinstance(end, int) and not isinstance(start, bool)
    if not whole or not 0 <= start < end <= size or not label:  # type: ignore[operator]
        raise DataError(f"span {short_value(dict(span))} lies not in a text of {size} characters")
    chance = span.get("probability", span.get("score"))
    if chance is not None and (not isinstance(chance, int | float) or not 0 <= chance <= 1):
        raise DataError(f"span {short_value(dict(span))}: its probability is not from 0 to 1")
    return start, end, label, chance  # type: ignore[return-value]


def _overlap(word: CharSpan, start: int, end: int) -> bool:
    """Tell whether a word has characters of a span."""
    return word[0] < end and start < word[1]
