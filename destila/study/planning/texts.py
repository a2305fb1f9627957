"""Texts that only a teacher labels: those of a file, and texts made from the labelled ones."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from destila.errors import DataError
from destila.files import find_data
from destila.inference.items import rename_columns, whole_row
from destila.inference.user_texts import read_file
from destila.progress import Progress
from destila.study.planning.distil_options import AugmentOptions, DistilOptions
from destila.study.planning.keys import AugmentKey
from destila.tasks import task_of
from destila.teachers.made_texts import augment
from destila.tokenizer.split_words import split_words
from destila.types import Dataset, Example

log = logging.getLogger(__name__)

AUGMENT_VERSION = 1
"""Raise it when equal options make other texts."""


class UnlabelledTexts:
    """The unlabelled texts of a study, each file read once."""

    def __init__(self, dataset: Dataset) -> None:
        """Keep the data set whose own texts are left out; no file is read yet."""
        self._dataset = dataset
        self._kept: dict[tuple[object, ...], list[Example]] = {}

    def select(self, options: DistilOptions) -> list[Example]:
        """Return the data set's own unlabelled texts, and a seeded sample of the file's new ones.

        Raises:
            DataError: the file is not there, or has no text that fits.
        """
        own = list(self._dataset.splits.get("unlabelled", ()))
        if options.unlabelled is None:
            return own

        # Read once, whatever number of students asks.
        columns = (options.unlabelled_text, options.unlabelled_pair)
        key = (options.unlabelled, options.unlabelled_limit, *columns)
        if key not in self._kept:
            self._kept[key] = sample_unlabelled(options, self._dataset)
        return own + self._kept[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentedTexts:
    """Texts that are made when a training starts, once, and kept on disk.

    Args:
        key: names them without making them.
        planned: how many at most; those that are already known are left out.
    """

    dataset: Dataset
    options: AugmentOptions
    key: str
    planned: int

    def examples(self, progress: Progress) -> list[Example]:
        """Return the texts, made now if they are not on disk."""
        # Whether it was there is asked first, for the message.
        fresh = not augment.augment_file(self.key).exists()
        texts = augment.load_or_make(self.key, lambda: self._make(progress))
        log.info(
            "augmentation: %d new texts from %d by %s, %s",
            len(texts),
            len(self.dataset.splits["train"]),
            self.options.kind,
            "made now" if fresh else "made before",
        )
        return texts

    def _make(self, progress: Progress) -> list[Example]:
        """Make the texts, without those that the data set holds."""
        from destila.models import hf  # torch, which a look at the data does without
        from destila.teachers.made_texts.fill import fill_words

        # Entities or whole texts change places, or a masked model fills words.
        train, options = self.dataset.splits["train"], self.options
        copies, share, seed = options.copies, options.share, options.seed
        if options.kind == "swap":
            texts = augment.swap_entities(train, copies=copies, share=share, seed=seed)
        elif options.kind == "cross":
            texts = augment.cross_pairs(train, copies=copies, share=share, seed=seed)
        elif options.kind == "case":
            texts = augment.recased_copies(train, copies=copies, share=share, seed=seed)
        else:
            model, tokenizer, _ = hf.load_masked(options.model or "")
            texts = fill_words(
                train,
                model,
                tokenizer,
                copies=copies,
                share=share,
                top=options.top,
                seed=seed,
                progress=lambda done, total: progress("filling masks", done, total),
            )

        # No text of the data set is made again: the test set stays unseen.
        known = [e for split in self.dataset.splits.values() for e in split]
        return augment.recase(augment.keep_new(texts, known), self.options.recase, seed)


def plan_augmentation(dataset: Dataset, data_key: str, options: AugmentOptions) -> AugmentedTexts:
    """Return the texts that `options` ask for, before they are made.

    Args:
        dataset: what they are made from.
        data_key: the study's `DataKey` digest.
        options: how many, and how.

    Raises:
        ConfigError: the data set cannot give them.
    """
    from destila.models.weights import weights_fingerprint  # torch, as above

    # Other weights would fill masks with other words.
    weights = weights_fingerprint(options.model) if options.model else ""
    key = AugmentKey(version=AUGMENT_VERSION, data=data_key, options=options, weights=weights)
    planned = augment.count_augmented(dataset, options.kind, options.copies)
    return AugmentedTexts(dataset=dataset, options=options, key=key.digest, planned=planned)


def sample_unlabelled(options: DistilOptions, dataset: Dataset) -> list[Example]:
    """Return texts of a file, drawn with a fixed seed from those that are new.

    The file is read as `predict` reads it: a text a line, a table by the columns of the data set, a
    pair a row. What cannot be read is left out.

    Args:
        options: which file, its columns, how many at most.
        dataset: what they stand beside; its own texts would leak dev and test into the training.

    Raises:
        DataError: the file is not there, or no text is left.
    """
    path = find_data(options.unlabelled or "", remedy="check distil.unlabelled")
    named = {"text": options.unlabelled_text, "pair": options.unlabelled_pair}
    columns = {
        key: column for key in named if (column := named[key] or dataset.columns.get(key, ""))
    }
    known = {(e.text, e.pair) for split in dataset.splits.values() for e in split}

    # The seed is fixed: equal files give equal texts, to every student and every run. Reservoir
    # sampling: every new text is kept with the same probability, whatever the file's length.
    texts: list[Example] = []
    faults: Counter[str] = Counter()
    draw = random.Random(0)
    seen = 0
    for text in _texts_of(path, dataset, columns, faults):
        if (text.text, text.pair) in known:
            continue
        if seen < options.unlabelled_limit:
            texts.append(text)
        elif (slot := draw.randrange(seen + 1)) < len(texts):
            texts[slot] = text
        seen += 1

    if not texts:
        first = next(iter(faults), "")
        raise DataError(
            first or f"{path} has no text that the data set does not hold: give another file"
        )
    if faults:
        log.warning("%d texts of %s left out: %s", faults.total(), path, next(iter(faults)))
    return [replace(text, id=f"unlabelled-{i}") for i, text in enumerate(texts)]


def _texts_of(
    path: Path, dataset: Dataset, columns: Mapping[str, str], faults: Counter[str]
) -> Iterator[Example]:
    """Yield what a file holds for a data set's task, without blank ones; count what is no text."""
    task = task_of(dataset.task)
    pairs = any(e.pair is not None for e in dataset.splits["train"])
    remedy = 'Name it: distil.unlabelled_{key} = "..."'
    for number, item in enumerate(read_file(str(path), task, columns, remedy=remedy)):
        try:
            if item.fault:
                raise DataError(item.fault)
            example = task.read_row(rename_columns(whole_row(item.row), columns), number)
            if pairs and example.text.strip() and not (example.pair or "").strip():
                raise DataError(
                    "one text, and the data are pairs: give a table with both, or a tab between"
                )
        except DataError as error:
            faults[f"{item.place}: {error}"] += 1
            continue
        if example.text.strip():
            # Blanks at the ends are nothing that a line was written for.
            text = example.text.strip()
            words = example.words if "words" in item.row else ()
            if task.needs_words and not words:
                words = split_words(text)
            yield replace(example, text=text, pair=example.pair if pairs else None, words=words)
