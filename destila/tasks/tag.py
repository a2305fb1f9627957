"""Tagging of given words: the unit is the word, read at its first sub-token.

Two ways of meeting gold labels exist in the published systems and both are here: on the first sub-token only
(Speedy Gonzales) or on every sub-token of the word (ALBETO's fine-tuning, spec trap T3). Prediction, scores and
distillation always use first sub-tokens, so that both are compared on the same positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from destila.tasks.readers import TagReader
from destila.types import IGNORE, Batch, Features, Output, Signal

if TYPE_CHECKING:
    from torch import Tensor


class Tag(TagReader):
    """The tagging task. every_piece: gold labels on all sub-tokens of a word rather than the first."""

    axis = 2

    def __init__(self, *, every_piece: bool = False) -> None:
        self.every_piece = every_piece

    def signal(self, output: Output, batch: Batch) -> Signal:
        """Logits [B, U, C] at each word's first sub-token."""
        index = batch.first.unsqueeze(-1).expand(-1, -1, output.logits.shape[-1])
        return Signal(output.logits.gather(1, index), batch.unit_mask)

    def targets(self, batch: Batch) -> Tensor:
        """Gold class ids, [B, U] per word or [B, L] per sub-token."""
        if not self.every_piece:
            return batch.target
        per_token = batch.target.gather(1, batch.unit.clamp(min=0))
        return per_token.masked_fill(batch.unit < 0, IGNORE)

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Logits that meet `targets`."""
        logits = output.logits if self.every_piece else self.signal(output, batch).logits
        return Signal(logits, self.targets(batch) != IGNORE)

    def teach(self, row: np.ndarray, feature: Features) -> np.ndarray:
        """The rows [U, C] of the window's words."""
        return row[feature.start : feature.start + len(feature.owned)]


TASK = Tag()
