"""What each result depends on: records of named fields, and the one digest that names them.

A result whose key is recorded is not made again. Two keys are equal when all their fields are; a
field that is added later, with a default, leaves the keys of older results as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from pydantic import BaseModel

from destila import config
from destila.types import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The base of every key."""

    @property
    def digest(self) -> str:
        """16 hex digits of the kind of the key and its fields, those at their defaults left out."""
        # A field that is added later must not rename older results.
        values = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.default is MISSING or value != field.default:
                # Options count by their values.
                options = isinstance(value, BaseModel)
                values[field.name] = config.key_values(value) if options else value

        return config.fingerprint(type(self).__name__, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKey(Key):
    """Names examples, labels and how they are encoded.

    Args:
        splits: the rows of `example_rows`, by split.
        max_length: tokens a window holds at most.
        task: the options of the task that change what is encoded or decoded.
        folds: of the cross-validation by which models are scored; 0 for none.
    """

    splits: Mapping[str, Sequence[Sequence[Any]]]
    labels: Sequence[str]
    max_length: int
    task: Mapping[str, Any]
    folds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKey(Key):
    """Names everything that a training depends on.

    For a distilled student of the demo:
    `RunKey(data="6f0c...", model={"shape": {...}}, options={"lr": 1e-3, ...}, seed=0,
    terms=[{"use": "kl"}], supervision="91d2...")`.

    Args:
        data: digest of the study's `DataKey`.
        model: the model's table, without what only says how it is trained.
        weights: digest of the pre-trained weights; "" for random ones.
        tokenizer: digest of a tokenizer that the table only names; "" otherwise.
        options: the filled options of training.
        terms: tables of the loss.
        code: texts of the user's own loss terms.
        labelled: whether the training split itself is trained on.
        supervision: digest of a `SupervisionKey`; "" without a teacher.
        start: digest of the training whose weights this one starts from; "" for none.
    """

    data: str
    model: Mapping[str, Any]
    weights: str = ""
    tokenizer: str = ""
    options: Mapping[str, Any]
    seed: int
    terms: Sequence[Mapping[str, Any]]
    code: Sequence[str] = ()
    labelled: bool = True
    supervision: str = ""
    start: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionKey(Key):
    """Names what a student learns from beside gold labels.

    Args:
        teacher: digest of a `RunKey`, a `LoadedTeacherKey` or an `EnsembleKey`.
        logits: precision of the cached logits.
        states: where inner states come from, "live" or "cache".
        unlabelled: texts that only the teacher labels.
        augmented: digest of an `AugmentKey`; "" for no made texts.
        repeats: how often an epoch reads each labelled text.
        precision: of the teacher's products; "" where the device decides.
    """

    teacher: str
    logits: str
    states: str
    unlabelled: Sequence[str] = ()
    augmented: str = ""
    repeats: int = 1
    precision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTeacherKey(Key):
    """Names a teacher that is used as it is.

    Args:
        weights: digest of its files.
        labels: its label names -> ours, where they differ.
    """

    data: str
    weights: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLabelsKey(Key):
    """Names a teacher that is a file of labels.

    Args:
        labels: digest of what it says, and how it is read.
    """

    data: str
    labels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleKey(Key):
    """Names several teachers that teach as one, by their own keys."""

    teachers: Sequence[str]
    options: BaseModel


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentKey(Key):
    """Names texts made from the labelled ones, without making them.

    Args:
        version: raised when equal options make other texts.
        weights: digest of the masked language model; "" without one.
    """

    version: int
    data: str
    options: BaseModel
    weights: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerKey(Key):
    """Names a tokenizer that the study trains on its own text."""

    options: BaseModel
    texts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineKey(Key):
    """Names a classical model fitted on the study's data."""

    data: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationKey(Key):
    """Names the scores of a model folder on a split."""

    data: str
    weights: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportKey(Key):
    """Names an exported model: the candidate that it runs, and the bytes of its files."""

    data: str
    candidate: str
    files: str


def example_rows(examples: Sequence[Example]) -> list[list[Any]]:
    """Return what counts of each example: everything but its id."""
    # Lists in this order are what every recorded key was made of.
    return [[e.text, e.pair, e.words, e.target, e.answers] for e in examples]
