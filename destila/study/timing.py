"""All models of a study timed in turns when they are trained, under one load of the machine.

Times that were taken one after the other, over hours, compare what the machine did and not the
models. So a record is written without times first, and gets them here, with those of all others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from destila import hub
from destila.errors import DestilaError
from destila.measuring.load import timing_doubt
from destila.progress import Progress, silent
from destila.study.planning.data import Study
from destila.study.planning.plans import TrainPlan, plan_teacher
from destila.study.planning.recipe import TeacherSpec
from destila.study.planning.teachers import Teachers, needs_finetuning
from destila.study.recording import baseline_key, fit_baseline, open_folder
from destila.study.testing import TestedModel, time_together

log = logging.getLogger(__name__)


def time_study(
    study: Study,
    teachers: Teachers,
    plans: Sequence[TrainPlan],
    fitted: Mapping[str, TestedModel],
    progress: Progress = silent,
    *,
    again: bool = False,
) -> None:
    """Time the recorded models in turns and write their records again, unless all were timed.

    Args:
        study: its records are replaced.
        teachers: of the study; none needs to be ready.
        plans: of the students; the first seed alone is timed, as cost does not depend on it.
        fitted: baselines that are in memory already, by key.
        progress: called when the timing begins.
        again: time them though all were timed.
    """
    openers = _openers(study, teachers, plans, fitted)
    known = {key: opener for key, opener in openers.items() if key in study.recorded}
    timed_all = all(study.recorded[key].latency for key in known)
    if not study.recipe.measure.texts or (timed_all and not again):
        return

    # One that was recorded elsewhere, without its folder, keeps the times that it has.
    models: dict[str, TestedModel] = {}
    for key, opener in known.items():
        try:
            models[key] = opener()
        except DestilaError as error:
            log.info("%s is not timed: %s", study.recorded[key].run, error)

    progress(f"timing {len(models)} models in turns", 0, 0)
    times = time_together(study, list(models.values()), study.dataset.splits[study.scored])

    # A time that cannot be believed is told now, where something can be done about it.
    timed = []
    for key, latency in zip(models, times.latency, strict=True):
        old = study.recorded[key]
        record = replace(old, latency=latency, details={**old.details, "timing": times.load})
        timed.append(record)
    study.replace_records(timed)
    doubts = [f"{record.run} was {doubt}" for record in timed if (doubt := timing_doubt(record))]
    if doubts:
        log.warning(
            "%d of %d times are doubtful (%s): time them again on a quiet machine, "
            "destila run %s --time-again",
            len(doubts),
            len(timed),
            doubts[0],
            study.folder / "recipe.toml",
        )


def _openers(
    study: Study,
    teachers: Teachers,
    plans: Sequence[TrainPlan],
    fitted: Mapping[str, TestedModel],
) -> dict[str, Callable[[], TestedModel]]:
    """Return what opens each model that is timed, by its key, baselines first."""
    openers: dict[str, Callable[[], TestedModel]] = {}

    # What weighs nothing takes no time that anybody would compare.
    for name in study.task.baselines:
        key = baseline_key(study, name)
        record = study.recorded.get(key)
        if record is not None and record.size_bytes:
            openers[key] = partial(_open_baseline, study, name, fitted)

    for spec in study.recipe.teachers:
        # One without a model costs nothing that could be compared.
        if not spec.is_kept and (teacher := teachers.keys.get(spec.label)) is not None:
            openers[teacher] = partial(_open_teacher, study, spec)

    for plan in plans:
        # Where dev decides who teaches, the key is known with the teachers alone.
        open_still = plan.teaching and teachers.is_open(plan.teaching.options)
        if plan.seed == study.recipe.seeds[0] and (teachers.ready or not open_still):
            openers[plan.key] = partial(open_folder, study, plan.folder / "best", plan.spec)
    return openers


def _open_baseline(study: Study, name: str, fitted: Mapping[str, TestedModel]) -> TestedModel:
    """Return a baseline that is in memory, or fit it again, which takes seconds."""
    return fitted.get(baseline_key(study, name)) or fit_baseline(study, name)


def _open_teacher(study: Study, spec: TeacherSpec) -> TestedModel:
    """Load a teacher, the one that was fine-tuned here or the one of its table."""
    if needs_finetuning(study, spec):
        return open_folder(study, plan_teacher(study, spec).folder / "best", spec)
    folder = hub.resolve(spec.model or "", what="teacher")
    return open_folder(study, folder, spec, label_map=spec.label_map)
