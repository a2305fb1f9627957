"""Pack an exported model as a wheel, which `pip install` makes known by name.

Then `destila.load("NAME")` and `destila predict NAME` open it, without any network. The wheel holds
data and the card; nothing of it is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila import hub
from destila.commands._cards import NEW_TEXT, command_line
from destila.config import Options, opt
from destila.exporting.wheel import check_wheel_name, wheel_files, write_wheel
from destila.inference.labeller import Labeller
from destila.report.card import CARD_FILE, describe_folder, model_card

PANEL = "A finished model"


class Config(Options):
    """Which model, and what the package is called."""

    model: str = opt(..., "folder that `destila export` wrote")
    name: str = opt(..., "of the package and of the model, such as es_reviews", flag="--name")
    version: str = opt("1.0", "of the package")
    out: str = opt("dist", "folder of the wheel")


def run(config: Config) -> dict[str, Any]:
    """Write the wheel; return `wheel`, `name`, `version` and `megabytes`.

    Raises:
        ModelError: the folder is no export, or is damaged.
        ConfigError: the name or the version cannot be.
    """
    # What is wrong with the name is said before the model is opened.
    folder = hub.resolve(config.model)
    check_wheel_name(config.name, config.version)
    wheel_files(folder)

    # A model that does not open here would open nowhere.
    labeller = Labeller(folder, threads=1)
    task = labeller.predictor.task
    summary = f"Model of destila: {task.summary.format(labels=len(labeller.labels))}"

    # The card that is there, else one of what the files say.
    kept = folder / CARD_FILE
    if kept.is_file():
        card = kept.read_text(encoding="utf-8")
    else:
        card = model_card(describe_folder(folder, config.name))

    wheel = write_wheel(
        folder,
        Path(config.out),
        name=config.name,
        version=config.version,
        card=card,
        summary=summary,
    )
    return {
        "wheel": str(wheel),
        "name": config.name,
        "version": config.version,
        "megabytes": wheel.stat().st_size / 1e6,
    }


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return where the wheel lies, and what to do with it."""
    rows = [{"wheel": result["wheel"], "megabytes": result["megabytes"]}]
    following = [
        f"pip install {result['wheel']}",
        command_line("predict", result["name"], "--text", NEW_TEXT),
    ]
    return {"title": f"{result['name']} {result['version']}", "rows": rows, "next": following}
