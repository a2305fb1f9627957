"""The `[search]` table of a recipe: which of its keys are tried with which values."""

from __future__ import annotations

from typing import Any, Literal

from destila.config import Options, opt


class SearchOptions(Options):
    """What `destila search` tries, and how many trials it may take."""

    space: dict[str, Any] = opt(
        ...,
        "key of the recipe -> a list of values, or {low, high, log = true, step} for `tpe`",
        min_length=1,
    )
    sampler: Literal["grid", "tpe"] = opt(
        "grid", "grid: every combination; tpe: `trials` chosen by a tree of Parzen estimators"
    )
    trials: int = opt(50, "trials in all; a grid has as many as it has combinations", ge=1)
    prune: bool = opt(
        True, "tpe: stop trials that are behind the median of earlier ones at an evaluation"
    )
    student: str | None = opt(None, "name of the student; none = the first one")
    method: Literal["auto", "fine-tune", "distil"] = opt(
        "auto", "how it is trained; auto = distilled where the recipe has teachers"
    )
    seed: int = opt(0, "of the sampler")
