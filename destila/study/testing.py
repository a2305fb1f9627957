"""A finished model on a split: scores, size, MACs, memory -> one Record."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from destila import cpu
from destila.errors import ConfigError
from destila.files import write_text
from destila.inference.predictor import Predictor, RuntimePredictor
from destila.measuring import machine, memory
from destila.measuring.latency import PAPERS_LENGTH, using_threads
from destila.measuring.load import watched_load
from destila.measuring.protocols import (
    Protocol,
    model_alone,
    random_length,
    real_texts,
    time_protocol,
)
from destila.measuring.sample_texts import spread
from destila.measuring.targets import TimingTarget
from destila.measuring.torch_targets import predictor_target
from destila.records import Cost, Latency, Provenance, Record, SplitScores, record_of
from destila.study.planning.data import Study
from destila.study.wrong import write_wrong
from destila.tasks.case import CASES, change_case
from destila.training.devices import device_label, device_named
from destila.training.precision import precision_for
from destila.training.predict import TorchPredictor
from destila.types import Example, Prediction

log = logging.getLogger(__name__)

_WARMUP, _RANDOM_REPEATS = 10, 20
"""Untimed calls before each protocol, and timed ones on random ids."""


@dataclass(frozen=True, slots=True)
class MeasuredTimes:
    """Times of several models, in their order, and the load of the machine meanwhile."""

    latency: list[list[Latency]]
    load: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedModel:
    """What is tested, and what is known about it already.

    Args:
        key: fingerprint of everything the model depends on.
        run: "student-distilled-s0".
        role: "distilled".
        model: "student", as its seeds and roles share it.
        seed: 0.
        seconds: 312.5 of training.
        predictor: from texts to labels.
        params: 5_345_283 weights.
        size_bytes: 21_400_000 on disk.
        macs: {"linear_128": ...}; {} where only transformers knows the shape.
        config: {"model": ..., "terms": ...}, the settings of the run.
        details: {"dev": {"entity_f1": 0.8}}, whatever else the record keeps.
        folder: of a model that `destila predict` can load, to measure its memory; None: it is not
            measured.
        dtype: "float32".
    """

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
    folder: Path | None = None
    dtype: str = "float32"


def test(
    study: Study,
    tested: TestedModel,
    folder: Path | None,
    *,
    predictions: Sequence[Prediction] | None = None,
    teacher: Sequence[Prediction] | None = None,
    split: str = "test",
    measured: bool = True,
) -> Record:
    """Return the Record of a model on a split, without times; write its labels into a folder.

    `predictions.jsonl` has the labels of every example, `wrong.jsonl` the worst mistakes.

    Args:
        study: its data, task and options.
        tested: the model.
        folder: where the labels go; None: nowhere.
        predictions: of the split, where they are known already; None: they are made here.
        teacher: the teacher's on the same examples, for the agreement; None: there is none.
        split: "test", "dev", or that of all folds.
        measured: measure its memory too.
    """
    # Labels first, which are kept on disk whatever becomes of the measurements.
    examples = study.dataset.splits[split]
    if predictions is None:
        predictions = list(tested.predictor.predict(examples))

    # Agreement counts equal predictions, right or wrong.
    scores = study.task.score(examples, predictions, study.labels)
    if teacher is not None:
        scores["agreement"] = study.task.agreement(predictions, teacher)
    scores |= _scores_by_case(study, tested.predictor, examples)
    if folder is not None:
        _write_predictions(folder / "predictions.jsonl", examples, predictions)
        write_wrong(folder / "wrong.jsonl", examples, predictions, study.labels)

    return record_of(
        tested.model,
        SplitScores(
            task=study.task.name,
            dataset=study.dataset.name,
            split=split,
            main=study.main,
            scores=scores,
            details=study.task.details(examples, predictions, study.labels),
            items=study.task.items(examples, predictions, study.labels),
        ),
        _cost(study, tested, examples if measured else []),
        Provenance(
            key=tested.key,
            study=study.recipe.name,
            run=tested.run,
            role=tested.role,
            seed=tested.seed,
            seconds=tested.seconds,
            config=tested.config,
            code=machine.code_version(),
            details=tested.details | _scored_on(tested.predictor),
        ),
    )


def _scored_on(predictor: Predictor) -> dict[str, str]:
    """Say where a model was scored and in which precision, unless as everywhere: fp32 on a CPU."""
    if not isinstance(predictor, TorchPredictor) or predictor.precision.device.type == "cpu":
        return {}
    precision = predictor.precision
    return {"scored": f"{device_label(precision.device)}, {precision.dtype}"}


def _scores_by_case(
    study: Study, predictor: Predictor, examples: Sequence[Example]
) -> dict[str, float]:
    """Return the main score on texts in capitals and in lower case, for taggers; {} for others.

    A tagger leans on capital letters, and users write headlines, forms and messages without them.
    """
    if not study.task.needs_words:
        return {}

    scores = {}
    for case in CASES:
        texts = change_case(examples, case)
        scores[case] = study.task.score(texts, list(predictor.predict(texts)), study.labels)[
            study.main
        ]
    return scores


def _write_predictions(
    path: Path, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> None:
    """Write one JSON line per example: its id and the labels that it was given."""
    rows = [{"id": e.id, "labels": p.labels} for e, p in zip(examples, predictions, strict=True)]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def threads_of(study: Study, tested: TestedModel) -> int:
    """Return the threads with which a model is timed: the recipe's, else this process's."""
    # A session of a runtime has its own threads, which cannot be changed any more.
    if isinstance(tested.predictor, RuntimePredictor):
        return tested.predictor.threads
    return cpu.threads(study.recipe.measure.threads)


def measured_on(study: Study) -> torch.device:
    """Return the device on which models of torch are timed; raise ConfigError for none such."""
    return device_named(study.recipe.measure.device)


@contextmanager
def brought(models: Sequence[TestedModel], device: torch.device) -> Iterator[None]:
    """Have models of torch on a device meanwhile, in float32, as they are compared.

    One that predicts elsewhere goes back when it is next used there.
    """
    predictors = [m.predictor for m in models if isinstance(m.predictor, TorchPredictor)]
    before = [predictor.precision for predictor in predictors]
    for predictor in predictors:
        predictor.precision = precision_for("fp32", device)
        predictor.model.to(device)
    try:
        yield
    finally:
        for predictor, precision in zip(predictors, before, strict=True):
            predictor.precision = precision


def target_of(study: Study, tested: TestedModel) -> TimingTarget:
    """Return a model ready to be timed."""
    return predictor_target(
        tested.predictor,
        study.task,
        name=tested.run,
        params=tested.params,
        size_bytes=tested.size_bytes,
        dtype=tested.dtype,
    )


def time_together(
    study: Study, models: Sequence[TestedModel], examples: Sequence[Example]
) -> MeasuredTimes:
    """Time models in turns under the recipe's protocols, each model under those that it allows.

    Args:
        study: its options and lengths count.
        models: open already.
        examples: of the split; texts from all over it are timed.
    """
    options = study.recipe.measure
    examples = spread(examples, options.texts)
    threads = threads_of(study, models[0])
    with brought(models, measured_on(study)):
        targets = [target_of(study, model) for model in models]
        return _time_targets(study, targets, examples, threads)


def _time_targets(
    study: Study, targets: Sequence[TimingTarget], examples: Sequence[Example], threads: int
) -> MeasuredTimes:
    """Time targets that are where they are timed."""
    options = study.recipe.measure
    latency: list[list[Latency]] = [[] for _ in targets]

    # The model without its tokenizer where it can be called alone, and 512 ids where it reads them.
    alone = [i for i, target in enumerate(targets) if target.forward is not None]
    long = [i for i in alone if options.padded_512 and targets[i].longest >= PAPERS_LENGTH]
    plans: list[tuple[Sequence[int], Callable[[list[TimingTarget]], Protocol]]] = [
        (range(len(targets)), lambda some: real_texts(some, examples, options.repeats)),
        (alone, lambda some: model_alone(some, examples, options.repeats)),
        (long, lambda some: random_length(some, PAPERS_LENGTH, _RANDOM_REPEATS)),
    ]

    with (
        watched_load() as load,
        using_threads(threads, torch.get_num_threads, torch.set_num_threads),
        torch.no_grad(),
    ):
        for chosen, plan in plans:
            some = [targets[i] for i in chosen]
            if not some:
                continue
            _, timed = time_protocol(some, plan(some), warmup=_WARMUP, threads=threads)
            for i, each in zip(chosen, timed, strict=True):
                latency[i].append(each)
    return MeasuredTimes(latency, {**load, "together": len(targets)})


def timed_alone(
    study: Study, tested: TestedModel, record: Record, examples: Sequence[Example]
) -> Record:
    """Return the record of a model with its times, taken without any other model beside it."""
    if not study.recipe.measure.texts:
        return record
    times = time_together(study, [tested], examples)
    details = {**record.details, "timing": times.load}
    return replace(record, latency=times.latency[0], details=details)


def _cost(study: Study, tested: TestedModel, examples: Sequence[Example]) -> Cost:
    """Return what a model costs, without times; without examples no memory either."""
    # What must be equal for times to be comparable.
    target = target_of(study, tested)
    by_torch = isinstance(tested.predictor, TorchPredictor)
    device = device_label(measured_on(study)) if by_torch else target.device
    conditions = machine.conditions(
        device=device,
        threads=threads_of(study, tested),
        batch=1,
        length=f"max {study.recipe.max_length}",
        dtype=target.dtype,
        backend=target.backend,
        warmup=0,
        repeats=0,
    )
    return Cost(
        params=tested.params,
        size_bytes=tested.size_bytes,
        macs=tested.macs,
        conditions=conditions,
        peak_memory_bytes=_peak_memory(tested.folder, examples) or 0 if examples else 0,
    )


def _peak_memory(folder: Path | None, examples: Sequence[Example]) -> int | None:
    """Return the peak bytes of a new process that labels a hundred test texts with the model.

    None when that fails. That process reads windows as long as the folder says, which may be less
    than the recipe's: scores are not lost for it.
    """
    if folder is None:
        return None

    # In a process of its own, where nothing else has taken memory before.
    try:
        return memory.peak_of_labelling(folder, spread(examples, 100))
    except ConfigError as error:
        log.warning("memory is not measured: %s", error)
        return None
