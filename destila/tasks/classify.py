"""Classification of one text or of a pair: the unit is the example, read at the first token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from destila.text import score
from destila.text.decode import decode
from destila.text.encode import encode_classify
from destila.text.tokenizer import Tokenizer
from destila.types import Batch, Encoded, Example, Output, Prediction, Rows, Signal

if TYPE_CHECKING:
    from torch import Tensor


class Classify:
    """The classification task; stateless, shared as TASK."""

    name = "classify"
    axis = 2

    def encode(
        self, examples: Sequence[Example], tokenizer: Tokenizer, labels: Sequence[str], *, max_length: int
    ) -> Encoded:
        """One window per example, truncated to `max_length` tokens; see `text.encode`."""
        return encode_classify(examples, tokenizer, labels, max_length=max_length)

    def units(self, output: Output, batch: Batch) -> Signal:
        """Logits [B, 1, C]: the example is the only unit."""
        return Signal(output.logits.unsqueeze(1), batch.unit_mask)

    def targets(self, batch: Batch) -> Tensor:
        """Gold class ids [B, 1]."""
        return batch.target

    def supervised(self, output: Output, batch: Batch) -> Tensor:
        """Logits [B, 1, C]."""
        return self.units(output, batch).logits

    def decode(self, rows: Rows, labels: Sequence[str]) -> list[Prediction]:
        """One label and its distribution per example."""
        return decode(rows, labels)

    def score(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, float]:
        """accuracy, macro_f1, mcc, ece."""
        gold = [str(e.target) for e in examples]
        probabilities = np.concatenate([p.probabilities for p in predictions])
        return score.classification(gold, [p.labels[0] for p in predictions], labels, probabilities)


TASK = Classify()
