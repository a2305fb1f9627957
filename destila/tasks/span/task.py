"""Answers to questions: where in the context they start and where they end, each a distribution over its units.

A model says something of every token. Teachers and students with different tokenizers meet at units, the runs between
blanks of the context, and unit 0, "no answer in this window", read at the first token:

    unit_u = log sum_{t in u} exp(token_t)

so that softmax over units adds up the probabilities of their tokens: at temperature 1 the divergence between units is
at most that between tokens (the log sum inequality) and equal where every unit is one token. Gold answers meet tokens:
the exact characters matter there, and there is no other tokenizer to agree with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from destila.tasks.span.reader import SpanReader
from destila.types import Batch, Features, Output, Signal

if TYPE_CHECKING:
    from torch import Tensor


class SpanTask(SpanReader):
    """The question answering task; options as in `tasks.span.reader.SpanOptions`."""

    axis = 1

    def signal(self, output: Output, batch: Batch) -> Signal:
        """Start and end logits of every unit [B, U, 2], float32."""
        return Signal(
            unit_logits(output.logits, batch.unit, batch.unit_mask.shape[1]), batch.unit_mask
        )

    def targets(self, batch: Batch) -> Tensor:
        """The tokens at which the answer starts and ends [B, 2]; 0, the first token, where the window holds none."""
        return batch.target

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Token logits [B, L, 2]; tokens of no unit (the question, separators) are no answer and do not count."""
        return Signal(output.logits, batch.unit >= 0)

    def teach(self, row: np.ndarray, feature: Features) -> np.ndarray:
        """The teacher's logits [U, 2] for the units of a window, from its row of all planned windows of the example.

        Where this tokenizer reads less than the planned window at once, the teacher's mass on the units outside goes
        to unit 0, start and end apart: for this window the answer is elsewhere. Probabilities stay what they were.
        """
        assert feature.cells is not None, "windows of questions know their cells"
        low, high = feature.planned
        said: np.ndarray = row[feature.cells].astype(np.float32)
        if len(feature.cells) < high - low:
            outside = np.ones(high - low, bool)
            outside[feature.cells - low] = False
            elsewhere = row[low:high][outside].astype(np.float32)
            said[0] = np.logaddexp.reduce(np.concatenate([said[:1], elsewhere]), axis=0)
        return said


def unit_logits(logits: Tensor, unit: Tensor, units: int) -> Tensor:
    """Log-sum-exp of token logits [B, L, C] over each unit's tokens: [B, units, C] in float32; 0 where it has none.

    unit: i64 [B, L], -1 for tokens of no unit.
    """
    import torch  # only where a loss is computed: prediction without torch imports this module too

    logits = logits.float()
    size, _, classes = logits.shape
    place = (
        unit.masked_fill(unit < 0, units).unsqueeze(-1).expand(-1, -1, classes)
    )  # the last one is thrown away
    with (
        torch.no_grad()
    ):  # what the largest logit is does not change the sum, so no gradient goes through it
        top = logits.new_full((size, units + 1, classes), -torch.inf).scatter_reduce_(
            1, place, logits, "amax"
        )
        empty = top == -torch.inf
        top = top.masked_fill(empty, 0.0)
    total = torch.zeros_like(top).scatter_add(1, place, (logits - top.gather(1, place)).exp())
    found = total.masked_fill(empty, 1.0).log() + top
    return found[:, :units]


TASK = SpanTask()
