"""The records that flow through the library and the sockets that plug-ins fill.

Records are frozen dataclasses. Characters are the coordinate (every token remembers its span of the
original text, which nothing edits after loading) and *units* are the currency in which a teacher
and a student with different tokenizers are compared: the example itself (classification), a word
(tagging), a run of characters between blanks of the context (question answering).

Sizes: B batch, L tokens, U units, C classes, H hidden, A attention heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from destila.results import Result

if TYPE_CHECKING:
    from torch import Tensor

CharSpan = tuple[int, int]
"""A half-open range of code points, `text[start:end]`."""

UnitLogits = list[np.ndarray]
"""One array of logits per example, `[U, C]`: what a model says about every unit of it."""

State = tuple[str, int]
"""What a layer holds, and which layer, counted from 1; layer 0 is the embedding output.

hidden: the layer's output, [B, L, H].
query, key, value: inside its attention, all heads side by side, [B, L, H].
attention: its weights after the softmax, [B, A, L, L].
scores: the scaled products before the softmax, 0 where the key is padding, [B, A, L, L].
logits: of layer 0, the model's answer.
"""

IGNORE = -100
"""Target of a unit that has no label."""

ABSENT = -1e4
"""Logit of a unit that a model's tokens do not hold; finite, so that half precision keeps it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled (or unlabelled) text.

    pair: the second text of a pair; the context of a question.
    words: spans of `text`, in order, for tagging; empty otherwise.
    target: a label name (classification), one label name per word (tagging), or None.
    answers: spans of `pair` that answer the question `text`, () when it has no answer there; None
        when unlabelled.
    meta: anything worth keeping; never given to a model.
    """

    id: str
    text: str
    pair: str | None = None
    words: tuple[CharSpan, ...] = ()
    target: str | tuple[str, ...] | None = None
    answers: tuple[CharSpan, ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Splits of examples with one label order; `notes` count what was dropped or repaired."""

    name: str
    task: str
    labels: tuple[str, ...]
    splits: Mapping[str, Sequence[Example]]
    notes: Mapping[str, int] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)  # of a table: "text" -> its column


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """One window of one example, encoded by one tokenizer.

    row: position of the example in the encoded list.
    window: number of the window in its example.
    unit: local unit of each token, -1 for specials and for tokens outside any unit.
    start: the example's unit that local unit 0 is (units of a window are consecutive).
    owned: the units this window answers for; a unit in several windows is owned where it has most
        context.
    target: class id of each local unit, IGNORE where there is none or it is not owned; for
        questions the tokens at which the answer starts and ends, [2].
    cells: of a question's window, where in the example's row of unit logits each local unit stands;
        the first is "no answer in this window".
    planned: the cells [start, end) of the window that all tokenizers share; it may hold more units
        than this tokenizer can read at once.

    Example: "Ana vive" with tags PER, O and a tokenizer that cuts "vive" in two:

        Features(row=0, window=0, input_ids=[2, 17, 8, 9, 3], type_ids=[0, 0, 0, 0, 0],
                 spans=[[0, 0], [0, 3], [4, 6], [6, 8], [0, 0]], unit=[-1, 0, 1, 1, -1],
                 start=0, owned=[True, True], target=[1, 0])
    """

    row: int
    window: int
    input_ids: np.ndarray  # i32 [L]
    type_ids: np.ndarray  # i32 [L]
    spans: np.ndarray  # i32 [L, 2], (0, 0) for specials; second text's spans are into `pair`
    unit: np.ndarray  # i32 [L]
    start: int
    owned: np.ndarray  # bool [U]
    target: np.ndarray  # i32 [U]
    cells: np.ndarray | None = None  # i32 [U]
    planned: CharSpan = (0, 0)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Features of a list of examples, and counts of what was lost (`truncated`, `windows`)."""

    features: Sequence[Features]
    notes: Mapping[str, int]
    cut: Mapping[int, str] = field(default_factory=dict)  # by row: what is not read, in words
    refused: Mapping[int, str] = field(default_factory=dict)  # by row: why it has no answer


@dataclass(frozen=True, slots=True)
class Signal:
    """What a model says per unit: logits [B, U, C] and mask [B, U] (True where the unit counts)."""

    logits: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded features as tensors.

    first: index of the first token of each unit [B, U] (0 where the unit is masked).
    unit: local unit of each token [B, L], -1 where none.
    unit_mask: owned units that have a token [B, U].
    teacher: the teacher's Signal for the same units, when one is distilled from.
    teacher_states: its inner states at the same positions, when a term compares them.

    Packed rows hold several texts (`pretraining/data/packing.py`):

    positions: of each token within its own text; None: 0 to L - 1.
    pair: the number of its text in the row, 0 for padding; tokens see those of equal number; None:
        the row is one text.
    order: a sentence-order label at the first token of a text, IGNORE elsewhere.
    places: what `training.batches.look_up` found, so that no GPU is waited for; {} on a CPU.

    In masked language modelling the unit is the token: target is the piece to find, and unit_mask
    says at which tokens the model is asked for one.

    Example: the features above, alone in a batch that is padded to six tokens:

        Batch(features=(features,), input_ids=[[2, 17, 8, 9, 3, 0]], mask=[[True] * 5 + [False]],
              type_ids=[[0] * 6], unit=[[-1, 0, 1, 1, -1, -1]], first=[[1, 2]],
              unit_mask=[[True, True]], target=[[1, 0]])
    """

    features: Sequence[Features]
    input_ids: Tensor  # i64 [B, L]
    mask: Tensor  # bool [B, L], True for real tokens
    type_ids: Tensor  # i64 [B, L]
    unit: Tensor  # i64 [B, L]
    first: Tensor  # i64 [B, U]
    unit_mask: Tensor  # bool [B, U]
    target: Tensor  # i64 [B, U], or [B, 2] for questions
    teacher: Signal | None = None
    teacher_states: TeacherStates | None = None
    positions: Tensor | None = None  # i64 [B, L]
    pair: Tensor | None = None  # i64 [B, L]
    order: Tensor | None = None  # i64 [B, L]
    places: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TeacherStates:
    """A teacher's inner states at the positions of a batch.

    What a position is, the `pool` says by which masks and states are kept; see `losses.term.Term`.

    masks: by pool, bool [B, P]: positions that count and that both models have.
    states: by pool, what was asked for, [B, P, ...]; empty until the teacher has been asked.
    batch: the teacher's own windows of these examples, where its tokens are others.
    place: for every unit of the student's batch its place among all units of those windows, i64
        [B, U], -1 where the teacher does not have it.
    """

    masks: Mapping[str, Tensor]
    states: Mapping[str, Mapping[State, Tensor]] = field(default_factory=dict)
    batch: Batch | None = None
    place: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A model's answer.

    logits: [B, L, C] (tagging, questions) or [B, C] (classification); of a masked language model
        [1, N, V], for the N tokens in the batch's unit_mask.
    states: those that were asked for.
    order: [K, 2], logits of the K texts whose sentence order is asked for.
    """

    logits: Tensor
    states: Mapping[State, Tensor] = field(default_factory=dict)
    order: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Labels and probabilities of one example.

    labels: one per unit.
    probabilities: [U, C], rows sum to 1.
    """

    labels: tuple[str, ...]
    probabilities: np.ndarray


