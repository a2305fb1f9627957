"""A teacher that is a file of labels: those of a language model, another tool, or a crowd.

Each line labels one text of the data (`given_rows.py` says how). It names the text by itself
(`text` and `pair`, or `words`, or the columns of the data), else by its `id`. Several lines of one
text are averaged, so that the votes of a crowd become probabilities.

What the file says is kept in the cache of teacher outputs like what a model says: a training does
not know the difference.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from destila.config import fingerprint
from destila.errors import DataError
from destila.formats.tables import table_kind, table_rows
from destila.teachers.cache import cache_spec
from destila.teachers.given_rows import LabelReader
from destila.types import Dataset, Example, Prediction

log = logging.getLogger(__name__)

_Line = tuple[int, Mapping[str, Any]]
"""A line of the file: its number, and the object there."""


def is_label_file(name: str) -> bool:
    """Tell whether a teacher's name is that of a file of labels: JSON lines, or a JSON list."""
    return table_kind(Path(name)) in ("json", "jsonl") and not Path(name).is_dir()


@dataclass(frozen=True, slots=True)
class GivenLabels:
    """The lines of a file, by what they name.

    by_text: lines by (text, pair), of tags also by the words joined with blanks. by_id: lines that
    name no text.
    """

    path: str
    fingerprint: str
    reader: LabelReader
    by_text: Mapping[tuple[str, str | None], Sequence[_Line]]
    by_id: Mapping[str, Sequence[_Line]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the data, in their order."""
        return self.reader.labels

    def spec(self, unit: str) -> dict[str, Any]:
        """Return what its cached rows depend on beside the text, as a model's do."""
        return cache_spec(
            teacher=self.fingerprint,
            tokenizer="",
            max_length=0,
            task=self.reader.task.name,
            labels=self.labels,
            unit=unit,
            source=self.path,
        )

    def covers(self, example: Example) -> bool:
        """Tell whether the file labels an example."""
        return bool(self._lines(example))

    def logits(self, examples: Sequence[Example]) -> Iterator[np.ndarray]:
        """Yield the logits [U, C] of examples, in order.

        Raises:
            DataError: the file does not label one, or labels it wrongly.
        """
        self.check_covered(examples)
        for example in examples:
            chances = [self._read(line, example) for line in self._lines(example)]
            yield self.reader.logits(np.mean(chances, axis=0)).astype(np.float32)

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Return what the file says of examples, as a model's predictions."""
        return self.reader.task.decode(examples, list(self.logits(examples)), self.labels)

    def check_covered(self, examples: Sequence[Example]) -> None:
        """Raise DataError when the file does not label every example."""
        missing = [example for example in examples if not self.covers(example)]
        if missing:
            first = missing[0]
            raise DataError(
                f"{self.path} has no labels for {len(missing):,} of {len(examples):,} texts "
                f"(first: '{first.id}', \"{first.text[:40]}\"): label them, or leave them out of "
                "the data"
            )

    def _lines(self, example: Example) -> Sequence[_Line]:
        """Return the lines of an example: those that name its text, else its id."""
        named = self.by_text.get((example.text, example.pair))
        if named is None and example.words:
            words = " ".join(example.text[start:end] for start, end in example.words)
            named = self.by_text.get((words, None))
        return named or self.by_id.get(example.id, ())

    def _read(self, line: _Line, example: Example) -> np.ndarray:
        """Return the probabilities of a line; its error says where it stands."""
        number, row = line
        try:
            return self.reader.read(row, example)
        except DataError as error:
            raise DataError(f"{self.path}, line {number} (text '{example.id}'): {error}") from error


def read_given_labels(path: str, dataset: Dataset, reader: LabelReader) -> GivenLabels:
    """Read a file of labels and check it against the data; say how far it agrees with gold.

    Args:
        path: of JSON lines, or of a JSON list; perhaps packed.
        dataset: whose texts are labelled.
        reader: of the data's labels.

    Raises:
        DataError: the file is no JSON lines, a training text has no line, a line cannot be read, or
            an id names two texts.
    """
    if not Path(path).is_file():
        raise DataError(f"no file of labels at {path}: give an existing file, or a model's folder")

    by_text: dict[tuple[str, str | None], list[_Line]] = defaultdict(list)
    by_id: dict[str, list[_Line]] = defaultdict(list)
    digest = hashlib.blake2b(digest_size=16)
    for number, row in table_rows(Path(path)):
        named = {part: row[name] for part, name in dataset.columns.items() if name in row}
        row = {**named, **row}  # what the line itself calls a text or a label comes first
        text = row.get("text")
        if isinstance(row.get("words"), list):
            text = " ".join(map(str, row["words"]))
        if isinstance(text, str):
            by_text[text, row.get("pair") or None].append((number, row))
        elif row.get("id") is not None:
            by_id[str(row["id"])].append((number, row))
        else:
            raise DataError(f"{path}, line {number}: names no text: give 'text', or 'id'")
        digest.update(repr(sorted(row.items(), key=str)).encode())

    name = fingerprint(digest.hexdigest(), reader.smoothing, dict(reader.label_map))
    given = GivenLabels(path, name, reader, by_text, by_id)
    _check_ids(given, dataset)
    given.check_covered(dataset.splits["train"])
    _report(given, dataset)
    return given


def _check_ids(given: GivenLabels, dataset: Dataset) -> None:
    """Raise DataError when a line is found by an id that two different texts have."""
    seen: dict[str, str] = {}
    for examples in dataset.splits.values():
        for example in examples:
            if example.id in given.by_id and seen.setdefault(example.id, example.text) != (
                example.text
            ):
                number = given.by_id[example.id][0][0]
                raise DataError(
                    f"{given.path}, line {number}: the id '{example.id}' names two texts of the "
                    "data: give 'text' beside it"
                )


def _report(given: GivenLabels, dataset: Dataset) -> None:
    """Read every line that is used, and log how far the file agrees with gold."""
    task = given.reader.task
    parts = []
    for split, examples in dataset.splits.items():
        labelled = [e for e in examples if e.target is not None and given.covers(e)]
        if labelled:
            predictions = given.predict(labelled)
            main = task.main_score(given.labels)
            score = task.score(labelled, predictions, given.labels)[main]
            parts.append(f"{split} {main} {100 * score:.1f} ({len(labelled)} of {len(examples)})")
    log.info("%s against gold labels: %s", given.path, ", ".join(parts) or "no gold labels")
