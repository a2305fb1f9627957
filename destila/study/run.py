"""The main job: a recipe from labelled data and teachers to measured students and a report.

teachers fine-tuned or loaded -> the best chosen on dev -> its outputs cached -> students distilled, and the same
students plainly fine-tuned -> all tested and measured -> report. A step whose inputs have not changed is not done
again: a trained model is found by its key, a measured one by its key in the study's records.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from destila import config, hub, records
from destila.baselines import BASELINES, baseline_of
from destila.config import Options, opt
from destila.files import write_json, write_text
from destila.measuring import machine
from destila.measuring.size import weights_bytes
from destila.models.architecture import EncoderConfig
from destila.models.macs import macs_of
from destila.models.weights import weights_fingerprint
from destila.progress import Progress, silent
from destila.report.write import write as write_report
from destila.study import estimate, questions, supervision
from destila.study.augmented import made
from destila.study.data import Study
from destila.study.recipe import ModelSpec, StudentSpec, TeacherSpec, read
from destila.study.stages import staged
from destila.study.supervision import Inside
from destila.study.teachers import Teachers
from destila.study.testing import TestedModel, assess
from destila.study.training import Job, Teaching, Trained, finished, key_of, train
from destila.training.processes import processes
from destila.types import Prediction, Record

log = logging.getLogger(__name__)


class Config(Options):
    """Arguments of the verb."""

    recipe: str = opt(..., "recipe file")
    set: tuple[str, ...] = opt((), "key=value overrides")
    train_only: bool = opt(
        False, "train everything and leave tests and measurements for a quiet machine"
    )


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """The finished study: `{"study", "records", "report", ...}`; raises the library's errors."""
    steps = Run(Study(read(arguments.recipe, arguments.set)), progress)
    steps.estimate()
    steps.train()
    if not arguments.train_only:
        return steps.test()
    return {
        "study": steps.recipe.name,
        "lines": ["trained; the same command without --train-only tests and measures"],
    }


