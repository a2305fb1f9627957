"""The efficiency tables of both theses, measured here: no weights are needed, random ones will do.

Parameters and multiply-accumulates are by formula and equal the published integers. Times are of
this machine; each preset takes turns with BETO (A B A B), so that the ratio holds even where the
machine is not quiet. The sentences of the thesis have as many tokens as a byte-pair vocabulary of
31,000 pieces, learned from the training text, gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from destila import datasets
from destila.measuring import protocols
from destila.measuring.latency import PAPERS_LENGTH, paired_speed_up
from destila.measuring.protocols import (
    NER,
    NER_REPEATS,
    NER_SENTENCES,
    Protocol,
    describe_lengths,
)
from destila.measuring.targets import TimingTarget
from destila.measuring.torch_targets import preset_target
from destila.models.macs import count_macs
from destila.models.presets import PRESETS, count_parameters
from destila.tokenizer.train import learn

REFERENCE_MODEL = "beto-uncased"
"""What the theses compare with."""

MACS_LENGTHS = (128, 256, 512)

PUBLISHED_MODELS = PRESETS | {
    f"albeto-tiny-{layers}": PRESETS["albeto-tiny"].with_values(layers=layers)
    for layers in (6, 8, 12)
}
"""The presets, and the deeper tiny ones whose cost was published though no weights were."""

_PUBLISHED_GPU = "rtx-3090"
"""The GPU of the published times beside which those of any other stand."""

_PIECES = 31_000
_LABELS = ("0", "1", "2")


def count_preset(name: str) -> dict[str, Any]:
    """Return name, parameters, macs (`linear_L` and `total_L`) and macs_speed_up of a preset."""
    config = PUBLISHED_MODELS[name]
    counts = {}
    for length in MACS_LENGTHS:
        counts[f"linear_{length}"] = count_macs(config, length, attention=False)
        counts[f"total_{length}"] = count_macs(config, length, attention=True)

    return {
        "name": name,
        "parameters": count_parameters(config),
        "macs": counts,
        "macs_speed_up": published_speed_up(name),
    }


def published_speed_up(name: str) -> float:
    """Return the speed-up as printed: GMACs at 512 tokens against BETO's.

    Both are cut, not rounded, to two decimals, and so is their ratio.
    """
    reference = count_macs(PUBLISHED_MODELS[REFERENCE_MODEL], 512) // 10**7
    own = count_macs(PUBLISHED_MODELS[name], 512) // 10**7
    return (100 * reference // own) / 100


def time_preset(
    name: str,
    *,
    random_repeats: int,
    sentence_lengths: Sequence[int],
    warmup: int,
    threads: int,
    device: str = "cpu",
) -> dict[str, Any]:
    """Return the `latency` of a preset, taking turns with BETO, and `ner_100_seconds`.

    Args:
        name: of the preset.
        random_repeats: timed calls on 512 random ids; 0 leaves them out.
        sentence_lengths: tokens of the 100 sentences; empty leaves them out.
        warmup: untimed calls before each protocol.
        threads: really in use.
        device: "cpu" or "cuda".
    """
    targets = [
        preset_target(each, PUBLISHED_MODELS[each], task="classify", labels=_LABELS, device=device)
        for each in (REFERENCE_MODEL, name)
    ]
    # What is asked for; both models take turns in each.
    plan = []
    if random_repeats:
        plan.append(protocols.random_length(targets, PAPERS_LENGTH, random_repeats))
    if sentence_lengths:
        plan.append(_random_sentences(targets, sentence_lengths))

    facts: dict[str, Any] = {"latency": []}
    for protocol in plan:
        times, latencies = protocols.time_protocol(
            targets, protocol, warmup=warmup, threads=threads
        )
        ratio, low, high = paired_speed_up(*times)
        interval = {"speed_up": ratio, "low": low, "high": high}
        facts["latency"].append(asdict(latencies[1]) | interval)
        if protocol.name == NER:
            facts["ner_100_seconds"] = protocols.ner_seconds(times[1])
    return facts


def ner_sentence_lengths() -> list[int]:
    """Return the tokens of each of the 100 sentences, specials included.

    Raises:
        DataError: the data are not here.
    """
    splits = datasets.load({"use": "conll2002"}).splits
    # A vocabulary as large as the thesis's, of the data's own training text.
    tokenizer = learn([e.text for e in splits["train"]], kind="bpe", vocab_size=_PIECES)
    specials = tokenizer.special_count(False)

    encoded = tokenizer.text([e.text for e in splits["test"][:NER_SENTENCES]])
    return [min(len(pieces.ids) + specials, PAPERS_LENGTH) for pieces in encoded]


def _random_sentences(targets: Sequence[TimingTarget], lengths: Sequence[int]) -> Protocol:
    """Return the protocol ner-100 on random ids, for models that have no tokenizer."""
    calls = tuple([protocols.random_call(target, n) for n in lengths] for target in targets)
    words = (describe_lengths(lengths, "random ids"),) * len(targets)
    return Protocol(name=NER, calls=calls, length=words, repeats=NER_REPEATS)


def preset_row(model: dict[str, Any]) -> dict[str, Any]:
    """Return what a terminal shows of a preset: ours and published, side by side."""
    published = model["published"]
    row = {
        "model": model["name"],
        "parameters": _pair(model["parameters"], published.get("params")),
    }
    # By formula: equal to the published integers, or marked.
    for length in MACS_LENGTHS:
        ours = model["macs"][f"linear_{length}"]
        row[f"MACs {length}"] = _pair(ours, published.get("macs", {}).get(str(length)))
    row["with attention, 512"] = f"{model['macs']['total_512']:,}"
    row["speed-up by MACs"] = _pair(model["macs_speed_up"], published.get("macs_speed_up"))

    # Measured: no two machines agree, so only the ratio to BETO can be compared.
    for latency in model.get("latency", []):
        name = latency["protocol"]
        device = "cpu" if latency["conditions"]["device"] == "cpu" else _PUBLISHED_GPU
        printed = published.get("latency_ms", {}).get(device) if name != NER else None
        row[f"{name} ms"] = _pair(round(latency["median_ms"], 2), printed)
        if name != NER:
            speed = published.get("per_second", {}).get(device)
            row["inferences per second"] = _pair(1000 / latency["median_ms"], speed)
        interval = f"[{latency['low']:.2f}, {latency['high']:.2f}]"
        row[f"{name} speed-up"] = f"{latency['speed_up']:.2f} {interval}"
    if "ner_100_seconds" in model:
        seconds = round(model["ner_100_seconds"], 2)
        row["100 sentences, s"] = _pair(seconds, published.get("ner_100_seconds"))
    return row


def _pair(ours: float, published: float | None) -> str:
    """Return our number and the published one behind it, "=" where they are equal."""
    text = f"{ours:,}" if isinstance(ours, int) else f"{ours:.2f}"
    if published is None:
        return f"{text} (-)"
    return f"{text} (=)" if published == ours else f"{text} ({published:,})"
