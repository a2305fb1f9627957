"""Prediction with torch: logits of every window, and what a task makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor, nn

from destila.tokenizer.tokenizer import Tokenizer
from destila.training.batches import collate, ready, to_device
from destila.training.feed import ahead
from destila.training.precision import Precision, autocasting, precision_for
from destila.training.processes import turn
from destila.types import Batch, Encoded, Example, Features, Prediction, Task, UnitLogits

_CPU_TOKENS, _GPU_TOKENS = 8192, 32_768
"""Padded tokens of a batch at most: as many as keep the device busy."""


@torch.no_grad()
def window_logits(
    model: nn.Module,
    features: Sequence[Features],
    *,
    pad_id: int,
    batch_tokens: int | None = None,
    autocast: torch.dtype | None = None,
    progress: Callable[[int], None] | None = None,
    shared: bool = False,
) -> list[np.ndarray]:
    """Return the float32 logits of every window, in order: [C], or [L', C] with L' >= its tokens.

    Args:
        model: gives an Output for a batch; afterwards in the mode it was in.
        features: the windows.
        pad_id: the tokenizer's padding id.
        batch_tokens: most padded tokens of a batch; windows are batched by length. None: as many
            as suit the device.
        autocast: precision of the forward pass; None: float32.
        progress: called with the number of windows done in each batch.
        shared: each of the processes that train together computes every n-th batch, and all get
            all logits: the same batches, so the same bits as one process's. All of them call it.
    """
    # without dropout, in the precision of the caller
    training = model.training
    model.eval()
    device = next(model.parameters()).device

    def make(chosen: list[int]) -> tuple[list[int], Batch]:
        return chosen, ready(collate([features[i] for i in chosen], pad_id), device)

    # windows of like length together, so that little is padding
    logits: list[np.ndarray] = [np.empty(0)] * len(features)
    most = batch_tokens or (_GPU_TOKENS if device.type == "cuda" else _CPU_TOKENS)
    first, every = turn() if shared else (0, 1)
    own = islice(batches_by_length(features, most), first, None, every)
    batches = ahead(make, own, device)
    done: list[int] = []
    for chosen, values in _computed(model, batches, device, autocast):
        for i, value in zip(chosen, values, strict=True):
            logits[i] = value
        done += chosen
        if progress:
            progress(len(chosen))

    if every > 1:
        for i, value in gather_object([(i, logits[i]) for i in done]):
            logits[i] = value
    model.train(training)
    return logits


def _computed(
    model: nn.Module,
    batches: Iterable[tuple[list[int], Batch]],
    device: torch.device,
    autocast: torch.dtype | None,
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield the positions of each batch and its float32 logits, [B, C] or [B, L, C]."""
    coming: tuple[list[int], Tensor, torch.cuda.Event] | None = None
    for chosen, batch in batches:
        with autocasting(device, autocast):
            values = model(to_device(batch, device)).logits.float()
        if device.type != "cuda":
            yield chosen, values.cpu().numpy()
            continue

        # a GPU goes on while they come: those of the batch before are here by now
        here = torch.empty(values.shape, pin_memory=True).copy_(values, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        if coming is not None:
            yield _arrived(*coming)
        coming = (chosen, here, event)
    if coming is not None:
        yield _arrived(*coming)


def _arrived(
    chosen: list[int], values: Tensor, event: torch.cuda.Event
) -> tuple[list[int], np.ndarray]:
    """Wait for a copy from a GPU; return positions and logits, in memory that is not pinned."""
    event.synchronize()
    return chosen, values.numpy().copy()


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
    """A Predictor over a torch model and its tokenizer.

    Attributes:
        precision: that of its products, and its device, to which the model is brought before it is
            used: others may have taken it elsewhere.
    """

    callers = 1

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        task: Task,
        labels: Sequence[str],
        *,
        max_length: int,
        precision: Precision | None = None,
    ) -> None:
        """Take a model where it is, in float32, unless a precision says otherwise."""
        device = next(model.parameters()).device
        self.precision = precision or precision_for("fp32", device)
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
        rows = self.task.join_windows(encoded.features, self._logits_of(encoded.features))
        return self.task.decode(examples, rows, self.labels)

    def open_pool(self) -> ThreadPoolExecutor:
        """Return a thread for a caller; see `callers`."""
        return ThreadPoolExecutor(1)

    def _window_logits(
        self, examples: Sequence[Example], progress: Callable[[int], None] | None
    ) -> tuple[Sequence[Features], list[np.ndarray]]:
        """Return the windows of some examples, and the logits of each."""
        encoded = self.encode(examples)
        return encoded.features, self._logits_of(encoded.features, progress)

    def _logits_of(
        self, windows: Sequence[Features], progress: Callable[[int], None] | None = None
    ) -> list[np.ndarray]:
        """Return the logits of windows, computed on the predictor's device."""
        if next(self.model.parameters()).device != self.precision.device:
            self.model.to(self.precision.device)
        with self.precision.products():
            return window_logits(
                self.model,
                windows,
                pad_id=self.tokenizer.pad_id,
                autocast=self.precision.autocast,
                progress=progress,
            )
