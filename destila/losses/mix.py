"""The weighted sum of loss terms, each divided by its global count and logged by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from destila import plugins
from destila.config import build
from destila.errors import ConfigError
from destila.types import IGNORE, Batch, Output, Signal, Task, Term

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mix:
    """Terms with weights; the loss is sum_i weight_i * sum_i / count_i over the global batch."""

    terms: tuple[tuple[float, Term], ...]

    @property
    def needs_teacher(self) -> bool:
        """Whether any term compares with a teacher."""
        return any(term.needs == "signal" for _, term in self.terms)

    def counts(self, task: Task, batch: Batch) -> list[int]:
        """How many units (axis 2) or examples (axis 1) each term is summed over; known before any forward pass."""
        return [_count(term, task, batch) for _, term in self.terms]

    def __call__(
        self, task: Task, output: Output, batch: Batch, counts: Sequence[float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch's share of the loss (a scalar), and of each unweighted term by name.

        counts: global counts, one per term; a count of 0 contributes 0.
        """
        parts: dict[str, Tensor] = {}
        total: Tensor | None = None
        for (weight, term), count in zip(self.terms, counts, strict=True):
            if term.needs == "target":
                said, other = task.supervised(output, batch), task.targets(batch)
                part = term.fn(said.logits, other, said.mask, task.axis) / max(count, 1)
            else:
                teacher = _teacher(batch)
                part = term.fn(task.signal(output, batch).logits, teacher.logits, teacher.mask, task.axis) / max(
                    count, 1
                )
            parts[term.name if term.name not in parts else f"{term.name}_{len(parts)}"] = part.detach()
            total = weight * part if total is None else total + weight * part
        assert total is not None, "mix() refuses a loss without terms"
        return total, parts


def _count(term: Term, task: Task, batch: Batch) -> int:
    counted = task.targets(batch) != IGNORE if term.needs == "target" else _teacher(batch).mask
    return int((counted.any(1) if task.axis == 1 else counted).sum())


def _teacher(batch: Batch) -> Signal:
    if batch.teacher is None:
        raise ConfigError("a term of the loss needs a teacher and there is none: use 'hard' alone, or give a teacher")
    return batch.teacher


def mix(specs: Sequence[Mapping[str, Any]], *, class_counts: Sequence[int] | None = None) -> Mix:
    """The Mix of `{use = "kl", weight = 1.0, ...the term's own options}` tables.

    class_counts: units per class in the training data, for class weights. Raises ConfigError.
    """
    if not specs:
        raise ConfigError("the loss has no terms: give at least one {use = ...}")
    terms = []
    for spec in specs:
        own = {k: v for k, v in spec.items() if k not in ("use", "weight")}
        if "use" not in spec:
            raise ConfigError(f"a loss term needs `use`: {dict(spec)}")
        weight = spec.get("weight", 1.0)
        if not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise ConfigError(f"term '{spec['use']}': weight = {weight!r} must be a number above 0")
        module = plugins.find("losses", str(spec["use"]), "Options", "build")
        options = build(module.Options, own, where=f"term '{spec['use']}'")
        terms.append((float(weight), module.build(options, class_counts=class_counts)))
    return Mix(tuple(terms))
