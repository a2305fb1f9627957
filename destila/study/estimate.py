"""How long a study will take, said before it starts: a few real training steps of each model, extrapolated."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from destila.losses.weighted import build_loss
from destila.study.data import Study
from destila.study.supervision import beside
from destila.study.training import SETTINGS, Job, load
from destila.training.loop import Evaluation, TrainData, fit
from destila.types import Features

_STEPS = 3
"""Timed steps per model, after one that warms up."""

_FORWARD_SHARE = 1 / 3
"""A forward pass costs about a third of a training step (forward, and twice that backward)."""


def minutes(study: Study, jobs: Sequence[Job]) -> dict[str, float]:
    """Minutes of training per job, by the name of its folder; one trial per distinct model.

    A teacher that runs beside the student is counted by its size; what is asked for a cache is said when it starts.
    """
    speeds: dict[str, float] = {}
    found = {}
    for job in jobs:
        key = job.spec.model_dump_json(exclude=SETTINGS)
        if key not in speeds:
            speeds[key] = _words_per_second(study, job)
        train = _words(study, "train") * job.size(study) / len(study.dataset.splits["train"])
        dev = _words(study, "dev") * job.options.evaluations * _FORWARD_SHARE
        train *= 1 + _FORWARD_SHARE * beside(study, job)
        found[job.folder.name] = (train + dev) * job.options.epochs / speeds[key] / 60
    return found


def _words(study: Study, split: str) -> float:
    """Blanks-delimited words of a split: a unit of work that needs no tokenizer."""
    return float(
        sum(len(e.text.split()) + len((e.pair or "").split()) for e in study.dataset.splits[split])
    )


def _words_per_second(study: Study, job: Job) -> float:
    """Words per second of training, from some steps over windows of the training data's own lengths."""
    loaded = load(study, job)
    examples = study.dataset.splits["train"][
        :: max(1, len(study.dataset.splits["train"]) // (4 * job.options.batch_size))
    ]
    encoded = study.task.encode(
        examples, loaded.tokenizer, study.labels, max_length=study.recipe.max_length
    )
    features: list[Features] = list(encoded.features)
    words = sum(len(e.text.split()) + len((e.pair or "").split()) for e in examples) / len(features)
    data = TrainData(features, loaded.tokenizer.pad_id)
    options = job.options.model_copy(update={"epochs": 2, "lr": 1e-9})
    random_state = torch.get_rng_state()
    steps = fit(
        loaded.model,
        study.task,
        build_loss([{"use": "hard"}]),
        data,
        lambda: Evaluation(0, 0, {}),
        options,
        seed=0,
    )
    next(steps)
    started, done = time.monotonic(), 0
    for step in steps:
        done += 1
        if done == _STEPS or step.stopped:
            break
    torch.set_rng_state(random_state)
    return max(1, done) * job.options.batch_size * words / (time.monotonic() - started)
