"""One training job: a model, its data and its loss -> a run folder that can be killed and started again.

A job may start from the weights that another one kept, which is then done first.

<folder>/config.toml        the filled options
<folder>/log.jsonl          loss, learning rate, dev scores; replayed steps replace what a kill left behind
<folder>/state.safetensors  while it runs
<folder>/best/              the model folder of the best dev evaluation
<folder>/trained.json       written last: key, dev scores, seconds; the job is done when it names its key
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila import config
from destila.errors import ConfigError
from destila.files import write_json, write_text
from destila.models import hf, store
from destila.models.weights import weights_fingerprint
from destila.progress import Progress, silent
from destila.study.augmented import Made
from destila.study.data import Study
from destila.study.logbook import Evaluator, Logbook
from destila.study.recipe import ModelSpec
from destila.study.supervision import Inside, loss_of
from destila.tokenizer.tokenizer import load_tokenizer
from destila.training.batches import TeacherLogits
from destila.training.loop import Step, TrainData, fit
from destila.training.options import TrainOptions
from destila.training.processes import processes
from destila.types import Example

log = logging.getLogger(__name__)

SETTINGS = {"name", "train", "distil", "compare"}
"""Fields of a model's table that say how it is trained, which the filled options say, and not what it is."""


@dataclass(frozen=True, slots=True)
class Teaching:
    """What teachers say about the training examples (unlabelled ones included), asked for only when a job starts.

    key: names the teachers, and how and in which precision they are heard where that is not the usual way.
    teach: gives `TrainData.teacher` for the examples that a job trains on. inside: for terms that look inside a teacher.
    """

    key: str
    teach: Callable[[Sequence[Example]], TeacherLogits]
    inside: Inside


@dataclass(frozen=True, slots=True)
class Job:
    """What to train. role: teacher, finetuned or distilled. terms: tables of `losses.mix.mix`.

    unlabelled: texts beside the training split, which only a teacher labels. made: further ones that are made from it
    when the job starts. labelled: whether the training split
    itself is trained on. start: the job whose weights this one starts from; None: those of the spec.
    """

    folder: Path
    role: str
    spec: ModelSpec
    options: TrainOptions
    seed: int
    terms: tuple[dict[str, Any], ...] = ({"use": "hard"},)
    teaching: Teaching | None = None
    unlabelled: Sequence[Example] = ()
    made: Made | None = None
    labelled: bool = True
    start: Job | None = None

    @property
    def chain(self) -> list[Job]:
        """The jobs before this one, in order, and this one."""
        return [*(self.start.chain if self.start else ()), self]

    def examples(self, study: Study) -> list[Example]:
        """What it trains on."""
        made = self.made.examples() if self.made else ()
        return [*(study.dataset.splits["train"] if self.labelled else ()), *self.unlabelled, *made]

    def size(self, study: Study) -> int:
        """On how many examples it trains, at most; nothing is made to know it."""
        made = self.made.planned if self.made else 0
        return len(study.dataset.splits["train"]) * self.labelled + len(self.unlabelled) + made


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished job. key names everything it depends on; dev: the evaluation of the kept checkpoint."""

    key: str
    model: Path
    dev: dict[str, float]
    dev_loss: float
    seconds: float
    notes: dict[str, int]


def key_of(study: Study, job: Job) -> str:
    """Names everything that the job's result depends on."""
    source = weights_fingerprint(job.spec.model) if job.spec.model else ""
    teacher = job.teaching.key if job.teaching else ""
    spec = job.spec.model_dump(exclude=SETTINGS)
    return config.fingerprint(
        study.fingerprint,
        spec,
        source,
        job.options.model_dump(exclude={"save_minutes"}),
        job.seed,
        job.terms,
        teacher,
        [e.text for e in job.unlabelled],
        *_files(job),
        *([job.made.key] if job.made else []),
        *([] if job.labelled else ["unlabelled alone"]),
        *([key_of(study, job.start)] if job.start else []),
    )


def _files(job: Job) -> list[str]:
    """Contents that the job's tables only name: a tokenizer's folder, the user's own loss terms."""
    found = (
        [load_tokenizer(job.spec.tokenizer).fingerprint]
        if isinstance(job.spec.tokenizer, str)
        else []
    )
    own = [Path(term["use"]) for term in job.terms if str(term.get("use", "")).endswith(".py")]
    return found + [path.read_text(encoding="utf-8") for path in own if path.is_file()]


