"""A teacher that is gone: a bundle holds what it answered, by fingerprints of the texts.

    bundle.json          the study, its versions, teachers, students, and the digest of every file
    recipe.toml          the study's recipe, whose teachers are those of the bundle
    texts.safetensors    split -> fingerprints of its texts, u64 [N, 2]
    answers/             a file for each teacher and precision: `keys` u64 [N, 2], `units` i32 [N]
                         and `logits`, example after example
    starts/              weights of teachers that students start from

A bundle holds no texts. The data are read from their place and must be those of the study.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from destila.config import fingerprint
from destila.errors import CacheError, DataError
from destila.files import file_digest
from destila.reading.blame import Blaming
from destila.reading.shapes import Keyed, Needed, Whole, read_shape
from destila.teachers.cache import PredictRows, example_keys
from destila.types import Example, Prediction, Task

BUNDLE_FILE, TEXTS_FILE = "bundle.json", "texts.safetensors"
BUNDLE_FORMAT = 1

_REMEDY = "copy the bundle again"
_ANSWERS = {
    "file": Needed(str),
    "spec": Needed(Keyed((str, int, [str]))),
    "classes": Needed(Whole(1)),
    "dtype": Needed(str),
    "precision": Needed(str),
}
_SHAPE = {
    "format": Needed(int),
    "study": Needed(str),
    "data": Needed(str),
    "labels": Needed([str]),
    "versions": Needed(Keyed(str)),
    "teachers": Needed(
        [
            {
                "name": Needed(str),
                "key": Needed(str),
                "dev": Needed(float),
                "dev_loss": Needed(float),
                "seconds": Needed(float),
                "answers": Needed([_ANSWERS]),
            }
        ]
    ),
    "students": Needed(Keyed({"key": Needed(str), "weights": Needed(str)})),
    "files": Needed(Keyed([(int, str)])),
    "digest": Needed(str),
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """The folder of a bundle, whose every byte was compared, and its `bundle.json`."""

    folder: Path
    facts: dict[str, Any]

    def teacher(self, name: str) -> dict[str, Any]:
        """Return what the bundle says of a teacher; raise DataError when it has none so called."""
        named = {teacher["name"]: teacher for teacher in self.facts["teachers"]}
        if name not in named:
            raise DataError(
                f"the bundle {self.folder} has no teacher '{name}', only {', '.join(named)}: "
                "take its own recipe.toml"
            )
        teacher: dict[str, Any] = named[name]
        return teacher

    def check_texts(self, splits: dict[str, Sequence[Example]], data: str) -> None:
        """Raise DataError when the data are not those of the study.

        Args:
            splits: what is read now.
            data: the digest of the texts, labels and lengths that are read now.
        """
        if data == self.facts["data"]:
            return
        kept = load_file(self.folder / TEXTS_FILE)
        for name, examples in splits.items():
            keys = example_keys(examples)
            known = kept.get(name, keys[:0])
            if keys.shape != known.shape:
                raise self._other_data(f"{len(keys):,} texts of {name}, it knows {len(known):,}")
            if len(differing := np.flatnonzero((keys != known).any(1))):
                first = examples[int(differing[0])].id
                raise self._other_data(
                    f"{len(differing):,} other texts of {name} (first: '{first}')"
                )
        raise self._other_data("equal texts with other labels, or read to another length")

    def _other_data(self, what: str) -> DataError:
        return DataError(
            f"the bundle {self.folder} is of other data: here are {what}: "
            "give the data of the study"
        )


def read_bundle(folder: Path) -> Bundle:
    """Return a bundle, every byte of it compared with what was written.

    Raises:
        CacheError: it is no bundle, or damaged.
    """
    path = folder / BUNDLE_FILE
    if not path.is_file():
        raise CacheError(f"{folder} is no bundle (it has no {BUNDLE_FILE}): give one's folder")
    facts = read_shape(path, _SHAPE, CacheError, remedy=_REMEDY)
    if facts["format"] != BUNDLE_FORMAT:
        raise CacheError(
            f"the bundle {folder} has format {facts['format']}, this is {BUNDLE_FORMAT}: take the "
            "version of destila that wrote it"
        )
    if facts["digest"] != bundle_digest(facts):
        raise CacheError(f"{path} has changed since it was written: {_REMEDY}")

    for name, (size, digest) in facts["files"].items():
        file = folder / name
        if not file.is_file():
            raise CacheError(f"the bundle {folder} is damaged: {name} is gone: {_REMEDY}")
        if file.stat().st_size != size or file_digest(file) != digest:
            raise CacheError(
                f"the bundle {folder} is damaged: {name} has other bytes than were written: "
                f"{_REMEDY}, and change a recipe with --set"
            )
    return Bundle(folder, facts)


def bundle_digest(facts: dict[str, Any]) -> str:
    """Return the digest of what `bundle.json` says beside it."""
    return fingerprint({key: value for key, value in facts.items() if key != "digest"})


@dataclass(frozen=True)
class _Answers:
    """The answers of one file, with what its cache depended on."""

    place: str
    file: Path
    facts: dict[str, Any]

    @cached_property
    def tensors(self) -> dict[str, np.ndarray]:
        """The file's; raise CacheError where they do not fit each other."""
        with Blaming(CacheError, f"{self.file} is damaged", remedy=_REMEDY):
            tensors: dict[str, np.ndarray] = load_file(self.file)
            if len(tensors["logits"]) != int(tensors["units"].sum()) * self.facts["classes"]:
                raise ValueError("logits and units do not fit")
        return tensors

    @cached_property
    def starts(self) -> dict[bytes, tuple[int, int]]:
        """Where the logits of each text begin and end, by its fingerprint."""
        sizes = self.tensors["units"].astype(np.int64) * self.facts["classes"]
        ends = np.cumsum(sizes)
        keys = (key.tobytes() for key in self.tensors["keys"])
        return dict(
            zip(keys, zip((ends - sizes).tolist(), ends.tolist(), strict=True), strict=True)
        )

    def logits(self, examples: Sequence[Example]) -> Iterator[np.ndarray]:
        """Yield the logits [U, C] of examples, in order; raise DataError for an unknown text."""
        places = [self.starts.get(key.tobytes()) for key in example_keys(examples)]
        missing = [example for example, place in zip(examples, places, strict=True) if not place]
        if missing:
            raise DataError(
                f"{self.place} has no answers to {len(missing):,} of {len(examples):,} texts "
                f"(first: '{missing[0].id}', \"{missing[0].text[:40]}\"), and the teacher is gone: "
                "give the texts of the study, unlabelled and made ones too"
            )
        for place in places:
            assert place is not None, "missing texts were counted"
            yield self.tensors["logits"][slice(*place)].reshape(-1, self.facts["classes"])


