"""Mean squared difference of hidden states, layer by layer, with a learned map if widths differ.

    sum_(m, n) 1/H_t * || W_m s_m - t_n ||^2

Jiao et al. 2020, "TinyBERT: Distilling BERT for Natural Language Understanding", equations 8 and 9
(embedding output included). With `normalise`, the patient distillation of Sun et al. 2019, "Patient
Knowledge Distillation for BERT Model Compression", equation 7: both vectors are divided by their
length, and the squares are not averaged over H.

Shapes: student's states [B, P, H_s], teacher's [B, P, H_t], mask [B, P]. A position P is a token
where both models read the same tokens, else a unit: its first token or the mean of its tokens.
All masked: zero, with a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from destila.config import Options as _Options
from destila.config import opt
from destila.losses._layers import (
    Layers,
    Pool,
    layer_pairs,
    models,
    pool_of,
    projected,
    projections,
    unbound,
)
from destila.losses._rows import counting
from destila.losses.term import LossContext, Term
from destila.types import State


class Options(_Options):
    """Options of `use = "hidden"`."""

    layers: Layers = opt(
        "uniform", "uniform, last, or pairs [student, teacher]; 0 is the embedding output"
    )
    embeddings: bool = opt(True, "uniform and last compare the embedding outputs too")
    pool: Pool = opt(
        "auto",
        "token, first (token of a unit), mean (of its tokens); auto = token if tokens are equal",
    )
    normalise: bool = opt(False, "divide vectors by their length first (PKD)")
    project: Literal["auto", "always", "never"] = opt(
        "auto", "learned map of the student's states; auto = where needed", reproduction=True
    )
    shared: bool = opt(False, "one map for all layers")
    bias: bool = opt(True, "maps have a bias", reproduction=True)
    pads: bool = opt(
        False,
        "pads count as tokens (SpanishTinyRoBERTa's code; for comparisons only)",
        reproduction=True,
    )


def build(options: Options, setting: LossContext) -> Term:
    """Build the term.

    Raises:
        ConfigError: a layer is not there, or the widths cannot meet.
    """
    both = models(setting, "hidden", "hidden")
    if both is None:
        return unbound("hidden")

    # pairs that the recipe names may be of the embedding outputs, whatever `embeddings` says
    named = options.layers not in ("uniform", "last")
    chosen = layer_pairs("hidden", options.layers, *both, embeddings=named or options.embeddings)
    maps = projections(
        "hidden",
        setting,
        len(chosen),
        project=options.project,
        shared=options.shared,
        bias=options.bias,
    )

    def fn(
        student: Mapping[State, Tensor],
        teacher: Mapping[State, Tensor],
        mask: Tensor,
        axis: int,  # noqa: ARG001
    ) -> Tensor:
        sums = []
        for i, (m, n) in enumerate(chosen):
            # only positions that count are mapped
            of_teacher = teacher["hidden", n].detach()
            (own, wanted), total = counting(mask, student["hidden", m], of_teacher)  # [N, H]
            states, wanted = projected(maps, i, own), wanted.float()  # [N, H_t]

            # of unit vectors the squares are not averaged: their sum is 2 - 2 cos already
            if options.normalise:
                states, wanted = F.normalize(states, dim=-1), F.normalize(wanted, dim=-1)
                sums.append(total((states - wanted).square()))
            else:
                sums.append(total((states - wanted).square().mean(-1)))
        return torch.stack(sums).sum()

    return Term(
        name="hidden",
        needs="states",
        fn=fn,
        student=tuple(("hidden", m) for m, _ in chosen),
        teacher=tuple(("hidden", n) for _, n in chosen),
        pool=pool_of("hidden", options.pool, options.pads, setting),
        module=maps,
    )
