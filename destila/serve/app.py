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
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from destila.inference.answer_page import page_files
from destila.serve import openapi
from destila.serve.answering import Server
from destila.serve.bodies import Limits, RefusedError
from destila.serve.guard import Guard, LinesResponse
from destila.serve.metrics import Metrics
from destila.serve.pool import WorkerPool
from destila.serve.problems import (
    answer_failure,
    answer_http_error,
    answer_refused,
    json_response,
    problem_response,
)
from destila.version import __version__


class PlainRoute(APIRoute):
    """A route whose function is given the parts of the path and the request, and nothing else.

    The framework would work out the arguments of every call anew, which costs a fifth of a short
    text's time. It still describes the route in the OpenAPI document.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            response = await endpoint(request=request, **request.path_params)
            await response(scope, receive, send)

        self.app = answer


def create_app(
    pool: WorkerPool,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """Build the application over a pool of workers.

    Args:
        pool: labels the texts; closed when the application stops, after it answered what it took.
        limits: of requests; None = the defaults.
        token: clients must send `Authorization: Bearer TOKEN`; None = everybody may ask.
        origins: other sites whose pages may ask, such as "https://example.org" (CORS).

    """
    limits = limits or Limits()
    metrics = Metrics(pool)
    server = Server(pool, limits, metrics)

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

    # Refusals, of ours and of the framework, and failures all become problem objects.
    app.add_exception_handler(RefusedError, answer_refused)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(Exception, answer_failure)
    # The guard stands around the routes: it also counts and logs what no route answers.
    app.add_middleware(Guard, token=token, metrics=metrics, seconds=limits.seconds)
    # Around the guard: a browser asks whether it may ask, without the token.
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )

    app.state.server = server
    app.router.route_class = PlainRoute
    add_model_routes(app, server)
    add_operator_routes(app, server)
    add_page(app)
    return app


def add_model_routes(app: FastAPI, server: Server) -> None:
    """Add what clients call."""

    @app.get("/v1/models", responses=openapi.MODELS, tags=["models"])
    async def list_models(request: Request) -> Response:  # noqa: ARG001
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
        return LinesResponse(server.stream(name, request))


def add_operator_routes(app: FastAPI, server: Server) -> None:
    """Add what those who run the server call."""

    @app.get("/health", responses=openapi.HEALTH, tags=["operations"])
    async def health(request: Request) -> Response:  # noqa: ARG001
        """Answer as long as the process lives."""
        return json_response({"status": "ok"})

    @app.get("/ready", responses=openapi.READY, tags=["operations"])
    async def ready(request: Request) -> Response:  # noqa: ARG001
        """Answer 200 while texts are taken: models are loaded, and the server does not stop."""
        if not server.pool.ready:
            return problem_response(503, "the server stops, or a worker has ended")
        return json_response({"status": "ready"})

    @app.get("/metrics", responses=openapi.METRICS, tags=["operations"])
    async def show_metrics(request: Request) -> Response:  # noqa: ARG001
        """Show counters and times in Prometheus' text format."""
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(server.metrics.text(), media_type=kind)


def add_page(app: FastAPI) -> None:
    """Add the page to try the models; it asks nobody but this server."""
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
    # The browser itself then stops whatever would ask another host.
    policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"

    def route(content: bytes, kind: str) -> Callable[..., Any]:
        """Make the route of one file of the page."""
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}

        async def serve_file(request: Request) -> Response:  # noqa: ARG001
            """Send the file."""
            return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)

        return serve_file

    # Read once: the page does not change while the server runs.
    for file, content in page_files("destila.serve", ("index.html", "page.js")).items():
        path = "/" if file == "index.html" else f"/{file}"
        kind = kinds[file.rpartition(".")[2]]
        app.add_api_route(path, route(content, kind), include_in_schema=False)
