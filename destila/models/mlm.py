"""An encoder with a masked-language-model head: which piece of the vocabulary stands at every token.

    last state [H] -> dense -> activation -> LayerNorm -> token table + bias -> logits [V]

The dense layer goes to the width of the embeddings, which is narrower than H in ALBERT, and the last product is with
the token table itself (tied, Press and Wolf 2017). RoBERTa's activation is always gelu (erf), whatever its encoder's.
Written and read in the layout of transformers' `...ForMaskedLM` by `store.save` and `hf.load_masked`.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from destila.models.config import EncoderConfig
from destila.models.encoder import Encoder, activate
from destila.models.heads import initialise
from destila.types import Batch, Output, State


class MaskedHead(nn.Module):
    """States [N, H] to what is compared with the token table, [N, E]; `bias` is the table's own."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.activation = "gelu" if config.kind == "roberta" else config.activation
        self.dense = nn.Linear(config.hidden, config.embedding)
        self.norm = nn.LayerNorm(config.embedding, eps=config.eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: Tensor) -> Tensor:
        """The transformed states [..., E] of states [..., H]."""
        found: Tensor = self.norm(activate(self.dense(states), self.activation))
        return found


class MaskedModel(nn.Module):
    """An encoder and its masked-language-model head. Made by `build` (new weights) and `hf.load_masked`."""

    task = "mlm"
    labels: tuple[str, ...] = ()

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.head = MaskedHead(config)

    def forward(self, batch: Batch, *, states: Collection[State] = ()) -> Output:
        """Logits of every token, float32 [B, L, V]; see `at` where only some are needed. states: those to keep."""
        last, found = self.encoder(batch.input_ids, batch.mask, batch.type_ids, states=states)
        return Output(self.logits(last), found)

    def at(self, batch: Batch, where: Tensor) -> Tensor:
        """Logits [N, V] of the N tokens where `where` [B, L] is True, in the order of the batch."""
        last, _ = self.encoder(batch.input_ids, batch.mask, batch.type_ids)
        return self.logits(last[where])

    def logits(self, states: Tensor) -> Tensor:
        """Logits [..., V] of last states [..., H], float32 also under autocast."""
        table = self.encoder.embeddings.word.weight
        said: Tensor = nn.functional.linear(self.head(states), table, self.head.bias)
        return said.float()


def empty(config: EncoderConfig) -> MaskedModel:
    """A model whose weights are allocated and not set; costs no time and no random numbers."""
    with torch.device("meta"):
        model = MaskedModel(config)
    return model.to_empty(device="cpu")


def build(config: EncoderConfig, seed: int) -> MaskedModel:
    """A model with new weights; equal arguments give equal weights, and the encoder those of any other head."""
    model = empty(config)
    initialise(model, (name for name, _ in model.named_parameters()), seed)
    return model
