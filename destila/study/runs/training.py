"""One training: a plan -> a run folder that can be killed and started again.

A training may start from the weights that another one kept, which is then done first.

<folder>/config.toml        the filled options
<folder>/log.jsonl          loss, learning rate, dev scores; replayed steps replace old lines
<folder>/state.safetensors  while it runs
<folder>/best/              the model folder of the best dev evaluation
<folder>/trained.json       written last: key, dev scores, seconds; the training is done when it
names its key
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from destila import config
from destila.errors import ConfigError
from destila.files import write_json, write_text
from destila.models import hf, store
from destila.progress import Progress, silent
from destila.study.planning.data import Study
from destila.study.planning.given_teachers import judge_given
from destila.study.planning.plans import TrainPlan, plan_teacher
from destila.study.planning.recipe import TeacherSpec
from destila.study.planning.teachers import (
    RankedTeacher,
    Teachers,
    judge_teacher,
    needs_finetuning,
)
from destila.study.runs.logbook import Evaluator, Logbook
from destila.study.runs.supervision import supervise
from destila.study.runs.wholeness import TRAINED, describe_files, read_trained, run_damage
from destila.training.feed import TrainData
from destila.training.loop import Evaluation, Step, fit
from destila.training.options import TrainOptions
from destila.training.processes import meet, processes

log = logging.getLogger(__name__)

_MOST = 0.8
"""Share of the training units from which on one label is called most of the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A finished training.

    Args:
        key: the plan's.
        folder: of the model that was kept.
        dev: scores of the kept checkpoint.
        notes: what encoding counted, the number of windows as `features`, and `constant` for a
            model that gives every unit of dev one label.
    """

    key: str
    folder: Path
    dev: dict[str, float]
    dev_loss: float
    seconds: float
    notes: dict[str, int]


def train(
    plan: TrainPlan,
    progress: Progress = silent,
    watch: Callable[[Evaluation], None] | None = None,
) -> TrainedModel:
    """Train a plan and those before it, or go on where a kill stopped it.

    Args:
        plan: the training.
        progress: called at every step, with the run's name and epoch.
        watch: called with every evaluation on dev; it may raise, and the training ends there.

    Raises:
        ConfigError: the model cannot read such long windows, or the models cannot meet.
        TrainingError: the loss is not finite.
    """
    if (done := finished(plan)) is not None:
        return done

    # A stage starts from the weights of the stage before it, a student perhaps from its teacher's.
    before = train(plan.start, progress) if plan.start else None

    # The folder is this training's own, whatever another one left in it.
    writes = processes().is_main_process
    if writes:
        _prepare_folder(plan)
    meet()

    # The student, what it reads, and what it learns from.
    study = plan.study
    student = load_student(plan, before.folder if before else None)
    examples = plan.examples(progress)
    encoded = study.encodings.training(examples, student.tokenizer)
    supervision = supervise(plan, student, examples, encoded.features, progress)
    loss = supervision.loss
    padded = study.recipe.max_length if loss.padded else 0
    data = TrainData(
        encoded.features, student.tokenizer.pad_id, supervision.logits, supervision.states, padded
    )
    evaluate = Evaluator(plan, student.model, student.tokenizer, answers=loss.answers)

    # Every step is logged; the best weights are kept.
    book = Logbook(plan.folder)
    best = book.best()
    state, best_folder = plan.folder / "state.safetensors", plan.folder / "best"
    steps = fit(
        student.model,
        study.task,
        loss,
        data,
        evaluate,
        plan.options,
        seed=plan.seed,
        state=state,
        key=plan.key,
    )
    for step in steps:
        # The weights first, then the line that says that they were kept.
        if step.best:
            best = step.evaluation
            if writes:
                facts = {**study.facts, **(best.facts if best else {})}
                store.save_model(student.model, student.tokenizer, best_folder, extra=facts)
        if writes:
            book.write(step)
            if watch is not None and step.evaluation is not None:
                watch(step.evaluation)
            progress(f"{plan.name}: {_epoch(step, plan.options)}", step.step, step.steps)
    meet()

    # Done, and written down last.
    assert best is not None, "a run ends with an evaluation"
    notes = {**encoded.notes, "features": len(encoded.features)}
    notes |= _note_constant(plan, best, answers=loss.answers)
    trained = _trained(plan, best, book.seconds, before, notes)
    if writes:
        _write_result(plan, trained)
        state.unlink(missing_ok=True)
    meet()
    return trained


def _trained(
    plan: TrainPlan,
    best: Evaluation,
    seconds: float,
    before: TrainedModel | None,
    notes: dict[str, int],
) -> TrainedModel:
    """Return the result of a training whose best weights are kept."""
    # Stages are one training; the teacher that a student starts from is another.
    if before is not None and plan.stage_before:
        seconds += before.seconds
    return TrainedModel(
        key=plan.key,
        folder=plan.folder / "best",
        dev=dict(best.scores),
        dev_loss=best.loss,
        seconds=seconds,
        notes=notes,
    )


def _epoch(step: Step, options: TrainOptions) -> str:
    """Say in which epoch a step is; with a number of steps the last one is wherever they end."""
    of_all = "" if options.steps else f"/{options.epochs}"
    return f"epoch {step.epoch + 1}{of_all}"


def finished(plan: TrainPlan) -> TrainedModel | None:
    """Return the result of a plan that is done; None while it is not, or had other inputs."""
    if not (plan.folder / TRAINED).exists():
        return None

    # Written last, so what it names was complete; somebody may have deleted or cut it since.
    facts = read_trained(plan.folder)
    if facts["key"] != plan.key or run_damage(plan.folder):
        return None
    facts.pop("files", None)
    return TrainedModel(folder=plan.folder / "best", **facts)


def lost_model(plan: TrainPlan) -> str:
    """Say what of a trained model is gone or cut; "" where it is whole, or was never here.

    Records may come without models: a recipe with `results` keeps them apart.
    """
    if not plan.folder.exists():
        return "" if plan.study.recipe.results else f"{plan.folder} is gone"
    if not (plan.folder / TRAINED).exists() or read_trained(plan.folder)["key"] != plan.key:
        return ""  # not finished, or another training's by now
    damage = run_damage(plan.folder)
    return f"{plan.folder / 'best'}: {damage}" if damage else ""


def load_student(plan: TrainPlan, start: Path | None = None) -> hf.Loaded:
    """Load a plan's model as it is before training.

    Args:
        plan: the training.
        start: the model folder it starts from; None for the weights or the shape of its table.

    Raises:
        ConfigError: it cannot read windows of the recipe's length.
    """
    # Layers are dropped from a model as it is; a stage before this one has dropped them already.
    spec, study = plan.spec, plan.study
    loaded = hf.load(
        start or spec.model or spec.shape or {},
        task=study.task.head,
        labels=study.labels,
        layers=None if plan.stage_before else spec.layers,
        seed=plan.seed,
        tokenizer=study.encodings.tokenizer(spec),
    )

    # A student reads whole windows; only a teacher may have shorter ones.
    longest = loaded.model.config.max_length
    if study.recipe.max_length > longest:
        raise ConfigError(
            f"max_length = {study.recipe.max_length}, but '{spec.label}' reads at most "
            f"{longest} tokens: lower max_length"
        )
    return loaded


def train_teachers(
    study: Study, teachers: Teachers, plans: Sequence[TrainPlan], progress: Progress = silent
) -> None:
    """Make the teachers ready that work still to be done needs, fine-tuned or as they are.

    Where dev decides who teaches, they are needed even to know which student was recorded.
    Otherwise nothing is trained when every plan was recorded, or when none is a distillation.

    Args:
        study: its records say what is done.
        teachers: of the study; those that are made ready are added to them.
        plans: of the students.
        progress: called at every step of a training.
    """
    distilled = [plan.teaching for plan in plans if plan.teaching is not None]
    if not distilled:
        return

    recipe = study.recipe
    # The recipe's own choice too: it is the teacher that every student is compared with.
    choices = [recipe.distil, *(teaching.options for teaching in distilled)]
    undecided = any(teachers.is_open(options) for options in choices)
    todo = undecided or any(plan.key not in study.recorded for plan in plans)
    if _lost_teacher(study, teachers) or todo:
        make_ready(study, teachers, progress)


def _lost_teacher(study: Study, teachers: Teachers) -> bool:
    """Tell whether a teacher that was fine-tuned here is damaged, and say so.

    One that is gone altogether was perhaps removed to save room: it is made again when a student
    needs it.
    """
    lost = False
    for spec in study.recipe.teachers:
        if spec.label in teachers.keys and needs_finetuning(study, spec):
            plan = plan_teacher(study, spec)
            if plan.folder.exists() and (what := lost_model(plan)):
                log.warning("%s: it is trained again", what)
                lost = True
    return lost


def make_ready(study: Study, teachers: Teachers, progress: Progress = silent) -> None:
    """Fine-tune each teacher, or score it as it is, and add it to those that are ready."""
    for spec in study.recipe.teachers:
        key = teachers.keys[spec.label]
        if (given := teachers.given.get(spec.label)) is not None:
            teachers.add(judge_given(study, spec, key, given))
        else:
            teachers.add(_ready_teacher(study, spec, key, progress))


def _ready_teacher(study: Study, spec: TeacherSpec, key: str, progress: Progress) -> RankedTeacher:
    """Fine-tune a teacher, or score it as it is."""
    if not needs_finetuning(study, spec):
        return judge_teacher(study, spec, key)

    # Trained with our labels, so there is nothing to map.
    trained = train(plan_teacher(study, spec), progress)
    return RankedTeacher(
        spec=spec,
        key=key,
        folder=trained.folder,
        label_map={},
        dev=trained.dev[study.main],
        dev_loss=trained.dev_loss,
        seconds=trained.seconds,
    )


def _note_constant(plan: TrainPlan, best: Evaluation, *, answers: bool) -> dict[str, int]:
    """Warn of a model that gives every unit one label, and note it, where the loss has answers."""
    if not (best.uniform and answers):
        return {}

    log.warning(
        "%s gives every unit of dev the same label: it has learned nothing of use. %s",
        plan.name,
        _constant_remedy(plan),
    )
    return {"constant": 1}


def _constant_remedy(plan: TrainPlan) -> str:
    """Say what helps a model that gives every unit one label."""
    rate = f"Lower lr (now {plan.options.lr:g}), train longer, or warm up longer"

    # Where one label is nearly all there is, to say it always is what plain training asks for.
    study = plan.study
    counts = dict(zip(study.labels, study.class_counts, strict=True))
    label = max(counts, key=lambda each: counts[each])
    share = counts[label] / max(1, sum(counts.values()))
    if share < _MOST or plan.options.class_weights != "none":
        return rate
    return (
        f"'{label}' is {share:.0%} of train: give class_weights = 'balanced' under [train], and "
        f"metric = 'macro_f1' where the data are classified. Else: {rate.lower()}"
    )


def _write_result(plan: TrainPlan, trained: TrainedModel) -> None:
    """Write `trained.json`; from here on the training is done."""
    # Without the folder, so that a study can be moved.
    facts = asdict(trained)
    del facts["folder"]
    # With what the files weigh, so that one that is cut or gone is noticed.
    write_json(plan.folder / TRAINED, {**facts, "files": describe_files(trained.folder)})


def _prepare_folder(plan: TrainPlan) -> None:
    """Write the options; remove what a training with other inputs left, keep its own."""
    folder = plan.folder
    folder.mkdir(parents=True, exist_ok=True)
    # The key of the training that the folder belongs to.
    marker = folder / "key"
    if not marker.exists() or marker.read_text() != plan.key:
        for name in ("state.safetensors", "log.jsonl", TRAINED):
            (folder / name).unlink(missing_ok=True)
        write_text(marker, plan.key)

    # A model that was finished and has been lost since is trained from the beginning.
    elif (folder / TRAINED).exists():
        (folder / "state.safetensors").unlink(missing_ok=True)
        (folder / "log.jsonl").unlink(missing_ok=True)
        (folder / TRAINED).unlink()
    write_text(folder / "config.toml", _filled_options(plan))


def _filled_options(plan: TrainPlan) -> str:
    """Return the complete options of a plan as TOML, what it is on top."""
    # As comments: they are no options, but a person who opens the file wants to know.
    header = {
        "role": plan.role,
        "seed": plan.seed,
        "terms": list(plan.terms),
        **({"start": plan.start.name} if plan.start else {}),
        "model": plan.spec.model_dump(exclude_none=True),
    }
    lines = [f"# {k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in header.items()]
    return "".join(lines) + config.to_toml(plan.options)
