"""Verbs of a study: from labelled data to measured students and their report."""

from __future__ import annotations

from typing import Annotated

import typer

from destila.cli.shown import AsJson, RecipePath, Sets, flat, made, show
from destila.cli.shown import study as study_card
from destila.errors import ConfigError
from destila.progress import bar

app = typer.Typer()


@app.command()
def run(
    recipe: RecipePath,
    teacher: Annotated[str | None, typer.Option(help="teacher, when a data file is given")] = None,
    train_only: Annotated[
        bool, typer.Option("--train-only", help="leave tests and measurements for later")
    ] = False,
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """The main job: from labelled data and a teacher to measured students and a report."""
    from destila.commands import run as verb

    if recipe.endswith(".toml") and teacher is not None:
        raise ConfigError(
            f"--teacher goes with a data file; {recipe} names its own under [[teachers]]"
        )
    if not recipe.endswith(".toml"):
        from destila.commands import init as first

        recipe = first.run(made(first.Config, data=recipe, teacher=teacher))["path"]
    with bar(json) as progress:
        study_card(
            verb.run(
                made(verb.Config, recipe=recipe, set=tuple(set or ()), train_only=train_only),
                progress,
            ),
            json,
        )


@app.command()
def finetune(recipe: RecipePath, set: Sets = None, json: AsJson = False) -> None:
    """Train a recipe's students on gold labels alone."""
    from destila.commands import finetune as verb

    with bar(json) as progress:
        study_card(verb.run(made(verb.Config, recipe=recipe, set=tuple(set or ())), progress), json)


@app.command()
def distil(recipe: RecipePath, set: Sets = None, json: AsJson = False) -> None:
    """Train a recipe's students on its best teacher's outputs."""
    from destila.commands import distil as verb

    with bar(json) as progress:
        study_card(verb.run(made(verb.Config, recipe=recipe, set=tuple(set or ())), progress), json)


@app.command()
def choose(recipe: RecipePath, set: Sets = None, json: AsJson = False) -> None:
    """Rank a recipe's teachers on dev."""
    from destila.commands import choose as verb

    with bar(json) as progress:
        result = verb.run(made(verb.Config, recipe=recipe, set=tuple(set or ())), progress)
    show(
        result,
        result["teachers"],
        json,
        title=f"teachers by {result['criterion']} on dev ({result['main']})",
    )


@app.command()
def evaluate(
    recipe: RecipePath,
    model: Annotated[str, typer.Option(help="model folder or hub name")],
    split: Annotated[str, typer.Option(help="test or dev")] = "test",
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """Score and measure a model folder on a recipe's data."""
    from destila.commands import evaluate as verb

    with bar(json) as progress:
        record = verb.run(
            made(verb.Config, recipe=recipe, model=model, split=split, set=tuple(set or ())),
            progress,
        )
    show(
        record,
        [{"score": k, "value": v} for k, v in record["scores"].items()],
        json,
        title=record["run"],
    )


@app.command()
def data(recipe: RecipePath, set: Sets = None, json: AsJson = False) -> None:
    """Check a recipe's data before training."""
    from destila.commands import data as verb

    result = verb.run(made(verb.Config, recipe=recipe, set=tuple(set or ())))
    show(result, flat(result), json, title=f"data of {recipe}")


@app.command()
def init(
    data: Annotated[str, typer.Argument(help="CSV, TSV, JSONL, column or CoNLL-U file")],
    teacher: Annotated[str | None, typer.Option(help="teacher: folder or hub name")] = None,
    out: Annotated[str | None, typer.Option(help="recipe to write")] = None,
    json: AsJson = False,
) -> None:
    """Detect task and columns of a data file and write a complete recipe."""
    from destila.commands import init as verb

    result = verb.run(made(verb.Config, data=data, teacher=teacher, out=out))
    show(result, [{"key": k, "value": v} for k, v in result.items()], json, title="recipe written")


@app.command(name="list")
def list_(
    what: Annotated[str, typer.Argument(help="models, recipes, datasets, losses, tasks or cache")],
    json: AsJson = False,
) -> None:
    """List what exists: models, recipes, datasets, losses, tasks, cache."""
    from destila.commands import list as verb

    result = verb.run(made(verb.Config, what=what))
    show(result, result[what], json, title=what)


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="runs/<name> or results/<name>.jsonl")],
    out: Annotated[
        str | None, typer.Option(help="Markdown file to write, the page beside it")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="a student that all others are compared with, too")
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare every record of a study; writes Markdown and one HTML page."""
    from destila.commands import report as verb

    study_card(verb.run(made(verb.Config, study=study, out=out, against=against)), json)


@app.command()
def pick(
    study: Annotated[str, typer.Argument(help="runs/<name> or results/<name>.jsonl")],
    max_ms: Annotated[
        float | None, typer.Option(help="most milliseconds per text (median, real texts)")
    ] = None,
    max_mb: Annotated[float | None, typer.Option(help="most MB on disk")] = None,
    min_score: Annotated[float | None, typer.Option(help="least main score, 0 to 1")] = None,
    out: Annotated[
        str | None, typer.Option(help="folder to copy the model to; default ./<study>-<run>")
    ] = None,
    copy: Annotated[bool, typer.Option(help="copy the model's folder")] = True,
    json: AsJson = False,
) -> None:
    """The best model of a study within a budget, copied, and why each other one lost."""
    from destila.commands import pick as verb

    budget = {"max_ms": max_ms, "max_mb": max_mb, "min_score": min_score}
    result = verb.run(made(verb.Config, study=study, out=out, copy_folder=copy, **budget))
    keys = ("model", "role", "score", "latency_ms", "size_mb", "why")
    every = [result["winner"] | {"why": "picked"}, *result["lost"]]
    study_card(
        result if json else result | {"rows": [{key: one[key] for key in keys} for one in every]},
        json,
    )
