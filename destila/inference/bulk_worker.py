"""A process that labels texts for another one: examples come in, answers go out, over pipes.

Both sides speak in frames of `marshal`, Python's own form of plain values: every number comes back
to the last bit, and a frame costs a fifth of what JSON costs. It is read by the very Python, and
the very file, that wrote it.

    python -P -m destila.inference.bulk_worker FOLDER
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

from destila.inference.answer_items import Outcome, answer_examples
from destila.inference.predictor import RuntimePredictor
from destila.results import (
    AnswerResult,
    LabelResult,
    LabelsResult,
    Result,
    SpansResult,
    TextSpan,
    text_spans,
)
from destila.stopping import ignore_interrupts
from destila.types import Example
from destila.version import __version__

_CLASSES: tuple[type[Any], ...] = (LabelResult, LabelsResult, SpansResult, AnswerResult)
_VALUES = {
    each: attrgetter(*(field.name for field in fields(each))) for each in (*_CLASSES, TextSpan)
}
_SIZE = 8  # bytes that say how long a frame is

PackedResult = tuple[int, tuple[Any, ...]]
"""Which of the classes, and the values of its fields."""


def identity_of_code() -> list[str]:
    """Return what both sides must have in common: the version, and this very file."""
    return [__version__, os.path.realpath(__file__)]


def send(stream: IO[bytes], value: Any) -> None:
    """Write a plain value as one frame."""
    frame = marshal.dumps(value)
    stream.write(len(frame).to_bytes(_SIZE, "little") + frame)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one frame; raise EOFError where the other side has ended."""
    head = stream.read(_SIZE)
    size = int.from_bytes(head, "little")
    frame = stream.read(size) if len(head) == _SIZE else b""
    if not frame or len(frame) < size:
        raise EOFError("the other side has ended")
    return marshal.loads(frame)


def pack_examples(examples: Iterable[Example]) -> list[tuple[Any, ...]]:
    """Return examples as plain values."""
    return [(each.id, each.text, each.pair, each.words) for each in examples]


def pack_outcomes(outcomes: Iterable[Outcome]) -> list[tuple[Any, ...]]:
    """Return outcomes as plain values; raise KeyError for a result of a class that is not ours."""
    return [(each.result and _pack(each.result), each.refused, each.cut) for each in outcomes]


def unpack_outcomes(packed: Iterable[Sequence[Any]]) -> list[Outcome]:
    """Return the outcomes of plain values."""
    return [Outcome(result and _unpack(*result), refused, cut) for result, refused, cut in packed]


def _pack(result: Result) -> PackedResult:
    kind = type(result)
    if isinstance(result, SpansResult):
        spans = tuple(map(_VALUES[TextSpan], result.spans))
        return _CLASSES.index(kind), (result.id, result.text, spans, result.warning)
    return _CLASSES.index(kind), _VALUES[kind](result)


def _unpack(number: int, values: Sequence[Any]) -> Result:
    kind = _CLASSES[number]
    if kind is SpansResult:
        name, text, spans, warning = values
        return SpansResult(name, text, text_spans(spans), warning)
    result: Result = kind(*values)
    return result


def work(folder: Path, jobs: IO[bytes], answers: IO[bytes]) -> None:
    """Answer frame after frame, until no more can come."""
    predictor = RuntimePredictor(folder, threads=1)
    send(answers, identity_of_code())
    while True:
        try:
            packed = receive(jobs)
        except EOFError:
            return  # whoever asked has ended, or needs no more
        outcomes = answer_examples(predictor, [Example(*each) for each in packed])
        send(answers, pack_outcomes(outcomes))


def serve_parent() -> None:
    """Serve the process that started this one, which alone ends it."""
    ignore_interrupts()
    # What a library prints must not stand between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        work(Path(sys.argv[1]), sys.stdin.buffer, answers)
    except BrokenPipeError:
        os._exit(1)  # nobody waits for what is still in the buffer


if __name__ == "__main__":
    serve_parent()
