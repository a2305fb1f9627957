"""What `destila measure` shows of its records: times as a table, the rest in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destila.terminal import in_figures, in_milliseconds, in_units_of_bytes


def measured_card(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card of a measurement of one model, or of several side by side.

    Args:
        result: a Record as JSON, or `models` and `ratios`.
    """
    if "models" in result:
        models = result["models"]
        lines = [f"{record['model']}: {_sizes(record)}" for record in models]
        return {
            "title": f"{len(models)} models in turns, compared with the first",
            "rows": _comparison_rows(result),
            "lines": [*lines, _machine(models[0])],
        }

    rows = [
        {"protocol": each["protocol"], "input": each["conditions"]["length"]} | _times(each)
        for each in result["latency"]
    ]
    conditions = result["conditions"]
    title = f"{result['model']}: {result['task']}, {conditions['backend']} {conditions['dtype']}"
    return {"title": title, "rows": rows, "lines": [*_facts(result), _machine(result)]}


def _comparison_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one short row per protocol and model of a result of several models."""
    ratios = {(r["protocol"], r["model"]): r for r in result["ratios"]}
    names = result["models"][0]["config"]["models"]

    rows = []
    for name, record in zip(names, result["models"], strict=True):
        for latency in record["latency"]:
            ratio = ratios.get((latency["protocol"], name))
            faster = None
            if ratio:
                faster = f"{ratio['speed_up']:.2f}× [{ratio['low']:.2f}, {ratio['high']:.2f}]"
            row = {"protocol": latency["protocol"], "model": name, **_times(latency)}
            rows.append(row | {"times faster": faster})
    return sorted(rows, key=lambda row: str(row["protocol"]))


def _times(latency: Mapping[str, Any]) -> dict[str, float]:
    """Return the two times of a protocol."""
    return {key: latency[key] for key in ("median_ms", "p95_ms")}


def _sizes(record: Mapping[str, Any]) -> str:
    """Write parameters and bytes of a model."""
    return f"{record['params']:,} parameters, {in_units_of_bytes(record['size_bytes'])} on disk"


def _facts(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences on size, memory, work and energy, of what is known."""
    details = record["details"]
    memory = record["peak_memory_bytes"]
    parts = [_sizes(record)]
    if memory:
        parts.append(f"{in_units_of_bytes(memory)} of memory at its peak")
    if "load_ms" in details:
        parts.append(f"opened in {in_milliseconds(details['load_ms'])}")
    yield ", ".join(parts)

    # Multiply-accumulates as the papers count them, and with those inside attention.
    macs = record["macs"]
    if "linear_512" in macs and "total_512" in macs:
        linear, total = (in_figures(macs[key] / 1e9) for key in ("linear_512", "total_512"))
        yield f"at 512 tokens {linear} GMACs in linear layers, {total} with attention"
    if "energy" in details:
        yield f"energy: {details['energy']}"


def _machine(record: Mapping[str, Any]) -> str:
    """Write on what was measured."""
    each = record["conditions"]
    where = each["cpu"] if each["device"] == "cpu" else each["device"]
    return f"on {where}, {each['threads']} thread{'s' * (each['threads'] > 1)}"
