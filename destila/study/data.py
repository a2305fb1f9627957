"""The data side of a study: examples, labels, task, tokenizers, encodings. Shared by the training verbs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from destila import config, datasets, hub, plugins
from destila.errors import ConfigError, DataError
from destila.files import locked, replacing, waiting
from destila.study import unlabelled
from destila.study.recipe import DistilOptions, ModelSpec, Recipe, TokenizerSpec
from destila.tasks.metrics import main_score
from destila.tasks.span.task import SpanTask
from destila.tasks.span.windows import window_size
from destila.tasks.tag import Tag
from destila.tokenizer.split_words import split_words
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer
from destila.tokenizer.train import learn
from destila.types import Encoded, Example, Task

_log = logging.getLogger(__name__)
_SPLITS = ("train", "dev", "test")


def task_of(name: str, recipe: Recipe) -> Task:
    """The task family of a data set with what the recipe says about it: its labelling of taggers, its window plan.

    The plan of windows is settled here, from the recipe alone: a teacher that reads shorter windows keeps it.
    """
    if name == SpanTask.name:
        size, stride = window_size(recipe.max_length, recipe.span)
        return SpanTask(recipe.span.model_copy(update={"window": size, "stride": stride}))
    task: Task = plugins.find("tasks", name, "TASK").TASK
    return Tag(every_piece=True) if name == Tag.name and recipe.labelling == "all" else task


class Study:
    """A recipe with its data loaded; encodings are made once per tokenizer and split."""

    def __init__(self, recipe: Recipe, needs: Sequence[str] = _SPLITS) -> None:
        """needs: splits that must have examples; to score a model, the one it is scored on is enough."""
        self.recipe = recipe
        self.dataset = datasets.load(recipe.data)
        self.labels = self.dataset.labels
        self.task = task_of(self.dataset.task, recipe)
        self.main = main_score(self.dataset.task, self.labels)
        self._encoded: dict[tuple[str, str], Encoded] = {}
        self._unlabelled: dict[tuple[str, int, tuple[int, int] | None], list[Example]] = {}
        for split in needs:
            if not self.dataset.splits.get(split):
                raise DataError(
                    f"data set '{self.dataset.name}' has no examples in its {split} split: add that file or use another "
                    "set (destila evaluate needs only the split it scores)"
                )

    @cached_property
    def fingerprint(self) -> str:
        """Names the examples, labels and how they are encoded."""
        splits = {s: self.dataset.splits.get(s, ()) for s in _SPLITS}
        rows = [
            [s, [(e.text, e.pair, e.words, e.target) for e in examples]]
            for s, examples in splits.items()
        ]
        parts = [rows, self.labels, self.recipe.max_length, self.recipe.labelling]
        if isinstance(
            self.task, SpanTask
        ):  # only then: names of runs that were recorded before must stay
            answers = [[e.answers for e in examples] for examples in splits.values()]
            parts += [answers, self.task.options]
        return config.fingerprint(*parts)

    @property
    def unit_rule(self) -> str:
        """How a question's row of units is made, which decides who can share a teacher's; "" for other tasks."""
        if not isinstance(self.task, SpanTask):
            return ""
        options = self.task.options
        return f"{options.unit}, windows of {options.window} words every {options.stride}"

    @property
    def facts(self) -> dict[str, Any]:
        """What the folder of a trained model says about itself, so that it is read everywhere as it was here."""
        found = {
            "task": self.dataset.task,
            "labels": list(self.labels),
            "max_length": self.recipe.max_length,
        }
        return found | (
            {"span": self.task.options.model_dump()} if isinstance(self.task, SpanTask) else {}
        )

    @cached_property
    def class_counts(self) -> list[int]:
        """Training units per class, in label order."""
        found: Counter[str] = Counter()
        for example in self.dataset.splits.get("train", ()):
            found.update(
                [example.target] if isinstance(example.target, str) else example.target or ()
            )
        return [found[label] for label in self.labels]

    def unlabelled(self, options: DistilOptions) -> list[Example]:
        """Extra texts for the teacher to label: the data set's own, and a seeded sample of the file's new lines."""
        given = list(self.dataset.splits.get("unlabelled", ()))
        if options.unlabelled is None:
            return given
        if any(e.pair is not None for e in self.dataset.splits["train"]):
            raise ConfigError(
                f"distil.unlabelled = '{options.unlabelled}': its lines are single texts, the data are pairs; leave it out"
            )
        key = (options.unlabelled, options.unlabelled_limit, options.unlabelled_words)
        if key not in self._unlabelled:
            known = {e.text for split in self.dataset.splits.values() for e in split}
            lines, tag = unlabelled.sample(*key, known), self.dataset.task == "tag"
            self._unlabelled[key] = [
                Example(f"unlabelled-{i}", t, words=split_words(t) if tag else ())
                for i, t in enumerate(lines)
            ]
        return given + self._unlabelled[key]

    def encode(
        self, split: str, tokenizer: Tokenizer, examples: Sequence[Example] | None = None
    ) -> Encoded:
        """Features of a split (or of `examples`, kept under the name `split`), encoded once per tokenizer."""
        key = (split, tokenizer.fingerprint)
        if key not in self._encoded:
            chosen = self.dataset.splits[split] if examples is None else examples
            self._encoded[key] = self.task.encode(
                chosen, tokenizer, self.labels, max_length=self.recipe.max_length
            )
        return self._encoded[key]

    def encode_train(self, tokenizer: Tokenizer, examples: Sequence[Example]) -> Encoded:
        """Features of the examples that a job trains on, kept under a name made of them."""
        if examples == list(self.dataset.splits["train"]):
            return self.encode("train", tokenizer)
        name = config.fingerprint([(e.text, e.pair, e.words, e.target) for e in examples])
        return self.encode(name, tokenizer, examples)

    def tokenizer(self, spec: ModelSpec) -> Tokenizer | None:
        """The tokenizer a spec asks for, trained on the training text if it says so; None = the model's own."""
        if spec.tokenizer is None:
            return None
        if isinstance(spec.tokenizer, str):
            return load_tokenizer(spec.tokenizer)
        return load_tokenizer(self._train_tokenizer(spec.tokenizer))

    def _train_tokenizer(self, spec: TokenizerSpec) -> Path:
        folder = self.recipe.folder / "tokenizers" / config.fingerprint(spec, self.fingerprint)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(
            folder.parent / f".{folder.name}.lock", waiting(_log, "trains a tokenizer", folder)
        ):
            if folder.is_dir():
                return folder
            train = self.dataset.splits["train"]
            texts = [e.text for e in train] + [e.pair for e in train if e.pair is not None]
            tokenizer = learn(
                texts, kind=spec.kind, vocab_size=spec.vocab_size, lowercase=spec.lowercase
            )
            with replacing(folder, folder=True) as partial:
                tokenizer.save(partial)
        return folder


def tokens_of(spec: ModelSpec) -> str:
    """Names the tokenizer of a spec: equal names read every text as the same tokens. Nothing is trained to know it."""
    if isinstance(spec.tokenizer, TokenizerSpec):
        return config.fingerprint(spec.tokenizer)
    return load_tokenizer(spec.tokenizer or hub.resolve(spec.model or "")).fingerprint


def tokens_named(spec: ModelSpec) -> str:
    """The tokenizer of a spec in words."""
    if isinstance(spec.tokenizer, TokenizerSpec):
        return f"a {spec.tokenizer.kind} tokenizer of {spec.tokenizer.vocab_size} pieces of its own"
    return f"the tokenizer of {spec.tokenizer or spec.model}"
