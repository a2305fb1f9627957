"""Measure parameters, bytes, MACs, latency, memory and energy; several models take turns.

Several models are timed in turns, call by call (A B A B), on the same texts, with the same threads, and the first is
what the others are compared with. A preset is measured with random weights, as the papers did. The protocols are
those of `protocols`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import field_validator

from destila import config as settings
from destila.config import Options, opt
from destila.cpu import available as threads_available
from destila.measuring import energy, machine, memory, protocols
from destila.measuring.latency import PAPERS_LENGTH, Call, speed_up, using_threads
from destila.measuring.protocols import Protocol
from destila.measuring.sample_texts import spread, text_file, texts_of
from destila.measuring.targets import TimingTarget, open_model
from destila.models.macs import macs_of
from destila.records import Latency, Record, to_json
from destila.tasks import task_of
from destila.types import Example

PANEL = "A finished model"


class Config(Options):
    """What to measure, and how."""

    models: tuple[str, ...] = opt(
        ..., "model folders, hub names or presets (random weights)", min_length=1
    )
    texts: str | None = opt(
        None, "file of texts, as `predict` reads it, timed one by one; none = random ids only"
    )
    limit: int = opt(100, "texts timed, spread over the file", ge=1)
    passes: int = opt(3, "passes over the texts", ge=1)
    length: tuple[int, ...] | None = opt(
        None,
        "tokens per window of the model alone: of the texts, else random ids; 0 = none; none = 512 "
        "random ids",
        commas=True,
        metavar="32,128,512",
    )
    batch: int = opt(0, "texts per batch of the throughput; 0 leaves it out", ge=0)
    ner: bool = opt(False, "also the 100 test sentences of CoNLL-2002, five times")
    repeats: int = opt(20, "timed calls per window of a fixed length", ge=1)
    warmup: int = opt(10, "untimed calls before", ge=0)
    threads: int | None = opt(None, "threads; none = all that this process may use", ge=1)
    device: Literal["cpu", "cuda"] = opt(
        "cpu", "where torch models run; a GPU is waited for inside the timed part"
    )
    task: Literal["classify", "tag"] = opt("classify", "task of a model that has no head")
    labels: int = opt(3, "labels of a model that has no head", ge=1)

    @field_validator("length")
    @classmethod
    def _without_zeros(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return value if value is None else tuple(length for length in value if length)


def run(arguments: Config) -> dict[str, Any]:
    """The Record of one model as the documented object; of several `{"models": [Record], "ratios": [...]}`.

    ratios: how many times faster than the first model each other one is, with a 95 % paired-bootstrap interval, per
    protocol. Raises ConfigError when a preset is to read texts or a model is shorter than a `length`.
    """
    start = time.perf_counter()
    threads = arguments.threads or threads_available()
    with (
        using_threads(threads, torch.get_num_threads, torch.set_num_threads) as used,
        torch.inference_mode(),
    ):
        opened = [_open(arguments, name, used) for name in arguments.models]
        examples = (
            []
            if arguments.texts is None
            else spread(
                texts_of(
                    arguments.texts, pairs=(opened[0].reader or task_of(opened[0].task)).has_pairs
                ),
                arguments.limit,
            )
        )
        latency: list[list[Latency]] = [[] for _ in opened]
        ratios: list[dict[str, Any]] = []
        for protocol in _protocols(arguments, opened, examples):
            times, found = protocols.timed(opened, protocol, warmup=arguments.warmup, threads=used)
            for i, each in enumerate(found):
                latency[i].append(each)
                if protocol.name == protocols.NER:
                    opened[i].details["ner_100_seconds"] = protocols.ner_seconds(times[i])
            ratios += _ratios(arguments.models, protocol.name, times)
        for model in opened:
            model.details.update(_energy(model, examples, arguments.repeats))
    seconds = (time.perf_counter() - start) / len(opened)
    made = []
    for model, its in zip(opened, latency, strict=True):
        peak = _peak(model, examples, alone=len(opened) == 1)
        made.append(to_json(_record(arguments, model, its, peak, seconds, used)))
    return made[0] if len(made) == 1 else {"models": made, "ratios": ratios}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of one model, or a row for each protocol and model of several."""
    if "models" not in result:
        return result
    ratios = {(r["protocol"], r["model"]): r for r in result["ratios"]}
    names = result["models"][0]["config"]["models"]

    rows = []
    for name, record in zip(names, result["models"], strict=True):
        for latency in record["latency"]:
            ratio = ratios.get((latency["protocol"], name))
            times = {key: round(latency[key], 3) for key in ("median_ms", "p95_ms")}
            row = {"protocol": latency["protocol"], "model": name, **times, "times faster": ""}
            if ratio:
                interval = f"[{ratio['low']:.2f}, {ratio['high']:.2f}]"
                row["times faster"] = f"{ratio['speed_up']:.2f} {interval}"
            rows.append(row)
    return {"rows": sorted(rows, key=lambda row: row["protocol"])}


