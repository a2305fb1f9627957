"""What predicts, and a predictor without torch: every window a call of its own.

A text's answer must not depend on its neighbours, and the scales of dynamic int8 are those of the
whole call. So nothing is ever padded or put together: each window is one call, of exactly its
tokens, and windows run beside each other on threads. Alone or in any company the same numbers go
in, and the same come out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from destila import cpu as processors
from destila.errors import ModelError
from destila.inference.exported import choose_graph
from destila.inference.session import Feeds, Session, feeds, open_session
from destila.model_folder import HEADS, FolderInfo, read_folder
from destila.tasks import task_of_folder
from destila.tokenizer import tokenizer as tokenizers
from destila.types import Encoded, Example, Features, Prediction, Task


class Predictor(Protocol):
    """Anything that turns examples into predictions: torch, or another runtime."""

    labels: tuple[str, ...]
    task: Task

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Yield predictions in the order of the examples."""

    def encode(self, examples: Sequence[Example]) -> Encoded:
        """Return the windows of some examples; targets are not looked at."""

    def decode(
        self, examples: Sequence[Example], encoded: Encoded, *, beside: bool = False
    ) -> list[Prediction]:
        """Return the predictions of examples from their windows.

        Args:
            examples: what was encoded.
            encoded: their windows.
            beside: other threads call this too, so that this one keeps to itself.
        """

    @property
    def callers(self) -> int:
        """How many threads may call `decode` at once, and gain by it."""

    def open_pool(self) -> ThreadPoolExecutor:
        """Return the pool of those threads."""


class RuntimePredictor:
    """The Predictor of an exported folder.

    Args:
        folder: that `destila export` wrote.
        threads: used at most; None: those that were fastest at export, and never more than
            `cpu.threads` allows.
        candidate: a graph by its name in export.json; None: see `exported.choose_graph`.

    Raises:
        ModelError: the folder is incomplete, or its parts do not belong together.
        TokenizerError: the tokenizer is missing or damaged.
    """

    def __init__(
        self, folder: Path | str, *, threads: int | None = None, candidate: str | None = None
    ) -> None:
        self.info = read_folder(folder)
        self._head, self.labels = self.info.head()
        self.choice = choose_graph(self.info.path, candidate)
        # Never more than there are: spinning threads slow each other.
        usual, most = processors.threads(), max(2, os.cpu_count() or 1)
        fastest = self.choice.threads or usual
        self.threads = min(threads, most) if threads else min(fastest, usual)

        self.tokenizer = tokenizers.load_tokenizer(self.info.path)
        longest = self.info.extra.get("max_length")
        self.max_length = int(longest or _longest(self.info, self.tokenizer))
        self.task = task_of_folder(self.info)
        self._check()

    @property
    def backend(self) -> str:
        """The library that runs the graph."""
        return self._alone.backend

    def predict(self, examples: Sequence[Example], *, chunk: int = 1024) -> Iterator[Prediction]:
        """Yield predictions in order, computed `chunk` examples at a time."""
        for start in range(0, len(examples), chunk):
            part = examples[start : start + chunk]
            yield from self.task.decode(part, self.rows(part), self.labels)

    def rows(self, examples: Sequence[Example]) -> list[Any]:
        """Return what the task decodes, one row per example; targets are not looked at."""
        features = self.encode(examples).features
        return self.task.join_windows(features, self.logits(features))

    def encode(self, examples: Sequence[Example]) -> Encoded:
        """Return the windows of some examples; targets are not looked at."""
        plain = [Example(e.id, e.text, e.pair, e.words) for e in examples]
        return self.task.encode(plain, self.tokenizer, self.labels, max_length=self.max_length)

    def decode(
        self, examples: Sequence[Example], encoded: Encoded, *, beside: bool = False
    ) -> list[Prediction]:
        """Return the predictions of examples from their windows.

        Args:
            examples: what was encoded.
            encoded: their windows.
            beside: other threads call this too: the windows are read one after the other.
        """
        if beside:
            inputs = [feeds(window.input_ids, window.type_ids) for window in encoded.features]
            logits = [self._shared(each)[0] for each in inputs]
        else:
            logits = self.logits(encoded.features)
        rows = self.task.join_windows(encoded.features, logits)
        return self.task.decode(examples, rows, self.labels)

    @property
    def callers(self) -> int:
        """As many threads as there are may decode at once."""
        return self.threads

    def open_pool(self) -> ThreadPoolExecutor:
        """Return the pool of those threads, the graph that they share open."""
        _ = self._shared  # opened before there are threads to open it twice
        return self._pool

    def logits(self, features: Sequence[Features]) -> list[np.ndarray]:
        """Return float32 logits of every window, in order: [C], or [L, C]."""
        return self.answer([feeds(feature.input_ids, feature.type_ids) for feature in features])

    def answer(self, inputs: Sequence[Feeds]) -> list[np.ndarray]:
        """Return float32 logits [C] or [L, C] of every input, each one call without padding.

        A single one uses all threads; several run beside each other, a thread each.
        """
        if len(inputs) == 1 or self.threads == 1:
            return [self._alone(each)[0] for each in inputs]

        # Each thread takes the next input that nobody has; answers keep their places.
        session, next_place = self._shared, count()
        logits = [np.empty(0)] * len(inputs)

        def work() -> None:
            while (place := next(next_place)) < len(inputs):
                logits[place] = session(inputs[place])[0]

        for worker in [self._pool.submit(work) for _ in range(min(self.threads, len(inputs)))]:
            worker.result()
        return logits

    @cached_property
    def _alone(self) -> Session:
        """The graph for one call at a time, which uses all threads."""
        return open_session(self.choice.file, threads=self.threads, kind=self.choice.kind)

    @cached_property
    def _shared(self) -> Session:
        """The graph for as many callers as there are threads."""
        return open_session(
            self.choice.file, threads=self.threads, callers=self.threads, kind=self.choice.kind
        )

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="destila")

    def _check(self) -> None:
        """Raise ModelError when graph, tokenizer and config.json do not belong together."""
        # The graph answers for the head that config.json names.
        session = self._alone
        axes, classes = len(session.shape), session.shape[-1]
        expected = 3 if HEADS[self._head].per_token else 2
        if axes != expected or classes not in (None, len(self.labels)):
            kind = "every token" if axes == 3 else "the text"
            raise ModelError(
                f"{session.file} was exported for another task: it gives {classes} values for "
                f"{kind}, config.json says '{self._head}' with {len(self.labels)} labels. Export "
                "the model again"
            )

        # A larger tokenizer would ask for rows that the table does not have.
        rows = self.info.config.get("vocab_size")
        if isinstance(rows, int) and self.tokenizer.vocab_size > rows:
            raise ModelError(
                f"{self.info.path}: the tokenizer has {self.tokenizer.vocab_size} pieces, the "
                f"model rows for {rows}; use the tokenizer it was exported with"
            )


def _longest(info: FolderInfo, tokenizer: tokenizers.Tokenizer) -> int:
    """Return the most tokens that the encoder has positions for.

    RoBERTa's first token uses the position behind the padding's.
    """
    positions = int(info.config["max_position_embeddings"])
    if info.config.get("model_type") == "roberta":
        positions -= tokenizer.pad_id + 1
    return min(positions, tokenizer.max_length or positions)
