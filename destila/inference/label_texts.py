"""Label a stream of texts, also into a file that a killed run goes on with.

Input: whatever `user_texts.py` reads: plain text (one text per line; for classifiers,
`text<TAB>pair` is a pair, for questions `question<TAB>context`), tables, or JSON lines with `text`,
and optionally `id`, `pair` or, for taggers, `words` (a list of words that is joined by single
spaces); questions have `question` and `context`, or `text` and `pair`. An `id` that is not given is
the number of the text from 0. Every line has an answer, a blank one too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from destila import hub
from destila.config import fingerprint
from destila.errors import ConfigError
from destila.inference.answer_items import Answered, Manner
from destila.inference.answer_place import AnswerPlace
from destila.inference.answer_rows import (
    JsonRows,
    RowWriter,
    TableRows,
    delimiter_of,
    is_answer_table,
)
from destila.inference.cluster_answers import (
    AnswerBlock,
    MakeBlock,
    join_blocks,
    make_blocks_with_ray,
    plan_blocks,
)
from destila.inference.items import UserText
from destila.inference.labeller import TEXTS_AT_ONCE, Labeller
from destila.inference.resumable import Resumable, identity
from destila.inference.undecided import probability_for
from destila.inference.user_texts import count_lines, read_file, read_lines
from destila.progress import Progress, silent
from destila.results import RefusedResult
from destila.version import __version__

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be labelled, and how.

    Args:
        model: folder or hub name.
        file: of texts; None: `lines` are read.
        lines: texts where there is no file.
        jsonl: whether a line is a JSON object; None: by the file's ending, of lines by the first.
        columns: `text`, `pair` or `id` -> name of a column, before those of the training data.
        threads: of an exported model; None: as many as this process may keep busy.
        device: of a folder with weights, "cpu" or "cuda".
        min_probability: labels of a lower one are null.
        min_precision: the same, at the probability that had this precision on dev.
        strict: stop at the first text that cannot be read.
        cluster: address of a Ray cluster that labels a file; None: this machine.
        workers: of the cluster; 0 = as many as it has processors for.
    """

    model: str | Path
    file: str | None = None
    lines: Iterable[str] = ()
    jsonl: bool | None = None
    columns: dict[str, str] = field(default_factory=dict)
    threads: int | None = None
    device: str = "cpu"
    min_probability: float | None = None
    min_precision: float | None = None
    strict: bool = False
    cluster: str | None = None
    workers: int = 0


def _open_labeller(asked: Asked) -> Labeller:
    """Load the model that is asked."""
    return Labeller(asked.model, threads=asked.threads, device=asked.device)


def label_texts(asked: Asked) -> Iterator[dict[str, Any]]:
    """Return one JSON object per text, in order and read lazily; last, note what was not read."""
    labeller = _open_labeller(asked)  # before anybody types a line
    tally = _Tally()
    answered = tally.count(_label(labeller, asked))

    def objects() -> Iterator[dict[str, Any]]:
        for _, result in answered:
            yield result.to_dict()
        if note := tally.note():
            _log.warning("%s", note)

    return objects()


