"""The main job: from labelled data and teachers to measured students and a report.

A step whose inputs have not changed is not done again: a trained model is known by its key, and so
is a tested one, by its key in the study's records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from destila import config
from destila.files import write_json, write_text
from destila.measuring import machine
from destila.progress import Progress, silent
from destila.report.write import write_report
from destila.study.checks import check_study
from destila.study.estimate import log_estimate
from destila.study.planning.data import Study, load_study
from destila.study.planning.plans import METHODS, Method, list_teachers, plan_students
from destila.study.planning.recipe import Recipe
from destila.study.recording import record_baseline, record_teacher, student_record
from destila.study.training import train, train_teachers
from destila.training.processes import processes

StudyResult = dict[str, Any]
"""What the command line shows of a study: `study`, `report`, `page`, `rows` and `lines`."""


def run_study(
    recipe: Recipe,
    progress: Progress = silent,
    *,
    methods: Sequence[Method] = METHODS,
    tested: bool = True,
) -> StudyResult:
    """Train, test and measure every model of a recipe, and write its report.

    Args:
        recipe: the study.
        progress: told of every step.
        methods: the models to make: the baseline, students fine-tuned on gold labels, students
            distilled.
        tested: whether trained models are tested too; False leaves that to a later run on a quiet
            machine.

    Returns:
        What the command line shows; empty on processes that only help to train.
    """
    study = load_study(recipe)  # reads the data and the records, writes nothing
    check_study(study)  # every error that needs no training

    teachers = list_teachers(study, methods)
    plans = plan_students(study, teachers, methods)  # (student, seed, method)
    records_models = processes().is_main_process and tested
    save_recipe(study)
    log_estimate(study, teachers, plans)

    # What students are compared with: a classical model, and the best teacher on dev.
    if records_models and recipe.baseline and "baseline" in methods:
        record_baseline(study, progress)
    train_teachers(study, teachers, plans, progress)
    if records_models and recipe.teachers and "distil" in methods:
        record_teacher(study, teachers, progress)

    for plan in plans:
        if plan.key not in study.recorded:
            trained = train(plan, progress)
            if records_models:
                study.record(student_record(plan, trained, teachers, progress))
        elif records_models:
            study.reuse_record(plan.key)

    return report_study(study, tested=tested)


def save_recipe(study: Study) -> None:
    """Write the filled recipe into the study's folder, where reports read it."""
    if processes().is_main_process:
        write_text(study.folder / "recipe.toml", config.to_toml(study.recipe))


def report_study(study: Study, *, tested: bool = True) -> StudyResult:
    """Write the report of what is recorded, and what it was measured with."""
    if not processes().is_main_process:
        return {}
    if not tested:
        line = "trained; the same command without --train-only tests and measures"
        return {"study": study.recipe.name, "lines": [line]}

    environment = {"versions": machine.versions(), "code": machine.code_version()}
    write_json(study.folder / "environment.json", environment)
    return write_report(str(study.records_path), out=str(study.folder / "report.md"))
