"""What a user should know of a recipe that was written for a data file, in sentences."""

from __future__ import annotations

from destila.study.intake.default_models import is_here
from destila.study.intake.detect import IMBALANCED, Detected, folds_for, largest_share
from destila.tasks import task_of


def recipe_remarks(data: Detected, teacher: str | None) -> list[str]:
    """Return what was decided for these data, and what is not here yet.

    Args:
        data: what the file is.
        teacher: that the user named.
    """
    remarks = []
    share = largest_share(data.dataset)
    if share > IMBALANCED:
        remarks.append(
            f"{share:.0%} of train have one label: the recipe weights the classes "
            "(train.class_weights) and its main score is macro_f1"
        )
    left_out = data.dataset.notes.get("train rows without label, dropped", 0)
    if left_out and task_of(data.task).label_sets:
        remarks.append(
            f"{left_out:,} rows have an empty label cell and are left out; write [] where no label "
            "applies"
        )
    if folds := folds_for(data):
        rows = sum(map(len, data.dataset.splits.values()))
        remarks.append(
            f"{rows} rows are few for a test split: the recipe asks for cross-validation (folds = "
            f"{folds}), so every model is trained {folds + 1} times; folds = 0 turns it off"
        )
    if teacher is not None and not is_here(teacher):
        remarks.append(
            f"teacher '{teacher}' is no folder here or under DESTILA_MODELS: 'destila run' will "
            "ask the hub for it"
        )
    return remarks
