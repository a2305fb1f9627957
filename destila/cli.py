"""The command line: typer over `verbs/`, and the only place that prints.

Exit 0 done, 1 our error (one line, no traceback), 2 wrong usage. `--json` prints one JSON object and nothing
else on standard output; progress and notes go to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

import destila
from destila.bar import bar
from destila.errors import ConfigError, DestilaError

if TYPE_CHECKING:
    from destila.config import C

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From labelled Spanish text and a big teacher to a small, fast, measured encoder.",
)

RecipePath = Annotated[str, typer.Argument(help="recipe (TOML)", metavar="RECIPE")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="override a key: --set train.lr=1e-4", metavar="KEY=VALUE")
]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]


def main() -> None:
    """Entry point; turns our errors into one line and exit code 1."""
    try:
        app()
    except (DestilaError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader of a pipe has gone: `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        kind, message = type(error).__name__, " ".join(line.strip() for line in str(error).splitlines())
        if "--json" in sys.argv:
            print(json.dumps({"error": {"kind": kind, "message": message}}, ensure_ascii=False))
        else:
            print(f"error: {message}", file=sys.stderr)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress, no notes")] = False,
) -> None:
    """From labelled Spanish text and a big teacher to a small, fast, measured encoder."""
    if version:
        print(destila.__version__)
        raise typer.Exit
    logging.basicConfig(level=logging.ERROR if quiet else logging.WARNING, format="%(message)s")
    logging.getLogger("destila").setLevel(logging.ERROR if quiet else logging.INFO)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


@app.command()
def run(
    recipe: RecipePath,
    teacher: Annotated[str | None, typer.Option(help="teacher, when a data file is given")] = None,
    train_only: Annotated[bool, typer.Option("--train-only", help="leave tests and measurements for later")] = False,
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """The main job: from labelled data and a teacher to measured students and a report."""
    from destila.verbs import run as verb

    if recipe.endswith(".toml") and teacher is not None:
        raise ConfigError(f"--teacher goes with a data file; {recipe} names its own under [[teachers]]")
    if not recipe.endswith(".toml"):
        from destila.verbs import init as first

        recipe = first.run(_made(first.Config, data=recipe, teacher=teacher))["path"]
    with bar(json) as progress:
        _study(verb.run(_made(verb.Config, recipe=recipe, set=tuple(set or ()), train_only=train_only), progress), json)


@app.command()
def finetune(recipe: RecipePath, set: Sets = None, json: AsJson = False) -> None:
    """Train a recipe's students on gold labels alone."""
    from destila.verbs import finetune as verb

    with bar(json) as progress:
        _study(verb.run(_made(verb.Config, recipe=recipe, set=tuple(set or ())), progress), json)


@app.command()
def distil(recipe: RecipePath, set: Sets = None, json: AsJson = False) -> None:
    """Train a recipe's students on its best teacher's outputs."""
    from destila.verbs import distil as verb

    with bar(json) as progress:
        _study(verb.run(_made(verb.Config, recipe=recipe, set=tuple(set or ())), progress), json)


@app.command()
def choose(recipe: RecipePath, set: Sets = None, json: AsJson = False) -> None:
    """Rank a recipe's teachers on dev."""
    from destila.verbs import choose as verb

    with bar(json) as progress:
        result = verb.run(_made(verb.Config, recipe=recipe, set=tuple(set or ())), progress)
    _show(result, result["teachers"], json, title=f"teachers by {result['criterion']} on dev ({result['main']})")


@app.command()
def evaluate(
    recipe: RecipePath,
    model: Annotated[str, typer.Option(help="model folder or hub name")],
    split: Annotated[str, typer.Option(help="test or dev")] = "test",
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """Score and measure a model folder on a recipe's data."""
    from destila.verbs import evaluate as verb

    with bar(json) as progress:
        record = verb.run(_made(verb.Config, recipe=recipe, model=model, split=split, set=tuple(set or ())), progress)
    _show(record, [{"score": k, "value": v} for k, v in record["scores"].items()], json, title=record["run"])


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="model folder")],
    file: Annotated[
        str | None, typer.Argument(help="texts: one per line, or JSONL; none or - = standard input")
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="a text to label, repeatable")] = None,
    out: Annotated[
        str | None, typer.Option(help="write JSONL here; a run over a file that was killed goes on in it")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="threads of an exported model; default all")] = None,
    json: Annotated[bool, typer.Option("--json", help="errors as JSON too; answers always are")] = False,
) -> None:
    """Label texts; writes one JSON object per line."""
    from destila.text.files import stream_text
    from destila.verbs import predict as verb

    if text and file:
        raise ConfigError(f"give texts in {file} or with --text, not both")
    source = text or stream_text(sys.stdin.buffer, "standard input")
    options = {"file": None if file == "-" else file, "jsonl": False if text else None, "threads": threads}
    config = _made(verb.Config, model=model, out=out, **options)
    if out is not None:
        with bar(json) as progress:
            verb.write(config, source, progress)
        return
    for item in verb.run(config, source):
        _show(item, [], True, title="")


