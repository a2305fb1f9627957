"""The records that flow through the library and the sockets that plug-ins fill.

Records are frozen dataclasses. Characters are the coordinate (every token remembers its span of the
original text, which nothing edits after loading) and *units* are the currency in which a teacher and a
student with different tokenizers are compared: the example itself (classification), a word (tagging), a run of
characters between blanks of the context (question answering).

Sizes: B batch, L tokens, U units, C classes, H hidden, A attention heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

CharSpan = tuple[int, int]
"""A half-open range of code points, `text[start:end]`."""

UnitLogits = list[np.ndarray]
"""One array of logits per example, `[U, C]`: what a model says about every unit of it."""

State = tuple[str, int]
"""What a layer holds, and which layer, counted from 1; layer 0 is the embedding output.

hidden: the layer's output; query, key, value: inside its attention, all heads side by side; [B, L, H]. attention: its
weights after the softmax, scores: the scaled products before it, 0 where the key is padding; [B, A, L, L].
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
    answers: spans of `pair` that answer the question `text`, () when it has no answer there; None when unlabelled.
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
    """Splits of examples with one label order.

    notes: what the loader dropped or repaired, as `what -> how many`; printed by `destila data`.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    splits: Mapping[str, Sequence[Example]]
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Features:
    """One window of one example, encoded by one tokenizer.

    row: position of the example in the encoded list. window: number of the window in its example.
    unit: local unit of each token, -1 for specials and for tokens outside any unit.
    start: the example's unit that local unit 0 is (units of a window are consecutive).
    owned: the units this window answers for; a unit in several windows is owned where it has most context.
    target: class id of each local unit, IGNORE where there is none or it is not owned; for questions the tokens at
        which the answer starts and ends, [2].
    cells: of a question's window, where in the example's row of unit logits each local unit stands; the first is
        "no answer in this window". planned: the cells [start, end) of the window that all tokenizers share; it may hold
        more units than this tokenizer can read at once.
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
    """Features of a list of examples and what was lost on the way (`truncated` examples, `windows`...)."""

    features: Sequence[Features]
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Signal:
    """What a model says per unit: logits [B, U, C] and mask [B, U] (True where the unit counts)."""

    logits: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded features as tensors.

    first: index of the first token of each unit [B, U] (0 where the unit is masked).
    unit: local unit of each token [B, L], -1 where none.
    unit_mask: owned units that have a token [B, U].
    teacher: the teacher's Signal for the same units, when one is distilled from.

    Packed rows hold several texts (`pretraining/data/packing.py`). positions: of each token within its own; None: 0 to L - 1. pair:
    the number of its text in the row, 0 for padding; tokens see those of equal number; None: the row is one text. order:
    a sentence-order label at the first token of a text, IGNORE elsewhere.
    In masked language modelling the unit is the token: target is the piece to find, and unit_mask says at which tokens
    the model is asked for one.
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
    inner: TeacherStates | None = None
    positions: Tensor | None = None  # i64 [B, L]
    pair: Tensor | None = None  # i64 [B, L]
    order: Tensor | None = None  # i64 [B, L]


@dataclass(frozen=True, slots=True)
class TeacherStates:
    """A teacher's inner states at the positions of a batch; `pool` (see Term) says what a position is.

    masks: by pool, bool [B, P]: positions that count and that both models have.
    states: by pool, what was asked for, [B, P, ...]; empty until the teacher has been asked.
    batch, place: the teacher's own windows of these examples where its tokens are others, and for every unit of the
    student's batch its place among all their units, i64 [B, U], -1 where the teacher does not have it.
    """

    masks: Mapping[str, Tensor]
    states: Mapping[str, Mapping[State, Tensor]] = field(default_factory=dict)
    batch: Batch | None = None
    place: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A model's answer: logits [B, L, C] (tagging, questions) or [B, C] (classification), and the states asked for.

    Of a masked language model: logits [1, N, V] of the N tokens in the batch's unit_mask, and order [K, 2], logits of the
    K texts whose sentence order is asked for.
    """

    logits: Tensor
    states: Mapping[State, Tensor] = field(default_factory=dict)
    order: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Labels and probabilities of one example.

    labels: one per unit. probabilities: [U, C], rows sum to 1.
    """

    labels: tuple[str, ...]
    probabilities: np.ndarray


