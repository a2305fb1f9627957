"""What the server writes: JSON as the command line does, and problem objects (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from destila.serve.bodies import RefusedError

RETRY_SECONDS = 1
"""After how long a client that met a full queue may try again."""


def problem(status: int, detail: str, **more: Any) -> dict[str, Any]:
    """Make a problem object."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}


def problem_response(status: int, detail: str, **more: Any) -> Response:
    """Make a response of a problem object."""
    body = dump(problem(status, detail, **more))
    response = Response(body, status_code=status, media_type="application/problem+json")
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    # What a slow client may still send is not waited for.
    if status == 408:
        response.headers["Connection"] = "close"
    return response


def json_response(value: Any) -> Response:
    """Make a response of JSON as the command line writes it."""
    return Response(dump(value), media_type="application/json")


def dump(value: Any) -> bytes:
    """Write JSON in UTF-8 as `destila predict` does."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


async def answer_refused(_: Request, error: Exception) -> Response:
    """Answer a request that was refused."""
    assert isinstance(error, RefusedError)
    return problem_response(error.status, error.detail, **error.more)


async def answer_http_error(_: Request, error: Exception) -> Response:
    """Answer what the framework refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    response = problem_response(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def answer_failure(_: Request, error: Exception) -> Response:
    """Answer a request that failed for a reason of ours; its text stays out of the answer."""
    return problem_response(500, f"the server failed ({type(error).__name__}): see its log")
