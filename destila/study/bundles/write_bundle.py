"""A finished study -> a bundle: recipe, versions, fingerprints of texts, answers of teachers.

Only the answers that its students learned from go along, out of caches that other studies share. No
text does, and no model but the weights of a teacher that a student starts from. `kept_teacher.py`
names the files and reads them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from destila import config, cpu
from destila.errors import CacheError, ConfigError
from destila.files import file_digest, replacing, write_json, write_text
from destila.losses.weighted import build_loss
from destila.measuring import machine
from destila.progress import Progress, silent
from destila.study.planning.data import SPLITS, Study, load_study
from destila.study.planning.distil_options import DistilOptions
from destila.study.planning.plans import (
    TrainPlan,
    list_teachers,
    plan_students,
    plan_teacher,
)
from destila.study.planning.recipe import Recipe, TeacherSpec
from destila.study.planning.teachers import RankedTeacher, Teachers, needs_finetuning
from destila.study.runs.training import finished, make_ready
from destila.study.runs.wholeness import TRAINED, read_trained
from destila.teachers.cache import Cache, example_keys
from destila.teachers.kept_teacher import BUNDLE_FILE, BUNDLE_FORMAT, TEXTS_FILE, bundle_digest
from destila.types import Example
from destila.version import __version__

_WEIGHTS = "model.safetensors"


@dataclass(kw_only=True)
class _Asked:
    """The answers of one teacher in one precision that students learned from.

    Args:
        spec: what their cache depends on.
        classes: logits of a unit.
        rows: by fingerprint of the text, each [U, C].
    """

    spec: dict[str, Any]
    classes: int
    rows: dict[bytes, np.ndarray] = field(default_factory=dict)


_Answers = dict[tuple[str, str, str], _Asked]
"""By the teacher's label, the precision of the cache, and that of the teacher's products."""


def write_bundle(folder: Path, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Write the bundle of a finished study, whole or not at all.

    Args:
        folder: of the study.
        out: the folder to write.
        progress: called with what is read.

    Returns:
        What `bundle.json` says.

    Raises:
        ConfigError: there is no study, it is not finished or cannot be bundled, or `out` exists.
        CacheError: answers are no longer in the cache.
    """
    if out.exists():
        raise ConfigError(f"{out} exists: give another --out, or remove it")
    if not (folder / "recipe.toml").is_file():
        raise ConfigError(f"no study at {folder} (it has no recipe.toml): give a folder of runs/")
    study = load_study(config.load_config(Recipe, folder / "recipe.toml"))
    teachers, plans = _finished_plans(study)

    # Only caches are read, and no teacher is asked: it might answer in other last bits here.
    make_ready(study, teachers, progress)
    answers: _Answers = {}
    for plan in plans:
        for part in plan.chain:
            progress(part.name, 0, 0)
            _collect(part, teachers, answers, progress)

    with replacing(out, folder=True) as place:
        write_text(place / "recipe.toml", config.to_toml(_recipe(study)))
        save_file(_texts(study), place / TEXTS_FILE)
        kept = [_teacher_facts(study, teacher, answers, place) for teacher in teachers.ranked()]
        facts = {**_study_facts(study, plans), "teachers": kept}
        facts["files"] = {
            path.relative_to(place).as_posix(): (path.stat().st_size, file_digest(path))
            for path in sorted(place.rglob("*"))
            if path.is_file()
        }
        facts["digest"] = bundle_digest(facts)
        write_json(place / BUNDLE_FILE, facts)
    return facts


def _finished_plans(study: Study) -> tuple[Teachers, list[TrainPlan]]:
    """Return the teachers of a study and its distilled students, all of them trained.

    Raises:
        ConfigError: something is not trained, or learns what a bundle does not hold.
    """
    recipe = study.recipe
    run = f"destila run {recipe.folder / 'recipe.toml'}"
    if recipe.folds:
        raise ConfigError(
            f"folds = {recipe.folds}: a bundle holds one study, not those of its folds"
        )
    if any(spec.bundle for spec in recipe.teachers):
        raise ConfigError(f"{recipe.folder} was trained from a bundle: copy that one")

    teachers = list_teachers(study)
    plans = [plan for plan in plan_students(study, teachers) if plan.teaching is not None]
    if not plans:
        raise ConfigError(f"{recipe.folder} has no distilled student: there is nothing to bundle")
    for part in (part for plan in plans for part in plan.chain):
        if build_loss(part.terms, class_counts=study.class_counts).needs_states:
            raise ConfigError(
                f"{part.name} learns from its teacher's inner states, which a bundle does not "
                "hold: only students of answers (kl, mse, soft_ce, hard) can be bundled"
            )

    # Without the teachers it is not known who taught, so they come first.
    for spec in recipe.teachers:
        if needs_finetuning(study, spec) and finished(plan_teacher(study, spec)) is None:
            raise ConfigError(f"teacher '{spec.label}' is not trained, or its model is gone: {run}")
    return teachers, plans


