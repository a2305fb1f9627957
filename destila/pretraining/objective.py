"""Masked language modelling: the unit is the token, the classes are the vocabulary.

Only tokens in the batch's unit_mask have logits, so that a step does not pay for a distribution
over the vocabulary at every token. Teacher and student must have one vocabulary.

Sizes: N tokens that the model is asked for, V pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from destila.losses.pool import at_places
from destila.types import IGNORE, Batch, Output, Signal

if TYPE_CHECKING:
    from torch import Tensor


class MaskedObjective:
    """What a loss needs to know of masked language modelling.

    It has no examples to encode or to score.
    """

    axis = 2
    whole_example = False

    def signal(self, output: Output, batch: Batch) -> Signal:  # noqa: ARG002 - as in every task
        """Return the logits [1, N, V] of the tokens that the model was asked for, all real."""
        return Signal(
            output.logits,
            torch.ones(output.logits.shape[:2], dtype=torch.bool, device=output.logits.device),
        )

    def targets(self, batch: Batch) -> Tensor:
        """Return the pieces to predict, [1, N]; IGNORE where the token was not chosen."""
        return at_places(batch.target, batch.unit_mask, batch, "unit_mask")[None]

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Return the logits [1, N, V] and where they meet a target, bool [1, N]."""
        return Signal(output.logits, self.targets(batch) != IGNORE)


OBJECTIVE = MaskedObjective()
