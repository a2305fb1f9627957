"""A term of a loss: what it compares, what it may know, and what it needs of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from destila.errors import ConfigError
from destila.losses.pool import at_places, pool_states
from destila.types import IGNORE, Batch, Output, Signal, State, TeacherStates

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class Objective(Protocol):
    """What a loss needs of a task, or of pre-training: which logits meet which targets.

    axis: the axis of Signal.logits that is a distribution.
    whole_example: an example is its only unit.
    """

    axis: int
    whole_example: bool

    def signal(self, output: Output, batch: Batch) -> Signal:
        """Return a model's logits per unit."""

    def targets(self, batch: Batch) -> Tensor:
        """Return gold ids, IGNORE where there is nothing to learn."""

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Return the logits that meet `targets`, and where they count."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What a loss term may know of a model.

    name, tokenizer: for messages.
    kinds: of State that it can show.
    """

    name: str
    tokenizer: str
    layers: int
    hidden: int
    heads: int
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossContext:
    """What a loss term may know when it is built.

    class_counts: units per class in the training data; None: not counted.
    student, teacher: None while a recipe is only read.
    same_tokens: both read every text as the same tokens.
    axis, whole_example: the task's.
    seed: of weights that a term learns.

    Example: a pair of models with a tokenizer each:

        LossContext(class_counts=(700, 300), student=small, teacher=large, same_tokens=False,
                    axis=2, seed=7)
    """

    class_counts: Sequence[int] | None = None
    student: ModelShape | None = None
    teacher: ModelShape | None = None
    same_tokens: bool = True
    axis: int = 2
    whole_example: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of a loss.

    needs: what it compares the student with.
        "target": gold ids i64 [B, U], or [B, C] unit numbers for axis 1.
        "order": labels of sentence order; fn sees logits [1, K, 2] and targets [1, K].
        "signal": the teacher's logits [B, U, C].
        "states": inner states of both models.
    fn: (student logits [B, U, C], target or teacher logits, mask bool [B, U], axis) -> the **sum**
        over masked-in units (axis 2) or examples (axis 1) as a scalar; the weighted loss divides by
        the global count, so that accumulation and data parallelism do not change it. Zero, with a
        gradient of zero, when everything is masked.
        For states: ({state: student's [B, P, ...]}, {state: teacher's}, mask bool [B, P], axis) ->
        the sum over masked-in positions.

    The rest is for states alone.

    student, teacher: those it compares; no others are kept.
    pool: what a position P is: "token" (every real token), "padded" (pads too), or a unit, by its
        "first" token or the "mean" of its tokens.
    windows: the count is of windows, not of positions.
    module: weights that it learns.

    Example: the second layer of a student beside the last one of a teacher:

        Term(name="hidden", needs="states", fn=fn, student=(("hidden", 2),),
             teacher=(("hidden", 12),), pool="mean")
    """

    name: str
    needs: str
    fn: Callable[[Any, Any, Tensor, int], Tensor]
    student: tuple[State, ...] = ()
    teacher: tuple[State, ...] = ()
    pool: str = ""
    windows: bool = False
    module: Module | None = None

    @property
    def same_tokens(self) -> bool:
        """Whether it compares token with token, so that both models must read the same ones."""
        return self.pool in ("token", "padded")

    def inputs(self, task: Objective, output: Output, batch: Batch) -> tuple[Any, Any, Tensor, int]:
        """Return what `fn` is called with for a batch: student, target or teacher, mask, axis.

        Raises:
            ConfigError: the batch has no teacher, or the model no sentence-order head.
        """
        # gold labels, where there are some
        if self.needs == "target":
            logits = task.supervised(output, batch)
            return logits.logits, task.targets(batch), logits.mask, task.axis

        # the K texts of the batch are the units of one example
        if self.needs == "order":
            if output.order is None:
                raise ConfigError(
                    "term 'order': the model has no sentence-order head: leave the term out"
                )
            labels = _order(batch)
            return output.order[None], labels[None], (labels != IGNORE)[None], task.axis

        # what the teacher says of each unit
        if self.needs == "signal":
            teacher = _teacher(batch)
            return task.signal(output, batch).logits, teacher.logits, teacher.mask, task.axis

        # what happens inside
        states = _teacher_states(batch)
        student = self._student_states(output, batch, whole_example=task.whole_example)
        return student, states.states[self.pool], states.masks[self.pool], task.axis

    def count(self, task: Objective, batch: Batch) -> int:
        """Count what the term is summed over: units (axis 2), examples (axis 1) or positions.

        It is known before any model runs.
        """
        if self.needs == "order":
            return len(_order(batch))

        # over axis 1 a row is one distribution, however many units it runs over
        if self.needs == "states":
            counted, by_row = _teacher_states(batch).masks[self.pool], self.windows
        elif self.needs == "target":
            counted, by_row = task.targets(batch) != IGNORE, task.axis != 2
        else:
            counted, by_row = _teacher(batch).mask, task.axis == 1
        return int((counted.flatten(1).any(1) if by_row else counted).sum())

    def _student_states(
        self, output: Output, batch: Batch, *, whole_example: bool
    ) -> Mapping[State, Tensor]:
        """Return the student's states that the term compares, by unit where tokens differ."""
        shown = {("logits", 0): output.logits, **output.states}
        states = {state: shown[state] for state in self.student}
        if self.same_tokens:
            return states

        # other tokens: the two models meet at units
        return {
            state: pool_states(value, batch, self.pool, whole_example=whole_example)
            for state, value in states.items()
        }


def _order(batch: Batch) -> Tensor:
    """Return the labels of sentence order in a batch, i64 [K]."""
    if batch.order is None:
        raise ConfigError("term 'order' is for pre-training on pairs of sentences: leave it out")
    return at_places(batch.order, batch.order != IGNORE, batch, "order")


def _teacher(batch: Batch) -> Signal:
    """Return the teacher's signal; raise ConfigError when there is none."""
    if batch.teacher is None:
        raise ConfigError(
            "a term of the loss needs a teacher and there is none:"
            " use 'hard' alone, or give a teacher"
        )
    return batch.teacher


def _teacher_states(batch: Batch) -> TeacherStates:
    """Return the teacher's states; raise ConfigError when there are none."""
    if batch.teacher_states is None:
        raise ConfigError(
            "a term of the loss looks inside a teacher and there is none:"
            " use 'kl', or give a teacher"
        )
    return batch.teacher_states
