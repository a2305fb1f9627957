"""List the published models, their published costs beside ours.

Parameters and multiply-accumulates are by formula and equal the published integers. Times are of this machine; each
preset takes turns with BETO (A B A B), so that the ratio holds even where the machine is not quiet. The sentences of
the thesis have as many tokens as a byte-pair vocabulary of 31,000 pieces, learned from the training text, gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from destila import datasets
from destila.config import Options, opt
from destila.cpu import available as threads_available
from destila.errors import ConfigError
from destila.measuring import protocols
from destila.measuring.latency import PAPERS_LENGTH, speed_up, using_threads
from destila.measuring.profile import describe
from destila.measuring.protocols import NER, NER_PASSES, NER_SENTENCES, Protocol
from destila.measuring.targets import TimingTarget, preset
from destila.models.macs import count_macs
from destila.models.presets import PRESETS, count_parameters
from destila.plugins import nearest
from destila.progress import Progress, silent
from destila.report import reference
from destila.tokenizer.train import learn

BASELINE = "beto-uncased"
LENGTHS = (128, 256, 512)
_PIECES = 31_000
_TINY = PRESETS["albeto-tiny"]
MODELS = {**PRESETS, **{f"albeto-tiny-{n}": _TINY.with_values(layers=n) for n in (6, 8, 12)}}
"""The presets, and the deeper tiny ones whose cost was published though no weights were."""

PANEL = "Around it"


class Config(Options):
    """Which presets, and whether they are timed."""

    only: tuple[str, ...] = opt((), "presets to list; () = all")
    latency: bool = opt(False, "also time them on 512 random ids (big ones take minutes)")
    ner: bool = opt(
        False, "also time them on the lengths of 100 sentences of CoNLL-2002, five passes"
    )
    repeats: int = opt(5, "timed calls", ge=1)
    warmup: int = opt(2, "untimed calls before", ge=0)
    threads: int | None = opt(None, "threads; none = all that this process may use", ge=1)


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """`{"models": [{"name", "parameters", "macs", "macs_speed_up", "published", ...}], "rows": [...]}`.

    macs: `linear_L` and `total_L` at 128, 256 and 512 tokens (`models.macs`). published: as printed, by the names that
    `reference.tables()` explains; {} where nothing is. Raises ConfigError for an unknown preset.
    """
    unknown = [name for name in arguments.only if name not in MODELS]
    if unknown:
        raise ConfigError(f"no preset is called '{unknown[0]}'.{nearest(unknown[0], list(MODELS))}")
    names = arguments.only or tuple(MODELS)
    costs = reference.costs()
    found = [_counts(name) | {"published": dict(costs.get(name, {}))} for name in names]
    if arguments.latency or arguments.ner:
        threads = arguments.threads or threads_available()
        lengths = _sentence_lengths() if arguments.ner else []
        with (
            using_threads(threads, torch.get_num_threads, torch.set_num_threads) as used,
            torch.inference_mode(),
        ):
            for i, model in enumerate(found):
                progress(f"timing {model['name']}", i, len(found))
                model.update(_times(arguments, model["name"], lengths, used))
    return {"models": found, "rows": [_row(model) for model in found]}


def shown_speed_up(name: str) -> float:
    """The published speed-up of a preset: GMACs at 512 tokens against BETO's, both cut (not rounded) to two decimals."""
    hundredths = [count_macs(MODELS[each], 512) // 10**7 for each in (BASELINE, name)]
    return (100 * hundredths[0] // hundredths[1]) / 100


def _counts(name: str) -> dict[str, Any]:
    config = MODELS[name]
    kinds = {"linear": False, "total": True}
    counts = {
        f"{kind}_{n}": count_macs(config, n, attention=inner)
        for n in LENGTHS
        for kind, inner in kinds.items()
    }
    return {
        "name": name,
        "parameters": count_parameters(config),
        "macs": counts,
        "macs_speed_up": shown_speed_up(name),
    }


def _times(arguments: Config, name: str, lengths: Sequence[int], threads: int) -> dict[str, Any]:
    """Latencies of one preset, taking turns with BETO."""
    labels = tuple(str(i) for i in range(3))
    opened = [
        preset(each, MODELS[each], task="classify", labels=labels) for each in (BASELINE, name)
    ]
    found: dict[str, Any] = {"latency": []}
    wanted = (
        [protocols.random(opened, PAPERS_LENGTH, arguments.repeats)] if arguments.latency else []
    )
    for protocol in [*wanted, *([_sentences(opened, lengths)] if lengths else [])]:
        times, latencies = protocols.timed(
            opened, protocol, warmup=arguments.warmup, threads=threads
        )
        ratio = dict(zip(("speed_up", "low", "high"), speed_up(*times), strict=True))
        found["latency"].append({**asdict(latencies[1]), **ratio})
        if protocol.name == NER:
            found["ner_100_seconds"] = protocols.ner_seconds(times[1])
    return found


def _sentences(opened: Sequence[TimingTarget], lengths: Sequence[int]) -> Protocol:
    calls = tuple(
        [model.forward([protocols.random_ids(model, n)]) for n in lengths] for model in opened
    )
    return Protocol(NER, calls, (describe(lengths, "random ids"),) * len(opened), NER_PASSES)


def _sentence_lengths() -> list[int]:
    """Tokens of each sentence, specials included."""
    splits = datasets.load({"use": "conll2002"}).splits
    tokenizer = learn([e.text for e in splits["train"]], kind="bpe", vocab_size=_PIECES)
    pieces = tokenizer.text([e.text for e in splits["test"][:NER_SENTENCES]])
    return [min(len(each.ids) + tokenizer.special_count(False), PAPERS_LENGTH) for each in pieces]


def _row(model: dict[str, Any]) -> dict[str, Any]:
    """What a terminal shows of a preset: ours and published, side by side."""
    published = model["published"]
    row = {
        "model": model["name"],
        "parameters": _pair(model["parameters"], published.get("params")),
        **{
            f"MACs {n}": _pair(model["macs"][f"linear_{n}"], published.get("macs", {}).get(str(n)))
            for n in LENGTHS
        },
        "with attention, 512": f"{model['macs']['total_512']:,}",
        "speed-up by MACs": _pair(model["macs_speed_up"], published.get("macs_speed_up")),
    }
    for each in model.get("latency", []):
        theirs = published.get("latency_ms", {}).get("cpu") if each["protocol"] != NER else None
        row[f"{each['protocol']} ms"] = _pair(round(each["median_ms"], 2), theirs)
        row[f"{each['protocol']} speed-up"] = (
            f"{each['speed_up']:.2f} [{each['low']:.2f}, {each['high']:.2f}]"
        )
    if "ner_100_seconds" in model:
        row["100 sentences, s"] = _pair(
            round(model["ner_100_seconds"], 2), published.get("ner_100_seconds")
        )
    return row


def _pair(ours: float, published: float | None) -> str:
    said = f"{ours:,}" if isinstance(ours, int) else f"{ours:.2f}"
    if published is None:
        return f"{said} (-)"
    return f"{said} (=)" if published == ours else f"{said} ({published:,})"
