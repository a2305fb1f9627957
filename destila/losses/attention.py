"""Mean squared difference of attention maps, layer by layer; both models must read the same tokens.

    sum_(m, n) 1/A * sum_a 1/K * sum_k (S_m[a, q, k] - T_n[a, q, k])^2      for every query token q

Jiao et al. 2020, "TinyBERT: Distilling BERT for Natural Language Understanding", equation 7, which
takes the scores before the softmax because they converged faster. SpanishTinyRoBERTa's code takes
the probabilities.

Shapes: maps [B, A, L, L], mask [B, L]; A heads, K real key tokens.
All masked: zero, with a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from destila.config import Options as _Options
from destila.config import opt
from destila.errors import ConfigError
from destila.losses._layers import Layers, layer_pairs, models, pool_of, unbound
from destila.losses.term import LossContext, Term
from destila.types import State


class Options(_Options):
    """Options of `use = "attention"`."""

    layers: Layers = opt("uniform", "uniform, last, or pairs [student, teacher], counted from 1")
    what: Literal["scores", "probabilities"] = opt(
        "scores", "before the softmax (TinyBERT), or after it"
    )
    heads: Literal["match", "mean"] = opt(
        "match", "head by head, or the mean over heads, for head counts that differ"
    )
    pads: bool = opt(
        False,
        "pads count as tokens (SpanishTinyRoBERTa's code; for comparisons only)",
        reproduction=True,
    )


def build(options: Options, setting: LossContext) -> Term:
    """Build the term.

    Raises:
        ConfigError: a layer is not there, or head counts differ.
    """
    kind = "attention" if options.what == "probabilities" else "scores"
    both = models(setting, "attention", kind)
    if both is None:
        return unbound("attention")

    # a map of one head has no partner in a model with fewer heads
    small, large = both
    if options.heads == "match" and small.heads != large.heads:
        raise ConfigError(
            f"term 'attention': the student has {small.heads} heads and the teacher {large.heads}: "
            'use heads = "mean", or a student with as many heads'
        )
    chosen = layer_pairs("attention", options.layers, small, large, embeddings=False)

    def fn(
        student: Mapping[State, Tensor],
        teacher: Mapping[State, Tensor],
        mask: Tensor,
        axis: int,  # noqa: ARG001
    ) -> Tensor:
        # a pair counts when both its query and its key are real
        out = ~(mask[:, None, :, None] & mask[:, None, None, :])  # [B, 1, L, L]
        keys = mask.sum(-1)[:, None, None].clamp(min=1)  # [B, 1, 1]
        sums = []
        for m, n in chosen:
            a, b = student[kind, m].float(), teacher[kind, n].detach().float()  # [B, A, L, L]
            if options.heads == "mean":
                a, b = a.mean(1, keepdim=True), b.mean(1, keepdim=True)  # [B, 1, L, L]

            # the mean over heads and real keys, the sum over queries
            square = (a.masked_fill(out, 0.0) - b.masked_fill(out, 0.0)).square()
            sums.append((square.mean(1) / keys).sum())
        return torch.stack(sums).sum()

    return Term(
        name="attention",
        needs="states",
        fn=fn,
        student=tuple((kind, m) for m, _ in chosen),
        teacher=tuple((kind, n) for _, n in chosen),
        pool=pool_of("attention", "token", options.pads, setting),
    )
