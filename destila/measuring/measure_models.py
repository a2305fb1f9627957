"""Several models side by side: protocols that suit them, and a Record without scores of each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from destila import config
from destila.errors import require
from destila.measuring import machine, memory, protocols
from destila.measuring.energy import energy_of
from destila.measuring.latency import PAPERS_LENGTH, ratios_to_first
from destila.measuring.protocols import Protocol
from destila.measuring.targets import TimingTarget
from destila.models.macs import macs_of
from destila.records import Cost, Latency, Provenance, Record, SplitScores, record_of
from destila.tasks import task_of
from destila.types import Example


def plan_protocols(
    targets: Sequence[TimingTarget],
    examples: Sequence[Example],
    *,
    text_repeats: int,
    lengths: Sequence[int] | None,
    length_repeats: int,
    batch: int = 0,
    ner: bool = False,
) -> list[Protocol]:
    """Return what is timed of some models.

    Args:
        targets: the models.
        examples: texts; none: random ids alone.
        text_repeats: how often the texts are timed.
        lengths: tokens of windows for the model alone, of the texts or else random; None: 512
            random ids, or as many as the shortest model reads.
        length_repeats: how often such a window is timed.
        batch: texts at once, for the throughput; 0 leaves it out.
        ner: also the 100 test sentences of CoNLL-2002.

    Raises:
        ConfigError: a preset is to read texts, or a model is shorter than a length.
    """
    # Real texts, where there are any.
    plan: list[Protocol] = []
    if examples:
        plan.append(protocols.real_texts(targets, examples, text_repeats))
        plan.append(protocols.model_alone(targets, examples, text_repeats))
    if examples and batch:
        plan.append(protocols.throughput(targets, examples, text_repeats, batch))

    # The model alone at fixed lengths: of the texts, else on random ids.
    if lengths is None:
        longest = min(PAPERS_LENGTH, *(target.longest for target in targets))
        plan.append(protocols.random_length(targets, longest, length_repeats))
    for length in lengths or ():
        if examples:
            plan.append(protocols.fixed_length(targets, examples, length, length_repeats))
        else:
            plan.append(protocols.random_length(targets, length, length_repeats))

    return [*plan, protocols.ner_sentences(targets)] if ner else plan


def measure_models(
    targets: Sequence[TimingTarget],
    plan: Sequence[Protocol],
    examples: Sequence[Example],
    *,
    names: Sequence[str],
    dataset: str,
    settings: Mapping[str, Any],
    warmup: int,
    repeats: int,
    threads: int,
) -> tuple[list[Record], list[dict[str, Any]]]:
    """Return a Record of every model, and how many times faster each is than the first.

    Args:
        targets: the models.
        plan: what is timed; see `plan_protocols`.
        examples: texts, for memory and energy; may be empty.
        names: of the models as the user gave them, for the ratios.
        dataset: the file of the texts; "" without any.
        settings: of the measurement, for the record.
        warmup: untimed calls before each protocol.
        repeats: rows of random ids that energy is measured on where there are no texts.
        threads: really in use.
    """
    start = time.perf_counter()
    latencies: list[list[Latency]] = [[] for _ in targets]
    ratios: list[dict[str, Any]] = []

    with _without_gradients(targets):
        # All models take turns, protocol by protocol.
        for protocol in plan:
            times, timed = protocols.time_protocol(
                targets, protocol, warmup=warmup, threads=threads
            )
            ratios += ratios_to_first(protocol.name, names, times)
            for target, own, milliseconds, latency in zip(
                targets, latencies, times, timed, strict=True
            ):
                own.append(latency)
                if protocol.name == protocols.NER:
                    target.details["ner_100_seconds"] = protocols.ner_seconds(milliseconds)

        # Energy is the whole package's, so each model works alone.
        for target in targets:
            target.details.update(_energy(target, examples, repeats))
    seconds = (time.perf_counter() - start) / len(targets)

    # Memory last: it starts a new process for every model.
    records = []
    for target, own in zip(targets, latencies, strict=True):
        peak = _peak(target, examples, alone=len(targets) == 1)
        cost = _cost(target, own, peak, threads)
        records.append(_record(target, cost, seconds, dataset, settings))
    return records, ratios


def _without_gradients(targets: Sequence[TimingTarget]) -> AbstractContextManager[None]:
    """Return what switches torch's gradients off, where a target is torch's."""
    if all(target.backend != "torch" for target in targets):
        return nullcontext()
    mode: AbstractContextManager[None] = require("torch", "train").inference_mode()
    return mode


def _energy(target: TimingTarget, examples: Sequence[Example], repeats: int) -> dict[str, Any]:
    """Return the energy of labelling the texts; without any, of rows of random ids."""
    if examples:
        return energy_of(protocols.labelling_calls(target, examples))
    length = min(PAPERS_LENGTH, target.longest)
    return energy_of([protocols.random_call(target, length)] * repeats)


def _peak(target: TimingTarget, examples: Sequence[Example], *, alone: bool) -> int:
    """Return the peak bytes of a new process that labels the texts.

    Without texts, of this process if it has one model; 0 where neither can be said.
    """
    if examples and target.folder is not None:
        return memory.peak_of_labelling(target.folder, examples) or 0
    return (memory.peak_bytes() or 0) if alone else 0


def _cost(target: TimingTarget, latency: Sequence[Latency], peak: int, threads: int) -> Cost:
    assert target.config is not None, "what is opened by name has a shape"
    conditions = machine.conditions(
        device=target.device,
        threads=threads,
        batch=1,
        length=f"max {target.window}",
        dtype=target.dtype,
        backend=target.backend,
        warmup=0,
        repeats=0,
    )
    return Cost(
        params=target.params,
        size_bytes=target.size_bytes,
        macs=macs_of(target.config, target.head, len(target.labels)),
        conditions=conditions,
        latency=latency,
        peak_memory_bytes=peak,
    )


def _record(
    target: TimingTarget,
    cost: Cost,
    seconds: float,
    dataset: str,
    settings: Mapping[str, Any],
) -> Record:
    code = machine.code_version()
    scores = SplitScores(
        task=target.head,
        dataset=dataset,
        split="",
        main=task_of(target.head).main_score(target.labels),
        scores={},
    )
    provenance = Provenance(
        key=config.fingerprint(settings, target.name, target.details, code),
        study="measure",
        run=target.name,
        role="measured",
        seed=0,
        seconds=seconds,
        config=settings,
        code=code,
        details=target.details,
    )
    return record_of(target.name, scores, cost, provenance)
