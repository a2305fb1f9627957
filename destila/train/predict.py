"""Prediction with torch: logits per unit of every example, whatever windows they were read in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from destila.text.tokenizer import Tokenizer
from destila.train.batches import collate, to
from destila.types import Example, Features, Prediction, Rows, Task


@torch.no_grad()
def logits(
    model: nn.Module,
    task: Task,
    features: Sequence[Features],
    *,
    pad_id: int,
    batch_tokens: int = 8192,
    autocast: torch.dtype | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Float32 logits [U, C] of every example, in the order of their rows.

    Windows are batched by length, at most `batch_tokens` padded tokens at a time; each unit is taken from the
    window that owns it. progress: called with the number of windows done in each batch.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    rows: dict[int, np.ndarray] = {}
    sizes: dict[int, int] = {}
    for f in features:
        sizes[f.row] = max(sizes.get(f.row, 0), f.start + len(f.owned))
    for chosen in _by_length(features, batch_tokens):
        batch = to(collate(chosen, pad_id), device)
        with torch.autocast(device.type, autocast) if autocast else nullcontext():
            signal = task.units(model(batch), batch)
        values = signal.logits.float().cpu().numpy()
        for f, value in zip(chosen, values, strict=True):
            row = rows.setdefault(f.row, np.zeros((sizes[f.row], value.shape[-1]), np.float32))
            owned = np.flatnonzero(f.owned)
            row[f.start + owned] = value[owned]
        if progress:
            progress(len(chosen))
    model.train(training)
    return [rows[i] for i in sorted(rows)]


def _by_length(features: Sequence[Features], batch_tokens: int) -> Iterator[list[Features]]:
    chosen: list[Features] = []
    for f in sorted(features, key=lambda f: len(f.input_ids), reverse=True):
        if chosen and (len(chosen) + 1) * len(chosen[0].input_ids) > batch_tokens:
            yield chosen
            chosen = []
        chosen.append(f)
    if chosen:
        yield chosen


class TorchPredictor:
    """A Predictor over a torch model and its tokenizer."""

    def __init__(
        self, model: nn.Module, tokenizer: Tokenizer, task: Task, labels: Sequence[str], *, max_length: int
    ) -> None:
        self.model, self.tokenizer, self._task = model, tokenizer, task
        self.labels, self.task, self.max_length = tuple(labels), task.name, max_length

    def logits(self, examples: Sequence[Example], *, progress: Callable[[int], None] | None = None) -> Rows:
        """Logits [U, C] of every example."""
        encoded = self._task.encode(_unlabelled(examples), self.tokenizer, self.labels, max_length=self.max_length)
        return logits(self.model, self._task, encoded.features, pad_id=self.tokenizer.pad_id, progress=progress)

    def predict(self, examples: Sequence[Example], *, chunk: int = 1024) -> Iterator[Prediction]:
        """Predictions in order, computed `chunk` examples at a time."""
        for start in range(0, len(examples), chunk):
            yield from self._task.decode(self.logits(examples[start : start + chunk]), self.labels)


def _unlabelled(examples: Sequence[Example]) -> list[Example]:
    """The examples without targets: prediction must not look at them, nor fail on a label it does not know."""
    return [Example(e.id, e.text, e.pair, e.words) for e in examples]
