"""Label new texts with a model folder: lines, a file or standard input -> one JSON object per text.

Input: plain text (one text per line; for classifiers, `text<TAB>pair` is a pair, for questions `question<TAB>context`),
or JSONL with `text`, and optionally `id`, `pair` or, for taggers, `words` (a list of words that is joined by single
spaces); questions have `question` and `context`, or `text` and `pair`. Files may be .gz or .zst. An `id` that is not
given is the number of the text from 0; blank lines are left out and do not count.

What labels is `inference/labeller.py`; this file reads the texts and writes the answers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from destila import hub
from destila.config import Options, fingerprint, opt
from destila.errors import ConfigError
from destila.files import open_text
from destila.inference.labeller import CHUNK, PAIRED, Labeller
from destila.inference.resumable import Resumable, identity
from destila.inference.texts import is_jsonl, is_object, read_texts
from destila.version import __version__

_log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]


class Config(Options):
    """Arguments of the verb."""

    model: str = opt(..., "model folder")
    file: str | None = opt(None, "file of texts; none = `lines`")
    out: str | None = opt(None, "JSONL file to write; a run that was killed goes on in it")
    jsonl: bool | None = opt(
        None, "one JSON object per line; none = by the file's ending, of `lines` by the first"
    )
    threads: int | None = opt(
        None, "threads of an exported model; none = as many as this process may keep busy", ge=1
    )


def run(arguments: Config, lines: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Predictions of a file, or of `lines` when there is none; lazily, in order. `out` is for `write`."""
    source = iter(lines) if arguments.file is None else open_text(arguments.file)
    labeller = Labeller(
        arguments.model, threads=arguments.threads
    )  # a wrong model shows before anybody types a line
    return _labelled(labeller, arguments, source, 0)


def write(arguments: Config, lines: Iterable[str] = (), progress: Progress | None = None) -> int:
    """The number of texts labelled, after writing one object per text to `arguments.out` with constant memory.

    A run over a file that was killed goes on after its last complete line when it is started again, if neither the
    file nor the model has changed since.
    """
    if arguments.out is None:
        raise ConfigError("no file to write the predictions to: give --out")
    key, total, source = None, 0, iter(lines)
    if arguments.file is not None:
        if Path(arguments.out).exists() and Path(arguments.out).samefile(arguments.file):
            raise ConfigError(
                f"--out {arguments.out} is the file of texts itself: give another name"
            )
        total = sum(1 for line in open_text(arguments.file) if line.strip())
        source = open_text(arguments.file)
        model = sorted(path for path in hub.resolve(arguments.model).iterdir() if path.is_file())
        asked = arguments.model_dump(include={"jsonl"})
        key = fingerprint(
            __version__, asked, identity(arguments.file), [identity(path) for path in model]
        )
    labeller = Labeller(arguments.model, threads=arguments.threads)  # before anything is written
    file = Resumable(arguments.out, key)
    if file.done:
        _log.info(
            "%s: %d texts are labelled already, going on after them", arguments.out, file.done
        )

    def written() -> Iterator[str]:
        for count, item in enumerate(
            _labelled(labeller, arguments, source, file.done), file.done + 1
        ):
            yield json.dumps(item, ensure_ascii=False)
            if progress and (count % CHUNK == 0 or count == total):
                progress("texts", count, total)

    return file.write(written())


def _labelled(
    labeller: Labeller, arguments: Config, source: Iterator[str], done: int
) -> Iterator[dict[str, Any]]:
    """Predictions from the text after the first `done`."""
    if arguments.jsonl is not None:
        jsonl = arguments.jsonl
    elif arguments.file is not None:
        jsonl = is_jsonl(arguments.file)
    else:
        first = list(islice(source, 1))
        source, jsonl = chain(first, source), any(map(is_object, first))
    pairs = labeller.predictor.task in PAIRED
    rows = read_texts(source, jsonl=jsonl, where=arguments.file or "standard input", pairs=pairs)
    return labeller.predict(islice(rows, done, None), first=done)
