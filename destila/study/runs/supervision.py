"""What a student learns from: a loss, the teacher's cached logits, the teacher's inner states.

The states come from a teacher that runs beside the student, or from the disk where `distil.states`
says so. What can be known of them from the recipe alone is checked in `checks`, before any work
starts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from destila.errors import ConfigError
from destila.losses.term import LossContext, ModelShape
from destila.losses.weighted import WeightedLoss, build_loss
from destila.models.encoder import STATES
from destila.models.heads import Model
from destila.models.hf import Loaded
from destila.progress import Progress
from destila.study.planning.data import Study
from destila.study.planning.plans import Teaching, TrainPlan
from destila.study.planning.recipe import TRANSFORMERS_STATES
from destila.teachers import cached_states, live_states
from destila.teachers.cache import Cache
from destila.teachers.cached_states import CachedStates
from destila.teachers.live_states import LiveStates, StatesByPool
from destila.teachers.teacher import Teacher
from destila.training.batches import StateSource, TeacherLogits
from destila.training.precision import precision_for
from destila.training.processes import processes
from destila.types import Encoded, Example, Features

log = logging.getLogger(__name__)

_CHUNK_MB = 64
"""Hidden states that are computed between two writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What a training learns from.

    Args:
        loss: the weighted terms.
        logits: the teacher's, for any window; None where no term compares with them.
        states: what shows the inside of the teacher; None where no term looks there.
    """

    loss: WeightedLoss
    logits: TeacherLogits | None = None
    states: StateSource | None = None


def supervise(
    plan: TrainPlan,
    student: Loaded,
    examples: Sequence[Example],
    windows: Sequence[Features],
    progress: Progress,
) -> Supervision:
    """Return what a training learns from; its teachers are asked where a cache has no answer.

    Args:
        plan: the training.
        student: the model that is trained, and its tokenizer.
        examples: what it is trained on.
        windows: the student's windows of these examples.
        progress: called while a cache is filled.

    Raises:
        ConfigError: a term looks inside a teacher and there is none, or the two models cannot meet.
    """
    teaching, counts = plan.teaching, plan.study.class_counts
    loss = build_loss(plan.terms, class_counts=counts)
    states: StateSource | None = None

    # Terms on inner states are built again, now that both models are there.
    if loss.needs_states:
        if teaching is None:
            raise ConfigError(
                "a term of the loss looks inside a teacher and there is none: give [[teachers]]"
            )
        reader = _teacher_reader(plan, teaching, student, examples, windows)
        loss = build_loss(plan.terms, class_counts=counts, setting=_context(plan, student, reader))
        states = _state_source(plan, teaching, reader, loss.teacher_states)

    # Answers come from the cache; only texts that are new to it are shown to the teacher.
    logits = None
    if teaching is not None and loss.needs_signal:
        logits = teaching.teachers.logits(teaching.options, examples, progress)
    return Supervision(loss=loss, logits=logits, states=states)


@dataclass(frozen=True, slots=True, kw_only=True)
class _TeacherReader:
    """A teacher and the texts that the student reads.

    Args:
        study: its task and labels decide what a window is.
        teacher: the model that shows its states.
        shape: the teacher's.
        examples: what the student is trained on.
        windows: the student's, of these examples.
        same_tokens: both read equal tokens in equal windows.
        precision: of the teacher's products where its states are cached, as a recipe names it.
    """

    study: Study
    teacher: Teacher
    shape: ModelShape
    examples: Sequence[Example]
    windows: Sequence[Features]
    same_tokens: bool
    precision: str

    def encode(self, examples: Sequence[Example]) -> Encoded:
        """Return the teacher's windows of some examples."""
        # By its own tokenizer, and no longer than it reads at once.
        longest = min(self.study.recipe.max_length, self.teacher.max_length)
        return self.study.task.encode(
            examples, self.teacher.tokenizer, self.study.labels, max_length=longest
        )

    def live(self, states: StatesByPool, batch_size: int) -> LiveStates:
        """Return the teacher on the fly, and log the memory that it takes."""
        # With other tokens the teacher reads windows of its own.
        own = None if self.same_tokens else self.encode(self.examples).features
        tokens = max(len(window.input_ids) for window in own or self.windows)
        units = max(len(window.owned) for window in self.windows)

        # Told before the memory is taken.
        need = live_states.live_megabytes(
            self.shape,
            self.teacher.params,
            states,
            windows=batch_size,
            tokens=tokens,
            units=units,
        )
        log.info(
            "teacher on the fly: %.1f MB of weights, "
            "about %.1f MB of states for %d windows of %d tokens",
            need["weights"],
            need["states"],
            batch_size,
            tokens,
        )
        return LiveStates(
            self.teacher.model,
            states,
            whole=self.study.task.whole_example,
            windows=own,
            pad_id=self.teacher.tokenizer.pad_id,
        )

    def cached(self, states: StatesByPool, limit_mb: float) -> CachedStates | None:
        """Return the teacher's hidden states from the disk, computed where they are missing.

        None where they cannot be kept: they are of another kind, or larger than the limit.
        """
        # Attention and its relations are never kept on disk.
        if not cached_states.can_cache(states):
            log.info(
                "distil.states = 'cache': only hidden states are cached; "
                "the teacher runs on the fly"
            )
            return None

        # Told before the disk is filled.
        need = cached_states.cached_megabytes(self.windows, states, self.shape.hidden)
        log.info("hidden states: about %.1f MB in half precision (limit %g MB)", need, limit_mb)
        if need > limit_mb:
            log.info("over distil.cache_limit_mb = %g: the teacher runs on the fly", limit_mb)
            return None

        # One cache for each way of pooling tokens, filled chunk by chunk to bound the memory.
        chunk = max(1, int(_CHUNK_MB / 2 * len(self.examples) / max(need, 1e-9)))
        rows = {pool: self._fill(pool, wanted, chunk) for pool, wanted in states.items()}
        return CachedStates(rows, states, windows=self.windows, width=self.shape.hidden)

    def _fill(self, pool: str, states: Sequence[Any], chunk: int) -> Any:
        """Fill the cache of the states of one pool, and return its rows for the examples."""
        # Equal teachers, windows and pools share a cache, in whichever study.
        precision = precision_for(self.precision, processes().device, exact=True)
        key = self.teacher.spec(
            self.study.recipe.max_length, self.study.task.unit_rule, precision=precision.name
        )
        key = {**key, "unit": cached_states.state_unit(key["unit"], pool, states)}
        cache = Cache.open(None, key, len(states) * self.shape.hidden)
        predict = cached_states.state_predictor(
            self.teacher.model,
            self.encode,
            pool,
            states,
            whole=self.study.task.whole_example,
            pad_id=self.teacher.tokenizer.pad_id,
            precision=precision,
        )

        # Only texts that no study asked about before are new.
        new = cache.fill(self.examples, predict, chunk=chunk)
        log.info(
            "hidden states: %d of %d texts were new to %s", new, len(self.examples), cache.folder
        )
        return cache.rows(self.examples)