def finished(study: Study, job: Job) -> Trained | None:
    """The job's result when it was done before with the same inputs."""
    path = job.folder / "trained.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    same = found["key"] == key_of(study, job) and (job.folder / "best").is_dir()
    return Trained(**{**found, "model": job.folder / "best"}) if same else None


def train(study: Study, job: Job, progress: Progress = silent) -> Trained:
    """Train the job and those before it, or return its result if it is done; resumes a killed one."""
    done = finished(study, job)
    if done is not None:
        return done
    before = train(study, job.start, progress) if job.start else None
    key = key_of(study, job)
    main = processes().is_main_process
    if main:
        _clear_other(job.folder, key)
        write_text(job.folder / "config.toml", _filled(job))
    processes().wait_for_everyone()
    loaded = load(study, job, before.model if before else None)
    model, tokenizer = loaded.model, loaded.tokenizer
    examples = job.examples(study)
    encoded = study.encode_train(tokenizer, examples)
    loss, insight = loss_of(study, job, loaded, examples, encoded.features)
    teach = job.teaching.teach(examples) if job.teaching and loss.needs_signal else None
    length = study.recipe.max_length if loss.padded else 0
    data = TrainData(encoded.features, tokenizer.pad_id, teach, insight, length)
    evaluator = Evaluator(study, model, tokenizer, job.options, judged=loss.answers)
    book = Logbook(job.folder, f"{job.folder.name}")
    best = book.best()
    state = job.folder / "state.safetensors"
    steps = fit(
        model, study.task, loss, data, evaluator, job.options, seed=job.seed, state=state, key=key
    )
    for step in steps:
        if step.best:
            best = step.evaluation
            if main:
                store.save_model(model, tokenizer, job.folder / "best", extra=study.facts)
        if main:
            book.write(step)
            progress(_say(job, step), step.step, step.steps)
    processes().wait_for_everyone()
    assert best is not None, "a run ends with an evaluation"
    notes = {**encoded.notes, "features": len(encoded.features)}
    if best.uniform and loss.answers:
        notes["constant"] = 1
        log.warning(
            "%s gives every unit of dev the same label: it has learned nothing of use. Lower lr (now %g), train longer, "
            "or warm up longer",
            job.folder.name,
            job.options.lr,
        )
    result: dict[str, Any] = {
        "key": key,
        "dev": dict(best.scores),
        "dev_loss": best.loss,
        "seconds": book.seconds + (before.seconds if before else 0.0),
        "notes": notes,
    }
    if main:
        write_json(job.folder / "trained.json", result)
        state.unlink(missing_ok=True)
    processes().wait_for_everyone()
    return Trained(**{**result, "model": job.folder / "best"})


def load(study: Study, job: Job, start: Path | None = None) -> hf.Loaded:
    """The job's model before training; raises ConfigError when it cannot read windows of the recipe's length.

    start: the model folder it starts from; None: the weights or the shape of its spec.
    """
    loaded = hf.load(
        start or job.spec.model or job.spec.shape or {},
        task=study.dataset.task,
        labels=study.labels,
        layers=None if start else job.spec.layers,
        seed=job.seed,
        tokenizer=study.tokenizer(job.spec),
    )
    longest = loaded.model.config.max_length
    if study.recipe.max_length > longest:
        raise ConfigError(
            f"max_length = {study.recipe.max_length}, but '{job.spec.label}' reads at most {longest} tokens: lower max_length"
        )
    return loaded


def _clear_other(folder: Path, key: str) -> None:
    """Forget the leftovers of a job with other inputs; keep those of this one, to resume."""
    folder.mkdir(parents=True, exist_ok=True)
    for partial in folder.glob(".best.*"):  # a kill in the middle of saving
        shutil.rmtree(partial)
    marker = folder / "key"
    if not marker.exists() or marker.read_text() != key:
        for name in ("state.safetensors", "log.jsonl", "trained.json"):
            (folder / name).unlink(missing_ok=True)
        marker.write_text(key)


def _filled(job: Job) -> str:
    """The job's complete options as TOML, its identity on top."""
    header = {
        "role": job.role,
        "seed": job.seed,
        "terms": list(job.terms),
        **({"start": job.start.folder.name} if job.start else {}),
        "model": job.spec.model_dump(exclude_none=True),
    }
    return "".join(
        f"# {k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in header.items()
    ) + config.to_toml(job.options)


def _say(job: Job, step: Step) -> str:
    return f"{job.folder.name}: epoch {step.epoch + 1}/{job.options.epochs}"
