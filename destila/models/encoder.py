"""The one encoder: BERT, RoBERTa, ALBERT and DistilBERT are this module under different configs.

Post-norm Transformer blocks (Vaswani et al. 2017; Devlin et al. 2019). ALBERT (Lan et al. 2020)
repeats one block and projects narrow embeddings; RoBERTa starts its positions at pad_id + 1;
DistilBERT has no token types. Its position table is always trained here, whatever
`sinusoidal_pos_embds` says: DistilBETO's holds BETO's learned values.

How attention is computed, and what a token sees, is in `attention.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from destila.errors import ModelError
from destila.models.architecture import EncoderConfig
from destila.models.attention import (
    Seen,
    attend_runs,
    look_around,
    product_dtype,
    takes_fused,
    takes_runs,
)
from destila.types import State

STATES = frozenset({"logits", "hidden", "attention", "scores", "query", "key", "value"})
"""Kinds of State that this encoder shows (the logits are its head's)."""

_MAPS = frozenset({"attention", "scores"})
"""Kinds of State that only plain products show."""


class States(NamedTuple):
    """What an encoder gives: last [B, L, H], and the states that were asked for."""

    last: Tensor
    kept: dict[State, Tensor]


class Embeddings(nn.Module):
    """Token, position and token-type embeddings, normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.embedding)
        self.position = nn.Embedding(config.positions, config.embedding)
        self.token_type = nn.Embedding(config.types, config.embedding) if config.types else None
        self.norm = nn.LayerNorm(config.embedding, eps=config.eps)
        self.dropout = nn.Dropout(config.dropout)
        self.first_position = config.first_position

    def forward(
        self, input_ids: Tensor, type_ids: Tensor | None, positions: Tensor | None = None
    ) -> Tensor:
        """Return embeddings [B, L, E].

        Args:
            input_ids: i64 [B, L].
            type_ids: i64 [B, L]; None: all 0. A table of one row (RoBERTa) ignores them, whatever
                style of pairs the tokenizer has.
            positions: i64 [B, L]; None: pads are on the right, so a token's is its index.
        """
        x = self.word(input_ids)  # [B, L, E]

        if self.token_type is not None:
            single = type_ids is None or self.token_type.num_embeddings == 1
            x = x + (self.token_type.weight[0] if single else self.token_type(type_ids))

        table, first = self.position.weight, self.first_position
        if positions is None:
            x = x + table[first : first + input_ids.shape[1]]
        elif table.device.type == "cpu":
            x = x + table[first + positions]
        else:
            # the gradient of an indexed table is added up token by token on a GPU
            x = x + F.embedding(first + positions, table)

        normed: Tensor = self.dropout(self.norm(x))
        return normed


class Block(nn.Module):
    """Self-attention and feed-forward, each with a residual and a LayerNorm behind it."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.activation = config.activation

        # self-attention
        self.heads = config.heads
        self.scale = (hidden // config.heads) ** -0.5
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps=config.eps)

        # feed-forward
        self.up = nn.Linear(hidden, config.ffn)
        self.down = nn.Linear(config.ffn, hidden)
        self.ffn_norm = nn.LayerNorm(hidden, eps=config.eps)

        self.dropout = nn.Dropout(config.dropout)
        self.attention_dropout = nn.Dropout(config.attention_dropout)

    def forward(
        self, x: Tensor, seen: Seen, kinds: Collection[str] = ()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the next hidden state [B, L, H], and what is wanted of the attention, by kind.

        Args:
            x: hidden state [B, L, H].
            seen: what every token sees.
            kinds: of State that are wanted.
        """
        context, kept = self._attend(x, seen, kinds)
        x = self.attention_norm(x + self.dropout(self.out(context)))
        inner = activate(self.up(x), self.activation)  # [B, L, I]
        return self.ffn_norm(x + self.dropout(self.down(inner))), kept

    def _attend(
        self, x: Tensor, seen: Seen, kinds: Collection[str]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the context [B, L, H] of every token, and what is wanted of the attention."""
        batch, length, hidden = x.shape
        shape = (batch, length, self.heads, hidden // self.heads)

        # queries, keys and values, split into heads
        inner = {"query": self.query(x), "key": self.key(x), "value": self.value(x)}  # [B, L, H]
        kept = {kind: each for kind, each in inner.items() if kind in kinds}
        q, k, v = (each.view(shape) for each in inner.values())  # [B, L, A, D]

        # neither of the two kernels ever holds the weights
        if seen.starts is not None:
            return attend_runs(q, k, v, seen).reshape(batch, length, hidden), kept
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))  # [B, A, L, D]
        bias = seen.bias
        if not _MAPS & set(kinds) and takes_fused(q):
            p = self.attention_dropout.p if self.training else 0.0
            context = F.scaled_dot_product_attention(
                q, k, v, attn_mask=bias, dropout_p=p, scale=self.scale
            )
            return context.transpose(1, 2).reshape(batch, length, hidden), kept

        scores = torch.matmul(q, k.transpose(-1, -2)) * self.scale  # [B, A, L, L]
        attention = (scores if bias is None else scores + bias).softmax(-1)  # [B, A, L, L]
        if "scores" in kinds:
            kept["scores"] = scores if bias is None else scores.masked_fill(bias < 0, 0.0)
        if "attention" in kinds:
            kept["attention"] = attention

        context = torch.matmul(self.attention_dropout(attention), v)  # [B, A, L, D]
        return context.transpose(1, 2).reshape(batch, length, hidden), kept


def activate(x: Tensor, activation: str) -> Tensor:
    """Apply the activation of a config: relu, gelu (erf) or gelu_new (its tanh approximation)."""
    if activation == "relu":
        return F.relu(x)
    return F.gelu(x, approximate="tanh" if activation == "gelu_new" else "none")


class Encoder(nn.Module):
    """Token ids to hidden states.

    depth: layers that are run, config.layers unless someone sets another number.
    checkpointing: compute the inside of a layer again in the backward pass, to save its memory.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.depth = config.layers
        self.checkpointing = False
        self.embeddings = Embeddings(config)
        narrow = config.kind == "albert"
        self.project = nn.Linear(config.embedding, config.hidden) if narrow else None
        blocks = 1 if config.shared else config.layers
        self.blocks = nn.ModuleList(Block(config) for _ in range(blocks))

    def forward(
        self,
        input_ids: Tensor,
        mask: Tensor | None = None,
        type_ids: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        pair: Tensor | None = None,
        runs: Mapping[str, Tensor] | None = None,
        states: Collection[State] = (),
    ) -> States:
        """Return the States of a right-padded batch; values at pads are meaningless.

        Args:
            input_ids: i64 [B, L].
            mask: bool [B, L], True for real tokens; None: nothing is padded.
            type_ids: i64 [B, L]; None: all 0.
            positions: i64 [B, L] of packed rows, as in Batch; None: a token's is its index.
            pair: i64 [B, L] of packed rows, as in Batch; takes the place of the mask.
            runs: what `attention.find_runs` says of mask and pair; None: it was not asked.
            states: those to keep.

        Raises:
            ModelError: L is more than the position table holds.
        """
        if input_ids.shape[1] > self.config.max_length:
            raise ModelError(
                f"an input of {input_ids.shape[1]} tokens, "
                f"but the encoder has positions for {self.config.max_length}: "
                f"encode with max_length={self.config.max_length} or less"
            )

        seen = self._look_around(mask, pair, runs, {kind for kind, _ in states})

        x = self.embeddings(input_ids, type_ids, positions)  # [B, L, E]
        if self.project is not None:
            x = self.project(x)  # [B, L, H]
        kept = {state: x for state in states if state == ("hidden", 0)}

        for layer in range(1, self.depth + 1):
            kinds = {kind for kind, wanted in states if wanted == layer}
            block = self.blocks[0 if self.config.shared else layer - 1]
            if self.checkpointing and self.training:
                x, inside = checkpoint(block, x, seen, kinds, use_reentrant=False)
            else:
                x, inside = block(x, seen, kinds)

            shown = {"hidden": x} | inside
            kept |= {(kind, layer): shown[kind] for kind in shown if kind in kinds}

        return States(x, kept)

    def _look_around(
        self,
        mask: Tensor | None,
        pair: Tensor | None,
        runs: Mapping[str, Tensor] | None,
        kinds: Collection[str],
    ) -> Seen:
        """Return what every token sees, looked up once for all layers."""
        block: Any = self.blocks[0]
        dtype = product_dtype(block.query.weight)
        if runs and not _MAPS & set(kinds):
            p = block.attention_dropout.p if self.training else 0.0
            if takes_runs(block.query.weight.device, dtype, dropout=p):
                return look_around(mask, pair, dtype, runs)

        # as many runs as rows: nothing is padded, and the fused kernel needs no bias
        if runs and mask is not None and pair is None and len(runs["starts"]) == len(mask) + 1:
            mask = None
        return look_around(mask, pair, dtype)
