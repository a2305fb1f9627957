"""List the published models, their published costs beside ours.

Parameters and multiply-accumulates are by formula and equal the published integers. Times are of
this machine; each preset takes turns with BETO (A B A B), so that the ratio holds even where the
machine is not quiet. The sentences of the thesis have as many tokens as a byte-pair vocabulary of
31,000 pieces, learned from the training text, gives them.
"""

from __future__ import annotations

from typing import Any, Literal

from destila import cpu
from destila.config import Options, opt
from destila.errors import ConfigError
from destila.measuring.latency import using_threads
from destila.plugins import nearest
from destila.progress import Progress, silent
from destila.report import reference

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
    threads: int | None = opt(None, cpu.THREADS_HELP, ge=1, le=cpu.MOST_THREADS)
    device: Literal["cpu", "cuda"] = opt(
        "cpu", "where they are timed; a GPU is waited for inside the timed part"
    )


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return `models` (name, parameters, macs, macs_speed_up, published, ...) and `rows`.

    macs: `linear_L` and `total_L` at 128, 256 and 512 tokens (`models.macs`). published: as
    printed, by the names that `reference.published_tables()` explains; {} where nothing is.

    Raises:
        ConfigError: a preset is not known, or there is no such device.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.measuring.published_tables import PUBLISHED_MODELS, count_preset, preset_row

    unknown = [name for name in arguments.only if name not in PUBLISHED_MODELS]
    if unknown:
        known = list(PUBLISHED_MODELS)
        raise ConfigError(f"no preset is called '{unknown[0]}'.{nearest(unknown[0], known)}")

    published = reference.costs()
    models = [
        count_preset(name) | {"published": dict(published.get(name, {}))}
        for name in arguments.only or PUBLISHED_MODELS
    ]
    if arguments.latency or arguments.ner:
        _time(arguments, models, progress)
    return {"models": models, "rows": [preset_row(model) for model in models]}


def _time(arguments: Config, models: list[dict[str, Any]], progress: Progress) -> None:
    """Add the times of this machine to the models."""
    import torch

    from destila.measuring.published_tables import ner_sentence_lengths, time_preset
    from destila.training.devices import device_named

    device_named(arguments.device)  # raises where there is none such
    threads = cpu.threads(arguments.threads)
    lengths = ner_sentence_lengths() if arguments.ner else []
    with (
        using_threads(threads, torch.get_num_threads, torch.set_num_threads) as used,
        torch.inference_mode(),
    ):
        for i, model in enumerate(models):
            progress(f"timing {model['name']}", i, len(models))
            model |= time_preset(
                model["name"],
                random_repeats=arguments.repeats if arguments.latency else 0,
                sentence_lengths=lengths,
                warmup=arguments.warmup,
                threads=used,
                device=arguments.device,
            )
