"""Texts made from the labelled ones, for the teacher to label: what a recipe's `distil.augment` asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from destila import config
from destila.models import hf
from destila.models.weights import weights_fingerprint
from destila.progress import Progress
from destila.study.data import Study
from destila.study.recipe import AugmentOptions
from destila.teachers import augment
from destila.teachers.fill import fill_words
from destila.types import Dataset, Example

log = logging.getLogger(__name__)

VERSION = 1
"""Raise it when equal options make other texts."""


@dataclass(frozen=True, slots=True)
class Made:
    """Texts that are made when a job starts, once, and kept on disk.

    key: names them without making them. planned: how many at most; those that are already known are left out.
    """

    key: str
    planned: int
    examples: Callable[[], Sequence[Example]]


def made(study: Study, options: AugmentOptions, progress: Progress) -> Made:
    """The texts that `options` ask for; raises ConfigError when the data set cannot give them."""
    source = weights_fingerprint(options.model) if options.model else ""
    key = config.fingerprint("augment", VERSION, study.fingerprint, options, source)

    def examples() -> Sequence[Example]:
        fresh = not augment.augment_file(key).exists()
        found = augment.load_or_make(key, lambda: _make(study.dataset, options, progress))
        how = f"by {options.kind}, {'made now' if fresh else 'made before'}"
        log.info(
            "augmentation: %d new texts from %d %s",
            len(found),
            len(study.dataset.splits["train"]),
            how,
        )
        return found

    return Made(key, augment.count_augmented(study.dataset, options.kind, options.copies), examples)


def _make(dataset: Dataset, options: AugmentOptions, progress: Progress) -> list[Example]:
    train = dataset.splits["train"]
    copies, share, seed = options.copies, options.share, options.seed
    if options.kind == "swap":
        found = augment.swap_entities(train, copies=copies, share=share, seed=seed)
    else:
        model, tokenizer, _ = hf.load_masked(options.model or "")

        def show(done: int, total: int) -> None:
            progress("filling masks", done, total)

        found = fill_words(
            train,
            model,
            tokenizer,
            copies=copies,
            share=share,
            top=options.top,
            seed=seed,
            progress=show,
        )
    return augment.keep_new(found, (e for split in dataset.splits.values() for e in split))
