"""One pre-training from its recipe to its record, in a folder of its own.

folder/key            what the run depends on; another run is refused
folder/log.jsonl      steps, evaluations, events
folder/checkpoints/   to go on from
folder/model/         the weights as they are now
folder/record.jsonl   scores on held-out text; written last, so it says that all is done
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from destila import config, records
from destila.errors import ConfigError
from destila.files import locked, write_json, write_text
from destila.losses.weighted import build_loss
from destila.measuring import machine
from destila.measuring.size import weights_bytes
from destila.model_folder import read_folder
from destila.models import hf, store
from destila.models.macs import macs_of
from destila.models.mlm import MaskedModel
from destila.pretraining.corpora import Prepared, prepare_corpora
from destila.pretraining.data.batch_stream import BatchStream
from destila.pretraining.evaluator import PretrainEvaluator
from destila.pretraining.objective import OBJECTIVE
from destila.pretraining.packed import Batches
from destila.pretraining.pretrain_loop import PretrainStep, pretrain
from destila.pretraining.pretrain_recipe import PretrainRecipe
from destila.pretraining.setup import empty_like, set_up, start_fingerprints
from destila.pretraining.train_setup import load_weights
from destila.progress import Progress, silent
from destila.records import Cost, Provenance, Record, SplitScores, record_of
from destila.training.devices import device_label
from destila.training.precision import precision_for
from destila.training.processes import meet, processes
from destila.training.run_log import RunLog

log = logging.getLogger(__name__)

_LOG_EVERY = 10
"""Steps between lines of log.jsonl; evaluations, events and the last step are always logged."""


def run_pretraining(
    recipe: PretrainRecipe,
    name: str,
    folder: Path,
    *,
    minutes: float | None = None,
    progress: Progress = silent,
) -> Record | None:
    """Pre-train the model of a recipe, score it on held-out text and record it.

    Args:
        recipe: text, model, loss and stages.
        name: of the run, in its record.
        folder: of the run; a run that was stopped there goes on.
        minutes: stop after so many, with a checkpoint; None = run to the end.
        progress: called after every step.

    Returns:
        The record; None when the minutes were over before the end, and from all processes but the
        first one when there are several.
    """
    for path in _result_files(recipe):
        records.check_record_path(path)

    # One process of each machine makes tokenizer and corpora; the others wait for its lock, not in
    # a collective, whose patience is shorter than that of a corpus.
    prepared = prepare_corpora(recipe.tokenizer, recipe.corpora, progress)
    key = run_key(recipe, prepared)
    known = _known_record(folder, key)
    if known is not None:
        return known

    main = processes().is_main_process
    with _claimed(folder, key, recipe) if main else nullcontext():
        meet()
        run_log = RunLog(folder / "log.jsonl", counter="tokens")
        model, last = _train(recipe, name, folder, prepared, key, run_log, minutes, progress)
        if not main:
            return None

        # The model is there to be used even when the run is not at its end.
        spent = {} if last is None else _progress_of(last)
        facts = {"recipe": recipe.name, "run": name, "key": key, **spent}
        headless = not build_loss(recipe.terms).answers  # no term has trained the head
        store.save_model(
            model,
            prepared.tokenizer,
            folder / "model",
            extra={"pretraining": facts},
            headless=headless,
        )
        if last is not None and last.stopped != "done":
            return None

        record = _record(recipe, name, folder, prepared, key, model, run_log)
        # The folder's own record comes last: it says that all is done.
        for path in [*_result_files(recipe), folder / records.RECORD_FILE]:
            records.append_record(path, record)
        write_json(folder / "trained.json", {"key": key, **record.scores})
        return record


def share_model(model_folder: Path, out: Path, *, order: bool) -> None:
    """Write a model as it is now to another folder, in half precision.

    Args:
        model_folder: the model of a run.
        out: folder to write.
        order: whether the model has a head for sentence order.
    """
    model, tokenizer, _ = hf.load_masked(model_folder, order=order, head_required=False)
    info = read_folder(model_folder)
    facts = {"pretraining": info.extra["pretraining"]}
    headless = info.architecture.endswith("Model")
    store.save_model(model, tokenizer, out, extra=facts, half=True, headless=headless)


def run_key(recipe: PretrainRecipe, prepared: Prepared) -> str:
    """Return the digest of everything that the result of a run depends on.

    Names and places do not enter, nor how often it is saved; text and tokenizer enter by content.
    """
    apart = {"name", "out", "results", "runs", "corpora", "tokenizer"}
    settings = recipe.model_dump(mode="json", exclude=apart)
    for free in ("save_minutes", "keep", "parallel"):
        del settings["train"][free]
    # An option that is younger than many runs names itself only where it is used.
    if settings["model"]["embedding"] is None:
        del settings["model"]["embedding"]
    shards = [corpus.manifest["fingerprint"] for corpus in prepared.corpora]
    return config.fingerprint(
        settings, prepared.tokenizer.fingerprint, shards, start_fingerprints(recipe)
    )


def _train(
    recipe: PretrainRecipe,
    name: str,
    folder: Path,
    prepared: Prepared,
    key: str,
    run_log: RunLog,
    minutes: float | None,
    progress: Progress,
) -> tuple[MaskedModel, PretrainStep | None]:
    """Train until the end or until the minutes are over.

    Returns:
        The model of the newest checkpoint, and the last step; None when there was none left to do.
    """
    start = set_up(recipe, prepared, progress)
    stream = BatchStream(prepared.corpora, prepared.tokenizer, recipe.feed, seed=recipe.seed)
    evaluate = PretrainEvaluator(recipe, prepared.tokenizer, stream, start.model)
    steps = pretrain(
        start.model,
        OBJECTIVE,
        start.loss,
        Batches(stream, every=start.every),
        evaluate,
        recipe.train,
        seed=recipe.seed,
        folder=folder / "checkpoints",
        key=key,
        states=start.states,
        minutes=minutes,
    )

    last: PretrainStep | None = None
    for step in steps:
        last = step
        if processes().is_main_process:
            _write_log(run_log, step)
            progress(f"{name}: loss {step.loss:.2f}", step.step, step.steps)

    return load_weights(folder / "checkpoints", empty_like(start.model)), last


def _write_log(run_log: RunLog, step: PretrainStep) -> None:
    """Log a step: some of the losses, all events, all evaluations."""
    when = _progress_of(step)
    lines: list[dict[str, Any]] = []

    if step.step % _LOG_EVERY == 0 or step.stopped:
        losses = {"loss": step.loss, "parts": dict(step.parts), "lr": step.lr}
        lines.append({**when, "stage": step.stage, **losses})

    if step.event:
        log.warning("step %d: %s", step.step, step.event)
        lines.append({**when, "event": step.event})

    if step.evaluation is not None:
        scores = " ".join(f"{name} {value:.3f}" for name, value in step.evaluation.items())
        log.info("step %d of %d, %d tokens: %s", step.step, step.steps, step.tokens, scores)
        lines.append({**when, "evaluation": dict(step.evaluation)})

    run_log.append(step.tokens, lines)


def _progress_of(step: PretrainStep) -> dict[str, float]:
    return {"step": step.step, "tokens": step.tokens, "seconds": step.seconds}


def _record(
    recipe: PretrainRecipe,
    name: str,
    folder: Path,
    prepared: Prepared,
    key: str,
    model: MaskedModel,
    run_log: RunLog,
) -> Record:
    """Return the record of a finished run: the scores of its last evaluation, and what it cost."""
    last = [line for line in run_log.lines if "evaluation" in line][-1]
    events = [line["event"] for line in run_log.lines if "event" in line]
    device = processes().device
    stage = recipe.train.stages[-1]
    conditions = machine.conditions(
        device=device_label(device),
        threads=torch.get_num_threads(),
        batch=stage.rows,
        length=str(stage.length),
        dtype=precision_for(recipe.train.precision, device).dtype,
        backend="torch",
        warmup=0,
        repeats=1,
    )

    scores = SplitScores(
        task="mlm",
        dataset=" ".join(Path(c.folder or " ".join(c.files)).name for c in recipe.corpora),
        split="heldout",
        main="mlm_accuracy",
        scores=last["evaluation"],
    )
    cost = Cost(
        params=sum(p.numel() for p in model.parameters()),
        size_bytes=weights_bytes(folder / "model"),
        macs=macs_of(model.config, "tag", 9),
        conditions=conditions,
    )
    provenance = Provenance(
        key=key,
        study=recipe.name,
        run=name,
        role="distilled" if recipe.teacher.model else "pretrained",
        seed=recipe.seed,
        seconds=last["seconds"],
        config=recipe.model_dump(mode="json", exclude={"runs"}),
        code=machine.code_version(),
        details={
            "tokens": last["tokens"],
            "events": events,
            "corpora": [corpus.manifest["counts"] for corpus in prepared.corpora],
        },
    )
    source = recipe.model.source if recipe.model.shape is None else "shape"
    return record_of(source, scores, cost, provenance)


def _known_record(folder: Path, key: str) -> Record | None:
    """Return the record of this folder's run, or None while it has none.

    A record in `recipe.results` does not count: it may be of another machine, with half a run here.
    """
    path = folder / records.RECORD_FILE
    if not path.exists() or not (folder / "model").is_dir():
        return None
    known = [record for record in records.read_records(path) if record.key == key]
    return known[-1] if known else None


def _result_files(recipe: PretrainRecipe) -> list[Path]:
    return [Path(recipe.results) / f"{recipe.name}.jsonl"] if recipe.results else []


@contextmanager
def _claimed(folder: Path, key: str, recipe: PretrainRecipe) -> Iterator[None]:
    """Hold a folder for one run and one process, and save the filled recipe in it.

    Raises:
        ConfigError: it holds another run, which may be days of work, or another process trains
            there.
    """

    def refuse() -> None:
        raise ConfigError(
            f"another process trains in {folder}: wait for its end, or give this run another name"
        )

    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", refuse):
        marker = folder / "key"
        other = marker.exists() and marker.read_text(encoding="utf-8") != key
        if other and any(folder.glob("checkpoints/*")):
            raise ConfigError(
                f"{folder} holds a run of other text or with other options: "
                "give this one another name, or delete that folder"
            )
        write_text(marker, key)
        write_text(folder / "recipe.toml", config.to_toml(recipe))
        yield
