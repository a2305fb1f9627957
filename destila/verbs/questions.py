"""What a study of questions needs of its models, said before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from destila import hub
from destila.errors import ConfigError
from destila.models.presets import PRESETS
from destila.tasks.span import Span
from destila.text.folder import read_folder
from destila.text.tokenizer import Tokenizer
from destila.text.tokenizer import load as load_tokenizer
from destila.types import Task
from destila.verbs.recipe import ModelSpec
from destila.verbs.study import Study


def check(study: Study) -> None:
    """Nothing; raises ConfigError when the recipe's teachers cannot teach its students. Other tasks need nothing.

    Rows that count tokens or positions mean something only to a student with the teacher's own tokens. A teacher that
    reads less at once than the plan of windows advances would leave words out.
    """
    task: Task = study.task
    if not isinstance(task, Span):
        return
    teachers, students = study.recipe.teachers, study.recipe.students
    for teacher in teachers:
        _check_length(teacher, task.options.stride or 1)
    if teachers and task.options.unit != "unit":
        _check_tokens(study, [*teachers, *students], task.options.unit)


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


def _check_tokens(study: Study, specs: Sequence[ModelSpec], unit: str) -> None:
    tokenizers = [_tokenizer(study, spec) for spec in specs]
    for spec, tokenizer in zip(specs, tokenizers, strict=True):
        if tokenizer.fingerprint != tokenizers[0].fingerprint:
            raise ConfigError(
                f"span.unit = '{unit}' needs equal tokens; '{specs[0].label}' reads with {tokenizers[0].source}, "
                f"'{spec.label}' with {tokenizer.source}. Use span.unit = 'unit', or give both the same tokenizer"
            )


def _tokenizer(study: Study, spec: ModelSpec) -> Tokenizer:
    return study.tokenizer(spec) or load_tokenizer(hub.resolve(spec.model or ""))
