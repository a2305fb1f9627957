"""What a study of questions needs of its models, said before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from destila import hub
from destila.errors import ConfigError
from destila.model_folder import read_folder
from destila.models.presets import PRESETS
from destila.study.data import Study, tokens_named, tokens_of
from destila.study.recipe import ModelSpec, TeacherSpec, TokenizerSpec
from destila.tasks.span.task import SpanTask
from destila.tasks.span.windows import check_fit
from destila.tokenizer.tokenizer import load_tokenizer
from destila.types import Task

log = logging.getLogger(__name__)


def check(study: Study) -> None:
    """Raises ConfigError when the recipe's teachers cannot teach its students; other tasks than questions need nothing.

    Rows that count tokens or positions mean something only to a student with the teacher's own tokens. A teacher that
    reads less at once than the plan of windows advances would leave words out. Raises TokenizerError for a question or
    a word of dev or test that a known tokenizer cannot hold, which would show after all training. Warns where questions
    without an answer would be given one.
    """
    task: Task = study.task
    if not isinstance(task, SpanTask):
        return
    teachers, students = study.recipe.teachers, study.recipe.students
    impossible = sum(e.answers == () for e in study.dataset.splits.get("train", ()))
    if impossible and task.options.null_threshold is None:
        log.warning(
            "%d training questions have no answer, and every question will be answered: set span.null_threshold, "
            "for example to 0.0, so that models may say that there is none",
            impossible,
        )
    for teacher in teachers:
        _check_length(teacher, task.options.stride or 1)
    if teachers and task.options.unit != "unit":
        _check_tokens([*teachers, *students], task.options.unit)
    for source, longest in {
        (_tokenizer_of(spec), _longest(spec, study)) for spec in (*teachers, *students)
    }:
        for split in ("dev", "test") if source else ():
            check_fit(
                study.dataset.splits.get(split, ()),
                load_tokenizer(source or ""),
                max_length=longest,
            )


def _check_length(teacher: ModelSpec, stride: int) -> None:
    longest = _limit(teacher)
    if longest and longest < stride:
        raise ConfigError(
            f"teacher '{teacher.label}' reads at most {longest} tokens, fewer than the stride of {stride} words from one "
            "window to the next: lower span.window and span.stride, or give another teacher"
        )


def _limit(spec: ModelSpec) -> int:
    """Most tokens that the model in a folder reads; 0 where nothing says so."""
    if spec.model is None or spec.model in PRESETS:
        return 0
    folder = hub.resolve(spec.model)
    positions = int(read_folder(folder).config.get("max_position_embeddings") or 0)
    return min((n for n in (positions, load_tokenizer(folder).max_length) if n), default=0)


def _longest(spec: ModelSpec, study: Study) -> int:
    """Tokens of a model's windows: a teacher that reads less than the recipe's are long has shorter ones."""
    limit = _limit(spec) if isinstance(spec, TeacherSpec) else 0
    return min(study.recipe.max_length, limit or study.recipe.max_length)


def _tokenizer_of(spec: ModelSpec) -> str | None:
    """The folder of a model's tokenizer; None where the study trains one or is to say which."""
    if isinstance(spec.tokenizer, TokenizerSpec) or (
        spec.tokenizer is None and spec.model in PRESETS
    ):
        return None
    return spec.tokenizer or spec.model


def _check_tokens(specs: Sequence[ModelSpec], unit: str) -> None:
    first = tokens_of(specs[0])
    for spec in specs[1:]:
        if tokens_of(spec) != first:
            raise ConfigError(
                f"span.unit = '{unit}' needs equal tokens; '{specs[0].label}' reads with {tokens_named(specs[0])}, "
                f"'{spec.label}' with {tokens_named(spec)}. Use span.unit = 'unit', or give both the same tokenizer"
            )
