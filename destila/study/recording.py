"""The models of a study as they are tested, one record each, with what is known already."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from destila import cpu, hub
from destila.baselines import baseline_of
from destila.errors import ModelError
from destila.files import file_digest
from destila.inference.exported import choose_graph, is_exported
from destila.inference.predictor import Predictor
from destila.measuring.size import weights_bytes
from destila.measuring.targets import exported_target
from destila.models.architecture import EncoderConfig
from destila.models.macs import macs_of
from destila.models.weights import weights_fingerprint
from destila.progress import Progress, silent
from destila.records import Record
from destila.study.cross_validation import CrossValidation
from destila.study.planning.data import Study
from destila.study.planning.keys import BaselineKey, EvaluationKey
from destila.study.planning.open_models import load_for_study, predictor_of
from destila.study.planning.plans import TrainPlan
from destila.study.planning.recipe import ModelSpec, TeacherSpec
from destila.study.planning.teachers import (
    RankedTeacher,
    Teachers,
)
from destila.study.runs.training import TrainedModel
from destila.study.testing import TestedModel, measured_on, test, timed_alone

log = logging.getLogger(__name__)


def record_baselines(
    study: Study, folds: CrossValidation, progress: Progress = silent
) -> dict[str, TestedModel]:
    """Fit, test and record what a user could have instead: a classical model, the usual label.

    Returns:
        Those that were fitted now, by key.
    """
    # Questions have no classical model to compare with.
    if not study.task.baselines:
        log.info("no classical model does '%s': the study has no baseline", study.task.name)

    fitted = {}
    for name in study.task.baselines:
        key = baseline_key(study, name)
        if key in study.recorded:
            study.reuse_record(key)
            continue
        progress(f"baseline: {name}", 0, 0)
        fitted[key] = fit_baseline(study, name)
        predictions = folds.of_baseline(name, progress)
        tested = replace(fitted[key], details=folds.details(predictions))
        folder = _folder(study, tested, progress)
        # Memory is that of a folder, which a baseline has none of.
        study.record(
            test(
                study,
                tested,
                folder,
                predictions=predictions,
                split=study.scored,
                measured=False,
            )
        )
    return fitted


def baseline_key(study: Study, name: str) -> str:
    """Return the key of a baseline: fitted once for these data."""
    return BaselineKey(data=study.key, model=name).digest


def fit_baseline(study: Study, name: str) -> TestedModel:
    """Fit a baseline; seconds and bytes are part of what a user compares."""
    started = time.monotonic()
    fitted = baseline_of(name).fit(study.dataset.splits["train"], study.labels)
    return TestedModel(
        key=baseline_key(study, name),
        run=f"baseline-{name}",
        role="baseline",
        model=name,
        seed=0,
        seconds=time.monotonic() - started,
        predictor=fitted,
        params=fitted.parameters,
        size_bytes=fitted.size_bytes,
        macs={},
        config={},
        details={},
    )


def record_teacher(
    study: Study, teachers: Teachers, folds: CrossValidation, progress: Progress = silent
) -> None:
    """Test and record the teacher with which students are compared, unless that was done."""
    key = teachers.key_of(study.recipe.distil)
    if key in study.recorded:
        study.reuse_record(key)
        return

    # Nothing is left to distil, so none was made ready.
    if not teachers.ready:
        return

    # The record names every teacher that was tried, and how it did on dev.
    best = teachers.best
    crossed = folds.of_teachers(progress)
    predictions = teachers.best_predictions if crossed is None else crossed
    candidates = [
        {"model": teacher.spec.label, "dev": teacher.dev, "dev_loss": teacher.dev_loss}
        for teacher in teachers.ranked()
    ]

    # One without a model is scored where it answers every test text; it weighs and takes nothing.
    if predictions is None:
        log.info("%s does not label every test text: it is no row of the report", best.folder)
        return
    if best.spec.is_kept:
        tested = _without_model(study, best, teachers.best_predictor)
    else:
        tested = open_folder(study, best.folder, best.spec, label_map=best.label_map)

    # Its predictions are made already, for the agreement of students.
    tested = replace(
        tested,
        key=best.key,
        run=f"{best.spec.label}-teacher",
        role="teacher",
        seconds=best.seconds,
        predictor=teachers.best_predictor,
        details={
            "dev": {study.main: best.dev},
            "dev_loss": best.dev_loss,
            "candidates": candidates,
            **folds.details(crossed),
        },
    )
    folder = _folder(study, tested, progress)
    study.record(test(study, tested, folder, predictions=predictions, split=study.scored))


def student_record(
    plan: TrainPlan,
    trained: TrainedModel,
    teachers: Teachers,
    folds: CrossValidation,
    progress: Progress = silent,
) -> Record:
    """Test and measure a trained student.

    Args:
        plan: the training.
        trained: its result.
        teachers: where they are ready, the best one's predictions give the student's agreement.
        folds: where there are any, the student is scored on them, trained without each in turn.
        progress: called when the test begins.
    """
    # What is known of every trained model.
    study = plan.study
    tested = open_folder(study, trained.folder, plan.spec)
    settings: dict[str, Any] = {"terms": plan.terms, "train": plan.options.model_dump()}
    details = {"dev": trained.dev, "dev_loss": trained.dev_loss, "notes": trained.notes}

    # Who taught it, and how where the recipe says more than terms and training.
    if plan.teaching is not None:
        options = plan.teaching.options
        labels = [teacher.spec.label for teacher in teachers.teaching(options)]
        details["teacher"] = " + ".join(labels)
        # Agreement is always with the best teacher, whoever taught.
        if details["teacher"] != teachers.best.spec.label:
            details["agreement_with"] = teachers.best.spec.label
        more = options.model_dump(mode="json", exclude={"terms", "train"}, exclude_defaults=True)
        settings |= {"distil": more} if more else {}

    # Answers to all folds, where there are any, and the teachers' of the same folds.
    crossed = folds.of_student(plan.name, progress)
    answers = None
    if teachers.ready:
        answers = folds.of_teachers(progress) if folds else teachers.best_predictions

    tested = replace(
        tested,
        key=plan.key,
        run=plan.name,
        role=plan.role,
        seed=plan.seed,
        seconds=trained.seconds,
        config={**tested.config, **settings},
        details={**details, **folds.details(crossed)},
    )
    return test(
        study,
        tested,
        _folder(study, tested, progress),
        predictions=crossed,
        teacher=answers,
        split=study.scored,
        measured=plan.seed == study.recipe.seeds[0],  # cost does not depend on the seed
    )


def evaluate_folder(
    study: Study,
    model: str,
    split: str,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Record:
    """Test a model folder on a split, on `measure.device`; nothing is added to any records.

    Args:
        study: its data, task and options.
        model: a model folder, exported or not, or a hub name.
        split: "dev" or "test".
        folder: where its labels and its worst mistakes go; None: nowhere.
        progress: called when the test begins.
    """
    # Known by its files: it may come from anywhere.
    source = hub.resolve(model)
    spec = TeacherSpec(model=model, name=_name_of(source))
    if is_exported(source):
        tested = _open_export(study, source)
        weights = file_digest(choose_graph(source).file)
    else:
        # On the device on which it is timed too.
        tested = open_folder(study, source, spec, device=measured_on(study))
        weights = weights_fingerprint(source)

    key = EvaluationKey(data=study.key, weights=weights, split=split).digest
    tested = replace(tested, key=key, run=spec.label, role="evaluated")
    progress(f"testing {tested.run}", 0, 0)
    record = test(study, tested, folder, split=split)
    return timed_alone(study, tested, record, study.dataset.splits[split])


def _without_model(study: Study, teacher: RankedTeacher, predictor: Predictor) -> TestedModel:
    """Return a teacher without a model as it is tested."""
    return TestedModel(
        key="",
        run="",
        role="",
        model=teacher.spec.label,
        seed=study.recipe.teacher_seed,
        seconds=0.0,
        predictor=predictor,
        params=0,
        size_bytes=0,
        macs={},
        config={"model": teacher.spec.model_dump(mode="json", exclude_none=True)},
        details={},
    )


def _name_of(source: Path) -> str:
    """Return the name of a model's folder, of a run's `best` that of the run."""
    path = source.resolve()
    return path.parent.name if path.name == "best" else path.name


def _open_export(study: Study, source: Path) -> TestedModel:
    """Open an exported model, as a user runs it."""
    target = exported_target(source, cpu.threads(study.recipe.measure.threads))
    assert target.predictor is not None, "an exported folder reads texts"
    if tuple(target.labels) != study.labels:
        raise ModelError(
            f"{source} has the labels {', '.join(target.labels)}; the data have "
            f"{', '.join(study.labels)}, in this order: evaluate the folder of its weights"
        )
    return TestedModel(
        key="",
        run="",
        role="",
        model=_name_of(source),
        seed=study.recipe.teacher_seed,
        seconds=0.0,
        predictor=target.predictor,
        params=target.params,
        size_bytes=target.size_bytes,
        macs={},
        config={"model": str(source), "max_length": study.recipe.max_length},
        details={},
        folder=source,
        dtype=target.dtype,
    )


def open_folder(
    study: Study,
    folder: Path,
    spec: ModelSpec,
    label_map: Mapping[str, str] | None = None,
    device: torch.device | None = None,
) -> TestedModel:
    """Return what a model folder says of itself; the caller adds which run it is.

    Args:
        study: whose labels and lengths count.
        folder: of the model.
        spec: its table.
        label_map: its label names -> ours; None where they are equal.
        device: where it predicts; None: a GPU where there is one.
    """
    loaded = load_for_study(study, folder, label_map)
    predictor = predictor_of(study, loaded, device=device)

    # Cost follows from the shape; None where only transformers knows it.
    config = getattr(loaded.model, "config", None)
    shape = config if isinstance(config, EncoderConfig) else None

    # How it was distilled is told beside the model's table, by the caller.
    table = spec.model_dump(mode="json", exclude={"distil", "compare"})
    return TestedModel(
        key="",
        run="",
        role="",
        model=spec.label,
        seed=study.recipe.teacher_seed,
        seconds=0.0,
        predictor=predictor,
        params=loaded.params,
        size_bytes=weights_bytes(folder),
        macs=macs_of(shape, study.task.head, len(study.labels)) if shape else {},
        config={"model": table, "max_length": study.recipe.max_length},
        details={},
        folder=folder if shape else None,
    )


def _folder(study: Study, tested: TestedModel, progress: Progress) -> Path:
    """Tell that a model is tested now, and return the folder of its predictions."""
    progress(f"testing {tested.run}", 0, 0)
    return study.folder / "tested" / tested.run
