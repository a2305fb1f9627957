"""How a request becomes texts in the queue, and their answers a response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request, Response

from destila.errors import DestilaError
from destila.serve.bodies import (
    Limits,
    RefusedError,
    check_items,
    parse,
    read_body,
    read_lines,
)
from destila.serve.line_stream import LineStream
from destila.serve.metrics import Metrics
from destila.serve.pool import QueueFullError, StoppingError, WorkerError, WorkerPool
from destila.serve.problems import json_response
from destila.serve.turns import Order

SOON_SECONDS = 0.05
"""After how long without an answer a client is watched: it may have gone."""


class Server:
    """What the routes share.

    Args:
        pool: labels the texts.
        limits: of requests.
        metrics: counters.

    Attributes:
        stopping: set when streams are to end, once what they took is answered.
    """

    def __init__(self, pool: WorkerPool, limits: Limits, metrics: Metrics) -> None:
        self.pool, self.limits, self.metrics = pool, limits, metrics
        self.stopping = asyncio.Event()

    def check_model(self, name: str) -> None:
        """Raise 404 for a model that is not served."""
        if name not in self.pool.folders:
            known = ", ".join(self.pool.folders)
            raise RefusedError(404, f"no model is called '{name}': known are {known}")

    async def predict(self, name: str, request: Request) -> Response:
        """Answer one request: an object for a text, a list for a list."""
        self.check_model(name)
        # A body is read with its own limits: the framework's parser has none.
        value = parse(await read_body(request.stream(), self.limits))
        items = check_items(value, self.limits)

        # A full queue refuses the whole request, so a client never gets half of its answers.
        try:
            order = self.pool.submit(name, items)
        except (QueueFullError, StoppingError) as error:
            raise RefusedError(503, f"{error}: try again") from None
        answers = await self.collect(order, request)

        # An object is answered by an object, a list by a list, also a list of one.
        self.metrics.texts.labels(name).inc(len(answers))
        return json_response(answers if isinstance(value, list) else answers[0])

    async def collect(self, order: Order, request: Request) -> list[dict[str, Any]]:
        """Wait for the answers of a request, until time is over or its client has gone."""
        answered = asyncio.wrap_future(order.done)
        # One deadline for the request as a whole, not one for each of its texts. Most are answered
        # before it is worth the time to look whether the client is still there.
        try:
            await asyncio.wait([answered], timeout=min(SOON_SECONDS, self.limits.seconds))
            if not answered.done():
                await self._wait(answered, request)
        finally:
            self.pool.give_up(order)

        if not answered.done():
            seconds = f"{self.limits.seconds:g}"
            raise RefusedError(504, f"no answer within {seconds} seconds: send fewer texts")
        try:
            return answered.result()
        except (DestilaError, ValueError) as error:
            raise RefusedError(422, str(error)) from None
        except WorkerError as error:
            raise RefusedError(500, str(error)) from None

    async def _wait(self, answered: asyncio.Future[Any], request: Request) -> None:
        """Wait until the answers are there, the client has gone, or time is over."""
        # Nothing comes after the body but the word that the client has gone.
        gone = asyncio.ensure_future(request.receive())
        left = max(0.0, self.limits.seconds - SOON_SECONDS)
        try:
            await asyncio.wait([answered, gone], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()

    def stream(self, name: str, request: Request) -> AsyncIterator[bytes]:
        """Answer JSON lines one by one, in order."""
        self.check_model(name)
        lines = read_lines(request.stream(), self.limits, self.stopping)
        stream = LineStream(self.pool, name, lines, limits=self.limits, metrics=self.metrics)
        return stream.answers()
