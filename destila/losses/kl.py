"""Kullback-Leibler divergence of the student from the teacher, with temperature.

    T^2 * sum_k p_k (log p_k - log q_k),   p = softmax(teacher / T),   q = softmax(student / T)

Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", section 2; T^2 keeps the size of
the gradient as T changes. Speedy Gonzales (Cañete and Bravo-Marquez 2023) uses T = 1 without gold labels.
Shapes: student and teacher [B, U, C], mask [B, U], axis 2 (classes) or 1 (units, masked ones at -inf).
All masked: zero, with a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from destila.config import Options as _Options
from destila.config import opt
from destila.losses._rows import rows_of
from destila.types import Term


class Options(_Options):
    """Options of `use = "kl"`."""

    temperature: float = opt(1.0, "divides both logits; above 1 the teacher's small probabilities count more", gt=0)


def build(options: Options, *, class_counts: Sequence[int] | None = None) -> Term:  # noqa: ARG001
    """The term; class_counts (units per class of the training set) is not used."""
    temperature = options.temperature

    def fn(student: Tensor, teacher: Tensor, mask: Tensor, axis: int) -> Tensor:
        rows = rows_of(student, mask, axis)
        log_q = rows.log_softmax(rows.of(student) / temperature)
        target = rows.of(teacher.detach()) / temperature
        p, log_p = rows.softmax(target), rows.log_softmax(target)
        return rows.total((p * (log_p - log_q)).sum(-1)) * temperature**2

    return Term("kl", "signal", fn)