def _collect(plan: TrainPlan, teachers: Teachers, answers: _Answers, progress: Progress) -> None:
    """Add the answers that a training learned from.

    Raises:
        ConfigError: it is not done.
        CacheError: an answer is not in its cache.
    """
    study, teaching = plan.study, plan.teaching
    if finished(plan) is None:
        raise ConfigError(f"{plan.name} is not trained: destila run {study.folder}/recipe.toml")
    loss = build_loss(plan.terms, class_counts=study.class_counts)
    if teaching is None or not loss.needs_signal:
        return

    examples = plan.examples(progress)
    keys = [key.tobytes() for key in example_keys(examples)]
    for teacher in teachers.teaching(teaching.options):
        place = (teacher.spec.label, teaching.options.dtype, teaching.options.labelled_in)
        asked = _asked(study, teachers, teacher, teaching.options)
        known = answers.setdefault(place, asked)
        known.rows |= dict(
            zip(keys, _cached(known, teaching.options.dtype, teacher, examples), strict=True)
        )


def _asked(
    study: Study, teachers: Teachers, teacher: RankedTeacher, options: DistilOptions
) -> _Asked:
    """Return what the cache of a teacher's answers depends on, without any answers yet."""
    spec, _ = teachers.asked(teacher, options)
    return _Asked(spec=spec, classes=len(study.labels))


def _cached(
    asked: _Asked, dtype: str, teacher: RankedTeacher, examples: Sequence[Example]
) -> Iterator[np.ndarray]:
    """Return what a cache has of some examples; raise CacheError where it lacks one."""
    cache = Cache.open(None, asked.spec, asked.classes, dtype)
    if missing := cache.missing(examples):
        raise CacheError(
            f"{len(missing):,} answers of '{teacher.spec.label}' are not in {cache.folder}: give "
            "the DESTILA_CACHE of the study, or train it again"
        )
    return iter(cache.rows(examples))


def _recipe(study: Study) -> Recipe:
    """Return the recipe whose teachers are those of the bundle that it lies in."""
    # Records of the study would say that its students are trained already.
    teachers = tuple(TeacherSpec(name=spec.label, bundle=".") for spec in study.recipe.teachers)
    return study.recipe.model_copy(update={"teachers": teachers, "results": None})


def _texts(study: Study) -> dict[str, np.ndarray]:
    """Return the fingerprints of the texts of every split."""
    splits = study.dataset.splits
    return {name: example_keys(splits.get(name, ())) for name in SPLITS}


def _study_facts(study: Study, plans: Sequence[TrainPlan]) -> dict[str, Any]:
    """Return what a bundle says of the study, of this machine, and of the students."""
    splits = study.dataset.splits
    return {
        "format": BUNDLE_FORMAT,
        "study": study.recipe.name,
        "data": study.key,
        "labels": list(study.labels),
        "texts": {name: len(splits.get(name, ())) for name in SPLITS},
        "versions": {"destila": __version__, **machine.versions()},
        "code": machine.code_version(),
        "cpu": machine.cpu(),
        "threads": cpu.threads(None),
        "students": {plan.name: _student_facts(plan) for plan in plans},
    }


def _student_facts(plan: TrainPlan) -> dict[str, str]:
    """Return the key of a student and the digest of its weights."""
    files: Mapping[str, Any] = read_trained(plan.folder).get("files", {})
    digest = (
        files[_WEIGHTS][1] if _WEIGHTS in files else file_digest(plan.folder / "best" / _WEIGHTS)
    )
    return {"key": plan.key, "weights": digest}


def _teacher_facts(
    study: Study, teacher: RankedTeacher, answers: _Answers, place: Path
) -> dict[str, Any]:
    """Write what is kept of a teacher into the folder of a bundle, and return how it is told."""
    label = teacher.spec.label
    files = []
    for (name, dtype, precision), asked in answers.items():
        if name != label:
            continue
        file = Path("answers") / f"{label}-{dtype}-{precision}.safetensors"
        (place / file).parent.mkdir(exist_ok=True)
        rows = list(asked.rows.values())
        tensors = {
            "keys": np.frombuffer(b"".join(asked.rows), "<u8").reshape(-1, 2),
            "units": np.array([len(row) for row in rows], np.int32),
            "logits": np.concatenate([row.ravel() for row in rows]),
        }
        save_file(tensors, place / file)
        files.append(
            {
                "file": file.as_posix(),
                "spec": asked.spec,
                "classes": asked.classes,
                "dtype": dtype,
                "precision": precision,
            }
        )

    # Of a teacher that students start from, the training comes whole.
    starts = {student.start for student in study.recipe.students}
    if label in starts and needs_finetuning(study, teacher.spec):
        run = plan_teacher(study, teacher.spec).folder
        shutil.copytree(run / "best", place / "starts" / label / "best")
        shutil.copy2(run / TRAINED, place / "starts" / label / TRAINED)
    return {
        "name": label,
        "key": teacher.key,
        "dev": teacher.dev,
        "dev_loss": teacher.dev_loss,
        "seconds": float(teacher.seconds),
        "model": teacher.spec.model_dump(mode="json", exclude_none=True),
        "answers": files,
    }
