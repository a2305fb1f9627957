"""The recipe: one TOML file that says everything about a study, from data to measured students.

Every command that trains reads the same recipe; `destila init` writes one, `destila run` executes
it whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from destila import config, hub, records
from destila.config import NAME_PATTERN, Options, opt
from destila.errors import ConfigError
from destila.losses.term import ModelShape
from destila.model_folder import read_folder
from destila.models import hf_config
from destila.models.architecture import ArchitectureKind, from_shape
from destila.models.presets import PRESETS
from destila.reading.escaping import short_value
from destila.study.planning.distil_options import DistilOptions
from destila.study.planning.measure_options import MeasureOptions
from destila.study.planning.search_options import SearchOptions
from destila.study.planning.tokenizer_spec import TokenizerSpec
from destila.tasks.span.options import SpanOptions
from destila.teachers.ensemble import ensemble_weights
from destila.tokenizer.tokenizer import load_tokenizer
from destila.training.options import TrainOptions

Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
TRANSFORMERS_STATES = frozenset({"logits", "hidden", "attention"})
"""Kinds of State that every model of transformers shows."""


class ModelSpec(Options):
    """One model of a study: pre-trained weights (`model`) or a shape from scratch (`shape`).

    What its tokenizer and its shape are is answered here, before anything is trained or loaded.
    """

    name: str | None = opt(None, "default: from model and layers", pattern=NAME_PATTERN)
    model: str | None = opt(
        None, "folder, name under DESTILA_MODELS, hub name, or preset (random weights)"
    )
    shape: dict[str, Any] | None = opt(
        None, "architecture trained from scratch: {kind, layers, hidden, heads, ...}"
    )
    layers: int | tuple[int, ...] | None = opt(
        None, "keep the first n layers, or the listed ones; none = all"
    )
    tokenizer: str | TokenizerSpec | None = opt(
        None, "folder of a tokenizer, or a table to train one; none = the model's"
    )
    train: dict[str, Any] = opt({}, "changes to [train] for this model, e.g. {lr = 1e-4}")

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        """Raise ValueError unless weights and tokenizer have one source each."""
        self._check_source()
        return self

    def _check_source(self) -> None:
        """Raise ValueError unless weights and tokenizer have one source each."""
        if (self.model is None) == (self.shape is None):
            raise ValueError("give either `model` or `shape`")
        if self.shape is not None and self.tokenizer is None:
            raise ValueError("a model from scratch needs `tokenizer`")
        if self.shape is not None:
            from_shape(self.shape, vocab_size=1, pad_id=0)

    @property
    def label(self) -> str:
        """Short name, safe as a folder name."""
        if self.name:
            return self.name

        # "beto-4": the folder's name and how many of its layers are kept.
        stem = Path(self.model or "scratch").name
        depth = self.depth
        return f"{stem}-{depth}" if depth else stem

    @property
    def depth(self) -> int | None:
        """The number of layers that the table asks for; None where it asks for all."""
        if self.layers is None or isinstance(self.layers, int):
            return self.layers
        return len(self.layers)

    @property
    def tokenizer_source(self) -> str | None:
        """Its tokenizer's folder or name; None where the study trains one, or a preset has none."""
        if isinstance(self.tokenizer, TokenizerSpec):
            return None
        if self.tokenizer is not None:
            return self.tokenizer

        # A preset has random weights, so there is no folder with a tokenizer.
        return None if self.model in PRESETS else self.model

    @property
    def tokenizer_name(self) -> str:
        """Its tokenizer in words, for messages."""
        if isinstance(self.tokenizer, TokenizerSpec):
            kind, size = self.tokenizer.kind, self.tokenizer.vocab_size
            return f"a {kind} tokenizer of {size} pieces of its own"
        return f"the tokenizer of {self.tokenizer or self.model}"

    def tokens_key(self) -> str:
        """Name the tokens that it reads: equal names, equal tokens. Nothing is trained for it."""
        if isinstance(self.tokenizer, TokenizerSpec):
            return config.fingerprint(self.tokenizer)
        return load_tokenizer(self.tokenizer or hub.resolve(self.model or "")).fingerprint

    def planned_shape(self) -> ModelShape | None:
        """Return its shape, without its weights; None where it is not written down."""
        from destila.models.encoder import STATES  # torch, which a recipe is read without

        states = STATES
        if self.shape is not None or self.model in PRESETS:
            # Written out in the recipe or in the table of presets.
            known = (
                PRESETS[self.model or ""]
                if self.shape is None
                else from_shape(self.shape, vocab_size=1, pad_id=0)
            )
            sizes = [known.layers, known.hidden, known.heads]
        else:
            # In the folder of the weights, in our words or in those of transformers.
            folder = read_folder(hub.resolve(self.model or ""))
            if folder.config.get("model_type") in get_args(ArchitectureKind):
                known = hf_config.read_hf_config(folder.config, where=str(folder.path))
                sizes = [known.layers, known.hidden, known.heads]
            else:
                states = TRANSFORMERS_STATES
                names = ("num_hidden_layers", "hidden_size", "num_attention_heads")
                sizes = [folder.config.get(name, 0) for name in names]

        # What is kept of it; a size of 0 was not written down.
        layers = sizes[0] if self.depth is None else self.depth
        if not all(sizes):
            return None
        return ModelShape(self.label, self.tokenizer_name, layers, sizes[1], sizes[2], states)

    def most_tokens(self) -> int:
        """Return the most tokens that the model in its folder reads; 0 where nothing says so."""
        if self.model is None or self.model in PRESETS:
            return 0

        # Either the table of positions or the tokenizer's own limit may be the smaller.
        folder = hub.resolve(self.model)
        positions = int(read_folder(folder).config.get("max_position_embeddings") or 0)
        limits = [n for n in (positions, load_tokenizer(folder).max_length) if n]
        return min(limits, default=0)

    def window_length(self, max_length: int) -> int:
        """Return the tokens of its windows in a study whose windows hold `max_length`."""
        return max_length


