"""Mean squared difference of logits.

    1/K * sum_k (student_k - teacher_k)^2

Ba and Caruana 2014, "Do Deep Nets Really Need to be Deep?", equation 1. K is the number of entries
of
the distribution: the classes (axis 2), or an example's unmasked units (axis 1). Unlike `kl` it also
asks for the teacher's offset, which a softmax does not see.

Shapes: student and teacher [B, U, C], mask [B, U]. All masked: zero, with a gradient of zero.
"""

from __future__ import annotations

from torch import Tensor

from destila.config import Options as _Options
from destila.losses._rows import rows_of
from destila.losses.term import LossContext, Term


class Options(_Options):
    """Options of `use = "mse"`: none."""


def build(options: Options, setting: LossContext) -> Term:  # noqa: ARG001
    """Build the term; the setting is not used."""

    def fn(student: Tensor, teacher: Tensor, mask: Tensor, axis: int) -> Tensor:
        rows = rows_of(student, mask, axis)
        square = (rows.of(student) - rows.of(teacher.detach())) ** 2  # [..., K]

        # masked entries are 0 on both sides, so the mean is over the real ones alone
        return rows.total(square.sum(-1) / rows.keep.sum(-1).clamp(min=1))

    return Term(name="mse", needs="signal", fn=fn)
