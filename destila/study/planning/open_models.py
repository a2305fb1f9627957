"""The models of folders as a study uses them: with its labels, in its windows, on its device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from destila.study.planning.data import Study
from destila.teachers.teacher import Teacher, load_teacher
from destila.training.precision import precision_for
from destila.training.predict import TorchPredictor
from destila.training.processes import processes


def load_for_study(
    study: Study, folder: Path, label_map: Mapping[str, str] | None = None
) -> Teacher:
    """Load the model of a folder, with logits in the order of the study's labels.

    Args:
        study: whose labels count.
        folder: of the model.
        label_map: its label names -> ours, where they differ.
    """
    return load_teacher(folder, study.task.head, study.labels, mapping=dict(label_map or {}))


def predictor_of(
    study: Study,
    model: Teacher,
    *,
    device: torch.device | None = None,
    precision: str = "fp32",
) -> TorchPredictor:
    """Return a loaded model, ready to predict in windows of the recipe's length.

    Args:
        study: whose task and lengths count.
        model: any model of a folder.
        device: where it predicts; None: that of this process, a GPU where there is one.
        precision: of its products, as a recipe names it; auto is fp32 on a CPU.
    """
    # A teacher may read less at once than the students; its windows are shorter then.
    longest = min(study.recipe.max_length, model.max_length)
    return TorchPredictor(
        model.model,
        model.tokenizer,
        study.task,
        study.labels,
        max_length=longest,
        precision=precision_for(precision, device or processes().device, exact=True),
    )