def _open(arguments: Config, name: str, threads: int) -> TimingTarget:
    return open_model(
        name, task=arguments.task, labels=arguments.labels, device=arguments.device, threads=threads
    )


def _protocols(
    arguments: Config, opened: Sequence[TimingTarget], examples: Sequence[Example]
) -> list[Protocol]:
    found: list[Protocol] = []
    if examples:
        found += protocols.on_texts(
            opened, examples, passes=arguments.passes, batch=arguments.batch
        )
    if arguments.length is None:
        shortest = min(model.config.max_length for model in opened)
        found.append(protocols.random(opened, min(PAPERS_LENGTH, shortest), arguments.repeats))
    for length in arguments.length or ():
        if examples:
            found.append(protocols.fixed(opened, examples, length, arguments.repeats))
        else:
            found.append(protocols.random(opened, length, arguments.repeats))
    return [*found, protocols.ner_sentences(opened)] if arguments.ner else found


def _ratios(
    names: Sequence[str], protocol: str, times: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    found = []
    for name, each in zip(names[1:], times[1:], strict=True):
        ratio, low, high = speed_up(times[0], each)
        compared = {"protocol": protocol, "model": name, "baseline": names[0]}
        found.append({**compared, "speed_up": ratio, "low": low, "high": high})
    return found


def _energy(model: TimingTarget, examples: Sequence[Example], repeats: int) -> dict[str, Any]:
    """Millijoules per text (or per row of random ids) of the whole processor package while this model works alone."""
    found = energy.meter()
    if found is None:
        return {"energy": "not exposed by this machine"}
    length = min(PAPERS_LENGTH, model.config.max_length)
    row = [model.forward([protocols.random_ids(model, length)])]
    work: list[Call] = protocols.predict_all(model, examples) if examples else row * repeats
    joules = found.joules(lambda: [call() for call in work])
    return {"energy": "RAPL, whole processor packages", "energy_mj": joules * 1000 / len(work)}


def _peak(model: TimingTarget, examples: Sequence[Example], *, alone: bool) -> int:
    """Peak resident bytes of a new process that labels the texts; without any, of this one if it has one model."""
    if not examples or model.folder is None:
        return (memory.peak_bytes() or 0) if alone else 0
    with text_file(examples) as path:
        return (
            memory.peak_of(
                [sys.executable, "-m", "destila", "predict", str(model.folder), str(path)]
            )
            or 0
        )


def _record(
    arguments: Config,
    model: TimingTarget,
    latency: list[Latency],
    peak: int,
    seconds: float,
    threads: int,
) -> Record:
    code = machine.code_version()
    return Record(
        key=settings.fingerprint(arguments, model.name, model.details, code),
        study="measure",
        run=model.name,
        role="measured",
        model=model.name,
        task=model.task,
        dataset=arguments.texts or "",
        split="",
        main=task_of(model.task).main_score(model.labels),
        scores={},
        params=model.params,
        size_bytes=model.size_bytes,
        macs=macs_of(model.config, model.task, len(model.labels)),
        latency=latency,
        peak_memory_bytes=peak,
        seed=0,
        seconds=seconds,
        conditions=machine.conditions(
            device=model.device,
            threads=threads,
            batch=1,
            length=f"max {model.window}",
            dtype=model.dtype,
            backend=model.backend,
            warmup=0,
            repeats=0,
        ),
        config=arguments.model_dump(mode="json"),
        code=code,
        details=model.details,
    )
