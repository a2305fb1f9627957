"""How tokens relate to each other inside attention: queries with queries, keys with keys, values with values.

    sum_(x in q, k, v) 1/R * sum_r KL( softmax(T_xr T_xr' / sqrt(d_t)) || softmax(S_xr S_xr' / sqrt(d_s)) )

for every token's row. Wang et al. 2021, "MiniLMv2: Multi-Head Self-Attention Relation Distillation for Compressing
Pretrained Transformers", equations 5 to 8: the vectors of all heads are put side by side and cut into R relation heads of
d = H / R values, so that neither widths nor heads need to agree. One layer of each model; for teachers of 24 layers the
paper takes the teacher's 21st, else the last.

Shapes: student's states [B, P, H_s], teacher's [B, P, H_t], mask [B, P]; a position P is a token, or a unit where
tokens differ (our extension). All masked: zero, with a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

import torch
from torch import Tensor
from torch.nn import functional as F

from destila.config import Options as _Options
from destila.config import opt
from destila.errors import ConfigError
from destila.losses._layers import Pool, layer_pairs, models, pool_of, unbound
from destila.losses.term import LossContext, ModelShape, Term
from destila.types import State

_KINDS = ("query", "key", "value")
_LEAST = 16
"""Values of a relation head in the narrower model, where the recipe does not say how many heads: as in the paper."""


class Options(_Options):
    """Options of `use = "relation"`."""

    layers: tuple[int, int] | None = opt(
        None, "[student, teacher], counted from 1; none = the last ones"
    )
    heads: int | None = opt(None, "relation heads; none = as many as leave 16 values in each", ge=1)
    pool: Pool = opt(
        "auto",
        "token, first (token of a unit), mean (of its tokens); auto = token if tokens are equal",
    )


def build(options: Options, setting: LossContext) -> Term:
    """Build the term; raise ConfigError when the relation heads do not divide both widths."""
    both = models(setting, "relation", *_KINDS)
    if both is None:
        return unbound("relation")
    ((m, n),) = layer_pairs(
        "relation", (options.layers or (both[0].layers, both[1].layers),), *both, embeddings=False
    )
    heads = _heads(options.heads, *both)
    pool = pool_of("relation", options.pool, False, setting)
    if setting.whole_example and pool != "token":
        raise ConfigError(
            "term 'relation' relates units with each other, and of a text to classify there is one: train the student "
            "with the teacher's tokenizer, or use 'hidden' or 'cosine'"
        )

    def fn(
        student: Mapping[State, Tensor],
        teacher: Mapping[State, Tensor],
        mask: Tensor,
        axis: int,  # noqa: ARG001
    ) -> Tensor:
        sums = []
        for kind in _KINDS:
            log_q = _relations(student[kind, m], mask, heads)
            log_p = _relations(teacher[kind, n].detach(), mask, heads)
            row = (
                (log_p.exp() * (log_p - log_q))
                .masked_fill(~mask[:, None, None, :], 0.0)
                .sum(-1)
                .mean(1)
            )  # [B, P]
            sums.append(row.masked_fill(~mask, 0.0).sum())
        return torch.stack(sums).sum()

    return Term(
        name="relation",
        needs="states",
        fn=fn,
        student=tuple((kind, m) for kind in _KINDS),
        teacher=tuple((kind, n) for kind in _KINDS),
        pool=pool,
    )


def _heads(wanted: int | None, student: ModelShape, teacher: ModelShape) -> int:
    common = gcd(student.hidden, teacher.hidden)
    if wanted is None:
        most = max(1, min(student.hidden, teacher.hidden) // _LEAST)
        return max(n for n in range(1, most + 1) if common % n == 0)
    if common % wanted:
        raise ConfigError(
            f"term 'relation': heads = {wanted} must divide the widths of student ({student.hidden}) and teacher "
            f"({teacher.hidden}), that is {common}"
        )
    return wanted


def _relations(values: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Compute log-probabilities [B, R, P, P] of states [B, P, H] over real positions; what is masked is finite and meaningless."""
    b, positions, hidden = values.shape
    values = values.float().masked_fill(~mask.unsqueeze(-1), 0.0)
    split = values.view(b, positions, heads, hidden // heads).transpose(1, 2)  # [B, R, P, D]
    scores = torch.matmul(split, split.transpose(-1, -2)) * (hidden // heads) ** -0.5
    shut = (
        ~mask[:, None, None, :] & mask.any(-1)[:, None, None, None]
    )  # a row without any position would give NaN
    return F.log_softmax(scores.masked_fill(shut, -1e30), dim=-1)
