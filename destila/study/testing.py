"""A finished model on the test split: scores, size, MACs, latency, memory -> one Record."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from destila.cpu import available as threads_available
from destila.errors import ConfigError
from destila.files import write_text
from destila.inference.predictor import RuntimePredictor
from destila.measuring import machine, memory
from destila.measuring.latency import PAPERS_LENGTH, using_threads
from destila.measuring.profile import profile
from destila.measuring.sample_texts import spread, text_file
from destila.model_folder import read_folder
from destila.records import Conditions, Latency, Record
from destila.study.data import Study
from destila.tokenizer.tokenizer import Tokenizer
from destila.training.batches import collate
from destila.training.predict import TorchPredictor
from destila.types import Example, Features, Prediction, Predictor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TestedModel:
    """What is assessed and what is known about it already."""

    key: str
    run: str
    role: str
    model: str
    seed: int
    seconds: float
    predictor: Predictor
    params: int
    size_bytes: int
    macs: dict[str, int]
    config: dict[str, Any]
    details: dict[str, Any]
    folder: Path | None = None  # of a model that `destila predict` can load, to measure its memory
    backend: str = ""  # of an exported model
    dtype: str = "float32"


def assess(
    study: Study,
    subject: TestedModel,
    folder: Path,
    *,
    predictions: Sequence[Prediction] | None = None,
    teacher: Sequence[Prediction] | None = None,
    split: str = "test",
    measured: bool = True,
) -> Record:
    """The Record of a predictor on a split; writes its labels to `folder/predictions.jsonl`.

    predictions: of the split, where they are known already. teacher: the teacher's on the same examples, for the
    agreement. measured: time it too.
    """
    examples = study.dataset.splits[split]
    predictions = list(subject.predictor.predict(examples)) if predictions is None else predictions
    scores = study.task.score(examples, predictions, study.labels)
    if teacher is not None:
        scores["agreement"] = study.task.agreement(predictions, teacher)
    _write_predictions(folder / "predictions.jsonl", examples, predictions)
    latency, conditions = _time(study, subject, examples if measured else [])
    details = {**subject.details, **study.task.details(examples, predictions, study.labels)}
    return Record(
        key=subject.key,
        study=study.recipe.name,
        run=subject.run,
        role=subject.role,
        model=subject.model,
        task=study.task.name,
        dataset=study.dataset.name,
        split=split,
        main=study.main,
        scores=scores,
        params=subject.params,
        size_bytes=subject.size_bytes,
        macs=subject.macs,
        latency=latency,
        peak_memory_bytes=_peak_memory(subject.folder, examples) or 0 if measured else 0,
        seed=subject.seed,
        seconds=subject.seconds,
        conditions=conditions,
        config=subject.config,
        code=machine.code_version(),
        details=details,
        items=study.task.items(examples, predictions, study.labels),
    )


def _write_predictions(
    path: Path, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> None:
    lines = [{"id": e.id, "labels": p.labels} for e, p in zip(examples, predictions, strict=True)]
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _time(
    study: Study, subject: TestedModel, examples: Sequence[Example]
) -> tuple[list[Latency], Conditions]:
    """Latencies under the recipe's protocols, and the conditions all numbers of the record share."""
    options = study.recipe.measure
    predictor = subject.predictor
    threads = options.threads or threads_available()
    if isinstance(predictor, RuntimePredictor):
        threads = predictor.threads
    backend = subject.backend or ("torch" if isinstance(predictor, TorchPredictor) else "sklearn")
    where: dict[str, Any] = {
        "device": "cpu",
        "threads": threads,
        "dtype": subject.dtype,
        "backend": backend,
    }
    length = f"max {study.recipe.max_length}"
    shared = machine.conditions(**where, batch=1, length=length, warmup=0, repeats=0)
    if not options.texts or not examples:
        return [], shared
    chosen = spread(examples, options.texts)
    timed: dict[str, Any] = {}
    if isinstance(predictor, TorchPredictor | RuntimePredictor):
        timed = _model_calls(study, predictor, chosen, subject.folder, padded=options.padded_512)
    with using_threads(threads, torch.get_num_threads, torch.set_num_threads):
        found = profile(
            lambda e: list(predictor.predict([e])),
            chosen,
            threads=threads,
            dtype=subject.dtype,
            backend=backend,
            texts=options.texts,
            repeats=options.repeats,
            papers_repeats=20,
            **timed,
        )
    return found, shared


def _model_calls(
    study: Study,
    predictor: TorchPredictor | RuntimePredictor,
    chosen: Sequence[Example],
    folder: Path | None,
    *,
    padded: bool,
) -> dict[str, Any]:
    """Calls of the model alone, on real windows and on the papers' 512 random ids."""
    tokenizer = predictor.tokenizer
    encoded = study.task.encode(chosen, tokenizer, study.labels, max_length=predictor.max_length)
    windows: dict[str, list[Features]] = {e.id: [] for e in chosen}
    for f in encoded.features:
        windows[chosen[f.row].id].append(f)
    lengths = [sum(len(f.input_ids) for f in windows[e.id]) for e in chosen]
    if isinstance(predictor, RuntimePredictor):
        forward: Callable[[Sequence[Features]], object] = predictor.logits
        positions = (
            int(read_folder(folder).config.get("max_position_embeddings", 0)) if folder else 0
        )
    else:
        model = predictor.model.eval()
        forward = partial(_forward, model, tokenizer)
        positions = getattr(getattr(model, "config", None), "positions", 0)
    calls: dict[str, Any] = {
        "model_only": lambda e: partial(forward, windows[e.id]),
        "lengths": lengths,
    }
    if padded and positions >= PAPERS_LENGTH:
        calls["random_512"] = partial(forward, [_random_window(tokenizer)])
    return calls


@torch.no_grad()
def _forward(model: nn.Module, tokenizer: Tokenizer, windows: Sequence[Features]) -> None:
    model(collate(windows, tokenizer.pad_id))


def _random_window(tokenizer: Tokenizer) -> Features:
    ids = np.random.default_rng(0).integers(0, tokenizer.vocab_size, PAPERS_LENGTH).astype(np.int32)
    ids[ids == tokenizer.pad_id] = tokenizer.unk_id
    unit = np.full(PAPERS_LENGTH, -1, np.int32)
    unit[0] = 0
    nothing = np.zeros(PAPERS_LENGTH, np.int32)
    return Features(
        row=0,
        window=0,
        input_ids=ids,
        type_ids=nothing,
        spans=np.zeros((PAPERS_LENGTH, 2), np.int32),
        unit=unit,
        start=0,
        owned=np.ones(1, bool),
        target=np.zeros(1, np.int32),
    )


def _peak_memory(folder: Path | None, examples: Sequence[Example]) -> int | None:
    """Peak resident bytes of a new process that labels a hundred test texts with the model; None when that fails.

    That process reads windows as long as the folder says, which may be less than the recipe's: scores are not lost for it.
    """
    if folder is None:
        return None
    with text_file(spread(examples, 100)) as path:
        try:
            return memory.peak_of(
                [sys.executable, "-m", "destila", "predict", str(folder), str(path)]
            )
        except ConfigError as error:
            log.warning("memory is not measured: %s", error)
            return None
