"""Every error of a study that needs no training: shown in seconds, not after a night.

What can be known from the recipe and from the folders of its models (loss terms, layers, widths,
tokenizers, lengths) is checked here. That the texts and the stages of a distillation can be is
checked where they are planned, which is before any training too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from destila import records
from destila.errors import ConfigError
from destila.losses.term import LossContext
from destila.losses.weighted import build_loss
from destila.study.planning.data import Study
from destila.study.planning.recipe import ModelSpec, StudentSpec, TeacherSpec

log = logging.getLogger(__name__)


def check_study(study: Study) -> None:
    """Raise the first error that training the study would end in, as far as it shows before.

    Raises:
        ConfigError: records cannot be kept, a term of a loss is wrong, or the models of the recipe
            cannot meet.
        TokenizerError: a question or a word is too long for a window.
    """
    records.check_record_path(study.records_path)
    _check_class_weights(study)
    _check_terms(study)
    check_questions(study)


def _check_class_weights(study: Study) -> None:
    """Raise ConfigError when the class weights of [train] do not fit the labels."""
    weights = study.recipe.train.class_weights
    if weights == "none":
        return
    if study.task.axis != 2:
        raise ConfigError("train.class_weights: answers to questions have no classes: leave it out")
    build_loss([{"use": "hard", "class_weights": weights}], class_counts=study.class_counts)


def _check_terms(study: Study) -> None:
    """Build the loss of every distillation, with every teacher that may show inner states."""
    # Students may have terms of their own, and stages others again.
    recipe = study.recipe
    for student in recipe.students if recipe.teachers else ():
        options = recipe.distil_of(student)
        losses = [options.terms, *(stage.terms for stage in options.stages if stage.terms)]
        for terms in losses:
            # A wrong table shows here; states need both shapes.
            if build_loss(terms, class_counts=study.class_counts).needs_states:
                if options.augment is not None and options.augment.recase:
                    raise ConfigError(
                        f"distil.augment.recase = {options.augment.recase}: a teacher that reads "
                        "another text has no inner states to compare; leave it out, or take terms "
                        "over its answers alone, such as kl"
                    )
                for teacher in recipe.teachers_of(options):
                    if teacher.is_kept:
                        what = "a file of labels" if teacher.labels else "an entry of a bundle"
                        raise ConfigError(
                            f"teacher '{teacher.label}' is {what}, which has no inner "
                            f"states: students of it learn answers alone (kl, mse, soft_ce, hard)"
                        )
                    _check_pair(study, terms, student, teacher)


def _check_pair(
    study: Study, terms: Sequence[dict[str, Any]], student: StudentSpec, teacher: TeacherSpec
) -> None:
    """Raise an error when a teacher cannot show what the terms compare.

    Args:
        study: its task decides along which axis logits are compared.
        terms: tables of the loss.
        student: the model that is trained.
        teacher: one that may show its inner states.

    Raises:
        ConfigError: layers, widths, tokens or kinds of states do not fit.
    """
    # Widths, layers and kinds of states, without loading weights.
    shapes = student.planned_shape(), teacher.planned_shape()
    if None in shapes:  # one that only transformers can read: checked when it is loaded
        return

    # Building the loss raises what does not fit; the loss itself is thrown away.
    setting = LossContext(
        student=shapes[0],
        teacher=shapes[1],
        same_tokens=student.tokens_key() == teacher.tokens_key(),
        axis=study.task.axis,
        whole_example=study.task.whole_example,
    )
    build_loss(terms, class_counts=study.class_counts, setting=setting)


def check_questions(study: Study) -> None:
    """Raise an error when the recipe's teachers cannot teach its students to answer questions.

    Rows that count tokens or positions mean something only to a student with the teacher's own
    tokens. A teacher that reads less at once than the plan of windows advances would leave words
    out. Warns where questions without an answer would be given one.

    Raises:
        ConfigError: tokens differ, or a teacher reads too little at once.
    """
    task = study.task
    if not task.asks_questions:
        return

    # Options that do not fit the data: not wrong, but seldom meant.
    if advice := task.advice(study.dataset.splits.get("train", ())):
        log.warning("%s", advice)

    # What teachers read at once, and the tokens that rows count.
    students = study.recipe.students
    teachers = [teacher for teacher in study.recipe.teachers if not teacher.is_kept]
    for teacher in teachers:
        task.check_teacher(teacher.label, teacher.most_tokens())
    if teachers and task.equal_tokens:
        _check_tokens([*teachers, *students], task.equal_tokens)


def _check_tokens(models: Sequence[ModelSpec], setting: str) -> None:
    """Raise ConfigError when two models read a text as other tokens."""
    # All with the first one: equality is transitive.
    first = models[0]
    for model in models[1:]:
        if model.tokens_key() != first.tokens_key():
            raise ConfigError(
                f"{setting} needs equal tokens; "
                f"'{first.label}' reads with {first.tokenizer_name}, "
                f"'{model.label}' with {model.tokenizer_name}. "
                "Use span.unit = 'unit', or give both the same tokenizer"
            )
