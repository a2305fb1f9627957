"""How tokens relate inside attention: queries with queries, keys with keys, values with values.

    sum_(x in q, k, v) 1/R * sum_r KL( P_xr || Q_xr ),
    P_xr = softmax(T_xr T_xr' / sqrt(d_t)),   Q_xr = softmax(S_xr S_xr' / sqrt(d_s))

for every token's row. Wang et al. 2021, "MiniLMv2: Multi-Head Self-Attention Relation Distillation
for Compressing Pretrained Transformers", equations 5 to 8: the vectors of all heads are put side by
side and cut into R relation heads of d = H / R values, so that neither widths nor heads need to
agree. One layer of each model; for teachers of 24 layers the paper takes the teacher's 21st, else
the last.

Shapes: student's states [B, P, H_s], teacher's [B, P, H_t], mask [B, P]; a position P is a token,
or a unit where tokens differ (our extension). All masked: zero, with a gradient of zero.
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
"""Values of a relation head in the narrower model, as in the paper; a recipe may set the heads."""


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
    """Build the term.

    Raises:
        ConfigError: the relation heads do not divide both widths, or an example is its only unit.
    """
    both = models(setting, "relation", *_KINDS)
    if both is None:
        return unbound("relation")

    # one layer of each model, the last ones unless the recipe names others
    named = options.layers or (both[0].layers, both[1].layers)
    ((m, n),) = layer_pairs("relation", (named,), *both, embeddings=False)
    heads = _heads(options.heads, *both)
    pool = pool_of("relation", options.pool, False, setting)

    # a single unit relates to nothing but itself
    if setting.whole_example and pool != "token":
        raise ConfigError(
            "term 'relation' relates units with each other, and of a text to classify there is one:"
            " train the student with the teacher's tokenizer, or use 'hidden' or 'cosine'"
        )

    def fn(
        student: Mapping[State, Tensor],
        teacher: Mapping[State, Tensor],
        mask: Tensor,
        axis: int,  # noqa: ARG001
    ) -> Tensor:
        sums = []
        for kind in _KINDS:
            log_q = _relations(student[kind, m], mask, heads)  # [B, R, P, P]
            log_p = _relations(teacher[kind, n].detach(), mask, heads)

            # what masked positions say to each other means nothing: leave out columns, then rows
            divergence = log_p.exp() * (log_p - log_q)
            divergence = divergence.masked_fill(~mask[:, None, None, :], 0.0)
            row = divergence.sum(-1).mean(1)  # [B, P]
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
    """Choose the number of relation heads, which divides both widths."""
    common = gcd(student.hidden, teacher.hidden)

    # as many as leave 16 values in each of the narrower model
    if wanted is None:
        most = max(1, min(student.hidden, teacher.hidden) // _LEAST)
        return max(n for n in range(1, most + 1) if common % n == 0)
    if common % wanted:
        raise ConfigError(
            f"term 'relation': heads = {wanted} must divide the widths of student"
            f" ({student.hidden}) and teacher ({teacher.hidden}), that is {common}"
        )
    return wanted


def _relations(values: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Compute how positions relate, as log-probabilities [B, R, P, P] over the real ones.

    What is masked comes out finite and without meaning.

    Args:
        values: queries, keys or values [B, P, H], all heads side by side.
        mask: [B, P], real positions.
        heads: R relation heads.
    """
    # cut the width into relation heads of D = H / R values
    b, positions, hidden = values.shape
    values = values.float().masked_fill(~mask.unsqueeze(-1), 0.0)
    split = values.view(b, positions, heads, hidden // heads).transpose(1, 2)  # [B, R, P, D]
    scores = torch.matmul(split, split.transpose(-1, -2)) * (hidden // heads) ** -0.5

    # an example without any real position stays open: a row that is shut would give NaN
    shut = ~mask[:, None, None, :] & mask.any(-1)[:, None, None, None]  # [B, 1, 1, P]
    return F.log_softmax(scores.masked_fill(shut, -1e30), dim=-1)
