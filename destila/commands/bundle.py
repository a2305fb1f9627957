"""Pack a finished study so that its students can be trained again when its teachers are gone.

The bundle holds the recipe, versions, fingerprints of the texts and what teachers answered. It
holds no texts: data, and models that students start from, are read from their places.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.commands._cards import command_line
from destila.config import Options, opt
from destila.progress import Progress, silent
from destila.terminal import in_units_of_bytes

PANEL = "A study"


class Config(Options):
    """Which study, and where its bundle goes."""

    study: str = opt(..., "folder of a finished study, such as runs/reviews")
    out: str = opt(..., "folder to write", flag="--out")


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Write the bundle; return `out`, `size_bytes`, `teachers` and `students`.

    Raises:
        ConfigError: there is no finished study, or `out` exists.
        CacheError: answers are no longer in the cache.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.bundles.write_bundle import write_bundle

    facts = write_bundle(Path(config.study), Path(config.out), progress)
    return {
        "out": config.out,
        "size_bytes": sum(size for size, _ in facts["files"].values()),
        "texts": facts["texts"],
        "teachers": [teacher["name"] for teacher in facts["teachers"] if teacher["answers"]],
        "students": list(facts["students"]),
        "weights": [name for name in facts["files"] if name.startswith("starts/")],
    }


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return what the bundle holds, what it does not, and how to use it."""
    texts = ", ".join(f"{count:,} {name}" for name, count in result["texts"].items())
    lines = [
        f"{in_units_of_bytes(result['size_bytes'])}: answers of {', '.join(result['teachers'])} "
        f"for {len(result['students'])} students",
        f"no texts: fingerprints of {texts}; data and models that students start from are read "
        "from their places",
    ]
    if result["weights"]:
        lines.append("it holds weights of a teacher that students start from: mind its licence")
    following = command_line("run", f"{result['out']}/recipe.toml")
    return {"title": f"bundle {result['out']}", "lines": lines, "next": following}
