"""An encoder with a task head: what training, prediction and export call a model.

    classify   BERT, ALBERT   first token -> pooler (dense, tanh) -> dropout -> linear
               RoBERTa        first token -> dropout -> dense -> tanh -> dropout -> linear
               DistilBERT     first token -> dense -> relu -> dropout -> linear
    multilabel the same; each logit is a label for itself
    tag        every token -> dropout -> linear
    span       every token -> linear to (start, end)

New weights are normal(0, init_range), biases 0, LayerNorm 1, each tensor drawn from its own
generator keyed by (seed, name): the same seed gives the same head on any encoder of that width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from destila import cpu as processors
from destila.errors import ModelError
from destila.model_folder import HEADS
from destila.models.architecture import EncoderConfig
from destila.models.encoder import Encoder
from destila.types import Batch, Output, State

_M = TypeVar("_M", bound=nn.Module)


class ClassifyHead(nn.Module):
    """Logits [B, C] from the first token."""

    def __init__(self, config: EncoderConfig, classes: int) -> None:
        super().__init__()
        self.kind = config.kind
        self.dense = nn.Linear(config.hidden, config.hidden)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden, classes)

    def forward(self, last: Tensor) -> Tensor:
        """Return logits [B, C] of hidden states [B, L, H]."""
        first = last[:, 0]  # [B, H]
        if self.kind == "roberta":
            first = self.dropout(first)

        dense = self.dense(first)  # [B, H]
        pooled = dense.relu() if self.kind == "distilbert" else dense.tanh()
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits


class TagHead(nn.Module):
    """Logits [B, L, C] from every token."""

    def __init__(self, config: EncoderConfig, classes: int) -> None:
        super().__init__()
        # DistilBERT's classifier dropout belongs to its sequence classifier alone
        self.dropout = nn.Dropout(
            config.dropout if config.kind == "distilbert" else config.classifier_dropout
        )
        self.classifier = nn.Linear(config.hidden, classes)

    def forward(self, last: Tensor) -> Tensor:
        """Return logits [B, L, C] of hidden states [B, L, H]."""
        logits: Tensor = self.classifier(self.dropout(last))
        return logits


class SpanHead(nn.Module):
    """Start and end logits [B, L, 2] of every token; no dropout, as in the published models."""

    def __init__(self, config: EncoderConfig, classes: int) -> None:
        super().__init__()
        if classes != 2:
            raise ModelError(f"a span head says start and end, not {classes} labels")
        self.classifier = nn.Linear(config.hidden, classes)

    def forward(self, last: Tensor) -> Tensor:
        """Return logits [B, L, 2] of hidden states [B, L, H]."""
        logits: Tensor = self.classifier(last)
        return logits


_MODULES = {
    "classify": ClassifyHead,
    "multilabel": ClassifyHead,
    "tag": TagHead,
    "span": SpanHead,
}
"""The module of every kind of head in `model_folder.HEADS`."""


class Model(nn.Module):
    """An encoder, a task and its labels. Made by `build_model` (new weights) and `hf.load`."""

    def __init__(self, config: EncoderConfig, task: str, labels: Sequence[str]) -> None:
        super().__init__()
        if task not in HEADS:
            raise ModelError(f"no head for task '{task}': known are {', '.join(HEADS)}")
        if not labels or len(set(labels)) != len(labels):
            raise ModelError(f"a head needs one or more labels, each once; got {list(labels)}")

        self.config = config
        self.task = task
        self.labels = tuple(labels)
        self.encoder = Encoder(config)
        self.head = _MODULES[task](config, len(self.labels))

    def forward(self, batch: Batch, *, states: Collection[State] = ()) -> Output:
        """Return the model's Output for a batch; logits are float32 also under autocast.

        Args:
            batch: padded windows.
            states: those to keep.
        """
        # nothing is padded: attention skips the mask (a look at a GPU's would wait for it)
        mask: Tensor | None = batch.mask
        if mask is not None and mask.device.type == "cpu" and bool(mask.all()):
            mask = None
        last, kept = self.encoder(
            batch.input_ids, mask, batch.type_ids, runs=batch.places or None, states=states
        )
        return Output(self.head(last).float(), kept)

    def answer(
        self,
        input_ids: Tensor,
        mask: Tensor | None,
        type_ids: Tensor | None,
        *,
        states: Collection[State] = (),
    ) -> Output:
        """Return the Output for plain tensors, without looking into them: what an exporter traces.

        Args:
            input_ids: i64 [B, L], pads on the right.
            mask: bool [B, L]; None: nothing is padded.
            type_ids: i64 [B, L]; None: all 0.
            states: those to keep.
        """
        last, kept = self.encoder(input_ids, mask, type_ids, states=states)
        return Output(self.head(last).float(), kept)


def empty_model(config: EncoderConfig, task: str, labels: Sequence[str]) -> Model:
    """Return a model whose weights are allocated and not set, without time or random numbers."""
    return allocated(outline_model(config, task, labels))


def outline_model(config: EncoderConfig, task: str, labels: Sequence[str]) -> Model:
    """Return a model whose weights have shapes and take no memory."""
    with torch.device("meta"):
        return Model(config, task, labels)


def allocated(model: _M) -> _M:
    """Give an outline of a model its memory, and return it; its weights are not set.

    Raises:
        ModelError: this machine has not so much.
    """
    needed = sum(value.numel() * value.element_size() for value in model.parameters())
    if needed > processors.memory():
        raise ModelError(
            f"a model of {needed / 1e9:,.1f} GB of weights does not fit the "
            f"{processors.memory() / 1e9:,.1f} GB of this machine: take a smaller shape"
        )
    return model.to_empty(device="cpu")


def build_model(config: EncoderConfig, task: str, labels: Sequence[str], seed: int) -> Model:
    """Return a model with new weights; equal arguments give equal weights."""
    model = empty_model(config, task, labels)
    initialise(model, (name for name, _ in model.named_parameters()), seed)
    return model


@torch.no_grad()
def initialise(model: nn.Module, names: Iterable[str], seed: int) -> None:
    """Set the named parameters of a model, which has a `config`, to new values."""
    parameters = dict(model.named_parameters())
    assert isinstance(model.config, EncoderConfig)

    for name in names:
        value = parameters[name]
        if name.endswith("bias"):
            value.zero_()
        elif "norm" in name:
            value.fill_(1.0)
        else:
            # a generator of its own for every name, so that no tensor depends on the others
            digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=7).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest))
            value.normal_(0.0, model.config.init_range, generator=generator)
