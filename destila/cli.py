"""The command line: a command for each file of `commands/`, and the only place that prints.

A command is one file with `Config` (its options: name, type, default, help), `run(config)`, a first
line that is its help, `PANEL`, and where the plain card will not do, `show(result)` or
`show(result, config)`; `terminal.py` says what a card is. Options are made from `Config` here, so
none is declared twice. Only the command that is called is imported.
`RESUMES = True` says that the same command goes on after it was stopped; the name of an option,
that it does so with that option.

Exit 0 done, 1 our error (one line, no traceback) or a result that names what `failed`, 2 wrong
usage, 130 and 143 stopped by Ctrl-C or SIGTERM (one line). `--json` prints one JSON object and
nothing else on standard output; progress and notes go to standard error.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from destila import plugins
from destila.children import safe_path
from destila.cpu import keep_to_quota
from destila.errors import DestilaError, explain_file, explain_missing
from destila.reading.escaping import escaped_json, plain
from destila.stopping import RememberedProgress, Stopped, catching_signals
from destila.version import __version__

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

HELP = "From labelled Spanish text and a big teacher to a small, fast, measured encoder."
COMMAND_PANELS = ("A study", "A finished model", "Raw text", "Around it")
_PLAIN = (bool, int, float, str)
_WIDTH = 160
"""Columns of a table that is not read on a terminal."""


def main() -> None:
    """Run the command line; turn our errors and signals into one line and an exit code."""
    _prepare()
    try:
        with catching_signals(), safe_path():
            make_app(sys.argv[1:])(prog_name="destila")
    except Stopped as error:
        _print_error(error)
        sys.exit(error.code)
    except (DestilaError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader of a pipe has gone: `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        _print_error(error)
        sys.exit(1)
    except ModuleNotFoundError as error:  # a command is imported with all that it needs
        missing = explain_missing(error)
        if missing is None:
            raise
        _print_error(missing)
        sys.exit(1)


def _prepare() -> None:
    """Make the output UTF-8, whatever the locale says, and keep to the threads of a container."""
    keep_to_quota()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


class _OneText(logging.Formatter):
    """Writes a note without what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


def make_app(arguments: list[str]) -> typer.Typer:
    """Return the application, with the options of the command that the arguments call.

    The others are there with their help alone: their modules, some of which import torch, are not
    imported.
    """
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=HELP,
    )
    app.callback(invoke_without_command=True)(_root)

    # Only the module of the command that is called is imported.
    called = next((word for word in arguments or _completed_words() if word[:1] != "-"), None)
    sources = {name: plugins.describe("commands", name) for name in plugins.names("commands")}
    panels = {
        name: source.constants.get("PANEL", COMMAND_PANELS[-1]) for name, source in sources.items()
    }
    for name in sorted(sources, key=lambda name: COMMAND_PANELS.index(panels[name])):
        callback = _callback(name) if name == called else _not_called
        app.command(name, help=sources[name].about, rich_help_panel=panels[name])(callback)
    return app


def _completed_words() -> list[str]:
    """Return the words after the program's name that a shell wants to have completed."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    return line.split()[1:]


def _root(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress, no notes")] = False,
) -> None:
    """Set up what all commands share."""
    if version:
        print(__version__)
        raise typer.Exit
    notes = logging.StreamHandler()
    notes.setFormatter(_OneText("%(message)s"))
    notes.addFilter(_FirstTime())
    logging.basicConfig(level=logging.ERROR if quiet else logging.WARNING, handlers=[notes])
    logging.getLogger("destila").setLevel(logging.ERROR if quiet else logging.INFO)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


_REMEMBERED = 1000
"""Notes of which a repetition is known as one."""


class _FirstTime(logging.Filter):
    """Lets a note through once: a study opens one model many times, and says the same each time.

    What a server logs are events, each of which counts, and their number has no end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, None] = {}  # in the order in which they came

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record says something new."""
        if record.name.startswith("destila.serve"):
            return True
        text = record.getMessage()
        if text in self._written:
            return False
        self._written[text] = None
        if len(self._written) > _REMEMBERED:
            del self._written[next(iter(self._written))]
        return True


def _not_called() -> None:
    """Take the place of a command that is listed and not called."""


def _callback(name: str) -> Callable[..., None]:
    """Return a function that runs a command, with the command's options as its parameters."""
    module = importlib.import_module(f"destila.commands.{name}")
    fields = module.Config.model_fields
    parameters = [_parameter(key, field) for key, field in fields.items() if _is_plain(field)]
    as_json = typer.Option("--json", help="print one JSON object and nothing else")

    def callback(json: bool, **values: Any) -> None:
        options = {key: _value(fields[key], value) for key, value in values.items()}
        _run(module, options, as_json=json)

    # typer reads options from the signature and the annotations.
    parameters.append(_keyword("json", Annotated[bool, as_json], default=False))
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__annotations__ = {each.name: each.annotation for each in parameters}
    return callback


