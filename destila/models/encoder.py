"""The one encoder: BERT, RoBERTa, ALBERT and DistilBERT are this module under different configs.

Post-norm Transformer blocks (Vaswani et al. 2017; Devlin et al. 2019). ALBERT (Lan et al. 2020)
repeats one block and projects narrow embeddings; RoBERTa starts its positions at pad_id + 1;
DistilBERT has no token types. Its position table is always trained here, whatever
`sinusoidal_pos_embds` says: DistilBETO's holds BETO's learned values.

Attention is computed in one of two ways. The fused kernel (`scaled_dot_product_attention`) is best
on GPUs and for long inputs on CPU. On CPU its bf16 backward is much slower than two plain products,
and in fp32 the two are close at short lengths, so short inputs and bf16 training on CPU take the
plain products (`benchmarks/train_throughput.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from destila.errors import ModelError
from destila.models.architecture import EncoderConfig
from destila.types import State

STATES = frozenset({"logits", "hidden", "attention", "scores", "query", "key", "value"})
"""Kinds of State that this encoder shows (the logits are its head's)."""

FUSED_FROM = 128
"""Tokens from which the fused kernel wins on CPU."""

_MASKED = -3e38
"""Added to the scores of pads: exact zeros after softmax; finite in bf16 too, so that a row of pads
only is not NaN."""


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
        rows = slice(first, first + input_ids.shape[1]) if positions is None else first + positions
        x = x + table[rows]

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
        self, x: Tensor, bias: Tensor | None, kinds: Collection[str] = ()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the next hidden state [B, L, H], and what is wanted of the attention, by kind.

        Args:
            x: hidden state [B, L, H].
            bias: added to the scores, [B, 1, 1 or L, L]; None: nothing is masked.
            kinds: of State that are wanted.
        """
        context, kept = self._attend(x, bias, kinds)
        x = self.attention_norm(x + self.dropout(self.out(context)))
        inner = activate(self.up(x), self.activation)  # [B, L, I]
        return self.ffn_norm(x + self.dropout(self.down(inner))), kept

    def _attend(
        self, x: Tensor, bias: Tensor | None, kinds: Collection[str]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the context [B, L, H] of every token, and what is wanted of the attention."""
        batch, length, hidden = x.shape
        shape = (batch, length, self.heads, hidden // self.heads)

        # queries, keys and values, split into heads
        inner = {"query": self.query(x), "key": self.key(x), "value": self.value(x)}  # [B, L, H]
        q, k, v = (each.view(shape).transpose(1, 2) for each in inner.values())  # [B, A, L, D]
        kept = {kind: each for kind, each in inner.items() if kind in kinds}
        if bias is not None:
            bias = bias.to(q.dtype)

        # the fused kernel never holds the weights
        if not {"attention", "scores"} & set(kinds) and _takes_fused(q):
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


def _takes_fused(query: Tensor) -> bool:
    """Return whether the fused kernel is the faster one for queries [B, A, L, D]."""
    if query.device.type != "cpu":
        return True
    trains_in_16_bits = query.dtype != torch.float32 and query.requires_grad
    return query.shape[2] >= FUSED_FROM and not trains_in_16_bits


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
        states: Collection[State] = (),
    ) -> States:
        """Return the States of a right-padded batch; values at pads are meaningless.

        Args:
            input_ids: i64 [B, L].
            mask: bool [B, L], True for real tokens; None: nothing is padded.
            type_ids: i64 [B, L]; None: all 0.
            positions: i64 [B, L] of packed rows, as in Batch; None: a token's is its index.
            pair: i64 [B, L] of packed rows, as in Batch; takes the place of the mask.
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

        # what a token sees: real tokens, or those of its own text
        seen = None if mask is None else mask[:, None, None, :]  # [B, 1, 1, L]
        if pair is not None:
            seen = pair[:, None, :, None] == pair[:, None, None, :]  # [B, 1, L, L]
        bias = None if seen is None else _bias(seen)

        x = self.embeddings(input_ids, type_ids, positions)  # [B, L, E]
        if self.project is not None:
            x = self.project(x)  # [B, L, H]
        kept = {state: x for state in states if state == ("hidden", 0)}

        for layer in range(1, self.depth + 1):
            kinds = {kind for kind, wanted in states if wanted == layer}
            block = self.blocks[0 if self.config.shared else layer - 1]
            if self.checkpointing and self.training:
                x, inside = checkpoint(block, x, bias, kinds, use_reentrant=False)
            else:
                x, inside = block(x, bias, kinds)

            shown = {"hidden": x} | inside
            kept |= {(kind, layer): shown[kind] for kind in shown if kind in kinds}

        return States(x, kept)


def _bias(seen: Tensor) -> Tensor:
    """Return what is added to scores: 0 where a token is seen, and far below 0 where not."""
    zeros = torch.zeros(seen.shape, dtype=torch.float32, device=seen.device)
    return zeros.masked_fill(~seen, _MASKED)
