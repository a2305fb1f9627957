"""The windows and tokenizers of a study, each made once and kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from destila import config
from destila.files import locked, replacing, waiting
from destila.study.planning.keys import TokenizerKey, example_rows
from destila.study.planning.recipe import ModelSpec
from destila.study.planning.tokenizer_spec import TokenizerSpec
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer
from destila.tokenizer.train import learn
from destila.types import Dataset, Encoded, Example, Task

log = logging.getLogger(__name__)


class Encodings:
    """Windows of the study's examples, by tokenizer, and the tokenizers that it trains."""

    def __init__(self, dataset: Dataset, task: Task, *, max_length: int, folder: Path) -> None:
        """Keep what windows are made from; nothing is encoded yet.

        Args:
            dataset: its splits and labels.
            task: makes the windows.
            max_length: tokens a window holds at most.
            folder: of the tokenizers that are trained.
        """
        self._dataset, self._task = dataset, task
        self._max_length, self._folder = max_length, folder
        self._kept: dict[tuple[str, str], Encoded] = {}

    def split(self, name: str, tokenizer: Tokenizer) -> Encoded:
        """Return the windows of a split."""
        return self._encode(name, self._dataset.splits[name], tokenizer)

    def training(self, examples: Sequence[Example], tokenizer: Tokenizer) -> Encoded:
        """Return the windows of what a model is trained on, kept by the examples' contents."""
        # Most trainings read the plain split, whose windows others may have made already.
        if examples == list(self._dataset.splits["train"]):
            return self.split("train", tokenizer)

        return self._encode(config.fingerprint(example_rows(examples)), examples, tokenizer)

    def tokenizer(self, spec: ModelSpec) -> Tokenizer | None:
        """Return the tokenizer that a model's table asks for; None for the model's own."""
        if spec.tokenizer is None:
            return None
        if isinstance(spec.tokenizer, str):
            return load_tokenizer(spec.tokenizer)

        return load_tokenizer(self._train_tokenizer(spec.tokenizer))

    def _encode(self, name: str, examples: Sequence[Example], tokenizer: Tokenizer) -> Encoded:
        """Return the windows of examples that are known by a name, made once per tokenizer."""
        # By its contents: students often share one tokenizer under several paths.
        key = (name, tokenizer.fingerprint)
        if key not in self._kept:
            self._kept[key] = self._task.encode(
                examples, tokenizer, self._dataset.labels, max_length=self._max_length
            )
        return self._kept[key]

    def _train_tokenizer(self, spec: TokenizerSpec) -> Path:
        """Return the folder of a tokenizer of the training text, trained if it is not there."""
        # Dev and test stay unseen, by the tokenizer too.
        train = self._dataset.splits["train"]
        texts = [e.text for e in train] + [e.pair for e in train if e.pair is not None]
        folder = self._folder / TokenizerKey(options=spec, texts=texts).digest
        folder.parent.mkdir(parents=True, exist_ok=True)

        # One process trains it; others wait and find it there.
        waits = waiting(log, "trains a tokenizer", folder)
        with locked(folder.parent / f".{folder.name}.lock", waits):
            if not folder.is_dir():
                tokenizer = learn(
                    texts, kind=spec.kind, vocab_size=spec.vocab_size, lowercase=spec.lowercase
                )
                with replacing(folder, folder=True) as partial:
                    tokenizer.save(partial)
        return folder
