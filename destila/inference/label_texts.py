"""Label a stream of texts, also into a file that a killed run goes on with.

Input: plain text (one text per line; for classifiers, `text<TAB>pair` is a pair, for questions
`question<TAB>context`), or JSONL with `text`, and optionally `id`, `pair` or, for taggers, `words`
(a list of words that is joined by single spaces); questions have `question` and `context`, or
`text` and `pair`. Files may be .gz or .zst. An `id` that is not given is the number of the text
from 0; blank lines are left out and do not count.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from destila import hub
from destila.config import fingerprint
from destila.errors import ConfigError
from destila.files import open_text
from destila.inference.labeller import TEXTS_AT_ONCE, Labeller
from destila.inference.resumable import Resumable, identity
from destila.inference.user_texts import is_jsonl, is_object, read_texts
from destila.progress import Progress, silent
from destila.version import __version__

_log = logging.getLogger(__name__)


def label_texts(
    model: str | Path,
    *,
    file: str | None = None,
    lines: Iterable[str] = (),
    jsonl: bool | None = None,
    threads: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Return the predictions of a file, or of `lines`, in order and read lazily.

    Args:
        model: folder or hub name; opened before the first text is read.
        file: file of texts; None: `lines` are read.
        lines: texts where there is no file.
        jsonl: whether a line is a JSON object; None: by the file's ending, of lines by the first.
        threads: of an exported model; None: as many as this process may keep busy.
    """
    source = iter(lines) if file is None else open_text(file)
    labeller = Labeller(model, threads=threads)  # a wrong model shows before anybody types a line
    return _label_from(labeller, source, file=file, jsonl=jsonl)


def label_into_file(
    model: str | Path,
    out: str | Path,
    *,
    file: str | None = None,
    lines: Iterable[str] = (),
    jsonl: bool | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> int:
    """Write one JSON object per text to `out`, with constant memory, and return how many there are.

    A run over a file that was killed goes on after its last complete line when it is started again,
    if neither the file nor the model has changed since.

    Args:
        model: folder or hub name.
        out: JSONL file to write.
        file: of texts; None: `lines` are read.
        lines: texts where there is no file.
        jsonl: whether a line is a JSON object; None: as in `label_texts`.
        threads: of an exported model; None: as many as this process may keep busy.
        progress: told the number of texts after every chunk.

    Raises:
        ConfigError: `out` is the file of texts itself.
    """
    key, total, source = None, 0, iter(lines)
    if file is not None:
        if Path(out).exists() and Path(out).samefile(file):
            raise ConfigError(f"--out {out} is the file of texts itself: give another name")

        # Everything that a line of the output depends on, so that a changed input starts anew.
        total = sum(1 for line in open_text(file) if line.strip())
        source = open_text(file)
        parts = sorted(path for path in hub.resolve(model).iterdir() if path.is_file())
        key = fingerprint(
            __version__, {"jsonl": jsonl}, identity(file), [identity(path) for path in parts]
        )

    labeller = Labeller(model, threads=threads)  # before anything is written
    output = Resumable(out, key)
    if output.done:
        _log.info("%s: %d texts are labelled already, going on after them", out, output.done)

    def written() -> Iterator[str]:
        objects = _label_from(labeller, source, file=file, jsonl=jsonl, skip=output.done)
        for count, item in enumerate(objects, output.done + 1):
            yield json.dumps(item, ensure_ascii=False)
            if count % TEXTS_AT_ONCE == 0 or count == total:
                progress("texts", count, total)

    return output.write(written())


def _label_from(
    labeller: Labeller,
    source: Iterator[str],
    *,
    file: str | None,
    jsonl: bool | None,
    skip: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield the predictions of all texts after the first `skip`."""
    if jsonl is None and file is not None:
        jsonl = is_jsonl(file)
    elif jsonl is None:
        first = list(islice(source, 1))  # without a file name, the first line tells
        source, jsonl = chain(first, source), any(map(is_object, first))

    # Texts that are labelled already are read, so that numbers stay, but not asked about.
    pairs = labeller.predictor.task.has_pairs
    texts = read_texts(source, jsonl=jsonl, where=file or "standard input", pairs=pairs)
    answers = labeller.answers(islice(texts, skip, None), first=skip)
    return (answer.to_dict() for answer in answers)