def _run(module: ModuleType, options: dict[str, Any], *, as_json: bool) -> None:
    """Run a command with checked options and print its result."""
    from destila.config import build_config
    from destila.progress import bar

    # What was not given keeps the default of `Config`.
    given = {key: value for key, value in options.items() if value is not None}
    config = build_config(module.Config, given, where="command line")
    takes_progress = "progress" in inspect.signature(module.run).parameters

    try:
        with (
            plugins.PlugInFaults(),
            bar(as_json or logging.getLogger("destila").level == logging.ERROR) as drawn,
        ):
            progress = RememberedProgress(drawn)
            result = module.run(config, progress) if takes_progress else module.run(config)

        if isinstance(result, Iterator):  # answers, one after the other as they come
            for item in result:
                _print_json(item)
    except Stopped as error:
        # Where it was stopped, and what the same command does.
        resumes = getattr(module, "RESUMES", False)
        if isinstance(resumes, str):  # only with that option
            resumes = getattr(config, resumes) is not None
        then = "the same command goes on" if resumes else "nothing is left half written"
        error.args = (f"stopped{progress.place()}; {then}",)
        raise

    if isinstance(result, Iterator):
        return
    if as_json:
        _print_json(result)
    elif result is not None:
        _print_card(_card(module, result, config))

    # Some of the work failed, and the rest was worth showing.
    if isinstance(result, Mapping) and result.get("failed"):
        for line in result["failed"]:
            print(f"failed: {plain(str(line))}", file=sys.stderr)
        raise typer.Exit(1)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return the typer parameter of a field of a `Config`.

    A required field is an argument and any other one an option, unless `opt` says otherwise; a
    tuple may be given several times, or as a list with commas where `opt` says so.
    """
    hints = _hints(field)
    kind, repeated = _type_of(field.annotation)
    flag = str(hints.get("flag") or f"--{name.replace('_', '-')}")
    default = None if field.is_required() else field.default

    # The type and the default as typer wants them.
    metavar = hints.get("metavar")
    if hints.get("commas"):
        metavar = metavar or ",".join(map(str, get_args(kind)))
        kind, default = str, ",".join(map(str, default)) if default else None
    elif repeated:
        kind, default = list[kind], list(default) if default else None  # type: ignore[valid-type]
    if default is None and not field.is_required():
        kind = kind | None

    about: dict[str, Any] = {"help": field.description, "metavar": metavar}
    if hints.get("argument") or (field.is_required() and "flag" not in hints):
        info = typer.Argument(**about)
    else:
        off = f"/--no-{flag[2:]}" if field.default is True else ""
        info = typer.Option(f"{flag}{off}", **about)

    # typer takes a parameter without a default as required.
    missing = inspect.Parameter.empty if field.is_required() else default
    return _keyword(name, Annotated[kind, info], default=missing)


def _keyword(name: str, annotation: Any, *, default: Any) -> inspect.Parameter:
    """Return a keyword-only parameter."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _value(field: FieldInfo, value: Any) -> Any:
    """Return a value of the command line as `Config` takes it; None where nothing was given."""
    if isinstance(value, list):
        return tuple(value) or None
    if _hints(field).get("commas") and value is not None:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _hints(field: FieldInfo) -> Mapping[str, Any]:
    """Return what `opt` says about a field on the command line."""
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _is_plain(field: FieldInfo) -> bool:
    """Tell whether a field fits on a command line; a table of options does not."""
    kind, _ = _type_of(field.annotation)
    return kind in _PLAIN or get_origin(kind) is Literal


def _type_of(annotation: Any) -> tuple[Any, bool]:
    """Return the type of one value and whether there may be several: `int, True` for a tuple."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is tuple and get_args(annotation)[1:] == (Ellipsis,):
        return get_args(annotation)[0], True
    return annotation, False


def _print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(escaped_json(json.dumps(value, ensure_ascii=False, default=str)))


def _print_error(error: BaseException) -> None:
    """Print an error as one line, or as one object."""
    text = explain_file(error) if isinstance(error, OSError) else str(error)
    message = " ".join(line.strip() for line in text.splitlines())
    if "--json" in sys.argv:
        _print_json({"error": {"kind": type(error).__name__, "message": message}})
    elif isinstance(error, Stopped):
        print(plain(message), file=sys.stderr)
    else:
        print(f"error: {plain(message)}", file=sys.stderr)


def _card(module: ModuleType, result: Any, config: Any) -> Mapping[str, Any]:
    """Return what a command shows of a result: by its `show`, which may look at its options."""
    if not hasattr(module, "show"):
        shown: Mapping[str, Any] = result
    elif len(inspect.signature(module.show).parameters) > 1:
        shown = module.show(result, config)
    else:
        shown = module.show(result)
    return shown


def _print_card(card: Mapping[str, Any]) -> None:
    """Print a card; `terminal.py` says what it is."""
    from rich.console import Console

    from destila.terminal import draw_card

    draw_card(card, Console(width=None if sys.stdout.isatty() else _WIDTH))