def label_into_file(
    asked: Asked, out: str, *, overwrite: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """Write one answer per text to `out`, with constant memory.

    A run over a file that was killed goes on after its last complete row when it is started again,
    if neither the file nor the model has changed since.

    Args:
        asked: what.
        out: a CSV or TSV file by its ending, else JSON lines.
        overwrite: replace a file that another command wrote.
        progress: told the number of texts after every chunk.

    Returns:
        out, texts, and how many of those labelled now have a `warning` or an `error`.

    Raises:
        ConfigError: `out` is the file of texts itself or another file, or cannot be written.
    """
    source = "standard input" if asked.file is None else str(Path(asked.file).absolute())
    place = AnswerPlace(out, [str(asked.model), source])
    place.check(asked.file, overwrite=overwrite)
    labeller = _open_labeller(asked)  # before anything is written

    key, total = _key_of(asked, out, labeller), 0
    if asked.file is not None:
        total = count_lines(asked.file)
    if asked.cluster is not None:
        with place.writing():
            counts = _label_on_cluster(asked, out, labeller, key, progress)
        place.remember()
        return {"out": out, **counts}

    # What an earlier run has written stays; a header is a row and no text.
    writer = _writer_of(out, asked, labeller)
    with place.writing():
        output = Resumable(out, key, quoted=is_answer_table(out))
    done = max(0, output.done - writer.header)
    if done:
        _log.info("%s: %d texts are labelled already, going on after them", out, done)

    tally = _Tally()
    answered = tally.count(_label(labeller, asked, skip=done))
    rows = writer.rows(_told(answered, progress, done, total), header=not output.done)
    with place.writing():
        count = output.write(rows) - writer.header
    place.remember()
    if note := tally.note():
        _log.warning("%s: %s", out, note)
    return {"out": out, "texts": count, "warnings": tally.warnings, "errors": tally.errors}


def _key_of(asked: Asked, out: str, labeller: Labeller) -> str | None:
    """Name everything that a row of the output depends on, so that a changed input starts anew."""
    if asked.file is None:
        return None
    parts = sorted(path for path in hub.resolve(asked.model).iterdir() if path.is_file())
    settings = [asked.jsonl, asked.columns, _least(labeller, asked), Path(out).suffix]
    files = [identity(path) for path in parts]
    return fingerprint(__version__, settings, identity(asked.file), files)


def _label_on_cluster(
    asked: Asked, out: str, labeller: Labeller, key: str | None, progress: Progress
) -> dict[str, int]:
    """Write the same file with the machines of a cluster; return its counts.

    Raises:
        ConfigError: the texts are in no file, or the cluster cannot be reached.
    """
    if asked.file is None or key is None:
        raise ConfigError("--cluster labels a file that all machines see: name one, with --out")
    texts = sum(1 for _ in _items(labeller, asked))
    path = Path(out).absolute()
    plan = plan_blocks(path.with_name(f".{path.name}.{key}.blocks"), texts, asked.workers or 2)

    # Workers see files under whole paths, whatever folder they are in.
    seen = replace(
        asked,
        file=str(Path(asked.file).absolute()),
        model=str(hub.resolve(asked.model).absolute()),
        threads=asked.threads or 1,
    )
    make_blocks_with_ray(
        plan,
        partial(_open_blocks, seen, out),
        address=str(asked.cluster),
        workers=asked.workers,
        threads=asked.threads or 1,
        progress=progress,
    )
    return join_blocks(plan, path)


def _open_blocks(asked: Asked, out: str) -> MakeBlock:
    """Open the model in a worker of a cluster, and return what makes blocks."""
    labeller = _open_labeller(asked)
    writer = _writer_of(out, asked, labeller)

    def make(first: int, count: int) -> AnswerBlock:
        """Label so many texts from one on."""
        tally = _Tally()
        answered = tally.count(_label(labeller, asked, skip=first, count=count))
        return AnswerBlock(rows=writer.rows(answered, header=not first), tally=tally.counts)

    return make


class _Tally:
    """Counts what was not read as it stands."""

    def __init__(self) -> None:
        self.texts = self.warnings = self.errors = 0

    def count(self, answered: Iterable[Answered]) -> Iterator[Answered]:
        """Pass answers on."""
        for each in answered:
            self.texts += 1
            self.errors += isinstance(each[1], RefusedResult)
            self.warnings += each[1].warning is not None
            yield each

    def counts(self) -> dict[str, int]:
        """Return what was counted, by name."""
        return {"texts": self.texts, "warnings": self.warnings, "errors": self.errors}

    def note(self) -> str:
        """Say how many texts have a warning or an error; "" where none has."""
        if not self.warnings + self.errors:
            return ""
        parts = []
        if self.errors:
            parts.append(f"could not read {self.errors:,} (see 'error' in their answers)")
        if self.warnings:
            parts.append(f"{self.warnings:,} cut, blank or broken (see 'warning')")
        return f"{self.texts:,} texts: {', '.join(parts)}"


def _told(
    answered: Iterable[Answered], progress: Progress, done: int, total: int
) -> Iterator[Answered]:
    """Pass answers on, and tell how many there are."""
    for count, each in enumerate(answered, done + 1):
        yield each
        if count % TEXTS_AT_ONCE == 0 or count == total:
            progress("texts", count, max(count, total) if total else 0)


def _writer_of(out: str, asked: Asked, labeller: Labeller) -> RowWriter:
    """Return what writes rows, by the ending of their file."""
    if not is_answer_table(out):
        return JsonRows()
    (sample,) = labeller.answers(
        [labeller.predictor.task.sample_row],
        min_probability=None if _least(labeller, asked) is None else 1.0,
    )
    return TableRows(sample.to_dict(), delimiter_of(out, asked.file))


def _least(labeller: Labeller, asked: Asked) -> float | None:
    """Return the lowest probability of a label that counts; None: all count."""
    if asked.min_precision is not None:
        return probability_for(labeller.facts, asked.min_precision)
    return asked.min_probability


def _label(
    labeller: Labeller, asked: Asked, *, skip: int = 0, count: int | None = None
) -> Iterator[Answered]:
    """Yield `count` items after the first `skip`, which are read but not asked about; None: all."""
    end = None if count is None else skip + count
    columns = labeller.columns | asked.columns
    manner = Manner(columns, _least(labeller, asked), asked.strict)
    return labeller.label(islice(_items(labeller, asked), skip, end), manner, first=skip)


def _items(labeller: Labeller, asked: Asked) -> Iterator[UserText]:
    """Read what is to be labelled."""
    task = labeller.predictor.task
    if asked.file is None:
        return read_lines(asked.lines, task, jsonl=asked.jsonl, where="standard input")
    columns = labeller.columns | asked.columns
    named = asked.columns.values()
    return read_file(asked.file, task, columns, jsonl=asked.jsonl, named=named)
