"""What connects the terms of a recipe that look inside a teacher with the models: checks, a live teacher, a cache.

What can be known from the recipe (layers, widths, heads, tokenizers) is checked before any work starts; the states
themselves come from a teacher that runs beside the student, or from the disk where `distil.states` says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from torch import nn

from destila import hub
from destila.errors import ConfigError
from destila.losses.weighted import WeightedLoss, build_loss
from destila.model_folder import read_folder
from destila.models import hf_config
from destila.models.architecture import ArchitectureKind, EncoderConfig, from_shape
from destila.models.encoder import STATES
from destila.models.heads import Model
from destila.models.hf import Loaded
from destila.models.presets import PRESETS
from destila.study.data import Study, tokens_named, tokens_of
from destila.study.recipe import DistilOptions, ModelSpec, StudentSpec, TeacherSpec
from destila.teachers import cached_states
from destila.teachers import live_states as live
from destila.teachers.cache import Cache
from destila.teachers.cached_states import CachedStates
from destila.teachers.live_states import LiveStates, StatesByPool
from destila.teachers.teacher import Teacher
from destila.training.batches import StateSource
from destila.types import Encoded, Example, Features, LossContext, ModelShape

if TYPE_CHECKING:
    from destila.study.training import Job

log = logging.getLogger(__name__)

_THEIRS = frozenset({"logits", "hidden", "attention"})
"""Kinds of State that every model of transformers shows."""

_CHUNK_MB = 64
"""Hidden states that are computed between two writes."""


@dataclass(frozen=True, slots=True)
class Inside:
    """The teacher whose inside a student sees, loaded only when a job starts, and how its states are kept."""

    teacher: Callable[[], Teacher]
    options: DistilOptions


def check(study: Study) -> None:
    """Raises ConfigError for terms that are wrong, or that the models of the recipe cannot meet."""
    recipe = study.recipe
    for student in recipe.students if recipe.teachers else ():
        chosen = recipe.distil_of(student)
        for terms in (chosen.terms, *(stage.terms for stage in chosen.stages if stage.terms)):
            if build_loss(terms, class_counts=study.class_counts).needs_states:
                names = chosen.teachers
                for teacher in (t for t in recipe.teachers if names is None or t.label in names):
                    _check_pair(study, terms, student, teacher)


def _check_pair(
    study: Study, terms: Sequence[dict[str, Any]], student: StudentSpec, teacher: TeacherSpec
) -> None:
    mine, theirs = _planned(student), _planned(teacher)
    if (
        mine is None or theirs is None
    ):  # a shape that only transformers can read: checked when it is loaded
        return
    same = tokens_of(student) == tokens_of(teacher)
    setting = LossContext(
        student=mine, teacher=theirs, same_tokens=same, axis=study.task.axis, whole=_whole(study)
    )
    build_loss(terms, class_counts=study.class_counts, setting=setting)


def beside(study: Study, job: Job) -> float:
    """Forward work of the teacher that runs beside a job's student, as a multiple of the student's; 0 without one.

    Of several teachers that may teach the largest. By layers x hidden^2, which is what a short window costs; 0 too where
    a shape is not written down, or hidden states come from the disk.
    """
    spec = job.spec
    if job.role != "distilled" or not isinstance(spec, StudentSpec):
        return 0.0
    chosen = study.recipe.distil_of(spec)
    if (
        chosen.states == "cache"
        or not build_loss(job.terms, class_counts=study.class_counts).needs_states
    ):
        return 0.0
    names = chosen.teachers
    teachers = [_planned(t) for t in study.recipe.teachers if names is None or t.label in names]
    work = [shape.layers * shape.hidden**2 for shape in (_planned(spec), *teachers) if shape]
    return max(work[1:], default=0) / work[0] if len(work) == len(teachers) + 1 else 0.0


def _planned(spec: ModelSpec) -> ModelShape | None:
    """The shape that a spec asks for, without its weights; None where it is not written down."""
    kinds = STATES
    if spec.shape is not None or spec.model in PRESETS:
        found = (
            PRESETS[spec.model or ""]
            if spec.shape is None
            else from_shape(spec.shape, vocab_size=1, pad_id=0)
        )
        sizes = [found.layers, found.hidden, found.heads]
    else:
        info = read_folder(hub.resolve(spec.model or ""))
        if info.config.get("model_type") in get_args(ArchitectureKind):
            known = hf_config.read_hf_config(info.config, where=str(info.path))
            sizes = [known.layers, known.hidden, known.heads]
        else:
            kinds = _THEIRS
            sizes = [
                info.config.get(key, 0)
                for key in ("num_hidden_layers", "hidden_size", "num_attention_heads")
            ]
    layers = (
        sizes[0]
        if spec.layers is None
        else spec.layers
        if isinstance(spec.layers, int)
        else len(spec.layers)
    )
    return (
        ModelShape(spec.label, tokens_named(spec), layers, sizes[1], sizes[2], kinds)
        if all(sizes)
        else None
    )


def loss_of(
    study: Study, job: Job, loaded: Loaded, examples: Sequence[Example], windows: Sequence[Features]
) -> tuple[WeightedLoss, StateSource | None]:
    """The job's loss, and what shows it the inside of the teacher where a term looks there.

    loaded: the student. examples, windows: what it trains on. Raises ConfigError when they cannot meet.
    """
    loss = build_loss(job.terms, class_counts=study.class_counts)
    if not loss.needs_states:
        return loss, None
    if job.teaching is None:
        raise ConfigError(
            "a term of the loss looks inside a teacher and there is none: give [[teachers]]"
        )
    inside = job.teaching.inside
    teacher = inside.teacher()
    longest = study.recipe.max_length
    at_once = min(longest, teacher.max_length)
    same = teacher.tokenizer.fingerprint == loaded.tokenizer.fingerprint and at_once == longest
    setting = LossContext(
        student=_shape(
            loaded.model, job.spec.label, f"{loaded.tokenizer.source}, {longest} tokens at once"
        ),
        teacher=_shape(
            teacher.model, teacher.source, f"{teacher.tokenizer.source}, {at_once} tokens at once"
        ),
        same_tokens=same,
        axis=study.task.axis,
        whole=_whole(study),
        seed=job.seed,
    )
    loss = build_loss(job.terms, class_counts=study.class_counts, setting=setting)
    reading = _Reading(study, teacher, _known(setting.teacher), examples, windows, same)
    wanted = loss.teacher_states
    stored = (
        reading.stored(wanted, inside.options.cache_limit_mb)
        if inside.options.states == "cache"
        else None
    )
    return loss, stored or reading.live(
        wanted, job.options.batch_size // job.options.accumulation or 1
    )


def _whole(study: Study) -> bool:
    """Whether an example is its only unit."""
    return study.task.name == "classify"


def _known(shape: ModelShape | None) -> ModelShape:
    assert shape is not None
    return shape


def _shape(model: nn.Module, name: str, tokenizer: str) -> ModelShape:
    """What a loaded model is like."""
    if isinstance(model, Model):
        found: EncoderConfig = model.config
        return ModelShape(name, tokenizer, found.layers, found.hidden, found.heads, STATES)
    theirs: Any = model.inner.config  # type: ignore[union-attr]
    sizes = (theirs.num_hidden_layers, theirs.hidden_size, theirs.num_attention_heads)
    return ModelShape(name, tokenizer, *sizes, _THEIRS)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A teacher and the texts that the student reads. windows: the student's. same: the tokens are the same."""

    study: Study
    teacher: Teacher
    shape: ModelShape
    examples: Sequence[Example]
    windows: Sequence[Features]
    same: bool

    def encode(self, examples: Sequence[Example]) -> Encoded:
        """The teacher's windows of some examples."""
        longest = min(self.study.recipe.max_length, self.teacher.max_length)
        return self.study.task.encode(
            examples, self.teacher.tokenizer, self.study.labels, max_length=longest
        )

    def live(self, wanted: StatesByPool, batch: int) -> LiveStates:
        """The teacher on the fly; logs the memory that it takes."""
        own = None if self.same else self.encode(self.examples).features
        tokens = max(len(w.input_ids) for w in own or self.windows)
        units = max(len(w.owned) for w in self.windows)
        need = live.live_megabytes(
            self.shape, self.teacher.params, wanted, windows=batch, tokens=tokens, units=units
        )
        log.info(
            "teacher on the fly: %.1f MB of weights, about %.1f MB of states for %d windows of %d tokens",
            need["weights"],
            need["states"],
            batch,
            tokens,
        )
        return LiveStates(
            self.teacher.model,
            wanted,
            whole=_whole(self.study),
            windows=own,
            pad_id=self.teacher.tokenizer.pad_id,
        )

    def stored(self, wanted: StatesByPool, limit_mb: float) -> CachedStates | None:
        """The teacher's hidden states from the disk, computed where they are missing; None where they cannot be kept."""
        if not cached_states.can_cache(wanted):
            log.info(
                "distil.states = 'cache': only hidden states are cached; the teacher runs on the fly"
            )
            return None
        need = cached_states.cached_megabytes(self.windows, wanted, self.shape.hidden)
        log.info("hidden states: about %.1f MB in half precision (limit %g MB)", need, limit_mb)
        if need > limit_mb:
            log.info("over distil.cache_limit_mb = %g: the teacher runs on the fly", limit_mb)
            return None
        chunk = max(1, int(_CHUNK_MB / 2 * len(self.examples) / max(need, 1e-9)))
        base = self.teacher.spec(self.study.recipe.max_length, self.study.unit_rule)
        rows = {}
        for pool, states in wanted.items():
            key = {**base, "unit": cached_states.state_unit(base["unit"], pool, states)}
            cache = Cache.open(None, key, len(states) * self.shape.hidden)
            predict = cached_states.state_predictor(
                self.teacher.model,
                self.encode,
                pool,
                states,
                whole=_whole(self.study),
                pad_id=self.teacher.tokenizer.pad_id,
            )
            asked = cache.fill(self.examples, predict, chunk=chunk)
            log.info(
                "hidden states: %d of %d texts were new to %s",
                asked,
                len(self.examples),
                cache.folder,
            )
            rows[pool] = cache.rows(self.examples)
        return CachedStates(rows, wanted, windows=self.windows, width=self.shape.hidden)