@app.command()
def data(recipe: RecipePath, set: Sets = None, json: AsJson = False) -> None:
    """Check a recipe's data before training."""
    from destila.verbs import data as verb

    result = verb.run(_made(verb.Config, recipe=recipe, set=tuple(set or ())))
    _show(result, _flat(result), json, title=f"data of {recipe}")


@app.command()
def init(
    data: Annotated[str, typer.Argument(help="CSV, TSV, JSONL, column or CoNLL-U file")],
    teacher: Annotated[str | None, typer.Option(help="teacher: folder or hub name")] = None,
    out: Annotated[str | None, typer.Option(help="recipe to write")] = None,
    json: AsJson = False,
) -> None:
    """Detect task and columns of a data file and write a complete recipe."""
    from destila.verbs import init as verb

    result = verb.run(_made(verb.Config, data=data, teacher=teacher, out=out))
    _show(result, [{"key": k, "value": v} for k, v in result.items()], json, title="recipe written")


@app.command(name="list")
def list_(
    what: Annotated[str, typer.Argument(help="models, recipes, datasets, losses, tasks or cache")], json: AsJson = False
) -> None:
    """List what exists: models, recipes, datasets, losses, tasks, cache."""
    from destila.verbs import list as verb

    result = verb.run(_made(verb.Config, what=what))
    _show(result, result[what], json, title=what)


@app.command()
def measure(
    models: Annotated[list[str], typer.Argument(help="model folders, hub names or presets; or `presets`: all of them")],
    texts: Annotated[str | None, typer.Option(help="file of texts, timed one by one")] = None,
    length: Annotated[
        str | None, typer.Option(help="tokens per input of the model alone, e.g. 32,128,512; 0: none")
    ] = None,
    batch: Annotated[int, typer.Option(help="also texts per second in batches of so many")] = 0,
    ner: Annotated[bool, typer.Option("--ner", help="also the 100 CoNLL-2002 test sentences, five times")] = False,
    latency: Annotated[bool, typer.Option("--latency", help="of `presets`: time each of them beside BETO")] = False,
    repeats: Annotated[int, typer.Option(help="timed calls per window of a fixed length")] = 20,
    threads: Annotated[int | None, typer.Option(help="threads; default all")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    json: AsJson = False,
) -> None:
    """Size, MACs, latency, memory and energy; several models take turns. `measure presets`: the published tables."""
    from destila.verbs import measure as verb

    if models == ["presets"]:
        from destila.verbs import presets

        result = presets.run(_made(presets.Config, latency=latency, ner=ner, repeats=repeats, threads=threads))
        _show(result, result["rows"], json, title="the published models, published numbers beside ours")
        return
    lengths = None if length is None else tuple(part for part in length.split(",") if part.strip() != "0")
    options = {"texts": texts, "length": lengths, "batch": batch, "ner": ner, "repeats": repeats, "threads": threads}
    result = verb.run(_made(verb.Config, models=models, device=device, **options))
    several = "models" in result
    _show(result, verb.rows(result) if several else _flat(result), json, title=" ".join(models))


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="model folder that destila trained")],
    out: Annotated[str | None, typer.Option(help="folder to write")] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            help="fp32,int8-dynamic,int8-static,openvino-bf16,openvino-int8,openvino-int8-bf16; the default first"
        ),
    ] = None,
    runtime: Annotated[str, typer.Option(help="auto: time all of them here and store the winner")] = "default",
    seconds: Annotated[float, typer.Option(help="that --runtime auto takes")] = 10.0,
    recipe: Annotated[str | None, typer.Option(help="score on its dev split, record on its test split")] = None,
    texts: Annotated[str | None, typer.Option(help="file of texts, to calibrate and to time")] = None,
    max_drop: Annotated[float, typer.Option(help="most that the main dev score may drop")] = 0.005,
    auto_keep: Annotated[bool, typer.Option("--auto-keep", help="keep in fp32 what the score needs")] = False,
    sensitivity: Annotated[bool, typer.Option("--sensitivity", help="list what each product costs on dev")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="keep the files of all candidates")] = False,
    allow_unstable: Annotated[bool, typer.Option("--allow-unstable", help="allow answers that threads change")] = False,
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """A folder that runs without torch: int8, proven against the model, or refused."""
    from destila.verbs import export as verb

    named = tuple(name.strip() for name in kinds.split(",")) if kinds else ()
    options = {"out": out, "kinds": named, "runtime": runtime, "seconds": seconds, "recipe": recipe, "texts": texts}
    flags = {"auto_keep": auto_keep, "sensitivity": sensitivity, "keep": keep, "allow_unstable": allow_unstable}
    made = _made(verb.Config, model=model, max_drop=max_drop, set=tuple(set or ()), **options, **flags)
    with bar(json) as progress:
        result = verb.run(made, progress)
    _show(result, verb.rows(result), json, title=f"exported to {result['folder']}")


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="runs/<name> or results/<name>.jsonl")],
    out: Annotated[str | None, typer.Option(help="Markdown file to write, the page beside it")] = None,
    json: AsJson = False,
) -> None:
    """Compare every record of a study; writes Markdown and one HTML page."""
    from destila.verbs import report as verb

    _study(verb.run(_made(verb.Config, study=study, out=out)), json)


