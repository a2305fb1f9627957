"""How long a study will take, logged before it starts, from a few real steps of each model."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

import torch

from destila.losses.weighted import build_loss
from destila.study.planning.data import Study
from destila.study.planning.plans import HOW_TRAINED, TrainPlan, plan_teacher
from destila.study.planning.recipe import StudentSpec
from destila.study.planning.teachers import Teachers, needs_finetuning
from destila.study.runs.training import finished, load_student
from destila.terminal import in_duration
from destila.training.feed import TrainData
from destila.training.loop import Evaluation, fit
from destila.types import Example

log = logging.getLogger(__name__)

_STEPS = 3
"""Timed steps per model, after one that warms up."""

_FORWARD_SHARE = 1 / 3
"""A forward pass costs about a third of a training step (forward, and twice that backward)."""

_PROTOCOLS = 2
"""Every timed text is timed from the text on, and again by the model alone."""


def log_estimate(study: Study, teachers: Teachers, plans: Sequence[TrainPlan]) -> dict[str, float]:
    """Log how long the study still takes, and return the minutes of each training, by its folder.

    Labelling by the teacher, tests and times are counted too, as forward passes.
    """
    # With nothing left to train there is little to say.
    todo = _still_to_train(study, teachers, plans)
    speeds = _speeds(todo)
    # With folds, everything but the times is done once more for each of them.
    times = 1 + study.recipe.folds
    minutes = {name: times * m for name, m in _training_minutes(study, todo, speeds).items()}
    if minutes:
        labelling = times * _labelling_minutes(study, todo, speeds)
        tests = _test_minutes(study, todo, speeds)
        each = [f"{name} {in_duration(60 * value)}" for name, value in minutes.items()]
        each += [f"labelling by the teacher {in_duration(60 * labelling)}"] if labelling else []
        each += [f"tests and times {in_duration(60 * tests)}"] if tests else []
        total = in_duration(60 * (sum(minutes.values()) + labelling + tests))
        log.info("estimate: %s for the whole study on this machine (%s)", total, ", ".join(each))
    return minutes


def _speeds(plans: Sequence[TrainPlan]) -> dict[str, float]:
    """Return the words that each training reads a second, by run; one trial per distinct model."""
    trials: dict[str, float] = {}
    speeds = {}
    for plan in plans:
        # Trainings that differ in their loss alone share a trial.
        model = plan.spec.model_dump_json(exclude=HOW_TRAINED)
        if model not in trials:
            trials[model] = _words_per_second(plan)
        speeds[plan.name] = trials[model]
    return speeds


def _training_minutes(
    study: Study, plans: Sequence[TrainPlan], speeds: Mapping[str, float]
) -> dict[str, float]:
    """Return the minutes of each training; a teacher that runs beside it is counted by its size."""
    # Words are the unit, since models with other tokenizers have other windows.
    train_words, dev_words = _words(study, "train"), _words(study, "dev")
    examples = len(study.dataset.splits["train"])
    minutes = {}
    for plan in plans:
        # Words of the training, in units of a training step.
        options = plan.options
        by_steps = (options.steps or 0) * options.batch_size
        train = train_words * (by_steps or plan.size() * options.epochs) / examples
        train *= 1 + _FORWARD_SHARE * _live_teacher_work(plan)
        dev = dev_words * options.evaluations * options.epochs * _FORWARD_SHARE
        minutes[plan.name] = (train + dev) / speeds[plan.name] / 60
    return minutes


def _labelling_minutes(
    study: Study, plans: Sequence[TrainPlan], speeds: Mapping[str, float]
) -> float:
    """Return the minutes in which a teacher fills its cache: once for all students that it has."""
    seconds = [
        _words(study, "train") * _FORWARD_SHARE * _teacher_work(plan) / speeds[plan.name]
        for plan in plans
        if plan.teaching is not None
    ]
    return max(seconds, default=0.0) / 60


def _test_minutes(study: Study, plans: Sequence[TrainPlan], speeds: Mapping[str, float]) -> float:
    """Return the minutes of testing all models and timing them, one text after the other."""
    test = study.dataset.splits.get(study.scored, ())
    options = study.recipe.measure
    timed = _words_of(test[: options.texts]) * options.repeats * _PROTOCOLS
    work = (_words_of(test) + timed) * _FORWARD_SHARE
    return sum(work / speeds[plan.name] for plan in plans) / 60


def _still_to_train(
    study: Study, teachers: Teachers, plans: Sequence[TrainPlan]
) -> list[TrainPlan]:
    """Return the trainings that were neither recorded nor finished, teachers last."""
    todo = []
    for plan in plans:
        if plan.teaching is not None and teachers.is_open(plan.teaching.options):
            # Which one teaches, and so the plan's key, is known after all are trained.
            done = (plan.folder / "trained.json").exists()
        else:
            done = plan.key in study.recorded or finished(plan) is not None
        todo += [] if done else plan.chain

    # Teachers are trained only for students that are still to be.
    specs = [t for t in study.recipe.teachers if needs_finetuning(study, t)] if todo else []
    each = [plan_teacher(study, spec) for spec in specs]
    return todo + [plan for plan in each if finished(plan) is None]


def _live_teacher_work(plan: TrainPlan) -> float:
    """Return the forward work of a student's live teacher, as a multiple of the student's.

    Of several teachers that may teach the largest. By layers x hidden^2, which is what a short
    window costs; 0 without a live teacher, and where a shape is not written down.
    """
    # Only a live teacher runs in every step.
    teaching = plan.teaching
    if teaching is None or teaching.options.states == "cache":
        return 0.0
    loss = build_loss(plan.terms, class_counts=plan.study.class_counts)
    return _teacher_work(plan) if loss.needs_states else 0.0


def _teacher_work(plan: TrainPlan) -> float:
    """Return the work of a student's teacher as a multiple of its own; 0 where it is not known."""
    spec, teaching = plan.spec, plan.teaching
    if teaching is None or not isinstance(spec, StudentSpec):
        return 0.0

    # The student first, then its possible teachers.
    teachers = plan.study.recipe.teachers_of(teaching.options)
    shapes = [model.planned_shape() for model in (spec, *teachers)]
    work = [shape.layers * shape.hidden**2 for shape in shapes if shape is not None]
    return max(work[1:], default=0) / work[0] if len(work) == len(shapes) else 0.0


