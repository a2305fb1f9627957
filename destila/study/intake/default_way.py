"""The way of distilling that a user gets who names none, chosen by what was measured to win.

Half gold labels, half the teacher's answers; of tagged entities also sentences in which entities
have changed places. On CoNLL-2002 a student of three layers passes its twin so
(`recipes/experiments/ner-mix.toml`, docs/log/2026-11.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from destila.study.planning.distil_options import AugmentOptions, DistilOptions
from destila.tasks import metrics, task_of
from destila.training.options import TrainOptions
from destila.types import Dataset

_SWAPS = 3
"""Sentences made of each tagged one."""

_MANY = 10_000
"""Texts to label from which a teacher's int8 graph is worth building and proving."""

_PASSES = 8
"""Steps of a tagger, as passes over its labelled sentences."""

_RATE = 5e-4
"""Peak rate of a few first layers: 73.6 F1 on dev after 526 steps, where 2e-4 had 70.5."""

_WIDEST = 512
"""Hidden size up to which that rate is proposed; measured at 384."""


def default_way(dataset: Dataset) -> tuple[DistilOptions, dict[str, Any]]:
    """Return how a student of a teacher is distilled, and how it and its twin train.

    The twin without a teacher makes as many steps, so that the two differ only in what they learn
    from.
    """
    half = ({"use": "hard", "weight": 0.5}, {"use": "kl", "weight": 0.5})
    if not (task_of(dataset.task).needs_words and metrics.is_bio(dataset.labels)):
        return DistilOptions(terms=half), {}

    swaps = AugmentOptions(kind="swap", copies=_SWAPS, share=0.5)
    labelled = len(dataset.splits["train"])
    batches = math.ceil(labelled / TrainOptions().batch_size)
    many = labelled * (1 + _SWAPS) >= _MANY
    options = DistilOptions(terms=half, augment=swaps, label_in="int8" if many else "precision")
    return options, {"steps": _PASSES * batches}


def rate_of_first_layers(teacher: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Return the rate of a student that starts from a teacher's first layers, as its `train`.

    Args:
        teacher: what its config.json says; empty where it is not here.
        dataset: what is learned.

    Returns:
        Nothing where the width was not tried, and for pairs, of which three layers learn nothing at
        that rate (`recipes/experiments/nli-mix.toml`): the usual rate is the safer one.
    """
    if any(example.pair is not None for example in dataset.splits["train"]):
        return {}
    hidden = int(teacher.get("hidden_size") or teacher.get("dim") or 0)
    return {"lr": _RATE} if 0 < hidden <= _WIDEST else {}
