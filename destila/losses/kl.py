"""Kullback-Leibler divergence of the student from the teacher, with temperature.

    T^2 * sum_k p_k (log p_k - log q_k),   p = softmax(teacher / T),   q = softmax(student / T)

Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", section 2; T^2 keeps
the size of the gradient as T changes. Speedy Gonzales (Cañete and Bravo-Marquez 2023) uses T = 1
without gold labels.

Shapes: student and teacher [B, U, C], mask [B, U], axis 2 (a distribution over classes per unit),
1 (over an example's units per column, masked ones at -inf) or 0 (every class there or not).
All masked: zero, with a gradient of zero.

SpanishTinyRoBERTa's code compares start and end over every position of the padded window, pads
included: `pads` does so, for comparisons only. It needs the teacher on the fly, since a cache keeps
no pads.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from destila.config import Options as _Options
from destila.config import opt
from destila.errors import ConfigError
from destila.losses._rows import counting, rows_of
from destila.losses.term import LossContext, Term
from destila.types import State

_LOGITS: State = ("logits", 0)


class Options(_Options):
    """Options of `use = "kl"`."""

    temperature: float = opt(
        1.0, "divides both logits; above 1 the teacher's small probabilities count more", gt=0
    )
    pads: bool = opt(
        False,
        "questions: over every token of the padded window (SpanishTinyRoBERTa's code)",
        reproduction=True,
    )


def build(options: Options, setting: LossContext) -> Term:
    """Build the term.

    Raises:
        ConfigError: `pads` is set for a task whose softmax does not run over positions.
    """
    temperature = options.temperature

    def over_classes(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        # only units that count are copied: with a vocabulary as classes, the general way below
        # would take six copies of all rows
        (student, teacher), total = counting(mask, student, teacher)
        log_q = F.log_softmax(student.float() / temperature, -1)  # [N, C]
        log_p = F.log_softmax(teacher.float() / temperature, -1)  # [N, C]
        return total(F.kl_div(log_q, log_p, log_target=True, reduction="none"))

    def over_rows(student: Tensor, teacher: Tensor, mask: Tensor, axis: int) -> Tensor:
        # a row is a column of one example, its start or its end, or one class of it (axis 0)
        rows = rows_of(student, mask, axis)
        log_q = rows.log_softmax(rows.of(student) / temperature)  # [..., K]
        target = rows.of(teacher) / temperature  # [..., K]
        p, log_p = rows.softmax(target), rows.log_softmax(target)
        return rows.total((p * (log_p - log_q)).sum(-1))

    def fn(student: Tensor, teacher: Tensor, mask: Tensor, axis: int) -> Tensor:
        if axis == 2:
            return over_classes(student, teacher.detach(), mask) * temperature**2
        return over_rows(student, teacher.detach(), mask, axis) * temperature**2

    if not options.pads:
        return Term(name="kl", needs="signal", fn=fn)

    # with pads the logits of every token are compared, which no signal of units holds
    if setting.student is not None and setting.axis != 1:
        raise ConfigError(
            "term 'kl': pads = true is for questions, whose softmax runs over positions:"
            " leave it out"
        )

    def over_all(
        student: Mapping[State, Tensor], teacher: Mapping[State, Tensor], mask: Tensor, axis: int
    ) -> Tensor:
        return fn(student[_LOGITS], teacher[_LOGITS], mask, axis)

    return Term(
        name="kl",
        needs="states",
        fn=over_all,
        student=(_LOGITS,),
        teacher=(_LOGITS,),
        pool="padded",
        windows=True,
    )
