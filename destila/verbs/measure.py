"""What a model costs on this machine: parameters, bytes, MACs, latency, memory -> a Record without scores.

A preset is measured with random weights, as the papers did: the numbers are of the shape alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch

from destila import config as settings
from destila import hub
from destila.config import Options, opt
from destila.errors import ConfigError, DataError
from destila.measure import machine, memory
from destila.measure.latency import PAPERS, PAPERS_LENGTH, Call, summarise, time_paired, using_threads
from destila.measure.profile import profile
from destila.measure.size import weights_bytes
from destila.models import heads, hf
from destila.models.heads import Model
from destila.models.presets import PRESETS
from destila.report.records import to_json
from destila.text.files import open_text
from destila.text.folder import read_folder
from destila.text.score import main_score
from destila.text.tokenizer import Tokenizer
from destila.text.words import split_words
from destila.train.batches import collate
from destila.train.predict import TorchPredictor
from destila.types import Conditions, Example, Features, Latency, Record
from destila.verbs.assess import macs_of
from destila.verbs.predict import is_jsonl, rows_of
from destila.verbs.study import task_of

_READ = 5000
"""Lines of a text file that the timed ones are taken from."""


class Config(Options):
    """Arguments of the verb."""

    model: str = opt(..., "model folder, hub name or preset (random weights)")
    texts: str | None = opt(None, "file of texts, as `predict` reads it, timed one by one; none = random ids only")
    limit: int = opt(100, "texts timed, spread over the file", ge=1)
    passes: int = opt(3, "passes over the texts", ge=1)
    length: int | None = opt(None, "random ids of the padded protocol, 0 leaves it out; none = 512 or what fits", ge=0)
    repeats: int = opt(20, "timed calls on random ids", ge=1)
    warmup: int = opt(10, "untimed calls before", ge=0)
    threads: int | None = opt(None, "threads; none = all that this process may use", ge=1)
    task: Literal["classify", "tag"] = opt("classify", "task of a model that has no head")
    labels: int = opt(3, "labels of a model that has no head", ge=1)


def run(arguments: Config) -> dict[str, Any]:
    """The Record as the documented object; its scores are empty and its peak memory is that of this process.

    Raises ConfigError when a preset is to read texts or the model is shorter than `length`.
    """
    start = time.perf_counter()
    model, tokenizer, size_bytes, details = _subject(arguments)
    most = model.config.max_length
    length = min(PAPERS_LENGTH, most) if arguments.length is None else arguments.length
    if length > most:
        raise ConfigError(f"length = {length}: {arguments.model} reads at most {most} tokens")
    threads = arguments.threads or machine.threads_available()
    latency: list[Latency] = []
    with using_threads(threads, torch.get_num_threads, torch.set_num_threads) as used, torch.inference_mode():
        if arguments.texts is not None:
            latency += _on_texts(arguments, model, tokenizer, used, int(details.get("max_length", most)))
        if length:
            latency.append(_on_random_ids(arguments, model, used, length))
    name = Path(arguments.model).name
    record = Record(
        key=settings.fingerprint(arguments, details, machine.code_version()),
        study="measure",
        run=name,
        role="measured",
        model=name,
        task=model.task,
        dataset=Path(arguments.texts).name if arguments.texts else "",
        split="",
        main=main_score(model.task, model.labels),
        scores={},
        params=sum(p.numel() for p in model.parameters()),
        size_bytes=size_bytes,
        macs=macs_of(model.config, model.task, len(model.labels)),
        latency=latency,
        peak_memory_bytes=memory.peak_bytes() or 0,
        seed=0,
        seconds=time.perf_counter() - start,
        conditions=_conditions(used, f"max {details.get('max_length', most)}", 0, 0),
        config=arguments.model_dump(mode="json"),
        code=machine.code_version(),
        details=details,
    )
    return to_json(record)


def _subject(arguments: Config) -> tuple[Model, Tokenizer | None, int, dict[str, Any]]:
    """The model in evaluation mode, its tokenizer (None for a preset), bytes on disk, what is known about it."""
    names = tuple(str(i) for i in range(arguments.labels))
    if arguments.model in PRESETS:
        model = heads.build(PRESETS[arguments.model], arguments.task, names, 0).eval()
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        return model, None, size, {"weights": "random"}
    info = read_folder(hub.resolve(arguments.model))
    task = info.task or arguments.task
    loaded = hf.load(info.path, task=task, labels=info.labels if info.task else names)
    details: dict[str, Any] = {"weights": "loaded", "new_head": loaded.report.new_head}
    if "max_length" in info.extra:
        details["max_length"] = int(info.extra["max_length"])
    return loaded.model.eval(), loaded.tokenizer, weights_bytes(info.path), details


def _on_texts(
    arguments: Config, model: Model, tokenizer: Tokenizer | None, threads: int, longest: int
) -> list[Latency]:
    """Latency on real texts, with and without tokenisation and decoding."""
    if tokenizer is None:
        raise ConfigError(
            f"preset '{arguments.model}' has no tokenizer to read {arguments.texts} with: measure a folder"
        )
    task = task_of(model.task, "first")
    predictor = TorchPredictor(model, tokenizer, task, model.labels, max_length=longest)
    examples = _examples(str(arguments.texts), model.task)
    encoded = task.encode(examples, tokenizer, model.labels, max_length=longest)
    windows: list[list[Features]] = [[] for _ in examples]
    for window in encoded.features:
        windows[window.row].append(window)
    of = {example.id: its for example, its in zip(examples, windows, strict=True)}

    def forward(example: Example) -> Call:
        return lambda: model(collate(of[example.id], tokenizer.pad_id))

    return profile(
        lambda example: list(predictor.predict([example])),
        examples,
        threads=threads,
        texts=arguments.limit,
        repeats=arguments.passes,
        warmup=arguments.warmup,
        lengths=[sum(len(w.input_ids) for w in its) for its in windows],
        model_only=forward,
    )


def _examples(path: str, task: str) -> list[Example]:
    """The first texts of a file, without labels; words are split for a tagger."""
    pairs = task == "classify"
    rows = islice(rows_of(open_text(path), jsonl=is_jsonl(path), where=path, pairs=pairs), _READ)
    found = []
    for number, row in enumerate(rows):
        plain = {"text": row} if isinstance(row, str) else row
        text = plain.get("text")
        if not isinstance(text, str):
            raise DataError(f"{path}: text {number + 1} has no string under 'text'")
        words = split_words(text) if task == "tag" else ()
        found.append(Example(str(number), text, plain.get("pair") if pairs else None, words))
    return found


def _on_random_ids(arguments: Config, model: Model, threads: int, length: int) -> Latency:
    """Latency of one row of random ids: no mask, no token types, as the published measurement."""
    ids = torch.randint(model.config.vocab_size, (1, length), generator=torch.Generator().manual_seed(0))
    name = PAPERS if length == PAPERS_LENGTH else f"random-{length}"
    calls: dict[str, Sequence[Callable[[], object]]] = {name: [partial(model.answer, ids, None, None)]}
    times = time_paired(calls, warmup=arguments.warmup, repeats=arguments.repeats)[name]
    return summarise(name, times, _conditions(threads, f"{length} random ids", arguments.warmup, arguments.repeats))


def _conditions(threads: int, length: str, warmup: int, repeats: int) -> Conditions:
    return machine.conditions(
        device="cpu",
        threads=threads,
        batch=1,
        length=length,
        dtype="float32",
        backend="torch",
        warmup=warmup,
        repeats=repeats,
    )