def _teacher_reader(
    plan: TrainPlan,
    teaching: Teaching,
    student: Loaded,
    examples: Sequence[Example],
    windows: Sequence[Features],
) -> _TeacherReader:
    """Load the teacher whose inner states are learnt, and see how its tokens meet the student's.

    Args:
        plan: the training.
        teaching: of the plan.
        student: the model that is trained, and its tokenizer.
        examples: what it is trained on.
        windows: the student's windows of these examples.
    """
    teacher = teaching.teachers.inside(teaching.options)
    longest = plan.study.recipe.max_length
    at_once = min(longest, teacher.max_length)
    tokens = f"{teacher.tokenizer.source}, {at_once} tokens at once"

    # Equal tokens in shorter windows are other positions.
    equal = teacher.tokenizer.fingerprint == student.tokenizer.fingerprint
    return _TeacherReader(
        study=plan.study,
        teacher=teacher,
        shape=_shape_of(teacher.model, teacher.source, tokens),
        examples=examples,
        windows=windows,
        same_tokens=equal and at_once == longest,
        precision=teaching.options.precision,
    )


def _context(plan: TrainPlan, student: Loaded, reader: _TeacherReader) -> LossContext:
    """Return what terms may know of the two models."""
    # Tokenizers in words, for messages about tokens that differ.
    tokens = f"{student.tokenizer.source}, {plan.study.recipe.max_length} tokens at once"
    return LossContext(
        student=_shape_of(student.model, plan.spec.label, tokens),
        teacher=reader.shape,
        same_tokens=reader.same_tokens,
        axis=plan.study.task.axis,
        whole_example=plan.study.task.whole_example,
        seed=plan.seed,
    )


def _state_source(
    plan: TrainPlan, teaching: Teaching, reader: _TeacherReader, states: StatesByPool
) -> StateSource:
    """Return the teacher's states from the disk where they can be kept, else the live teacher."""
    # The live teacher reads what one micro-batch of the student holds.
    cached: CachedStates | None = None
    if teaching.options.states == "cache":
        cached = reader.cached(states, teaching.options.cache_limit_mb)
    batch_size = plan.options.batch_size // plan.options.accumulation or 1
    return cached or reader.live(states, batch_size)


def _shape_of(model: nn.Module, name: str, tokenizer: str) -> ModelShape:
    """Return the shape of a loaded model."""
    if isinstance(model, Model):
        config = model.config
        sizes = (config.layers, config.hidden, config.heads)
        return ModelShape(name, tokenizer, *sizes, STATES)

    # A model that only transformers knows has the names of its library.
    other: Any = model.inner.config  # type: ignore[union-attr]
    sizes = (other.num_hidden_layers, other.hidden_size, other.num_attention_heads)
    return ModelShape(name, tokenizer, *sizes, TRANSFORMERS_STATES)