@dataclass(frozen=True, slots=True)
class Answer(Prediction):
    """The answer to a question: `pair[start:end]`, which is also `labels[0]`; "" at 0, 0 for none.

    probability: of this answer.
    null_probability: that the context holds none.
    best: (start, end, probability) of the next best answers, best first, this one included.
    """

    start: int = 0
    end: int = 0
    probability: float = 0.0
    null_probability: float = 0.0
    best: tuple[tuple[int, int, float], ...] = ()


class Task(Protocol):
    """A family of tasks: what a unit is, how text becomes features, what is learned and scored.

    `destila/tasks/<name>.py` defines one as `TASK`; a class that names this protocol as its base
    inherits the answers of a plain task. `rows` below are what `join_windows` returns, one per
    example.

    name: finds the task again, the file's name or a path.
    head: kind of a model's head, of `model_folder.HEADS`.
    axis: the axis of Signal.logits that is a distribution: 2, classes of a unit; 1, units of an
        example.
    unit_rule: how tokens become units; teachers whose rows are to be shared must agree on it.
    summary: what a model of the task does, with {labels} for their number.
    sample_row: a row that `read_row` reads.
    whole_example: the example is its only unit.
    needs_words: an example has words, not just a text.
    has_pairs: an example may have a second text.
    asks_questions: its text is a question about that second one.
    truncates: long texts are cut; else they are read in windows.
    equal_tokens: the setting because of which a student must read the teacher's tokens, "" when it
        need not.
    baselines: plug-ins of what one could have instead.
    in_browser: destila.js decodes it.
    label_sets: an example has a set of labels.
    """

    name: str
    head: str
    axis: int
    unit_rule: str
    summary: str
    sample_row: Mapping[str, str]
    whole_example: bool = False
    needs_words: bool = False
    has_pairs: bool = False
    asks_questions: bool = False
    truncates: bool = False
    equal_tokens: str = ""
    baselines: tuple[str, ...] = ()
    in_browser: bool = False
    label_sets: bool = False

    def with_settings(self, settings: Mapping[str, Any]) -> Task:  # noqa: ARG002
        """Return the task as a recipe or a model folder sets it up.

        Raises:
            ConfigError: a setting is wrong.
        """
        return self

    def settings(self) -> dict[str, Any]:
        """Return the settings that change what is encoded, learned or decoded: part of a key."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return the settings that a model folder keeps, so that texts are read as in training."""
        return {}

    def advice(self, examples: Sequence[Example]) -> str:  # noqa: ARG002
        """Say what is likely wrong with the settings for training examples; "" when nothing is."""
        return ""

    def check_teacher(self, name: str, longest: int) -> None:  # noqa: ARG002
        """Raise ConfigError for a teacher that reads too few tokens at once.

        Args:
            name: the teacher's, for the message.
            longest: tokens that it reads at most, 0 where nobody knows.
        """
        return

    def read_row(self, row: Mapping[str, Any], number: int) -> Example:
        """Read a user's row, an object with `text` or what the task has instead.

        Its number names it where it has no `id`. Raise DataError when something is missing, in a
        message that does not say where the row stands.
        """

    def answer_blank(self) -> Prediction | None:
        """Return the answer to a text of blanks; None: the model is asked as about any other."""
        return None

    def encode(
        self,
        examples: Sequence[Example],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
    ) -> Encoded:
        """Encode the features of every window of every example."""

    def join_windows(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> list[Any]:
        """Make one row per example, in order, from a model's logits of each window.

        Args:
            features: the windows, those of one example side by side.
            values: logits of each: [C], or [L', C] with L' >= L tokens.
        """

    def unit_logits(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> UnitLogits:
        """Return logits per unit of each example, [U, C]: what a teacher's cache keeps."""

    def decode(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> list[Prediction]:
        """Make predictions from rows."""

    def to_result(self, example: Example, prediction: Prediction, labels: Sequence[str]) -> Result:
        """Make what a user gets of a prediction; `to_dict` of it is what `predict` prints."""

    def loss(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> float:
        """Compute the mean cross-entropy of the gold labels, in nats."""

    def main_score(self, labels: Sequence[str]) -> str:
        """Name the key of the score by which models are chosen and compared."""

    def score(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> dict[str, float]:
        """Compute every score of the task, under its fixed keys."""

    def items(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> list[list[int]]:
        """Count what is behind the main score in every example; see `tasks.metrics.items`."""

    def details(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> dict[str, Any]:
        """Make the tables of a report, such as per_label and confusion."""

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Compute the share of units of which two models say the same."""

    def signal(self, output: Output, batch: Batch) -> Signal:
        """Return a model's logits per unit."""

    def targets(self, batch: Batch) -> Tensor:
        """Return gold ids, IGNORE where there is nothing to learn.

        They are classes [B, U'], or for axis 1 places [B, C].
        """

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Return the logits that meet `targets`, and where they count."""

    def teacher_logits(self, row: np.ndarray, feature: Features) -> np.ndarray:
        """Return the teacher's logits [U, C] for a window, from its row of the example."""
