"""`destila pretrain`: raw text in, a pre-trained encoder out; with a teacher, a distilled one that knows no task yet.

    runs/NAME/recipe.toml           the filled recipe
    runs/NAME/[RUN/]log.jsonl       steps, evaluations, what happened
    runs/NAME/[RUN/]checkpoints/    to go on from, after a kill or for another sitting
    runs/NAME/[RUN/]model/          what `model = "..."` of any other recipe takes
    runs/NAME/[RUN/]record.jsonl    its scores on held-out text

A recipe with [[runs]] makes one after the other, each in a folder of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from destila import config, records
from destila.config import Options, opt
from destila.errors import ConfigError
from destila.files import locked, read_log, write_json, write_text
from destila.measuring import machine
from destila.measuring.size import weights_bytes
from destila.model_folder import read_folder
from destila.models import hf, store
from destila.models.macs import macs_of
from destila.models.mlm import MaskedModel
from destila.pretraining import heldout, probe, setup
from destila.pretraining.corpora import Prepared, prepare_corpora
from destila.pretraining.data.batches import BatchStream
from destila.pretraining.loop import PretrainStep, load_weights, pretrain
from destila.pretraining.objective import TASK
from destila.pretraining.packed import Batches, batch_of, split_rows
from destila.pretraining.recipe import PretrainRecipe, variants
from destila.progress import Progress, silent
from destila.report import pretraining
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_marks import characters_per_piece, read_word_marks
from destila.training import heap
from destila.training.optim import autocast_precision
from destila.training.processes import processes
from destila.types import Record

log = logging.getLogger(__name__)

_LOG_EVERY = 10
"""Steps between lines of log.jsonl; evaluations, events and the end of a sitting are always logged."""

_ROWS = 64
"""Rows of held-out text that are read at once."""


class Config(Options):
    """Arguments of the verb."""

    recipe: str = opt(..., "recipe (TOML)")
    set: tuple[str, ...] = opt((), "overrides, key=value")
    minutes: float | None = opt(
        None, "end this sitting after so many minutes of training; none = run to the end", gt=0
    )
    share: str | None = opt(None, "write the model to this folder too, in half precision")


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """study, rows (one per run) and lines to say; of several processes the first one has them.

    A run that is done is not done again; one that was killed, or whose minutes were over, goes on. Raises ConfigError,
    DataError, ModelError, TrainingError.
    """
    heap.keep()
    rows, lines = [], []
    every = variants(arguments.recipe, arguments.set)
    several = len(every) > 1 or bool(every[0][1].runs)
    if arguments.share is not None and several:
        raise ConfigError(
            f"--share writes one model and {arguments.recipe} makes {len(every)}: drop it or its [[runs]]"
        )
    study = Path(every[0][1].out) / every[0][1].name
    for name, recipe in every:
        one = _Run(name, recipe, study / name if several else study, progress)
        record = one.record(arguments.minutes)
        if arguments.share is not None and processes().is_main_process:
            one.share(Path(arguments.share))
            lines.append(f"shared: {arguments.share}")
        if not processes().is_main_process:
            continue
        if record is None:
            lines.append(f"{name}: not at its end yet; the same command goes on")
            continue
        rows.append(
            {
                "run": name,
                "tokens": record.details["tokens"],
                "minutes": record.seconds / 60,
                **record.scores,
            }
        )
        lines.append(f"model: {one.folder / 'model'}")
    if processes().is_main_process:
        lines += [f"report: {path}" for path in pretraining.write(study)]
    return {"study": study.name, "rows": rows, "lines": lines}


@dataclass(frozen=True, slots=True)
class _Run:
    """One pre-training, in its folder."""

    name: str
    recipe: PretrainRecipe
    folder: Path
    progress: Progress

    def record(self, minutes: float | None) -> Record | None:
        """The record of the finished run; None when the minutes were over before."""
        for path in self._results():
            records.check(path)
        with processes().main_process_first():  # the others find in the cache what it makes
            found = prepare_corpora(self.recipe.tokenizer, self.recipe.corpora, self.progress)
        key = self._key(found)
        known = self._known(key)
        if known is not None:
            return known
        with self._claimed(key) if processes().is_main_process else nullcontext():
            return self._trained(key, found, minutes)

    def _trained(self, key: str, found: Prepared, minutes: float | None) -> Record | None:
        processes().wait_for_everyone()
        recipe = self.recipe
        begun = setup.set_up(recipe, found, self.progress)
        feed = BatchStream(found.corpora, found.tokenizer, recipe.feed, seed=recipe.seed)
        source = Batches(feed, every=begun.insight is not None and begun.every)
        look = _Look(recipe, found.tokenizer, feed, begun.model)
        book = _Book(self.folder / "log.jsonl")
        last: PretrainStep | None = None
        for step in pretrain(
            begun.model,
            TASK,
            begun.loss,
            source,
            look,
            recipe.train,
            seed=recipe.seed,
            folder=self.folder / "checkpoints",
            key=key,
            insight=begun.insight,
            minutes=minutes,
        ):
            last = step
            if processes().is_main_process:
                book.write(step)
                self.progress(f"{self.name}: loss {step.loss:.2f}", step.step, step.steps)
        model = load_weights(self.folder / "checkpoints", setup.empty_like(begun.model))
        if not processes().is_main_process:
            return None
        store.save(
            model,
            found.tokenizer,
            self.folder / "model",
            extra={"pretraining": self._facts(key, last)},
        )
        return (
            self._recorded(key, found, model, book)
            if last is None or last.stopped == "done"
            else None
        )

    def share(self, folder: Path) -> None:
        """Nothing; the model as it is now, in half precision, in another folder."""
        model, tokenizer, _ = hf.load_masked(self.folder / "model", order=self.recipe.model.order)
        facts = {"pretraining": read_folder(self.folder / "model").extra["pretraining"]}
        store.save(model, tokenizer, folder, extra=facts, half=True)

    def _key(self, found: Prepared) -> str:
        """Names everything that the result depends on."""
        said = self.recipe.model_dump(
            mode="json", exclude={"name", "out", "results", "runs", "corpora", "tokenizer"}
        )
        for free in ("save_minutes", "keep", "parallel"):
            del said["train"][free]
        shards = [corpus.manifest["fingerprint"] for corpus in found.corpora]
        return config.fingerprint(
            said, found.tokenizer.fingerprint, shards, setup.fingerprints(self.recipe)
        )

    def _known(self, key: str) -> Record | None:
        """The record of this folder's run; one in `results` may be of another machine, with half a run in this folder."""
        path = self.folder / records.RECORD_FILE
        known = [r for r in records.read(path) if r.key == key] if path.exists() else []
        return known[-1] if known and (self.folder / "model").is_dir() else None

    def _results(self) -> list[Path]:
        return (
            [Path(self.recipe.results) / f"{self.recipe.name}.jsonl"] if self.recipe.results else []
        )

    @contextmanager
    def _claimed(self, key: str) -> Iterator[None]:
        """The folder is this run's and this process's.

        Raises ConfigError when it holds another one, which may be days of work, or another process trains in it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock", self._refuse):
            self._mark(key)
            yield

    def _refuse(self) -> None:
        raise ConfigError(
            f"another process trains in {self.folder}: wait for its end, or give this run another name"
        )

    def _mark(self, key: str) -> None:
        marker = self.folder / "key"
        if (
            marker.exists()
            and marker.read_text(encoding="utf-8") != key
            and any(self.folder.glob("checkpoints/*"))
        ):
            raise ConfigError(
                f"{self.folder} holds a run of other text or with other options: give this one another name, or delete "
                "that folder"
            )
        write_text(marker, key)
        write_text(self.folder / "recipe.toml", config.to_toml(self.recipe))

    def _facts(self, key: str, last: PretrainStep | None) -> dict[str, Any]:
        facts = (
            {}
            if last is None
            else {"steps": last.step, "tokens": last.tokens, "seconds": last.seconds}
        )
        return {"recipe": self.recipe.name, "run": self.name, "key": key, **facts}

    def _recorded(self, key: str, found: Prepared, model: MaskedModel, book: _Book) -> Record:
        last = book.last_evaluation()
        record = Record(
            key=key,
            study=self.recipe.name,
            run=self.name,
            role="distilled" if self.recipe.teacher.model else "pretrained",
            model=self.recipe.model.source if self.recipe.model.shape is None else "shape",
            task="mlm",
            dataset=" ".join(Path(c.folder or " ".join(c.files)).name for c in self.recipe.corpora),
            split="heldout",
            main="mlm_accuracy",
            scores=last["evaluation"],
            params=sum(p.numel() for p in model.parameters()),
            size_bytes=weights_bytes(self.folder / "model"),
            macs=macs_of(model.config, "tag", 9),
            latency=(),
            peak_memory_bytes=0,
            seed=self.recipe.seed,
            seconds=last["seconds"],
            conditions=machine.conditions(
                device="cuda" if torch.cuda.is_available() else "cpu",
                threads=torch.get_num_threads(),
                batch=self.recipe.train.stages[-1].rows,
                length=str(self.recipe.train.stages[-1].length),
                dtype="bfloat16"
                if autocast_precision(self.recipe.train.precision, _device(model)) == "bf16"
                else "float32",
                backend="torch",
                warmup=0,
                repeats=1,
            ),
            config=self.recipe.model_dump(mode="json", exclude={"runs"}),
            code=machine.code_version(),
            details={
                "tokens": last["tokens"],
                "events": book.events(),
                "corpora": [c.manifest["counts"] for c in found.corpora],
            },
        )
        # The folder's comes last: it says that all is done.
        for path in [*self._results(), self.folder / records.RECORD_FILE]:
            records.append(path, record)
        write_json(self.folder / "trained.json", {"key": key, **record.scores})
        return record


def _device(model: torch.nn.Module) -> torch.device:
    return next(model.parameters()).device


class _Look:
    """Scores on held-out text, and every so often a probe, of the weights as they are when it is called."""

    def __init__(
        self, recipe: PretrainRecipe, tokenizer: Tokenizer, feed: BatchStream, model: MaskedModel
    ) -> None:
        self.recipe, self.model = recipe, model
        table = recipe.evaluation
        self.batches = list(
            split_rows(batch_of(feed.heldout(length=table.length, tokens=table.tokens)), _ROWS)
        )
        self.marks, self.characters = read_word_marks(tokenizer), characters_per_piece(tokenizer)
        self.probe = probe.prepare_probe(table.probe, tokenizer, model.config.max_length)
        for note in self.probe.notes:
            log.info("%s", note)
        self.shared_out = recipe.train.parallel == "fsdp" and processes().num_processes > 1
        if self.shared_out:
            log.info(
                "no probe while the weights are shared out among processes: 'destila probe' looks at the model"
            )

    def __call__(self, step: int) -> dict[str, float]:
        """The scores after so many steps."""
        train, every = self.recipe.train, self.recipe.evaluation.probe_every
        autocast = (
            torch.bfloat16
            if autocast_precision(train.precision, _device(self.model)) == "bf16"
            else None
        )
        depth = self.model.encoder.depth
        self.model.encoder.depth = self.model.config.layers
        found = heldout.evaluate_heldout(
            self.model, self.batches, self.marks, self.characters, autocast=autocast
        )
        due = step == train.steps or (every and step // train.evaluate_every % every == 0)
        if due and not self.shared_out:
            found |= self.probe.scores(self.model.encoder, autocast=autocast)
        self.model.encoder.depth = depth
        return found


class _Book:
    """log.jsonl of a run; lines of steps that are run again after a kill are dropped first."""

    def __init__(self, path: Path) -> None:
        self.path, self.fresh = path, True

    def lines(self) -> list[dict[str, Any]]:
        """What it holds."""
        return read_log(self.path)

    def last_evaluation(self) -> dict[str, Any]:
        """The line of the last evaluation."""
        return [line for line in self.lines() if "evaluation" in line][-1]

    def events(self) -> list[str]:
        """What happened."""
        return [line["event"] for line in self.lines() if "event" in line]

    def write(self, step: PretrainStep) -> None:
        """Appends a step."""
        if self.fresh:
            kept = [line for line in self.lines() if line["tokens"] < step.tokens]
            write_text(
                self.path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
            )
            self.fresh = False
        when = {"step": step.step, "tokens": step.tokens, "seconds": step.seconds}
        found: list[Mapping[str, Any]] = []
        if step.step % _LOG_EVERY == 0 or step.stopped:
            found.append(
                {
                    **when,
                    "stage": step.stage,
                    "loss": step.loss,
                    "parts": dict(step.parts),
                    "lr": step.lr,
                }
            )
        if step.event:
            log.warning("step %d: %s", step.step, step.event)
            found.append({**when, "event": step.event})
        if step.evaluation is not None:
            scores = " ".join(f"{name} {value:.3f}" for name, value in step.evaluation.items())
            log.info("step %d of %d, %d tokens: %s", step.step, step.steps, step.tokens, scores)
            found.append({**when, "evaluation": dict(step.evaluation)})
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in found)
