"""JSON lines in, JSON lines out, in order, with a bounded number of texts in work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from destila.errors import DestilaError
from destila.serve.bodies import Limits, RefusedError, check_item, parse
from destila.serve.metrics import Metrics
from destila.serve.pool import QueueFullError, StoppingError, WorkerError, WorkerPool
from destila.serve.problems import dump, problem
from destila.serve.turns import Item, Order

FULL_SECONDS = 0.01
"""After how long a stream that met a full queue tries again."""


@dataclass(slots=True, eq=False)
class Line:
    """A line that was read.

    Args:
        number: from 0.
        answer: comes as a list of one, or as an error.
        order: in the pool; None for a line that could not be taken.
    """

    number: int
    answer: asyncio.Future[list[dict[str, Any]]]
    order: Order | None = None


class LineStream:
    """Answer the lines of a client.

    A line that cannot be answered gets an error object in its place; the others go on. Answers are
    sent as soon as they are there, also to a client that waits for one before it sends the next
    line.

    Args:
        pool: labels the texts.
        model: name of the model.
        lines: as the client sends them.
        limits: of a text.
        metrics: counters.
    """

    def __init__(
        self,
        pool: WorkerPool,
        model: str,
        lines: AsyncIterator[list[bytes]],
        *,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self.pool, self.model, self.limits, self.metrics = pool, model, limits, metrics
        self._lines = lines
        # Read and not taken yet; taken and not answered yet, in order.
        self._read: deque[bytes | RefusedError] = deque()
        self._taken: deque[Line] = deque()
        self._number = 0
        # The wait for more lines; None after the last one.
        self._reading: asyncio.Future[list[bytes] | None] | None = None

    async def answers(self) -> AsyncIterator[bytes]:
        """Yield a line for every line, in order."""
        self._reading = self._read_on()
        try:
            while self._reading or self._read or self._taken:
                # The oldest answer goes first, whichever worker is done first.
                while self._taken and self._taken[0].answer.done():
                    yield self._write(self._taken.popleft())
                self._take()
                await self._wait()
        finally:
            # The client has gone, or time is over: what it waits for is given up.
            if self._reading:
                self._reading.cancel()
            for line in self._taken:
                if line.order:
                    self.pool.give_up(line.order)

    def _read_on(self) -> asyncio.Future[list[bytes] | None]:
        """Begin to wait for more lines; None comes at the end of the stream."""
        return asyncio.ensure_future(anext(self._lines, None))

    def _take(self) -> None:
        """Take lines into the queue, as many as keep the workers busy."""
        # Two texts per worker: so the memory is bounded, whatever the client sends.
        while self._read and len(self._taken) <= 2 * self.pool.workers:
            line = Line(self._number, asyncio.get_running_loop().create_future())
            try:
                item = self._item(self._read[0], line.number)
                line.order = self.pool.submit(self.model, [item], first=line.number)
            except QueueFullError:
                return  # a stream has no second try: it slows its client down instead
            except StoppingError as error:
                line.answer.set_exception(RefusedError(503, f"{error}: send this line again"))
            except RefusedError as error:
                line.answer.set_exception(error)
            else:
                line.answer = asyncio.wrap_future(line.order.done)

            self._read.popleft()
            self._taken.append(line)
            self._number += 1

    def _item(self, read: bytes | RefusedError, number: int) -> Item:
        """Return the text of a line; raise RefusedError when it is none."""
        if isinstance(read, RefusedError):
            raise read
        return check_item(parse(read), number, self.limits)

    async def _wait(self) -> None:
        """Wait until the oldest answer or another line is there, or the queue may have room."""
        awaited: list[asyncio.Future[Any]] = [self._taken[0].answer] if self._taken else []
        # More is read only once all that was read is taken: so the memory is bounded.
        if self._reading and not self._read:
            awaited.append(self._reading)

        if awaited:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        elif self._read:
            await asyncio.sleep(FULL_SECONDS)
        if self._reading and not self._read and self._reading.done():
            self._look(self._reading)

    def _look(self, reading: asyncio.Future[list[bytes] | None]) -> None:
        """Note the lines that have come, and read on."""
        # A stream that cannot be read on says so in its last line.
        try:
            came = reading.result()
        except RefusedError as error:
            self._read.append(error)
            self._reading = None
        else:
            self._read.extend(came or ())
            self._reading = None if came is None else self._read_on()

    def _write(self, line: Line) -> bytes:
        """Write the answer of a line, which is there."""
        try:
            answer = line.answer.result()[0]
        except RefusedError as error:
            return _error(error.status, error.detail, line.number)
        except (DestilaError, ValueError) as error:
            return _error(422, str(error), line.number)
        except WorkerError as error:
            return _error(500, str(error), line.number)
        self.metrics.texts.labels(self.model).inc()
        return dump(answer) + b"\n"


def _error(status: int, detail: str, number: int) -> bytes:
    """Write an error in place of an answer; lines are counted from 1."""
    return dump({"error": problem(status, detail, line=number + 1)}) + b"\n"
