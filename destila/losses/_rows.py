"""Signals as rows: one distribution per row, with what counts and what does not.

A softmax runs over classes (axis 2: a distribution per unit) or over units (axis 1: a distribution
per example and column, as in start and end of a span). Here both become rows [..., K], so that a
loss is written once. Everything is float32, also under autocast: half precision loses the tail of a
softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Rows:
    """Distributions to compare.

    axis 2: rows [B, U, K=C], weight 1.
    axis 1: rows [B, C, K=U], weight 1/C, so that an example counts once.
    axis 0: rows [B, U, C, K=2], weight 1/C: every class is there or not, for itself.
    """

    axis: int
    keep: Tensor  # bool [..., K], real entries of a row
    live: Tensor  # bool [...], rows that count
    weight: float

    def of(self, logits: Tensor) -> Tensor:
        """Turn logits [B, U, C] into float32 rows [..., K].

        Masked entries are zero, so that neither a gradient nor a NaN comes from there.
        """
        rows = logits.float() if self.axis != 1 else logits.float().transpose(1, 2)  # [..., K]
        if self.axis == 0:  # the softmax of (0, x) is the sigmoid of x
            rows = torch.stack([torch.zeros_like(rows), rows], dim=-1)
        return rows.masked_fill(~self.keep, 0.0)

    def log_softmax(self, rows: Tensor) -> Tensor:
        """Compute log-probabilities of rows over their kept entries; zero at the others."""
        # rows that do not count stay open: all entries at -inf would give NaN
        shut = ~self.keep & self.live.unsqueeze(-1)  # [..., K]
        log_p = F.log_softmax(rows.masked_fill(shut, -torch.inf), dim=-1)

        # -inf at masked entries would turn 0 * log p into NaN
        return log_p.masked_fill(~self.keep, 0.0)

    def softmax(self, rows: Tensor) -> Tensor:
        """Compute probabilities of rows over their kept entries; zero at the others."""
        return self.log_softmax(rows).exp().masked_fill(~self.keep, 0.0)

    def total(self, values: Tensor) -> Tensor:
        """Sum values [...] over the rows that count; without any, zero with a gradient of zero."""
        return values.masked_fill(~self.live, 0.0).sum() * self.weight


def counting(mask: Tensor, *values: Tensor) -> tuple[list[Tensor], Callable[[Tensor], Tensor]]:
    """Return the rows of values that count, and what sums numbers over them.

    Where a look is not free all rows come back, which must be finite, and the sum leaves out those
    that do not count. It takes numbers [N], one for each row, or [N, K].

    Args:
        mask: bool [B, P].
        values: [B, P, ...] each.
    """
    if look_is_free(mask):
        return [each[mask] for each in values], torch.sum
    rows = [each.flatten(0, 1) for each in values]  # [B * P, ...]

    def total(numbers: Tensor) -> Tensor:
        out = ~mask.flatten()
        return numbers.masked_fill(out if numbers.dim() == 1 else out.unsqueeze(-1), 0.0).sum()

    return rows, total


def look_is_free(mask: Tensor) -> bool:
    """Return whether a program may look into a mask without waiting: on a GPU it would wait.

    The outline of a tensor has no values and stands for a GPU's.
    """
    return mask.device.type == "cpu" and not is_outline(mask)


def is_outline(tensor: Tensor) -> bool:
    """Return whether a tensor has a shape and no values: one of torch's fake mode."""
    return hasattr(tensor, "fake_device")


def rows_of(logits: Tensor, mask: Tensor, axis: int) -> Rows:
    """Find which rows and entries of logits count.

    Args:
        logits: [B, U, C], of which only the shape matters.
        mask: [B, U], units that count.
        axis: what a distribution runs over: 2, the classes of a unit; 1, the units of an example;
            0, whether a class is there.
    """
    # every class of a unit that counts is real
    if axis == 2:
        return Rows(axis, mask.unsqueeze(-1).expand_as(logits), mask, 1.0)
    if axis == 0:
        live = mask.unsqueeze(-1).expand_as(logits)  # [B, U, C]
        return Rows(axis, live.unsqueeze(-1).expand(*live.shape, 2), live, 1.0 / logits.shape[2])
    assert axis == 1, f"a Signal is a distribution over axis 0, 1 or 2, not {axis}"

    # every column runs over the units that count; an example without any has no row
    classes = logits.shape[2]
    keep = mask.unsqueeze(1).expand(-1, classes, -1)  # [B, C, U]
    return Rows(axis, keep, keep.any(-1), 1.0 / classes)
