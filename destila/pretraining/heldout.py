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
from functools import reduce
from operator import add, itemgetter

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import gather_object
from torch import Tensor, nn

from destila.errors import DataError
from destila.pretraining.data.word_order import shuffled
from destila.tokenizer.word_marks import WordMarks
from destila.training.batches import to_device
from destila.training.precision import autocasting
from destila.training.processes import turn
from destila.types import IGNORE, Batch, Output


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over units of one kind: nats, how many units, how many right."""

    nats: float = 0.0
    number: int = 0
    right: int = 0

    def __add__(self, other: _Sums) -> _Sums:
        """Return the sums of both."""
        return _Sums(self.nats + other.nats, self.number + other.number, self.right + other.right)


@dataclass(frozen=True, slots=True)
class _BatchSums:
    """What is counted of one batch.

    tokens, pairs: of its chosen tokens, and of its pairs that have an order. spelled: characters of
    the chosen tokens. disordered: their nats among words in a random order.
    """

    tokens: _Sums
    pairs: _Sums
    spelled: int
    disordered: float


@torch.no_grad()
def evaluate_heldout(
    model: nn.Module,
    batches: Sequence[Batch],
    marks: WordMarks,
    characters: np.ndarray,
    *,
    seed: int = 0,
    autocast: torch.dtype | None = None,
    shared: bool = False,
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
        shared: each of the processes that train together scores every n-th batch, and all get the
            scores of all; all of them call it.

    Returns:
        The scores of this module's docstring.

    Raises:
        DataError: no token is chosen.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device

    # A process whose turn comes after the last batch computes one for nothing: where weights are
    # shared out, all must call the model equally often.
    rank, world = turn() if shared else (0, 1)
    done: list[tuple[int, _BatchSums]] = []
    for start in range(0, len(batches), world):
        number = start + rank
        batch = batches[number] if number < len(batches) else batches[0]
        counted = _count(model, batch, marks, characters, seed + number, device, autocast)
        if number < len(batches):
            done.append((number, counted))
    model.train(training)

    # In the order of the batches, whoever counted them: the same bits as one process's.
    every = sorted(gather_object(done), key=itemgetter(0)) if world > 1 else done
    return _scores([counted for _, counted in every])


def _count(
    model: nn.Module,
    batch: Batch,
    marks: WordMarks,
    characters: np.ndarray,
    seed: int,
    device: torch.device,
    autocast: torch.dtype | None,
) -> _BatchSums:
    """Return the sums of one batch.

    Args:
        model: a masked language model in evaluation mode.
        batch: on the CPU.
        marks: of the tokenizer.
        characters: i64 [V], how many characters each piece spells.
        seed: of the random word order of this batch.
        device: of the model.
        autocast: precision of the forward pass; None = float32.
    """
    # Ask the model at the chosen tokens alone.
    chosen = replace(batch, unit_mask=batch.target != IGNORE)
    gold = batch.target[chosen.unit_mask]  # [N]
    logits, order = _predict(model, chosen, device, autocast)
    tokens, pairs = _sums(logits, gold), _Sums()
    if order is not None and batch.order is not None:
        pairs = _sums(order, batch.order[batch.order != IGNORE])

    # The same tokens again, among words in a random order.
    mixed = disordered(chosen, marks, seed=seed)
    logits, _ = _predict(model, mixed, device, autocast)
    spelled = int(characters[gold.numpy()].sum())
    return _BatchSums(tokens, pairs, spelled, float(_nats(logits, gold)))


def _scores(counted: Sequence[_BatchSums]) -> dict[str, float]:
    """Return the scores of some batches; raise DataError when no token is chosen."""
    tokens = sum((each.tokens for each in counted), _Sums())
    pairs = sum((each.pairs for each in counted), _Sums())
    if not tokens.number:
        raise DataError("the held-out text has no token to predict: hold out more of it")

    loss = tokens.nats / tokens.number
    spelled = sum(each.spelled for each in counted)
    scores = {
        "mlm_loss": loss,
        "bits_per_character": tokens.nats / math.log(2) / max(1, spelled),
        "mlm_accuracy": tokens.right / tokens.number,
        "order_gain": reduce(add, (each.disordered for each in counted)) / tokens.number - loss,
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


def _sums(logits: Tensor, gold: Tensor) -> _Sums:
    """Count units by their logits [N, C] and gold classes [N]."""
    right = int((logits.argmax(-1).cpu() == gold).sum())
    return _Sums(float(_nats(logits, gold)), len(gold), right)


def _nats(logits: Tensor, gold: Tensor) -> Tensor:
    return F.cross_entropy(logits, gold.to(logits.device), reduction="sum")
