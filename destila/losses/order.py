"""Sentence order: whether the two halves of a text were exchanged.

    -log q_y,   q = softmax(student),   y = 1 when they were

Lan et al. 2020, "ALBERT", section 3.1: harder than next-sentence prediction, which topics alone
give away.

Shapes: student [1, K, 2], target [1, K], mask [1, K], for the K texts of a batch that have a label.
None of them: zero, with a gradient of zero.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from destila.config import Options as _Options
from destila.losses.term import LossContext, Term
from destila.types import IGNORE


class Options(_Options):
    """Options of `use = "order"`: none."""


def build(options: Options, setting: LossContext) -> Term:  # noqa: ARG001
    """Build the term; the setting is not used."""

    def fn(student: Tensor, target: Tensor, mask: Tensor, axis: int) -> Tensor:  # noqa: ARG001
        target = target.masked_fill(~mask, IGNORE)
        return F.cross_entropy(
            student.flatten(0, 1).float(), target.flatten(), ignore_index=IGNORE, reduction="sum"
        )

    return Term(name="order", needs="order", fn=fn)
