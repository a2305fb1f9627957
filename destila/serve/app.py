"""The HTTP API: one application over a pool of workers.

    POST /v1/models/{name}/predict          one text or a list -> one object or a list
    POST /v1/models/{name}/predict/stream   JSON lines in, JSON lines out, in order
    GET  /v1/models                         the models, their tasks and labels
    GET  /health /ready /metrics            for those who run it
    GET  /                                  a page to try the models

Answers are the objects of `destila predict`, to the last bit. Errors are problem objects
(RFC 9457).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from destila.errors import DestilaError
from destila.serve import openapi
from destila.serve.bodies import (
    Limits,
    RefusedError,
    check_item,
    check_items,
    parse,
    read_body,
    read_lines,
)
from destila.serve.metrics import Metrics
from destila.serve.pool import Job, QueueFullError, WorkerPool
from destila.version import __version__

log = logging.getLogger(__name__)

OPEN_PATHS = {"/", "/health", "/ready", "/page.css", "/page.js"}
"""What needs no token: the page itself and whether the server lives."""

RETRY_SECONDS = 1
"""After how long a client that met a full queue may try again."""


def create_app(
    pool: WorkerPool, *, limits: Limits | None = None, token: str | None = None
) -> FastAPI:
    """Build the application over a pool of workers.

    Args:
        pool: labels the texts; closed when the application stops, after it answered what it took.
        limits: of requests; None = the defaults.
        token: clients must send `Authorization: Bearer TOKEN`; None = everybody may ask.

    """
    metrics = Metrics(pool)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        """Close the pool when the application stops."""
        yield

        # The pool first answers what it took. Joining its threads blocks, hence a thread for that.
        await asyncio.to_thread(pool.close)

    app = FastAPI(
        title="destila",
        version=__version__,
        description="Small Spanish encoders: classify, tag, answer.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    server = Server(pool, limits or Limits(), metrics)

    # Refusals of ours and of the framework both become problem objects.
    app.add_exception_handler(RefusedError, answer_refused)
    app.add_exception_handler(HTTPException, answer_http_error)
    # The guard stands around the routes: it also counts and logs what no route answers.
    app.add_middleware(Guard, token=token, metrics=metrics)

    app.state.pool = pool
    add_model_routes(app, server)
    add_operator_routes(app, metrics)
    add_page(app)
    return app


class Server:
    """What the routes share: the pool, the limits, the counters."""

    def __init__(self, pool: WorkerPool, limits: Limits, metrics: Metrics) -> None:
        self.pool, self.limits, self.metrics = pool, limits, metrics

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
            jobs = self.pool.submit(name, items)
        except QueueFullError as error:
            raise RefusedError(503, f"{error}: try again") from None
        answers = await self.collect(jobs)

        # An object is answered by an object, a list by a list, also a list of one.
        self.metrics.texts.labels(name).inc(len(answers))
        return json_response(answers if isinstance(value, list) else answers[0])

    async def collect(self, jobs: list[Job]) -> list[dict[str, Any]]:
        """Wait for the answers of a request; those not begun when time is over are given up."""
        # One deadline for the request as a whole, not one for each of its texts.
        waiting = asyncio.gather(*(asyncio.wrap_future(job.answer) for job in jobs))
        try:
            return list(await asyncio.wait_for(waiting, self.limits.seconds))
        except TimeoutError:
            seconds = f"{self.limits.seconds:g}"
            raise RefusedError(
                504, f"no answer within {seconds} seconds: send fewer texts"
            ) from None
        except (DestilaError, ValueError) as error:
            raise RefusedError(422, str(error)) from None
        finally:
            for job in jobs:
                job.answer.cancel()  # does nothing to one that is done

    async def stream(self, name: str, request: Request) -> AsyncIterator[bytes]:
        """Answer JSON lines one by one, in order, with a bounded number of texts in work.

        A line that cannot be answered gets an error object in its place; the others go on.
        """
        # Answers come in the order of the lines, whichever worker is done first.
        ahead: deque[Job | RefusedError] = deque()
        number = 0
        try:
            async for line in read_lines(request.stream(), self.limits):
                ahead.append(await self.take_line(name, line, number))
                number += 1
                # Two texts per worker keep all of them busy and the memory bounded.
                if len(ahead) > 2 * self.pool.workers:
                    yield await self.answer_line(name, ahead.popleft())
        except RefusedError as error:  # the stream cannot be read on: say so as its last line
            ahead.append(error)

        # The client has sent everything: what is still in work is answered too.
        while ahead:
            yield await self.answer_line(name, ahead.popleft())

    async def take_line(self, name: str, line: bytes, number: int) -> Job | RefusedError:
        """Take the text of a line into the queue; wait for a place while the queue is full."""
        # A bad line keeps its place: its error comes in order, with its number from 1.
        try:
            item = check_item(parse(line), number, self.limits)
        except RefusedError as error:
            return RefusedError(error.status, error.detail, line=number + 1)
        # A stream has no second try: it slows its client down instead of refusing a line.
        while True:
            # A text that the model cannot take costs its own line and no other.
            try:
                return self.pool.submit(name, [item], first=number)[0]
            except QueueFullError:
                await asyncio.sleep(0.01)

    async def answer_line(self, name: str, taken: Job | RefusedError) -> bytes:
        """Wait for the answer of a line and write it."""
        if isinstance(taken, RefusedError):
            return dump({"error": problem(taken.status, taken.detail, **taken.more)}) + b"\n"
        try:
            answer = await asyncio.wrap_future(taken.answer)
        except (DestilaError, ValueError) as error:
            return dump({"error": problem(422, str(error), line=taken.number + 1)}) + b"\n"
        self.metrics.texts.labels(name).inc()
        return dump(answer) + b"\n"


# --- routes


def add_model_routes(app: FastAPI, server: Server) -> None:
    """Add what clients call."""

    @app.get("/v1/models", responses=openapi.MODELS, tags=["models"])
    async def list_models() -> Response:
        """List the models, their tasks and labels."""
        models = [
            {"name": name, "task": task, "labels": list(labels)}
            for name, (task, labels) in server.pool.tasks.items()
        ]
        return json_response({"models": models})

    @app.post(
        "/v1/models/{name}/predict",
        openapi_extra=openapi.PREDICT_BODY,
        responses=openapi.PREDICT,
        tags=["models"],
    )
    async def predict(name: str, request: Request) -> Response:
        """Label one text, or a list of them."""
        return await server.predict(name, request)

    @app.post(
        "/v1/models/{name}/predict/stream",
        openapi_extra=openapi.STREAM_BODY,
        responses=openapi.STREAM,
        tags=["models"],
    )
    async def stream(name: str, request: Request) -> Response:
        """Label JSON lines as they come, in order, in constant memory."""
        server.check_model(name)
        return LinesResponse(server.stream(name, request))


def add_operator_routes(app: FastAPI, metrics: Metrics) -> None:
    """Add what those who run the server call."""

    @app.get("/health", tags=["operations"])
    async def health() -> Response:
        """Answer as long as the process lives."""
        return json_response({"status": "ok"})

    @app.get("/ready", tags=["operations"])
    async def ready() -> Response:
        """Answer once models are loaded; the pool opens them before the application exists."""
        return json_response({"status": "ready"})

    @app.get("/metrics", tags=["operations"])
    async def show_metrics() -> Response:
        """Show counters and times in Prometheus' text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def add_page(app: FastAPI) -> None:
    """Add the page to try the models; it asks nobody but this server."""
    kinds = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
    # The browser itself then stops whatever would ask another host.
    policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"

    def route(file: str, kind: str) -> Callable[[], Any]:
        """Make the route of one file of the page."""
        # Read once: the page does not change while the server runs.
        content = files("destila.serve").joinpath("page", file).read_bytes()
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}

        async def serve_file() -> Response:
            """Send the file."""
            return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)

        return serve_file

    for file, kind in kinds.items():
        path = "/" if file == "index.html" else f"/{file}"
        app.add_api_route(path, route(file, kind), include_in_schema=False)


