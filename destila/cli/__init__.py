"""The command line: typer over `verbs/`, and the only place that prints.

Exit 0 done, 1 our error (one line, no traceback), 2 wrong usage. `--json` prints one JSON object and nothing
else on standard output; progress and notes go to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Annotated

import typer

import destila
from destila.cli import ship, study, text
from destila.errors import DestilaError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From labelled Spanish text and a big teacher to a small, fast, measured encoder.",
)
for part in (study, ship, text):
    app.add_typer(part.app)


def main() -> None:
    """Entry point; turns our errors into one line and exit code 1."""
    try:
        app()
    except (DestilaError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader of a pipe has gone: `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        kind, message = (
            type(error).__name__,
            " ".join(line.strip() for line in str(error).splitlines()),
        )
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
