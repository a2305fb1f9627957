"""The teachers of a study: their keys, their scores on dev, and the logits that their caches keep.

Nothing is trained here: `training.train_teachers` adds each teacher when it is trained or loaded.
Until then only its key is known, which is enough to find out what was recorded.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from destila import hub
from destila.errors import ConfigError, ModelError
from destila.inference.predictor import Predictor
from destila.model_folder import read_folder
from destila.models.presets import PRESETS
from destila.progress import Progress
from destila.study.planning.data import Study
from destila.study.planning.distil_options import DistilOptions
from destila.study.planning.keys import EnsembleKey
from destila.study.planning.labelling.int8_labels import Int8Labeller, label_in_int8
from destila.study.planning.open_models import load_for_study, predictor_of
from destila.study.planning.recipe import TeacherSpec
from destila.teachers.cache import Cache, PredictRows, RowsView, estimate_cache
from destila.teachers.ensemble import combine_logits, ensemble_weights
from destila.teachers.given_labels import GivenLabels
from destila.teachers.kept_teacher import KeptTeacher
from destila.teachers.teacher import Teacher
from destila.terminal import in_duration, in_units_of_bytes
from destila.training.batches import TeacherLogits
from destila.training.processes import processes
from destila.types import Example, Features, Prediction

log = logging.getLogger(__name__)

GivenAnswers = GivenLabels | KeptTeacher
"""A teacher without a model: a file of labels, or what a bundle kept of one that is gone."""

TIMED_TEXTS = 64
"""Texts on which a teacher is timed while its cache is filled."""
_SOON = 1 / 6  # minutes of labelling that nobody has to be told of


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedTeacher:
    """A teacher that is ready to teach, and how it does on dev.

    `RankedTeacher(spec=..., key="5be0...",
    folder=Path("runs/demo-tags/teachers/teacher-teacher-s0/best"),
    label_map={}, dev=0.94, dev_loss=0.21, seconds=31.5)`

    Args:
        folder: of its model; the file of labels that it is.
        label_map: its label names -> ours, where they differ.
        dev: the main dev score.
        seconds: of fine-tuning; 0 for a teacher that is used as it is.
    """

    spec: TeacherSpec
    key: str
    folder: Path
    label_map: Mapping[str, str]
    dev: float
    dev_loss: float
    seconds: float = 0.0


class LabellingMachines(Protocol):
    """Machines that answer for a teacher; `cluster_labels.ClusterLabels`."""

    def answers(
        self,
        study: Study,
        teacher: RankedTeacher,
        options: DistilOptions,
        *,
        spec: dict[str, Any],
        folder: Path,
        missing: Sequence[Example],
        progress: Progress,
    ) -> PredictRows:
        """Return what fills a cache with their answers."""

    def forget(self, folder: Path) -> None:
        """Remove what a cache was filled with, once it is."""


class Teachers:
    """The teachers of a study, by label; each is loaded once, when it is first needed."""

    def __init__(
        self,
        study: Study,
        keys: Mapping[str, str],
        given: Mapping[str, GivenAnswers] | None = None,
    ) -> None:
        """Know the teachers by their keys; `add` tells how they do on dev.

        Args:
            study: whose recipe names them.
            keys: their digests, by label.
            given: those without a model, by label.
        """
        self.study, self.keys = study, keys
        self.given = dict(given or {})
        self._ready: dict[str, RankedTeacher] = {}
        self._loaded: dict[str, Teacher] = {}
        self._int8: dict[str, Int8Labeller | None] = {}
        self.cluster: LabellingMachines | None = None

    def add(self, teacher: RankedTeacher) -> None:
        """Add a teacher that was trained or loaded."""
        self._ready[teacher.spec.label] = teacher

    @property
    def ready(self) -> bool:
        """Whether every teacher was trained or loaded."""
        return bool(self.keys) and len(self._ready) == len(self.keys)

    def names(self, names: Sequence[str] | None) -> list[str]:
        """Return the labels that a recipe names, in its order; all for None."""
        return list(self.keys if names is None else names)

    def ranked(self, names: Sequence[str] | None = None) -> list[RankedTeacher]:
        """Return the teachers of these labels, best on dev first; all for None.

        Raises:
            ConfigError: the recipe has no teachers.
        """
        labels = self.names(names)
        if not labels:
            name = self.study.recipe.name
            raise ConfigError(f"recipe '{name}' has no [[teachers]]: give at least one")

        # By loss the least is best, by score the largest.
        ready = [self._ready[label] for label in labels]
        if self.study.recipe.choose == "loss":
            return sorted(ready, key=lambda teacher: teacher.dev_loss)
        return sorted(ready, key=lambda teacher: -teacher.dev)

    @cached_property
    def best(self) -> RankedTeacher:
        """The best of those that may teach, with which every student is compared."""
        return self.ranked(self.study.recipe.distil.teachers)[0]

    @cached_property
    def best_predictor(self) -> Predictor:
        """The best teacher, ready to predict; a file of labels predicts and does nothing else."""
        given: Any = self.given.get(self.best.spec.label)
        precision = self.study.recipe.distil.precision
        return given or predictor_of(self.study, self._load(self.best), precision=precision)

    @cached_property
    def best_predictions(self) -> list[Prediction] | None:
        """What the best teacher predicts for the test split; None where a file does not say it."""
        test = self.study.dataset.splits["test"]
        given = self.given.get(self.best.spec.label)
        if given is not None and not all(map(given.covers, test)):
            return None
        return list(self.best_predictor.predict(test))

    def check_given(self, options: DistilOptions, unlabelled: Sequence[Example]) -> None:
        """Check that teachers without a model can teach what is asked of them.

        Args:
            options: of a distillation.
            unlabelled: texts that the teacher alone labels.

        Raises:
            ConfigError: texts are made that no file can label.
            DataError: an unlabelled text has no labels.
        """
        for name in self.names(options.teachers):
            if (given := self.given.get(name)) is not None:
                # A bundle knows the texts that were made for its study.
                if options.augment is not None and isinstance(given, GivenLabels):
                    raise ConfigError(
                        f"distil.augment makes new texts, and teacher '{name}' is a file of "
                        "labels, which has none of them: leave it out"
                    )
                given.check_covered(unlabelled)

    def is_open(self, options: DistilOptions) -> bool:
        """Tell whether several teachers may teach and dev decides which."""
        return options.ensemble is None and len(self.names(options.teachers)) > 1

    def key_of(self, options: DistilOptions) -> str:
        """Return the key of what teaches; where dev decides, the teachers must be ready."""
        # A single teacher is known before it is trained.
        labels = self.names(options.teachers)
        if len(labels) == 1:
            return self.keys[labels[0]]

        # Of several, dev names the best one; an ensemble is named by all of them.
        if options.ensemble is None:
            return self.ranked(labels)[0].key
        keys = [self.keys[label] for label in labels]
        return EnsembleKey(teachers=keys, options=options.ensemble).digest

    def teaching(self, options: DistilOptions) -> list[RankedTeacher]:
        """Return the teachers of a student: the best one, or all of an ensemble."""
        if options.ensemble is None:
            return self.ranked(options.teachers)[:1]
        return [self._ready[label] for label in self.names(options.teachers)]

    def inside(self, options: DistilOptions) -> Teacher:
        """Load the teacher whose inner states a student learns: of an ensemble, the best on dev."""
        return self._load(self.ranked(options.teachers)[0])

    def logits(
        self, options: DistilOptions, examples: Sequence[Example], progress: Progress
    ) -> TeacherLogits:
        """Return what teaches as logits of any window of some examples, read from caches.

        Args:
            options: say which teachers, and how they teach as one.
            examples: a window's `row` counts them.
            progress: called while missing logits are computed.
        """
        # One teacher: its rows as they are.
        task, teachers = self.study.task, self.teaching(options)
        rows = [self._rows(teacher, examples, options, progress) for teacher in teachers]
        if options.ensemble is None or len(teachers) == 1:
            return lambda window: task.teacher_logits(rows[0][window.row], window)

        # Several teachers: a weighted mean for each unit.
        weights = ensemble_weights(options.ensemble.weights, [teacher.dev for teacher in teachers])
        mean = options.ensemble.mean
        log.info(
            "ensemble: mean of %s, weights %s",
            mean,
            ", ".join(f"{t.spec.label} {w:.3f}" for t, w in zip(teachers, weights, strict=True)),
        )

        def combined(window: Features) -> np.ndarray:
            logits = [task.teacher_logits(row[window.row], window) for row in rows]
            return combine_logits(logits, weights, mean=mean, axis=task.axis)

        return combined

    def _rows(
        self,
        teacher: RankedTeacher,
        examples: Sequence[Example],
        options: DistilOptions,
        progress: Progress,
    ) -> RowsView:
        """Return a teacher's cached logits for some examples; what is missing is computed.

        Args:
            teacher: one that is ready.
            examples: in the order of the rows that are returned.
            options: how the teacher computes, and the precision of the cache.
            progress: called while missing logits are computed.
        """
        classes = len(self.study.labels)
        key, answers = self.asked(teacher, options)
        dtype = options.dtype
        cache = Cache.open(None, key, classes, dtype)

        # Equal texts were perhaps asked about in another study, which shares the cache. Of those
        # that are missing, the first ones tell how long the others will take.
        missing = [examples[i] for i in cache.missing(examples)]
        cluster = self.cluster if teacher.spec.label not in self.given else None
        if cluster is not None and missing:
            answers = cluster.answers(
                self.study,
                teacher,
                options,
                spec=key,
                folder=cache.folder,
                missing=missing,
                progress=progress,
            )
        started = time.monotonic()
        asked = cache.fill(missing[:TIMED_TEXTS], answers)
        if asked and cluster is None:  # none where another process has filled them meanwhile
            seconds = (time.monotonic() - started) / asked
            need = estimate_cache(missing, classes, dtype, seconds)
            say = log.info if need["minutes"] > _SOON else log.debug
            say(
                "teacher outputs: %d texts to label, about %s and %s in %s",
                len(missing),
                in_duration(60 * need["minutes"]),
                in_units_of_bytes(1e6 * need["megabytes"]),
                cache.folder,
            )

        # The others; what is cached by now is skipped.
        asked += cache.fill(
            examples,
            answers,
            progress=lambda done, total: progress("teacher outputs", done, total),
        )
        if cluster is not None:
            cluster.forget(cache.folder)
        log.info("teacher calls: %d (of %d texts, the others were cached)", asked, len(examples))
        return cache.rows(examples)

    def asked(
        self, teacher: RankedTeacher, options: DistilOptions
    ) -> tuple[dict[str, Any], PredictRows]:
        """Return what the cache of a teacher's answers depends on, and what fills it.

        Args:
            teacher: one that is ready.
            options: how it computes, and the precision of the cache.
        """
        rule = self.study.task.unit_rule
        given = self.given.get(teacher.spec.label)
        if isinstance(given, KeptTeacher):
            return given.cached_as(rule, options.dtype, options.labelled_in)
        if given is not None:
            return given.spec(rule), given.logits
        model, longest = self._load(teacher), self.study.recipe.max_length
        predictor = predictor_of(self.study, model, precision=options.precision)
        if options.label_in == "int8" and (labeller := self._in_int8(teacher, model)) is not None:
            return model.spec(longest, rule, precision=labeller.name), labeller.logits
        return model.spec(longest, rule, precision=predictor.precision.name), predictor.logits

    def _in_int8(self, teacher: RankedTeacher, model: Teacher) -> Int8Labeller | None:
        """Return a teacher's int8 graph where dev lets it label; a GPU is faster than that."""
        label = teacher.spec.label
        if label not in self._int8:
            folder = self.study.folder / "teachers" / f"{label}-int8"
            self._int8[label] = (
                label_in_int8(self.study, model, folder, dev=teacher.dev)
                if processes().device.type == "cpu"
                else None
            )
        return self._int8[label]

    def _load(self, teacher: RankedTeacher) -> Teacher:
        """Return a teacher's model, loaded once: it gives logits, states and its own scores."""
        if teacher.key not in self._loaded:
            self._loaded[teacher.key] = load_for_study(
                self.study, teacher.folder, teacher.label_map
            )
        return self._loaded[teacher.key]