class TeacherSpec(ModelSpec):
    """A teacher: our model, any sequence or token classifier of transformers, or given labels."""

    finetune: bool | None = opt(
        None, "fine-tune it on the data first; none = only if it has no head for these labels"
    )
    label_map: dict[str, str] = opt({}, "its label names -> ours, where they differ")
    labels: str | None = opt(
        None,
        "instead of a model: JSON lines of labels or probabilities that somebody else made",
        later=True,
    )
    smoothing: float = opt(
        0.1,
        "of labels without probabilities: share of the mass that is spread over all labels",
        ge=0,
        lt=1,
        later=True,
    )
    bundle: str | None = opt(
        None,
        "instead of a model: folder of `destila bundle` with what it answered; a relative one "
        "counts from the recipe",
        later=True,
    )

    def _check_source(self) -> None:
        """Raise ValueError unless there is one source: a model, a shape, labels or a bundle."""
        if not self.is_kept:
            super()._check_source()
            return
        if self.model or self.shape or self.layers or self.tokenizer or self.finetune:
            word = "bundle" if self.labels is None else "labels"
            raise ValueError(f"`{word}` takes the place of a model: give nothing else of one")
        if self.labels is not None and self.bundle is not None:
            raise ValueError("give either `labels` or `bundle`")
        if self.bundle is not None and not self.name:
            raise ValueError("a teacher of a bundle needs its `name` there")

    @property
    def is_kept(self) -> bool:
        """Whether there is no model, only answers that were kept: a file of labels or a bundle."""
        return self.labels is not None or self.bundle is not None

    @property
    def label(self) -> str:
        """Short name, safe as a folder name."""
        return self.name or (Path(self.labels).stem if self.labels else super().label)

    def planned_shape(self) -> ModelShape | None:
        """Return its shape, without its weights; None where it is not written down."""
        return None if self.is_kept else super().planned_shape()

    def window_length(self, max_length: int) -> int:
        """Return the tokens of its windows, which are shorter for a teacher that reads less."""
        return min(max_length, self.most_tokens() or max_length)


class StudentSpec(ModelSpec):
    """A student, with what is different when it is distilled: a recipe can compare many ways."""

    distil: dict[str, Any] = opt(
        {}, "changes to [distil] for this student, e.g. {terms = [{use = 'mse'}]}"
    )
    start: str | None = opt(
        None,
        "teacher of the same `model` whose weights it starts from, as they are once fine-tuned; "
        "none = `model` as it is",
        later=True,
    )
    compare: bool = opt(
        True, "also fine-tune it plainly; false where another student has the same fine-tuned twin"
    )


