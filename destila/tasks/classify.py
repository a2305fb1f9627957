"""Classification of one text or of a pair: the unit is the example, read at the first token.

A task is one object with three parts: from a text to windows (`encode`), from a model's logits to
scores (`join_windows`, `decode`, `score`), and what training compares (`signal`, `targets`). This
is the simplest of them: one window per example, one unit per window, one label per unit.

Texts are truncated, the longest of a pair first as the published systems do, and the encoding
counts how often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from destila.errors import ConfigError
from destila.results import LabelResult
from destila.tasks import metrics
from destila.tasks.classes import CHUNK, best_classes, check_length, class_id, gold_loss
from destila.tasks.user_rows import row_name, string_of
from destila.tokenizer.pieces import Pieces
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import (
    IGNORE,
    Batch,
    Encoded,
    Example,
    Features,
    Output,
    Prediction,
    Signal,
    Task,
    UnitLogits,
)

if TYPE_CHECKING:
    from torch import Tensor

SCORES = ("accuracy", "macro_f1")
"""The scores that may be the main one; the first unless a recipe says otherwise."""

_LETTERS = 10
"""Characters per token that a text is cut to before it is tokenised; Spanish has 4 to 5."""


class ClassifyTask(Task):
    """The classification task.

    Args:
        metric: the main score, of `SCORES`; "" for the first of them.
    """

    name = "classify"
    head = "classify"
    axis = 2
    unit_rule = "example"
    whole_example = True
    has_pairs = True
    truncates = True
    baselines: tuple[str, ...] = ("tfidf", "majority")
    in_browser = True
    summary = "gives a Spanish text (or a pair of texts) one of {labels} labels"
    sample_row: Mapping[str, str] = {"text": "Vivo en Sevilla desde 1992."}

    def __init__(self, metric: str = "") -> None:
        self.metric = metric

    # what a recipe or a model folder says

    def with_settings(self, settings: Mapping[str, Any]) -> ClassifyTask:
        """Return the task with the main score that a recipe or a model folder names."""
        metric = settings.get("metric") or ""
        if metric and metric not in SCORES:
            raise ConfigError(f"metric = '{metric}': classification has {' and '.join(SCORES)}")
        return ClassifyTask(metric)

    def settings(self) -> dict[str, Any]:
        """Return the main score where it is not the usual one: it decides what is kept."""
        return {"metric": self.metric} if self.metric not in ("", SCORES[0]) else {}

    facts = settings

    # from a text to windows

    def read_row(self, row: Mapping[str, Any], number: int) -> Example:
        """Read a user's row: `text`, and `pair` for the second text of a pair; raise DataError."""
        pair = string_of(row, "pair") if row.get("pair") is not None else None
        return Example(row_name(row, number), string_of(row, "text"), pair)

    def encode(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        labels: Sequence[str],
        *,
        max_length: int,
    ) -> Encoded:
        """Encode one window per example, `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`.

        Unit 0 sits at the first token. The notes count `truncated` examples.

        Args:
            examples: labelled or not; without a label the target is IGNORE.
            tokenizer: frames the texts with its specials.
            labels: names in the order of the classes.
            max_length: tokens of a window, specials included.

        Raises:
            DataError: a label is not one of `labels`.
            TokenizerError: `max_length` is more than the tokenizer's model holds.
        """
        check_length(tokenizer, max_length)
        ids = {label: i for i, label in enumerate(labels)}

        features: list[Features] = []
        cut: dict[int, str] = {}
        for start in range(0, len(examples), CHUNK):
            # many texts at once keep the tokenizer's threads busy; not every example has a pair
            chunk = examples[start : start + CHUNK]
            first = _first_texts(chunk, tokenizer, max_length - tokenizer.special_count(False))
            second = iter(tokenizer.text([e.pair for e in chunk if e.pair is not None]))

            for row, (example, text) in enumerate(zip(chunk, first, strict=True), start):
                pair = next(second) if example.pair is not None else None

                # cut what does not fit beside the specials
                room = max_length - tokenizer.special_count(pair is not None)
                kept, kept_pair = _fit(text, pair, room)
                if _tokens(kept, kept_pair) < _tokens(text, pair):
                    cut[row] = _describe_cut(example, kept, kept_pair)

                target = class_id(example, example.target, ids)
                features.append(_window(row, kept, kept_pair, target, tokenizer))

        return Encoded(features, {"truncated": len(cut)}, cut)

    # from a model's logits to scores

    def join_windows(
        self, features: Sequence[Features], values: Sequence[np.ndarray]
    ) -> UnitLogits:
        """Return logits [1, C] of every example, in order."""
        # an example is one window, so its logits [C] are its only row
        rows = {
            feature.row: np.asarray(value, np.float32)[None]
            for feature, value in zip(features, values, strict=True)
        }
        return [rows[row] for row in sorted(rows)]

    unit_logits = join_windows

    def decode(
        self,
        examples: Sequence[Example],  # noqa: ARG002
        rows: Sequence[Any],
        labels: Sequence[str],
    ) -> list[Prediction]:
        """Choose one label per example, with its distribution."""
        return best_classes(rows, labels)

    def to_result(
        self, example: Example, prediction: Prediction, labels: Sequence[str]
    ) -> LabelResult:
        """Make the label of a text, with every probability."""
        chances = zip(labels, prediction.probabilities[0], strict=True)
        return LabelResult(
            example.id,
            example.text,
            prediction.labels[0],
            {label: round(float(p), 6) for label, p in chances},
            pair=example.pair,
        )

    def loss(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> float:
        """Compute the mean cross-entropy of the gold labels over examples, in nats."""
        # an unlabelled example has no unit to be wrong about
        golds = [[e.target] if e.target is not None else [] for e in examples]
        return gold_loss(golds, rows, labels)

    def main_score(self, labels: Sequence[str]) -> str:  # noqa: ARG002
        """Name the key of the main score: accuracy, unless the recipe chose another."""
        return self.metric or SCORES[0]

    def score(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> dict[str, float]:
        """Compute accuracy, macro_f1, mcc and ece."""
        probabilities = np.concatenate([p.probabilities for p in predictions])  # [N, C]
        return metrics.classification(_golds(examples), _names(predictions), labels, probabilities)

    def items(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> list[list[int]]:
        """Count [right, 1] of every example, or what the chosen score is made of."""
        main = self.main_score(labels)
        return metrics.items(main, _golds(examples), _names(predictions), labels)

    def details(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> dict[str, Any]:
        """Make the tables per_label and confusion over examples."""
        return metrics.tables(
            self.main_score(labels), labels, _golds(examples), _names(predictions)
        )

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Compute the share of examples with the same label."""
        return metrics.agreement(_names(one), _names(other))

    # what training compares

    def signal(self, output: Output, batch: Batch) -> Signal:
        """Return logits [B, 1, C]: the example is the only unit."""
        # a classification head has pooled the tokens already, [B, C]
        return Signal(output.logits.unsqueeze(1), batch.unit_mask)

    def targets(self, batch: Batch) -> Tensor:
        """Return gold class ids [B, 1]."""
        return batch.target

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Return logits [B, 1, C] where an example has a label."""
        return Signal(output.logits.unsqueeze(1), batch.target != IGNORE)

    def teacher_logits(self, row: np.ndarray, feature: Features) -> np.ndarray:  # noqa: ARG002
        """Return the example's row [1, C]: there is one window."""
        return row


def _first_texts(examples: Sequence[Example], tokenizer: Tokenizer, room: int) -> list[Pieces]:
    """Tokenise each example's text, but of a long one no more than what fills a window.

    Only a text that stands alone is shortened: of a pair the shorter text decides what is cut. The
    beginning that is kept ends at a blank, which no tokenizer crosses, so its tokens are those of
    the whole text.

    Args:
        examples: of which the pair, if there is one, is not read here.
        tokenizer: of the model.
        room: tokens that a window holds beside its specials.
    """
    # where each beginning ends; -1: the text is read whole
    longest = _LETTERS * room
    ends = [
        e.text.rfind(" ", 0, longest) if e.pair is None and len(e.text) > longest else -1
        for e in examples
    ]
    beginnings = [
        e.text if end < 0 else e.text[:end] for e, end in zip(examples, ends, strict=True)
    ]
    pieces = tokenizer.text(beginnings)

    # a beginning of few tokens does not fill the window: these texts are read whole after all
    short = [i for i, end in enumerate(ends) if end >= 0 and len(pieces[i].ids) <= room]
    for i, whole in zip(short, tokenizer.text([examples[i].text for i in short]), strict=True):
        pieces[i] = whole
    return pieces


def _fit(text: Pieces, pair: Pieces | None, room: int) -> tuple[Pieces, Pieces | None]:
    """Cut both texts to `room` tokens together, the longer one first, as transformers does.

    With room for 7 a text of 6 tokens beside one of 2 keeps 5, and 6 beside 6 become 3 and 4.
    """
    total = _tokens(text, pair)
    if total <= room:
        return text, pair

    # a text gives way down to half of the room; of an odd room the longer text keeps one more
    m = len(text.ids)
    n = total - m
    half = (room + 1) // 2 if m > n else room // 2
    m = min(m, max(room - n, half))
    n = min(n, room - m)

    kept = Pieces(text.ids[:m], text.spans[:m])
    return kept, None if pair is None else Pieces(pair.ids[:n], pair.spans[:n])


def _describe_cut(example: Example, text: Pieces, pair: Pieces | None) -> str:
    """Say how much of an example is read."""
    read = f"only the first {_end(text):,} of {len(example.text):,} characters were read"
    if example.pair is None or pair is None:
        return read
    return f"{read}, and {_end(pair):,} of {len(example.pair):,} of the second text"


def _end(pieces: Pieces) -> int:
    """Return the character at which some tokens end."""
    return int(pieces.spans[-1, 1]) if len(pieces.spans) else 0


def _tokens(text: Pieces, pair: Pieces | None) -> int:
    """Count the tokens of a text and its pair, without specials."""
    return len(text.ids) + (0 if pair is None else len(pair.ids))


def _window(
    row: int, text: Pieces, pair: Pieces | None, target: int, tokenizer: Tokenizer
) -> Features:
    """Frame a text or a pair that fits; its only unit is the first token."""
    input_ids, type_ids, spans, _ = tokenizer.frame(text, pair)

    # the head reads the first token, which stands for the whole example
    unit = np.full(len(input_ids), -1, np.int32)  # [L]
    unit[0] = 0

    return Features(
        row=row,
        window=0,
        input_ids=input_ids,
        type_ids=type_ids,
        spans=spans,
        unit=unit,
        start=0,
        owned=np.ones(1, bool),
        target=np.array([target], np.int32),
    )


def _golds(examples: Sequence[Example]) -> list[str]:
    """List the gold label of every example."""
    return [str(e.target) for e in examples]


def _names(predictions: Sequence[Prediction]) -> list[str]:
    """List the label that a model gives to every example."""
    return [p.labels[0] for p in predictions]


TASK = ClassifyTask()
