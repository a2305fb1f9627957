"""Tagging of given words: the unit is the word, read at its first sub-token.

Two ways of meeting gold labels exist in the published systems and both are here: on the first sub-token only
(Speedy Gonzales) or on every sub-token of the word (ALBETO's fine-tuning, spec trap T3). Prediction, scores and
distillation always use first sub-tokens, so that both are compared on the same positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from destila.text import score
from destila.text.decode import decode
from destila.text.encode import encode_tag
from destila.text.tokenizer import Tokenizer
from destila.types import IGNORE, Batch, Encoded, Example, Output, Prediction, Rows, Signal

if TYPE_CHECKING:
    from torch import Tensor


class Tag:
    """The tagging task. every_piece: gold labels on all sub-tokens of a word rather than the first."""

    name = "tag"
    axis = 2

    def __init__(self, *, every_piece: bool = False) -> None:
        self.every_piece = every_piece

    def encode(
        self, examples: Sequence[Example], tokenizer: Tokenizer, labels: Sequence[str], *, max_length: int
    ) -> Encoded:
        """Overlapping windows over words, each word owned by one window; see `text.encode`."""
        return encode_tag(examples, tokenizer, labels, max_length=max_length)

    def units(self, output: Output, batch: Batch) -> Signal:
        """Logits [B, U, C] at each word's first sub-token."""
        index = batch.first.unsqueeze(-1).expand(-1, -1, output.logits.shape[-1])
        return Signal(output.logits.gather(1, index), batch.unit_mask)

    def targets(self, batch: Batch) -> Tensor:
        """Gold class ids, [B, U] per word or [B, L] per sub-token."""
        if not self.every_piece:
            return batch.target
        per_token = batch.target.gather(1, batch.unit.clamp(min=0))
        return per_token.masked_fill(batch.unit < 0, IGNORE)

    def supervised(self, output: Output, batch: Batch) -> Tensor:
        """Logits that meet `targets`."""
        return output.logits if self.every_piece else self.units(output, batch).logits

    def decode(self, rows: Rows, labels: Sequence[str]) -> list[Prediction]:
        """One label and its distribution per word."""
        return decode(rows, labels)

    def score(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, float]:
        """entity_f1 for BIO labels, pos_accuracy and chunk_f1 otherwise; accuracy and ece per word always."""
        probabilities = np.concatenate([p.probabilities for p in predictions])
        return score.tagging([e.target or () for e in examples], [p.labels for p in predictions], labels, probabilities)


TASK = Tag()
