"""Score what frozen states know of parts of speech and entities, by a linear softmax."""

from __future__ import annotations

from typing import Any, Literal

from destila.commands._cards import DEVICE_HELP, command_line
from destila.config import opt
from destila.pretraining.probe_options import ProbeOptions
from destila.report.words import score_name

PANEL = "Raw text"


class Config(ProbeOptions):
    """What to probe."""

    model: str = opt(..., "model folder or hub name; its encoder is probed, its head plays no part")
    device: Literal["cpu", "cuda"] = opt("cpu", DEVICE_HELP)


def run(arguments: Config) -> dict[str, Any]:
    """Fit the linear probes on a model's frozen states and score them on dev.

    Returns:
        model, scores (see `Probe.scores`) and notes (which data sets were left out, and why).

    Raises:
        ConfigError: a data set is unknown, or is not scored as the probe wants.
        ModelError: the model cannot be loaded.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.models import hf
    from destila.pretraining.probe import prepare_probe
    from destila.training.devices import device_named

    device = device_named(arguments.device)
    # The head is only there because a model is loaded with one.
    loaded = hf.load(arguments.model, task="tag", labels=("O",))
    probe = prepare_probe(arguments, loaded.tokenizer, loaded.max_length)

    scores = probe.scores(loaded.model.encoder.to(device))
    return {"model": arguments.model, "scores": scores, "notes": list(probe.notes)}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the scores as rows, and the notes below."""
    rows = [{"of": score_name(name), "score": value} for name, value in result["scores"].items()]
    following = command_line("init", "data.csv", "--teacher", result["model"])
    return {
        "title": f"probe of {result['model']}",
        "rows": rows,
        "lines": result["notes"],
        "next": following,
    }
