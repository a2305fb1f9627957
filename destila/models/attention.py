"""What a token sees, looked up once for a batch, and the kernels that respect it.

Attention is computed in one of three ways. Plain products are best on a CPU at short lengths and
in bf16 training there. The fused kernel (`scaled_dot_product_attention`) takes a bias [B, 1, 1 or
L, L] in the dtype of the products. The kernel for runs (`torch.nn.attention.varlen`, Flash
Attention; Dao 2023) takes no bias at all: rows are one long row of runs, each of which sees itself
alone, so that packed rows cost their own length squared and not the row's. It is there on GPUs from
Ampere on, in 16 bits, without dropout of the weights, and only when nobody asks for those.

    pair      1 1 1 2 2 0     1 1 1 1 1 1
    starts    0     3   5     6           12
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from destila.losses._rows import is_outline

FUSED_FROM = 128
"""Tokens from which the fused kernel wins on CPU."""

_MASKED = -3e38
"""Added to the scores of pads: exact zeros after softmax; finite in bf16 too, so that a row of pads
only is not NaN."""

_MULTIPLE, _WIDEST = 8, 256
"""The kernel for runs wants heads of a multiple of 8 values, 256 at most."""


class Seen(NamedTuple):
    """What every token sees, the same in all layers.

    bias: added to the scores, [B, 1, 1 or L, L]; None: nothing is masked, or `starts` says it.
    starts: i32 [T + 1], where each of T runs of tokens that see each other starts among all B x L.
    longest: tokens of the longest run.
    """

    bias: Tensor | None = None
    starts: Tensor | None = None
    longest: int = 0


def look_around(
    mask: Tensor | None,
    pair: Tensor | None,
    dtype: torch.dtype,
    runs: Mapping[str, Tensor] | None = None,
) -> Seen:
    """Return what the tokens of a batch see: real tokens, or those of their own text.

    Args:
        mask: bool [B, L], True for real tokens; None: nothing is padded.
        pair: i64 [B, L] of packed rows; takes the place of the mask.
        dtype: of the products.
        runs: `starts` and `longest` of `find_runs`; None: the kernel for them is not to be taken.
    """
    if runs is not None:
        return Seen(starts=runs["starts"], longest=int(runs["longest"]))
    if pair is not None:
        return Seen(_bias(pair[:, None, :, None] == pair[:, None, None, :], dtype))
    return Seen() if mask is None else Seen(_bias(mask[:, None, None, :], dtype))


def find_runs(mask: Tensor, pair: Tensor | None) -> dict[str, Tensor]:
    """Find the runs of tokens that see each other, on the CPU.

    The pads of a row are a run of their own.

    Args:
        mask: bool [B, L].
        pair: i64 [B, L] of packed rows, whose texts are numbered in their order.

    Returns:
        starts, i32 [T + 1], and longest, i64 [].
    """
    number = mask.long() if pair is None else pair  # [B, L]
    begins = torch.ones_like(number, dtype=torch.bool)
    begins[:, 1:] = number[:, 1:] != number[:, :-1]
    end = torch.tensor([number.numel()])
    starts = torch.cat([begins.flatten().nonzero().flatten(), end])  # [T + 1]
    return {"starts": starts.int(), "longest": starts.diff().max()}


def takes_runs(device: torch.device, dtype: torch.dtype, *, dropout: float) -> bool:
    """Return whether the kernel for runs can be taken.

    Args:
        device: of the model.
        dtype: of the products.
        dropout: of the attention's weights.
    """
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16) or dropout:
        return False
    return _runs_kernel() is not None and torch.cuda.get_device_capability(device) >= (8, 0)


def attend_runs(q: Tensor, k: Tensor, v: Tensor, seen: Seen) -> Tensor:
    """Compute the context [B, L, A, D] of queries, keys and values [B, L, A, D] within runs."""
    kernel = _runs_kernel()
    assert kernel is not None, "takes_runs was asked before"
    shape, width = q.shape, q.shape[-1]
    q, k, v = (each.reshape(-1, *shape[2:]) for each in (q, k, v))  # [B * L, A, D]

    # Zeros up to a width that the kernel has; it divides by the root of that, so multiply first.
    missing = -width % _MULTIPLE
    if missing:
        q = q * ((width + missing) / width) ** 0.5
        q, k, v = (F.pad(each, (0, missing)) for each in (q, k, v))
    assert q.shape[-1] <= _WIDEST, "no architecture here has wider heads"

    context: Tensor = kernel(q, k, v, seen.starts, seen.starts, seen.longest, seen.longest)
    return context[..., :width].reshape(shape)


def takes_fused(query: Tensor) -> bool:
    """Return whether the fused kernel is faster than plain products for queries [B, A, L, D].

    The outline of a tensor stands for a GPU's.
    """
    if query.device.type != "cpu" or is_outline(query):
        return True
    trains_in_16_bits = query.dtype != torch.float32 and query.requires_grad
    return query.shape[2] >= FUSED_FROM and not trains_in_16_bits


def product_dtype(weight: Tensor) -> torch.dtype:
    """Return the dtype in which products with a weight are computed now: autocast's, or its own."""
    kind = weight.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return weight.dtype


@functools.cache
def _runs_kernel() -> Any:
    """Return the kernel for runs; None in a torch that is too old for it (before 2.10)."""
    if importlib.util.find_spec("torch.nn.attention.varlen") is None:
        return None
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn


def _bias(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores: 0 where a token is seen, and far below 0 where not."""
    zeros = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return zeros.masked_fill(~seen, max(_MASKED, torch.finfo(dtype).min))
