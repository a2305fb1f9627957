"""The bars of `inference.py`: what was wanted of each figure, and whether it is met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from destila.models.presets import PRESETS

PYTORCH = {
    ("albeto-base-6", 128): 6,
    ("albeto-base-6", 512): 4,
    ("albeto-tiny", 32): 5.5,
    ("albeto-tiny", 512): 3,
}
PLAIN = {("albeto-base-6", n): 2.2 for n in (32, 128)} | {
    ("albeto-tiny", n): 1.8 for n in (32, 128)
}
MEGABYTES = {"albeto-tiny": 6.0} | {
    name: 12.5 for name in PRESETS if name.startswith("albeto-base")
}
BETO = {"albeto-tiny": 50, "albeto-base-6": 15}


def bars(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every bar that the run has numbers for: what, wanted, found, whether it is met."""
    found: list[dict[str, Any]] = []

    def bar(what: str, wanted: float, value: float, *, most: bool = False) -> None:
        found.append(
            {
                "bar": what,
                "wanted": wanted,
                "found": value,
                "met": value <= wanted if most else value >= wanted,
            }
        )

    for preset, part in result["presets"].items():
        if preset in MEGABYTES:
            bar(f"{preset}: megabytes of int8", MEGABYTES[preset], part["megabytes"], most=True)
        missing = float(part["expected_products"][0] - part["int8_products"][0])
        bar(f"{preset}: products with weights that are not int8", 0, missing, most=True)
        for length, row in part["lengths"].items():
            medians = row["median_ms"]
            best = min(value for name, value in medians.items() if name.startswith("destila"))
            for baseline, wanted in (("pytorch", PYTORCH), ("onnxruntime fp32", PLAIN)):
                if (preset, length) in wanted:
                    what, least = (
                        f"{preset}, {length} tokens: {baseline} over",
                        wanted[preset, length],
                    )
                    bar(f"{what} destila int8", least, medians[baseline] / medians["destila int8"])
                    bar(f"{what} the best of destila", least, medians[baseline] / best)
            experts = [
                v
                for name, v in medians.items()
                if name.startswith("openvino") or name.endswith("expert")
            ]
            bar(
                f"{preset}, {length} tokens: destila int8 over best peer",
                1.05,
                medians["destila int8"] / min(experts),
                most=True,
            )
            bar(
                f"{preset}, {length} tokens: best of destila over best peer",
                1.05,
                best / min(experts),
                most=True,
            )
            bar(f"{preset}, {length} tokens: achieved over peak", 0.6, row["achieved_over_peak"])
    for name, ratio in result.get("beto", {}).get("beto_over", {}).items():
        bar(f"{name}: BETO in PyTorch over, sentence to labels", BETO[name.split(":")[0]], ratio)
    if "stable" in result:
        bar(
            f"texts of {result['stable']['texts']} that change with threads or order",
            0,
            float(not result["stable"]["stable"]),
            most=True,
        )
    return found
