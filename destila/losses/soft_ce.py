"""Cross-entropy of the student against the teacher's probabilities, with temperature.

    -T^2 * sum_k p_k log q_k,   p = softmax(teacher / T),   q = softmax(student / T)

Hinton, Vinyals and Dean 2015, section 2. It differs from `kl` by the teacher's entropy, which has
no
gradient: training is the same, the number on the screen is not, and it is not zero at equality.

Shapes: student and teacher [B, U, C], mask [B, U], axis 2 (classes) or 1 (units, masked ones at
-inf).
All masked: zero, with a gradient of zero.
"""

from __future__ import annotations

from torch import Tensor

from destila.config import Options as _Options
from destila.config import opt
from destila.losses._rows import rows_of
from destila.losses.term import LossContext, Term


class Options(_Options):
    """Options of `use = "soft_ce"`."""

    temperature: float = opt(
        1.0, "divides both logits; above 1 the teacher's small probabilities count more", gt=0
    )


def build(options: Options, setting: LossContext) -> Term:  # noqa: ARG001
    """Build the term; the setting is not used."""
    temperature = options.temperature

    def fn(student: Tensor, teacher: Tensor, mask: Tensor, axis: int) -> Tensor:
        rows = rows_of(student, mask, axis)
        log_q = rows.log_softmax(rows.of(student) / temperature)  # [..., K]
        p = rows.softmax(rows.of(teacher.detach()) / temperature)

        # both are zero at masked entries, which add nothing
        return -rows.total((p * log_q).sum(-1)) * temperature**2

    return Term(name="soft_ce", needs="signal", fn=fn)
