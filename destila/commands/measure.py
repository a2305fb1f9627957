"""Measure parameters, bytes, MACs, latency, memory and energy; several models take turns.

Several models are timed in short turns (A B A B) on the same texts, with the same threads,
and the first is what the others are compared with. A preset is measured with random weights, as the
papers did. The protocols are those of `measuring/protocols.py`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from destila import cpu
from destila.commands._cards import after_measuring
from destila.config import Options, opt
from destila.measuring.measure_models import measure_models, plan_protocols
from destila.measuring.measured_card import measured_card
from destila.measuring.open_target import open_target, using_torch_threads
from destila.measuring.sample_texts import spread, texts_of
from destila.records import record_to_json
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
    threads: int | None = opt(None, cpu.THREADS_HELP, ge=1, le=cpu.MOST_THREADS)
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
    """Return the Record of one model as the documented object; of several with `ratios`.

    Several are `{"models": [Record], "ratios": [...]}`: how many times faster than the first model
    each other one is, with a 95 % paired-bootstrap interval, per protocol.

    Raises:
        ConfigError: a preset is to read texts, or a model is shorter than a `length`.
    """
    threads = cpu.threads(arguments.threads)
    # Every model runs with the same threads, from loading on.
    with using_torch_threads(arguments.models, threads) as used:
        targets = [
            open_target(
                name,
                task=arguments.task,
                labels=arguments.labels,
                threads=used,
                device=arguments.device,
            )
            for name in arguments.models
        ]

        # A preset has no texts of its own: then random ids are all there is.
        texts: list[Example] = []
        if arguments.texts is not None:
            texts = texts_of(arguments.texts, task_of(targets[0].head), arguments.models[0])
        examples = spread(texts, arguments.limit)

        # Which calls are timed: texts, fixed lengths, batches, sentences of CoNLL-2002.
        protocols = plan_protocols(
            targets,
            examples,
            text_repeats=arguments.passes,
            lengths=arguments.length,
            length_repeats=arguments.repeats,
            batch=arguments.batch,
            ner=arguments.ner,
        )
        records, ratios = measure_models(
            targets,
            protocols,
            examples,
            names=arguments.models,
            dataset=arguments.texts or "",
            settings=arguments.model_dump(mode="json"),
            warmup=arguments.warmup,
            repeats=arguments.repeats,
            threads=used,
        )

    models = [record_to_json(record) for record in records]
    return models[0] if len(models) == 1 else {"models": models, "ratios": ratios}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the times as rows and the rest in sentences."""
    return measured_card(result) | {"next": after_measuring(result)}
