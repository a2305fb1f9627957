"""Prediction with torch: logits of every window, and what a task makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from destila.tokenizer.tokenizer import Tokenizer
from destila.training.batches import collate, to_device
from destila.types import Encoded, Example, Features, Prediction, Task, UnitLogits


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
    """Return the float32 logits of every window, in order: [C], or [L', C] with L' >= its tokens.

    Args:
        model: gives an Output for a batch; afterwards in the mode it was in.
        features: the windows.
        pad_id: the tokenizer's padding id.
        batch_tokens: most padded tokens of a batch; windows are batched by length.
        autocast: precision of the forward pass; None: float32.
        progress: called with the number of windows done in each batch.
    """
    # without dropout, in the precision of the caller
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    precision = torch.autocast(device.type, autocast) if autocast else nullcontext()

    # windows of like length together, so that little is padding
    logits: list[np.ndarray] = [np.empty(0)] * len(features)
    for chosen in batches_by_length(features, batch_tokens):
        batch = to_device(collate([features[i] for i in chosen], pad_id), device)
        with precision:
            values = model(batch).logits.float().cpu().numpy()  # [B, C] or [B, L, C]
        for i, value in zip(chosen, values, strict=True):
            logits[i] = value
        if progress:
            progress(len(chosen))

    model.train(training)
    return logits


def batches_by_length(
    features: Sequence[Features], batch_tokens: int = 8192
) -> Iterator[list[int]]:
    """Yield positions of windows, longest first, at most `batch_tokens` padded tokens a batch."""
    lengths = [len(window.input_ids) for window in features]
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        # all are padded to the first, which is the longest
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(i)

    if batch:
        yield batch


class TorchPredictor:
    """A Predictor over a torch model and its tokenizer."""

    callers = 1

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        task: Task,
        labels: Sequence[str],
        *,
        max_length: int,
    ) -> None:
        self.model, self.tokenizer, self.task = model, tokenizer, task
        self.labels, self.max_length = tuple(labels), max_length

    def logits(
        self, examples: Sequence[Example], *, progress: Callable[[int], None] | None = None
    ) -> UnitLogits:
        """Return the logits per unit [U, C] of every example: what a teacher's cache keeps."""
        return self.task.unit_logits(*self._window_logits(examples, progress))

    def rows(self, examples: Sequence[Example]) -> list[Any]:
        """Return what the task decodes: one row per example."""
        return self.task.join_windows(*self._window_logits(examples, None))

    def predict(self, examples: Sequence[Example], *, chunk: int = 1024) -> Iterator[Prediction]:
        """Yield predictions in order, computed `chunk` examples at a time."""
        for start in range(0, len(examples), chunk):
            part = examples[start : start + chunk]
            yield from self.task.decode(part, self.rows(part), self.labels)

    def encode(self, examples: Sequence[Example]) -> Encoded:
        """Return the windows of some examples."""
        # without targets: prediction must not look at them, nor fail on a label it does not know
        unlabelled = [Example(e.id, e.text, e.pair, e.words) for e in examples]
        return self.task.encode(unlabelled, self.tokenizer, self.labels, max_length=self.max_length)

    def decode(
        self,
        examples: Sequence[Example],
        encoded: Encoded,
        *,
        beside: bool = False,  # noqa: ARG002
    ) -> list[Prediction]:
        """Return the predictions of examples from their windows; torch has threads of its own."""
        logits = window_logits(self.model, encoded.features, pad_id=self.tokenizer.pad_id)
        rows = self.task.join_windows(encoded.features, logits)
        return self.task.decode(examples, rows, self.labels)

    def open_pool(self) -> ThreadPoolExecutor:
        """Return a thread for a caller; see `callers`."""
        return ThreadPoolExecutor(1)

    def _window_logits(
        self, examples: Sequence[Example], progress: Callable[[int], None] | None
    ) -> tuple[Sequence[Features], list[np.ndarray]]:
        """Return the windows of some examples, and the logits of each."""
        encoded = self.encode(examples)
        logits = window_logits(
            self.model, encoded.features, pad_id=self.tokenizer.pad_id, progress=progress
        )
        return encoded.features, logits
