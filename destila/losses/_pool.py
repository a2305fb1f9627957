"""From tokens to units: where two models read other tokens, their inner states meet at units."""

from __future__ import annotations

import torch
from torch import Tensor

from destila.types import Batch


def pooled(values: Tensor, batch: Batch, pool: str, *, whole: bool) -> Tensor:
    """States [B, L, H] at units, [B, U, H]: at each unit's first token, or the float32 mean over its tokens.

    whole: the example is the only unit (classification), and its mean runs over every real token. What is no unit
    of the batch holds anything finite.
    """
    if pool == "first":
        return values.gather(1, batch.first.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
    assert pool == "mean", f"units are pooled by 'first' or 'mean', not '{pool}'"
    unit = torch.where(batch.mask, 0, -1) if whole else batch.unit
    units = torch.arange(batch.first.shape[1], device=unit.device)
    holds = (unit.unsqueeze(1) == units[None, :, None]).float()  # [B, U, L]
    with torch.autocast(values.device.type, enabled=False):
        # a product rather than a scatter, whose sums depend on the order in which a GPU gets to them
        return torch.matmul(holds, values.float()) / holds.sum(-1, keepdim=True).clamp(min=1)
