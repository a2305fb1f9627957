"""A Predictor without torch: the task around a graph, every window a call of its own.

A text's answer must not depend on its neighbours, and the scales of dynamic int8 are those of the whole call. So nothing
is ever padded or put together: each window is one call, of exactly its tokens, and windows run beside each other on
threads. Alone or in any company the same numbers go in, and the same come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from destila import cpu as processors
from destila.errors import ModelError
from destila.inference.exported import choose_graph
from destila.inference.session import Session, feeds, open_session
from destila.model_folder import HEADS, FolderInfo, read_folder
from destila.tasks import task_of_folder
from destila.tokenizer import tokenizer as tokenizers
from destila.types import Example, Features, Prediction


class RuntimePredictor:
    """The Predictor of an exported folder.

    threads: used at most; None: those that were fastest at export, and never more than this process may keep busy.
    candidate: a graph by its name in export.json; None: see `exported.choose`. Raises ModelError for a folder that is
    incomplete or whose parts do not belong together, TokenizerError for a tokenizer that is missing or damaged.
    """

    def __init__(
        self, folder: Path | str, *, threads: int | None = None, candidate: str | None = None
    ) -> None:
        info = read_folder(folder)
        head, self.labels = info.head()
        self.choice = choose_graph(info.path, candidate)
        self.threads = threads or min(
            self.choice.threads or processors.available(), processors.available()
        )
        self.tokenizer = tokenizers.load_tokenizer(info.path)
        self.max_length = int(info.extra.get("max_length") or _longest(info, self.tokenizer))
        self.task = task_of_folder(info)
        self._check(self._alone, head)
        rows = info.config.get("vocab_size")
        if isinstance(rows, int) and self.tokenizer.vocab_size > rows:
            raise ModelError(
                f"{folder}: the tokenizer has {self.tokenizer.vocab_size} pieces, the model rows for {rows}; "
                "use the tokenizer it was exported with"
            )

    def predict(self, examples: Sequence[Example], *, chunk: int = 1024) -> Iterator[Prediction]:
        """Predictions in order, computed `chunk` examples at a time."""
        for start in range(0, len(examples), chunk):
            part = examples[start : start + chunk]
            yield from self.task.decode(part, self.rows(part), self.labels)

    def rows(self, examples: Sequence[Example]) -> list[Any]:
        """What the task decodes: one row per example. Targets are not looked at."""
        plain = [Example(e.id, e.text, e.pair, e.words) for e in examples]
        encoded = self.task.encode(plain, self.tokenizer, self.labels, max_length=self.max_length)
        return self.task.join_windows(encoded.features, self.logits(encoded.features))

    def logits(self, features: Sequence[Features]) -> list[np.ndarray]:
        """Float32 logits of every window, in order: [C], or [L, C]; each window is one call without padding."""
        if len(features) == 1 or self.threads == 1:
            return [
                self._alone(feeds(feature.input_ids, feature.type_ids))[0] for feature in features
            ]
        session, found, next_place = self._shared, [np.empty(0)] * len(features), count()

        def work() -> None:
            while (place := next(next_place)) < len(features):
                feature = features[place]
                found[place] = session(feeds(feature.input_ids, feature.type_ids))[0]

        for done in [self._pool.submit(work) for _ in range(min(self.threads, len(features)))]:
            done.result()
        return found

    @cached_property
    def _alone(self) -> Session:
        return open_session(self.choice.file, threads=self.threads, kind=self.choice.kind)

    @cached_property
    def _shared(self) -> Session:
        return open_session(
            self.choice.file, threads=self.threads, callers=self.threads, kind=self.choice.kind
        )

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="destila")

    def _check(self, session: Session, head: str) -> None:
        """Refuses a graph that answers for another task or other labels than the folder's config.json says."""
        axes, classes = len(session.shape), session.shape[-1]
        if axes != (3 if HEADS[head].per_token else 2) or classes not in (None, len(self.labels)):
            kind = "every token" if axes == 3 else "the text"
            raise ModelError(
                f"{session.file} was exported for another task: it gives {classes} values for {kind}, config.json says "
                f"'{head}' with {len(self.labels)} labels. Export the model again"
            )


def _longest(info: FolderInfo, tokenizer: tokenizers.Tokenizer) -> int:
    """Most tokens that the encoder has positions for (RoBERTa's first token uses the one behind the padding's)."""
    positions = int(info.config["max_position_embeddings"])
    positions -= tokenizer.pad_id + 1 if info.config.get("model_type") == "roberta" else 0
    return min(positions, tokenizer.max_length or positions)
