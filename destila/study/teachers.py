"""The teachers of a study: fine-tuned or loaded, ranked on dev, and the best one's outputs cached."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from destila import config, hub
from destila.errors import ConfigError, ModelError
from destila.model_folder import read_folder
from destila.models.presets import PRESETS
from destila.models.weights import weights_fingerprint
from destila.progress import Progress, silent
from destila.study.data import Study
from destila.study.recipe import DistilOptions, TeacherSpec
from destila.study.training import Job, key_of, train
from destila.teachers.cache import Cache, RowsView
from destila.teachers.cache import estimate_cache as cost
from destila.teachers.ensemble import combine_logits, ensemble_weights
from destila.teachers.teacher import Teacher, load_teacher
from destila.training.batches import TeacherLogits
from destila.training.predict import TorchPredictor
from destila.types import Example, Features

log = logging.getLogger(__name__)

_TRIED = 64
"""Texts on which a teacher is timed while its cache is filled."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A teacher and how it does on dev. mapping: its label names -> ours, where they differ."""

    spec: TeacherSpec
    key: str
    folder: Path
    mapping: dict[str, str]
    dev: float
    dev_loss: float
    seconds: float = 0.0  # of fine-tuning


class Teachers:
    """What a study's teachers say; nothing is trained, loaded or asked before it is needed."""

    def __init__(self, study: Study, progress: Progress = silent) -> None:
        self.study, self.recipe, self.progress = study, study.recipe, progress
        self._candidates: dict[str, Candidate] = {}
        self._loaded: dict[str, Teacher] = {}

    @cached_property
    def chosen(self) -> Candidate:
        """The recipe's own teacher, with which students are compared: the best on dev of those that may teach."""
        return self.best_of(self.recipe.distil.teachers)

    @cached_property
    def key(self) -> str:
        """The key of the chosen teacher."""
        return self.key_of(self.recipe.distil)

    @cached_property
    def ranked(self) -> list[Candidate]:
        """All teachers, best on dev first."""
        return self._ranked(self.recipe.teachers)

    def among(self, names: Sequence[str] | None) -> list[TeacherSpec]:
        """The teachers of these names, in their order; None: all."""
        known = {t.label: t for t in self.recipe.teachers}
        return [known[name] for name in (known if names is None else names)]

    def best_of(self, names: Sequence[str] | None) -> Candidate:
        """The best on dev by the recipe's criterion of the teachers of these names; None: of all."""
        return self._ranked(self.among(names))[0]

    def key_of(self, options: DistilOptions) -> str:
        """The key of what teaches; to know the best of several, all are trained."""
        specs = self.among(options.teachers)
        if len(specs) == 1:
            return self._key_of(specs[0])
        if options.ensemble is None:
            return self.best_of(options.teachers).key
        return config.fingerprint("ensemble", [self._key_of(t) for t in specs], options.ensemble)

    def teaching(self, options: DistilOptions) -> list[Candidate]:
        """The teachers that a student hears: the best one, or all of an ensemble."""
        if options.ensemble is None:
            return [self.best_of(options.teachers)]
        return [self._candidate(t) for t in self.among(options.teachers)]

    def _ranked(self, specs: Sequence[TeacherSpec]) -> list[Candidate]:
        if not specs:
            raise ConfigError(f"recipe '{self.recipe.name}' has no [[teachers]]: give at least one")
        found = [self._candidate(t) for t in specs]
        by_loss = self.recipe.choose == "loss"
        return sorted(found, key=lambda c: c.dev_loss if by_loss else -c.dev)

    def _candidate(self, teacher: TeacherSpec) -> Candidate:
        if teacher.label not in self._candidates:
            self._candidates[teacher.label] = self._try(teacher)
        return self._candidates[teacher.label]

    def _try(self, teacher: TeacherSpec) -> Candidate:
        key = self._key_of(teacher)
        if self.finetunes(teacher):
            trained = train(self.study, self.job(teacher), self.progress)
            main = trained.dev[self.study.main]
            return Candidate(
                teacher, key, trained.model, {}, main, trained.dev_loss, trained.seconds
            )
        folder = hub.resolve(teacher.model or "", what="teacher")
        loaded = self.load(folder, teacher.label_map)
        predictor = self.predictor_of(loaded)
        dev = self.study.dataset.splits["dev"]
        task, labels = self.study.task, self.study.labels
        rows = predictor.rows(dev)
        scores, loss = (
            task.score(dev, task.decode(dev, rows, labels), labels),
            task.loss(dev, rows, labels),
        )
        if not math.isfinite(loss):
            raise ModelError(
                f"teacher '{teacher.label}' says nothing finite of the dev texts: check its weights"
            )
        return Candidate(teacher, key, folder, teacher.label_map, scores[self.study.main], loss)

    def _key_of(self, teacher: TeacherSpec) -> str:
        """Names a teacher and the data it is asked about, before it is trained or loaded."""
        if self.finetunes(teacher):
            return key_of(self.study, self.job(teacher))
        return config.fingerprint(
            self.study.fingerprint, weights_fingerprint(teacher.model or ""), teacher.label_map
        )

    def job(self, teacher: TeacherSpec) -> Job:
        """The fine-tuning of a teacher."""
        seed = self.recipe.teacher_seed
        folder = self.recipe.folder / "teachers" / f"{teacher.label}-teacher-s{seed}"
        return Job(folder, "teacher", teacher, self.recipe.options(teacher.train), seed)

    def finetunes(self, teacher: TeacherSpec) -> bool:
        """Whether a teacher is fine-tuned on the data first."""
        if teacher.finetune is not None:
            return teacher.finetune
        if teacher.model is None or teacher.model in PRESETS:
            return True
        info = read_folder(hub.resolve(teacher.model, what="teacher"))
        known = {teacher.label_map.get(label, label).lower() for label in info.labels or ()}
        return info.task != self.study.task.name or known != {
            label.lower() for label in self.study.labels
        }

    def load(self, folder: Path, mapping: dict[str, str]) -> Teacher:
        """The model of a folder, with logits in the order of the study's labels."""
        return load_teacher(folder, self.study.task.name, self.study.labels, mapping=mapping)

    def predictor_of(self, teacher: Teacher) -> TorchPredictor:
        """A loaded model, ready to predict in windows of the recipe's length."""
        longest = min(self.recipe.max_length, teacher.max_length)
        return TorchPredictor(
            teacher.model, teacher.tokenizer, self.study.task, self.study.labels, max_length=longest
        )

    def _load(self, candidate: Candidate) -> Teacher:
        if candidate.key not in self._loaded:
            self._loaded[candidate.key] = self.load(candidate.folder, candidate.mapping)
        return self._loaded[candidate.key]

    @cached_property
    def predictor(self) -> TorchPredictor:
        """The chosen teacher, ready to predict."""
        return self.predictor_of(self._load(self.chosen))

    def inside(self, options: DistilOptions) -> Teacher:
        """The teacher whose inside a student sees: the one that teaches, of an ensemble the best on dev."""
        return self._load(self.best_of(options.teachers))

    def teach(self, options: DistilOptions, examples: Sequence[Example]) -> TeacherLogits:
        """What the teachers of a distillation say of each window of some examples, from their cached rows."""
        task, heard = self.study.task, self.teaching(options)
        rows = [self.rows(candidate, examples, options.dtype) for candidate in heard]
        if options.ensemble is None or len(heard) == 1:
            return lambda feature: task.teach(rows[0][feature.row], feature)
        weights = ensemble_weights(options.ensemble.weights, [candidate.dev for candidate in heard])
        mean = options.ensemble.mean
        each = ", ".join(
            f"{c.spec.label} {weight:.3f}" for c, weight in zip(heard, weights, strict=True)
        )
        log.info("ensemble: mean of %s, weights %s", mean, each)

        def teach(feature: Features) -> np.ndarray:
            said = [task.teach(row[feature.row], feature) for row in rows]
            return combine_logits(said, weights, mean=mean, axis=task.axis)

        return teach

    def rows(self, candidate: Candidate, examples: Sequence[Example], dtype: str) -> RowsView:
        """A teacher's cached logits for some examples; what is missing is computed."""
        teacher = self._load(candidate)
        predictor = self.predictor_of(teacher)
        key = teacher.spec(self.recipe.max_length, self.study.unit_rule)
        cache = Cache.open(None, key, len(self.study.labels), dtype)
        missing = [examples[i] for i in cache.missing(examples)]
        if missing:
            started = time.monotonic()
            first = cache.fill(missing[:_TRIED], predictor.logits)
            need = cost(
                missing, len(self.study.labels), dtype, (time.monotonic() - started) / first
            )
            size = f"about {need['minutes']:.1f} minutes and {need['megabytes']:.1f} MB in {cache.folder}"
            log.info("teacher outputs: %d texts to label, %s", len(missing), size)
        cache.fill(
            examples, predictor.logits, progress=lambda n, m: self.progress("teacher outputs", n, m)
        )
        log.info(
            "teacher calls: %d (of %d texts, the others were cached)", len(missing), len(examples)
        )
        return cache.rows(examples)
