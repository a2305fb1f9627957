"""Plan a pre-training on a cluster: memory of a GPU, steps, hours and disk.

Memory is counted on outlines of the tensors of a step, hours are arithmetic over a share of the
GPUs' peak, or over what --measure or --tokens-per-second say. Nothing is trained or fetched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from destila.config import RecipeOptions, opt
from destila.measuring.gpu_sheets import SHARE, gpu_named
from destila.progress import Progress, silent

if TYPE_CHECKING:
    from destila.pretraining.planning.plan_pretraining import PretrainPlan
    from destila.pretraining.pretrain_recipe import PretrainRecipe

PANEL = "Raw text"


class Config(RecipeOptions):
    """Which pre-training, and on what."""

    gpus: str = opt("1", "machines x GPUs of each, as 8x8; or GPUs of one machine")
    gpu: str = opt("h100", "whose memory and peak are taken: h100, a100, rtx-3090, ...")
    share: float = opt(SHARE, "share of the peak in 16 bits that is reached", gt=0, le=1)
    tokens_per_second: float | None = opt(
        None, "tokens per second of one GPU, as a log has them; none = by its peak", gt=0
    )
    measure: bool = opt(False, "compute some steps here, and plan with what they took")
    rows: int = opt(8, "rows of a measured step at most", ge=1)
    text_gb: float | None = opt(None, "size of the text, where its shards are not here", gt=0)


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return `study`, `rows` (one per run of the recipe) and `lines`.

    Raises:
        ConfigError: the recipe, the GPU or the shape of a model is not known.
    """
    # They need torch.
    from destila.pretraining.planning.plan_pretraining import (
        Cluster,
        measure_here,
        parse_gpus,
        plan_pretraining,
    )
    from destila.pretraining.pretrain_recipe import variants

    nodes, each = parse_gpus(arguments.gpus)
    cluster = Cluster(
        nodes=nodes,
        each=each,
        gpu=gpu_named(arguments.gpu),
        share=arguments.share,
        tokens_per_second=arguments.tokens_per_second,
    )
    runs = variants(arguments.recipe, arguments.set)
    rows, lines = [], []
    for i, (name, recipe) in enumerate(runs, 1):
        own = cluster
        if arguments.measure:
            speed, line = measure_here(recipe, arguments.rows, cluster.gpus)
            own = replace(cluster, tokens_per_second=speed)
            lines.append(f"{name}: {line}")
        rows.append(_row(name, plan_pretraining(recipe, own, text_gb=arguments.text_gb), recipe))
        progress("plans", i, len(runs))

    peak = f"{100 * arguments.share:.0f} % of its peak in the recipe's precision"
    measured = arguments.measure or arguments.tokens_per_second
    lines += [
        f"{cluster.gpus} x {arguments.gpu}, {'as measured' if measured else peak}; no evaluations, "
        "no waiting for a network",
        "memory is of tensors: leave 1 or 2 GB for the GPU's own; an accumulation above the "
        "recipe's is what fits",
    ]
    return {"study": runs[0][1].name, "rows": rows, "lines": lines}


def _row(name: str, plan: PretrainPlan, recipe: PretrainRecipe) -> dict[str, Any]:
    """Return the row of a run."""
    row: dict[str, Any] = {
        "run": name,
        "parameters": plan.parameters,
        "gpu_gb": round(plan.memory_bytes / 1e9, 1),
        "fits": "yes" if plan.fits else "no",
        "rows": plan.rows,
        "accumulation": plan.accumulation,
        "steps": plan.steps,
        "tokens": plan.tokens,
        "hours": round(plan.hours, 1),
        "disk_gb": round(plan.disk_bytes / 1e9, 1),
    }
    if recipe.train.accumulation != plan.accumulation:
        row["accumulation"] = f"{plan.accumulation} (recipe: {recipe.train.accumulation})"
    return row | ({"passes": round(plan.passes, 1)} if plan.passes else {})


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the runs as rows."""
    return {"title": f"plan of {result['study']}", "rows": result["rows"], "lines": result["lines"]}
