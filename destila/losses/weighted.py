"""The weighted sum of loss terms, each divided by its global count and logged by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import nn

from destila import plugins
from destila.config import build_config
from destila.errors import ConfigError
from destila.losses.term import LossContext, Objective, Term
from destila.types import Batch, Output, State

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class WeightedLoss:
    """Terms with weights; the loss is sum_i weight_i * sum_i / count_i over the global batch.

    learned: the weights that terms learn beside the student's, empty for most; trained with it and
        saved in the state of a run, never part of the model.
    """

    terms: tuple[tuple[float, Term], ...]
    learned: nn.ModuleList = field(default_factory=nn.ModuleList)

    @property
    def answers(self) -> bool:
        """Whether any term teaches what to answer, so that scores mean something."""
        return any(term.needs != "states" or term.windows for _, term in self.terms)

    @property
    def needs_teacher(self) -> bool:
        """Whether any term compares with a teacher."""
        return any(term.needs in ("signal", "states") for _, term in self.terms)

    @property
    def needs_signal(self) -> bool:
        """Whether any term compares with what a teacher says of units."""
        return any(term.needs == "signal" for _, term in self.terms)

    @property
    def needs_states(self) -> bool:
        """Whether any term looks inside the teacher."""
        return any(term.needs == "states" for _, term in self.terms)

    @property
    def padded(self) -> bool:
        """Whether pads count, so that every batch must be padded to one length."""
        return any(term.pool == "padded" for _, term in self.terms)

    @property
    def student_states(self) -> tuple[State, ...]:
        """What the student shows for the terms; nothing else is kept."""
        return tuple(dict.fromkeys(state for _, term in self.terms for state in term.student))

    @property
    def teacher_states(self) -> dict[str, tuple[State, ...]]:
        """What the teacher shows for the terms, by pool."""
        states: dict[str, dict[State, None]] = {}
        for _, term in self.terms:
            if term.needs == "states":
                states.setdefault(term.pool, {}).update(dict.fromkeys(term.teacher))
        return {pool: tuple(each) for pool, each in states.items()}

    def counts(self, task: Objective, batch: Batch) -> list[int]:
        """Count what each term is summed over, before any model runs; see `Term.count`."""
        return [term.count(task, batch) for _, term in self.terms]

    def __call__(
        self, task: Objective, output: Output, batch: Batch, counts: Sequence[float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the batch's share of the loss (a scalar), and of each unweighted term by name.

        Args:
            task: says which logits meet which targets.
            output: what the student says of the batch.
            batch: with the teacher's signal or states, where a term compares with them.
            counts: global counts, one per term; a count of 0 contributes 0.
        """
        parts: dict[str, Tensor] = {}
        total: Tensor | None = None
        for (weight, term), count in zip(self.terms, counts, strict=True):
            part = term.fn(*term.inputs(task, output, batch)) / max(count, 1)

            # two terms of one name are logged apart
            name = term.name if term.name not in parts else f"{term.name}_{len(parts)}"
            parts[name] = part.detach()
            total = weight * part if total is None else total + weight * part

        assert total is not None, "build_loss refuses a loss without terms"
        return total, parts


def build_loss(
    specs: Sequence[Mapping[str, Any]],
    *,
    class_counts: Sequence[int] | None = None,
    setting: LossContext | None = None,
) -> WeightedLoss:
    """Build the loss of `{use = "kl", weight = 1.0, ...the term's own options}` tables.

    Args:
        specs: the tables, in the order in which terms are logged.
        class_counts: units per class in the training data, for class weights; None: not counted.
        setting: what is known of the models; None checks the tables alone, which is enough unless a
            term needs states.

    Raises:
        ConfigError: there is no term, or a table is wrong.
    """
    if not specs:
        raise ConfigError("the loss has no terms: give at least one {use = ...}")
    setting = replace(setting or LossContext(), class_counts=class_counts)
    terms = []
    for spec in specs:
        # what every table has
        if "use" not in spec:
            raise ConfigError(f"a loss term needs `use`: {dict(spec)}")
        weight = spec.get("weight", 1.0)
        if not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise ConfigError(f"term '{spec['use']}': weight = {weight!r} must be a number above 0")

        # what is the term's own
        own = {k: v for k, v in spec.items() if k not in ("use", "weight")}
        module = plugins.find("losses", str(spec["use"]), "Options", "build")
        options = build_config(module.Options, own, where=f"term '{spec['use']}'")
        term: Term = module.build(options, setting)
        _check_tokens(term, setting)
        terms.append((float(weight), term))

    learned = nn.ModuleList(term.module for _, term in terms if term.module is not None)
    return WeightedLoss(tuple(terms), learned)


def _check_tokens(term: Term, setting: LossContext) -> None:
    """Raise ConfigError for a term that compares tokens of two models that read other ones."""
    student, teacher = setting.student, setting.teacher
    if not term.same_tokens or setting.same_tokens or student is None or teacher is None:
        return
    raise ConfigError(
        f"term '{term.name}' compares token with token, but teacher '{teacher.name}' reads with"
        f" {teacher.tokenizer} and student '{student.name}' with {student.tokenizer}: train the"
        " student with the teacher's tokenizer and a max_length that both can read, or use"
        " 'hidden', 'relation' or 'cosine' with pool = \"first\" or \"mean\", or 'kl'"
    )
