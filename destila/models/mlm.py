"""An encoder with a masked-language-model head: which piece stands at every token.

    last state [H] -> dense -> activation -> LayerNorm -> token table + bias -> logits [V]

The dense layer goes to the width of the embeddings, which is narrower than H in ALBERT, and the
last product is with the token table itself (tied, Press and Wolf 2017). RoBERTa's activation is
always gelu (erf), whatever its encoder's. With a sentence-order head too, it is what pre-training
trains (transformers' `...ForPreTraining`):

    last state of the first token -> pooler (dense, tanh) -> linear -> logits [2]

Written and read in the layout of transformers by `store.save` and `hf.load_masked`.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from destila.errors import ModelError
from destila.losses.pool import at_places
from destila.models.architecture import EncoderConfig
from destila.models.encoder import Encoder, activate
from destila.models.heads import allocated, initialise
from destila.types import IGNORE, Batch, Output, State


class MaskedHead(nn.Module):
    """From states [N, H] to what meets the token table, [N, E]; `bias` is the table's own."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.activation = "gelu" if config.kind == "roberta" else config.activation
        self.dense = nn.Linear(config.hidden, config.embedding)
        self.norm = nn.LayerNorm(config.embedding, eps=config.eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: Tensor) -> Tensor:
        """Return the transformed states [..., E] of states [..., H]."""
        transformed: Tensor = self.norm(activate(self.dense(states), self.activation))
        return transformed


class OrderHead(nn.Module):
    """Logits [K, 2] of the states [K, H] of first tokens; a classifier starts from its pooler."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden, config.hidden)
        self.classifier = nn.Linear(config.hidden, 2)

    def forward(self, states: Tensor) -> Tensor:
        """Return logits [K, 2] of two sentences: in their order, exchanged."""
        logits: Tensor = self.classifier(self.dense(states).tanh())
        return logits


class MaskedModel(nn.Module):
    """An encoder and its masked-language-model head; see `build_masked_model`."""

    labels: tuple[str, ...] = ()

    def __init__(self, config: EncoderConfig, *, order: bool = False) -> None:
        """Build the modules, with a sentence-order head where `order` says so.

        Raises:
            ModelError: the architecture has no such head (RoBERTa, DistilBERT).
        """
        super().__init__()
        if order and config.kind not in ("albert", "bert"):
            raise ModelError(
                f"{config.kind} has no sentence-order head: "
                "take albert or bert, or leave the order out"
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
        """Return logits, float32 [1, N, V], of the N tokens in `batch.unit_mask`, in their order.

        The Output has those of the texts with a label in `batch.order` too, [K, 2], where there is
        a head for it.

        Args:
            batch: rows of one text, or packed.
            states: those to keep.
        """
        last, kept = self.encoder(
            batch.input_ids,
            batch.mask,
            batch.type_ids,
            positions=batch.positions,
            pair=batch.pair,
            runs=batch.places or None,
            states=states,
        )

        order = None
        if self.order is not None and batch.order is not None:
            order = self.order(at_places(last, batch.order != IGNORE, batch, "order")).float()
        asked = at_places(last, batch.unit_mask, batch, "unit_mask")  # [N, H]
        return Output(self.logits(asked)[None], kept, order)

    def at(self, batch: Batch, where: Tensor) -> Tensor:
        """Return logits [N, V] of the N tokens where `where` [B, L] is True, in their order."""
        last, _ = self.encoder(batch.input_ids, batch.mask, batch.type_ids)
        return self.logits(last[where])

    def logits(self, states: Tensor) -> Tensor:
        """Return logits [..., V] of last states [..., H], float32 also under autocast."""
        table = self.encoder.embeddings.word.weight  # [V, E]
        logits: Tensor = nn.functional.linear(self.head(states), table, self.head.bias)
        return logits.float()


def empty_masked_model(config: EncoderConfig, *, order: bool = False) -> MaskedModel:
    """Return a model whose weights are allocated and not set, without time or random numbers."""
    return allocated(outline_masked_model(config, order=order))


def outline_masked_model(config: EncoderConfig, *, order: bool = False) -> MaskedModel:
    """Return a model whose weights have shapes and take no memory."""
    with torch.device("meta"):
        return MaskedModel(config, order=order)


def build_masked_model(config: EncoderConfig, seed: int, *, order: bool = False) -> MaskedModel:
    """Return a model with new weights.

    Equal arguments give equal weights, and the encoder those that it has under any other head.
    """
    model = empty_masked_model(config, order=order)
    initialise(model, (name for name, _ in model.named_parameters()), seed)
    return model