def _words(study: Study, split: str) -> float:
    """Count the words between blanks of a split: a unit of work that needs no tokenizer."""
    return _words_of(study.dataset.splits[split])


def _words_of(examples: Sequence[Example]) -> float:
    """Count the words between blanks of examples."""
    return float(sum(len(e.text.split()) + len((e.pair or "").split()) for e in examples))


def _words_per_second(plan: TrainPlan) -> float:
    """Train some steps on windows as long as the real ones, and return the words per second."""
    study = plan.study
    loaded = load_student(plan)

    # Examples from all over the split, enough for four batches.
    train = study.dataset.splits["train"]
    examples = train[:: max(1, len(train) // (4 * plan.options.batch_size))]
    encoded = study.task.encode(
        examples, loaded.tokenizer, study.labels, max_length=study.recipe.max_length
    )
    windows = list(encoded.features)
    words = sum(len(e.text.split()) + len((e.pair or "").split()) for e in examples) / len(windows)

    # The first step warms up; what is drawn here must not move the real training's randomness.
    options = plan.options.model_copy(update={"epochs": 2, "steps": None, "lr": 1e-9})
    random_state = torch.get_rng_state()
    steps = fit(
        loaded.model,
        study.task,
        build_loss([{"use": "hard"}]),
        TrainData(windows, loaded.tokenizer.pad_id),
        lambda: Evaluation(0, 0, {}),
        options,
        seed=0,
    )
    next(steps)

    # The others are timed.
    started, done = time.monotonic(), 0
    for step in steps:
        done += 1
        if done == _STEPS or step.stopped:
            break
    torch.set_rng_state(random_state)
    return max(1, done) * plan.options.batch_size * words / (time.monotonic() - started)
