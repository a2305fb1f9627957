"""Label new texts with a model folder: lines, a file or standard input -> one JSON object per text.

Input: plain text (one text per line; for classifiers, `text<TAB>pair` is a pair, for questions `question<TAB>context`),
or JSONL with `text`, and optionally `id`, `pair` or, for taggers, `words` (a list of words that is joined by single
spaces); questions have `question` and `context`, or `text` and `pair`. Files may be .gz or .zst. An `id` that is not
given is the number of the text from 0; blank lines are left out and do not count.

A folder of `destila export` is run without torch, any other with it. Nothing here or in what is imported above loads
torch: an exported model works where it is not installed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from destila import __version__, hub
from destila.config import Options, fingerprint, opt
from destila.errors import ConfigError, DataError, ModelError, require
from destila.runtime.exported import is_exported
from destila.runtime.predictor import RuntimePredictor
from destila.text.decode import as_json
from destila.text.files import open_text
from destila.text.folder import FolderInfo, read_folder
from destila.text.readers import ClassifyReader, reader
from destila.text.resumable import Resumable, identity
from destila.text.words import split_words
from destila.types import Example, Predictor

_log = logging.getLogger(__name__)
_CHUNK = 256
"""Texts read before they are labelled: memory stays constant whatever the size of the input."""

Progress = Callable[[str, int, int], None]
_SPAN = "span"


class Config(Options):
    """Arguments of the verb."""

    model: str = opt(..., "model folder")
    file: str | None = opt(None, "file of texts; none = `lines`")
    out: str | None = opt(None, "JSONL file to write; a run that was killed goes on in it")
    jsonl: bool | None = opt(None, "one JSON object per line; none = by the file's ending, of `lines` by the first")
    threads: int | None = opt(None, "threads of an exported model; none = as many as this process may keep busy", ge=1)


class Labeller:
    """A loaded model folder that labels texts."""

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        path = hub.resolve(folder)
        self.predictor: Predictor = (
            RuntimePredictor(path, threads=threads) if is_exported(path) else _torch(read_folder(path))
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of the model's classes."""
        return self.predictor.labels

    def predict(self, texts: Iterable[str | dict[str, Any]], *, first: int = 0) -> Iterator[dict[str, Any]]:
        """One object per text (see `destila predict`), in order, read lazily.

        texts: strings, or dicts with `text` (or `words`) and optionally `id` and `pair`. first: number of the first
        text, which its id and error messages go by.
        """
        source = iter(texts)
        seen = first
        while chunk := list(islice(source, _CHUNK)):
            examples = [self._example(item, seen + i) for i, item in enumerate(chunk)]
            seen += len(chunk)
            predictions = self.predictor.predict(examples)
            for example, prediction in zip(examples, predictions, strict=True):
                yield as_json(example, prediction, self.labels, self.predictor.task)

    def _example(self, item: str | dict[str, Any], number: int) -> Example:
        row = {"text": item} if isinstance(item, str) else item
        name = str(row.get("id", number))
        if self.predictor.task == _SPAN:
            question = _string(row, "question" if "question" in row else "text", number)
            return Example(name, question, _string(row, "pair" if "pair" in row else "context", number))
        if self.predictor.task == ClassifyReader.name:
            return Example(
                name,
                _string(row, "text", number),
                _string(row, "pair", number) if row.get("pair") is not None else None,
            )
        if "words" not in row:
            text = _string(row, "text", number)
            return Example(name, text, words=split_words(text))
        words = row["words"]
        if not isinstance(words, list) or not all(isinstance(w, str) and w.strip() for w in words):
            raise DataError(f"text {number + 1}: `words` must be a list of words: {_shown(row)}")
        ends = [sum(len(w) + 1 for w in words[: i + 1]) - 1 for i in range(len(words))]
        return Example(name, " ".join(words), words=tuple((e - len(w), e) for w, e in zip(words, ends, strict=True)))


