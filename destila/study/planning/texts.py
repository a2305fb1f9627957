"""Texts that only a teacher labels: lines of a file, and texts made from the labelled ones."""

from __future__ import annotations

import logging
import random
from collections.abc import Container
from dataclasses import dataclass

from destila.errors import ConfigError, DataError
from destila.files import find_data
from destila.formats.charset import text_lines
from destila.progress import Progress
from destila.study.planning.distil_options import AugmentOptions, DistilOptions
from destila.study.planning.keys import AugmentKey
from destila.tasks import task_of
from destila.teachers import augment
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
        self._kept: dict[tuple[str, int], list[Example]] = {}

    def select(self, options: DistilOptions) -> list[Example]:
        """Return the data set's own unlabelled texts, and a seeded sample of the file's new lines.

        Raises:
            ConfigError: a file is named and the data are pairs.
            DataError: the file is not there, or has no line that fits.
        """
        # A file's line is one text, so it cannot stand for a pair.
        own = list(self._dataset.splits.get("unlabelled", ()))
        if options.unlabelled is None:
            return own
        if any(e.pair is not None for e in self._dataset.splits["train"]):
            raise ConfigError(
                f"distil.unlabelled = '{options.unlabelled}': its lines are single texts, "
                "the data are pairs; leave it out"
            )

        # Read once, whatever number of students asks.
        key = (options.unlabelled, options.unlabelled_limit)
        if key not in self._kept:
            # Lines that the data set holds would leak dev and test into the training.
            known = {e.text for split in self._dataset.splits.values() for e in split}
            lines = sample_unlabelled(*key, known)
            tagged = task_of(self._dataset.task).needs_words
            self._kept[key] = [
                Example(f"unlabelled-{i}", text, words=split_words(text) if tagged else ())
                for i, text in enumerate(lines)
            ]
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
        from destila.teachers.fill import fill_words

        # Entities change places, or a masked model fills words.
        train, options = self.dataset.splits["train"], self.options
        copies, share, seed = options.copies, options.share, options.seed
        if options.kind == "swap":
            texts = augment.swap_entities(train, copies=copies, share=share, seed=seed)
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


def sample_unlabelled(name: str, limit: int, known: Container[str]) -> list[str]:
    """Return lines of a file, drawn with a fixed seed from those that are new.

    Args:
        name: a path, or one under DESTILA_DATA.
        limit: most lines.
        known: texts of the data set, which are left out.

    Raises:
        DataError: the file is not there, or no line is left.
    """
    # The seed is fixed: equal files give equal lines, to every student and every run.
    path = find_data(name, remedy="check distil.unlabelled")
    lines: list[str] = []
    draw = random.Random(0)
    seen = 0
    for raw in text_lines(path):
        line = raw.strip()
        if not line or line in known:
            continue

        # Reservoir sampling: every new line is kept with the same probability, whatever the file's
        # length.
        if seen < limit:
            lines.append(line)
        elif (slot := draw.randrange(seen + 1)) < len(lines):
            lines[slot] = line
        seen += 1

    if not lines:
        raise DataError(f"{path} has no line that the data set does not hold: give another file")
    return lines
