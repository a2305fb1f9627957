"""Classification of one text or of a pair: the unit is the example, read at the first token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from destila.tasks.readers import ClassifyReader
from destila.types import IGNORE, Batch, Features, Output, Signal

if TYPE_CHECKING:
    from torch import Tensor


class Classify(ClassifyReader):
    """The classification task; stateless, shared as TASK."""

    axis = 2

    def signal(self, output: Output, batch: Batch) -> Signal:
        """Logits [B, 1, C]: the example is the only unit."""
        return Signal(output.logits.unsqueeze(1), batch.unit_mask)

    def targets(self, batch: Batch) -> Tensor:
        """Gold class ids [B, 1]."""
        return batch.target

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Logits [B, 1, C]."""
        return Signal(output.logits.unsqueeze(1), batch.target != IGNORE)

    def teach(self, row: np.ndarray, feature: Features) -> np.ndarray:  # noqa: ARG002
        """The example's row [1, C]."""
        return row


TASK = Classify()