@dataclass(frozen=True, slots=True)
class Answer(Prediction):
    """The answer to a question: `pair[start:end]`, which is also `labels[0]`; "" at 0, 0 for no answer.

    probability: of this answer. null_probability: that the context holds none. best: (start, end, probability) of
    the next best answers, best first, this one included.
    """

    start: int = 0
    end: int = 0
    probability: float = 0.0
    null_probability: float = 0.0
    best: tuple[tuple[int, int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where and how a number was measured; a measured number without it cannot be constructed."""

    device: str
    cpu: str
    instructions: str
    threads: int
    batch: int
    length: str
    dtype: str
    backend: str
    versions: Mapping[str, str]
    warmup: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds per example: median and 95th percentile over `conditions.repeats` timed calls."""

    protocol: str
    median_ms: float
    p95_ms: float
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Record:
    """One evaluated model: what it is, what it scores, what it costs. Drawn tables read only these.

    scores: fixed keys, ratios 0-1 (accuracy, macro_f1, mcc, entity_f1, pos_accuracy, chunk_f1, ece, agreement).
    items: additive counts per test example behind the main score, for paired bootstraps; see `tasks.metrics`.
    key: fingerprint of everything the run depends on; a recorded key is not run again.
    """

    key: str
    study: str
    run: str
    role: str  # teacher | distilled | finetuned | baseline
    model: str
    task: str
    dataset: str
    split: str
    main: str  # the key of the task's main score
    scores: Mapping[str, float]
    params: int
    size_bytes: int
    macs: Mapping[str, int]
    latency: Sequence[Latency]
    peak_memory_bytes: int
    seed: int
    seconds: float
    conditions: Conditions
    config: Mapping[str, Any]
    code: str
    details: Mapping[str, Any] = field(
        default_factory=dict
    )  # per_label, confusion, dev scores, notes
    items: Sequence[Sequence[int]] = ()


class Reader(Protocol):
    """A task family without its loss (`tasks/readers.py`). `rows` are what `gather` returns, one per example."""

    name: str

    def encode(
        self, examples: Sequence[Example], tokenizer: Any, labels: Sequence[str], *, max_length: int
    ) -> Encoded:
        """Features of every window of every example."""

    def gather(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> list[Any]:
        """One row per example, in order, from the model's logits of each window: [C], or [L', C] with L' >= L tokens."""

    def units(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> UnitLogits:
        """Logits per unit of each example, [U, C]: what a teacher's cache keeps."""

    def decode(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> list[Prediction]:
        """Predictions from rows."""

    def loss(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> float:
        """Mean cross-entropy of the gold labels, in nats."""

    def score(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, float]:
        """Every score of the task, under its fixed keys."""

    def items(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> list[list[int]]:
        """Additive counts per example behind the main score, for bootstraps; see `tasks.metrics.items`."""

    def details(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """Tables for the report, such as per_label and confusion."""

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Share of units of which two models say the same."""


class Objective(Protocol):
    """What a loss needs to know of a task: which logits meet which targets."""

    name: str
    axis: int  # the axis of Signal.logits that is a distribution

    def signal(self, output: Output, batch: Batch) -> Signal:
        """The model's logits per unit."""

    def targets(self, batch: Batch) -> Tensor:
        """Gold ids, IGNORE where there is nothing to learn: classes [B, U'], or for axis 1 places [B, C]."""

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """The logits that meet `targets`, and where they count."""


class Task(Reader, Objective, Protocol):
    """A family of tasks; `destila/tasks/<name>.py` defines one as `TASK`: its reader, and what training needs."""

    def teach(self, row: np.ndarray, feature: Features) -> np.ndarray:
        """The teacher's logits [U, C] for the units of a window, from its row of the whole example."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What a loss term may know of a model. kinds: of State that it can show. name, tokenizer: for messages."""

    name: str
    tokenizer: str
    layers: int
    hidden: int
    heads: int
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class LossContext:
    """What a loss term may know when it is built.

    class_counts: units per class in the training data; None: not counted. student, teacher: None while a recipe is only
    read. same_tokens: both read every text as the same tokens. axis: the task's. whole: its only unit is the example.
    seed: of weights that a term learns.
    """

    class_counts: Sequence[int] | None = None
    student: ModelShape | None = None
    teacher: ModelShape | None = None
    same_tokens: bool = True
    axis: int = 2
    whole: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a loss.

    needs: "target" (gold ids i64 [B, U], or [B, C] unit numbers for axis 1), "order" (labels of sentence order: fn sees
    logits [1, K, 2] and targets [1, K]), "signal" (the teacher's logits [B, U, C]) or "states" (inner states of both models).
    fn: (student logits [B, U, C], target or teacher logits, mask bool [B, U], axis) -> the **sum** over
    masked-in units (axis 2) or examples (axis 1) as a scalar; the mix divides by the global count, so that accumulation and data
    parallelism do not change the loss. Zero, with a gradient of zero, when everything is masked. For states:
    ({state: student's [B, P, ...]}, {state: teacher's}, mask bool [B, P], axis) -> the sum over masked-in positions.

    The rest is for states alone. student, teacher: those it compares; no others are kept.
    pool: what a position P is: "token" (every real token), "padded" (pads too), or a unit, by its "first" token or the
    "mean" of its tokens. windows: the count is of windows, not of positions. module: weights that it learns.
    """

    name: str
    needs: str
    fn: Callable[[Any, Any, Tensor, int], Tensor]
    student: tuple[State, ...] = ()
    teacher: tuple[State, ...] = ()
    pool: str = ""
    windows: bool = False
    module: Module | None = None

    @property
    def same_tokens(self) -> bool:
        """Whether it compares token with token, so that both models must read the same ones."""
        return self.pool in ("token", "padded")


class Predictor(Protocol):
    """Anything that turns examples into predictions: torch today, other runtimes with the same shape."""

    labels: tuple[str, ...]
    task: str

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Predictions in the order of the examples."""