class Recipe(Options):
    """Everything about a study: its data, teachers and students, training, tests and timing."""

    name: str = opt(..., "name of the study; its folder is runs/<name>", pattern=NAME_PATTERN)
    data: dict[str, Any] = opt(..., "use = data set plug-in (or a .py path), and its own options")
    max_length: int = opt(128, "tokens a window holds at most, specials included", ge=8)
    labelling: Literal["first", "all"] = opt(
        "first",
        "tagging: gold labels on first sub-tokens, or on all of them",
        reproduction=True,
    )
    span: SpanOptions = opt(SpanOptions(), "question answering: windows over contexts, decoding")
    teachers: tuple[TeacherSpec, ...] = opt((), "candidates; the best on dev teaches")
    choose: Literal["score", "loss"] = opt(
        "score", "the teacher is chosen by its main dev score, or by its dev loss"
    )
    students: tuple[StudentSpec, ...] = opt(..., "what is distilled", min_length=1)
    label_threshold: float = opt(
        0.5, "several labels a text: least probability of one that is given", gt=0, lt=1, later=True
    )
    metric: str | None = opt(
        None,
        "main score, by which models are chosen and compared; none = the task's own; "
        "macro_f1 counts rare classes as much as others",
        later=True,
    )
    folds: int = opt(
        0,
        "small sets: score by cross-validation with so many folds; 0 = on the test split alone",
        ge=0,
        le=50,
        later=True,
    )
    train: TrainOptions = opt(TrainOptions(), "training of teachers and students")
    distil: DistilOptions = opt(DistilOptions(), "distillation")
    seeds: tuple[Seed, ...] = opt((0,), min_length=1, help="students are trained once per seed")
    teacher_seed: int = opt(0, "teachers are trained once, with this seed", ge=0, lt=1 << 32)
    compare: bool = opt(True, "also fine-tune the students plainly, to know what distilling gains")
    baseline: bool = opt(
        True, "also fit the classical baseline (CRF, or TF-IDF + logistic regression)"
    )
    measure: MeasureOptions = opt(MeasureOptions(), "timing")
    search: SearchOptions | None = opt(None, "what `destila search` tries; none = nothing")
    out: str = opt("runs", "folder of studies")
    results: str | None = opt(
        None, "folder in which records are kept as <name>.jsonl; recorded runs are skipped"
    )

    @model_validator(mode="after")
    def _distillable(self) -> Recipe:
        """Raise ValueError when a student's teachers, stages or weights cannot be."""
        if self.folds == 1:
            raise ValueError("folds = 1: give at least 2, or 0 for no cross-validation")
        known = [t.label for t in self.teachers]
        for student in self.students:
            self._check_start(student)
            chosen = self.distil_of(student)
            names = known if chosen.teachers is None else chosen.teachers
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"distil.teachers names '{name}', "
                        f"which is none of {', '.join(known) or 'none'}"
                    )

            # Stages are folders, so their names must differ; weights are one for each teacher.
            stages = [stage.name for stage in chosen.stages]
            if twice := [name for name in stages if stages.count(name) > 1]:
                raise ValueError(f"distil.stages: two stages are called '{twice[0]}'")
            if chosen.ensemble and known:
                ensemble_weights(chosen.ensemble.weights, [1.0] * len(names))
        return self

    def _check_start(self, student: StudentSpec) -> None:
        """Raise ValueError unless a student can start from the teacher that it names."""
        if student.start is None:
            return
        teacher = next((t for t in self.teachers if t.label == student.start), None)
        model = student.model
        if teacher is not None and teacher.bundle is not None:
            return  # the bundle has the weights, or says that it has not
        if teacher is None or model is None or (teacher.model, teacher.layers) != (model, None):
            raise ValueError(
                f"student '{student.label}': start = '{student.start}' needs a teacher of that "
                "name with the same `model` and all of its layers"
            )

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return Path(self.out) / self.name

    @property
    def records_path(self) -> Path:
        """The file of the study's records: in `results`, else with its runs."""
        if self.results:
            return Path(self.results) / f"{self.name}.jsonl"
        return self.folder / records.RECORD_FILE

    def teachers_of(self, options: DistilOptions) -> list[TeacherSpec]:
        """Return the teachers that may teach in a distillation, in the order of the recipe."""
        names = options.teachers
        return [t for t in self.teachers if names is None or t.label in names]

    def distil_of(self, student: StudentSpec) -> DistilOptions:
        """Return [distil] with the student's changes, validated; `train` is merged key by key."""
        # `train` is a table in the table: its keys are merged, all others replace.
        changes = dict(student.distil)
        train = {**self.distil.train, **changes.pop("train", {})}
        merged = {**self.distil.model_dump(), **changes, "train": train}
        return config.build_config(
            DistilOptions, merged, where=f"student '{student.label}': distil"
        )

    def distil_options(self, student: StudentSpec, *changes: dict[str, Any]) -> TrainOptions:
        """Return how a student is distilled, later tables winning over earlier ones.

        [train] < [distil] < the student's `train` < its `distil` < `changes`.
        """
        return self.options(
            self.distil.train, student.train, student.distil.get("train", {}), *changes
        )

    def options(self, *changes: dict[str, Any]) -> TrainOptions:
        """Return [train] with changes applied in turn, validated again."""
        merged = self.train.model_dump()
        for change in changes:
            # A table that counts epochs does not want the steps of an earlier one.
            by_epochs = {"steps": None} if "epochs" in change else {}
            merged |= by_epochs | change
        return config.build_config(TrainOptions, merged, where="train")


def read_recipe(path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read the recipe in a file.

    Args:
        path: of the TOML file.
        overrides: `key=value`, with dotted keys.

    Raises:
        ConfigError: a key or a value is wrong, or two models have one name.
    """
    recipe = config.load_config(Recipe, path, overrides)

    # Labels name folders and rows of tables, so no two may be equal.
    labels = [m.label for m in (*recipe.teachers, *recipe.students)]
    for label in labels:
        if not re.fullmatch(NAME_PATTERN, label):
            raise ConfigError(f"{path}: {short_value(label)} is no name of a folder: give a `name`")
    twice = sorted({n for n in labels if labels.count(n) > 1})
    if twice:
        raise ConfigError(f"{path}: two models are called '{twice[0]}'; give each a `name`")

    # A bundle lies with its recipe, wherever both are moved.
    beside = Path(path).parent.absolute()
    teachers = tuple(
        t.model_copy(update={"bundle": os.path.normpath(beside / t.bundle)}) if t.bundle else t
        for t in recipe.teachers
    )
    return recipe.model_copy(update={"teachers": teachers})