def needs_finetuning(study: Study, spec: TeacherSpec) -> bool:
    """Tell whether a teacher is fine-tuned first: by its table, or for want of a fitting head."""
    if spec.is_kept:
        return False
    if spec.finetune is False and spec.layers is not None:
        raise ConfigError(
            f"teacher '{spec.label}': its head is trained on all layers, not on layers = "
            f"{spec.layers}: drop `layers`, or finetune = false"
        )
    if spec.finetune is not None:
        return spec.finetune

    # Random weights know no labels yet, and a head does not fit what fewer layers say.
    if spec.layers is not None or spec.model is None or spec.model in PRESETS:
        return True

    # A head for the same labels is used as it is, whatever the case of their names.
    folder = read_folder(hub.resolve(spec.model, what="teacher"))
    known = {spec.label_map.get(label, label).lower() for label in folder.labels or ()}
    return folder.task != study.task.head or known != {label.lower() for label in study.labels}


def judge_teacher(study: Study, spec: TeacherSpec, key: str) -> RankedTeacher:
    """Score a teacher on dev that is used as it is.

    Raises:
        ModelError: its logits are not finite.
    """
    # Its label names may be others than ours, so the map goes along.
    folder = hub.resolve(spec.model or "", what="teacher")
    loaded = load_for_study(study, folder, spec.label_map)
    predictor = predictor_of(study, loaded, precision=study.recipe.distil.precision)

    # By score or by loss, whichever the recipe chooses teachers by.
    task, labels, dev = study.task, study.labels, study.dataset.splits["dev"]
    rows = predictor.rows(dev)
    scores = task.score(dev, task.decode(dev, rows, labels), labels)
    loss = task.loss(dev, rows, labels)
    if not math.isfinite(loss):
        raise ModelError(
            f"teacher '{spec.label}' says nothing finite of the dev texts: check its weights"
        )

    return RankedTeacher(
        spec=spec,
        key=key,
        folder=folder,
        label_map=spec.label_map,
        dev=scores[study.main],
        dev_loss=loss,
    )