# --- around every request


class Guard:
    """Check the token of every request, count it, and log it without its texts.

    A plain ASGI middleware: the framework's own would hold back a stream that is read and
    answered at the same time.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, metrics: Metrics) -> None:
        self.app, self.token, self.metrics = app, token, metrics

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
            await send(message)

        # Refusals pass through the same sender, so that they are counted too.
        if self.token is None or scope["path"] in OPEN_PATHS or knows(scope, self.token):
            await self.app(scope, receive, noted)
        else:
            refusal = problem_response(401, "send 'Authorization: Bearer' with this server's token")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            await refusal(scope, receive, noted)
        self.note(scope, status, time.perf_counter() - started)

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count and log a request that is done."""
        # The route's pattern, not the path: strangers' paths would make endless series.
        route = getattr(scope.get("route"), "path", "other")
        self.metrics.requests.labels(scope["method"], route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        # No text and no query is logged: texts are the clients' own.
        facts = {"method": scope["method"], "path": scope["path"], "status": status}
        log.info(json.dumps(facts | {"ms": round(1000 * seconds, 2)}))


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


async def answer_refused(_: Request, error: Exception) -> Response:
    """Answer a request that was refused."""
    assert isinstance(error, RefusedError)
    response = problem_response(error.status, error.detail, **error.more)
    if error.status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


async def answer_http_error(_: Request, error: Exception) -> Response:
    """Answer what the framework refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    response = problem_response(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


# --- objects


def problem(status: int, detail: str, **more: Any) -> dict[str, Any]:
    """Make a problem object (RFC 9457)."""
    titles = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}
    titles |= {413: "Content Too Large", 422: "Unprocessable Content"}
    titles |= {503: "Service Unavailable", 504: "Gateway Timeout"}
    title = titles.get(status, "Error")
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}


def problem_response(status: int, detail: str, **more: Any) -> Response:
    """Make a response of a problem object."""
    body = dump(problem(status, detail, **more))
    return Response(body, status_code=status, media_type="application/problem+json")


def json_response(value: Any) -> Response:
    """Make a response of JSON as the command line writes it."""
    return Response(dump(value), media_type="application/json")


def dump(value: Any) -> bytes:
    """Write JSON in UTF-8 as `destila predict` does."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