class Run:
    """The steps of a study, each callable on its own by the verb of its name."""

    def __init__(self, study: Study, progress: Progress = silent) -> None:
        self.study, self.recipe, self.progress = study, study.recipe, progress
        self.teachers = Teachers(study, progress)
        self.folder = study.recipe.folder
        self.records_path = (
            Path(self.recipe.results) / f"{self.recipe.name}.jsonl"
            if self.recipe.results
            else self.folder / records.RECORD_FILE
        )
        supervision.check(study)  # a wrong term shows before any training
        questions.check(study)
        self.main_process = processes().is_main_process
        records.check(self.records_path)
        if self.main_process:
            write_text(self.folder / "recipe.toml", config.to_toml(self.recipe))
        self.recorded = (
            {r.key: r for r in records.read(self.records_path)}
            if self.records_path.exists()
            else {}
        )

    @property
    def wanted(self) -> list[tuple[StudentSpec, int, bool]]:
        """(student, seed, distilled) of every training the recipe asks for."""
        taught = bool(self.recipe.teachers)
        return [
            (student, seed, role)
            for seed in self.recipe.seeds
            for student in self.recipe.students
            for role in (False, True)
            if (taught if role else (self.recipe.compare and student.compare) or not taught)
        ]

    def train(self) -> None:
        """Train what has neither been trained nor recorded with these inputs."""
        for student, seed, distilled in self.wanted:
            job, key = self._prepared(student, seed, distilled)
            if key not in self.recorded:
                train(self.study, job, self.progress)

    def test(self) -> dict[str, Any]:
        """Test and measure what is not recorded yet, and report."""
        if self.recipe.baseline:
            self.baseline()
        if self.recipe.teachers and self.teachers.key in self.recorded:
            self._kept(self.teachers.key)
        for student, seed, distilled in self.wanted:
            self.student(student, seed, distilled=distilled)
        return self.report()

    def estimate(self) -> dict[str, float]:
        """Minutes of training still to do, by run; logged before it starts."""
        todo = []
        for student, seed, distilled in self.wanted:
            among = self.teachers.among(self.recipe.distil_of(student).teachers)
            if distilled and len(among) > 1:  # which one teaches is known after all are trained
                job = self._distillation(student, seed)
                done = (job.folder / "trained.json").exists()
            else:
                job, key = self._prepared(student, seed, distilled)
                done = key in self.recorded or finished(self.study, job) is not None
            todo += [] if done else job.chain
        teachers = (
            [self.teachers.job(t) for t in self.recipe.teachers if self.teachers.finetunes(t)]
            if todo
            else []
        )
        todo += [job for job in teachers if finished(self.study, job) is None]
        found = estimate.minutes(self.study, todo)
        if found:
            each = ", ".join(f"{name} {minutes:.1f}" for name, minutes in found.items())
            log.info(
                "estimate: %.0f minutes of training on this machine (%s)", sum(found.values()), each
            )
        return found

    @cached_property
    def teacher_predictions(self) -> list[Prediction]:
        """What the chosen teacher says about the test split; its Record is made on the way."""
        predictions = list(self.teachers.predictor.predict(self.study.dataset.splits["test"]))
        candidate = self.teachers.chosen
        if candidate.key not in self.recorded and self.main_process:
            name = f"{candidate.spec.label}-teacher"
            subject = self._subject(
                candidate.key,
                name,
                "teacher",
                candidate.spec,
                candidate.folder,
                mapping=candidate.mapping,
            )
            dev = {"dev": {self.study.main: candidate.dev}, "dev_loss": candidate.dev_loss}
            others = [
                {"model": c.spec.label, "dev": c.dev, "dev_loss": c.dev_loss}
                for c in self.teachers.ranked
            ]
            subject = replace(subject, predictor=self.teachers.predictor, seconds=candidate.seconds)
            self._record(
                replace(subject, details={**dev, "candidates": others}), predictions=predictions
            )
        return predictions

    def student(self, student: StudentSpec, seed: int, *, distilled: bool) -> Record | None:
        """Train (if needed), test and record one student; None on processes that do not write."""
        job, key = self._prepared(student, seed, distilled)
        if key in self.recorded:
            return self._kept(key)
        trained = train(self.study, job, self.progress)
        if not self.main_process:
            return None
        subject = self._subject(key, job.folder.name, job.role, student, trained.model, trained)
        settings: dict[str, Any] = {"terms": job.terms, "train": job.options.model_dump()}
        taught = {}
        if distilled:
            chosen = self.recipe.distil_of(student)
            taught = {"teacher": " + ".join(c.spec.label for c in self.teachers.teaching(chosen))}
            if taught["teacher"] != self.teachers.chosen.spec.label:
                taught["agreement_with"] = self.teachers.chosen.spec.label
            if more := chosen.model_dump(
                mode="json", exclude={"terms", "train"}, exclude_defaults=True
            ):
                settings["distil"] = more
        subject = replace(
            subject,
            seed=seed,
            config={**subject.config, **settings},
            details={**subject.details, **taught},
        )
        return self._record(
            subject, teacher=self.teacher_predictions if self.recipe.teachers else None
        )

    def _prepared(self, student: StudentSpec, seed: int, distilled: bool) -> tuple[Job, str]:
        """The job of a student and its key; its teacher's outputs are asked for only when it starts."""
        if not distilled:
            job = self._job(student, "finetuned", seed)
        else:
            chosen = self.recipe.distil_of(student)
            key = self.teachers.key_of(chosen)
            key = key if chosen.dtype == "float16" else f"{key} in {chosen.dtype}"
            key = f"{key}, states in a cache" if chosen.states == "cache" else key
            inside = Inside(lambda: self.teachers.inside(chosen), chosen)
            teaching = Teaching(key, lambda examples: self.teachers.teach(chosen, examples), inside)
            job = self._distillation(student, seed, teaching)
        return job, key_of(self.study, job)

    def _job(self, model: ModelSpec, role: str, seed: int) -> Job:
        folder = self.folder / "students" / f"{model.label}-{role}-s{seed}"
        return Job(folder, role, model, self.recipe.options(model.train), seed)

    def _distillation(
        self, student: StudentSpec, seed: int, teaching: Teaching | None = None
    ) -> Job:
        """The job of a distilled student; its teachers are not needed to estimate how long it takes."""
        chosen, options = self.recipe.distil_of(student), self.recipe.distil_options(student)
        job = self._job(student, "distilled", seed)
        job = replace(job, options=options, terms=chosen.terms, teaching=teaching)
        texts = made(self.study, chosen.augment, self.progress) if chosen.augment else None
        job = replace(job, unlabelled=self.study.unlabelled(chosen), made=texts)
        return staged(self.study, student, job)

    def _subject(
        self,
        key: str,
        name: str,
        role: str,
        model: ModelSpec,
        folder: Path,
        trained: Trained | None = None,
        mapping: dict[str, str] | None = None,
    ) -> TestedModel:
        loaded = self.teachers.load(folder, mapping or {})
        found = getattr(loaded.model, "config", None)
        shape = (
            found if isinstance(found, EncoderConfig) else None
        )  # None: only transformers knows it
        details: dict[str, Any] = {}
        if trained is not None:
            details = {"dev": trained.dev, "dev_loss": trained.dev_loss, "notes": trained.notes}
        return TestedModel(
            key=key,
            run=name,
            role=role,
            model=model.label,
            seed=self.recipe.teacher_seed,
            seconds=trained.seconds if trained else 0.0,
            predictor=self.teachers.predictor_of(loaded),
            params=loaded.params,
            size_bytes=weights_bytes(folder),
            macs=macs_of(shape, self.study.task.name, len(self.study.labels)) if shape else {},
            config={
                "model": model.model_dump(mode="json", exclude={"distil", "compare"}),
                "max_length": self.recipe.max_length,
            },
            details=details,
            folder=folder if shape else None,
        )

    def _record(
        self,
        subject: TestedModel,
        *,
        predictions: Sequence[Prediction] | None = None,
        teacher: Sequence[Prediction] | None = None,
    ) -> Record:
        self.progress(f"testing {subject.run}", 0, 0)
        student = subject.role in ("distilled", "finetuned")
        first = (
            not student or subject.seed == self.recipe.seeds[0]
        )  # cost does not depend on the seed
        folder = self.folder / "tested" / subject.run
        record = assess(
            self.study, subject, folder, predictions=predictions, teacher=teacher, measured=first
        )
        records.append(self.records_path, record)
        self.recorded[record.key] = record
        return record

    def _kept(self, key: str) -> Record:
        """The record of a key; written again when a later one took its place in the report (a recipe changed back)."""
        record = self.recorded[key]
        same = (record.role, record.model, record.seed, record.split)
        latest = [
            r.key for r in self.recorded.values() if (r.role, r.model, r.seed, r.split) == same
        ][-1]
        if latest != key and self.main_process:
            records.append(self.records_path, record)
            self.recorded[key] = self.recorded.pop(key)  # to the end, as in the file
        return record

    def evaluate(self, model: TeacherSpec, split: str) -> Record:
        """The Record of a model with a head for these labels, on a split; not added to the study's records."""
        folder = hub.resolve(model.model or "")
        key = config.fingerprint(self.study.fingerprint, weights_fingerprint(folder), split)
        subject = self._subject(key, model.label, "evaluated", model, folder)
        return assess(self.study, subject, self.folder / "tested" / model.label, split=split)

    # baseline and report

    def baseline(self) -> Record | None:
        """The classical model that a user could have instead."""
        name = BASELINES.get(self.study.task.name)
        if name is None:
            log.info("no classical model answers questions: the study has no baseline")
            return None
        key = config.fingerprint(self.study.fingerprint, "baseline", name)
        if key in self.recorded:
            return self._kept(key)
        if not self.main_process:
            return None
        self.progress(f"baseline: {name}", 0, 0)
        started = time.monotonic()
        fitted = baseline_of(self.study.task.name).fit(
            self.study.dataset.splits["train"], self.study.labels
        )
        about: dict[str, Any] = {"model": name, "seed": 0, "seconds": time.monotonic() - started}
        cost: dict[str, Any] = {
            "params": fitted.parameters,
            "size_bytes": fitted.size_bytes,
            "macs": {},
        }
        subject = TestedModel(
            key,
            f"baseline-{name}",
            "baseline",
            predictor=fitted,
            config={},
            details={},
            **about,
            **cost,
        )
        return self._record(subject)

    def report(self) -> dict[str, Any]:
        """Write report.md; returns what the command line shows."""
        if not self.main_process:
            return {}
        write_json(
            self.folder / "environment.json",
            {"versions": machine.versions(), "code": machine.code_version()},
        )
        return write_report(str(self.records_path), out=str(self.folder / "report.md"))
