"""Verbs of raw text: tokenizers, corpora, pre-training."""

from __future__ import annotations

from typing import Annotated

import typer

from destila.cli.shown import AsJson, RecipePath, Sets, made, show, study
from destila.progress import bar

app = typer.Typer()


@app.command()
def tokenizer(
    files: Annotated[list[str], typer.Argument(help="text, .jsonl or .parquet; packed or not")],
    out: Annotated[str, typer.Option(help="folder to write")],
    kind: Annotated[str, typer.Option(help="bpe, unigram, wordpiece or bytelevel")] = "bpe",
    vocab_size: Annotated[int, typer.Option(help="pieces, specials included")] = 31_000,
    lowercase: Annotated[bool, typer.Option(help="turn capitals into small letters")] = True,
    keep_accents: Annotated[bool, typer.Option(help="keep á é í ó ú ü ñ")] = True,
    limit: Annotated[int, typer.Option(help="read so many lines at most; 0 = all")] = 0,
    column: Annotated[
        str, typer.Option(help="field of JSON lines or Parquet that holds the text")
    ] = "text",
    json: AsJson = False,
) -> None:
    """Train a tokenizer on text files."""
    from destila.commands import tokenizer as verb

    shape = {
        "kind": kind,
        "vocab_size": vocab_size,
        "lowercase": lowercase,
        "keep_accents": keep_accents,
    }
    result = verb.run(
        made(verb.Config, files=files, out=out, limit=limit, column=(column,), **shape)
    )
    show(
        result, [{"key": k, "value": v} for k, v in result.items()], json, title="tokenizer written"
    )


@app.command()
def corpus(
    given: Annotated[
        list[str],
        typer.Argument(help="a recipe (TOML), or files: text, .jsonl, .parquet; packed or not"),
    ],
    out: Annotated[
        str | None, typer.Option(help="folder to write; a killed run goes on in it")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="tokenizer folder or hub name")] = None,
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """Raw text to token shards: clean, filtered, without duplicates."""
    from destila.commands import corpus as verb

    with bar(json) as progress:
        config = made(
            verb.Config, sources=given, out=out, tokenizer=tokenizer, set=tuple(set or ())
        )
        result = verb.run(config, progress)
    show(
        result,
        [{"step": k, "count": v} for k, v in result["counts"].items()],
        json,
        title="corpus written",
    )


@app.command()
def probe(
    model: Annotated[str, typer.Argument(help="model folder or hub name; its encoder is probed")],
    pos: Annotated[str, typer.Option(help="data set with parts of speech")] = "cess_pos",
    ner: Annotated[str, typer.Option(help="data set with entities")] = "conll2002",
    json: AsJson = False,
) -> None:
    """What frozen states know of parts of speech and entities, by a linear softmax; about half a minute."""
    from destila.commands import probe as verb

    result = verb.run(made(verb.Config, model=model, pos=pos, ner=ner))
    show(
        result,
        [{"score": k, "value": v} for k, v in result["scores"].items()],
        json,
        title=f"probe of {model}",
    )
    for note in result["notes"] if not json else []:
        print(note)


@app.command()
def pretrain(
    recipe: RecipePath,
    minutes: Annotated[
        float | None, typer.Option(help="end this sitting after so many; the same command goes on")
    ] = None,
    share: Annotated[
        str | None, typer.Option(help="also write the model to this folder, in half precision")
    ] = None,
    set: Sets = None,
    json: AsJson = False,
) -> None:
    """From raw text to a pre-trained encoder; with a teacher in the recipe, to a distilled one."""
    from destila.commands import pretrain as verb

    with bar(json) as progress:
        arguments = made(
            verb.Config, recipe=recipe, set=tuple(set or ()), minutes=minutes, share=share
        )
        result = verb.run(arguments, progress)
    study(result, json)
