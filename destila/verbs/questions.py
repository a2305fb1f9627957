"""What a study of questions needs of its models, said before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from destila import hub
from destila.errors import ConfigError
from destila.models.presets import PRESETS
from destila.tasks.span import Span
from destila.text.folder import read_folder
from destila.text.tokenizer import load as load_tokenizer
from destila.types import Task
from destila.verbs.recipe import ModelSpec
from destila.verbs.study import Study, tokens_named, tokens_of

log = logging.getLogger(__name__)


def check(study: Study) -> None:
    """Raises ConfigError when the recipe's teachers cannot teach its students; other tasks than questions need nothing.

    Rows that count tokens or positions mean something only to a student with the teacher's own tokens. A teacher that
    reads less at once than the plan of windows advances would leave words out. Warns where questions without an answer
    would be given one.
    """
    task: Task = study.task
    if not isinstance(task, Span):
        return
    teachers, students = study.recipe.teachers, study.recipe.students
    impossible = sum(e.answers == () for e in study.dataset.splits["train"])
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


def _check_length(teacher: ModelSpec, stride: int) -> None:
    if teacher.model is None or teacher.model in PRESETS:
        return
    folder = hub.resolve(teacher.model, what="teacher")
    positions = int(read_folder(folder).config.get("max_position_embeddings") or 0)
    longest = min((n for n in (positions, load_tokenizer(folder).max_length) if n), default=0)
    if longest and longest < stride:
        raise ConfigError(
            f"teacher '{teacher.label}' reads at most {longest} tokens, fewer than the stride of {stride} words from one "
            "window to the next: lower span.window and span.stride, or give another teacher"
        )


def _check_tokens(specs: Sequence[ModelSpec], unit: str) -> None:
    first = tokens_of(specs[0])
    for spec in specs[1:]:
        if tokens_of(spec) != first:
            raise ConfigError(
                f"span.unit = '{unit}' needs equal tokens; '{specs[0].label}' reads with {tokens_named(specs[0])}, "
                f"'{spec.label}' with {tokens_named(spec)}. Use span.unit = 'unit', or give both the same tokenizer"
            )