@app.command()
def pick(
    study: Annotated[str, typer.Argument(help="runs/<name> or results/<name>.jsonl")],
    max_ms: Annotated[float | None, typer.Option(help="most milliseconds per text (median, real texts)")] = None,
    max_mb: Annotated[float | None, typer.Option(help="most MB on disk")] = None,
    min_score: Annotated[float | None, typer.Option(help="least main score, 0 to 1")] = None,
    out: Annotated[str | None, typer.Option(help="folder to copy the model to; default ./<study>-<run>")] = None,
    copy: Annotated[bool, typer.Option(help="copy the model's folder")] = True,
    json: AsJson = False,
) -> None:
    """The best model of a study within a budget, copied, and why each other one lost."""
    from destila.verbs import pick as verb

    budget = {"max_ms": max_ms, "max_mb": max_mb, "min_score": min_score}
    result = verb.run(_made(verb.Config, study=study, out=out, copy_folder=copy, **budget))
    keys = ("model", "role", "score", "latency_ms", "size_mb", "why")
    every = [result["winner"] | {"why": "picked"}, *result["lost"]]
    _study(result if json else result | {"rows": [{key: one[key] for key in keys} for one in every]}, json)


@app.command()
def trim(
    model: Annotated[str, typer.Argument(help="model folder with a task head")],
    texts: Annotated[list[str], typer.Option(help="file of the task's texts, repeatable")],
    out: Annotated[str, typer.Option(help="folder to write")],
    size: Annotated[int | None, typer.Option(help="pieces to keep; default all that the texts use")] = None,
    other: Annotated[list[str] | None, typer.Option(help="file of other text to measure the effect on")] = None,
    json: AsJson = False,
) -> None:
    """A smaller vocabulary for one task; says what it costs on other text."""
    from destila.verbs import trim as verb

    made = _made(verb.Config, model=model, texts=tuple(texts), out=out, size=size, other=tuple(other or ()))
    result = verb.run(made)
    _show(result, [{"key": k, "value": v} for k, v in result.items()], json, title="trimmed")


@app.command()
def tokenizer(
    files: Annotated[list[str], typer.Argument(help="text files: plain, .gz or .zst")],
    out: Annotated[str, typer.Option(help="folder to write")],
    kind: Annotated[str, typer.Option(help="bpe, unigram, wordpiece or bytelevel")] = "bpe",
    vocab_size: Annotated[int, typer.Option(help="pieces, specials included")] = 31_000,
    lowercase: Annotated[bool, typer.Option(help="turn capitals into small letters")] = True,
    keep_accents: Annotated[bool, typer.Option(help="keep á é í ó ú ü ñ")] = True,
    limit: Annotated[int, typer.Option(help="read so many lines at most; 0 = all")] = 0,
    json: AsJson = False,
) -> None:
    """Train a tokenizer on text files."""
    from destila.verbs import tokenizer as verb

    shape = {"kind": kind, "vocab_size": vocab_size, "lowercase": lowercase, "keep_accents": keep_accents}
    result = verb.run(_made(verb.Config, files=files, out=out, limit=limit, **shape))
    _show(result, [{"key": k, "value": v} for k, v in result.items()], json, title="tokenizer written")


@app.command()
def corpus(
    given: Annotated[
        list[str], typer.Argument(help="a recipe (TOML), or files: text, .jsonl, .parquet; packed or not")
    ],
    out: Annotated[str | None, typer.Option(help="folder to write; a killed run goes on in it")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="tokenizer folder or hub name")] = None,
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """Raw text to token shards: clean, filtered, without duplicates."""
    from destila.verbs import corpus as verb

    with bar(json) as progress:
        result = verb.run(verb.read(given, out=out, tokenizer=tokenizer, sets=set or ()), progress)
    _show(result, [{"step": k, "count": v} for k, v in result["counts"].items()], json, title="corpus written")


def _made(config: type[C], /, **values: Any) -> C:
    """A verb's arguments, checked; raises ConfigError with the option's name."""
    from destila.config import build

    return build(config, values, where="command line")


def _study(result: dict[str, Any], as_json: bool) -> None:
    _show(result, result.get("rows", []), as_json, title=f"study {result.get('study', '')}")
    for line in result.get("lines", []) if not as_json else []:
        print(line)


def _show(result: Any, rows: Iterable[dict[str, Any]], as_json: bool, *, title: str) -> None:
    """One JSON object, or a card for people."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    rows = list(rows)
    table = Table(title=title, title_justify="left")
    for column in rows[0] if rows else []:
        table.add_column(str(column), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _cell(value: Any) -> str:
    return (
        f"{value:.4f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else str(value)
    )


def _flat(value: Any, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Rows of (key, value) of a nested object."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield {"key": prefix, "value": value}
