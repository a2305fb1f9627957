"""Cross-entropy on gold labels, with label smoothing and class weights.

    -w_y * log q_y,   q = softmax(student)

Label smoothing e (Szegedy et al. 2016, section 7) moves the mass e from the gold class evenly to
all classes. Balanced weights are w_c = N / (C * n_c) over the N units of the training set, so their
mean over it is 1.

Shapes: student [B, U, C], mask [B, U]; target ids [B, U] for axis 2 (classes), unit numbers [B, C]
for axis 1 (one per column); IGNORE does not count. All masked: zero, with a gradient of zero.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from destila.config import Options as _Options
from destila.config import opt
from destila.errors import ConfigError
from destila.losses._rows import look_is_free, rows_of
from destila.losses.term import LossContext, Term
from destila.types import IGNORE


class Options(_Options):
    """Options of `use = "hard"`."""

    label_smoothing: float = opt(
        0.0, "share of the gold label's mass spread over all classes", ge=0, lt=1
    )
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = opt(
        "none", "none, balanced (rare classes count more), or one weight per label in label order"
    )


def build(options: Options, setting: LossContext) -> Term:
    """Build the term.

    Raises:
        ConfigError: weights are asked for that the class counts cannot give.
    """
    weights = _weights(options, setting.class_counts)
    smoothing = options.label_smoothing

    def fn(student: Tensor, target: Tensor, mask: Tensor, axis: int) -> Tensor:
        if axis == 2:
            target = target.masked_fill(~mask, IGNORE)
        if axis == 2 and smoothing == 0 and weights is None:
            return _plain(student, target)

        # gold ids [..., 1] beside the rows; where there is none any class will do, it is left out
        rows = rows_of(student, mask, axis)
        live = rows.live & (target != IGNORE)  # [...]
        gold = target.masked_fill(~live, 0).unsqueeze(-1)
        log_q = rows.log_softmax(rows.of(student))  # [..., K]

        # the wanted distribution: e / K everywhere, and the rest of the mass at the gold entry
        smooth = smoothing * rows.keep / rows.keep.sum(-1, keepdim=True).clamp(min=1)
        wanted = smooth.scatter_add(-1, gold, torch.full_like(log_q, 1 - smoothing))  # [..., K]
        loss = -(wanted * log_q * _fit(weights, log_q)).sum(-1)
        return rows.total(loss.masked_fill(~live, 0.0))

    return Term(name="hard", needs="target", fn=fn)


def _plain(student: Tensor, target: Tensor) -> Tensor:
    """Sum the cross-entropy over classes, without smoothing or weights.

    Over a vocabulary the general way would take six copies of the rows.
    """
    live = target != IGNORE  # [B, U]
    # a GPU would be waited for; it skips what is ignored as fast
    if look_is_free(live) and not bool(live.all()):
        student, target = student[live], target[live]  # [N, C], [N]
    return F.cross_entropy(student.flatten(0, -2).float(), target.flatten(), reduction="sum")


def _weights(options: Options, counts: Sequence[int] | None) -> list[float] | None:
    """Return one weight per class, or None for equal weights."""
    chosen = options.class_weights
    if chosen == "none":
        return None

    # N / (C * n_c); a class that the training set lacks is never gold, so any weight will do
    if chosen == "balanced":
        if counts is None:
            raise ConfigError(
                "loss 'hard': class_weights = 'balanced' needs a training set whose labels are"
                " counted"
            )
        total = sum(counts)
        return [total / (len(counts) * n) if n else 1.0 for n in counts]

    # weights that the recipe gives, one per label
    if counts is not None and len(chosen) != len(counts):
        raise ConfigError(
            f"loss 'hard': class_weights has {len(chosen)} numbers for {len(counts)} labels"
        )
    if min(chosen, default=-1.0) < 0:
        raise ConfigError(
            f"loss 'hard': class_weights = {list(chosen)} must be numbers from 0 up, one per label"
        )
    return [float(weight) for weight in chosen]


def _fit(weights: list[float] | None, rows: Tensor) -> Tensor | float:
    """Return the weights as a tensor [K] beside rows [..., K]; 1 where there are none."""
    if weights is None:
        return 1.0
    if len(weights) != rows.shape[-1]:
        raise ConfigError(
            f"loss 'hard': class_weights has {len(weights)} numbers for {rows.shape[-1]} classes"
        )
    return _on_device(tuple(weights), rows.device, rows.dtype)


@functools.lru_cache(maxsize=8)
def _on_device(weights: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return weights as a tensor, sent to a device once and not at every step."""
    return torch.tensor(weights, device=device, dtype=dtype)
