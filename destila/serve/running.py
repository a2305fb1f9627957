"""The application on a port until the process is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from destila.errors import ConfigError

BACKLOG = 2048
"""Connections that may wait to be accepted."""

KEEP_SECONDS = 75
"""That a connection may rest between requests: longer than the proxies before it, which would else
send a request into one that is being closed."""

HEADER_SECONDS = 10.0
"""That a client may take to send the headers of a request."""

HEADER_BYTES = 1 << 16
"""That the headers of a request may have."""


class PatientProtocol(HttpToolsProtocol):
    """HTTP of a connection, closed on who takes too long, or too much room, to say what it wants.

    Without it a connection that sends half a header lives for ever, and one that sends headers
    without an end fills the memory.
    """

    _deadline: asyncio.TimerHandle | None = None
    _received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._expect_headers(KEEP_SECONDS)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a request's headers."""
        super().on_message_begin()
        self._expect_headers(HEADER_SECONDS)

    def on_headers_complete(self) -> None:
        """Take a request on."""
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read on, unless headers are too long."""
        if self._deadline is not None:
            self._received += len(data)
        super().data_received(data)
        if self._deadline is not None and self._received > HEADER_BYTES:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_headers(self, seconds: float) -> None:
        self._stop_waiting()
        self._received = 0
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class StoppingServer(uvicorn.Server):
    """A server that ends its streams when it stops: their clients might send on for ever.

    Args:
        config: what uvicorn is told.
        stop: called when the server begins to stop.
    """

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, and wait until what was taken is answered."""
        self._stop()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Open the port.

    Raises:
        ConfigError: it is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port} ({error.strerror}): give another --port"
        ) from error


def run_server(app: FastAPI, listening: socket.socket, *, seconds: float) -> None:
    """Serve an application until SIGTERM or SIGINT; what was taken is then answered.

    Args:
        app: of `create_app`.
        listening: of `listen`.
        seconds: until a request is given up, also while stopping.
    """
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        timeout_keep_alive=KEEP_SECONDS,
        log_level="warning",
        access_log=False,  # ours is structured, and holds no text
        server_header=False,
        proxy_headers=False,  # nobody asks who the client was
        timeout_graceful_shutdown=int(seconds) + 1,
    )
    StoppingServer(config, app.state.server.stopping.set).run(sockets=[listening])