def _torch(info: FolderInfo) -> Predictor:
    """The Predictor of a folder with weights; raises MissingExtraError without torch."""
    if info.task is None or info.labels is None:
        raise ModelError(
            f"{info.path} has no task head with label names: give a folder that destila trained, such as runs/<study>/students/<name>/best"
        )
    require("torch", "train")
    from destila.models import hf
    from destila.train.predict import TorchPredictor

    loaded = hf.load(info.path, head_required=True)
    longest = int(info.extra.get("max_length", loaded.max_length))
    task = reader(info.task, info.extra.get(info.task))
    return TorchPredictor(loaded.model, loaded.tokenizer, task, info.labels, max_length=longest)


def _string(row: dict[str, Any], key: str, number: int) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise DataError(f"text {number + 1} has no string under '{key}': {_shown(row)}")
    return value


def _shown(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)[:80]


def rows_of(lines: Iterable[str], *, jsonl: bool, where: str, pairs: bool) -> Iterator[str | dict[str, Any]]:
    """Texts of lines; blank lines are left out. pairs: a tab parts text and pair. Raises DataError with the line."""
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        if not jsonl and not pairs:
            yield text
            continue
        if not jsonl:
            head, tab, tail = text.partition("\t")
            yield {"text": head, "pair": tail} if tab else text
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}, line {number}: not a JSON object ({error.msg} at column {error.colno})"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{where}, line {number}: not a JSON object but {type(row).__name__}")
        yield row


def run(arguments: Config, lines: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Predictions of a file, or of `lines` when there is none; lazily, in order. `out` is for `write`."""
    source = iter(lines) if arguments.file is None else open_text(arguments.file)
    labeller = Labeller(arguments.model, threads=arguments.threads)  # a wrong model shows before anybody types a line
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
            raise ConfigError(f"--out {arguments.out} is the file of texts itself: give another name")
        total = sum(1 for line in open_text(arguments.file) if line.strip())
        source = open_text(arguments.file)
        model = sorted(path for path in hub.resolve(arguments.model).iterdir() if path.is_file())
        asked = arguments.model_dump(include={"jsonl"})
        key = fingerprint(__version__, asked, identity(arguments.file), [identity(path) for path in model])
    labeller = Labeller(arguments.model, threads=arguments.threads)  # before anything is written
    file = Resumable(arguments.out, key)
    if file.done:
        _log.info("%s: %d texts are labelled already, going on after them", arguments.out, file.done)

    def written() -> Iterator[str]:
        for count, item in enumerate(_labelled(labeller, arguments, source, file.done), file.done + 1):
            yield json.dumps(item, ensure_ascii=False)
            if progress and (count % _CHUNK == 0 or count == total):
                progress("texts", count, total)

    return file.write(written())


def _labelled(labeller: Labeller, arguments: Config, source: Iterator[str], done: int) -> Iterator[dict[str, Any]]:
    """Predictions from the text after the first `done`."""
    if arguments.jsonl is not None:
        jsonl = arguments.jsonl
    elif arguments.file is not None:
        jsonl = is_jsonl(arguments.file)
    else:
        first = list(islice(source, 1))
        source, jsonl = chain(first, source), any(map(_is_object, first))
    pairs = labeller.predictor.task in (ClassifyReader.name, _SPAN)
    rows = rows_of(source, jsonl=jsonl, where=arguments.file or "standard input", pairs=pairs)
    return labeller.predict(islice(rows, done, None), first=done)


def is_jsonl(path: str) -> bool:
    """Whether a file of texts holds JSON objects, by its name: `x.jsonl`, `x.json`, also packed."""
    return any(suffix in (".jsonl", ".json") for suffix in Path(path).suffixes)


def _is_object(line: str) -> bool:
    """Whether a line is a JSON object with something to label; such a line is no text of a person."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return False
    return isinstance(row, dict) and bool({"text", "words", "question"} & row.keys())
