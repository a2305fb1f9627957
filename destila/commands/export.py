"""Write a model as a folder that runs without torch: int8, proven against it, or refused.

A model of a study finds its recipe there; of any other, give it. With a recipe the dev score is
computed again, and the exported model is tested and recorded beside the others of the study.
"""

from __future__ import annotations

from typing import Any, Literal

from destila import hub
from destila.commands._cards import NEW_TEXT, candidate_row, command_line
from destila.config import Options, opt
from destila.errors import ConfigError
from destila.exporting.kinds import KindName
from destila.measuring.sample_texts import texts_of
from destila.model_folder import read_folder
from destila.progress import Progress, silent
from destila.tasks import task_of_folder

PANEL = "A finished model"


class Config(Options):
    """What to export, and what must hold."""

    model: str = opt(..., "model folder, such as runs/<study>/students/<name>/best")
    out: str | None = opt(
        None, "folder to write; none = exported/<name> in the model's study, else <model>-exported"
    )
    kinds: tuple[KindName, ...] = opt(
        (),
        "what to build, the default first; none = int8-dynamic (or all); web: for a browser, of "
        "int8-weights",
        commas=True,
    )
    runtime: Literal["default", "auto"] = opt(
        "default", "auto: time them here on --texts or dev and store the winner"
    )
    seconds: float = opt(10.0, "that --runtime auto takes", gt=0)
    recipe: str | None = opt(
        None,
        "recipe: its dev split is scored, its test split recorded, its training text calibrates; "
        "none = that of the model's study, if it lies in one",
    )
    set: tuple[str, ...] = opt(
        (), "override a key of the recipe: --set train.lr=1e-4", metavar="KEY=VALUE"
    )
    texts: str | None = opt(
        None, "file of texts, as `predict` reads it: for fixed scales and for --runtime auto"
    )
    max_drop: float = opt(0.005, "most that the main dev score may drop", ge=0)
    auto_keep: bool = opt(False, "keep the products in fp32 that the score needs, and no others")
    sensitivity: bool = opt(False, "also list what each product alone costs on dev")
    keep: bool = opt(False, "keep the files of all candidates")
    allow_unstable: bool = opt(False, "allow answers that depend on threads or neighbours")
    web_runtime: str | None = opt(None, "folder of what npm packed for the web; none = npm's own")


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return what export.json holds, with `folder`, and `record` where there is a recipe.

    Raises:
        ModelError: a proof fails; nothing is then left behind.
        ConfigError: options disagree.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.exporting import build, export_folder
    from destila.models import store
    from destila.study.export_study import export_study, write_card

    source = hub.resolve(arguments.model)
    out = export_folder.export_place(source, arguments.out)
    study = export_study(source, arguments.recipe, arguments.set)
    if (arguments.auto_keep or arguments.sensitivity) and study is None:
        raise ConfigError("--auto-keep and --sensitivity look at the dev score: give --recipe")
    loaded = study.load(source) if study else export_folder.load_model(source)

    # Compared on the user's texts, else on dev; scales from the user's, else from training text.
    task = task_of_folder(read_folder(source))
    own = texts_of(arguments.texts, task, source) if arguments.texts else []
    builder = build.builder_of(
        loaded,
        source,
        texts=own or (study.dev if study else []),
        training=own or (study.training if study else []),
        dev=study.dev_score(loaded, arguments.max_drop) if study else None,
    )

    plan = export_folder.ExportPlan(
        kinds=arguments.kinds,
        seconds=arguments.seconds if arguments.runtime == "auto" else None,
        auto_keep=arguments.auto_keep,
        sensitivity=arguments.sensitivity,
        keep_all=arguments.keep,
        allow_unstable=arguments.allow_unstable,
        web_runtime=arguments.web_runtime,
    )

    # The folder appears whole under its name, or not at all.
    with store.new_folder(out, what="export") as folder:
        store.write_description(loaded.model, loaded.tokenizer, folder, read_folder(source).extra)
        facts, runs = export_folder.write_candidates(
            folder, builder, plan, source=source, progress=progress
        )
        record = study.record(folder, source, runs, loaded) if study else None
        write_card(folder, out.name, source, runs, record, study)

    # Recorded only when its folder exists.
    if study and record:
        study.append(record)
    return {"folder": str(out), **facts, "record": record.run if record else None}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return one short row per candidate."""
    rows = [candidate_row(each) for each in result["candidates"]]
    following = command_line("predict", result["folder"], "--text", NEW_TEXT)
    return {"title": f"exported to {result['folder']}", "rows": rows, "next": following}
