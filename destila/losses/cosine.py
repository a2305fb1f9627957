"""Angle between the last hidden states of student and teacher.

    1 - cos(W s, t)

Sanh et al. 2019, "DistilBERT, a distilled version of BERT", section 2 ("cosine embedding loss").
The map W is learned and only there when the widths differ.

Shapes: student's states [B, P, H_s], teacher's [B, P, H_t], mask [B, P]; a position P is a token,
or a unit where tokens differ. All masked: zero, with a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from destila.config import Options as _Options
from destila.config import opt
from destila.losses._layers import Pool, models, pool_of, projected, projections, unbound
from destila.losses._rows import counting
from destila.losses.term import LossContext, Term
from destila.types import State


class Options(_Options):
    """Options of `use = "cosine"`."""

    pool: Pool = opt(
        "auto",
        "token, first (token of a unit), mean (of its tokens); auto = token if tokens are equal",
    )
    project: Literal["auto", "always", "never"] = opt(
        "auto", "learned map of the student's states; auto = where needed", reproduction=True
    )
    bias: bool = opt(True, "the map has a bias", reproduction=True)


def build(options: Options, setting: LossContext) -> Term:
    """Build the term.

    Raises:
        ConfigError: the widths cannot meet.
    """
    both = models(setting, "cosine", "hidden")
    if both is None:
        return unbound("cosine")

    # the last layer of each, whatever their numbers
    last, teacher_last = ("hidden", both[0].layers), ("hidden", both[1].layers)
    maps = projections("cosine", setting, 1, project=options.project, bias=options.bias)

    def fn(
        student: Mapping[State, Tensor],
        teacher: Mapping[State, Tensor],
        mask: Tensor,
        axis: int,  # noqa: ARG001
    ) -> Tensor:
        # only positions that count are mapped
        of_teacher = teacher[teacher_last].detach()
        (own, wanted), total = counting(mask, student[last], of_teacher)  # [N, H]
        states, wanted = projected(maps, 0, own), wanted.float()  # [N, H_t]
        return total(1 - F.cosine_similarity(states, wanted, dim=-1))

    pool = pool_of("cosine", options.pool, False, setting)
    return Term(
        name="cosine",
        needs="states",
        fn=fn,
        student=(last,),
        teacher=(teacher_last,),
        pool=pool,
        module=maps,
    )
