"""The main job: from labelled data and teachers to measured students and a report.

`run_study` is the whole of it, and the place to start reading: load the data, check the recipe,
plan the trainings, train the teachers, then train, test and record each student.

A step whose inputs have not changed is not done again. Everything that a result depends on is named
by one digest, its key (`planning/keys.py`): a training that left its key in its folder is finished,
and a model whose key is among the study's records is tested. So a run that was killed goes on where
it stopped, and a recipe that gained a student costs that student alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from destila import config
from destila.errors import TrainingError
from destila.files import locked, waiting, write_json, write_text
from destila.measuring import machine
from destila.progress import Progress, silent
from destila.report.write import write_report
from destila.study.bundles.compare_bundle import bundle_lines
from destila.study.checks import check_study
from destila.study.cross_validation import CrossValidation
from destila.study.estimate import log_estimate
from destila.study.failures import Failures
from destila.study.planning.data import Study, load_study
from destila.study.planning.folds import with_folds
from destila.study.planning.plans import (
    METHODS,
    Method,
    TrainPlan,
    list_teachers,
    plan_students,
)
from destila.study.planning.recipe import Recipe
from destila.study.planning.teachers import LabellingMachines, Teachers
from destila.study.recording import record_baselines, record_teacher, student_record
from destila.study.runs.training import lost_model, train, train_teachers
from destila.study.testing import TestedModel
from destila.study.timing import time_study
from destila.training.processes import meet, processes

log = logging.getLogger(__name__)

StudyResult = dict[str, Any]
"""What the command line shows of a study: `study`, `report`, `page`, `rows` and `lines`."""


def run_study(
    recipe: Recipe,
    progress: Progress = silent,
    *,
    methods: Sequence[Method] = METHODS,
    tested: bool = True,
    time_again: bool = False,
    cluster: LabellingMachines | None = None,
) -> StudyResult:
    """Train, test and measure every model of a recipe, and write its report.

    Args:
        recipe: the study.
        progress: called with the name of a step, how much of it is done, and how much there is.
        methods: the models to make: the baseline, students fine-tuned on gold labels, students
            distilled.
        tested: whether trained models are tested and timed too; False leaves that to a later run.
        time_again: time all models again, though all were timed.
        cluster: machines that answer for the teacher; None: this one.

    Returns:
        What the command line shows, with `failed`: a line for each model that could not be made.
        Empty on processes that only help to train.

    Raises:
        ConfigError: the recipe asks for what cannot be; most such errors come before any training.
        DataError: a split has no examples, or a record is damaged.
        DestilaError: no student could be made at all; the report has what was made before.
    """
    # Every error that needs no training shows here, in seconds, not after a night.
    study = load_study(recipe)
    check_study(study)
    folds = CrossValidation(study, methods)
    study = with_folds(study, folds.studies)

    # Two processes on one study would train the same.
    with holding(study):
        # Nothing is trained to plan: teachers are known by their keys until they are ready.
        teachers = list_teachers(study, methods)
        teachers.cluster = cluster
        plans = plan_students(study, teachers, methods)  # one per seed, student and method
        save_recipe(study)
        forget_lost(teachers, plans)
        log_estimate(study, teachers, plans)

        # Of several processes that train together, one tests and writes.
        records_models = processes().is_main_process and tested
        failures = Failures()
        fitted = record_rivals(
            study, teachers, plans, folds, failures, progress, methods, tested=tested
        )

        if teachers.ready:
            forget_lost(teachers, plans)

        # One student after the other; what one of them cannot do is no reason to lose the others.
        lost = 0
        for plan in plans:
            with failures.noted(plan.name) as attempt:
                check_taught(plan, teachers)

                # A student that is recorded already is neither trained nor tested again.
                if plan.key not in study.recorded:
                    trained = train(plan, progress)
                    if records_models:
                        study.record(student_record(plan, trained, teachers, folds, progress))
                elif records_models:
                    study.reuse_record(plan.key)
            lost += attempt.failed

        # Times compare models only when they were taken together, under one load of the machine.
        if records_models:
            time_study(study, teachers, plans, fitted, progress, again=time_again)

        # The report shows what there is, also where nothing is left to go on with.
        with failures.noted("report") as report:
            result = report_study(study, bundle_lines(teachers, plans), tested=tested)
        if report.failed or (plans and lost == len(plans)):
            raise failures.first
        return {**result, "failed": failures.lines} if failures.lines else result


def record_rivals(
    study: Study,
    teachers: Teachers,
    plans: Sequence[TrainPlan],
    folds: CrossValidation,
    failures: Failures,
    progress: Progress,
    methods: Sequence[Method],
    *,
    tested: bool,
) -> dict[str, TestedModel]:
    """Record what students are compared with: classical models, and the best teacher on dev.

    Returns:
        The classical models that were fitted now, by their keys.
    """
    fitted: dict[str, TestedModel] = {}
    records_models = processes().is_main_process and tested
    if records_models and study.recipe.baseline and "baseline" in methods:
        with failures.noted("baseline"):
            fitted = record_baselines(study, folds, progress)

    # A mistake in the recipe ends the study here; a training that fails costs its students alone.
    with failures.noted("teachers", only=TrainingError):
        train_teachers(study, teachers, plans, progress)
        if records_models and study.recipe.teachers and "distil" in methods:
            record_teacher(study, teachers, folds, progress)
    return fitted


def forget_lost(teachers: Teachers, plans: Sequence[TrainPlan]) -> None:
    """Forget the records of students whose models are cut or gone, so that they are made again."""
    for plan in plans:
        unknown = plan.teaching and teachers.is_open(plan.teaching.options) and not teachers.ready
        if not unknown and plan.key in plan.study.recorded and (what := lost_model(plan)):
            log.warning("%s was recorded, but %s: it is trained again", plan.name, what)
            del plan.study.recorded[plan.key]


def check_taught(plan: TrainPlan, teachers: Teachers) -> None:
    """Raise TrainingError for a student whose teacher could not be made."""
    if plan.teaching is None or teachers.ready:
        return

    # Where dev decides who teaches, even the student's key is known only with its teachers.
    if teachers.is_open(plan.teaching.options) or plan.key not in plan.study.recorded:
        raise TrainingError("its teacher could not be made")


@contextmanager
def holding(study: Study) -> Iterator[None]:
    """Hold a study's folder, so that no other process trains in it; wait for one that does.

    What the other one has finished by then is not done again.
    """
    # Of several processes that train together, the first one holds it for all.
    if not processes().is_main_process:
        meet()
        study.read_again()
        yield
        return

    study.folder.mkdir(parents=True, exist_ok=True)
    with locked(study.folder / ".lock", waiting(log, "works", study.folder)):
        meet()
        study.read_again()
        yield


def save_recipe(study: Study) -> None:
    """Write the filled recipe into the study's folder, where reports read it."""
    if processes().is_main_process:
        write_text(study.folder / "recipe.toml", config.to_toml(study.recipe))


def report_study(study: Study, lines: Sequence[str] = (), *, tested: bool = True) -> StudyResult:
    """Write the report of what is recorded, and the versions that it was measured with.

    Args:
        study: its records are read from disk, with those of earlier runs.
        lines: that are shown behind its conclusions.
        tested: whether models were tested; without that there is no report, only a line that says
            how to go on.
    """
    if not processes().is_main_process:
        return {}
    if not tested:
        line = "trained; the same command without --train-only tests and measures"
        return {"study": study.recipe.name, "lines": [line, *lines]}

    # Times mean little without the libraries and the code that they were taken with.
    environment = {"versions": machine.versions(), "code": machine.code_version()}
    write_json(study.folder / "environment.json", environment)
    result = write_report(str(study.records_path), out=str(study.folder / "report.md"))
    return {**result, "lines": [*result.get("lines", ()), *lines]}
