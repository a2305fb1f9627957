"""What a masked language model knows of text it never saw: loss, bits per character, sentence order, word order.

    mlm_loss             nats per chosen token; comparable between models of one tokenizer
    bits_per_character   nats of all chosen pieces / ln 2 / their characters: comparable between tokenizers
    mlm_accuracy         share of chosen tokens whose likeliest piece is the right one
    sop_loss, sop_accuracy   sentence order, nats and share right, of the pairs that have an order
    order_gain           nats by which the loss rises when the words that are not chosen stand in a random order within
                         their pair; below `READS_ORDER` the model reads bags of words and is no use yet to any task

The last is the plateau probe: pre-training of small models may stay for millions of tokens where only word frequencies
are learnt, and nothing else in the log tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from destila.errors import DataError
from destila.pretraining.data.word_order import shuffled
from destila.tokenizer.word_marks import WordMarks
from destila.training.batches import to_device
from destila.types import IGNORE, Batch, Output


@dataclass(slots=True)
class _Sums:
    """Sums over tokens and pairs: nats, how many, how many right; characters of the tokens."""

    nats: float = 0.0
    tokens: int = 0
    right: int = 0
    characters: int = 0
    disordered: float = 0.0
    order_nats: float = 0.0
    pairs: int = 0
    order_right: int = 0


@torch.no_grad()
def evaluate_heldout(
    model: nn.Module,
    batches: Sequence[Batch],
    marks: WordMarks,
    characters: np.ndarray,
    *,
    seed: int = 0,
    autocast: torch.dtype | None = None,
) -> dict[str, float]:
    """The scores above over fixed batches of task "mlm"; equal arguments give equal scores.

    batches: on the CPU, corrupted once and for all; a model without a sentence-order head, or batches without a label,
    give no sop_ scores. marks: `read_word_marks(tokenizer)`. characters: i64 [V], those that each piece spells. seed: of
    the random word order. The model is left in the mode it had. Raises DataError when no token is chosen.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    sums = _Sums()
    for number, batch in enumerate(batches):
        chosen = replace(batch, unit_mask=batch.target != IGNORE)
        gold = batch.target[chosen.unit_mask]
        logits, order = _said(model, chosen, device, autocast)
        _count(sums, logits, gold)
        sums.characters += int(characters[gold.numpy()].sum())
        mixed, _ = _said(model, disordered(chosen, marks, seed=seed + number), device, autocast)
        sums.disordered += float(_nats(mixed, gold))
        if order is not None and batch.order is not None:
            _count_order(sums, order, batch.order[batch.order != IGNORE])
    model.train(training)
    return _scores(sums)


def disordered(batch: Batch, marks: WordMarks, *, seed: int) -> Batch:
    """The batch with the words of every pair that are not chosen in a random order; targets stay where they are."""
    pair = batch.mask.long() if batch.pair is None else batch.pair
    fixed = (batch.target != IGNORE).numpy()
    ids = shuffled(batch.input_ids.numpy(), pair.numpy(), fixed, marks, seed=seed)
    return replace(batch, input_ids=torch.from_numpy(ids))


def _said(
    model: nn.Module, batch: Batch, device: torch.device, autocast: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """Logits [N, V] of the chosen tokens and [K, 2] of the pairs, float32, on the model's device."""
    with torch.autocast(device.type, autocast) if autocast else nullcontext():
        output: Output = model(to_device(batch, device))
    return output.logits[0].float(), None if output.order is None else output.order.float()


def _nats(logits: Tensor, gold: Tensor) -> Tensor:
    return F.cross_entropy(logits, gold.to(logits.device), reduction="sum")


def _count(sums: _Sums, logits: Tensor, gold: Tensor) -> None:
    sums.nats += float(_nats(logits, gold))
    sums.tokens += len(gold)
    sums.right += int((logits.argmax(-1).cpu() == gold).sum())


def _count_order(sums: _Sums, logits: Tensor, gold: Tensor) -> None:
    sums.order_nats += float(_nats(logits, gold))
    sums.pairs += len(gold)
    sums.order_right += int((logits.argmax(-1).cpu() == gold).sum())


def _scores(sums: _Sums) -> dict[str, float]:
    if not sums.tokens:
        raise DataError("the held-out text has no token to predict: hold out more of it")
    loss = sums.nats / sums.tokens
    found = {
        "mlm_loss": loss,
        "bits_per_character": sums.nats / math.log(2) / max(1, sums.characters),
        "mlm_accuracy": sums.right / sums.tokens,
        "order_gain": sums.disordered / sums.tokens - loss,
    }
    if sums.pairs:
        found |= {
            "sop_loss": sums.order_nats / sums.pairs,
            "sop_accuracy": sums.order_right / sums.pairs,
        }
    return found
