"""Verbs of a finished model: use it, measure it, make it smaller and faster."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from destila.cli.shown import AsJson, Sets, flat, made, show
from destila.errors import ConfigError
from destila.progress import bar

app = typer.Typer()


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="model folder")],
    file: Annotated[
        str | None, typer.Argument(help="texts: one per line, or JSONL; none or - = standard input")
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="a text to label, repeatable")] = None,
    out: Annotated[
        str | None,
        typer.Option(help="write JSONL here; a run over a file that was killed goes on in it"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="threads of an exported model; default all")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="errors as JSON too; answers always are")
    ] = False,
) -> None:
    """Label texts; writes one JSON object per line."""
    from destila.commands import predict as verb
    from destila.files import stream_text

    if text and file:
        raise ConfigError(f"give texts in {file} or with --text, not both")
    source = text or stream_text(sys.stdin.buffer, "standard input")
    options = {
        "file": None if file == "-" else file,
        "jsonl": False if text else None,
        "threads": threads,
    }
    config = made(verb.Config, model=model, out=out, **options)
    if out is not None:
        with bar(json) as progress:
            verb.write(config, source, progress)
        return
    for item in verb.run(config, source):
        show(item, [], True, title="")


@app.command()
def measure(
    models: Annotated[
        list[str],
        typer.Argument(help="model folders, hub names or presets; or `presets`: all of them"),
    ],
    texts: Annotated[str | None, typer.Option(help="file of texts, timed one by one")] = None,
    length: Annotated[
        str | None,
        typer.Option(help="tokens per input of the model alone, e.g. 32,128,512; 0: none"),
    ] = None,
    batch: Annotated[int, typer.Option(help="also texts per second in batches of so many")] = 0,
    ner: Annotated[
        bool, typer.Option("--ner", help="also the 100 CoNLL-2002 test sentences, five times")
    ] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="of `presets`: time each of them beside BETO")
    ] = False,
    repeats: Annotated[int, typer.Option(help="timed calls per window of a fixed length")] = 20,
    threads: Annotated[int | None, typer.Option(help="threads; default all")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    json: AsJson = False,
) -> None:
    """Size, MACs, latency, memory and energy; several models take turns. `measure presets`: the published tables."""
    from destila.commands import measure as verb

    if models == ["presets"]:
        from destila.commands import presets

        result = presets.run(
            made(presets.Config, latency=latency, ner=ner, repeats=repeats, threads=threads)
        )
        show(
            result,
            result["rows"],
            json,
            title="the published models, published numbers beside ours",
        )
        return
    lengths = (
        None if length is None else tuple(part for part in length.split(",") if part.strip() != "0")
    )
    options = {
        "texts": texts,
        "length": lengths,
        "batch": batch,
        "ner": ner,
        "repeats": repeats,
        "threads": threads,
    }
    result = verb.run(made(verb.Config, models=models, device=device, **options))
    several = "models" in result
    show(result, verb.rows(result) if several else flat(result), json, title=" ".join(models))


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
    runtime: Annotated[
        str, typer.Option(help="auto: time all of them here and store the winner")
    ] = "default",
    seconds: Annotated[float, typer.Option(help="that --runtime auto takes")] = 10.0,
    recipe: Annotated[
        str | None, typer.Option(help="score on its dev split, record on its test split")
    ] = None,
    texts: Annotated[
        str | None, typer.Option(help="file of texts, to calibrate and to time")
    ] = None,
    max_drop: Annotated[float, typer.Option(help="most that the main dev score may drop")] = 0.005,
    auto_keep: Annotated[
        bool, typer.Option("--auto-keep", help="keep in fp32 what the score needs")
    ] = False,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="list what each product costs on dev")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="keep the files of all candidates")] = False,
    allow_unstable: Annotated[
        bool, typer.Option("--allow-unstable", help="allow answers that threads change")
    ] = False,
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """A folder that runs without torch: int8, proven against the model, or refused."""
    from destila.commands import export as verb

    named = tuple(name.strip() for name in kinds.split(",")) if kinds else ()
    options = {
        "out": out,
        "kinds": named,
        "runtime": runtime,
        "seconds": seconds,
        "recipe": recipe,
        "texts": texts,
    }
    flags = {
        "auto_keep": auto_keep,
        "sensitivity": sensitivity,
        "keep": keep,
        "allow_unstable": allow_unstable,
    }
    config = made(
        verb.Config, model=model, max_drop=max_drop, set=tuple(set or ()), **options, **flags
    )
    with bar(json) as progress:
        result = verb.run(config, progress)
    show(result, verb.rows(result), json, title=f"exported to {result['folder']}")


@app.command()
def trim(
    model: Annotated[str, typer.Argument(help="model folder with a task head")],
    texts: Annotated[list[str], typer.Option(help="file of the task's texts, repeatable")],
    out: Annotated[str, typer.Option(help="folder to write")],
    size: Annotated[
        int | None, typer.Option(help="pieces to keep; default all that the texts use")
    ] = None,
    other: Annotated[
        list[str] | None, typer.Option(help="file of other text to measure the effect on")
    ] = None,
    json: AsJson = False,
) -> None:
    """A smaller vocabulary for one task; says what it costs on other text."""
    from destila.commands import trim as verb

    config = made(
        verb.Config, model=model, texts=tuple(texts), out=out, size=size, other=tuple(other or ())
    )
    result = verb.run(config)
    show(result, [{"key": k, "value": v} for k, v in result.items()], json, title="trimmed")
