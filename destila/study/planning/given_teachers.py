"""Teachers without a model: files of labels, and those of which a bundle kept the answers."""

from __future__ import annotations

from pathlib import Path

from destila.errors import ConfigError
from destila.study.planning.data import SPLITS, Study
from destila.study.planning.recipe import TeacherSpec
from destila.study.planning.teachers import GivenAnswers, RankedTeacher
from destila.teachers.given_labels import GivenLabels, read_given_labels
from destila.teachers.given_rows import LabelReader
from destila.teachers.kept_teacher import KeptTeacher, read_bundle


def read_teacher_labels(study: Study, spec: TeacherSpec) -> GivenLabels:
    """Read the file of labels that a teacher is, and check it against the data.

    Raises:
        ConfigError: the data are questions.
        DataError: see `read_given_labels`.
    """
    if study.task.asks_questions:
        raise ConfigError(
            f"teacher '{spec.label}': answers of a file cannot teach questions yet: give a model"
        )
    reader = LabelReader(study.task, study.labels, spec.label_map, spec.smoothing)
    return read_given_labels(spec.labels or "", study.dataset, reader)


def read_kept_teacher(study: Study, spec: TeacherSpec) -> KeptTeacher:
    """Read a teacher of a bundle, which must be of the study's data.

    Raises:
        CacheError: the bundle is damaged.
        DataError: it is of other data, or has no such teacher.
    """
    bundle = read_bundle(Path(spec.bundle or ""))
    splits = study.dataset.splits
    bundle.check_texts({name: splits.get(name, ()) for name in SPLITS}, study.key)
    return KeptTeacher(bundle, spec.label, study.task, study.labels)


def judge_given(study: Study, spec: TeacherSpec, key: str, given: GivenAnswers) -> RankedTeacher:
    """Score a teacher without a model, as it was scored when it had one.

    A file of labels on the dev texts that it labels, on the training texts without any.
    """
    if isinstance(given, KeptTeacher):
        known = {name: given.facts[name] for name in ("dev", "dev_loss", "seconds")}
        folder = given.bundle.folder
        return RankedTeacher(spec=spec, key=key, folder=folder, label_map={}, **known)

    splits = study.dataset.splits
    examples = [example for example in splits["dev"] if given.covers(example)] or splits["train"]
    rows = list(given.logits(examples))
    scores = study.task.score(
        examples, study.task.decode(examples, rows, study.labels), study.labels
    )
    return RankedTeacher(
        spec=spec,
        key=key,
        folder=Path(spec.labels or ""),
        label_map=spec.label_map,
        dev=scores[study.main],
        dev_loss=study.task.loss(examples, rows, study.labels),
    )