class KeptTeacher:
    """A teacher of a bundle: answers to the texts of the study, and nothing else."""

    def __init__(self, bundle: Bundle, name: str, task: Task, labels: tuple[str, ...]) -> None:
        """Look a teacher up.

        Args:
            bundle: that has it.
            name: its own.
            task: of the data.
            labels: of the data, in their order.

        Raises:
            DataError: the bundle has no such teacher, or its labels are others.
        """
        self.bundle, self.name, self.task, self.labels = bundle, name, task, labels
        self.facts = bundle.teacher(name)
        if list(labels) != bundle.facts["labels"]:
            raise DataError(
                f"the bundle {bundle.folder} is of other labels than the data: "
                "give the data of the study"
            )
        self._answers = [
            _Answers(f"teacher '{name}' of {bundle.folder}", bundle.folder / facts["file"], facts)
            for facts in self.facts["answers"]
        ]

    @property
    def start(self) -> Path | None:
        """The folder of the training whose weights students start from; None: it has none."""
        folder = self.bundle.folder / "starts" / self.name
        return folder if folder.is_dir() else None

    def covers(self, example: Example) -> bool:
        """Tell whether the teacher answered a text."""
        key = example_keys([example])[0].tobytes()
        return any(key in answers.starts for answers in self._answers)

    def check_covered(self, examples: Sequence[Example]) -> None:
        """Raise DataError when the teacher did not answer every text."""
        for answers in self._answers:
            for _ in answers.logits(examples):
                break

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Return the teacher's predictions for texts that it answered."""
        return self.task.decode(examples, list(self._answers[0].logits(examples)), self.labels)

    def cached_as(
        self, unit: str, dtype: str, precision: str
    ) -> tuple[dict[str, Any], PredictRows]:
        """Return what the cache of the answers depends on, as in the study, and what fills it.

        Args:
            unit: the rule from tokens to units of the task.
            dtype: of the cache.
            precision: how the teacher labelled, as a recipe names it.

        Raises:
            DataError: no student of the study learned from such answers.
        """
        for answers in self._answers:
            asked = (
                answers.facts["spec"]["unit"],
                answers.facts["dtype"],
                answers.facts["precision"],
            )
            if asked == (unit, dtype, precision):
                return answers.facts["spec"], answers.logits
        raise DataError(
            f"the bundle {self.bundle.folder} has no answers of '{self.name}' in {dtype}, computed "
            f"in {precision}: leave distil.dtype, precision and label_in as they were"
        )
