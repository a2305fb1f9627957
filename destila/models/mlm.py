"""An encoder with a masked-language-model head: which piece of the vocabulary stands at every token.

    last state [H] -> dense -> activation -> LayerNorm -> token table + bias -> logits [V]

The dense layer goes to the width of the embeddings, which is narrower than H in ALBERT, and the last product is with
the token table itself (tied, Press and Wolf 2017). RoBERTa's activation is always gelu (erf), whatever its encoder's.
With a sentence-order head too, it is what pre-training trains (transformers' `...ForPreTraining`):

    last state of the first token -> pooler (dense, tanh) -> linear -> logits [2]

Written and read in the layout of transformers by `store.save` and `hf.load_masked`.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from destila.errors import ModelError
from destila.models.architecture import EncoderConfig
from destila.models.encoder import Encoder, activate
from destila.models.heads import initialise
from destila.types import IGNORE, Batch, Output, State


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


class OrderHead(nn.Module):
    """Logits [K, 2] of the states [K, H] of first tokens; the pooler is the one that a classifier starts from."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden, config.hidden)
        self.classifier = nn.Linear(config.hidden, 2)

    def forward(self, states: Tensor) -> Tensor:
        """Logits [K, 2]: as written, exchanged."""
        logits: Tensor = self.classifier(self.dense(states).tanh())
        return logits


class MaskedModel(nn.Module):
    """An encoder and its masked-language-model head. Made by `build` (new weights) and `hf.load_masked`.

    order: with a sentence-order head. Raises ModelError for an architecture that has none (RoBERTa, DistilBERT).
    """

    labels: tuple[str, ...] = ()

    def __init__(self, config: EncoderConfig, *, order: bool = False) -> None:
        super().__init__()
        if order and config.kind not in ("albert", "bert"):
            raise ModelError(
                f"{config.kind} has no sentence-order head: take albert or bert, or leave the order out"
            )
        self.config = config
        self.encoder = Encoder(config)
        self.head = MaskedHead(config)
        self.order = OrderHead(config) if order else None

    @property
    def task(self) -> str:
        """What the model is saved as: "pretrain" with a sentence-order head, "mlm" without."""
        return "mlm" if self.order is None else "pretrain"

    def forward(self, batch: Batch, *, states: Collection[State] = ()) -> Output:
        """Logits, float32 [1, N, V], of the N tokens in `batch.unit_mask`, in the order of the batch.

        And of the texts with a label in `batch.order` where there is a head for it. states: those to keep.
        """
        last, found = self.encoder(
            batch.input_ids,
            batch.mask,
            batch.type_ids,
            positions=batch.positions,
            pair=batch.pair,
            states=states,
        )
        order = None
        if self.order is not None and batch.order is not None:
            order = self.order(last[batch.order != IGNORE]).float()
        return Output(self.logits(last[batch.unit_mask])[None], found, order)

    def at(self, batch: Batch, where: Tensor) -> Tensor:
        """Logits [N, V] of the N tokens where `where` [B, L] is True, in the order of the batch."""
        last, _ = self.encoder(batch.input_ids, batch.mask, batch.type_ids)
        return self.logits(last[where])

    def logits(self, states: Tensor) -> Tensor:
        """Logits [..., V] of last states [..., H], float32 also under autocast."""
        table = self.encoder.embeddings.word.weight
        said: Tensor = nn.functional.linear(self.head(states), table, self.head.bias)
        return said.float()


def empty_masked_model(config: EncoderConfig, *, order: bool = False) -> MaskedModel:
    """A model whose weights are allocated and not set; costs no time and no random numbers."""
    with torch.device("meta"):
        model = MaskedModel(config, order=order)
    return model.to_empty(device="cpu")


def build(config: EncoderConfig, seed: int, *, order: bool = False) -> MaskedModel:
    """A model with new weights; equal arguments give equal weights, and the encoder those of any other head."""
    model = empty_masked_model(config, order=order)
    initialise(model, (name for name, _ in model.named_parameters()), seed)
    return model
