"""From tokens to units: where two models read other tokens, what they hold meets at units."""

from __future__ import annotations

import torch
from torch import Tensor

from destila.types import Batch


def pool_states(values: Tensor, batch: Batch, pool: str, *, whole_example: bool) -> Tensor:
    """Pool states of tokens to units, [B, U, H]; what is no unit holds anything finite.

    Args:
        values: what a layer holds at every token, [B, L, H].
        batch: says which tokens a unit has.
        pool: "first", each unit's first token, or "mean", the float32 mean over its tokens.
        whole_example: the example is the only unit, and its mean runs over every real token.
    """
    # the first token stands for the word, as in what the head reads
    if pool == "first":
        return values.gather(1, batch.first.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
    assert pool == "mean", f"units are pooled by 'first' or 'mean', not '{pool}'"

    # which tokens belong to which unit
    unit = torch.where(batch.mask, 0, -1) if whole_example else batch.unit
    units = torch.arange(batch.first.shape[1], device=unit.device)
    holds = (unit.unsqueeze(1) == units[None, :, None]).float()  # [B, U, L]

    with torch.autocast(values.device.type, enabled=False):
        # a product: sums of a scatter depend on the order in which a GPU gets to them
        return torch.matmul(holds, values.float()) / holds.sum(-1, keepdim=True).clamp(min=1)


def log_sum_units(logits: Tensor, unit: Tensor, units: int) -> Tensor:
    """Add up the probabilities of each unit's tokens: log-sum-exp to float32 [B, units, C].

    Args:
        logits: of every token, [B, L, C].
        unit: i64 [B, L], the unit of each token, -1 for tokens of none.
        units: how many there are at most; one without a token gets 0.
    """
    logits = logits.float()
    size, _, classes = logits.shape

    # tokens of no unit go to one more at the end, which is thrown away
    place = unit.masked_fill(unit < 0, units).unsqueeze(-1).expand(-1, -1, classes)  # [B, L, C]

    # what the largest logit is does not change the sum, so no gradient goes through it
    with torch.no_grad():
        top = logits.new_full((size, units + 1, classes), -torch.inf)
        top = top.scatter_reduce_(1, place, logits, "amax")
        empty = top == -torch.inf
        top = top.masked_fill(empty, 0.0)

    # exponentials of at most 1, added up unit by unit
    shifted = (logits - top.gather(1, place)).exp()  # [B, L, C]
    total = torch.zeros_like(top).scatter_add(1, place, shifted)  # [B, units + 1, C]
    return (total.masked_fill(empty, 1.0).log() + top)[:, :units]


def at_places(values: Tensor, where: Tensor, batch: Batch, name: str) -> Tensor:
    """Return what values [B, L, ...] hold where a mask is True, [N, ...], in order.

    Args:
        values: at every token.
        where: bool [B, L].
        batch: where it is on a GPU, it knows the places, so that nothing waits to look for them.
        name: of the field that the mask is made of.
    """
    place = batch.places.get(name)
    return values[where] if place is None else values.flatten(0, 1)[place]
