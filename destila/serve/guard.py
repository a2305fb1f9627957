"""What stands around every request: the token, the counters, the log, and patience with an end."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from destila.serve.metrics import Metrics
from destila.serve.problems import problem_response

log = logging.getLogger(__name__)

OPEN_PATHS = {"/", "/health", "/ready", "/page.css", "/page.js", "/answers.js"}
"""What needs no token: the page itself and whether the server lives."""

GONE = 499
"""The status in the log, as proxies write it, of a client that went before it had its answer."""


class Guard:
    """Check the token of every request, count it, and log it without its texts.

    A plain ASGI middleware: the framework's own would hold back a stream that is read and
    answered at the same time.

    Args:
        app: what answers.
        token: that clients must send; None: none.
        metrics: counters.
        seconds: that a client may take to read what it is sent.
    """

    def __init__(
        self, app: ASGIApp, *, token: str | None, metrics: Metrics, seconds: float
    ) -> None:
        self.app, self.token, self.metrics, self.seconds = app, token, metrics, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        # 500 stands for a route that fails before it answers at all.
        started, status = time.perf_counter(), 500

        # The status is known only once the response begins.
        async def noted(message: Message) -> None:
            """Pass a message on, and note the status it starts with."""
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            # Who asks and does not read would else hold its answers for ever.
            async with asyncio.timeout(self.seconds):
                await send(message)

        # Refusals pass through the same sender, so that they are counted too.
        try:
            if self.token is None or scope["path"] in OPEN_PATHS or knows(scope, self.token):
                await self.app(scope, receive, noted)
            else:
                refusal = problem_response(
                    401, "send 'Authorization: Bearer' with this server's token"
                )
                refusal.headers["WWW-Authenticate"] = "Bearer"
                await refusal(scope, receive, noted)
        except (ClientDisconnect, TimeoutError):
            status = GONE
        finally:
            self.note(scope, status, time.perf_counter() - started)

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count and log a request that is done."""
        # The route's pattern, not the path: strangers' paths would make endless series.
        route = getattr(scope.get("route"), "path", "other")
        self.metrics.requests.labels(scope["method"], route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        # No text and no query is logged: texts are the clients' own.
        if log.isEnabledFor(logging.INFO):
            ms = round(1000 * seconds, 2)
            path = scope["path"]
            log_event("request", method=scope["method"], path=path, status=status, ms=ms)


def log_event(event: str, **facts: Any) -> None:
    """Write a line of the log: one JSON object with the time."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    log.info(json.dumps({"time": now, "event": event, **facts}))


class LinesResponse(Response):
    """Send lines as they come; unlike the framework's, it leaves the request's body alone."""

    media_type = "application/x-ndjson"

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__()
        self.lines = lines
        # The length is not known before the last line.
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send every line, then the end."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for line in self.lines:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def knows(scope: Scope, token: str) -> bool:
    """Compare the token in constant time."""
    # Comparing byte by byte would tell by its time how much of a guess is right.
    sent = Headers(scope=scope).get("Authorization", "")
    return hmac.compare_digest(sent.encode(), f"Bearer {token}".encode())
