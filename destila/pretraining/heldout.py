"""What a masked language model knows of text it never saw.

    mlm_loss             nats per chosen token; comparable between models of one tokenizer
    bits_per_character   nats of all chosen pieces / ln 2 / their characters: comparable between
                         tokenizers
    mlm_accuracy         share of chosen tokens whose likeliest piece is the right one
    sop_loss, sop_accuracy   sentence order, nats and share right, of the pairs that have an order
    order_gain           nats by which the loss rises when the words that are not chosen stand in a
                         random order within their pair; below `READS_ORDER` the model reads bags of
                         words and is no use yet to any task

The last is the plateau probe: pre-training of small models may stay for millions of tokens where
only word frequencies are learnt, and nothing else in the log tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from destila.errors import DataError
from destila.pretraining.data.word_order import shuffled
from destila.tokenizer.word_marks import WordMarks
from destila.training.batches import to_device
from destila.training.precision import autocasting
from destila.types import IGNORE, Batch, Output


@dataclass(slots=True)
class _Sums:
    """Sums over units of one kind: nats, how many units, how many right."""

    nats: float = 0.0
    number: int = 0
    right: int = 0

    def add(self, logits: Tensor, gold: Tensor) -> None:
        """Count units by their logits [N, C] and gold classes [N]."""
        self.nats += float(_nats(logits, gold))
        self.number += len(gold)
        self.right += int((logits.argmax(-1).cpu() == gold).sum())


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
    """Score a model on fixed batches of task "mlm"; equal arguments give equal scores.

    The model is left in the mode it had. A model without a sentence-order head, or batches without
    a label, give no sop_ scores.

    Args:
        model: a masked language model.
        batches: on the CPU, corrupted once and for all.
        marks: `read_word_marks(tokenizer)`.
        characters: i64 [V], how many characters each piece spells.
        seed: of the random word order.
        autocast: precision of the forward pass; None = float32.

    Returns:
        The scores of this module's docstring.

    Raises:
        DataError: no token is chosen.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device

    tokens, pairs = _Sums(), _Sums()
    spelled, nats_disordered = 0, 0.0
    for number, batch in enumerate(batches):
        # Ask the model at the chosen tokens alone.
        chosen = replace(batch, unit_mask=batch.target != IGNORE)
        gold = batch.target[chosen.unit_mask]  # [N]
        logits, order = _predict(model, chosen, device, autocast)
        tokens.add(logits, gold)
        spelled += int(characters[gold.numpy()].sum())
        if order is not None and batch.order is not None:
            pairs.add(order, batch.order[batch.order != IGNORE])

        # The same tokens again, among words in a random order.
        mixed = disordered(chosen, marks, seed=seed + number)
        logits, _ = _predict(model, mixed, device, autocast)
        nats_disordered += float(_nats(logits, gold))
    model.train(training)

    if not tokens.number:
        raise DataError("the held-out text has no token to predict: hold out more of it")
    loss = tokens.nats / tokens.number
    scores = {
        "mlm_loss": loss,
        "bits_per_character": tokens.nats / math.log(2) / max(1, spelled),
        "mlm_accuracy": tokens.right / tokens.number,
        "order_gain": nats_disordered / tokens.number - loss,
    }
    if pairs.number:
        scores["sop_loss"] = pairs.nats / pairs.number
        scores["sop_accuracy"] = pairs.right / pairs.number
    return scores


def disordered(batch: Batch, marks: WordMarks, *, seed: int) -> Batch:
    """Put the words of every pair that are not chosen into a random order; targets stay."""
    pair = batch.mask.long() if batch.pair is None else batch.pair
    fixed = (batch.target != IGNORE).numpy()
    ids = shuffled(batch.input_ids.numpy(), pair.numpy(), fixed, marks, seed=seed)
    return replace(batch, input_ids=torch.from_numpy(ids))


def _predict(
    model: nn.Module, batch: Batch, device: torch.device, autocast: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """Return logits [N, V] of the chosen tokens and [K, 2] of the pairs, float32."""
    with autocasting(device, autocast):
        output: Output = model(to_device(batch, device))
    order = None if output.order is None else output.order.float()
    return output.logits[0].float(), order


def _nats(logits: Tensor, gold: Tensor) -> Tensor:
    return F.cross_entropy(logits, gold.to(logits.device), reduction="sum")
