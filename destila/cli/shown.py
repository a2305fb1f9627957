"""What the command line's modules share: options that many verbs have, checked arguments, and what is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from destila.config import C

RecipePath = Annotated[str, typer.Argument(help="recipe (TOML)", metavar="RECIPE")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="override a key: --set train.lr=1e-4", metavar="KEY=VALUE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]


def made(config: type[C], /, **values: Any) -> C:
    """A verb's arguments, checked; raises ConfigError with the option's name."""
    from destila.config import build_config

    return build_config(config, values, where="command line")


def study(result: dict[str, Any], as_json: bool) -> None:
    """The card of a study: its rows, and its lines below."""
    show(result, result.get("rows", []), as_json, title=f"study {result.get('study', '')}")
    for line in result.get("lines", []) if not as_json else []:
        print(line)


def show(result: Any, rows: Iterable[dict[str, Any]], as_json: bool, *, title: str) -> None:
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


def flat(value: Any, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Rows of (key, value) of a nested object."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield {"key": prefix, "value": value}
