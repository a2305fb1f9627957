"""The trainings that a recipe asks for: its teachers, and students by seed and method.

    baseline    the classical model that a user could have instead; nothing of it is planned here
    fine-tune   on gold labels alone, to know what distilling gains
    distil      on what teachers say, at once or in stages (TinyBERT, Jiao et al. 2020, section 3)

Of a distillation in stages only the last one is the student: its folder is the student's own, the
others lie beside it, and its key names all before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from destila import config
from destila.errors import ConfigError
from destila.losses.weighted import build_loss
from destila.models.weights import weights_fingerprint
from destila.progress import Progress
from destila.study.planning.data import Study
from destila.study.planning.distil_options import DistilOptions, StageSpec
from destila.study.planning.given_teachers import read_kept_teacher, read_teacher_labels
from destila.study.planning.keys import (
    GivenLabelsKey,
    LoadedTeacherKey,
    RunKey,
    SupervisionKey,
)
from destila.study.planning.recipe import (
    ModelSpec,
    StudentSpec,
    TeacherSpec,
)
from destila.study.planning.teachers import (
    GivenAnswers,
    Teachers,
    needs_finetuning,
)
from destila.study.planning.texts import AugmentedTexts, plan_augmentation
from destila.tokenizer.tokenizer import load_tokenizer
from destila.training.options import TrainOptions
from destila.types import Example

Method = Literal["baseline", "fine-tune", "distil"]
METHODS: tuple[Method, ...] = ("baseline", "fine-tune", "distil")

HOW_TRAINED = {"name", "train", "distil", "compare", "start"}
"""Fields of a model's table that say how it is trained and not what it is."""


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """What teaches a student, and the texts that only it labels.

    Args:
        teachers: all of the study; `options` names those that teach.
        unlabelled: texts beside the training split.
        augmented: further ones that are made from it when the training starts.
    """

    teachers: Teachers
    options: DistilOptions
    unlabelled: Sequence[Example] = ()
    augmented: AugmentedTexts | None = None

    @property
    def key(self) -> str:
        """The digest of all that is learnt from it."""
        return SupervisionKey(
            teacher=self.teachers.key_of(self.options),
            logits=self.options.dtype,
            states=self.options.states,
            unlabelled=[example.text for example in self.unlabelled],
            augmented=self.augmented.key if self.augmented else "",
            repeats=self.options.repeat_labelled,
            precision="" if self.options.precision == "auto" else self.options.precision,
        ).digest

    def size(self) -> int:
        """Return how many texts there are beside the training split, at most."""
        return len(self.unlabelled) + (self.augmented.planned if self.augmented else 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainPlan:
    """One training: a model, its data and its loss.

    For a distilled student of the demo: `TrainPlan(study=..., role="distilled", spec=...,
    options=..., seed=0,
    folder=Path("runs/demo-tags/students/student-distilled-s0"), terms=({"use": "kl"},),
    teaching=...)`.

    Args:
        role: "teacher", "finetuned" or "distilled".
        terms: tables of `build_loss`.
        teaching: what teaches beside gold labels; None for nothing.
        labelled: whether the training split itself is trained on.
        start: the training whose weights this one starts from, a stage before it or a teacher's;
            None for those of the model's table.
        known: the digest of a training that was done elsewhere, whose model may be gone.
    """

    study: Study
    folder: Path
    role: str
    spec: ModelSpec
    options: TrainOptions
    seed: int
    terms: tuple[dict[str, Any], ...] = ({"use": "hard"},)
    teaching: Teaching | None = None
    labelled: bool = True
    start: TrainPlan | None = None
    known: str = ""

    def __post_init__(self) -> None:
        """Give every term `hard` the class weights of the options, unless it says its own."""
        weights = self.options.class_weights
        if weights != "none":
            weighted = {"class_weights": weights}
            terms = [weighted | term if term.get("use") == "hard" else term for term in self.terms]
            object.__setattr__(self, "terms", tuple(terms))

    @property
    def name(self) -> str:
        """The name of the run, which is that of its folder."""
        return self.folder.name

    @cached_property
    def key(self) -> str:
        """The digest of everything that the result depends on."""
        if self.known:
            return self.known

        # What the table only names counts by its contents.
        model, tokenizer = self.spec.model, self.spec.tokenizer
        named = load_tokenizer(tokenizer).fingerprint if isinstance(tokenizer, str) else ""

        # How often the state is saved changes no result, so it is no part of the key.
        return RunKey(
            data=self.study.key,
            model=config.key_values(self.spec, exclude=HOW_TRAINED),
            weights=weights_fingerprint(model) if model else "",
            tokenizer=named,
            options=config.key_values(self.options, exclude={"save_minutes"}),
            seed=self.seed,
            terms=self.terms,
            code=_own_terms(self.terms),
            labelled=self.labelled,
            supervision=self.teaching.key if self.teaching else "",
            start=self.start.key if self.start else "",
        ).digest

    @property
    def stage_before(self) -> TrainPlan | None:
        """The stage of the same student that it goes on from; None where it is the first."""
        return self.start if self.start and self.start.role != "teacher" else None

    @property
    def chain(self) -> list[TrainPlan]:
        """The stages before this one, in order, and this one."""
        return [*(self.stage_before.chain if self.stage_before else ()), self]

    def examples(self, progress: Progress) -> list[Example]:
        """Return what it trains on; texts that are made from others are made now."""
        examples = list(self.study.dataset.splits["train"]) * self._repeats

        # Texts without labels, from which only the teacher's answers are learnt.
        if self.teaching is not None:
            examples += self.teaching.unlabelled
            augmented = self.teaching.augmented
            examples += augmented.examples(progress) if augmented else []
        return examples

    def size(self) -> int:
        """Return on how many examples it trains, at most; nothing is made to know it."""
        labelled = len(self.study.dataset.splits["train"]) * self._repeats
        return labelled + (self.teaching.size() if self.teaching else 0)

    @property
    def _repeats(self) -> int:
        """How often an epoch reads each text of the training split."""
        repeats = self.teaching.options.repeat_labelled if self.teaching else 1
        return repeats if self.labelled else 0


def list_teachers(study: Study, methods: Sequence[Method] = METHODS) -> Teachers:
    """Return a study's teachers, none of them ready yet; none where nothing is distilled."""
    keys = {}
    given: dict[str, GivenAnswers] = {}
    for spec in study.recipe.teachers if "distil" in methods else ():
        # What has no model is checked here, before anything is trained.
        if spec.labels is not None:
            given[spec.label] = labels = read_teacher_labels(study, spec)
            key_of_file = GivenLabelsKey(data=study.key, labels=labels.fingerprint)
            keys[spec.label] = key_of_file.digest
            continue
        if spec.bundle is not None:
            given[spec.label] = kept = read_kept_teacher(study, spec)
            keys[spec.label] = kept.facts["key"]
            continue

        # A teacher that is trained here has a training's key, any other that of its files.
        if needs_finetuning(study, spec):
            keys[spec.label] = plan_teacher(study, spec).key
        else:
            weights = weights_fingerprint(spec.model or "")
            key = LoadedTeacherKey(data=study.key, weights=weights, labels=spec.label_map)
            keys[spec.label] = key.digest
    return Teachers(study, keys, given)


def plan_teacher(study: Study, spec: TeacherSpec) -> TrainPlan:
    """Return the fine-tuning of a teacher."""
    recipe = study.recipe
    return TrainPlan(
        study=study,
        folder=recipe.folder / "teachers" / f"{spec.label}-teacher-s{recipe.teacher_seed}",
        role="teacher",
        spec=spec,
        options=recipe.options(spec.train),
        seed=recipe.teacher_seed,
    )


def _plan_start(study: Study, student: StudentSpec) -> TrainPlan | None:
    """Return the fine-tuning of the teacher that a student starts from; None where there is none.

    A teacher that teaches as it is has the weights of the student's own table.
    """
    for spec in study.recipe.teachers:
        if spec.label != student.start:
            continue
        if spec.bundle is not None:
            # Weights that students start from came into the bundle with the answers.
            kept = read_kept_teacher(study, spec)
            plan = plan_teacher(study, spec)
            return replace(plan, folder=kept.start, known=kept.facts["key"]) if kept.start else None
        if needs_finetuning(study, spec):
            return plan_teacher(study, spec)
    return None


def plan_students(
    study: Study, teachers: Teachers, methods: Sequence[Method] = METHODS
) -> list[TrainPlan]:
    """Return every training of a student that the recipe asks for.

    Without teachers all students are fine-tuned. With teachers all are distilled, and fine-tuned
    too where the recipe and the student's table compare; where nothing is distilled, the table
    alone decides.

    Args:
        study: its recipe names students and seeds.
        teachers: of the study, as `list_teachers` returns them; none needs to be ready.
        methods: those that are wanted.

    Raises:
        ConfigError: a stage or the texts of a distillation cannot be.
    """
    # Seed by seed, so that a run that is stopped has whole seeds to compare.
    recipe = study.recipe
    plans = []
    for seed in recipe.seeds:
        for student in recipe.students:
            # Without a distillation to compare with, the recipe's `compare` has no meaning.
            compared = student.compare and (recipe.compare or "distil" not in methods)
            if "fine-tune" in methods and (compared or not recipe.teachers):
                plans.append(_finetuning(study, student, seed))
            if "distil" in methods and recipe.teachers:
                plans.append(_distillation(study, teachers, student, seed))
    return plans


def _finetuning(study: Study, student: StudentSpec, seed: int) -> TrainPlan:
    """Return the plain fine-tuning of a student on gold labels."""
    return TrainPlan(
        study=study,
        folder=study.folder / "students" / f"{student.label}-finetuned-s{seed}",
        role="finetuned",
        spec=student,
        options=study.recipe.options(student.train),
        seed=seed,
        start=_plan_start(study, student),
    )


def _distillation(study: Study, teachers: Teachers, student: StudentSpec, seed: int) -> TrainPlan:
    """Return the distillation of a student, in one training or in the stages that it asks for."""
    # A file of labels knows no texts but its own.
    options = study.recipe.distil_of(student)
    unlabelled = study.unlabelled.select(options)
    teachers.check_given(options, unlabelled)

    # Made texts are only planned here; they are made when the training starts.
    augmented = None
    if options.augment is not None:
        augmented = plan_augmentation(study.dataset, study.key, options.augment)
    plan = TrainPlan(
        study=study,
        folder=study.folder / "students" / f"{student.label}-distilled-s{seed}",
        role="distilled",
        spec=student,
        options=study.recipe.distil_options(student),
        seed=seed,
        terms=options.terms,
        teaching=Teaching(
            teachers=teachers,
            options=options,
            unlabelled=unlabelled,
            augmented=augmented,
        ),
        start=_plan_start(study, student),
    )

    # Without stages the plan is the training.
    return _in_stages(plan, student, options.stages) if options.stages else plan


def _in_stages(plan: TrainPlan, student: StudentSpec, stages: Sequence[StageSpec]) -> TrainPlan:
    """Return the last of the stages that a distillation is done in; it knows those before it."""
    # Each starts from the weights of the one before, the first as the student does.
    last = plan.start
    for i, stage in enumerate(stages):
        last = _stage(plan, student, stage, last, final=i + 1 == len(stages))
    assert last is not None, "a distillation in stages has one"
    return last


def _stage(
    plan: TrainPlan,
    student: StudentSpec,
    stage: StageSpec,
    before: TrainPlan | None,
    *,
    final: bool,
) -> TrainPlan:
    """Return one stage of a distillation.

    Args:
        plan: the distillation as if it were done at once.
        student: its table, whose changes come before those of the stage.
        stage: the stage's own table.
        before: the training whose weights it starts from; None for those of the table.
        final: it is the last one, so its result is the student.

    Raises:
        ConfigError: it is for texts that are not there, or for texts without labels, and no term
            asks a teacher.
    """
    recipe, teaching = plan.study.recipe, plan.teaching
    terms = stage.terms or plan.terms
    loss = build_loss(terms, class_counts=plan.study.class_counts)

    # Without a term that teaches answers, dev scores say nothing: the last weights are the ones to
    # keep.
    usual = {} if loss.answers else {"select": "last"}

    # Only gold texts: what the teacher alone labels is left out.
    if stage.data == "labelled" and teaching is not None:
        teaching = replace(teaching, unlabelled=(), augmented=None)

    # The last stage is the student, so it has the student's own folder.
    folder = plan.folder if final else plan.folder.with_name(f"{plan.folder.name}-{stage.name}")
    staged = replace(
        plan,
        folder=folder,
        options=recipe.distil_options(student, usual, stage.train),
        terms=terms,
        teaching=teaching,
        labelled=stage.data != "unlabelled",
        start=before,
    )

    # Both mistakes can be seen before anything is trained.
    where = f"stage '{stage.name}': data = 'unlabelled'"
    if not staged.size():
        raise ConfigError(
            f"{where}, and there are no such texts: give distil.unlabelled or distil.augment"
        )
    if not staged.labelled and not loss.needs_teacher:
        raise ConfigError(
            f"{where}, but none of its terms asks a teacher, so there is nothing to learn"
        )
    return staged


def _own_terms(terms: Sequence[dict[str, Any]]) -> list[str]:
    """Return the text of every loss term that is the user's own file."""
    # A term that is edited must give a new key, though its table says the same.
    paths = [Path(term["use"]) for term in terms if str(term.get("use", "")).endswith(".py")]
    return [path.read_text(encoding="utf-8") for path in paths if path.is_file()]
