"""Tagging of given words: the unit is the word, read at its first sub-token.

No word is lost: long sentences are read in overlapping windows and each word is answered for once.
A single word longer than a window is read by its beginning.

Two ways of meeting gold labels exist in the published systems and both are here: on the first
sub-token only (Speedy Gonzales) or on every sub-token of the word (ALBETO's fine-tuning, spec trap
T3). Prediction, scores and distillation always use first sub-tokens, so that both are compared on
the same positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from destila.errors import DataError
from destila.results import SpansResult, text_spans
from destila.tasks import metrics
from destila.tasks.classes import CHUNK, best_classes, check_length, class_id, gold_loss
from destila.tasks.units import Window, cut_units, first_tokens, plan
from destila.tasks.user_rows import row_name, shown, string_of
from destila.tokenizer.pieces import Pieces
from destila.tokenizer.split_words import split_words
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import (
    IGNORE,
    Batch,
    CharSpan,
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


class TagTask(Task):
    """The tagging task.

    every_piece: gold labels are met on all sub-tokens of a word rather than on the first.
    """

    name = "tag"
    head = "tag"
    axis = 2
    unit_rule = "first sub-token"
    needs_words = True
    baselines = ("crf",)
    in_browser = True
    summary = "gives every word of a Spanish text one of {labels} labels"
    sample_row: Mapping[str, str] = {"text": "Vivo en Sevilla desde 1992."}

    def __init__(self, *, every_piece: bool = False) -> None:
        self.every_piece = every_piece

    def with_settings(self, settings: Mapping[str, Any]) -> TagTask:
        """Return the task with a recipe's `labelling`: "first", or "all" for every sub-token."""
        return type(self)(every_piece=settings.get("labelling") == "all")

    def settings(self) -> dict[str, Any]:
        """Return the labelling, which changes what is learned."""
        return {"labelling": "all" if self.every_piece else "first"}

    # from a text to windows

    def read_row(self, row: Mapping[str, Any], number: int) -> Example:
        """Read a user's row: `words`, or a `text` whose words are split here; raise DataError."""
        name = row_name(row, number)
        if "words" not in row:
            text = string_of(row, "text")
            return Example(name, text, words=split_words(text))

        # the text is what the words make with one blank between them
        words = row["words"]
        strings = isinstance(words, list) and all(isinstance(word, str) for word in words)
        if not strings or not all(map(str.strip, words)):
            raise DataError(f"`words` must be a list of words: {shown(row)}")

        spans, start = [], 0
        for word in words:
            end = start + len(word)
            spans.append((start, end))
            start = end + 1
        return Example(name, " ".join(words), words=tuple(spans))

    def encode(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        labels: Sequence[str],
        *,
        max_length: int,
    ) -> Encoded:
        """Encode windows over each example's words, tokenised word by word.

        The unit of a word holds its sub-tokens. A word longer than a window, such as an address of
        the web, is read by its beginning.

        The notes count `windowed` examples (more than one window), `windows` and, where there are
        any, `words cut`.

        Args:
            examples: with words; labelled or not.
            tokenizer: frames each window with its specials.
            labels: names in the order of the classes.
            max_length: tokens of a window, specials included.

        Raises:
            DataError: an example has more or fewer labels than words, or a label that is not one of
                `labels`.
        """
        check_length(tokenizer, max_length)
        ids = {label: i for i, label in enumerate(labels)}
        capacity = max_length - tokenizer.special_count(False)

        features: list[Features] = []
        windowed = words_cut = 0
        cut: dict[int, str] = {}
        for start in range(0, len(examples), CHUNK):
            # many texts at once keep the tokenizer's threads busy
            chunk = examples[start : start + CHUNK]
            joined = tokenizer.words_joined([(e.text, e.words) for e in chunk])
            for row, (example, (pieces, sizes)) in enumerate(
                zip(chunk, joined, strict=True), start
            ):
                target = _word_classes(example, ids)  # [words]
                if max(sizes, default=0) > capacity:
                    long = [size > capacity for size in sizes]
                    words_cut += sum(long)
                    cut[row] = _describe_cut(example, sizes, long.index(True))
                    left, sizes = cut_units(sizes, capacity)
                    pieces = Pieces(pieces.ids[left], pieces.spans[left])
                windows = plan(sizes, capacity)

                windowed += len(windows) > 1
                features += [
                    _window(row, number, window, pieces, sizes, target, tokenizer)
                    for number, window in enumerate(windows)
                ]

        notes = {"windowed": windowed, "windows": len(features)}
        return Encoded(features, notes | ({"words cut": words_cut} if words_cut else {}), cut)

    # from a model's logits to scores

    def join_windows(
        self, features: Sequence[Features], values: Sequence[np.ndarray]
    ) -> UnitLogits:
        """Return logits [U, C] of every example, each word's from the window that owns it."""
        # how many words every example has
        words: dict[int, int] = {}
        for f in features:
            words[f.row] = max(words.get(f.row, 0), f.start + len(f.owned))

        rows: dict[int, np.ndarray] = {}
        for f, value in zip(features, values, strict=True):
            row = rows.setdefault(f.row, np.zeros((words[f.row], value.shape[-1]), np.float32))

            # logits at the first sub-token of each word that this window owns
            first = first_tokens(f.unit)
            units = f.unit[first]
            kept = f.owned[units]
            row[f.start + units[kept]] = value[first[kept]]  # [owned words, C]

        return [rows[i] for i in sorted(rows)]

    unit_logits = join_windows

    def decode(
        self,
        examples: Sequence[Example],  # noqa: ARG002
        rows: Sequence[Any],
        labels: Sequence[str],
    ) -> list[Prediction]:
        """Choose one label per word, with its distribution."""
        return best_classes(rows, labels)

    def to_result(
        self, example: Example, prediction: Prediction, labels: Sequence[str]
    ) -> SpansResult:
        """Make the labelled spans of a text; offsets are code points."""
        spans = text_spans(
            (start, end, label, example.text[start:end], round(chance, 6))
            for (start, end), label, chance in labelled_spans(example.words, prediction, labels)
        )
        return SpansResult(example.id, example.text, spans)

    def loss(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> float:
        """Compute the mean cross-entropy of the gold labels over words, in nats."""
        return gold_loss(_golds(examples), rows, labels)

    def main_score(self, labels: Sequence[str]) -> str:
        """Name the key of the main score: entity_f1 for BIO labels, else pos_accuracy."""
        return "entity_f1" if metrics.is_bio(labels) else "pos_accuracy"

    def score(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> dict[str, float]:
        """Compute the scores that the labels call for; see `tasks.metrics.tagging`."""
        probabilities = np.concatenate([p.probabilities for p in predictions])  # [all words, C]
        return metrics.tagging(_golds(examples), _names(predictions), labels, probabilities)

    def items(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> list[list[int]]:
        """Count what is behind the main score in every sentence; see `tasks.metrics.items`."""
        return metrics.items(self.main_score(labels), _golds(examples), _names(predictions))

    def details(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> dict[str, Any]:
        """Make the tables per_label and confusion over words."""
        main = self.main_score(labels)
        return metrics.tables(main, labels, _golds(examples), _names(predictions))

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Compute the share of words with the same label."""
        return metrics.agreement(_names(one), _names(other))

    # what training compares

    def signal(self, output: Output, batch: Batch) -> Signal:
        """Return logits [B, U, C] at each word's first sub-token."""
        index = batch.first.unsqueeze(-1).expand(-1, -1, output.logits.shape[-1])  # [B, U, C]
        return Signal(output.logits.gather(1, index), batch.unit_mask)

    def targets(self, batch: Batch) -> Tensor:
        """Return gold class ids, [B, U] per word or [B, L] per sub-token."""
        if not self.every_piece:
            return batch.target

        # every sub-token has the label of its word; specials have none
        per_token = batch.target.gather(1, batch.unit.clamp(min=0))  # [B, L]
        return per_token.masked_fill(batch.unit < 0, IGNORE)

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Return the logits that meet `targets`, [B, U, C] or [B, L, C]."""
        logits = output.logits if self.every_piece else self.signal(output, batch).logits
        return Signal(logits, self.targets(batch) != IGNORE)

    def teacher_logits(self, row: np.ndarray, feature: Features) -> np.ndarray:
        """Return the rows [U, C] of the window's words, which are consecutive in the example."""
        return row[feature.start : feature.start + len(feature.owned)]


def labelled_spans(
    words: Sequence[CharSpan], prediction: Prediction, labels: Sequence[str]
) -> list[tuple[CharSpan, str, float]]:
    """Join the words of every entity: (span in the text, label, mean probability).

    Where the labels are not BIO every word is a span of its own.

    Args:
        words: their spans in the text.
        prediction: a label and a distribution for each.
        labels: all there are, in the order of the probabilities.
    """
    # what the model gives to the label that it chose for each word
    index = {label: i for i, label in enumerate(labels)}
    chosen = [index[label] for label in prediction.labels]
    chances = prediction.probabilities[np.arange(len(chosen)), chosen].tolist()
    if not metrics.is_bio(labels):
        return list(zip(words, prediction.labels, chances, strict=True))

    # an entity ends where its last word ends
    return [
        ((words[first][0], words[end - 1][1]), kind, sum(chances[first:end]) / (end - first))
        for kind, first, end in metrics.entities(prediction.labels)
    ]


def _describe_cut(example: Example, sizes: Sequence[int], word: int) -> str:
    """Say which word of a sentence is not read whole, the first one where there are several."""
    start, end = example.words[word]
    return (
        f"the word '{example.text[start:end][:40]}...' has {sizes[word]:,} tokens, more than a "
        "window holds: only its beginning was read"
    )


def _window(
    row: int,
    number: int,
    window: Window,
    pieces: Pieces,
    sizes: Sequence[int],
    target: np.ndarray,
    tokenizer: Tokenizer,
) -> Features:
    """Frame one window of a sentence.

    Args:
        row: the example's position.
        number: the window's, in its example.
        window: the words that it reads and owns.
        pieces: the tokens of the whole sentence.
        sizes: how many of them each word has.
        target: the class id of each word, i32 [words].
        tokenizer: of the pieces.
    """
    # the tokens of the window's words
    inside = sizes[window.start : window.end]
    first = sum(sizes[: window.start])
    last = first + sum(inside)
    part = Pieces(pieces.ids[first:last], pieces.spans[first:last])
    input_ids, type_ids, spans, text = tokenizer.frame(part)

    # tokens of the text, in order, belong to the words in order
    unit = np.full(len(input_ids), -1, np.int32)  # [L]
    unit[text == 0] = np.repeat(np.arange(len(inside), dtype=np.int32), inside)

    # a word that another window answers for teaches nothing here
    owned = np.zeros(len(inside), bool)  # [U]
    owned[window.own_start - window.start : window.own_end - window.start] = True
    own_target = np.where(owned, target[window.start : window.end], IGNORE).astype(np.int32)

    return Features(
        row=row,
        window=number,
        input_ids=input_ids,
        type_ids=type_ids,
        spans=spans,
        unit=unit,
        start=window.start,
        owned=owned,
        target=own_target,
    )


def _word_classes(example: Example, ids: Mapping[str, int]) -> np.ndarray:
    """Look up the class id of every word, i32 [words]; IGNORE in an unlabelled example."""
    if example.target is None:
        return np.full(len(example.words), IGNORE, np.int32)

    if len(example.target) != len(example.words):
        raise DataError(
            f"example '{example.id}' has {len(example.words)} words and"
            f" {len(example.target)} labels"
        )
    return np.array([class_id(example, label, ids) for label in example.target], np.int32)


def _golds(examples: Sequence[Example]) -> list[Sequence[str]]:
    """List the gold labels of every example's words; none where it is unlabelled."""
    return [e.target or () for e in examples]


def _names(predictions: Sequence[Prediction]) -> list[tuple[str, ...]]:
    """List the labels that a model gives to every example's words."""
    return [p.labels for p in predictions]


TASK = TagTask()
