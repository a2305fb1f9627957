"""Prediction with torch: logits of every window, and from them what the task's reader makes of an example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from destila.tokenizer.tokenizer import Tokenizer
from destila.training.batches import collate, to_device
from destila.types import Example, Features, Prediction, Reader, UnitLogits


@torch.no_grad()
def window_logits(
    model: nn.Module,
    features: Sequence[Features],
    *,
    pad_id: int,
    batch_tokens: int = 8192,
    autocast: torch.dtype | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[np.ndarray]:
    """Float32 logits of every window, in order: [C], or [L', C] with L' at least its tokens.

    Windows are batched by length, at most `batch_tokens` padded tokens at a time. progress: called with the number of
    windows done in each batch.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    found: list[np.ndarray] = [np.empty(0)] * len(features)
    for chosen in batches_by_length(features, batch_tokens):
        batch = to_device(collate([features[i] for i in chosen], pad_id), device)
        with torch.autocast(device.type, autocast) if autocast else nullcontext():
            values = model(batch).logits.float().cpu().numpy()
        for i, value in zip(chosen, values, strict=True):
            found[i] = value
        if progress:
            progress(len(chosen))
    model.train(training)
    return found


def batches_by_length(
    features: Sequence[Features], batch_tokens: int = 8192
) -> Iterator[list[int]]:
    """Positions of windows, the longest first, in batches of at most `batch_tokens` padded tokens."""
    chosen: list[int] = []
    longest = 0
    for i in sorted(range(len(features)), key=lambda i: len(features[i].input_ids), reverse=True):
        if chosen and (len(chosen) + 1) * longest > batch_tokens:
            yield chosen
            chosen = []
        longest = longest if chosen else len(features[i].input_ids)
        chosen.append(i)
    if chosen:
        yield chosen


class TorchPredictor:
    """A Predictor over a torch model and its tokenizer."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        task: Reader,
        labels: Sequence[str],
        *,
        max_length: int,
    ) -> None:
        self.model, self.tokenizer, self._task = model, tokenizer, task
        self.labels, self.task, self.max_length = tuple(labels), task.name, max_length

    def logits(
        self, examples: Sequence[Example], *, progress: Callable[[int], None] | None = None
    ) -> UnitLogits:
        """Logits per unit [U, C] of every example: what a teacher's cache keeps."""
        return self._task.units(*self._read(examples, progress))

    def rows(self, examples: Sequence[Example]) -> list[Any]:
        """What the task decodes: one row per example."""
        return self._task.gather(*self._read(examples, None))

    def _read(
        self, examples: Sequence[Example], progress: Callable[[int], None] | None
    ) -> tuple[Sequence[Features], list[np.ndarray]]:
        encoded = self._task.encode(
            _unlabelled(examples), self.tokenizer, self.labels, max_length=self.max_length
        )
        return encoded.features, window_logits(
            self.model, encoded.features, pad_id=self.tokenizer.pad_id, progress=progress
        )

    def predict(self, examples: Sequence[Example], *, chunk: int = 1024) -> Iterator[Prediction]:
        """Predictions in order, computed `chunk` examples at a time."""
        for start in range(0, len(examples), chunk):
            part = examples[start : start + chunk]
            yield from self._task.decode(part, self.rows(part), self.labels)


def _unlabelled(examples: Sequence[Example]) -> list[Example]:
    """The examples without targets: prediction must not look at them, nor fail on a label it does not know."""
    return [Example(e.id, e.text, e.pair, e.words) for e in examples]
